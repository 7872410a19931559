"""A git history of CPython 3.13.5 with eight commits of known effect."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.builds import edits, git, planning, releases, sources

RELEASE = "3.13.5"
BASE = "base"
"""Tag of the commit before the eight, and the anchor of the nights."""
PLANTED = "Lib/lockstep_planted.py"
_DICT = """
_Py_dict_lookup(PyDictObject *mp, PyObject *key, Py_hash_t hash, PyObject **value_addr)
{
"""
_WORK = """    for (volatile int work = 0; work < 8; work++) {
    }
"""

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


def _nocow(tree: Path) -> None:
    edits.apply(edits.load_all(["nocow"], planning.DATA / "variants"), tree)


def _broken(tree: Path) -> None:
    path = tree / "Objects/boolobject.c"
    path.write_text(path.read_text(encoding="utf-8") + "\nint lockstep_broken = no_such_name;\n", encoding="utf-8")


def _mended(tree: Path) -> None:
    path = tree / "Objects/boolobject.c"
    path.write_text(path.read_text(encoding="utf-8").replace("\nint lockstep_broken = no_such_name;\n", ""),
                    encoding="utf-8")


def _dict(tree: Path) -> None:
    path = tree / "Objects/dictobject.c"
    text = path.read_text(encoding="utf-8")
    assert text.count(_DICT) == 1
    path.write_text(text.replace(_DICT, _DICT + _WORK), encoding="utf-8")


def _portions(number: int) -> Change:
    return lambda tree: (tree / PLANTED).write_text(
        f'"""How much work the planted benchmarks do."""\n\nPORTIONS = {number}\n', encoding="utf-8") and None


PLAN: Sequence[Planned] = (
    Planned(subject="Say nothing in bytesio.c", change=_comment("Modules/_io/bytesio.c")),
    Planned(subject="Copy what BytesIO is made from", change=_nocow, slower="time_construct"),
    Planned(subject="Use a name that is not there", change=_broken, builds=False),
    Planned(subject="Take that back", change=_mended),
    Planned(subject="Work in each dict lookup", change=_dict, slower="time_dict", touched="time_"),
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


def make(folder: Path, told: Callable[[str], None]) -> Made:
    """Make the repository, unless it is there. Authors and dates are fixed: the commits are the same everywhere."""
    if not (folder / ".git").is_dir():
        catalogue = releases.read(planning.DATA / "sources.toml")
        sources.ReleaseSource(release=catalogue.find(RELEASE), catalogue=catalogue).unpack(folder, told)
        _git(folder, "init", "--quiet", "--initial-branch=all")
        _portions(1000)(folder)
        _commit(folder, f"CPython {RELEASE}", 0)
        _git(folder, "tag", BASE)
        for number, planned in enumerate(PLAN, start=1):
            told(f"commit {number}: {planned.subject}")
            planned.change(folder)
            _commit(folder, planned.subject, number)
        _git(folder, "branch", "main", BASE)
    listed = _git(folder, "rev-list", "--reverse", "all").split()
    assert len(listed) == 1 + len(PLAN)
    return Made(folder=folder, base=listed[0], commits=listed[1:])


def move(made: Made, commit: str) -> None:
    """Let the branch `main` end in a commit."""
    _git(made.folder, "update-ref", "refs/heads/main", commit)


def names(pattern: str, benchmarks: Sequence[str]) -> set[str]:
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
    assert done.code == 0, git.reason(folder, done)
    return done.output.strip()
