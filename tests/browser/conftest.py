"""A headless Chromium that reaches nothing but this machine, and a site for it to show."""

from __future__ import annotations

import http.server
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "unit"))  # the made-up runs

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARTIFACTS = ROOT / "artifacts"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)


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


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    assert CHROMIUM is not None, "LOCKSTEP_NEEDS_BROWSER is set, and there is no Chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def sight(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Sight]:
    options = getattr(request, "param", {})
    context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
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
    """A site of twelve nights, the last with benchmarks in all states, warnings and names that are HTML."""
    from made_runs import MACHINE, arm, make_run, make_runs, some_benchmarks, spoil
    from samples import benchmark

    from runner import jobs
    from runner.judging import compare
    from runner.model import Arm, Cause, Failure, Notice
    from runner.report import as_html
    from runner.storage import explanations, store
    from runner.storage.explanations import Count, Kept

    folder = tmp_path_factory.mktemp("published")
    make_runs(folder / "runs", 12, 24)
    evil = benchmark('work.time_<img src=x onerror=alert(1)>')
    make_run(folder / "runs", 13, [*some_benchmarks(24), evil], changed=0.05, machine={**MACHINE, "cpu": "<b>CPU</b>"},
             head=arm("<script>alert(2)</script>"), notices=(Notice(kind="steal", numbers={"share": 0.2}),))
    last = max((folder / "runs").iterdir())
    keys = [one.key for one in some_benchmarks(24)][::-1]
    skip = Failure(reason="not for <b>this</b> size", arm=None, cause=Cause.SKIPPED)
    raised = Failure(reason="raised ValueError: " + "a long text of its author's " * 8, arm=Arm.HEAD, detail=(
        'Traceback (most recent call last):\n  File "/suite/work.py", line 7, in time_it\nValueError: a long text'))
    states = [skip] * 4 + [replace(skip, arm=Arm.HEAD)] + [raised] * 5 + [2, 2, 2]
    spoil(last, dict(zip(keys, states, strict=False)))
    (folder / "report.html").write_text(as_html.render(compare.report(store.read(last))))
    (last / "report.html").write_bytes((folder / "report.html").read_bytes())
    explanations.add(last, [Kept(key=some_benchmarks(1)[0].key, text="More <b>work</b>.", notes=(), work=(), functions=(
        Count(name="<img src=x onerror=alert(3)>", base=1.0, head=5000.0),))])
    jobs.publish(jobs.PublishRequest(out=folder / "site", runs=folder / "runs"), Quiet())
    return folder / "site"


class Quiet:
    def phase(self, text: str) -> None: ...
    def say(self, text: str) -> None: ...
    def measured(self, plan: object, progress: object) -> None: ...
