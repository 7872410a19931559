"""What a request may ask for: builds of releases and of repositories, our own suites, and no more.

All of it is text that other machines will build and run by, so it is taken apart here and put together anew from parts
that are allowed one by one. Nothing is looked up that the text names: no path, no address. A server asks this before it
takes a request, and the machine that is given it asks once more: it need not trust the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from runner import amounts
from runner.builds import planning, releases, spec
from runner.builds.spec import BuildSpec, Origin
from runner.errors import UsageError
from runner.jobs.requesting import is_url
from runner.suites.asv import OWN
from runner.suites.pyperf_scripts import PYPERFORMANCE

LONGEST = 300
"""Characters of a text."""
MARGINS = 0.001, 0.5
BUDGETS = 10.0, 6 * 3600.0
"""Seconds of measuring."""
PRIORITIES = -10, 10
_VARIANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_REF = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_SCRIPTS = re.compile(rf"{PYPERFORMANCE}(?::[A-Za-z0-9_]+(?:,[A-Za-z0-9_]+)*)?")
# No groups, no classes, and every repetition is `.*`, of which there are few: no text takes such a pattern long.
_SELECT = re.compile(r"\^?(?!-)(?:\.\*|[A-Za-z0-9_.,= -]|\\[.()\[\]+*?])+\$?")
_STARS = 2
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A comparison that is asked for, as `checked` returns it or as it came."""

    base: str
    """The build to compare with: ``cpython@3.13.5``, or ``git:URL@REF``."""
    head: str
    suite: str = "bytesio"
    select: str = ""
    """Benchmarks whose keys match: patterns between ``|``; empty: all."""
    margin: float = 0.01
    """As a fraction."""
    budget: float = 600.0
    """Seconds of measuring, building not included."""
    machine: str = ""
    """Name of the machine; empty: any."""
    priority: int = 0
    """Among what the same person asked for: the larger goes first."""


def read(
    margin: str, budget: str, repositories: Collection[str] | None, *, priority: str = "0", **words: Any
) -> Wanted:
    """What is wanted, as `checked` returns it: the fields of `Wanted` as people write them. Raises UsageError as
    `checked` does."""
    wanted = Wanted(
        margin=_amount("margin", amounts.margin, margin), budget=_amount("budget", amounts.seconds, budget),
        priority=_amount("priority", amounts.whole, priority), **words)
    return checked(wanted, repositories)


def checked(wanted: Wanted, repositories: Collection[str] | None) -> Wanted:
    """The same, its builds in the one way to write them. `repositories` are the URLs that may be built; None: all that
    a list may have, since whoever asks knows of none.

    Raises UsageError for what is not allowed, naming the field.
    """
    _within("margin", wanted.margin, *MARGINS)
    _within("budget", wanted.budget, *BUDGETS)
    _within("priority", wanted.priority, *PRIORITIES)
    if not re.fullmatch(r"(?:[A-Za-z0-9][A-Za-z0-9@._-]{0,59})?", wanted.machine):
        raise UsageError("machine: that is no machine's name.")
    return replace(
        wanted, base=build("base", wanted.base, repositories), head=build("head", wanted.head, repositories),
        suite=_suite(wanted.suite), select=_select(wanted.select),
    )


def build(field: str, text: str, repositories: Collection[str] | None) -> str:
    """A build's spec, if it is allowed; `repositories` as in `checked`.

    Raises UsageError, which does not repeat a URL: it may hold a password.
    """
    _is_plain(field, text)
    try:
        found = spec.parse(text, exists=lambda _: False)
    except UsageError as error:
        why = "a commit is named as git:URL@REF" if text.startswith(Origin.GIT.value) else str(error)
        raise UsageError(f"{field}: {why}.") from error
    if found is None or found.origin not in (Origin.RELEASE, Origin.GIT):
        raise UsageError(
            f"{field}: a request names a release, such as cpython@3.13.5, or a commit of a repository that is listed: "
            "git:URL@REF. A path, a folder, a tarball or a command is of one machine alone.")
    if found.origin is Origin.RELEASE:
        _is_known(field, found)
    else:
        _is_listed(field, found, repositories)
    for edit in found.edits:
        _is_variant(field, edit)
    if found.configure or found.layout is not None:
        raise UsageError(f"{field}: of the options of a build, a request may have pgo, lto and debug.")
    return found.written


def _is_known(field: str, found: BuildSpec) -> None:
    known = releases.read(planning.DATA / "sources.toml").releases
    if found.place not in known:
        raise UsageError(f"{field}: CPython {found.place} is not known here; there are {', '.join(known)}.")


def _is_listed(field: str, found: BuildSpec, repositories: Collection[str] | None) -> None:
    if repositories is None:
        if not is_url(found.place):
            raise UsageError(f"{field}: that is no address of a repository that a server may list.")
    elif found.place not in repositories:
        listed = f"Listed are {', '.join(sorted(repositories))}." if repositories else "None is listed."
        raise UsageError(
            f"{field}: requests may build the repositories that are listed for them, written in the same way. {listed}")
    if not _REF.fullmatch(found.ref) or ".." in found.ref or found.ref.endswith((".", ".lock")):
        raise UsageError(f"{field}: {found.ref!r} is not a branch, a tag or a full hash.")


def _is_variant(field: str, edit: str) -> None:
    known = sorted(path.stem for path in (planning.DATA / "variants").glob("*.toml"))
    if not _VARIANT.fullmatch(edit) or edit not in known:
        raise UsageError(f"{field}: {edit!r} is no variant. A request names variants that Lockstep has, and no patch: "
                         f"{', '.join(known)}.")


def _suite(text: str) -> str:
    _is_plain("suite", text)
    if text not in OWN and not _SCRIPTS.fullmatch(text):
        raise UsageError(
            f"suite: a request names {', '.join(OWN)}, {PYPERFORMANCE}, or some of the last: {PYPERFORMANCE}:NAME,NAME."
            " A folder or a script is of one machine alone.")
    return text


def _select(text: str) -> str:
    if not text:
        return text
    _is_plain("select", text, blanks=True)
    for one in text.split("|"):
        if not _SELECT.fullmatch(one) or one.count("*") - one.count(r"\*") > _STARS:
            raise UsageError(
                "select: write parts of benchmarks' names, with | between them. Each may have ^ before it, $ behind it "
                f"and {_STARS} times .* in it; a bracket has a \\ before it.")
    return text


def _is_plain(field: str, text: str, *, blanks: bool = False) -> None:
    if not text:
        raise UsageError(f"{field}: it is empty.")
    if len(text) > LONGEST:
        raise UsageError(f"{field}: it is longer than {LONGEST} characters.")
    if not text.isascii() or not text.isprintable() or (" " in text and not blanks):
        raise UsageError(f"{field}: it has a character that nothing here is written with.")


def _amount(field: str, number: Callable[[str], T], text: str) -> T:
    try:
        return number(text)
    except ValueError as error:
        raise UsageError(f"{field}: {error}") from error


def _within(field: str, number: float, low: float, high: float) -> None:
    if not low <= number <= high:
        raise UsageError(f"{field}: {number!s:.20} is not between {low:g} and {high:g}.")
