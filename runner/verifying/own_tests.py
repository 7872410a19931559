"""CPython's own tests under both interpreters, and which of them pass in one alone."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import MachineError
from runner.model import Arm, Interpreter
from runner.verifying import starting

INSIDE = Path(__file__).with_name("tests_inside.py")
LIMIT = 900.0
"""Seconds for a module."""
PASSED, SKIPPED, MISSING, CRASHED = "passed", "skipped", "missing", "crashed"
BAD = ("failed", "error", CRASHED)
WHOLE = "the module"
"""What goes wrong where the interpreter ends outside of any test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a test in one arm."""

    word: str
    """``passed``, ``failed``, ``error``, ``skipped``, ``crashed``, or ``missing``: the arm did not come to it."""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """A test that does not end alike in the two arms."""

    test: str
    """Its full name: ``test.test_io.CBufferedReaderTest.test_args_error``."""
    base: Outcome
    head: Outcome
    whole: bool = False
    """It is no test: a class, the module or the interpreter itself went wrong, which has a name in that arm alone."""
    both_ended: bool = False
    """Both interpreters have ended in the module, so that one may only not have come to what the other ended in."""

    @property
    def differs(self) -> bool:
        """It passed in one arm and went wrong in the other; else one of them has skipped it or lacks it. Of what is no
        test, that it went wrong in one arm alone is enough; and that one arm alone has ended in it, of any."""
        words = {self.base.word, self.head.word}
        if self.ended is not None:
            return True
        return (PASSED in words or self.whole) and not words <= set(BAD) and not words.isdisjoint(BAD)

    @property
    def ended(self) -> Arm | None:
        """The arm whose interpreter has ended in it, where the other's has not."""
        words = {Arm.BASE: self.base.word, Arm.HEAD: self.head.word}
        ended = [arm for arm, word in words.items() if word == CRASHED]
        if len(ended) != 1 or (self.both_ended and words[ended[0].other] == MISSING):
            return None
        return ended[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What came of a module of tests."""

    name: str
    counts: Mapping[Arm, Mapping[str, int]]
    """For each arm how many tests ended in each way."""
    odd: tuple[Odd, ...]
    """Those that do not end alike; where any differs, a second time."""
    unsteady: tuple[str, ...]
    """Those that did not end alike at first, and did when they were tried again."""
    cut: Mapping[Arm, str]
    """Of an arm whose interpreter has ended before the module did: the test in which it was."""
    idle: Mapping[Arm, str]
    """Of an arm in which no test passed: what is said of the first that did not."""


Outcomes = Mapping[str, Outcome]


def run(
    arms: Mapping[Arm, Interpreter], name: str, environments: Mapping[Arm, Mapping[str, str]], folder: Path,
    tick: Callable[[], None],
) -> Module:
    """Run a module's tests in both arms at once. Where one differs, those that do not end alike are run once more,
    alone; where a class, a module or the interpreter went wrong, all of them.

    `folder`: an empty one, to run in; `tick` is called a few times a second. Raises MachineError where an interpreter
    cannot be started.
    """
    first = _both(arms, name, (), environments, folder, tick)
    odd = unlike(first)
    chosen = [one.test for one in odd]
    # What went wrong as a whole has no test of that name to be chosen, and what an interpreter ends in may be the doing
    # of a test before it: then all are run again.
    whole = any(one.whole or one.ended is not None for one in odd)
    again = first if not any(one.differs for one in odd) else _both(
        arms, name, () if whole else chosen, environments, folder, tick)
    # An interpreter that ends may do so elsewhere the second time.
    still = {one.test: one for one in unlike(again) if one.test in chosen or one.ended is not None}
    return Module(
        name=name, counts=_counts(first), odd=tuple(still.values()),
        unsteady=tuple(test for test in chosen if test not in still), cut=_cut(again if whole else first),
        idle=_idle(first),
    )


def _cut(outcomes: Mapping[Arm, Outcomes]) -> dict[Arm, str]:
    return {arm: test for arm, there in outcomes.items()
            for test, outcome in there.items() if outcome.word == CRASHED}


def _idle(outcomes: Mapping[Arm, Outcomes]) -> dict[Arm, str]:
    found = {}
    for arm, there in outcomes.items():
        if not any(outcome.word == PASSED for outcome in there.values()):
            first = next(iter(there.values()), Outcome(word="no test in it"))
            found[arm] = f"{first.word}: {first.reason}" if first.reason else first.word
    return found


def unlike(outcomes: Mapping[Arm, Outcomes]) -> list[Odd]:
    """The tests that do not end alike, in base's order and then head's; those that pass in one arm alone come first."""
    base, head = outcomes[Arm.BASE], outcomes[Arm.HEAD]
    missing, cut = Outcome(word=MISSING), _cut(outcomes)
    both = [Odd(test=test, base=base.get(test, missing), head=head.get(test, missing), whole=not _single(test),
                both_ended=len(cut) == len(Arm))
            for test in dict.fromkeys((*base, *head))]
    odd = [one for one in both if one.base.word != one.head.word]
    return sorted(odd, key=lambda one: not one.differs)


def _single(test: str) -> bool:
    """Whether a name is that of one test: ``test.test_io.CBufferedReaderTest.test_args_error``, and not
    ``setUpClass (test.test_io.CBufferedReaderTest)``, ``test.test_io`` or ``unittest.loader._FailedTest.test_io``."""
    return " " not in test and not test.startswith("unittest.loader.") and test.count(".") >= 3


def _counts(outcomes: Mapping[Arm, Outcomes]) -> dict[Arm, dict[str, int]]:
    return {arm: dict(Counter(outcome.word for outcome in there.values())) for arm, there in outcomes.items()}


def _both(
    arms: Mapping[Arm, Interpreter], name: str, chosen: Sequence[str], environments: Mapping[Arm, Mapping[str, str]],
    folder: Path, tick: Callable[[], None],
) -> dict[Arm, Outcomes]:
    with contextlib.ExitStack() as stack:
        running = {}
        for arm, interpreter in arms.items():
            place = Path(tempfile.mkdtemp(prefix=f"{name}-{arm.value}-", dir=folder))
            running[arm] = stack.enter_context(_Running(interpreter, name, chosen, environments[arm], place))
        end = time.monotonic() + LIMIT
        while any(one.goes_on() for one in running.values()) and time.monotonic() < end:
            tick()
            time.sleep(0.1)
        return {arm: one.outcomes() for arm, one in running.items()}


class _Running:
    """One arm's process; it ends with the context."""

    def __init__(
        self, interpreter: Interpreter, name: str, chosen: Sequence[str], environment: Mapping[str, str], place: Path
    ) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `__exit__`)
        try:
            self._process = starting.start(
                interpreter, INSIDE, [name, json.dumps(list(chosen))], options=[], cwd=place, env=environment,
                stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.DEVNULL,
            )
        except MachineError:
            self._output.close()
            raise

    def __enter__(self) -> _Running:
        return self

    def __exit__(self, *_: object) -> None:
        starting.end(self._process)
        self._output.close()

    def goes_on(self) -> bool:
        return self._process.poll() is None

    def outcomes(self) -> Outcomes:
        self._output.seek(0)
        return read(self._output.read(), self._process.poll())


def read(output: bytes, code: int | None) -> Outcomes:
    """What `tests_inside` wrote, by test; a test that was begun and not ended is what the process ended in.

    `code` is the exit code; None: it was still running when its time was over.
    """
    found: dict[str, Outcome] = {}
    begun, whole = "", False
    for line in output.splitlines():
        try:
            words = json.loads(line)
        except ValueError:  # cut off
            break
        whole = not words
        if len(words) == 1:
            begun = words[0]
        elif words:
            begun = ""
            found[words[0]] = _worse(found.get(words[0]), Outcome(word=words[1], reason=words[2]))
    if not whole:
        how = f"did not end within {LIMIT:g} s" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by signal {-code}"
        found[begun or WHOLE] = Outcome(word=CRASHED, reason=f"the interpreter {how}")
    return found


def _worse(before: Outcome | None, now: Outcome) -> Outcome:
    """Of two that go by one name."""
    return now if before is None or before.word not in BAD else before
