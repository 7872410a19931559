"""The site of a real server: made at its start and after each change, by a process that ends with it."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from bench import lives, wait_until
from served import serving

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from made_runs import make_run, make_runs, some_benchmarks

from runner.jobs.watched import Serve
from runner.service import settings, site


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make_runs(tmp_path / "data" / "runs", 2, 4)
    return tmp_path / "data"


def children() -> set[int]:
    """Ids of the processes that this one has started."""
    return {one.pid for one in psutil.Process().children()}


def publishing(one: site.Site) -> int:
    """Id of the process that makes the site, as soon as there is one."""
    wait_until(lambda: one._process is not None)
    process = one._process
    assert process is not None and process.pid is not None
    return process.pid


def runs_on(place: Path) -> int:
    """How many runs have a page."""
    return len([path for path in (place / "runs").glob("2*.html") if path.suffixes == [".html"]])


def test_what_is_new_is_published_and_a_killed_publishing_is_made_up_for(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "QUIET", 0.1)
    monkeypatch.setattr(site, "AGAIN", 0.1)
    one = site.Site(settings.made(data, Serve()))
    pages = data / "site" / "runs"
    with one.working():
        wait_until(lambda: runs_on(data / "site") == 2 and one._process is None)
        before = children()  # what Python starts to look after shared memory is there by now, and stays
        assert 'href="../requests/"' in (pages / "index.html").read_text()
        index = one.records.now()
        assert len(index.history.runs) == 2
        make_run(data / "runs", 9, some_benchmarks(4))
        one.changed()
        child = psutil.Process(publishing(one))
        assert child.nice() in (0, site.NICE)
        child.kill()
        wait_until(lambda: one.problem or runs_on(data / "site") == 3)
        wait_until(lambda: runs_on(data / "site") == 3)
        assert len(one.records.now().history.runs) == 3
        wait_until(lambda: one._process is None)
        one.changed()
        last = publishing(one)
    assert not lives(last) and children() <= before, "what is under way ends with the server"
    assert runs_on(data / "site") == 3


def test_what_comes_while_the_site_is_made_is_on_the_next_one(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if nobody says so.

    A pipe stands among the imports, which are read after the runs: it holds a publishing until somebody opens it.
    """
    monkeypatch.setattr(site, "QUIET", 0.1)
    (data / "imports").mkdir()
    pipe = data / "imports" / "x.json"
    os.mkfifo(pipe)
    held: list[int] = []

    def reached() -> bool:
        with suppress(OSError):  # nobody has come to it yet
            held.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(held)

    def let_go() -> None:
        while held:
            os.close(held.pop())

    one = site.Site(settings.made(data, Serve()))
    with one.working():
        wait_until(reached)
        make_run(data / "runs", 9, some_benchmarks(4))
        let_go()
        wait_until(lambda: runs_on(data / "site") == 2)
        wait_until(reached)
        let_go()
        wait_until(lambda: runs_on(data / "site") == 3)


def test_a_server_serves_it_and_leaves_nothing_behind(data: Path) -> None:
    with serving(data, "--public") as one:
        with httpx.Client(base_url=one.address, headers={"accept": "text/html"}) as client:
            wait_until(lambda: "Latest comparison" in client.get("/").text)
            runs = client.get("/api/v1/runs", headers={"accept": "application/json"}).json()["runs"]
            assert len(runs) == 2
            for run in runs:
                assert run["id"] in client.get(run["page"]).text
            make_run(data / "runs", 9, some_benchmarks(4))
            started = psutil.Process(one.process.pid).children(recursive=True)
        _, errors = one.end(signal.SIGINT)
    assert "Traceback" not in errors, errors
    # They end with the process that started them, by a signal that the kernel sends then.
    wait_until(lambda: not any(lives(one.pid) for one in started))


@pytest.mark.parametrize("alone", [False, True], ids=["with the server", "alone"])
def test_a_publishing_that_is_asked_to_end_with_its_server_is_no_problem(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, alone: bool
) -> None:
    """As where a signal goes to all processes of a service."""
    if alone:
        monkeypatch.setattr(site, "ENDING", 0.0)
    one = site.Site(settings.made(data, Serve()))
    with one.working():
        wait_until(lambda: one._process is not None, 60)
        assert one._process is not None
        one._process.terminate()
        wait_until(lambda: one._process is None, 60)
        if alone:
            wait_until(lambda: bool(one.problem), 60)
        else:
            time.sleep(0.3)  # what is said of it is said at once
    assert [record.getMessage() for record in caplog.records if record.name == "lockstep.site"] == (
        ["the site: the process that makes it ended with code -15"] if alone else [])
