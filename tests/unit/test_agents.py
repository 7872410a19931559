"""What an agent takes on and refuses, what it keeps of that, and what it shows to the code of strangers."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import config
from runner.cage import Cage
from runner.client import Refused
from runner.errors import MachineError, UsageError
from runner.jobs import errand as work
from runner.sending import Failed
from runner.storage import errands, store
from runner.storage.errands import Errand, State

ERRAND = Errand(
    server="https://lockstep.example.org", request="5b1e", lease="l1", taken=1.8e9, base="cpython@3.13.5+nocow",
    head="cpython@3.13.5", suite="bytesio", select=None, margin="1%", budget="10m",
)
RUN = "20261128T182707Z-e6513a"

# --- What a request may name


@pytest.mark.parametrize(("text", "strange"), [
    ("cpython@3.13.5", False), ("cpython@3.13.5+nocow", False), ("cpython@3.13.5+nocow?pgo&lto", False),
    ("git:https://github.com/python/cpython@main", True), ("git:http://127.0.0.1:8000/a@main", True),
])
def test_what_strangers_have_a_hand_in(text: str, strange: bool) -> None:
    assert work.strange(text) is strange


@pytest.mark.parametrize(("change", "why"), [
    ({"head": "dir:/root/cpython"}, "of one machine alone"),
    ({"suite": "/root/benchmarks"}, "suite: a request names bytesio, consumers, pyperformance, or some"),
    ({"suite": "consumers|pyperformance"}, "suite: a request names"),
    ({"suite": "pyperformance --help"}, "suite: it has a character"),
    ({"select": "(a+)+$"}, "select: write parts"), ({"margin": "90%"}, "margin: 0.9 is not between"),
    ({"base": "cpython@3.13.5?configure=CC=/tmp/cc"}, "of the options of a build"),
    ({"budget": "long"}, "is not a time"),
    ({"head": "git:https://example.org/a@main"}, "builds releases only"),
])
def test_a_request_that_is_refused_has_failed_in_words(tmp_path: Path, change: dict[str, str], why: str) -> None:
    errand = replace(ERRAND, **change)
    errands.write(tmp_path, errand)
    done = work.measured(errand, work.Ways(top=tmp_path, untrusted="refuse"), lambda note: None)
    assert done.state is State.FAILED and done.run == "" and why in done.problem


# --- What is kept of a request


def test_an_errand_is_read_as_it_was_written(tmp_path: Path) -> None:
    done = replace(ERRAND, select="construct|getvalue", state=State.MEASURED)
    for number in range(3):
        errands.write(tmp_path, replace(done, request=f"r{number}"))
    folders = errands.all_of(tmp_path)
    assert [folder.name for folder in folders] == ["r0", "r1", "r2"]
    assert errands.read(folders[1]) == replace(done, request="r1")
    errands.remove(tmp_path, errands.read(folders[1]))
    assert [folder.name for folder in errands.all_of(tmp_path)] == ["r0", "r2"]
    assert not folders[1].exists()


@given(st.text())
def test_the_id_of_a_request_names_a_folder_and_leads_nowhere_else(id: str) -> None:
    try:
        folder = errands.folder_of(Path("/errands"), id)
    except UsageError:
        return
    assert folder.parent == Path("/errands") and folder.name == id and folder.resolve() == folder


@pytest.mark.parametrize("id", ["", ".", "..", "a/b", "/etc", "-x", "a\n", "é", "x" * 65])
def test_what_is_no_id(id: str) -> None:
    with pytest.raises(UsageError, match="no id of a request"):
        errands.folder_of(Path("/errands"), id)


@pytest.mark.parametrize("change", [{"schema": "lockstep.errand/2"}, {"request": "other"}, {"state": "lost"}])
def test_what_is_no_errand_is_said(tmp_path: Path, change: dict[str, str]) -> None:
    errands.write(tmp_path, ERRAND)
    file = tmp_path / ERRAND.request / errands.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(UsageError, match=r"remove .*5b1e"):
        errands.read(file.parent)


def run_folder(top: Path, name: str = RUN) -> Path:
    run = top / ERRAND.request / errands.WORK / errands.RUNS / name
    run.mkdir(parents=True)
    for file in (store.MANIFEST, store.BLOCKS):
        (run / file).write_text("{}\n")
    return run


def test_the_newest_run_counts(tmp_path: Path) -> None:
    errands.write(tmp_path, ERRAND)
    assert errands.run_of(tmp_path / ERRAND.request) is None
    run_folder(tmp_path)
    newest = run_folder(tmp_path, "20261129T000000Z-000000")
    (newest.parent / "20261130T000000Z-000000").mkdir()  # without a manifest: it was not begun
    assert errands.run_of(tmp_path / ERRAND.request) == newest.name


def test_a_run_is_taken_out_of_reach(tmp_path: Path) -> None:
    errands.write(tmp_path, ERRAND)
    run = run_folder(tmp_path)
    (run / "report.html").write_text("<script>")
    for _ in range(2):
        taken = errands.take_out(tmp_path / ERRAND.request, RUN)
    assert taken == tmp_path / ERRAND.request / errands.RUN / RUN
    assert sorted(path.name for path in taken.iterdir()) == [store.BLOCKS, store.MANIFEST]


@pytest.mark.parametrize("kind", ["link", "hard link", "folder", "pipe", "large"])
def test_what_leads_elsewhere_is_not_taken_out(tmp_path: Path, kind: str) -> None:
    plant(tmp_path, kind)
    assert errands.run_of(tmp_path / ERRAND.request) == RUN
    with pytest.raises(UsageError, match="is not as Lockstep leaves one"):
        errands.take_out(tmp_path / ERRAND.request, RUN)


@pytest.mark.parametrize("kind", ["linked manifest", "linked folder", "linked runs", "name"])
def test_a_run_that_leads_elsewhere_is_none(tmp_path: Path, kind: str) -> None:
    plant(tmp_path, kind)
    assert errands.run_of(tmp_path / ERRAND.request) is None
    with pytest.raises((UsageError, MachineError)):
        errands.take_out(tmp_path / ERRAND.request, RUN)


def plant(tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    run = run_folder(tmp_path)
    match kind:
        case "link":
            (run / store.LAYOUTS).symlink_to(secret)
        case "hard link":
            (run / store.LAYOUTS).hardlink_to(secret)
        case "folder":
            (run / store.LAYOUTS).mkdir()
        case "pipe":
            os.mkfifo(run / store.LAYOUTS)
        case "large":
            with (run / store.LAYOUTS).open("wb") as file:
                file.truncate(errands.LARGEST + 1)
        case "linked manifest":
            (run / store.MANIFEST).unlink()
            (run / store.MANIFEST).symlink_to(secret)
        case "linked folder":
            run.rename(tmp_path / "elsewhere")
            run.symlink_to(tmp_path / "elsewhere")
        case "linked runs":
            run.parent.rename(tmp_path / "elsewhere")
            run.parent.symlink_to(tmp_path / "elsewhere")
        case "name":
            run.rename(run.with_name("20261128T182707Z-e6513a-more"))


# --- What strangers' code is shown


def test_a_cage_shows_what_it_is_told_to_and_hides_the_rest(tmp_path: Path) -> None:
    for name in ("state", "state/runs", "cache", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "state" / "history.sqlite").touch()
    cage = Cage(
        program="/usr/bin/bwrap", work=tmp_path / "work", readable=(tmp_path / "state", tmp_path / "cache"),
        hidden=(tmp_path / "state" / "runs", tmp_path / "state" / "history.sqlite"),
    )
    words = cage.words(["python", "-c", "pass"], cwd=tmp_path / "work")
    text = " ".join(words)
    for flag in ("--unshare-net", "--unshare-pid", "--unshare-ipc", "--die-with-parent"):
        assert flag in words
    assert f"--ro-bind {tmp_path}/state {tmp_path}/state" in text
    assert text.index(f"--tmpfs {tmp_path}/state/runs") > text.index(f"--ro-bind {tmp_path}/state ")
    assert f"--ro-bind /dev/null {tmp_path}/state/history.sqlite" in text
    assert [words[place + 1] for place, word in enumerate(words) if word == "--bind"] == [str(tmp_path / "work")]
    assert words[-4:] == ["--", "python", "-c", "pass"] and "setpriv" not in words


def test_root_gives_the_command_to_somebody_else(tmp_path: Path) -> None:
    cage = Cage(program="/usr/bin/bwrap", work=tmp_path, readable=(), guest=(994, 993))
    words = cage.words(["id"], cwd=tmp_path)
    assert words[-5:] == ["setpriv", "--reuid=994", "--regid=993", "--clear-groups", "id"]
    assert words.index("--") < words.index("setpriv")


def test_a_cage_has_few_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCKSTEP_TOKEN", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "CC", "HOME"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("LC_TIME", "C.UTF-8")
    seen = Cage(program="bwrap", work=tmp_path, readable=()).environment({"HOME": "/work/home"})
    assert "secret" not in seen.values() and seen["HOME"] == "/work/home" and seen["LC_TIME"] == "C.UTF-8"


def test_a_command_of_ours_does_not_see_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCKSTEP_TOKEN", "lst_secret")
    assert not [name for name in work._environment() if name.startswith(config.OURS)]


# --- Patience


def test_a_server_that_is_away_is_asked_more_and_more_seldom() -> None:
    from runner.jobs.agent import LONGEST, SHORTEST, _Patience

    patience = _Patience()
    assert patience.ended() and not patience.worked()
    waits = []
    for _ in range(9):
        patience.failed(Failed("away"))
        waits.append(patience.seconds)
        assert not patience.ended()
    assert waits[:3] == [SHORTEST, 2 * SHORTEST, 4 * SHORTEST] and waits[-1] == LONGEST
    assert patience.worked() and patience.ended() and patience.seconds == 0.0
    patience.failed(Failed("full", wait=77.0))
    assert math.isclose(patience.seconds, 77.0)


@pytest.mark.parametrize(("status", "slug", "closed"), [
    (401, "token", True), (403, "scope", True), (403, "no-machine", True), (403, "host", False), (404, "lease", False),
    (409, "run", False), (422, "parcel", False), (429, "rate", False), (503, "unavailable", False),
])
def test_where_it_is_the_token_an_agent_ends_and_keeps_what_it_has(status: int, slug: str, closed: bool) -> None:
    from runner.jobs.agent import _closed

    assert _closed(Refused("no", status=status, slug=slug, wait=0.0, refused=True)) is closed
    assert not _closed(Failed("away"))
