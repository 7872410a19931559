"""The search for a sequence to which two interpreters answer differently, and for the shortest that there is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, Verbosity, configuration, errors, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from runner import config
from runner.verifying.pair import Answer, Pair, Point, first_difference
from runner.verifying.sequences import KINDS, NEEDED, Sequences, Statement

STEPS = 16
"""Rules that are taken in one sequence."""
ROUND = 400
"""Sequences under one seed: hypothesis remembers those of a round."""
REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A sequence to which the interpreters answer differently, as short as it could be made."""

    statements: tuple[Statement, ...]
    point: Point
    raising: frozenset[int]
    """Numbers of the statements that raise, in base."""
    after: float
    """Seconds of searching until the first of its kind was seen."""
    steady: bool
    """It differs each time that it is run."""

    @property
    def kinds(self) -> frozenset[str]:
        """Of the sources that it uses; bytes, which need nothing to be told, are not among them."""
        return frozenset(statement.kind for statement in self.statements) - {"", "bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a search has come to."""

    found: tuple[Found, ...]
    """At most one for each kind of source."""
    sequences: int
    statements: int
    """In all sequences together."""
    seconds: float
    """Of searching, without what it took to make sequences short."""
    kinds: tuple[str, ...]
    """Of sources that both interpreters have."""
    seed: int


class _Different(Exception):
    """The interpreters answer a sequence differently: what hypothesis is to make short."""


class _Enough(BaseException):
    """The time is over. Not an Exception, which hypothesis would take for a finding."""


def search(
    pair: Pair, *, seconds: float, seed: int, shrinking: float = 10.0, kinds: Iterable[str] = KINDS,
    most: int | None = None, tell: Callable[[str], None] = lambda _: None,
) -> Searched:
    """Look for differences for a time, and make what is found short within `shrinking` seconds each.

    After a difference the search goes on without the kinds of sources that it uses, so that one is found for each kind;
    it ends with one that uses bytes alone, and after `most`. `kinds` limits what it begins with; `tell` gets the state
    in words, a few times a second. Raises MachineError where an interpreter cannot answer any more.
    """
    there = tuple(k for k in KINDS if k in set(kinds) and NEEDED.get(k, "io") in pair.modules)
    left, found, trial = frozenset({"bytes", *there}), list[Found](), _Trial(pair, tell)
    while trial.searched < seconds:
        one = trial.search(left, seconds - trial.searched, shrinking, seed + len(found))
        if one is None:
            break
        found.append(one)
        if not one.kinds & left or len(found) == most:
            break
        left -= one.kinds
    return Searched(found=tuple(found), sequences=trial.sequences, statements=trial.statements,
                    seconds=trial.searched, kinds=there, seed=seed)


class _Trial:
    """Tries sequences, and keeps the shortest that differs."""

    def __init__(self, pair: Pair, tell: Callable[[str], None]) -> None:
        self._pair, self._tell = pair, tell
        self.sequences = self.statements = 0
        self.searched = 0.0
        self._best: Found | None = None
        self._began = self._end = self._told = 0.0
        self._shrinking = 0.0

    def search(self, kinds: frozenset[str], seconds: float, shrinking: float, seed: int) -> Found | None:
        """The next difference, made short; None: the time is over."""
        self._best, self._shrinking = None, shrinking
        self._began = time.monotonic()
        self._end = self._began + seconds
        best = self._rounds(kinds, seed)
        if best is None:
            self.searched += time.monotonic() - self._began
            return None
        self.searched += best.after
        after = self.searched
        short = self._without_the_rest(best)
        return replace(short, after=after, steady=all(self._differs(short.statements) for _ in range(REPEATS)))

    def _rounds(self, kinds: frozenset[str], seed: int) -> Found | None:
        # It keeps the constants of our modules, which take it a second to find, and would do so where the user is.
        configuration.set_hypothesis_home_dir(config.caches()[-1] / "hypothesis")
        number = 0
        try:
            with contextlib.suppress(_Enough):
                while self._best is None:
                    self._round(kinds, f"{seed}.{number}")
                    number += 1
        finally:
            configuration.set_hypothesis_home_dir(None)
        return self._best

    def _round(self, kinds: frozenset[str], seed: str) -> None:
        def sequence() -> Sequences:
            return Sequences(kinds, self._try)

        how = settings(
            max_examples=ROUND, stateful_step_count=STEPS, deadline=None, database=None, derandomize=False,
            print_blob=False, report_multiple_bugs=False, verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )
        # Flaky: where memory was freed, what is found there may be another thing each time.
        with contextlib.suppress(_Different, errors.Flaky):
            run_state_machine_as_test(seeded(seed)(sequence), settings=how)  # type: ignore[arg-type]

    def _try(self, statements: tuple[Statement, ...]) -> None:
        now = time.monotonic()
        if now > self._end:
            raise _Enough
        if now - self._told > 0.3:
            self._told = now
            what = "looking for differences" if self._best is None else "making what was found short"
            self._tell(f"{what}: {self.sequences} sequences")
        one = self._differs(statements)
        if one is None:
            return
        if self._best is None:
            self._end = now + self._shrinking
            one = replace(one, after=now - self._began)
        else:
            one = replace(one, after=self._best.after)
        if self._best is None or _length(one) < _length(self._best):
            self._best = one
        raise _Different

    def _differs(self, statements: tuple[Statement, ...]) -> Found | None:
        self.sequences += 1
        self.statements += len(statements)
        answers = self._pair.answers([statement.text for statement in statements])
        point = first_difference(*answers)
        if point is None:
            return None
        if isinstance(point.place, int):
            statements = statements[:point.place + 1]
        return Found(statements=statements, point=point, raising=_raising(answers[0]), after=0.0, steady=False)

    def _without_the_rest(self, found: Found) -> Found:
        """Without each statement that it does not need."""
        for number in reversed(range(len(found.statements))):
            if number < len(found.statements):
                shorter = (*found.statements[:number], *found.statements[number + 1:])
                found = self._differs(shorter) or found
        return found


def _length(found: Found) -> tuple[int, int]:
    return len(found.statements), sum(len(statement.text) for statement in found.statements)


def _raising(answer: Answer) -> frozenset[int]:
    return frozenset(place for place, text in answer if isinstance(place, int) and text.startswith("raises "))
