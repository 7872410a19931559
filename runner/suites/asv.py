"""asv suites: which benchmarks a folder holds, as the measured interpreter itself sees them, and how to load one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asv_runner

from runner import shell
from runner.errors import UsageError
from runner.model import Benchmark, Metric
from runner.owned import owned
from runner.suites.fingerprint import Watched
from runner.suites.protocol import Found, Loader

OWN_NAME = "bytesio"
OWN_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
DISCOVERY = Path(__file__).with_name("discovery.py")
LOADED = Path(__file__).with_name("asv_loaded.py")
TIME_LIMIT = 60.0
"""Seconds for one interpreter to import a whole suite."""


class AsvSuite:
    """A folder of asv benchmarks: a `protocol.Suite`."""

    packages = ("asv_runner",)
    skips: Mapping[str, str] = {}

    def __init__(self, name_or_dir: str | None) -> None:
        """None or ``bytesio`` is the project's own, anything else a folder.

        Raises UsageError when there is no such folder, when it holds no Python files, or when its name cannot be that
        of a package (it is imported under its own name, as asv does).
        """
        self.folder = _folder(name_or_dir)

    @property
    def place(self) -> str:
        return str(self.folder)

    def watch(self) -> Watched:
        """See `protocol.Suite`."""
        return Watched(self.folder)

    def discover(self, executable: Path) -> Found:
        """See `protocol.Suite`. A module that ends the process is left out with a problem, and the others are kept."""
        suite = self.folder
        crashed: dict[str, str] = {}
        with owned("lockstep-discovery-") as folder:
            library = link_asv_runner(folder)
            while True:
                result = folder / "found"
                result.unlink(missing_ok=True)
                # Absolute, since it runs elsewhere; not resolved, since a virtual environment is found by the link.
                command: list[str | Path] = [executable.absolute(), "-s", DISCOVERY, library, suite, result, *crashed]
                ended = shell.run(command, cwd=folder, env=_environment(), timeout=TIME_LIMIT)
                told = _read(result)
                if not any("ready" in line for line in told):
                    raise UsageError(_refusal(executable, suite, ended))
                if ended.timed_out or any("done" in line for line in told):
                    break
                module = _last_module(told)
                if module is None or module in crashed:
                    break
                crashed[module] = f"{module} ended the interpreter while it was looked at ({_cause(ended.code)})"
        found = parse(told)
        problems = [*crashed.values(), *found.problems]
        if ended.timed_out:
            problems.append(
                f"{_last_module(told)} was not looked at to the end within {TIME_LIMIT:.0f} s; "
                "what comes after it is not measured"
            )
        return replace(found, problems=tuple(problems))

    def loader(self, scratch: Path) -> Loader:
        """See `protocol.Suite`. asv_runner is what it makes: for suites that use its marks."""
        library = link_asv_runner(scratch)

        def loading(benchmark: Benchmark) -> Mapping[str, object]:
            module, attribute = _split(benchmark.name, self.folder)
            return {
                "file": str(LOADED), "folder": str(self.folder), "module": module, "attribute": attribute,
                "path": [str(library)], "index": list(benchmark.index), "number": benchmark.number or 0,
            }

        return loading


def _folder(name_or_dir: str | None) -> Path:
    name = name_or_dir or OWN_NAME
    folder = OWN_FOLDER if name == OWN_NAME else Path(name).expanduser().resolve()
    if not folder.exists():
        raise UsageError(
            f"There is no suite {name}: {folder} does not exist. "
            f"Give {OWN_NAME} or a folder of asv benchmarks."
        )
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file. Give the folder that holds the benchmarks (asv's benchmark_dir).")
    if not any(folder.glob("*.py")) and not any(folder.glob("*/__init__.py")):
        raise UsageError(f"{folder} holds no Python files. Give the folder of the benchmarks (asv's benchmark_dir).")
    if not folder.name.isidentifier() or folder.name in {*sys.stdlib_module_names, "asv_runner"}:
        raise UsageError(
            f"{folder} cannot be imported as a package called {folder.name!r}. "
            "Rename it: letters, digits and underscores, and not the name of a module that Python has."
        )
    return folder


def link_asv_runner(folder: Path) -> Path:
    """Make a folder that holds asv_runner and nothing else, for the path of another interpreter, and return it.

    asv_runner needs the standard library alone. Our own site-packages would bring numpy and others along, compiled
    for another Python.
    """
    library = folder / "library"
    library.mkdir()
    (library / "asv_runner").symlink_to(Path(asv_runner.__path__[0]), target_is_directory=True)
    return library


def _split(name: str, suite: Path) -> tuple[str, str]:
    """``sub.module.Class.time_x`` as the module's and the attribute's names, which the suite's folder tells apart."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        if suite.joinpath(*parts[:cut]).with_suffix(".py").is_file():
            return ".".join(parts[:cut]), ".".join(parts[cut:])
    return parts[0], ".".join(parts[1:])


def parse(told: Iterable[Mapping[str, Any]]) -> Found:
    """Turn the lines that `discovery` wrote into benchmarks, one for each combination of parameters."""
    benchmarks: dict[str, Benchmark] = {}
    problems: dict[str, None] = {}
    records: dict[str, Mapping[str, Any]] = {}
    places: dict[str, Mapping[str, str]] = {}
    for line in told:
        if "benchmark" in line:
            one = line["benchmark"]
            records.setdefault(one["name"], one["record"])
            places.setdefault(one["name"], {"place": one["place"], "doc": one["doc"]})
        if "problem" in line:
            problems[line["problem"]] = None
        for benchmark in _expand(line["benchmark"]) if "benchmark" in line else ():
            if benchmark.key in benchmarks:
                problems[f"{benchmark.key} is there twice, and the second is not measured: give it another name"] = None
            benchmarks.setdefault(benchmark.key, benchmark)
    return Found(benchmarks=tuple(benchmarks.values()), problems=tuple(problems), records=records, places=places)


def _expand(record: Mapping[str, Any]) -> Iterable[Benchmark]:
    for index in record["indexes"]:
        values = [shown[i] for shown, i in zip(record["params"], index, strict=True)]
        yield Benchmark(
            name=record["name"],
            params=dict(zip(record["param_names"], values, strict=True)),
            index=tuple(index),
            metric=Metric(record["metric"]),
            unit=record["unit"],
            version=record["version"],
            timeout=record["timeout"],
            number=record["number"],
        )


def _environment() -> dict[str, str]:
    """The caller's, without what steers Python: PYTHONPATH and its like belong to the interpreter that runs Lockstep.

    PYTHONSAFEPATH is the option -P for an interpreter that knows it, and nothing to one that does not.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0"}


def _read(result: Path) -> list[dict[str, Any]]:
    """Lines of JSON so far; a torn last line is left out."""
    if not result.exists():
        return []
    text = result.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _last_module(told: Sequence[Mapping[str, Any]]) -> str | None:
    return next((line["module"] for line in reversed(told) if "module" in line), None)


def _cause(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _refusal(executable: Path, suite: Path, ended: shell.Result) -> str:
    said = [line for line in ended.output.splitlines() if line.strip()][-3:]
    why = "it did not answer" if ended.timed_out else f"it ended with {_cause(ended.code)}"
    last = "".join(f"\n  {line}" for line in said)
    return (
        f"{executable} cannot list the benchmarks in {suite}: {why}. "
        f"Is it Python 3.8 or later, and does it start?{' It said:' if said else ''}{last}"
    )
