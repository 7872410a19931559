"""What runs inside a measured interpreter, once, to list the benchmarks of an asv suite.

Standard library and asv_runner only, Python 3.8 and later, PyPy too. What is found goes to a file as lines of JSON, not
to standard output, where a module may print:

    {"ready": "3.13.5"}                   the interpreter can list benchmarks
    {"module": "benchmarks.construct"}    about to import it: the last of these is to blame if the process dies
    {"benchmark": {"name": …, …}}         see `_record`
    {"problem": "benchmarks/x.py:3: …"}   something that cannot be measured, in words
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
import traceback
from importlib import machinery
from typing import Any, Callable, Iterator

METRICS = {
    "TimeBenchmark": "time", "TimerawBenchmark": "time", "PeakMemBenchmark": "peakmem", "TrackBenchmark": "track",
    "MemBenchmark": "track",
}
FORMS = {"TimerawBenchmark": "raw", "MemBenchmark": "size"}
UNITS = {"time": "s", "peakmem": "bytes"}
UNSUPPORTED = re.compile(r"mem_|Mem[A-Z_]")
SUPPORTED = "only time_, timeraw_, mem_, peakmem_ and track_ are supported"
TIMEOUT = 60.0
"""asv's default, seconds."""
LONGEST_LIMIT = 86400.0
"""Seconds that a longer limit, or none, is taken for: a day."""
IDLE = (
    (inspect.iscoroutinefunction, "a coroutine function"), (inspect.isasyncgenfunction, "an asynchronous generator"),
    (inspect.isgeneratorfunction, "a generator"),
)
"""Functions that do nothing of their work when they are called."""


def walk(suite: str, skipped: list[str], tell: Callable[..., None]) -> None:
    """Import the suite's modules one after the other and tell what is in each; those in `skipped` are passed over."""
    from asv_runner._aux import update_sys_path

    update_sys_path(suite)
    root = os.path.basename(suite)
    waiting = [root]
    while waiting:
        name = waiting.pop(0)
        if name in skipped:
            continue
        tell(module=name)
        try:
            module = importlib.import_module(name)
        except BaseException as error:  # a module may raise SystemExit
            tell(problem="%s: %s could not be imported: %s" % (_place(error, suite), name, _said(error)))
            continue
        waiting[:0] = [name for _, name, _ in pkgutil.iter_modules(getattr(module, "__path__", []), name + ".")]
        for owner, attribute, function in _candidates(module):
            _look(module, owner, attribute, function, suite, tell)


def _candidates(module: Any) -> Iterator[tuple[Any, str, Any]]:
    """The functions and methods of a module, as asv goes through them: class or None, name, function."""
    for name, value in list(vars(module).items()):
        if name.startswith("_"):
            continue
        if inspect.isclass(value) and not inspect.isabstract(value):
            for attribute, function in inspect.getmembers(value):
                if inspect.isfunction(function) or inspect.ismethod(function):
                    yield value, attribute, function
        elif inspect.isfunction(value):
            yield None, name, value


def _look(module: Any, owner: Any, attribute: str, function: Any, suite: str, tell: Callable[..., None]) -> None:
    from asv_runner.discovery import _get_benchmark

    within = ([] if owner is None else [owner.__name__]) + [attribute]
    called = ".".join(module.__name__.split(".")[1:] + within)
    place = _definition(function, suite)
    try:
        found = _get_benchmark(attribute, module, owner, function)
        if found is None:
            # asv_runner knows mem_ only where pympler is installed.
            if not UNSUPPORTED.match(attribute) or getattr(function, "skip_benchmark", False):
                return
            tell(problem="%s: %s is not measured: %s" % (place, called, SUPPORTED))
        elif type(found).__name__ not in METRICS:
            tell(problem="%s: %s is not measured: %s" % (place, called, SUPPORTED))
        elif found.name != called or getattr(module, within[0], None) is not (owner or function):
            # A worker finds a benchmark by its name alone.
            tell(problem="%s: %s is not measured: its name does not lead to it" % (place, found.name))
        elif "." not in module.__name__:
            tell(problem="%s: %s is not measured: move it from the suite's __init__.py to a module" % (place, called))
        elif refusal := _refusal(found):
            tell(problem="%s: %s is not measured: %s" % (place, called, refusal))
        else:
            tell(benchmark={**_record(found), "place": place, "doc": _doc(owner, function)})
    except BaseException as error:
        what = called if owner is None else "%s, which must be constructed without arguments," % owner.__name__
        tell(problem="%s: %s failed: %s" % (_place(error, suite, place), what, _said(error)))


def _record(found: Any) -> dict[str, Any]:
    """What the parent needs of an asv_runner benchmark.

    `params` holds the printed values of each parameter, `indexes` the combinations that are not skipped.
    """
    metric = METRICS[type(found).__name__]
    skipped = [tuple(values) for values in found._skip_tuples]
    positions = itertools.product(*(range(len(values)) for values in found._params))
    return {
        "name": found.name,
        "param_names": found.param_names,
        "params": [printed(raw, shown) for raw, shown in zip(found._params, found.params)],  # noqa: B905 — 3.10's
        "indexes": [at for at in positions if tuple(v[i] for v, i in zip(found._params, at)) not in skipped],  # noqa: B905
        "metric": metric,
        "unit": UNITS.get(metric) or str(found.unit),
        "version": found.version,
        "timeout": _limit(found.timeout),
        "number": _between(found) if metric == "time" else None,
        "form": FORMS.get(type(found).__name__, ""),
        "cache": _cache(found),
        "record": _as_asv(found),
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


def _doc(owner: Any, function: Any) -> str:
    """What the benchmark says of itself: its own docstring, else its class's."""
    return inspect.getdoc(function) or (owner is not None and owner.__doc__ and inspect.getdoc(owner)) or ""


def _as_asv(found: Any) -> dict[str, Any]:
    """What asv puts into benchmarks.json: the attributes of plain types, as asv_runner's own listing has them."""
    plain = {
        name: value for name, value in vars(found).items()
        if isinstance(value, (str, int, float, list, dict)) and not name.startswith("_")
    }
    return dict(json.loads(json.dumps(plain, skipkeys=True, default=str)))


def printed(raw: list[Any], shown: list[str]) -> list[str]:
    """The values of one parameter as a person reads them: strings without quotes, unless that makes two values alike.

    `shown` is asv's text for each, distinct and without addresses.
    """
    plain = [
        value if isinstance(value, str) and text == repr(value) else text
        for value, text in zip(raw, shown)  # noqa: B905 — 3.10's
    ]
    return plain if len(set(plain)) == len(plain) else list(shown)


def _said(error: BaseException) -> str:
    return " ".join(traceback.format_exception_only(type(error), error)[-1].split())


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


class _Compiled(machinery.SourceFileLoader):
    """Compiles what it loads, as if there were no bytecode."""

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.get_data(self.path), self.path)


def main(library: str, suite: str, result: str, *skipped: str) -> None:
    if sys.version_info < (3, 8):
        raise SystemExit("this is Python %d.%d, and benchmarks need 3.8 or later" % sys.version_info[:2])
    here = os.path.dirname(os.path.abspath(__file__))
    # Before 3.11 the script's folder is on the path, and holds an asv.py that is not asv.
    sys.path[:] = [library] + [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
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
        walk(suite, list(skipped), tell)
        tell(done=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
