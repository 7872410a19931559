"""A browser, what it saw of a page, and sites for it to show."""

from __future__ import annotations

import http.server
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from chromium import CHROMIUM, browser

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit"))  # the made-up runs

ARTIFACTS = ROOT / "artifacts"
PATIENCE = 120_000
"""Milliseconds for whatever a page is to show, on a machine that is busy."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None and not os.environ.get("LOCKSTEP_NEEDS_BROWSER"):
        mark = pytest.mark.skip(reason="Chromium is missing (Debian: apt-get install chromium)")
        for item in items:
            if Path(str(item.fspath)).is_relative_to(Path(__file__).parent):
                item.add_marker(mark)


@dataclass(kw_only=True)
class Sight:
    """A page with what went wrong on it."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def show(self, address: str | Path) -> Any:
        self.page.goto(address.as_uri() if isinstance(address, Path) else address)
        return self.page

    def strangers(self) -> list[str]:
        """Requests that leave the machine."""
        return [one for one in self.requests if not one.startswith(("file:", "data:", "http://127.0.0.1:"))]


def follow(link: Any) -> None:
    """Click on what leads to another page, and wait until that is there whole."""
    with link.page.expect_navigation():
        link.click()


def address(page: Any) -> str:
    """Where the page is now, with what its scripts have put behind the #: `page.url` hears of that a moment later."""
    return str(page.evaluate("location.href"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture
def sight(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Sight]:
    options = getattr(request, "param", {})
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
    context.set_default_timeout(PATIENCE)
    seen = Sight(page=context.new_page())
    seen.page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
    seen.page.on("dialog", lambda dialog: (seen.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    seen.page.on("request", lambda asked: seen.requests.append(asked.url))
    yield seen
    context.close()


@pytest.fixture
def served() -> Iterator[Any]:
    """Serves a folder on loopback; gives its address."""
    servers = []

    def serve(folder: Path) -> str:
        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from made_sites import make_nights

    return make_nights(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="session")
def across(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from made_sites import make_across

    return make_across(tmp_path_factory.mktemp("across"))
