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

    ``folder`` of the suite, ``module`` and ``attribute`` in it, ``index`` of each parameter's value, ``number`` of
    calls between two set-ups (0: one set-up), ``path``: what `sys.path` gets more.
    """
    sys.path += request["path"]
    return Benchmark(request, _package(request["folder"], loader))


class Benchmark:
    """A `worker.Loaded`: the bound function, and how to set it up again."""

    def __init__(self, request: dict[str, Any], package: str) -> None:
        self.number = request["number"]
        module = __import__(package + "." + request["module"], fromlist=["_"])
        names = request["attribute"].split(".")
        owner: Any = None
        function = getattr(module, names[0])
        if len(names) > 1:
            owner = function()
            function = getattr(owner, names[1])
        elif isinstance(function, type):
            raise TypeError("%s is a class; a benchmark is a function or a method" % request["attribute"])
        params = _first(function, owner, module, name="params") or []
        if params and not isinstance(params[0], (list, tuple)):
            params = [params]
        arguments: list[Any] = [values[i] for values, i in zip(params, request["index"])]  # noqa: B905 — strict came with 3.10
        cache = _first(owner, module, name="setup_cache")
        if cache is not None:
            arguments.insert(0, cache())
        self.call: Callable[[], Any] = partial(function, *arguments) if arguments else function
        # asv runs the module's setup, then the class's; a function may carry its own.
        owners = (module, owner if owner is not None else function)
        self.setups = [partial(o.setup, *arguments) for o in owners if hasattr(o, "setup")]
        self.setting_up = False
        self.teardowns = [partial(o.teardown, *arguments) for o in reversed(owners) if hasattr(o, "teardown")]

    def setup(self) -> None:
        self.setting_up = True
        for step in self.setups:
            step()
        self.setting_up = False

    def skips(self, error: BaseException) -> bool:
        """As asv has it: NotImplementedError in a set-up, and a mark of its own, which is a kind of it, anywhere."""
        mark = sys.modules.get("asv_runner.benchmarks.mark")
        return isinstance(error, NotImplementedError) and (
            self.setting_up or isinstance(error, getattr(mark, "SkipNotImplemented", ())))

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
    return next((getattr(owner, name) for owner in owners if hasattr(owner, name)), None)


def _timed(function: Callable[[], Any], calls: int) -> int:
    times = repeat(None, calls)
    start = perf_counter_ns()
    for _ in times:
        function()
    return perf_counter_ns() - start


def _package(folder: str, loader: Any) -> str:
    """Make the suite's folder importable under its own name, as asv does, without opening its parent to imports."""
    from importlib.machinery import ModuleSpec

    name = os.path.basename(os.path.abspath(folder))
    start = os.path.join(folder, "__init__.py")
    module = type(sys)(name)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = [folder]
    sys.modules[name] = module
    if os.path.exists(start):
        module.__file__ = start
        loader(name, start).exec_module(module)
    return name
