"""A repository's commits in their order, which is that of the graph and never that of dates.

The line of a branch is its first parents: what was merged counts as the merge. A commit's position on it is what
histories are ordered by.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from runner import paths
from runner.builds import cache, commits, git
from runner.builds.cache import Progress
from runner.errors import BuildError, UsageError
from runner.model import Commit

_HEADS, _TAGS = "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"
SUBJECT = 300
"""Characters of a message's first line that are kept: whoever makes a commit chooses how long it is."""


def is_url(place: str) -> bool:
    """Whether a repository is named by a URL, or as ``HOST:PATH``, and not by a folder."""
    return "://" in place or (re.match(r"[^/]+:", place) is not None and not os.path.isdir(paths.expanded(place)))


def fetch(place: str, progress: Progress) -> Path:
    """The repository that a folder or URL names, ready to be read: the folder as it is; of a URL a copy of all
    branches and tags, which is kept in the cache and brought up to date here.

    What a branch held before stays in the copy when the branch moves or goes. Raises UsageError for a folder that is no
    repository, or a shallow one, in which no commit has a position; BuildError where a server cannot be asked.
    """
    if not is_url(place):
        return _folder(read_in(place))
    copy = read_in(place)
    with cache.locked(f"git-{copy.name}", progress, f"waiting for another run that is fetching {place}"):
        commits.make(copy)
        progress(f"fetching {place}")
        result = git.run(copy, *commits.SLOW, "fetch", "--quiet", "--prune", "--no-tags", "--", place, _HEADS, _TAGS)
        if result.code:
            raise BuildError(f"cannot fetch {place}: {git.reason(copy, result)}")
        with contextlib.suppress(OSError):  # what is in use is not pruned
            os.utime(copy)
    return copy


def read_in(place: str) -> Path:
    """The folder in which the commits of what a folder or URL names are read, after `fetch`."""
    return commits.copy_of(place) if is_url(place) else paths.expanded(place).resolve()


def _folder(repository: Path) -> Path:
    if not os.path.isdir(repository):
        raise UsageError(f"there is no folder {repository}; a repository is named by its folder or its URL")
    asked = git.run(repository, "rev-parse", "--is-shallow-repository")
    if asked.code:
        raise UsageError(git.reason(repository, asked))
    if asked.output.strip() == "true":
        raise UsageError(f"{repository} is a shallow clone, in which commits have no order: "
                         f"git -C {shlex.quote(str(repository))} fetch --unshallow")
    return repository


def tip(repository: Path, branch: str) -> str | None:
    """Full hash of the newest commit of a branch, or of a remote's (``origin/main``); None where there is none."""
    for name in (f"refs/heads/{branch}", f"refs/remotes/{branch}"):
        found = git.run(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if not found.code:
            return found.output.strip()
    return None


def branches_with(repository: Path, commit: str) -> Sequence[str]:
    """The branches that a commit is in, those first of which it is the newest; none where it is not there."""
    wanted = ("for-each-ref", "--format=%(objectname) %(refname:short)", "--contains", commit, "refs/heads")
    rows = [line.partition(" ")[::2] for line in git.run(repository, *wanted).output.splitlines()]
    return [name for hash, name in sorted(rows, key=lambda row: (row[0] != commit, row[1]))]


def named(repository: Path, name: str) -> str:
    """Full hash of the commit that a tag or a hash names. Raises UsageError for a branch, which moves, and for what is
    not there."""
    if name.startswith("-"):
        raise UsageError(f"{name!r} is not a tag or a commit")
    if tip(repository, name) is not None:
        raise UsageError(f"{name} is a branch of {repository}, and moves. Name a tag or a commit, such as "
                         f"{tip(repository, name)}")
    found = git.run(repository, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if found.code:
        raise UsageError(f"{repository} has no commit {name}")
    return found.output.strip()


def describe(repository: Path, commit: str, *, place: str, branch: str = "") -> Commit:
    """A commit for people and histories; `place` and `branch` are the names that the user gave.

    Raises BuildError where git cannot read it.
    """
    told = git.run(repository, "log", "-1", "--no-show-signature", "--encoding=UTF-8", "--format=%H%n%ct%n%s", commit)
    if told.code:
        raise BuildError(f"{repository} cannot show commit {commit}: {git.reason(repository, told)}")
    hash, date, subject = told.output.split("\n")[:3]
    return Commit(
        hash=hash, date=float(date), subject=os.fsencode(subject).decode("utf-8", "replace")[:SUBJECT],
        repository=place, branch=branch, position=position(repository, commit),
    )


def position(repository: Path, commit: str) -> int | None:
    """Commits on the line of first parents up to a commit, itself included; None in a shallow clone."""
    if git.run(repository, "rev-parse", "--is-shallow-repository").output.strip() == "true":
        return None
    counted = git.run(repository, "rev-list", "--count", "--first-parent", commit)
    return None if counted.code else int(counted.output)


def is_ancestor(repository: Path, older: str, newer: str) -> bool:
    """Whether a commit is in the history of another, or is that one; False too where it is not there any more."""
    return git.run(repository, "merge-base", "--is-ancestor", older, newer).code == 0


def line(repository: Path, older: str, newer: str) -> Sequence[str]:
    """Full hashes on the line of first parents after `older` up to and with `newer`, oldest first.

    Raises UsageError where `older` is not in the history of `newer`.
    """
    if not is_ancestor(repository, older, newer):
        raise UsageError(f"{older[:12]} is not in the history of {newer[:12]} in {repository}")
    listed = git.run(repository, "rev-list", "--reverse", "--first-parent", f"{older}..{newer}", "--")
    if listed.code:
        raise BuildError(f"{repository} cannot list {older[:12]}..{newer[:12]}: {git.reason(repository, listed)}")
    return listed.output.split()


def first_parents(repository: Path, commit: str) -> frozenset[str]:
    """Full hashes of all commits on the line of first parents up to and with a commit. Raises BuildError."""
    listed = git.run(repository, "rev-list", "--first-parent", commit, "--")
    if listed.code:
        raise BuildError(f"{repository} cannot list the commits up to {commit[:12]}: {git.reason(repository, listed)}")
    return frozenset(listed.output.split())
