"""What is said of two interpreters' behaviour: what their tests and the search for differences come to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from runner.model import Arm, Interpreter
from runner.verifying.own_tests import BAD, PASSED, WHOLE, Module, Odd
from runner.verifying.search import Found, Searched


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that base and head do differently."""

    what: str
    """A sentence without its full stop."""
    script: str
    """What shows it: a program for either interpreter; of a test the words behind the interpreter's name."""
    base: str
    """What base says."""
    head: str
    kinds: tuple[str, ...] = ()
    """Of sources that it needs, beside bytes, such as ``bytearray`` (`sequences.KINDS`); empty for a test."""
    after: float | None = None
    """Seconds of searching until it was seen; None: it is a test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was looked at, and what came of it."""

    base: Interpreter
    head: Interpreter
    differences: tuple[Difference, ...]
    """Tests come first."""
    known: tuple[str, ...]
    """Tests that differ, which the user has said."""
    modules: tuple[Module, ...]
    searched: Searched | None
    """None: it was not searched."""
    problems: tuple[str, ...]
    """What could not be looked at, in words."""


def of_tests(modules: Iterable[Module], known: str | None) -> tuple[list[Difference], list[str]]:
    """The tests that pass in one arm and go wrong in the other, and the classes and modules that go wrong as a whole in
    one; and of these apart the names that `known` matches."""
    odd = [(module, one) for module in modules for one in module.odd if one.differs]
    told = {one.test for _, one in odd if known is not None and re.search(known, one.test)}
    return [_of_test(module, one) for module, one in odd if one.test not in told], sorted(told)


def _of_test(module: Module, one: Odd) -> Difference:
    passed = PASSED in (one.base.word, one.head.word)
    arm = one.ended
    what = f"{one.test} takes the interpreter with it"
    if arm is None or one.whole or passed:
        arm = Arm.BASE if one.base.word in ((PASSED,) if passed else BAD) else Arm.HEAD
        what = f"{one.test} {'passes' if passed else 'goes wrong'}"
    words = {side: f"{outcome.word}: {outcome.reason}" if outcome.reason else outcome.word
             for side, outcome in ((Arm.BASE, one.base), (Arm.HEAD, one.head))}
    return Difference(
        what=f"{what} in {arm.value} only",
        script=f"-m test {module.name}" + ("" if one.whole else f" -m {one.test}"),
        base=words[Arm.BASE], head=words[Arm.HEAD],
    )


def unseen(modules: Sequence[Module]) -> list[str]:
    """What of the tests was not looked at, in words: what comes after a test that an interpreter has ended in, and
    modules of which no test passed. Of an arm that has no tests at all, nothing is said here."""
    having = [arm for arm in Arm if any(arm not in module.idle for module in modules)]
    said = []
    for module in modules:
        for test in dict.fromkeys(module.cut.values()):
            arms = " and ".join(arm.value for arm in Arm if module.cut.get(arm) == test)
            where = "outside of any test" if test == WHOLE else f"at {test}"
            said.append(f"{module.name} ended {where} in {arms}; what comes after it was not run there")
        for reason in dict.fromkeys(module.idle[arm] for arm in having if arm in module.idle):
            arms = " and ".join(arm.value for arm in having if module.idle.get(arm) == reason)
            said.append(f"no test of {module.name} passed in {arms} ({reason})")
    return said


def of_search(found: Sequence[Found], scripts: Sequence[str], alone: Sequence[bool]) -> list[Difference]:
    """What was found, each with its script and whether that shows the difference as a program of its own."""
    return [_of_sequence(*each) for each in zip(found, scripts, alone, strict=True)]


def _of_sequence(found: Found, script: str, alone: bool) -> Difference:
    kinds = tuple(sorted(found.kinds))
    what = "io.BytesIO behaves differently" + (f", with a source of kind {' and '.join(kinds)}" if kinds else "")
    if not found.steady:
        what += ". It was seen once, and not each time after that"
    elif not alone:
        what += ". As a program of its own, the script does not show it: it needs what runs around it"
    return Difference(what=what, script=script, base=found.point.base, head=found.point.head, kinds=kinds,
                      after=found.after)
