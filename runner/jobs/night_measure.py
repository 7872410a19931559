"""The steps of a night that build and measure: what is compared with what, for how long, and nothing twice."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from runner.errors import BuildError, LockstepError, UsageError
from runner.jobs import night_after
from runner.jobs.ab import AbRequest, Finished, compare_arms, go_on, report_of, save
from runner.jobs.night_work import Work
from runner.jobs.watched import Suite
from runner.judging.report import Report
from runner.model import Interpreter, Purpose, Role
from runner.stats.decide import LOOKS
from runner.storage import origin, store
from runner.storage.nights import SHORT, Measured, Night, Outcome

USUAL = 8
"""Blocks of every benchmark of a history while nobody knows what one costs."""
MOST = 40
FILLED = 0.8
"""Share of its time that the history's run is planned to take: what costs more today than last time must fit."""
ANCHOR_SHARE = 0.5
"""Share of what a night has left that the history's run may take; of the rest, that against the last commit."""
PREVIOUS_SHARE = 0.5
REST = 0.1
"""Share of the budget for what is not measuring: finding benchmarks, linking, the report and the pages."""
LEAST_SHARE = 0.25
"""Share of the budget that is left for measuring, whatever building took."""
TRIES = 7
"""Nights that try to bridge to a new anchor: what was in the way only for a while has passed by then."""
SET_ASIDE = "set-aside"
"""Folder of a night with runs that could not be gone on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run that a night needs."""

    purpose: Purpose
    base: Interpreter
    head: Interpreter
    suite: str
    pattern: str | None
    blocks: int | None
    """Blocks of every benchmark; None: as many as it takes."""
    budget: float
    """Seconds."""

    def seed(self, night: str) -> int:
        """The run's own: it tells it from all others of its night, and is another one every night."""
        parts = (night, self.purpose.value, self.suite, self.pattern or "", self.base.spec, self.head.spec)
        return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=4).digest(), "big") >> 1


def build(work: Work) -> None:
    """Make the anchor, the newest commit and the last one; the anchor first: if that fails it is not the commit."""
    anchor = work.interpreter(work.night.anchor)
    assert anchor.build is not None and work.night.commit is not None
    work.keep(anchor_identity=anchor.build.key)
    try:
        work.commit(work.night.commit.hash)
    except (BuildError, UsageError) as error:
        work.keep(outcome=Outcome.BROKEN, broken=str(error))
        return
    if work.night.previous is not None:
        try:
            work.commit(work.night.previous.hash)
        except (BuildError, UsageError) as error:
            gone = work.night.previous.hash[:SHORT]
            work.keep(previous=None, between=None)
            work.note(f"{gone}, the last commit before, does not build any more: {error}")


def bridge(work: Work) -> None:
    """Where another anchor was used before: the old one against the new one, once, so that the history goes on.

    Where it could not be measured, the next nights try again. A suite that is new has no history that could go on.
    """
    new = work.night.anchor
    place = next((place for place, night in enumerate(work.earlier) if night.anchor_identity
                  and night.outcome is Outcome.DONE and night.anchor != new), None)
    if place is None:
        return
    old = work.earlier[place]
    tried = [night for night in work.earlier[:place] if night.anchor == new and night.step("bridge") is not None]
    before = [night for night in work.earlier[place:] if night.anchor == old.anchor]
    lacking = _suites(before, Purpose.ANCHOR) - _suites(tried, Purpose.BRIDGE)
    suites = [suite for suite in work.watch.suites if Path(suite.place).name in lacking]
    if not suites or len(tried) >= TRIES:
        return
    try:
        base = work.interpreter(old.anchor)
    except (BuildError, UsageError) as error:
        work.note(f"the anchor was {old.anchor} before, which cannot be built any more: {error}")
        return
    head = work.interpreter(new)
    for suite in suites:
        _against(work, Purpose.BRIDGE, base, head, suite)
    work.note(f"the anchor is another one: {old.anchor} before, {new} now")


def _suites(nights: Iterable[Night], purpose: Purpose) -> set[str]:
    """Names of the suites of which some nights have measured something for a purpose: a folder may move."""
    return {Path(one.suite).name for night in nights for one in night.measured if one.purpose is purpose}


def anchor(work: Work) -> None:
    """The newest commit against the anchor: a point of the history, of a number of blocks that is fixed before."""
    assert work.night.commit is not None
    base, head = work.interpreter(work.night.anchor), work.commit(work.night.commit.hash)
    for suite in work.watch.suites:
        _against(work, Purpose.ANCHOR, base, head, suite)


def previous(work: Work) -> None:
    """The newest commit against the last one that was measured."""
    night = work.night
    if night.previous is None:
        return
    assert night.commit is not None
    base, head = work.commit(night.previous.hash), work.commit(night.commit.hash)
    budget = PREVIOUS_SHARE * left(night) / len(work.watch.suites)
    for suite in work.watch.suites:
        _measured(work, Wanted(
            purpose=Purpose.PREVIOUS, base=base, head=head, suite=suite.place, pattern=suite.select, blocks=None,
            budget=budget,
        ))


def confirm(work: Work) -> None:
    """What was nominated, measured afresh: the last commit without the change against the first with it."""
    waiting = [one for one in work.night.confirmations or () if one.shown is None and not one.passed]
    for one in waiting:
        place = (work.night.confirmations or ()).index(one)
        try:
            base, head = work.commit(one.good), work.commit(one.bad)
            finished = _measured(work, Wanted(
                purpose=Purpose.CONFIRM, base=base, head=head, suite=one.suite, pattern=_exactly(one.benchmarks),
                blocks=one.blocks, budget=left(work.night) / len(waiting),
            ))
        except (BuildError, UsageError) as error:  # it does not build any more, or the suite has lost the benchmark
            work.put(place, replace(one, passed=str(error)))
            night_after.pass_over(work, one, str(error))
            continue
        done = replace(one, run=finished.report.run, command=finished.report.command, before=base.commit,
                       after=head.commit, between=_between(base, head))
        # The run first: whatever happens while it is judged, the judgement is of this run.
        work.put(place, done)
        work.put(place, replace(done, shown=night_after.judge(work, done, finished.report)))


def left(night: Night) -> float:
    """Seconds that a night has left to measure."""
    return max((1 - REST) * night.budget - night.seconds, LEAST_SHARE * night.budget)


def blocks(work: Work, suite: Suite, seconds: float) -> int:
    """How many blocks every benchmark gets in the history's run: as configured, or what fits into the time by what they
    cost the last time. What they say has no part in it."""
    if work.watch.blocks is not None:
        return work.watch.blocks
    cost = next((one.round_seconds for one in _known(work) if one.suite == suite.place), None)
    if cost is None:
        return USUAL
    return max((look for look in LOOKS if look <= MOST and (look + 1) * cost <= FILLED * seconds), default=LOOKS[0])


def _known(work: Work) -> Iterator[Measured]:
    for night in work.earlier:
        yield from (one for one in night.measured if one.purpose is Purpose.ANCHOR and one.round_seconds > 0)


def _against(work: Work, purpose: Purpose, base: Interpreter, head: Interpreter, suite: Suite) -> None:
    """A run with a fixed number of blocks."""
    seconds = ANCHOR_SHARE * left(work.night) / len(work.watch.suites)
    _measured(work, Wanted(
        purpose=purpose, base=base, head=head, suite=suite.place, pattern=suite.select,
        blocks=blocks(work, suite, seconds), budget=seconds,
    ))


def _measured(work: Work, wanted: Wanted) -> Finished:
    """The run that is wanted: as it is where it was finished, gone on with where it was begun, else measured.

    It is on record when this returns. Raises KeyboardInterrupt where the user interrupts it, or the suite is edited.
    """
    begun = _begun(work, wanted)
    finished = None if begun is None else _finished(work, begun)
    if finished is None:
        finished = compare_arms(_request(work, wanted), wanted.base, wanted.head, work.view)
    if finished.interrupted:
        raise KeyboardInterrupt
    save(finished)
    record = _record(wanted, finished.report)
    if all(one.run != record.run for one in work.night.measured):
        work.keep(measured=(*work.night.measured, record))
    return finished


def _request(work: Work, wanted: Wanted) -> AbRequest:
    night = work.night
    return AbRequest(
        base=wanted.base.spec, head=wanted.head.spec, suite=wanted.suite, pattern=wanted.pattern, margin=night.margin,
        budget=wanted.budget, blocks=wanted.blocks, seed=wanted.seed(night.id), out=work.settings.runs,
        memory_limit=work.settings.machine.memory_limit,
        role=Role(watch=night.watch, configuration=night.configuration, purpose=wanted.purpose, night=night.id),
    )


def _begun(work: Work, wanted: Wanted) -> Path | None:
    """The folder of the run, where the night had begun it before it was killed."""
    seed = wanted.seed(work.night.id)
    since = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(work.night.created))
    for file in sorted(work.settings.runs.glob(f"*/{store.MANIFEST}"), reverse=True):
        if file.parent.name < since:
            break
        try:
            manifest = store.read_manifest(file.parent)
        except LockstepError:
            continue  # whoever lists the runs says so
        of_night = manifest.role is not None and manifest.role.night == work.night.id and manifest.seed == seed
        # What was sent here says of itself what it likes.
        if of_night and not (file.parent / origin.FILE).exists():
            return file.parent
    return None


def _finished(work: Work, folder: Path) -> Finished | None:
    """A run that was begun, to its end; None: it cannot be gone on with, and was set aside."""
    try:
        report = report_of(folder)
        return Finished(folder=folder, report=report, interrupted=False) if report.complete else go_on(
            folder, work.view)
    except UsageError as error:
        aside = work.settings.nights / work.night.id / SET_ASIDE
        aside.mkdir(exist_ok=True)
        shutil.move(folder, aside / folder.name)
        work.note(f"{folder.name} was begun anew, and what there was of it is in {aside}: {error}")
        return None


def _record(wanted: Wanted, report: Report) -> Measured:
    # With its calibration. Not the blocks that verdicts rest on: costs decide how many blocks the next night has.
    done = sum(one.measured + 1 for one in report.comparisons if one.measured)
    return Measured(
        purpose=wanted.purpose, suite=wanted.suite, run=report.run, blocks=wanted.blocks,
        round_seconds=report.seconds * len(report.comparisons) / done if done else 0.0, counts=report.states,
        scope=report.scope,
    )


def _exactly(keys: tuple[str, ...]) -> str:
    return f"^(?:{'|'.join(map(re.escape, keys))})$"


def _between(base: Interpreter, head: Interpreter) -> int:
    if base.commit is None or head.commit is None or base.commit.position is None or head.commit.position is None:
        return 1
    return head.commit.position - base.commit.position
