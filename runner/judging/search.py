"""The search for the commits that changed benchmarks: which duel comes next, and what those so far say. Pure.

Each benchmark is searched for by itself, with its own error (`stats.bisecting`); those that want the same commit next
share a duel. All follows from the graph and the duels in their order, so that a search which was interrupted is told
what it has measured and goes on as if it had not been.

As in git's bisection, one of the candidates is the first bad commit: an ancestor of the last commit that was found bad,
and of none that was found good. The next to be looked at is the one that rules out most in the worse case. A commit
that cannot be measured is passed over; the next one is then drawn at random, with a preference for the best, so that a
stretch of broken commits is left behind and neither of its sides is favoured.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from runner.builds.ancestry import Graph
from runner.errors import listed
from runner.judging import compare
from runner.judging.compare import Case
from runner.judging.report import Comparison
from runner.model import Arm, Cause, Verdict
from runner.stats import bisecting
from runner.stats.bisecting import Question, Side
from runner.stats.decide import LOOKS
from runner.stats.paired import Estimate, interval
from runner.storage.bisects import Duel, Purpose
from runner.storage.store import Run

CHANGED = (Verdict.SLOWER, Verdict.FASTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What a duel says of one benchmark: head against base."""

    verdict: Verdict
    """As its report has it, which considers all benchmarks of the duel."""
    estimate: Estimate | None = None
    """Of a fixed number of blocks, of all of them; else of the look at which sampling stopped."""
    exact: bool = False
    """Counts that repeated themselves to the digit."""
    limits: tuple[float, float] | None = None
    """Interval, logs: 95 % for a fixed number of blocks, else the report's; None where there is none."""
    endless: int = 0
    """1: head does not end within its time limit, or has a count where base has none; -1: it has none where base has
    one. There is no ratio then, and yet no doubt."""
    hung: bool = False
    """It is `endless` because it does not end."""
    trouble: str = ""
    """Why it was not compared, in words; else empty."""


def levels(run: Run) -> Mapping[str, Level]:
    """What a run says of each of its benchmarks, by key, in suite order."""
    cases = {case.benchmark.key: case for case in compare.judged(run)}
    report = compare.report(run, with_noise=False)
    fixed = run.manifest.blocks is not None
    return {line.key: _level(line, cases.get(line.key), fixed=fixed) for line in report.comparisons}


def _level(line: Comparison, case: Case | None, *, fixed: bool) -> Level:
    failure = line.failure
    if failure is not None and failure.cause is Cause.HUNG and failure.arm is Arm.HEAD:
        return Level(verdict=line.verdict, endless=1, hung=True)
    if failure is not None or case is None:
        return Level(verdict=line.verdict, trouble=_reason(line))
    if case.no_ratio is not None:
        return Level(verdict=line.verdict, trouble="its counts vary, and have no ratio where one of them is 0")
    estimate = case.judgement.estimate if case.judgement.look is not None else None
    if line.exact and estimate is None:
        nothing = Estimate(mean=0.0, se=0.0, df=1, n=line.blocks)
        same = line.verdict is Verdict.SAME
        return Level(verdict=line.verdict, exact=True, estimate=nothing if same else None,
                     endless=0 if same else 1 if line.verdict is Verdict.SLOWER else -1)
    if fixed and not line.exact:
        estimate = bisecting.estimate_of(case.ratios)
        limits = None if estimate is None else interval(estimate, bisecting.TOTAL)
    else:
        limits = None if not line.low or not line.high else (math.log(line.low), math.log(line.high))
    return Level(verdict=line.verdict, estimate=estimate, exact=line.exact, limits=limits)


def _reason(line: Comparison) -> str:
    if line.verdict is Verdict.ONLY_IN_BASE:
        return "this commit does not have it, or skips it"
    if line.verdict is Verdict.ONLY_IN_HEAD:
        return "the other commit does not have it, or skips it"
    if line.failure is None:
        return str(line.verdict.value)
    where = "" if line.failure.arm is None else f"{line.failure.arm.value} "
    return f"{where}{line.failure.reason}".strip() or str(line.verdict.value)


class Stage(Enum):
    """Where the search for one benchmark's change stands."""

    AGAIN = "the ends are to be measured again"
    SEARCHING = "searching"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a duel said of one benchmark."""

    duel: int
    """Its number, from 0."""
    benchmark: str
    level: Level
    side: Side | None
    """None where none was asked for (duels of the ends, and the last one), and of what could not be measured."""
    left: int
    """Candidates that are left."""


@dataclass(slots=True, kw_only=True)
class Track:
    """The search for one benchmark's change."""

    benchmark: str
    whole: Level
    """Of the ends, the latest."""
    verdict: Verdict
    """Of the ends, the first."""
    stage: Stage
    bad: str
    goods: list[str]
    question: Question | None = None
    skipped: dict[str, str] = field(default_factory=dict)
    """Commits that could not be looked at for this benchmark, with the reason."""
    blocks: dict[str, int] = field(default_factory=dict)
    """Commits that are to be looked at a second time, with the number of blocks."""
    steps: int = 0
    last: Level | None = None
    """Of the one commit, against its parent."""
    reason: str = ""
    """As in `storage.bisects.Finding`."""
    remark: str = ""


class Search:
    """The search of all benchmarks in one range of commits."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._broken: dict[str, str] = {}
        """Commits that cannot be measured at all, with the reason."""
        self._measured: dict[tuple[str, str, str], Level] = {}
        """Of duels with a fixed number of blocks, by base, head and benchmark."""
        self._duels = 0
        self.tracks: dict[str, Track] | None = None
        """By benchmark, in suite order; None before the ends were compared."""
        self.steps: list[Step] = []

    def next(self) -> Duel | None:
        """The next duel; None when the search has ended. Asked again before `observe`, it gives the same answer."""
        graph = self.graph
        if self.tracks is None:
            return Duel(purpose=Purpose.ENDS, base=graph.good, head=graph.bad, benchmarks=(), blocks=None)
        again = [track for track in self.tracks.values() if track.stage is Stage.AGAIN]
        if again:
            return self._duel(Purpose.ENDS_AGAIN, graph.good, graph.bad, again)
        wishes = {
            track.benchmark: self._wish(track) for track in self.tracks.values() if track.stage is Stage.SEARCHING
        }
        if not wishes:
            return None
        wish = next(iter(wishes.values()))
        return self._duel(*wish, [track for key, track in self.tracks.items() if wishes.get(key) == wish])

    def _duel(self, purpose: Purpose, base: str, head: str, tracks: Sequence[Track]) -> Duel:
        return Duel(
            purpose=purpose, base=base, head=head, benchmarks=tuple(track.benchmark for track in tracks),
            blocks=max(self._blocks(purpose, head, track) for track in tracks),
        )

    def _blocks(self, purpose: Purpose, head: str, track: Track) -> int:
        if purpose is Purpose.ENDS_AGAIN:
            estimate = track.whole.estimate
            assert estimate is not None
            return bisecting.blocks(bisecting.spread(estimate), abs(estimate.mean) / 2, bisecting.ENDS / 2)
        question = track.question
        assert question is not None
        if head in track.blocks and purpose is Purpose.STEP:
            return track.blocks[head]
        error = bisecting.TOTAL / 2 if purpose is Purpose.LAST else self._error(track, track.steps + 1)
        return bisecting.blocks(question.spread, question.threshold, error)

    def _error(self, track: Track, step: int) -> float:
        return bisecting.error(step, len(self.graph.commits))

    def left(self, track: Track) -> tuple[str, ...]:
        """The candidates for one benchmark, parents first."""
        return self.graph.candidates(track.bad, track.goods)

    def _wish(self, track: Track) -> tuple[Purpose, str, str]:
        """What a searching track wants to have measured. There is something, or `_settle` had ended it."""
        commit = self._choice(track)
        if commit is not None:
            return Purpose.STEP, self.graph.good, commit
        return Purpose.LAST, self.graph.parents[track.bad][0], track.bad

    def _choice(self, track: Track) -> str | None:
        """The commit to be looked at next; None where none is left that can be."""
        parts = self.graph.parts(track.bad, track.goods)
        # Equal ones by hash, which favours neither the older nor the newer.
        ranked = sorted((commit for commit in parts if commit != track.bad), key=lambda one: (-parts[one], one))
        usable = [commit for commit in ranked if commit not in track.skipped and commit not in self._broken]
        if not usable:
            return None
        if usable[0] == ranked[0]:
            return usable[0]
        # As `git bisect skip` does; drawn from what is known, so that it is the same draw when the search goes on.
        passed = sorted(set(ranked) - set(usable))
        draw = random.Random(" ".join([track.bad, *sorted(track.goods), *passed])).random()
        return usable[int(len(usable) * draw**1.5)]

    def observe(self, duel: Duel, found: Mapping[str, Level]) -> None:
        """Take in a duel: the one that `next` asked for. `found` is what it says; empty where it has a `trouble`.

        Raises ValueError for another duel than that.
        """
        wanted = self.next()
        if wanted is None or (wanted.purpose, wanted.base, wanted.head, wanted.benchmarks, wanted.blocks) != (
            duel.purpose, duel.base, duel.head, duel.benchmarks, duel.blocks
        ):
            raise ValueError(f"the search asked for {wanted}, not for {duel}")
        if duel.purpose is Purpose.ENDS:
            self.tracks = {key: self._track(key, level) for key, level in found.items()}
        elif duel.trouble and duel.purpose is Purpose.STEP:
            self._broken[duel.head] = duel.trouble
        else:
            self._observe(duel, found)
        assert self.tracks is not None
        for track in self.tracks.values():
            if track.stage is Stage.SEARCHING:
                self._settle(track)
        for key in duel.benchmarks or found:
            level = found.get(key)
            if level is not None:
                side = self._side_of(duel, key, level)
                self.steps.append(Step(duel=self._duels, benchmark=key, level=level, side=side,
                                       left=len(self.left(self.tracks[key]))))
        self._duels += 1

    def _side_of(self, duel: Duel, key: str, level: Level) -> Side | None:
        assert self.tracks is not None
        track = self.tracks[key]
        if duel.purpose is not Purpose.STEP:
            return None
        if track.bad == duel.head:
            return Side.BAD
        if duel.head in track.goods:
            return Side.GOOD
        return None if level.trouble else Side.UNDECIDED

    def _track(self, key: str, level: Level) -> Track:
        track = Track(benchmark=key, whole=level, verdict=level.verdict, stage=Stage.ENDED, bad=self.graph.bad,
                      goods=[self.graph.good])
        if level.trouble:
            track.reason = level.trouble
        elif level.endless:
            track.verdict = Verdict.SLOWER if level.endless > 0 else Verdict.FASTER
            track.question = Question(sign=level.endless, threshold=math.inf, spread=0.0)
        elif level.verdict in CHANGED and level.estimate is not None:
            track.question = bisecting.exact(level.estimate) if level.exact else bisecting.first(level.estimate)
            track.stage = Stage.AGAIN
        elif level.verdict is Verdict.SAME:
            track.reason = "the ends are the same"
        else:
            track.reason = "it is undecided whether the ends differ"
        if track.question is not None:
            track.stage = Stage.SEARCHING
        return track

    def _observe(self, duel: Duel, found: Mapping[str, Level]) -> None:
        assert self.tracks is not None
        take = {Purpose.ENDS_AGAIN: self._again, Purpose.STEP: self._step, Purpose.LAST: self._last}[duel.purpose]
        for key in duel.benchmarks:
            level = found.get(key) or Level(
                verdict=Verdict.UNDECIDED, trouble=duel.trouble or "this commit does not have it")
            self._measured[duel.base, duel.head, key] = level
            take(self.tracks[key], duel, level)

    def _again(self, track: Track, duel: Duel, level: Level) -> None:
        """The ends were measured a second time."""
        first = track.whole.estimate
        assert first is not None
        sign = 1 if first.mean > 0 else -1
        track.stage = Stage.ENDED
        if level.trouble:
            track.reason = f"when the ends were measured again, {level.trouble}"
            return
        if level.endless == sign:
            track.question = Question(sign=sign, threshold=math.inf, spread=0.0)
        elif level.estimate is not None:
            track.question = bisecting.ends_again(level.estimate, sign)
        if track.question is None:
            track.reason = ("the change of the ends was not seen again when they were measured afresh"
                            if level.estimate is not None else "the budget was too short to measure the ends again")
            return
        track.whole, track.stage = level, Stage.SEARCHING

    def _step(self, track: Track, duel: Duel, level: Level) -> None:
        """A commit was measured against the good end."""
        question = track.question
        assert question is not None
        if level.trouble:
            track.skipped[duel.head] = level.trouble
            return
        track.steps += 1
        side = self._decide(question, level, self._error(track, track.steps))
        if side is Side.BAD:
            track.bad = duel.head
        elif side is Side.GOOD:
            track.goods.append(duel.head)
        else:
            self._undecided(track, duel, level)

    def _decide(self, question: Question, level: Level, error: float) -> Side:
        if level.endless:
            return Side.BAD if level.endless == question.sign else Side.GOOD
        if level.estimate is None:
            return Side.UNDECIDED
        if math.isinf(question.threshold):
            return Side.GOOD
        return bisecting.side(level.estimate, question, error)

    def _undecided(self, track: Track, duel: Duel, level: Level) -> None:
        """It is looked at once more, with more blocks, or passed over."""
        done = level.estimate.n if level.estimate is not None else 0
        assert duel.blocks is not None
        more = bisecting.more(done) if done >= duel.blocks and duel.head not in track.blocks else None
        if more is not None:
            track.blocks[duel.head] = more
        else:
            number = str(done) if done else f"fewer than {LOOKS[0]}"
            short = "" if done >= duel.blocks else ", where the budget ended"
            track.skipped[duel.head] = f"it is undecided after {number} blocks{short}"

    def _settle(self, track: Track) -> None:
        """End a track of which there is nothing left to be measured."""
        if self._choice(track) is not None:
            return
        left = self.left(track)
        if len(left) > 1:
            why = {commit: track.skipped.get(commit) or self._broken[commit] for commit in left[:-1]}
            track.reason, track.stage = _in_range(why), Stage.ENDED
            return
        parents = self.graph.parents[track.bad]
        if not parents or parents[0] in self._broken:
            track.remark = ("it has no parent to be measured against" if not parents else
                            _unmeasured(parents[0], self._broken[parents[0]]))
            track.stage = Stage.ENDED
            return
        known = self._measured.get((parents[0], track.bad, track.benchmark))
        if known is not None:
            self._end(track, known, parents[0])

    def _last(self, track: Track, duel: Duel, level: Level) -> None:
        """The one commit was measured against its parent."""
        self._end(track, level, duel.base)

    def _end(self, track: Track, level: Level, parent: str) -> None:
        question = track.question
        assert question is not None
        track.last, track.stage = level, Stage.ENDED
        if level.trouble or (level.estimate is None and not level.endless):
            track.remark = _unmeasured(parent, level.trouble or "the budget was too short")
            return
        if level.endless:
            confirmed, little = level.endless == question.sign, False
        else:
            assert level.estimate is not None
            size, width = question.sign * level.estimate.mean, bisecting.half(level.estimate, bisecting.TOTAL / 2)
            confirmed = size - width > 0 and not math.isinf(question.threshold)
            little = size + width < question.threshold
        if not confirmed:
            track.reason = (f"the search ended in {track.bad[:12]}, which against its parent {parent[:12]} shows no "
                            "such change: it may be the sum of several, or of two branches, or a step was wrong")
        elif little:
            track.remark = "it makes less than half of the whole change; the rest is elsewhere in the range"


def _unmeasured(parent: str, why: str) -> str:
    return f"it could not be measured against its parent {parent[:12]}: {why}"


def _in_range(why: Mapping[str, str]) -> str:
    """Why a search ends in several commits: those that could not be looked at, grouped by the reason."""
    grouped: dict[str, list[str]] = {}
    for commit, reason in why.items():
        grouped.setdefault(reason, []).append(commit[:12])
    return "; ".join(f"{listed(commits)}: {reason}" for reason, commits in grouped.items())
