"""The ledger of nominations: lines that are only ever added."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import MachineError, UsageError
from runner.storage import ledger
from runner.storage.ledger import Entry, Suspect


def entry(nomination: str = "one", run: str = "r1") -> Entry:
    return Entry(
        nomination=nomination, when=1.8e9, watch="main", configuration="pgo&lto", machine="f", suite="/suite",
        kind="step", direction="slower", good="a" * 40, bad="b" * 40, positions=(3.0, 4.0), newest="c" * 40, p=1e-9,
        level=1e-4, outcome="confirmed", run=run,
        suspects=(Suspect(benchmark="work.time_it(size=ä)", size=0.02, suggested=1e-3, said="confirmed", p=1e-9,
                          mean=0.02, low=0.01, high=0.03),
                  Suspect(benchmark="work.time_more", size=0.02, suggested=1e-3, said="not measured")),
    )


def test_what_is_added_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state" / ledger.NAME
    assert ledger.read(path) == ()
    entries = (entry(), replace(entry("two"), outcome="not measured", run="", reason="no build", p=1.0, level=0.0))
    assert tuple(ledger.append(path, one) for one in entries) == entries
    assert ledger.read(path) == entries


def test_the_same_once_more_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / ledger.NAME
    ledger.append(path, entry())
    later = replace(entry(), when=1.9e9, outcome="not confirmed")
    assert ledger.append(path, later) == entry()
    assert ledger.append(path, replace(later, run="r2")).outcome == "not confirmed"
    assert [one.run for one in ledger.read(path)] == ["r1", "r2"]


def test_a_torn_line_is_ignored_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / ledger.NAME
    ledger.append(path, entry())
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:70])
    assert ledger.read(path) == (entry(),)
    ledger.append(path, entry("two"))
    assert [one.nomination for one in ledger.read(path)] == ["one", "two"]
    assert path.read_bytes().count(b"\n") == 2


@pytest.mark.parametrize(("line", "says"), [
    ("lockstep", "is no nomination"), ("[]", "is no nomination"),
    ('{"schema": "lockstep.nominations/1"}', "nomination: "),
    ('{"schema": "lockstep.nominations/9"}', "'lockstep.nominations/9'"),
])
def test_a_line_that_is_none_is_refused_with_its_number(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / ledger.NAME
    ledger.append(path, entry())
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UsageError, match=rf"{ledger.NAME}:2 .*{says}"):
        ledger.read(path)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="cannot write"):
        ledger.append(tmp_path / "file" / ledger.NAME, entry())
