"""Which sets of CPUs run beside each other, and what stored runs of equals show of that."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import samples

from runner.jobs.parallel import levels, sets_of
from runner.judging import parallel
from runner.judging.parallel import Finding, Level
from runner.machine import Topology
from runner.model import BlockKind
from runner.report import parallel as report
from runner.stats.audit import rate
from runner.stats.beside import Growth
from runner.storage import store

SETS = ("0", "1")


def machine(cores: int, *, threads: int = 1) -> Topology:
    siblings = {cpu: tuple(range(cpu % cores, cores * threads, cores)) for cpu in range(cores * threads)}
    return Topology(cpus=tuple(siblings), siblings=siblings, isolated=(), model="")


def test_sets_are_whole_cores_two_each_where_there_are_enough() -> None:
    assert [sets_of(machine(cores)) for cores in (1, 2, 3)] == [("0",), ("0", "1"), ("0", "1", "2")]
    assert sets_of(machine(1, threads=2)) == ("0-1",)
    assert sets_of(machine(4, threads=2)) == ("0-1,4-5", "2-3,6-7")
    assert sets_of(machine(7)) == ("0-1", "2-3", "4-5")
    assert sets_of(Topology(cpus=(), siblings={}, isolated=(), model="")) == ()
    # A thread that this process may not use cannot be named.
    half = Topology(cpus=(0, 1), siblings={0: (0, 2), 1: (1, 3)}, isolated=(), model="")
    assert sets_of(half) == ("0", "1")


def test_numbers_at_once_are_doubled_up_to_all() -> None:
    assert [levels(sets) for sets in (2, 3, 4, 6, 8)] == [[1, 2], [1, 2, 3], [1, 2, 4], [1, 2, 4, 6], [1, 2, 4, 8]]


def equals(folder: Path, at_once: int, spread: float, *, sets: tuple[str, ...] = SETS, blocks: int = 6) -> None:
    """A run of four equals on disk."""
    number = len(list(folder.rglob(store.MANIFEST)))
    rng = np.random.default_rng(number)
    lines = [samples.benchmark(f"aa.time_{place}") for place in range(4)]
    place = store.create(folder / parallel.RUNS, samples.manifest(
        lines, id=f"20250101T{number:06}Z-ab12cd", blocks=6, labels={**parallel.labels(sets, at_once), "copies": "c"}))
    with store.appending(place) as append:
        for line, index in itertools.product(lines, range(-1, blocks)):
            base = rng.uniform(1.9e6, 2.1e6, 10)
            head = base * np.exp(rng.normal(0, spread))
            append(samples.block(
                line.key, max(0, index), kind=BlockKind.SCORED if index >= 0 else BlockKind.CALIBRATION, order="bh" * 5,
                base=tuple(map(int, base)) if index >= 0 else (), head=tuple(map(int, head)) if index >= 0 else ()))


def test_what_is_stored_is_counted_where_it_is_whole_and_of_these_sets(tmp_path: Path) -> None:
    for _ in range(3):
        equals(tmp_path, 1, 0.002)
        equals(tmp_path, 2, 0.008)
    equals(tmp_path, 2, 0.008, blocks=4)  # interrupted
    equals(tmp_path, 4, 0.002, sets=("0", "1", "2", "3"))
    store.create(tmp_path / parallel.RUNS, samples.manifest())
    found = parallel.audit(tmp_path, SETS)
    assert [(level.at_once, level.runs, level.false.of) for level in found.levels] == [(1, 3, 12), (2, 3, 12)]
    growth = found.levels[1].growth
    assert found.levels[0].growth is None and growth is not None and 2.5 < growth.times < 6
    assert found.most == 1 and not found.levels[1].undisturbed
    assert parallel.read(tmp_path) == found
    (warning,) = parallel.notices(tmp_path, 2)
    assert (warning.kind, dict(warning.numbers)) == ("beside", {"runs": 2, "shown": 1})
    assert parallel.notices(tmp_path, 1) == ()
    assert "No runs were shown not to disturb each other; of 2, each block scatters " in report.said(found)


def test_what_is_not_there_or_not_ours_is_no_finding(tmp_path: Path) -> None:
    assert parallel.audit(tmp_path / "none", SETS).levels == () and not (tmp_path / "none").exists()
    assert parallel.read(tmp_path) is None and [one.kind for one in parallel.notices(tmp_path, 2)] == ["beside"]
    older = {"schema": parallel.SCHEMA, "sets": [], "levels": [], "measuring": "1"}
    for text in ("{", "[]", json.dumps({"schema": "lockstep.parallel/0"}), json.dumps(older)):
        (tmp_path / parallel.FINDING).write_text(text)
        assert parallel.read(tmp_path) is None


def level(at_once: int, *, high: float | None = 1.1, runs: int = 5, wrong: int = 0) -> Level:
    growth = None if high is None else Growth(times=high - 0.05, low=high - 0.1, high=high)
    return Level(at_once=at_once, runs=runs, growth=growth, false=rate([True] * wrong + [False] * (10 * runs - wrong)))


ALONE = level(1, high=None)


@pytest.mark.parametrize(("tried", "most", "told"), [
    ((), 1, "Nothing is stored"),
    ((ALONE,), 1, "Only runs alone"),
    ((ALONE, level(2)), 2, "Up to 2 runs at once do not disturb each other; more were not tried."),
    ((ALONE, level(2), level(4), level(8, high=1.6)), 4,
     "Up to 4 runs at once do not disturb each other; of 8, each block scatters 1.55x as much, and 0 of 50 equals"),
    ((ALONE, level(2, high=1.3), level(4)), 1, "No runs were shown not to disturb each other; of 2, each block"),
    ((ALONE, level(2, runs=2)), 1, "Too little was measured of 2 runs at once: 2 of 3 at least"),
    ((ALONE, level(2, high=None)), 1, "Too little was measured of 2 runs at once"),
    ((ALONE, level(2, wrong=8)), 1, "and 8 of 50 equals were called different"),
])
def test_as_many_as_are_shown_and_no_more(tried: tuple[Level, ...], most: int, told: str) -> None:
    found = Finding(sets=SETS, levels=tried)
    assert found.most == most
    text = " ".join(report.render(found, folder="/there", width=300).split())
    assert told in text and ("/there" in text) == bool(tried)
