"""Which block may be begun on the other CPU while one is measured (docs/decisions/0029). It starts nothing."""

from __future__ import annotations

from collections.abc import Iterable

from runner.measuring.process import Worker
from runner.model import Benchmark, BlockKind, BlockSpec, Mode

BY_THEMSELVES = (Mode.TURNS, Mode.SHARED)
"""Modes in which the arms measure by themselves, on one CPU, and leave the other one idle."""


class Ahead:
    """What is known, in a session, of which two blocks may be there at a time."""

    def __init__(self, *, possible: bool, memory_limit: int) -> None:
        """`possible`: there is a CPU for it, which leaves the measured one alone."""
        self._possible, self._memory = possible, memory_limit
        self._lasting: dict[str, bool] = {}
        """Benchmarks that were seen, and whether they undo nothing at their end."""
        self._large: set[str] = set()
        """Those of which four processes may want more memory than two may use."""
        self._failed: set[str] = set()
        """Those that have failed where another block was there."""

    def may(self, spec: BlockSpec, following: BlockSpec) -> bool:
        """Whether the processes of `following` may be started, and set up, while `spec` is measured.

        Not beside what was not seen, or undoes something at its end, such as a file that both have written; nor beside
        another that may write that file anew with other contents: see `_are_apart`.
        """
        one, other = spec.benchmark, following.benchmark
        return (
            self._possible and following.kind is not BlockKind.CANARY and self._lasting.get(one.key, False)
            and all(block.settings is None or block.settings.mode in BY_THEMSELVES for block in (spec, following))
            and one.cache is None and other.cache is None
            and {one.key, other.key}.isdisjoint(self._large | self._failed)
            and _are_apart(one, other)
            and spec.directory != following.directory
        )

    def measured(self, spec: BlockSpec, workers: Iterable[Worker]) -> None:
        """A block has been measured, by these processes, which have ended."""
        if spec.kind is BlockKind.CANARY:
            return
        key, workers = spec.benchmark.key, tuple(workers)
        self._lasting[key] = self._lasting.get(key, True) and not any(worker.undid for worker in workers)
        if any(2 * worker.peak > self._memory for worker in workers):
            self._large.add(key)

    def failed(self, spec: BlockSpec) -> None:
        """A block has failed where another one was there."""
        self._failed.add(spec.benchmark.key)


def _are_apart(one: Benchmark, other: Benchmark) -> bool:
    """Whether the set-ups of two benchmarks are the same, or have nothing in common.

    Otherwise they may write one file with different contents: one set-up with other parameters, and a script on its way
    to another of its tasks.
    """
    if one.key == other.key:
        return True
    if one.form == other.form == "task":
        return one.attribute.partition(":")[0] != other.attribute.partition(":")[0]
    return one.params == other.params or _owner(one) != _owner(other)


def _owner(benchmark: Benchmark) -> str:
    """The class that has its set-up, or the module."""
    return benchmark.name.rpartition(".")[0]
