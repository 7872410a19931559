"""Is it what it should have been? Pure: a night or a search as it is on record, and what is true of the commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nights import commits
from nights.commits import PLAN, Expected, Made
from nights.records import Row, Searched
from nights.watching import Search
from runner.storage.nights import Night


@dataclass(frozen=True, slots=True, kw_only=True)
class Had:
    """How a night was had."""

    nights: Sequence[Night]
    """All that are on record of it: the last one is it, the others failed."""
    text: str
    """What the commands printed."""
    wall: float | None
    """Seconds of the one command that had all of it; None: it was interrupted, or waited for another run."""
    ahead: float
    """As `Row.ahead`."""


def row(had: Had, expected: Expected, made: Made, benchmarks: Sequence[str]) -> Row:
    """The night, and what is wrong with it."""
    night = had.nights[-1]
    building = next((step.seconds for step in night.steps if step.name == "build"), 0.0)
    found = {direction: tuple(sorted({
        line.benchmark for one in night.confirmations or () if one.direction == direction for line in one.shown or ()
    })) for direction in ("slower", "faster")}
    wall = night.seconds if had.wall is None else had.wall
    wrong = [*_state(had, expected), *_reported(night, expected, made, benchmarks)]
    if wall + had.ahead > night.budget:
        wrong.append(f"it took {wall + had.ahead:.0f} s of {night.budget:.0f}")
    return Row(
        subject=expected.subject, state=night.state, nights=tuple(one.id for one in had.nights),
        started=had.nights[0].created, wall=wall, whole=had.wall is not None, building=building, ahead=had.ahead,
        nominated=len(night.confirmations or ()), slower=found["slower"], faster=found["faster"], wrong=tuple(wrong),
    )


def _state(had: Had, expected: Expected) -> list[str]:
    night = had.nights[-1]
    wrong = [f"it failed first: {one.problems[-1].splitlines()[0] if one.problems else one.state}"
             for one in had.nights[:-1]]
    if night.state != expected.state:
        wrong.append(f"it is {night.state}, not {expected.state}")
    if expected.state == "broken" and had.text and f"({expected.subject}) does not build" not in had.text:
        wrong.append("it does not say that the commit does not build")
    if expected.state == "unchanged" and (night.measured or night.events or "report:" in had.text):
        wrong.append("it is not silent")
    wrong += [f"problem: {problem.splitlines()[0]}" for problem in night.problems]
    return wrong + [f"{step.name}: {step.problem.splitlines()[0]}" for step in night.steps if step.problem]


def _reported(night: Night, expected: Expected, made: Made, benchmarks: Sequence[str]) -> list[str]:
    """Every benchmark that it reports became slower in the range that it names; what this commit slows is reported, and
    at this commit alone."""
    wrong, at_once = [], set()
    for one in night.confirmations or ():
        if one.passed:
            wrong.append(f"{', '.join(one.benchmarks)} could not be measured again: {one.passed.splitlines()[0]}")
        if not one.shown:
            continue
        slowed = made.slowed(one.good, one.bad, benchmarks) if one.direction == "slower" else set()
        for line in one.shown:
            if line.benchmark not in slowed:
                wrong.append(f"{line.benchmark} did not become {one.direction} after {one.good[:9]} up to "
                             f"{one.bad[:9]}")
            elif (one.good, one.bad) == (expected.previous, expected.commit):
                at_once.add(line.benchmark)
        if not night.events:
            wrong.append("what it confirmed became no event")
    wrong += [f"{name} was missed, or not named at its commit"
              for name in sorted(commits.names(expected.slower, benchmarks) - at_once)]
    return wrong


SEARCHED = {"time_construct_large": 1, "time_dict_get": 4, "time_planted_arithmetic": 6}
"""What is searched for over all eight, and which commit it is: its place in `PLAN`."""


def searched(benchmark: str, done: Search, made: Made) -> Searched:
    """The search, and what is wrong with it."""
    findings = done.stored.findings or ()
    found = [commit.hash for finding in findings for commit in finding.commits]
    subjects = {hash: planned.subject for hash, planned in zip(made.commits, PLAN, strict=True)}
    wrong = [] if len(findings) == 1 else [f"it has {len(findings)} findings"]
    wrong += [finding.reason for finding in findings if finding.reason]
    wanted = PLAN[SEARCHED[benchmark]].subject
    if found != [made.commits[SEARCHED[benchmark]]]:
        wrong.append(f"it is {wanted!r}")
    return Searched(
        benchmark=benchmark, found=tuple(subjects.get(hash, hash) for hash in found), duels=len(done.stored.duels),
        wall=done.said.seconds, whole=done.whole, wrong=tuple(wrong),
    )
