"""asv suites: which benchmarks a folder holds, as the measured interpreter itself sees them, and how to load one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asv_runner
import pympler

from runner import config, paths, shell
from runner.errors import UsageError, listed
from runner.model import Benchmark, Cache, Metric
from runner.owned import owned
from runner.suites import listing
from runner.suites.fingerprint import Watched
from runner.suites.protocol import Found, Loader

OWN_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
CONSUMERS = OWN_FOLDER / "consumers"
OWN = {"bytesio": OWN_FOLDER, "consumers": CONSUMERS}
"""The project's own suites by name, first the one that is meant where none is named. To asv they are one folder; here
the package inside it is a suite by itself, and its benchmarks have the names that asv gives them."""
DISCOVERY = Path(__file__).with_name("discovery.py")
LOADED = Path(__file__).with_name("asv_loaded.py")
CHILD = """import sys
from importlib.machinery import SourceFileLoader
loaded = type(sys)("lockstep_asv_loaded")
SourceFileLoader(loaded.__name__, {loaded!r}).exec_module(loaded)
loaded.package({suite!r})
"""
"""A module by the suite's name, by which a process that a benchmark starts finds the suite as the worker has."""
PARAMS = Path(__file__).with_name("asv_params.py")
NAMED = 3
"""Benchmarks that a problem of several names."""
TIME_LIMIT = 60.0
"""Seconds for one interpreter to import a whole suite."""


class AsvSuite:
    """A folder of asv benchmarks: a `protocol.Suite`."""

    packages = ("asv_runner", "pympler")
    skips: Mapping[str, str] = {}

    def __init__(self, name_or_dir: str | None) -> None:
        """None or a name in `OWN` is the project's own, anything else a folder.

        Raises UsageError when there is no such folder, when it holds no Python files, when its name cannot be that of
        a package (it is imported under its own name, as asv does), or when a folder here has the name of one in `OWN`.
        """
        self._place = _folder(name_or_dir)
        self.folder = OWN_FOLDER if self._place == CONSUMERS else self._place

    @property
    def place(self) -> str:
        return str(self._place)

    def watch(self) -> Watched:
        """See `protocol.Suite`."""
        return Watched(self.folder)

    def discover(
        self, executable: Path, environment: Mapping[str, str] | None = None, *, hash_seed: int = 0
    ) -> Found:
        """See `protocol.Suite`. A module that ends the process is left out with a problem, and the others are kept."""
        given = config.environment() if environment is None else environment
        # PYTHONSAFEPATH is the option -P for an interpreter that knows it, and nothing to one that does not.
        variables = {**given, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": str(hash_seed)}
        suite = self.folder
        others, crashed = _others(self._place), dict[str, str]()
        with owned("lockstep-discovery-") as folder:
            library = link_asv_runner(folder)
            while True:
                result = folder / "found"
                result.unlink(missing_ok=True)
                # Absolute, since it runs elsewhere; not resolved, since a virtual environment is found by the link.
                command: list[str | Path] = [executable.absolute(), "-s", DISCOVERY, library, suite, result]
                ended = shell.run([*command, *others, *crashed], cwd=folder, env=variables, timeout=TIME_LIMIT)
                told = listing.lines(result)
                if not any("ready" in line for line in told):
                    raise UsageError(listing.refusal(executable, f"in {suite}", ended))
                if ended.timed_out or any("done" in line for line in told):
                    break
                module = _last_module(told)
                if module is None or module in crashed:
                    break
                crashed[module] = f"{module} ended the interpreter while it was looked at ({listing.cause(ended.code)})"
        found = parse(told)
        problems = [*crashed.values(), *found.problems]
        if ended.timed_out:
            problems.append(
                f"{_last_module(told)} was not looked at to the end within {TIME_LIMIT:.0f} s; "
                "what comes after it is not measured"
            )
        return replace(found, problems=tuple(problems))

    def loader(self, scratch: Path) -> Loader:
        """See `protocol.Suite`. asv_runner is what it makes, for suites that use its marks; and what lets the children
        of a benchmark's process import the suite, under its name and before all others of that name."""
        library = link_asv_runner(scratch)
        children = scratch / "children"
        children.mkdir()
        text = CHILD.format(loaded=str(LOADED), suite=str(self.folder))
        (children / f"{self.folder.name}.py").write_text(text, encoding="utf-8")

        def loading(benchmark: Benchmark) -> Mapping[str, object]:
            module, _, attribute = benchmark.attribute.partition(":")
            if not attribute:
                raise UsageError(f"where {benchmark.name} is in the suite was not recorded by the older Lockstep that "
                                 "began this run; start a new one.")
            return {
                "file": str(LOADED), "folder": str(self.folder), "module": module, "attribute": attribute,
                "params": str(PARAMS), "chosen": list(benchmark.params.values()),
                "contents": list(benchmark.contents) or [None] * len(benchmark.params),
                "children": str(children), "path": [str(library)],
                "number": benchmark.number or 0, "cache": benchmark.cache is not None, "form": benchmark.form,
            }

        return loading


def _folder(name_or_dir: str | None) -> Path:
    name = name_or_dir or next(iter(OWN))
    here = paths.expanded(name).resolve()
    folder = OWN.get(name, here)
    if name_or_dir and folder != here and os.path.isdir(here):
        raise UsageError(
            f"{name} is one of Lockstep's own suites, and there is a folder of that name here. "
            f"Say ./{name} for the folder, or {folder} for Lockstep's own."
        )
    if not os.path.exists(folder):
        raise UsageError(
            f"There is no suite {name}: {folder} {paths.why_not(folder)}. "
            f"Give {', '.join(OWN)}, a folder of asv benchmarks, a pyperf script or pyperformance."
        )
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Give the folder that holds the benchmarks (asv's benchmark_dir).")
    if not any(folder.glob("*.py")) and not any(folder.glob("*/__init__.py")):
        raise UsageError(f"{folder} holds no Python files. Give the folder of the benchmarks (asv's benchmark_dir).")
    if "." in folder.name or folder.name in {*sys.stdlib_module_names, "asv_runner"}:
        raise UsageError(
            f"{folder} cannot be imported as a package called {folder.name!r}. "
            "Rename it: no dots, and not the name of a module that Python has."
        )
    return folder


def _others(place: Path) -> tuple[str, ...]:
    """The modules of the project's own folder that belong to the other one of its suites."""
    if place == OWN_FOLDER:
        return (f"{OWN_FOLDER.name}.{CONSUMERS.name}",)
    if place == CONSUMERS:
        return tuple(f"{OWN_FOLDER.name}.{one.stem}" for one in sorted(OWN_FOLDER.glob("[!_]*.py")))
    return ()


def link_asv_runner(folder: Path) -> Path:
    """Make a folder that holds asv_runner and what it uses, for the path of another interpreter, and return it.

    asv_runner needs the standard library alone, and pympler, in which asv has the sizes of objects. Our own
    site-packages would bring numpy and others along, compiled for another Python.
    """
    library = folder / "library"
    library.mkdir()
    for package in (asv_runner, pympler):
        (library / package.__name__).symlink_to(Path(package.__path__[0]), target_is_directory=True)
    return library


def parse(told: Iterable[Mapping[str, Any]]) -> Found:
    """Turn the lines that `discovery` wrote into benchmarks, one for each combination of parameters.

    Combinations that read alike get numbers (`Benchmark.twin`); problems of one kind are one problem.
    """
    benchmarks: list[Benchmark] = []
    problems: dict[str, list[tuple[str, str]]] = {}
    records: dict[str, Mapping[str, Any]] = {}
    places: dict[str, Mapping[str, str]] = {}
    for line in told:
        if "benchmark" in line:
            one = line["benchmark"]
            records[one["name"]] = one["record"]
            places[one["name"]] = {"place": one["place"], "doc": one["doc"]}
            benchmarks += _told_apart(list(_expand(one)))
        if "problem" in line:
            one = line["problem"]
            problems.setdefault(one["why"], []).append((one["place"], one["what"]))
    return Found(
        benchmarks=_with_one_limit(benchmarks),
        problems=tuple(_grouped(why, where) for why, where in problems.items()), records=records, places=places,
    )


def _with_one_limit(benchmarks: Sequence[Benchmark]) -> tuple[Benchmark, ...]:
    """Benchmarks that share a cache, with the longest of their limits for making it, as in asv."""
    limits: dict[str, float] = {}
    for cache in (benchmark.cache for benchmark in benchmarks):
        if cache is not None:
            limits[cache.key] = max(cache.timeout, limits.get(cache.key, 0.0))
    return tuple(
        one if one.cache is None else replace(one, cache=replace(one.cache, timeout=limits[one.cache.key]))
        for one in benchmarks
    )


def _grouped(why: str, where: Sequence[tuple[str, str]]) -> str:
    """One sentence for all that have a problem in common; `why` begins with *is*, *was* or another verb."""
    distinct = list(dict.fromkeys(where))
    if len(distinct) == 1:
        return f"{distinct[0][0]}: {distinct[0][1]} {why}"
    named = listed([f"{what} ({place})" for place, what in distinct], NAMED)
    verb, _, rest = why.partition(" ")
    return f"{named} {({'is': 'are', 'was': 'were'}).get(verb, verb)} {rest}"


def _told_apart(benchmarks: Sequence[Benchmark]) -> list[Benchmark]:
    """The same, numbered where several read alike: in the order of their values, which is the same in every process."""
    alike: dict[str, list[tuple[str, ...]]] = {}
    for one in benchmarks:
        alike.setdefault(one.key, []).append(tuple(one.params.values()))
    if len(alike) == len(benchmarks):
        return list(benchmarks)
    return [
        one if len(there := alike[one.key]) == 1 else
        replace(one, twin=sorted(there).index(tuple(one.params.values())))
        for one in benchmarks
    ]


def _expand(record: Mapping[str, Any]) -> Iterable[Benchmark]:
    for index in record["indexes"]:
        values = [shown[i] for shown, i in zip(record["params"], index, strict=True)]
        contents = tuple(held[i] for held, i in zip(record["contents"], index, strict=True))
        yield Benchmark(
            name=record["name"],
            attribute=record["attribute"],
            params=dict(zip(record["param_names"], values, strict=True)),
            index=tuple(index),
            metric=Metric(record["metric"]),
            unit=record["unit"],
            version=record["version"],
            timeout=record["timeout"],
            number=record["number"],
            form=record["form"],
            cache=record["cache"] and Cache(**record["cache"]),
            contents=contents if any(one is not None for one in contents) else (),
        )


def _last_module(told: Sequence[Mapping[str, Any]]) -> str | None:
    return next((line["module"] for line in reversed(told) if "module" in line), None)
