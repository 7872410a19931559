"""A git history of CPython 3.13.5 with eight commits of known effect."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.builds import edits, git, planning, releases, sources
from runner.errors import BuildError, UsageError
from runner.owned import owned

RELEASE = "3.13.5"
BASE = "base"
"""Tag of the commit before the eight, and the anchor of the nights."""
ALL = "all"
"""The branch that ends in the last of them."""
PLANTED = "Lib/lockstep_planted.py"

Change = Callable[[Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A commit, and what is true of it."""

    subject: str
    change: Change
    slower: str = ""
    """Regular expression of the benchmarks that it makes slower; empty: none."""
    touched: str = ""
    """Of further ones that it may make slower: they use what it slows, and how much is not known."""
    builds: bool = True


def _comment(file: str) -> Change:
    def change(tree: Path) -> None:
        path = tree / file
        path.write_text(path.read_text(encoding="utf-8") + "\n/* Nothing is said here. */\n", encoding="utf-8")

    return change


def _variant(name: str) -> Change:
    def change(tree: Path) -> None:
        edits.apply(edits.load_all([name], planning.DATA / "variants"), tree)

    return change


def _broken(tree: Path) -> None:
    path = tree / "Objects/boolobject.c"
    path.write_text(path.read_text(encoding="utf-8") + "\nint lockstep_broken = no_such_name;\n", encoding="utf-8")


def _mended(tree: Path) -> None:
    path = tree / "Objects/boolobject.c"
    path.write_text(path.read_text(encoding="utf-8").replace("\nint lockstep_broken = no_such_name;\n", ""),
                    encoding="utf-8")


def _portions(number: int) -> Change:
    def change(tree: Path) -> None:
        text = f'"""How much work the planted benchmarks do."""\n\nPORTIONS = {number}\n'
        (tree / PLANTED).write_text(text, encoding="utf-8")

    return change


PLAN: Sequence[Planned] = (
    Planned(subject="Say nothing in bytesio.c", change=_comment("Modules/_io/bytesio.c")),
    Planned(subject="Copy what BytesIO is made from", change=_variant("nocow"), slower="time_construct"),
    Planned(subject="Use a name that is not there", change=_broken, builds=False),
    # The tree is that of the commit before the broken one: one build serves both.
    Planned(subject="Take that back", change=_mended),
    Planned(subject="Work in each dict lookup", change=_variant("dict-lookup-work"), slower="time_dict",
            touched="time_"),
    Planned(subject="Say nothing in listobject.c", change=_comment("Objects/listobject.c")),
    Planned(subject="Two per cent more", change=_portions(1020), slower="time_planted"),
    Planned(subject="Say nothing in tupleobject.c", change=_comment("Objects/tupleobject.c")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The repository, and its commits."""

    folder: Path
    base: str
    """Full hash of the commit before the eight."""
    commits: Sequence[str]
    """Full hashes in the order of `PLAN`."""

    def slowed(self, good: str, bad: str, benchmarks: Collection[str]) -> set[str]:
        """The benchmarks that the commits after `good` up to and with `bad` make slower, or may.

        Raises ValueError for a commit that is not of this history, and for a range without commits.
        """
        line = [self.base, *self.commits]
        inside = PLAN[line.index(good) : line.index(bad)]
        if not inside:
            raise ValueError(f"there is no commit after {good[:12]} up to {bad[:12]}")
        return {name for planned in inside for pattern in (planned.slower, planned.touched)
                for name in names(pattern, benchmarks)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A night, and what should come of it."""

    subject: str
    commit: str
    """Full hash of what the branch ends in."""
    state: str
    """`Night.state`: ``done``, ``broken`` or ``unchanged``."""
    previous: str = ""
    """Full hash of the last commit before it that builds, or empty."""
    slower: str = ""
    """Regular expression of the benchmarks that it must report; empty: none."""


def expected(made: Made) -> list[Expected]:
    """A night of the commit before the eight, of each of the eight, and one without anything new."""
    rows, last = [Expected(subject="(the release)", commit=made.base, state="done")], made.base
    for planned, commit in zip(PLAN, made.commits, strict=True):
        if planned.builds:
            rows.append(Expected(subject=planned.subject, commit=commit, state="done", previous=last,
                                 slower=planned.slower))
            last = commit
        else:
            rows.append(Expected(subject=planned.subject, commit=commit, state="broken"))
    return [*rows, Expected(subject="(nothing new)", commit=made.commits[-1], state="unchanged")]


NIGHTS = len(PLAN) + 2
"""In a row."""


def digest() -> str:
    """Eight digits of a hash of all that makes the commits what they are."""
    variants = (planning.DATA / "variants" / f"{name}.toml" for name in ("nocow", "dict-lookup-work"))
    parts = (Path(__file__).read_bytes(), *(variant.read_bytes() for variant in variants))
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:8]


def make(folder: Path, told: Callable[[str], None]) -> Made:
    """Make the repository, unless it is there. Authors and dates are fixed: the commits are the same everywhere.

    Killed meanwhile, it leaves no half. Raises BuildError where git fails, UsageError for a folder that holds something
    else.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        catalogue = releases.read(planning.DATA / "sources.toml")
        with owned(f".{folder.name}.new-", folder.parent) as scratch:
            tree = scratch / "tree"
            sources.ReleaseSource(release=catalogue.find(RELEASE), catalogue=catalogue).unpack(tree, told)
            _git(tree, "init", "--quiet", f"--initial-branch={ALL}")
            _portions(1000)(tree)
            _commit(tree, f"CPython {RELEASE}", 0)
            _git(tree, "tag", BASE)
            for number, planned in enumerate(PLAN, start=1):
                told(f"commit {number} of {len(PLAN)}: {planned.subject}")
                planned.change(tree)
                _commit(tree, planned.subject, number)
            _git(tree, "branch", "main", BASE)
            tree.rename(folder)
    listed = _git(folder, "rev-list", "--reverse", ALL).split()
    if len(listed) != 1 + len(PLAN):
        raise UsageError(f"{folder} is not the history that is made here. Remove it, and start again.")
    return Made(folder=folder, base=listed[0], commits=listed[1:])


def move(made: Made, commit: str) -> None:
    """Let the branch `main` end in a commit."""
    _git(made.folder, "update-ref", "refs/heads/main", commit)


def names(pattern: str, benchmarks: Collection[str]) -> set[str]:
    """The benchmarks that a pattern of `PLAN` is about."""
    return {name for name in benchmarks if pattern and re.search(pattern, name)}


def _commit(folder: Path, subject: str, number: int) -> None:
    _git(folder, "add", "--all", "--force")
    _git(folder, "commit", "--quiet", "--no-verify", "-m", subject, number=number)


def _git(folder: Path, *words: str, number: int = 0) -> str:
    date = f"{1_750_000_000 + 86_400 * number} +0000"
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", "Lockstep"), ("EMAIL", "lockstep@localhost"), ("DATE", date))}
    done = git.run(folder, *words, env=who)
    if done.code:
        raise BuildError(f"git {words[0]} failed in {folder}: {git.reason(folder, done)}")
    return done.output.strip()
