"""What runs inside a measured interpreter, once, to list the benchmarks of an asv suite.

Standard library and asv_runner only, Python 3.8 and later, PyPy too. What is found goes to a file as lines of JSON, not
to standard output, where a module may print:

    {"ready": "3.13.5"}                   the interpreter can list benchmarks
    {"module": "benchmarks.construct"}    about to import it: the last of these is to blame if the process dies
    {"benchmark": {"name": …, …}}         see `_record`
    {"problem": {"place": "benchmarks/x.py:3", "what": …, "why": …}}   something that cannot be measured, in words
    {"done": true}                        all modules were looked at

asv_runner's own walk ends at the first class that cannot be constructed, and prints what cannot be imported; this one
goes on and says where. What a benchmark is, its name, parameters and version are asv_runner's own doing.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import os
import pkgutil
import re
import sys
import time
import timeit
import traceback
from importlib import machinery
from typing import Any, Callable, Iterator

HERE = os.path.dirname(os.path.abspath(__file__))
METRICS = {
    "TimeBenchmark": "time", "TimerawBenchmark": "time", "PeakMemBenchmark": "peakmem", "TrackBenchmark": "track",
    "MemBenchmark": "track",
}
FORMS = {"TimerawBenchmark": "raw", "MemBenchmark": "size"}
UNITS = {"time": "s", "peakmem": "bytes"}
UNSUPPORTED = re.compile(r"mem_|Mem[A-Z_]")
SUPPORTED = "is not measured: only time_, timeraw_, mem_, peakmem_ and track_ are supported"
BENCHMARK = re.compile(rb"^[ \t]*def (time|timeraw|mem|peakmem|track)_", re.MULTILINE)
TIMEOUT = 60.0
"""asv's default, seconds."""
LONGEST_LIMIT = 86400.0
"""Seconds that a longer limit, or none, is taken for: a day."""
IDLE = (
    (inspect.iscoroutinefunction, "a coroutine function"), (inspect.isasyncgenfunction, "an asynchronous generator"),
    (inspect.isgeneratorfunction, "a generator"),
)
"""Functions that do nothing of their work when they are called."""
WALL = (timeit.default_timer, time.perf_counter, time.monotonic, time.time)
"""Clocks of a benchmark's own (`timer`) that tell what Lockstep measures."""
SAID = 300
"""Characters that are kept of what an exception says."""


class _Compiled(machinery.SourceFileLoader):
    """Compiles what it loads, as if there were no bytecode."""

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.get_data(self.path), self.path)


def _rule() -> Any:
    """The module `asv_params`, which the worker loads in the same way."""
    module = type(sys)("lockstep_asv_params")
    _Compiled(module.__name__, os.path.join(HERE, "asv_params.py")).exec_module(module)
    return module


params = _rule()


class Walk:
    """One listing of a suite: `tell` takes each line of it."""

    def __init__(self, suite: str, tell: Callable[..., None]) -> None:
        self.suite, self.tell = suite, tell
        self.taken: set[str] = set()

    def all(self, skipped: list[str]) -> None:
        """Import the suite's modules one after the other and tell what is in each, but for those in `skipped`."""
        from asv_runner._aux import update_sys_path

        update_sys_path(self.suite)
        waiting = [os.path.basename(self.suite)]
        while waiting:
            name = waiting.pop(0)
            if name in skipped:
                continue
            self.tell(module=name)
            try:
                module = importlib.import_module(name)
            except BaseException as error:  # a module may raise SystemExit
                self.problem(_place(error, self.suite), name, "could not be imported: %s" % _said(error))
                continue
            path = getattr(module, "__path__", [])
            waiting[:0] = [name for _, name, _ in pkgutil.iter_modules(path, name + ".")]
            for folder in path:
                self.not_looked_at(folder)
            try:
                self.module(module)
            except BaseException as error:  # such as a class attribute that cannot be read
                self.problem(_place(error, self.suite), name, "could not be looked at whole: %s" % _said(error))

    def problem(self, place: str, what: str, why: str) -> None:
        self.tell(problem={"place": params.clean(place), "what": params.clean(what), "why": why})

    def not_looked_at(self, folder: str) -> None:
        """Tell of folders in a package's that hold benchmarks and are no packages: asv passes over them."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            try:
                if entry.name.startswith((".", "__")) or not entry.is_dir():
                    continue
                files = sorted(file for file in os.listdir(entry.path) if file.endswith(".py"))
            except OSError:
                continue
            if "__init__.py" not in files and any(_holds_benchmarks(os.path.join(entry.path, file)) for file in files):
                place = os.path.relpath(entry.path, os.path.dirname(self.suite))
                self.problem(place, entry.name + os.sep, "was not looked at: it has no __init__.py")

    def module(self, module: Any) -> None:
        """Tell of a module's benchmarks; one that it holds under two names once."""
        told = set()
        for path, owner, function in _candidates(module):
            one = (id(owner or function), path[-1] if owner is not None else "")
            if one not in told:
                told.add(one)
                self.look(module, path, owner, function)

    def look(self, module: Any, path: list[str], owner: Any, function: Any) -> None:
        from asv_runner.discovery import _get_benchmark

        where = ".".join(module.__name__.split(".")[1:])
        called = ".".join(([where] if where else []) + path)
        place = _definition(function, self.suite)
        try:
            for source in (function, *(owner.__mro__ if owner is not None else ()), module):
                _keep(source)
            found = _get_benchmark(path[-1], module, owner, function)
            if found is None:
                # asv_runner knows mem_ only where pympler is installed.
                if UNSUPPORTED.match(path[-1]) and not getattr(function, "skip_benchmark", False):
                    self.problem(place, called, SUPPORTED)
                return
            if type(found).__name__ not in METRICS:
                self.problem(place, called, SUPPORTED)
                return
            # asv goes by the name alone, and of two that share it would measure one.
            name = next((name for name in (found.name, called) if name not in self.taken), None)
            if name is None:
                self.problem(place, called, "is not measured: another benchmark is called so")
                return
            if refusal := _refusal(found):
                self.problem(place, name, "is not measured: " + refusal)
                return
            self.taken.add(name)
            record = _record(found)
            if not record["indexes"] and not all(record["params"]):
                self.problem(place, name, "is not measured: one of its parameters has no values")
                return
            self.tell(benchmark={
                **record, "name": params.clean(name), "attribute": "%s:%s" % (where, ".".join(path)),
                "place": params.clean(place), "doc": _doc(owner, function), "record": {**_as_asv(found), "name": name},
            })
        except BaseException as error:
            what = called if owner is None else "%s, which must be constructed without arguments," % owner.__name__
            self.problem(_place(error, self.suite, place), what, "failed: %s" % _said(error))


def _candidates(module: Any) -> Iterator[tuple[list[str], Any, Any]]:
    """The functions and methods of a module, as asv goes through them: where it is in the module, class or None,
    function."""
    for name, value in list(vars(module).items()):
        if name.startswith("_"):
            continue
        if inspect.isclass(value) and not inspect.isabstract(value):
            for attribute, function in inspect.getmembers(value):
                if inspect.isfunction(function) or inspect.ismethod(function):
                    yield [name, attribute], value, function
        elif inspect.isfunction(value):
            yield [name], None, value


def _keep(source: Any) -> None:
    """Keep the values of ``params`` that can be gone through once: several benchmarks may share them."""
    values = vars(source).get("params")
    if isinstance(values, Iterator):
        source.params = values = list(values)
    if isinstance(values, (list, tuple)) and any(isinstance(one, Iterator) for one in values[1:]):
        source.params = [list(one) if isinstance(one, Iterator) else one for one in values]


def _holds_benchmarks(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return BENCHMARK.search(stream.read()) is not None
    except OSError:  # a link to nowhere, a folder of that name
        return False


def _record(found: Any) -> dict[str, Any]:
    """What the parent needs of an asv_runner benchmark.

    `params` holds the names of each parameter's values, `contents` what tells those apart that are alike, `indexes` the
    combinations that are not skipped.
    """
    metric = METRICS[type(found).__name__]
    return {
        "param_names": params.numbered([params.short(name) for name in found.param_names]),
        "params": [params.names(values) for values in found._params],
        "contents": [params.contents(values) for values in found._params],
        "indexes": _not_skipped(found._params, [tuple(values) for values in found._skip_tuples]),
        "metric": metric,
        "unit": UNITS.get(metric) or params.short(str(found.unit)),
        "version": params.short(found.version),
        "timeout": _limit(found.timeout),
        "number": _between(found) if metric == "time" else None,
        "form": FORMS.get(type(found).__name__, ""),
        "cache": _cache(found),
    }


def _refusal(found: Any) -> str:
    """Why it cannot be measured, though asv would; empty where it can."""
    parts = [("it", found.func), ("its setup_cache", found._setup_cache)]
    parts += [("its setup", step) for step in found._setups] + [("its teardown", step) for step in found._teardowns]
    for what, function in parts:
        for is_one, kind in IDLE:
            if is_one(function):
                return "%s is %s, and a call of it does none of its work: run that in the body%s" % (
                    what, kind, "" if kind == "a generator" else ", with asyncio.run for example")
    for what, limit in (("timeout", found.timeout), ("setup_cache.timeout", found.setup_cache_timeout)):
        if limit is not None and not float(limit) > 0:
            return "its %s is %r: nothing ends in that time" % (what, limit)
    timer = getattr(found, "timer", None)
    if type(found).__name__ == "TimeBenchmark" and timer not in (None, *WALL):
        return "its timer is %s, and wall time alone is measured" % getattr(timer, "__qualname__", repr(timer))
    once = _said_of_setup(found)
    return "" if once in (None, "once") else "its lockstep_setup is %r: only 'once' is known" % (once,)


def _said_of_setup(found: Any) -> Any:
    from asv_runner.benchmarks._base import _get_first_attr

    return _get_first_attr(found._attr_sources, "lockstep_setup", None)


def _limit(seconds: Any) -> float:
    return TIMEOUT if seconds is None else min(float(seconds), LONGEST_LIMIT)


def _between(found: Any) -> int | None:
    """Calls that are timed as one lot. asv_runner sets up before every timed call, whatever `number` is; source text is
    timed in a new process for each lot. None: any number of them."""
    stated = int(found.number)
    if type(found).__name__ in FORMS:
        return max(1, stated)
    if found._setups:
        return None if _said_of_setup(found) == "once" else 1
    return stated or None


def _cache(found: Any) -> dict[str, Any] | None:
    """Which cache it shares with others: asv's key, and the limit that it has for making it."""
    if found.setup_cache_key is None:
        return None
    own = found.setup_cache_timeout
    return {"key": found.setup_cache_key, "timeout": _limit(found.timeout if own is None else own)}


def _not_skipped(values: list[list[Any]], skipped: list[tuple[Any, ...]]) -> list[tuple[int, ...]]:
    """The combinations, as positions in `values`, that are not among the skipped ones."""
    try:
        there: Any = set(skipped)
    except TypeError:  # a value without a hash
        there = skipped

    def is_skipped(one: tuple[Any, ...]) -> bool:
        try:
            return one in there
        except TypeError:
            return one in skipped

    positions = itertools.product(*(range(len(one)) for one in values))
    return [at for at, one in zip(positions, itertools.product(*values)) if not is_skipped(one)]  # noqa: B905 — 3.10's


def _doc(owner: Any, function: Any) -> str:
    """What the benchmark says of itself: its own docstring, else its class's."""
    doc = inspect.getdoc(function) or (owner is not None and owner.__doc__ and inspect.getdoc(owner)) or ""
    return doc.encode("utf-8", "backslashreplace").decode()


def _as_asv(found: Any) -> dict[str, Any]:
    """What asv puts into benchmarks.json: the attributes of plain types, as asv_runner's own listing has them."""
    plain = {
        name: value for name, value in vars(found).items()
        if isinstance(value, (str, int, float, list, dict)) and not name.startswith("_")
    }
    return dict(json.loads(json.dumps(plain, skipkeys=True, default=str)))


def _said(error: BaseException) -> str:
    said: str = params.clean(" ".join(traceback.format_exception_only(type(error), error)[-1].split()))
    return said if len(said) <= SAID else said[:SAID] + "…"


def _place(error: BaseException, suite: str, otherwise: str = "") -> str:
    """``benchmarks/construct.py:12``: the innermost line of the suite that had a part in the error."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    inside = [(path, line) for path, line in places if os.path.abspath(path).startswith(suite + os.sep)]
    return _short(*inside[-1], suite) if inside else otherwise or os.path.basename(suite)


def _definition(function: Any, suite: str) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return os.path.basename(suite) if code is None else _short(code.co_filename, code.co_firstlineno, suite)


def _short(path: str, line: int | None, suite: str) -> str:
    return "%s:%s" % (os.path.relpath(path, os.path.dirname(suite)), line or 1)


def main(library: str, suite: str, result: str, *skipped: str) -> None:
    if sys.version_info < (3, 8):
        raise SystemExit("this is Python %d.%d, and benchmarks need 3.8 or later" % sys.version_info[:2])
    # Before 3.11 the script's folder is on the path, and holds an asv.py that is not asv.
    sys.path[:] = [library] + [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != HERE]
    # Nothing is written into our own packages, and nothing is taken from beside the suite or written there.
    sys.dont_write_bytecode = True
    known = tuple(os.path.join(place, "") for place in sys.path)
    finder = machinery.FileFinder.path_hook(
        (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES), (_Compiled, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    )
    with open(result, "w", encoding="utf-8") as stream:

        def tell(**line: Any) -> None:
            stream.write(json.dumps(line) + "\n")
            stream.flush()

        # asv_runner knows mem_ where there is pympler: 2 700 lines, which nobody needs here.
        fakes = {name: type(sys)(name) for name in ("pympler", "pympler.asizeof")}
        vars(fakes["pympler.asizeof"])["asizeof"] = None
        sys.modules.update(fakes)
        importlib.import_module("asv_runner.discovery")
        for name in fakes:
            del sys.modules[name]
        tell(ready=sys.version.split()[0])
        del sys.argv[1:]  # a module may parse them

        def hook(path: str) -> Any:
            if os.path.join(path, "").startswith(known):
                raise ImportError(path)  # the next hook's
            return finder(path)

        sys.path_hooks.insert(0, hook)
        Walk(suite, tell).all(list(skipped))
        tell(done=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
