"""`lockstep runs`: what is stored, chosen and removed; and what is not removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from made_runs import arm, make_run, some_benchmarks

from runner import jobs
from runner.storage import shelf, store

Lockstep = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs, a day apart from 2023-11-14 on; the last was not finished, and a folder beside them is none."""
    folder = tmp_path_factory.mktemp("made") / "runs"
    for number in range(3):
        place = make_run(folder, number, some_benchmarks(4))
        jobs.save(jobs.Finished(folder=place, report=jobs.report_of(place), interrupted=False))
    make_run(folder, 3, some_benchmarks(1), head=arm("cpython@3.14"))
    (folder / "notes").mkdir()
    (folder / "notes" / "manifest.json").write_text("{}")
    return folder


@pytest.fixture
def nights(made: Path, tmp_path: Path) -> Path:
    """The same, for one test to do with as it likes."""
    return shutil.copytree(made, tmp_path / "runs")


def listed(lockstep: Lockstep, nights: Path, *words: str) -> list[dict[str, object]]:
    code, out, _ = lockstep("runs", "--out", nights, "--json", "-", *words)
    assert code == 0
    found = json.loads(out)
    assert found["schema"] == "lockstep.runs/1"
    return list(found["runs"])


def test_each_run_is_a_line(lockstep: Lockstep, nights: Path) -> None:
    code, out, error = lockstep("runs", "--out", nights)
    assert (code, error) == (0, "")
    lines = [line for line in out.splitlines() if line.startswith("2023")]
    assert len(lines) == 4
    assert "complete" in lines[0] and "anchor → night-0" in lines[0] and "4 same" in lines[0]
    assert "interrupted" in lines[3] and "of 1" in lines[3]
    assert "unreadable" in out and "5 runs" in out
    assert lockstep("runs", "--out", nights / "none")[:2] == (0, "no such runs\n")


@pytest.mark.parametrize(("words", "expected"), [
    ((), [0, 1, 2, 3]), (("--with", "night-1"), [1]), (("--with", "anchor", "--state", "complete"), [0, 1, 2]),
    (("--with", "3.14"), [3]), (("-b", "4KiB"), [0, 1, 2]), (("-b", "no such"), []),
    (("--since", "2023-11-16"), [2, 3]),
    (("--before", "2023-11-16"), [0, 1]), (("--since", "2023-11-15", "--before", "2023-11-16"), [1]),
    (("--before", "1d"), [0, 1, 2, 3]), (("--since", "1d"), []), (("--state", "interrupted"), [3]),
    (("20231114",), [0]), (("last", "20231114", "last"), [3, 0]),
])
def test_runs_are_chosen_by_what_they_are(
    lockstep: Lockstep, nights: Path, words: tuple[str, ...], expected: list[int]
) -> None:
    (nights / "notes" / "manifest.json").unlink()
    assert [int(str(one["id"])[-6:], 16) for one in listed(lockstep, nights, *words)] == expected


def test_removal_asks_or_is_told_yes(lockstep: Lockstep, nights: Path) -> None:
    code, out, error = lockstep("runs", "--out", nights, "--state", "interrupted", "--remove")
    assert code == 2 and "to remove these 1 runs, add --yes" in error and "night" not in error
    assert len(listed(lockstep, nights)) == 5
    code, out, _ = lockstep("runs", "--out", nights, "--before", "2023-11-16", "--remove", "--yes")
    assert code == 0 and out.count("removed 2023111") == 2
    assert [str(one["head"]) for one in listed(lockstep, nights) if one["head"]] == ["night-2", "cpython@3.14"]
    assert not any(path.name.startswith("20231114") for path in nights.iterdir())


def test_a_run_that_is_measured_is_said_so_and_never_removed(lockstep: Lockstep, nights: Path) -> None:
    (nights / "notes" / "manifest.json").unlink()
    folder = store.find(nights, "last")
    with store.appending(folder):
        assert listed(lockstep, nights, "last")[0]["state"] == "measuring"
        code, _, error = lockstep("runs", "--out", nights, "--since", "2023-11-15", "--remove", "--yes")
        assert code == 4 and f"{folder.name}: being measured just now. Nothing was removed" in error
        with pytest.raises(Exception, match="being measured by another process"):
            shelf.remove(folder)
    assert len([one for one in listed(lockstep, nights) if one["base"]]) == 4


def test_only_a_run_folder_is_removed(lockstep: Lockstep, nights: Path) -> None:
    """manifest.json is a name that other projects use, too."""
    code, _, error = lockstep("runs", "--out", nights, nights / "notes", "--remove", "--yes")
    assert code == 2 and "is not a run folder by its name" in error and (nights / "notes" / "manifest.json").exists()
    link = nights / "20231114T000000Z-aaaaaa"
    link.symlink_to(nights / "notes")
    code, _, error = lockstep("runs", "--out", nights, link, "--remove", "--yes")
    assert code == 2 and (nights / "notes" / "manifest.json").exists()



@pytest.mark.parametrize("summary", [["slower"], {"slower": None}, 7])
def test_a_report_that_cannot_be_counted_takes_no_other_run_from_the_list(
    lockstep: Lockstep, nights: Path, summary: object
) -> None:
    run = sorted(nights.iterdir())[0]
    report = json.loads((run / "report.json").read_text())
    (run / "report.json").write_text(json.dumps({**report, "summary": summary}))
    (one,) = listed(lockstep, nights, run.name)
    assert (one["state"], one["verdicts"]) == ("complete", None) and len(listed(lockstep, nights)) == 5
    assert "of 4" in lockstep("runs", "--out", nights)[1]


def test_a_run_of_no_date_is_unreadable(lockstep: Lockstep, nights: Path) -> None:
    run = sorted(nights.iterdir())[0]
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "created": 1e20}))
    (one,) = listed(lockstep, nights, run.name)
    assert (one["state"], one["created"]) == ("unreadable", None) and "is no date" in str(one["problem"])


def test_what_one_arm_lacks_is_counted(lockstep: Lockstep, nights: Path) -> None:
    run = next(folder for folder in sorted(nights.iterdir()) if (folder / "report.json").is_file())
    report = json.loads((run / "report.json").read_text())
    report["summary"]["only_in_base"] = 12
    (run / "report.json").write_text(json.dumps(report))
    (one,) = listed(lockstep, nights, run.name)
    verdicts = one["verdicts"]
    assert isinstance(verdicts, dict) and verdicts["only in base"] == 12 and verdicts["only in head"] == 0
    assert "12 only in base" in lockstep("runs", "--out", nights)[1]
