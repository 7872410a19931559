"""Whether two interpreters behave alike: CPython's own tests under both, and a search for differences."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from runner import builds, config, machine, shell
from runner.errors import UsageError
from runner.jobs.ab import View
from runner.judging import behaviour
from runner.judging.behaviour import Difference, Verified
from runner.measuring.copies import scratch
from runner.model import Arm, Interpreter
from runner.verifying import helpers, own_tests, sequences
from runner.verifying.pair import Pair
from runner.verifying.script import alone, script
from runner.verifying.search import Searched, search

__all__ = ["TESTS", "Difference", "Verified", "VerifyRequest", "alike", "verify", "verify_arms"]

TESTS = ("test_memoryio", "test_io", "test_memoryview", "test_buffer", "test_pickle", "test_mmap")
"""Of CPython's: what a change to io.BytesIO may break."""
SHORT, SHRINKING = 3.0, 1.5
"""Seconds of the short form, and of making short what it finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyRequest:
    """What to look at, as the user asked for it."""

    base: str
    head: str
    tests: tuple[str, ...] = TESTS
    """Modules of CPython's tests; empty: none."""
    seconds: float = 60.0
    """To search for differences; 0: not at all."""
    seed: int | None = None
    kinds: tuple[str, ...] = sequences.KINDS
    """Of sources that streams are made from."""
    most: int | None = None
    """Differences after which the search ends; None: it looks for one for each kind of source."""
    known: str | None = None
    """A regular expression: tests that differ as they should."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that both get beside those of the caller (`config.environment`)."""
    wait: bool = True
    """Wait for a run on this machine to end, or refuse."""


def verify(request: VerifyRequest, view: View) -> Verified:
    """Look for differences in behaviour. Raises UsageError, BuildError or MachineError."""
    _check(request)
    machine.supported()
    with machine.alone(wait=request.wait, told=view.say):
        base, head = builds.resolve_all(
            [request.base, request.head], progress=view.phase, environment=config.environment(request.environment)
        )
        return verify_arms(request, base, head, view)


def verify_arms(request: VerifyRequest, base: Interpreter, head: Interpreter, view: View) -> Verified:
    """The same for interpreters that are there; the caller has the machine for itself (`machine.alone`)."""
    _check(request)
    arms = {Arm.BASE: base, Arm.HEAD: head}
    environment = config.environment(request.environment)
    with scratch() as place:
        modules, problems = _tests(request.tests, arms, environment, place, view)
        differences, known = behaviour.of_tests(modules, request.known)
        searched = None
        if request.seconds > 0:
            with _pair(base, head, environment, place) as pair:
                searched = search(
                    pair, seconds=request.seconds, kinds=request.kinds, most=request.most, tell=view.phase,
                    seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
                )
                differences += _differences(searched, pair)
    return Verified(base=base, head=head, differences=tuple(differences), known=tuple(known), modules=tuple(modules),
                    searched=searched, problems=(*problems, *behaviour.unseen(modules)))


def alike(base: Interpreter, head: Interpreter, environment: Mapping[str, str], view: View) -> Difference | None:
    """The short form: a difference in the behaviour of io.BytesIO that is found within a few seconds; None: none.

    Raises MachineError where an interpreter cannot be asked.
    """
    with scratch() as place, _pair(base, head, environment, place) as pair:
        searched = search(
            pair, seconds=SHORT, shrinking=SHRINKING, seed=secrets.randbelow(2**31), tell=view.phase, most=1,
        )
        return next(iter(_differences(searched, pair)), None)


def _check(request: VerifyRequest) -> None:
    try:
        re.compile(request.known or "")
    except re.error as error:
        raise UsageError(f"{request.known!r} is not a regular expression: {error}.") from error
    for name in request.tests:
        if not re.fullmatch(r"test_\w+(\.test_\w+)*", name):
            raise UsageError(f"{name!r} is no module of CPython's tests; they are called test_io and the like.")
    unknown = set(request.kinds) - set(sequences.KINDS)
    if unknown:
        raise UsageError(f"no kind of source is called {min(unknown)!r} (there are: {', '.join(sequences.KINDS)}).")
    if not request.tests and request.seconds <= 0:
        raise UsageError("no tests and no time to search: nothing is left to be looked at.")


@contextlib.contextmanager
def _pair(base: Interpreter, head: Interpreter, environment: Mapping[str, str], place: Path) -> Iterator[Pair]:
    folder = place / "sequences"
    folder.mkdir()
    with Pair(base, head, classes=sequences.CLASSES, environment=environment, folder=folder) as pair:
        yield pair


def _differences(searched: Searched, pair: Pair) -> list[Difference]:
    scripts = [script(found) for found in searched.found]
    return behaviour.of_search(searched.found, scripts, [alone(text, pair) for text in scripts])


def _tests(
    tests: Sequence[str], arms: Mapping[Arm, Interpreter], environment: Mapping[str, str], place: Path, view: View
) -> tuple[list[own_tests.Module], list[str]]:
    """What came of CPython's tests, and what could not be built for them."""
    if not tests:
        return [], []
    folders = {arm: place / f"modules-{arm.value}" for arm in Arm}
    for folder in folders.values():
        folder.mkdir()
    view.phase("building what CPython's tests need")
    with shell.pool(len(arms)) as pool:
        building = [pool.submit(helpers.build, arms[arm], tests, folders[arm]) for arm in Arm]
        problems = [problem for one in building for problem in one.result()]
    environments = {arm: {**environment, "PYTHONPATH": str(folders[arm])} for arm in Arm}
    done = []
    for name in tests:
        folder = place / name
        folder.mkdir()
        told = partial(view.phase, f"CPython's own tests: {name}")
        done.append(own_tests.run(arms, name, environments, folder, told))
    return done, problems
