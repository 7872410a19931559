"""What several benchmarks share and what takes long to make: once for each arm, in a folder in which they all start."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from runner.measuring.copies import fresh
from runner.measuring.launch import Launch
from runner.measuring.process import Worker, WorkerFailed, begin
from runner.model import Arm, Benchmark, Cache, Cause, Failure
from runner.suites import Loader

PASSING = (Cause.KILLED, Cause.REFUSED)
"""Failures of which another try may be spared."""


class Caches:
    """The caches of a session. One that could not be made is not tried again, but for what may pass."""

    def __init__(self, scratch: Path, loading: Loader) -> None:
        """They go into `scratch`, which its owner removes; `loading` tells a worker what to load."""
        self._scratch, self._loading = scratch, loading
        self._folders: dict[tuple[Arm, str], Path] = {}
        self._failures: dict[str, Failure] = {}
        self._made = 0

    def starting(self, benchmark: Benchmark, launches: Mapping[Arm, Launch], canary: bool = False) -> dict[Arm, Launch]:
        """The launches of a benchmark's workers, such that they start in the folder of its cache.

        What is not there is made now, by the arms' own interpreters, both at the same time; a `canary`'s are both of
        base. Raises WorkerFailed, and the same again for every other benchmark that shares it.
        """
        cache = benchmark.cache
        if cache is None:
            return dict(launches)
        owners = {arm: Arm.BASE if canary else arm for arm in launches}
        missing = {owner: launches[arm] for arm, owner in owners.items() if (owner, cache.key) not in self._folders}
        if missing:
            self._make(benchmark, cache, missing)
        return {arm: replace(launch, cwd=self._folders[owners[arm], cache.key]) for arm, launch in launches.items()}

    def _make(self, benchmark: Benchmark, cache: Cache, launches: Mapping[Arm, Launch]) -> None:
        if cache.key in self._failures:
            raise WorkerFailed(self._failures[cache.key])
        # Paths of one length: a process has the path of its working directory on its heap.
        folders = {arm: fresh(self._scratch / f"cache-{arm.value}-{self._made:04d}") for arm in launches}
        self._made += 1
        try:
            with ExitStack() as stack:
                workers = {
                    # A canary's head is started as the base that it is.
                    arm: stack.enter_context(Worker(replace(launch, arm=arm, cwd=folders[arm], inherited=())))
                    for arm, launch in launches.items()
                }
                begin(workers, {**self._loading(benchmark), "do": "cache"}, cache.timeout)
        except WorkerFailed as error:
            if error.failure.cause not in PASSING:
                self._failures[cache.key] = error.failure
            raise
        self._folders.update({(arm, cache.key): folder for arm, folder in folders.items()})
