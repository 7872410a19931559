"""The pages of requests in a real browser: a comparison is asked for, followed and cancelled, under the policy that the
server sends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ARTIFACTS, Sight, follow
from listening import listening
from made_runs import make_run, some_benchmarks
from test_every_page import CONTRAST

from runner import config
from runner.history import runs as history
from runner.jobs.policy import Wanted
from runner.jobs.watched import Serve
from runner.service import pages_requests, queue, server, settings, tokens
from runner.service.queue import Asker, Tenure

HOSTILE = "<img src=x onerror=alert(1)>"
LONG = "cpython@3.13.5+nocow+bystander+hash-as-test+share-any-buffer+shrink-without-realloc+lent+slack-10"
KINDS = ("list", "form", "refused", "running", "failed", "done", "reader")


class Running:
    """A server on this machine that has one request of each kind."""

    def __init__(self, address: str, held: server.Server, run: str) -> None:
        self.address, self.held, self.run = address, held, run
        self.ids: dict[str, str] = {}
        for kind in ("failed", "done", "running"):
            self.ids[kind] = self.ask()
            lease, now = self.claim(kind), time.time()
            with held.database.writing() as connection:
                if kind == "running":
                    queue.beat(connection, lease, kind, f"round 3 of 12 {HOSTILE}", now)
                elif kind == "failed":
                    queue.end(connection, lease, kind, Tenure.FAILED, [], f"make: *** [{HOSTILE}] Error 2\n" * 3, now)
                else:
                    queue.end(connection, lease, kind, Tenure.DONE, [run], "", now)

    def ask(self) -> str:
        wanted = Wanted(base=LONG, head="cpython@3.13.5")
        with self.held.database.writing() as connection:
            return queue.submit(connection, wanted, Asker(person="Ada"), time.time())[0].id

    def claim(self, kind: str) -> str:
        """Have a machine take the one request that waits, which is of this kind; the lease."""
        with self.held.database.writing() as connection:
            queue.prolong(connection, time.time())  # however slow the browser is
            found = queue.claim(connection, kind, f"bench-{kind}", {"cpu": HOSTILE, "os": "Debian"}, time.time())
        assert found is not None and found[1].id == self.ids[kind]
        return found[0].id

    def token(self, *scopes: str) -> str:
        return tokens.create(self.held.database, "Ada", scopes, time.time())[1]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data: Path = tmp_path_factory.mktemp("requests") / "data"
    with server.holding(settings.made(data, Serve(repositories=("https://github.com/python/cpython",)))) as held:
        run = make_run(held.settings.runs, 1, some_benchmarks(8), changed=0.1).name
        with listening(held) as address:
            yield Running(address, held, run)


def sign_in(sight: Sight, running: Running, *scopes: str) -> None:
    page = sight.show(f"{running.address}/login?next=/requests/")
    page.get_by_label("Token").fill(running.token(*scopes))
    follow(page.get_by_role("button", name="Sign in"))


def faults(sight: Sight) -> list[str]:
    """Errors of the page, but for what the browser says of a form that was refused."""
    return [one for one in sight.errors if "the server responded with a status of 422" not in one]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_of_requests_is_as_good_as_any(sight: Sight, running: Running, kind: str) -> None:
    sign_in(sight, running, "read" if kind == "reader" else "request")
    page = sight.page
    if kind in running.ids:
        page.goto(f"{running.address}/requests/{running.ids[kind]}")
    elif kind in ("form", "refused"):
        follow(page.get_by_role("link", name="Ask for a comparison"))
    if kind == "refused":
        page.get_by_label("Base").fill(HOSTILE)
        page.get_by_label("Head").fill("cpython@3.13.5")
        follow(page.get_by_role("button", name="Ask", exact=True))
        assert "base: " in page.get_by_role("alert").inner_text() and page.get_by_label("Base").input_value() == HOSTILE
    page.wait_for_load_state("networkidle")
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    assert page.locator("main img").count() == 0
    assert (faults(sight), sight.strangers()) == ([], [])
    ARTIFACTS.mkdir(exist_ok=True)
    for color, width in (("light", 1280), ("dark", 1280), ("light", 390)):
        page.emulate_media(color_scheme=color)
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate(CONTRAST) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=ARTIFACTS / f"requests-{kind}-{color}-{width}.png", full_page=True)
    found = Axe().run(page).response
    assert [(one["id"], node["html"]) for one in found["violations"] for node in one["nodes"]] == []


def test_a_comparison_is_asked_for_followed_and_cancelled(
    sight: Sight, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_requests, "AGAIN", 1)
    sign_in(sight, running, "request")
    page = sight.page
    follow(page.get_by_role("link", name="Ask for a comparison"))
    page.get_by_label("Base").fill("cpython@3.13.5+nocow")
    page.get_by_label("Head").fill("cpython@3.13.5")
    follow(page.get_by_role("button", name="Ask", exact=True))
    page.get_by_text("It waits for a machine.").wait_for()
    id = page.url.rpartition("/")[2]
    running.ids["asked"] = id
    lease = running.claim("asked")
    page.get_by_text("bench-asked is at it").first.wait_for()
    with running.held.database.writing() as connection:
        queue.beat(connection, lease, "asked", "round 4 of 12", time.time())
    page.get_by_text("round 4 of 12").first.wait_for()
    follow(page.get_by_role("button", name="Cancel it"))
    page.get_by_text("It was cancelled").wait_for()
    assert page.get_by_role("button", name="Cancel it").count() == 0
    with running.held.database.writing() as connection:
        assert queue.beat(connection, lease, "asked", "", time.time())[1]
    follow(page.get_by_role("link", name="Requests"))
    assert page.get_by_role("link", name="cpython@3.13.5+nocow → cpython@3.13.5").count() == 1
    assert faults(sight) == []


def test_what_came_of_a_request_appears_by_itself(
    sight: Sight, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_requests, "AGAIN", 1)
    sign_in(sight, running, "read")
    id = running.ids["came"] = running.ask()
    page = sight.show(f"{running.address}/requests/{id}")
    lease = running.claim("came")
    with running.held.database.writing() as connection:
        queue.end(connection, lease, "came", Tenure.DONE, [running.run], "", time.time())
    page.get_by_text("its page is being made").wait_for()
    runs = running.held.settings.runs
    history.read(runs, config.index_file(runs))  # as publishing does
    page.get_by_text("1 slower").wait_for()
    made = running.held.settings.site / "runs" / f"{running.run}.html"
    made.parent.mkdir(parents=True)
    made.write_text("made", encoding="utf-8")
    page.get_by_role("link", name=f"All verdicts: run {running.run}").wait_for()
    made.unlink()
    assert faults(sight) == []
