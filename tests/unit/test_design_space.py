"""What `make design-space` measures, keeps and says; the measuring itself is in tests/live."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner import machine
from runner.builds import edits, planning
from runner.errors import BuildError, UsageError
from runner.judging.report import STATES, Mean
from runner.model import Metric

sys.path.insert(0, str(Path(__file__).parents[1]))

from design_space import page, records
from design_space.designs import EVERY, NOCOW, SUITES, TODAY, WEIGHED, Design, Pair, pairs
from design_space.records import Compared, Hazard, Kind, Row, Seen, Study, Verified
from design_space.session import Session, Settings, current

VARIANTS = planning.DATA / "variants"
MACHINE = {"cpu": "Some CPU", "cores": 2, "os": "Debian", "kernel": "6.1", "hypervisor": None, "fingerprint": "f"}
SIZE = 1 << 20
COPIED, SHARED = Kind(allocated=SIZE + 100, follows=None, held=""), Kind(allocated=200, follows=None, held="")
CHANGES = Kind(allocated=200, follows=True, held="cannot be re-sized")
ANY = next(design for design in WEIGHED if design.name == "share-any-buffer")
WHITE = next(design for design in WEIGHED if design.name == "memoryview-of-bytes")


def row(benchmark: str, state: str = "same", ratio: float | None = 1.0, **changes: object) -> Row:
    return replace(
        Row(benchmark=benchmark, metric=Metric.TIME, unit="s", state=state, clear=state in ("faster", "slower"),
            ratio=ratio, low=ratio, high=ratio, base_value=1e-3, head_value=1e-3), **changes)


def compared(design: Design, against: Design, *rows: Row, suite: str = "bytesio") -> Compared:
    return Compared(
        design=design.name, against=against.name, digests=(design.digest, against.digest), suite=suite, pattern=None,
        budget=90.0, run="r", started=1.8e9, seconds=90.0, scope="source", margin=0.01,
        mean=Mean(ratio=0.5, low=0.4, high=0.6, count=3),
        rows=rows)


def seen(design: Design, **kinds: Kind) -> Seen:
    return Seen(design=design.name, digest=design.digest, size=SIZE, stale=design is TODAY, kinds={
        "bytes": SHARED, "memoryview of bytes": COPIED, "read-only memoryview of a bytearray": COPIED,
        **{name.replace("_", " "): kind for name, kind in kinds.items()}})


def count(benchmark: str, base: float, head: float) -> Row:
    return row(benchmark, "faster" if head < base else "same", head / base, metric=Metric.TRACK, unit="bytes",
               base_value=base, head_value=head)


STUDY = Study(
    machine=MACHINE,
    seen=(
        seen(WHITE, memoryview_of_bytes=SHARED), seen(TODAY),
        replace(seen(ANY, memoryview_of_bytes=SHARED), kinds={
            "bytes": SHARED, "memoryview of bytes": SHARED, "read-only memoryview of a bytearray": CHANGES}),
    ),
    compared=(
        compared(WHITE, TODAY, row("a.time_a", "faster", 0.01), row("a.time_b", "slower", 1.05), row("a.time_c"),
                 row("a.time_d", "undecided", 1.0), row("a.time_e", "not reached", None),
                 row("a.time_f", "failed", None),
                 count("m.track_a", 1000.0, 200.0), count("m.track_b", 7.0, 7.0)),
        compared(ANY, TODAY, row("a.time_a", "faster", 0.5), row("a.time_b"), row("a.time_c")),
        compared(TODAY, NOCOW, row("a.time_a"), count("m.track_a", 1000.0, 1000.0), suite="consumers"),
    ),
    verified=(
        Verified(design=WHITE.name, digests=(TODAY.digest, WHITE.digest), started=1.8e9, seconds=60.0,
                 sequences=12_345, kinds=("bytes", "read-only numpy"), hazards=(),
                 problems=("test_io ended at test_x",)),
        Verified(design=ANY.name, digests=(TODAY.digest, ANY.digest), started=1.8e9, seconds=2.0,
                 sequences=67, problems=(), hazards=(
            Hazard(what="getvalue() differs", script="import io\nprint(1)\n", base="one`\n two", head="x" * 200),)),
    ),
)


def lines(text: str, begin: str) -> list[list[str]]:
    """Cells of the table rows that begin so."""
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if line.startswith(begin)]


def test_every_design_is_a_variant_with_a_source_of_its_own() -> None:
    assert len({design.digest for design in EVERY}) == len({design.spec for design in EVERY}) == len(EVERY)
    for design in EVERY:
        if design.variant is not None:
            variant = edits.read_variant(VARIANTS / f"{design.variant}.toml", design.name)
            assert {change.file for change in variant.replacements} == {"Modules/_io/bytesio.c"}
            assert variant.title.startswith("io.BytesIO")


def test_the_policies_are_one_machinery_and_one_function_each() -> None:
    lent = edits.read_variant(VARIANTS / "lent.toml", "lent").replacements
    bodies = set()
    for name in ("share-any-buffer", "ask-writable-first", "memoryview-of-bytes", "hash-as-test"):
        found = edits.read_variant(VARIANTS / f"{name}.toml", name).replacements
        assert found[: len(lent)] == lent and len(found) == len(lent) + 1
        assert any(found[-1].find in change.replace for change in lent)
        bodies.add(found[-1].replace)
    assert len(bodies) == 4


def test_each_design_is_compared_with_the_source_as_it_was_and_as_it_is() -> None:
    found = [(pair.design.name, pair.against.name) for pair in pairs() if pair.suite == "bytesio"]
    assert len(found) == len(set(found)) == 2 * len(WEIGHED) + 1
    assert {(design.name, TODAY.name) for design in WEIGHED} | {(design.name, NOCOW.name) for design in WEIGHED} | {
        (TODAY.name, NOCOW.name)} == set(found)
    for suite in SUITES:
        assert [(pair.design.name, pair.against.name) for pair in pairs() if pair.suite == suite] == found
    assert [pair.against for pair in pairs()][: 3 * len(WEIGHED)] == [TODAY] * 3 * len(WEIGHED), "what tells most"


def test_a_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "evidence/study.json"
    assert records.read(path) is None
    records.write(path, STUDY)
    assert records.read(path) == STUDY
    path.write_text('{"machine": 1}')
    with pytest.raises(UsageError, match="is not a study"):
        records.read(path)
    records.write(path, replace(STUDY, schema="lockstep.design-space/9"))
    with pytest.raises(UsageError, match="version"):
        records.read(path)


def test_what_was_measured_of_another_source_is_forgotten() -> None:
    assert current(STUDY) == STUDY
    old = replace(
        STUDY, compared=tuple(replace(one, digests=("old", one.digests[1])) for one in STUDY.compared),
        seen=tuple(replace(one, digest="old") for one in STUDY.seen),
        verified=tuple(replace(one, design="gone") for one in STUDY.verified))
    assert current(old) == Study(machine=MACHINE)


def test_a_sitting_goes_on_only_on_its_own_machine(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "study.json", runs=None, seconds=60, budget=1, designs=())
    records.write(settings.data, STUDY)
    with pytest.raises(UsageError, match=r"another machine \(Some CPU"):
        Session(settings, print)
    records.write(settings.data, replace(STUDY, machine=machine.describe()))
    assert Session(settings, print).run(), "nothing was asked for"


def test_a_sitting_without_time_for_a_comparison_begins_none(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(data=tmp_path / "study.json", runs=tmp_path, seconds=5, budget=10, designs=[WHITE.name],
                        parts=["compare"], suites=["bytesio"])
    assert not Session(settings, said.append).run()
    assert said == [f"time is used up before comparing {WHITE.name}"]
    assert not settings.data.exists()


def test_of_other_benchmarks_it_is_another_comparison_and_what_fails_does_not_end_the_rest(tmp_path: Path) -> None:
    said: list[str] = []
    settings = Settings(data=tmp_path / "study.json", runs=tmp_path, seconds=60, budget=10, designs=[WHITE.name],
                        parts=["compare"], suites=["bytesio"])
    ours = [compared(WHITE, against) for against in (TODAY, NOCOW)]
    part = replace(ours[0], pattern="construct")
    records.write(settings.data, replace(STUDY, machine=machine.describe(), compared=(part, ours[1])))

    class Failing(Session):
        def _compare(self, pair: Pair) -> Compared:
            said.append(f"{pair.design.name} against {pair.against.name}")
            if pair.against is TODAY and len(said) == 1:
                raise BuildError("no compiler")
            return ours[0]

    assert not Failing(settings, said.append).run()
    assert said == [f"{WHITE.name} against bytes-only", f"comparing {WHITE.name} failed: no compiler"]
    assert Failing(settings, said.append).run()
    study = records.read(settings.data)
    assert study is not None and study.compared == (ours[1], ours[0])
    assert "(those with `construct`)" in page.render(replace(STUDY, compared=(part,)))


def test_a_larger_budget_is_another_comparison_where_something_is_open(tmp_path: Path) -> None:
    settled = compared(WHITE, TODAY, row("a", "faster", 0.5), row("b"))
    left = [compared(WHITE, TODAY, row("a"), row("b", state, 1.0)) for state in ("undecided", "not reached")]
    made: list[Pair] = []

    class Listing(Session):
        def _compare(self, pair: Pair) -> Compared:
            made.append(pair)
            return settled

    for stored, budget, again in ((settled, 900, 0), (left[0], 900, 1), (left[1], 900, 1), (left[0], 90, 0)):
        made.clear()
        settings = Settings(data=tmp_path / "study.json", runs=tmp_path, seconds=1000, budget=budget, parts=["compare"],
                            designs=[WHITE.name], suites=["bytesio"])
        nocow = replace(settled, against=NOCOW.name, digests=(WHITE.digest, NOCOW.digest))
        records.write(settings.data, replace(STUDY, machine=machine.describe(), compared=(stored, nocow)))
        assert Listing(settings, print).run() and len(made) == again


def test_the_page_counts_what_was_measured() -> None:
    text = page.render(STUDY)
    assert [f"`{WHITE.name}`", "6", "1", "1", "1", "1", "1", "1", "0.500 [0.400, 0.600]", "3", "`a.time_a` 100x",
            "`a.time_b` 1.050x"] in lines(text, f"| `{WHITE.name}`")
    assert lines(text, "| `a.time_a`") == [["`a.time_a`", "▼2.00x", "▼100x"]]
    assert lines(text, "| `a.time_b`") == [["`a.time_b`", "=", "▲1.050x"]]
    assert not lines(text, "| `a.time_c`"), "no design changes it"
    assert lines(text, "| `m.track_a`") == [["`m.track_a`", "1,000 B", "1,000 B", "200 B"]]
    assert not lines(text, "| `m.track_b`"), "the same in all"
    assert "Suite `consumers`, against `bytes-only`:\n\nNot measured yet." in text
    assert "- A comparison had 90s; what" in text
    assert "3 runs, 4 minutes of measuring, scope source" in text and "2027-01-15" in text
    assert all(len(set(map(len, table))) == 1 for table in tables(text))


def tables(text: str) -> list[list[list[str]]]:
    """Cells of each table of a page."""
    found: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(line.strip("|").split("|"))
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def test_the_page_answers_with_what_was_seen() -> None:
    text = page.render(STUDY)
    assert (f"- `{ANY.name}` shares also: memoryview of bytes, read-only memoryview of a bytearray; of these, streams "
            "change with: read-only memoryview of a bytearray.") in text
    assert f"- `{WHITE.name}` shares also: memoryview of bytes; none of these can change." in text
    assert "- `bytes-only`" not in text
    assert "is right about what it shares: `memoryview-of-bytes`" in text
    assert lines(text, "| read-only memoryview") == [
        ["read-only memoryview of a bytearray", "copied", "shared, **changes**, *held*", "copied"]]
    assert "goes wrong in `bytes-only`. A `bytes` object keeps its hash" in text
    assert (f"- `{ANY.name}` shares also: memoryview of bytes, read-only memoryview of a bytearray; of these, streams "
            "change with: read-only memoryview of a bytearray.\n"
            "  - `bytesio` against `bytes-only`: 1 faster (most: `a.time_a` 2.00x), 0 slower, of 3 timings that were "
            "reached.\n") in text
    assert "1 slower (most: `a.time_b` 1.050x), of 4 timings that were reached, of 6.\n" in text
    assert "told whether the borrower may write" in text and "A hash says" not in text
    assert f"`{WHITE.name}` against `bytes-only`: no difference. 12,345 sequences" in text
    assert ("tried, in 60 s of searching and in making short what was found; streams were made from: bytes, read-only "
            "numpy. Not looked at: `test_io ended at test_x`.\n") in text
    assert (f"`{ANY.name}` against `bytes-only`: 1 difference. 67 sequences of operations were tried, in 2 s of "
            "searching and in making short what was found.\n\n") in text
    assert (f"getvalue() differs: `bytes-only` gives `one' two`, `{ANY.name}` `{'x' * 100}…`.\n\n"
            "```python\nimport io\nprint(1)\n```\n") in text


def test_the_page_says_nothing_of_what_was_not_measured() -> None:
    text = page.render(Study(machine=MACHINE))
    assert "## The answer" not in text
    assert text.count("Not measured yet.") == 8
    assert "Not looked at yet." in text and "Not verified yet." in text
    assert "Measured on Some CPU" in text and "0 runs" in text


def test_every_state_has_a_cell() -> None:
    for state in STATES:
        told = page.render(Study(machine=MACHINE, compared=(
            compared(WHITE, TODAY, row("a", "faster", 0.5), row("b", state, 0.5, clear=True)),)))
        assert "| `a` | ▼2.00x |" in told
