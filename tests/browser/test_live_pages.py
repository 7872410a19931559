"""The pages of a real server in a real browser: what holds for every page holds for those that are made when they are
asked for, and all of it under the policy that the server sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ARTIFACTS, Sight, follow
from listening import listening
from made_sites import make_history
from samples import Quiet
from test_every_page import CONTRAST, TIGHT

from runner import jobs
from runner.history import events as events_of
from runner.jobs.watched import Serve
from runner.service import server, settings, tokens

HOSTILE = '<img src=x onerror=alert(1)>'
LIVE = ("login", "account", "wrong", "triage", "cannot", "machines", "audit", "missing")
"""Pages that are made when they are asked for, in a state each."""
PUBLISHED = ("", "events/index.html", "benchmarks/index.html", "runs/", "compare.html", "health.html", "trust.html")


class Running:
    """A server on this machine, its site as it was published."""

    def __init__(self, address: str, data: Path, held: server.Server) -> None:
        self.address, self.data, self.held = address, data, held
        self.event = events_of.read(data / "events")[0].id

    def token(self, name: str, *scopes: str) -> str:
        return tokens.create(self.held.database, name, scopes, self.held.clock())[1]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("served")
    make_history(folder)
    data = folder / "state"
    (folder / "runs").rename(data / "runs")
    jobs.publish(jobs.PublishRequest(out=data / "site", runs=data / "runs", state=data, served=True), Quiet())
    with server.holding(settings.made(data, Serve(rate=0))) as held, listening(held) as address:
        yield Running(address, data, held)


def sign_in(sight: Sight, running: Running, *scopes: str, next: str = "/login") -> None:
    page = sight.show(f"{running.address}/login?next={next}")
    page.get_by_label("Token").fill(running.token("Ada", *scopes))
    follow(page.get_by_role("button", name="Sign in"))


def show(sight: Sight, running: Running, kind: str) -> None:
    """Bring the browser to one of `LIVE`."""
    if kind == "audit":
        sign_in(sight, running, "admin")
    elif kind in ("triage", "account"):
        sign_in(sight, running, "triage")
    elif kind != "login":
        sign_in(sight, running, "read")
    if kind == "wrong":
        follow(sight.page.get_by_role("button", name="Sign out"))
        sight.page.get_by_label("Token").fill("nothing")
        follow(sight.page.get_by_role("button", name="Sign in"))
    place = {"login": "login", "triage": f"triage/{running.event}", "cannot": f"triage/{running.event}",
             "machines": "machines/", "audit": "audit", "missing": "runs/none.html"}.get(kind)
    if place is not None:
        sight.show(f"{running.address}/{place}")
    sight.page.wait_for_load_state("networkidle")


def faults(sight: Sight) -> list[str]:
    """Errors of the page, but for what the browser says of a status that is meant."""
    return [one for one in sight.errors if not re.search(r"the server responded with a status of 40[14]", one)]


def violations(page: Any) -> list[tuple[str, str]]:
    """What axe-core finds wrong, with the piece of the page."""
    found = Axe().run(page).response
    return [(one["id"], node["html"]) for one in found["violations"] for node in one["nodes"]]


@pytest.mark.parametrize("kind", LIVE)
def test_a_live_page_is_as_good_as_any(sight: Sight, running: Running, kind: str) -> None:
    show(sight, running, kind)
    page = sight.page
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    assert (faults(sight), sight.strangers()) == ([], [])
    assert page.evaluate(TIGHT) == []
    assert violations(page) == []
    unreachable = page.evaluate("[...document.querySelectorAll('a[href], button, input, select, textarea')]"
                                ".filter((e) => e.type !== 'hidden' && e.tabIndex < 0).map((e) => e.outerHTML)")
    assert unreachable == []
    ARTIFACTS.mkdir(exist_ok=True)
    for color, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        page.emulate_media(color_scheme=color)
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate(CONTRAST) == [], (color, width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=ARTIFACTS / f"live-{kind}-{color}-{width}.png", full_page=True)
    assert violations(page) == [], "on a phone it may be laid out otherwise"


def test_published_pages_work_under_the_policy(sight: Sight, running: Running) -> None:
    sign_in(sight, running, "read")
    benchmark = min((running.data / "site" / "benchmarks").glob("work.*.html")).name
    run = max(path.name for path in (running.data / "site" / "runs").glob("2*.html"))
    for place in (*PUBLISHED, f"benchmarks/{benchmark}", f"runs/{run}"):
        answer = sight.page.goto(f"{running.address}/{place}")
        sight.page.wait_for_load_state("networkidle")
        assert "script-src 'self'" in answer.headers["content-security-policy"], place
        assert (sight.errors, sight.strangers()) == ([], []), place
        assert sight.page.locator("nav a").count() >= 11
    sight.page.goto(f"{running.address}/runs/{run}")
    assert sight.page.locator("form.filter").first.is_visible(), "its scripts work"


def test_something_is_said_of_an_event_in_the_browser(sight: Sight, running: Running) -> None:
    place = f"/triage/{running.event}"
    page = sight.show(f"{running.address}{place}")
    assert page.url.startswith(f"{running.address}/login?next="), "first one signs in"
    page.get_by_label("Token").fill(running.token("Ada", "triage"))
    follow(page.get_by_role("button", name="Sign in"))
    assert page.url == f"{running.address}{place}", "and is led back"
    page.get_by_label("It is").select_option("acknowledged")
    page.get_by_label("Note").fill(HOSTILE)
    follow(page.get_by_role("button", name="Say it"))
    assert "acknowledged" in page.locator(".headline").inner_text()
    assert HOSTILE in page.locator("ol.said").inner_text() and page.locator("ol.said img").count() == 0
    event = next(one for one in events_of.read(running.data / "events") if one.id == running.event)
    assert [(one.who, one.note) for one in event.entries][-1] == ("Ada", HOSTILE)
    follow(page.get_by_role("link", name="Account"))
    follow(page.get_by_role("button", name="Sign out"))
    page.goto(f"{running.address}{place}")
    assert "/login?next=" in page.url
    assert faults(sight) == []


def test_a_link_from_another_site_finds_the_session(
    sight: Sight, running: Running, served: Callable[[Path], str], tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(f'<a href="{running.address}/machines/">there</a>')
    sign_in(sight, running, "read")
    # Another port of one host is the same site: another name of the host is another.
    sight.page.goto(served(tmp_path).replace("127.0.0.1", "localhost"))
    sight.page.get_by_role("link", name="there").click()
    sight.page.wait_for_url(f"{running.address}/machines/")
    sight.page.get_by_role("heading", name="Machines").wait_for()
