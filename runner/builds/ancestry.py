"""The commits of a repository as a graph: what came before what, and which commits a search is left with.

The graph decides; a date is shown, and orders nothing. Commits are full hashes here: names become hashes in
`commits.find`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from runner.builds import git, history
from runner.errors import BuildError, UsageError


class Graph:
    """Commits that are ancestors of one commit, itself included, and not of another: git's range ``GOOD..BAD``.

    For each commit it keeps the set of its ancestors in the range, as the bits of a number: for 10 000 commits in a
    line 6 MB, and counting is one instruction for every 64 commits.
    """

    def __init__(self, good: str, parents: Mapping[str, Sequence[str]]) -> None:
        """`parents` has all parents of each commit, in git's order; parents come before their children, and the last
        commit is the bad end. Parents outside of the range are named too. Raises ValueError for no commit."""
        if not parents:
            raise ValueError("a range without commits")
        self.good = good
        self.parents: Mapping[str, tuple[str, ...]] = {commit: tuple(named) for commit, named in parents.items()}
        self.commits = tuple(self.parents)
        """Parents before their children."""
        self._place = {commit: place for place, commit in enumerate(self.commits)}
        self._ancestors: list[int] = []
        for place, commit in enumerate(self.commits):
            ancestors = 1 << place
            for parent in self.parents[commit]:
                there = self._place.get(parent)
                if there is not None:
                    ancestors |= self._ancestors[there]
            self._ancestors.append(ancestors)

    @property
    def bad(self) -> str:
        """The bad end."""
        return self.commits[-1]

    def candidates(self, bad: str, goods: Collection[str]) -> tuple[str, ...]:
        """Commits of which one is the first bad one: ancestors of `bad`, itself included, and of no good one.

        Parents come before their children. Good commits outside of the range rule nothing out.
        """
        left = self._left(bad, goods)
        return tuple(commit for place, commit in enumerate(self.commits) if left >> place & 1)

    def parts(self, bad: str, goods: Collection[str]) -> Mapping[str, int]:
        """What a look at each candidate rules out in the worse case: the smaller of the two parts of the candidates.

        One part are those that are its ancestors, itself included, the other one the rest. This is what git calls
        ``dist`` in ``git rev-list --bisect-all``. 0 is at the bad end alone, of which everything is known.
        """
        left = self._left(bad, goods)
        total = left.bit_count()
        found = {}
        for place, commit in enumerate(self.commits):
            if left >> place & 1:
                older = (self._ancestors[place] & left).bit_count()
                found[commit] = min(older, total - older)
        return found

    def _left(self, bad: str, goods: Collection[str]) -> int:
        left = self._ancestors[self._place[bad]]
        for good in goods:
            there = self._place.get(good)
            if there is not None:
                left &= ~self._ancestors[there]
        return left


def between(repository: Path, good: str, bad: str) -> Graph:
    """The commits that are ancestors of `bad` and not of `good`, merged branches included.

    The repository is a whole one, as from `history.fetch`. Raises UsageError where `good` is no ancestor of `bad`.
    """
    if good == bad:
        raise UsageError(f"both ends of the range are commit {good[:12]}: there is nothing between them")
    if not history.is_ancestor(repository, good, bad):
        raise UsageError(_apart(repository, good, bad))
    listed = _said(repository, "rev-list", "--topo-order", "--reverse", "--parents", bad, f"^{good}")
    return Graph(good, {words[0]: words[1:] for line in listed.splitlines() if (words := line.split())})


def _apart(repository: Path, good: str, bad: str) -> str:
    """Why a commit that is no ancestor of another cannot be the good end of a search."""
    if history.is_ancestor(repository, bad, good):
        return (f"{bad[:12]} is an ancestor of {good[:12]}: they are the wrong way round. The older commit comes "
                "first, whichever is the faster one")
    bases = git.run(repository, "merge-base", "--all", good, bad).output.split()
    if not bases:
        return f"{good[:12]} and {bad[:12]} have no commit in common: there is nothing between them"
    return (f"{good[:12]} is not an ancestor of {bad[:12]}: their branches went apart at {bases[0][:12]}. Compare that "
            "one with both, and name it as the older end for the branch that has changed")


def _said(repository: Path, *words: str) -> str:
    """What git answers. Raises BuildError where it does not."""
    result = git.run(repository, *words)
    if result.code:
        raise BuildError(f"git {words[0]} failed in {repository}: {git.reason(repository, result)}")
    return result.output
