"""A run that is read block by block says what one that is in memory says, and takes little of it."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path

import pytest
from made_runs import make_run, some_benchmarks

from runner.errors import UsageError
from runner.judging import compare
from runner.report import as_json
from runner.stats.decide import LOOKS
from runner.storage import store

COUNT = 150
"""Benchmarks of the run."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = make_run(tmp_path_factory.mktemp("made"), 0, some_benchmarks(COUNT), changed=0.03)
    lines = (place / store.BLOCKS).read_text().splitlines()
    lines = [line for index in range(LOOKS[0]) for line in lines[index::LOOKS[0]]]  # in rounds, as runs are
    lines[5] = json.dumps(dict(reversed(json.loads(lines[5]).items())))  # somebody's program has written it anew
    lines.append(lines[0].replace('"kind":"scored"', '"kind":"canary"').replace('"index":0', '"index":7'))
    (place / store.BLOCKS).write_text("\n".join(lines) + '\n{"benchmark": "torn')
    return place


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / made.name)


def test_blocks_are_the_same_read_one_by_one(folder: Path) -> None:
    whole, lazily = store.read(folder), store.read(folder, lazily=True)
    assert len(lazily.blocks) == len(whole.blocks) == COUNT * LOOKS[0] + 1
    assert tuple(lazily.blocks) == whole.blocks and lazily.blocks[-1] == whole.blocks[-1]
    assert lazily.blocks[3:7] == whole.blocks[3:7]
    assert {key: list(places) for key, places in lazily.places().items()} == whole.places()
    assert lazily.torn and whole.torn
    with pytest.raises(IndexError):
        lazily.blocks[len(whole.blocks)]


def test_the_report_is_the_same(folder: Path) -> None:
    whole, lazily = (compare.report(store.read(folder, lazily=lazily)) for lazily in (False, True))
    assert as_json.render(whole) == as_json.render(lazily)
    assert [one.noise for one in whole.comparisons] == [one.noise for one in lazily.comparisons]


def test_a_report_holds_few_blocks_at_a_time(folder: Path) -> None:
    compare.report(store.read(folder, lazily=True), with_noise=False)  # what it imports and remembers is in neither
    peaks = {}
    for lazily in (True, False):
        tracemalloc.start()
        try:
            compare.report(store.read(folder, lazily=lazily), with_noise=False)
            _, peaks[lazily] = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peaks[True] < peaks[False] * 2 / 3, peaks


def test_a_line_that_is_no_block_is_named_when_it_is_read(folder: Path) -> None:
    lines = (folder / store.BLOCKS).read_text().splitlines(keepends=True)
    lines[609] = lines[609].replace('"seconds":0.15', '"seconds":"long"')
    (folder / store.BLOCKS).write_text("".join(lines))
    with pytest.raises(UsageError, match=r"blocks\.jsonl:610 is not a block: seconds"):
        store.read(folder)
    run = store.read(folder, lazily=True)
    assert run.blocks[608].seconds == 0.15
    with pytest.raises(UsageError, match=r"blocks\.jsonl:610 is not a block: seconds"):
        compare.report(run)
