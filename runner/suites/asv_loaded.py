"""What loads one asv benchmark inside the measured interpreter.

Standard library only, Python 3.8 and later, PyPy too, and as few imports as possible: see `runner.measuring.worker`,
which loads this file by its path.
"""

from __future__ import annotations

import gc
import os
import sys
from _functools import partial  # type: ignore[import-not-found]  # functools itself takes 3 ms: collections
from itertools import repeat
from time import perf_counter_ns, process_time_ns, sleep

TYPE_CHECKING = False  # type checkers take this name for typing's; importing typing costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


CACHE = "cache.pickle"
"""What `setup_cache` has returned, in the working directory, as asv names it."""


def load(request: dict[str, Any], loader: Any) -> Benchmark:
    """Import a benchmark; `loader` is the class that loads a source file by its path.

    ``folder`` of the suite, ``module`` in it (empty: the suite's ``__init__.py``) and ``attribute`` in that, the name
    of each parameter's value (``chosen``) with its ``contents``, ``params``: the file that has the rule for these,
    ``number`` of calls between two set-ups (0: one set-up), ``path``: what `sys.path` gets more, and ``children``
    before all else; ``cache``: it has a `setup_cache`, whose value is read where ``do`` is to load it; ``form``:
    `model.Benchmark.form`.
    """
    sys.path += request["path"]
    sys.path.insert(0, request["children"])
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # a child's loader would write beside the suite
    kind = Raw if request["form"] == "raw" else Benchmark
    return kind(request, package(request["folder"]), loader)


class Benchmark:
    """A `worker.Loaded`: the bound function, and how to set it up again."""

    alone = False
    uncollected = True

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
        if request["cache"] and request["do"] == "load":
            value = _cached()
            if value is not None:
                arguments.insert(0, value)
        self.call: Callable[[], Any] = partial(function, *arguments) if arguments else function
        # As asv_runner: the module's setup, the class's, the function's own; they are torn down the other way round.
        owners = [module, function] if owner is None else [module, owner, function]
        self.setups = [partial(step, *arguments) for step in _hooks(owners, "setup")]
        self.setting_up = False
        self.teardowns = [partial(step, *arguments) for step in _hooks(owners[::-1], "teardown")]
        self.undoes = bool(self.teardowns)
        self.sources = owners[::-1]
        due = self.number and (self.setups or self.teardowns)
        self.renew: Callable[[], None] | None = self._again if due else None
        if request["form"] == "size":
            self.call = partial(_size, self.call)

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

    def _again(self) -> None:
        self.teardown()
        gc.disable()  # until the call has ended, as timeit does it
        self.setup()

    def make_cache(self) -> None:
        """What the processes of this benchmark, and of those that share its cache, start with: files in the working
        directory, and a value."""
        import pickle
        from inspect import ismethod, signature

        for step in self.setups:
            # asv_runner runs those first that are functions and take no argument.
            if not ismethod(step.func):
                try:
                    signature(step.func).bind()
                except TypeError:
                    continue
                step.func()
        value = _first(*self.sources, name="setup_cache")()
        with open(CACHE, "wb") as stream:
            try:
                pickle.dump(value, stream)
            except Exception as error:
                raise TypeError(
                    "it returned a %s that cannot be handed over as a pickle: %s" % (type(value).__name__, error)
                ) from error

    def slice(self, calls: int) -> int:
        """Wall nanoseconds of so many calls, one after the other."""
        return _timed(self.call, calls)

    def window(self, start: int, end: int, lot: int, renew: Callable[[], None] | None) -> list[list[float]]:
        """Call from `start` to `end` on perf_counter's clock, in lots: [start, end, CPU time per call] of each, ns.

        `renew` is called before each lot, outside of it.
        """
        sleep(max(0, start - perf_counter_ns()) / 1e9)
        lots: list[list[float]] = []
        now = perf_counter_ns()
        while now < end:
            if renew is not None:
                renew()
            with _Uncollected():
                begun, cpu = perf_counter_ns(), process_time_ns()
                for _ in repeat(None, lot):
                    self.call()
                cpu = process_time_ns() - cpu
                now = perf_counter_ns()
            lots.append([begun, now, cpu / lot])
        return lots


class Raw(Benchmark):
    """asv's ``timeraw_``: what the function returns is source text, timed by `timeit` in processes of its own."""

    def __init__(self, request: dict[str, Any], package: str, loader: Any) -> None:
        super().__init__(request, package, loader)
        self.text, self.call = self.call, self._once
        self.env = _first(*self.sources, name="env") or {}
        self.renew = _nothing  # each lot is a process; it is set up once

    def _once(self) -> None:
        self.slice(self.number)

    def slice(self, calls: int) -> int:
        """Nanoseconds of so many calls in one process, without its start; raises RuntimeError with what it printed."""
        import subprocess
        from textwrap import dedent

        text = self.text()
        parts = text if isinstance(text, tuple) else (text, "")
        if not all(isinstance(part, str) for part in parts):
            raise TypeError("it returned a %s, and no source text" % type(text).__name__)
        stmt, setup = (dedent(part) for part in parts)
        code = "from timeit import timeit\nprint(repr(timeit(stmt=%r, setup=%r, number=%d)))" % (stmt, setup, calls)
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env.update((str(name), str(value)) for name, value in self.env.items())
        done = subprocess.run(
            [sys.executable, "-c", "import sys; exec(sys.stdin.read())"], input=code.encode(), env=env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise RuntimeError("its process ended with exit code %d: %s" % (done.returncode, said[-400:]))
        return int(float(done.stdout.split()[-1]) * 1e9)

    def window(self, start: int, end: int, lot: int, renew: Callable[[], None] | None) -> list[list[float]]:
        raise TypeError("source text is timed in processes of its own, which share the CPU with nobody")


def _nothing() -> None:
    pass


def _size(function: Callable[[], Any]) -> int:
    """asv's ``mem_``: bytes of a copy of what the function returns that it does not share with the original."""
    from copy import copy

    from pympler import asizeof as sizes

    asizeof: Any = sizes.asizeof
    value = function()
    both = asizeof([value, value])
    return int(asizeof([value, copy(value)]) - both)


def _first(*owners: Any, name: str) -> Any:
    return next((found for owner in owners if (found := getattr(owner, name, None)) is not None), None)


def _hooks(owners: list[Any], name: str) -> list[Any]:
    """What the owners have under a name, in capitals or not: `setUp` is one to asv_runner."""
    found: list[Any] = []
    for owner in owners:
        found += [getattr(owner, key) for key in dir(owner) if key.lower() == name]
    return [step for step in found if step is not None]


def _cached() -> Any:
    import pickle

    with open(CACHE, "rb") as stream:
        return pickle.load(stream)


def _chosen(params: Any, request: dict[str, Any], loader: Any) -> list[Any]:
    """The values of the names that were chosen: they may come in another order in every process."""
    rule = type(sys)("lockstep_asv_params")
    loader(rule.__name__, request["params"]).exec_module(rule)
    lists, chosen = rule.lists(() if params is None else params), request["chosen"]
    if len(lists) != len(chosen):
        raise LookupError("there are %d parameters in this process, but %d were listed" % (len(lists), len(chosen)))
    return [rule.find(*one) for one in zip(lists, chosen, request["contents"])]  # noqa: B905 — strict came with 3.10


def _timed(function: Callable[[], Any], calls: int) -> int:
    """Wall nanoseconds of so many calls."""
    times = repeat(None, calls)
    with _Uncollected():
        start = perf_counter_ns()
        for _ in times:
            function()
        return perf_counter_ns() - start


class _Uncollected:
    """No garbage is collected meanwhile, as in timeit; it may be kept from that already, and is then so afterwards."""

    def __enter__(self) -> None:
        self.collects = gc.isenabled()
        gc.disable()

    def __exit__(self, *_: object) -> None:
        if self.collects:
            gc.enable()


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
