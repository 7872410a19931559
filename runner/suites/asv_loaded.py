"""What loads one asv benchmark inside the measured interpreter.

Standard library only, Python 3.8 and later, PyPy too, and as few imports as possible: see `runner.measuring.worker`,
which loads this file by its path.
"""

from __future__ import annotations

import os
import sys
from _functools import partial  # type: ignore[import-not-found]  # functools itself takes 3 ms: collections
from itertools import repeat
from time import perf_counter_ns, process_time_ns, sleep

TYPE_CHECKING = False  # type checkers take this name for typing's; importing typing costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def load(request: dict[str, Any], loader: Any) -> Benchmark:
    """Import a benchmark; `loader` is the class that loads a source file by its path.

    ``folder`` of the suite, ``module`` in it (empty: the suite's ``__init__.py``) and ``attribute`` in that, the name
    of each parameter's value (``chosen``) with its ``contents``, ``params``: the file that has the rule for these,
    ``number`` of calls between two set-ups (0: one set-up), ``path``: what `sys.path` gets more.
    """
    sys.path += request["path"]
    return Benchmark(request, package(request["folder"]), loader)


class Benchmark:
    """A `worker.Loaded`: the bound function, and how to set it up again."""

    def __init__(self, request: dict[str, Any], package: str, loader: Any) -> None:
        self.number = request["number"]
        module = __import__(".".join(filter(None, (package, request["module"]))), fromlist=["_"])
        names = request["attribute"].split(".")
        owner: Any = None
        function = getattr(module, names[0])
        if len(names) > 1:
            owner = function()
            function = getattr(owner, names[1])
        elif isinstance(function, type):
            raise TypeError("%s is a class; a benchmark is a function or a method" % request["attribute"])
        params = _first(function, owner, module, name="params")
        arguments = _chosen(params, request, loader) if request["chosen"] else []
        cache = _first(owner, module, name="setup_cache")
        if cache is not None:
            arguments.insert(0, cache())
        self.call: Callable[[], Any] = partial(function, *arguments) if arguments else function
        # asv runs the module's setup, then the class's; a function may carry its own.
        owners = (module, owner if owner is not None else function)
        self.setups = [partial(o.setup, *arguments) for o in owners if hasattr(o, "setup")]
        self.teardowns = [partial(o.teardown, *arguments) for o in reversed(owners) if hasattr(o, "teardown")]

    def setup(self) -> None:
        for step in self.setups:
            step()

    def teardown(self) -> None:
        for step in self.teardowns:
            step()

    def slice(self, calls: int) -> int:
        """Wall nanoseconds of so many calls; where the benchmark states a number, set up anew before each lot."""
        if not self.number:
            return _timed(self.call, calls)
        total = 0
        for _ in range(calls // self.number):
            self.teardown()
            self.setup()
            total += _timed(self.call, self.number)
        return total

    def window(self, start: int, end: int, lot: int) -> list[list[float]]:
        """Call from `start` to `end` on perf_counter's clock, in lots: [start, end, CPU time per call] of each, ns."""
        sleep(max(0, start - perf_counter_ns()) / 1e9)
        lots: list[list[float]] = []
        now = perf_counter_ns()
        while now < end:
            if self.number:
                self.teardown()
                self.setup()
            begun, cpu = perf_counter_ns(), process_time_ns()
            for _ in repeat(None, lot):
                self.call()
            cpu = process_time_ns() - cpu
            now = perf_counter_ns()
            lots.append([begun, now, cpu / lot])
        return lots


def _first(*owners: Any, name: str) -> Any:
    return next((found for owner in owners if (found := getattr(owner, name, None)) is not None), None)


def _chosen(params: Any, request: dict[str, Any], loader: Any) -> list[Any]:
    """The values of the names that were chosen: they may come in another order in every process."""
    rule = type(sys)("lockstep_asv_params")
    loader(rule.__name__, request["params"]).exec_module(rule)
    lists, chosen = rule.lists(() if params is None else params), request["chosen"]
    if len(lists) != len(chosen):
        raise LookupError("there are %d parameters in this process, but %d were listed" % (len(lists), len(chosen)))
    return [rule.find(*one) for one in zip(lists, chosen, request["contents"])]  # noqa: B905 — strict came with 3.10


def _timed(function: Callable[[], Any], calls: int) -> int:
    times = repeat(None, calls)
    start = perf_counter_ns()
    for _ in times:
        function()
    return perf_counter_ns() - start


def package(folder: str) -> str:
    """Import the suite's folder under its own name, as asv does, without opening its parent to imports."""
    from importlib.machinery import PathFinder

    parent, name = os.path.split(os.path.abspath(folder))

    class Suite:
        @staticmethod
        def find_spec(fullname: str, path: Any = None, target: Any = None) -> Any:
            return PathFinder.find_spec(name, [parent], target) if fullname == name else None

    sys.meta_path.insert(0, Suite)
    sys.modules.pop(name, None)  # another of that name
    __import__(name)
    return name
