"""pyperf scripts: which benchmarks they have, as the measured interpreter itself sees them, and how to load one."""

from __future__ import annotations

import hashlib
import json
import shlex
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyperf
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from runner import config, shell
from runner.errors import UsageError
from runner.model import Benchmark, Metric
from runner.owned import owned
from runner.suites import listing, pyperf_requirements, pyperf_scripts
from runner.suites.asv_params import clean
from runner.suites.fingerprint import Watched
from runner.suites.protocol import Found, Loader
from runner.suites.pyperf_loaded import escaped
from runner.suites.pyperf_requirements import InstallError
from runner.suites.pyperf_scripts import Script

DISCOVERY = Path(__file__).with_name("pyperf_discovery.py")
LOADED = Path(__file__).with_name("pyperf_loaded.py")
TIME_LIMIT = 60
"""Seconds for one script to come to its end when nothing is measured, and for a call where the script has no limit of
its own (pyperf's --timeout)."""
ASK = (
    f"import sys; sys.path.insert(0, {str(LOADED.parent)!r}); import {LOADED.stem}; "
    f"print('\\nlockstep', '%d.%d.%d' % sys.version_info[:3], {LOADED.stem}.kind())"
)
UNITS = {"byte": "bytes", "integer": "unit"}
"""What pyperf calls the units of values that are no times, and what Lockstep does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interpreter:
    """What decides which scripts an interpreter can run, and with which packages."""

    version: str
    """Without the level: ``3.14.0``."""
    kind: str
    """See `pyperf_loaded.kind`."""


class PyperfSuite:
    """One pyperf script, or those of a manifest: a `protocol.Suite`."""

    skips: Mapping[str, str] = {}

    def __init__(self, word: str, options: Sequence[str] = ()) -> None:
        """`word` names it as `pyperf_scripts.open` says; `options` are the scripts' own. Raises UsageError."""
        self._named = pyperf_scripts.open(word, options)
        self._options = tuple(options)

    @property
    def place(self) -> str:
        """See `protocol.Suite`. With options it is a command line."""
        return shlex.join([self._named.place, *self._options]) if self._options else self._named.place

    @property
    def packages(self) -> tuple[str, ...]:
        """See `protocol.Suite`."""
        of_scripts = self._named.place.partition(":")[0] == pyperf_scripts.PYPERFORMANCE
        return ("pyperf", pyperf_scripts.PYPERFORMANCE) if of_scripts else ("pyperf",)

    def watch(self) -> Watched:
        """See `protocol.Suite`. Of a script that has no folder of its own, it and the Python files beside it."""
        return Watched(self._named.folder, self._named.watched)

    def discover(
        self, executable: Path, environment: Mapping[str, str] | None = None, *, hash_seed: int = 0
    ) -> Found:
        """See `protocol.Suite`. What a script gives before it ends in an error is kept, and the error is a problem.

        Packages that scripts need are installed first, where they are not there yet.
        """
        given = config.environment() if environment is None else environment
        variables = {**given, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": str(hash_seed)}
        asked = self._ask(executable, variables)
        scripts, problems = _fit(self._named.scripts, executable, asked.version)
        scripts, refused = self._install(scripts, executable, asked.kind, given)
        told, printed = self._run(scripts, executable, variables)
        benchmarks, places = list[Benchmark](), dict[str, Mapping[str, str]]()
        taken: set[str] = set()
        for script, lines, last in zip(scripts, told, printed, strict=True):
            for line in lines:
                if "benchmark" in line:
                    one = _benchmark(script, line["benchmark"], taken)
                    benchmarks.append(one)
                    places[one.name] = {"place": clean(line["benchmark"]["place"]),
                                        "doc": clean(line["benchmark"]["doc"])}
            problems += _problems(script, lines, last)
        unlisted: dict[str, str] = {}
        for script, why in refused:
            benchmarks.append(_benchmark(script, {"name": script.entry, "unit": "second", "inner": 1,
                                                  "timeout": None}, taken))
            unlisted[benchmarks[-1].name] = script.entry
            problems.append(f"{script.entry}: what it needs could not be installed for {executable}: "
                            f"{' '.join(why.split())}")
        return Found(benchmarks=tuple(benchmarks), problems=tuple(problems), places=places, unlisted=unlisted)

    def loader(self, scratch: Path) -> Loader:
        """See `protocol.Suite`. pyperf is what it makes there."""
        library = link_pyperf(scratch)
        scripts = {one.entry: one for one in self._named.scripts}
        for requirements in {one.requirements for one in scripts.values() if one.requirements is not None}:
            pyperf_requirements.mark(requirements)

        def loading(benchmark: Benchmark) -> Mapping[str, object]:
            entry, _, name = benchmark.attribute.partition(":")
            if entry not in scripts:
                raise UsageError(f"{benchmark.name} is of the script {entry}, which {self.place} does not have now.")
            script = scripts[entry]
            return {
                "file": str(LOADED), "library": str(library), "script": str(script.file),
                "options": list(script.options), "name": name, "path": _path(script),
            }

        return loading

    def _ask(self, executable: Path, variables: Mapping[str, str]) -> _Interpreter:
        ended = shell.run([executable.absolute(), "-s", "-c", ASK], env=variables, timeout=TIME_LIMIT)
        line = next((line for line in ended.output.splitlines() if line.startswith("lockstep ")), None)
        if line is None:
            raise UsageError(listing.refusal(executable, f"of {self.place}", ended))
        _, version, kind = line.split()
        return _Interpreter(version=version, kind=kind)

    def _install(
        self, scripts: Sequence[Script], executable: Path, kind: str, environment: Mapping[str, str]
    ) -> tuple[list[Script], list[tuple[Script, str]]]:
        """The scripts whose packages are there, and the others, each with what pip said."""
        failed: dict[Path, str] = {}
        for requirements in dict.fromkeys(one.requirements for one in scripts if one.requirements is not None):
            try:
                pyperf_requirements.install(requirements, executable, kind, environment)
            except InstallError as error:
                failed[requirements] = str(error)
        there = [one for one in scripts if one.requirements is None or one.requirements not in failed]
        return there, [(one, failed[one.requirements]) for one in scripts if one.requirements in failed]

    def _run(
        self, scripts: Sequence[Script], executable: Path, variables: Mapping[str, str]
    ) -> tuple[list[list[dict[str, Any]]], list[str]]:
        """What `pyperf_discovery` tells of each script, and the last line that the script printed."""
        with owned("lockstep-discovery-") as folder:
            plan = {
                "library": str(link_pyperf(folder)), "limit": TIME_LIMIT, "results": str(folder),
                "scripts": [
                    {"script": str(one.file), "options": list(one.options), "path": _path(one)} for one in scripts
                ],
            }
            (folder / "plan").write_text(json.dumps(plan), encoding="utf-8")
            # Absolute, since it runs elsewhere; not resolved, since a virtual environment is found by the link.
            ended = shell.run(
                [executable.absolute(), "-s", DISCOVERY, folder / "plan"], cwd=folder, env=variables,
                timeout=TIME_LIMIT * (len(scripts) + 1),
            )
            if ended.code or ended.timed_out:
                raise UsageError(listing.refusal(executable, f"of {self.place}", ended))
            told = [listing.lines(folder / f"{number}.found") for number in range(len(scripts))]
            return told, [_last(folder / f"{number}.printed") for number in range(len(scripts))]


def link_pyperf(folder: Path) -> Path:
    """Make a folder that holds pyperf, for the path of another interpreter, and return it.

    pyperf needs the standard library alone; our own site-packages would bring others along, compiled for another
    Python.
    """
    library = folder / "library"
    library.mkdir()
    (library / pyperf.__name__).symlink_to(Path(pyperf.__path__[0]), target_is_directory=True)
    return library


def _path(script: Script) -> list[str]:
    return [] if script.requirements is None else [str(pyperf_requirements.place(script.requirements))]


def _fit(scripts: Iterable[Script], executable: Path, version: str) -> tuple[list[Script], list[str]]:
    """The scripts that are for this version of Python, and what is said of the others."""
    fit, problems = list[Script](), list[str]()
    for one in scripts:
        try:
            if SpecifierSet(one.python).contains(version):
                fit.append(one)
            else:
                problems.append(f"{one.entry} is not measured with {executable}: it is for Python {one.python}, "
                                f"and this is {version}")
        except InvalidSpecifier:
            problems.append(f"{one.entry} is not measured: the Python that it is for, {one.python!r}, cannot be read")
    return fit, problems


def _benchmark(script: Script, told: Mapping[str, Any], taken: set[str]) -> Benchmark:
    """The benchmark; its name is then `taken`. One of a name that is taken has its script's before it."""
    name = clean(told["name"])
    if name in taken:
        name = f"{script.entry}.{name}"
    taken.add(name)
    timed = told["unit"] == "second"
    hashed = hashlib.sha256(script.file.read_bytes())
    hashed.update(json.dumps([script.options, told["name"]]).encode())
    return Benchmark(
        name=name, params={}, index=(), metric=Metric.TIME if timed else Metric.TRACK,
        unit="s" if timed else UNITS.get(told["unit"], told["unit"]), version=hashed.hexdigest(),
        timeout=float(told["timeout"] or TIME_LIMIT), number=told["inner"] if timed and told["inner"] > 1 else None,
        form="task", attribute=f"{script.entry}:{escaped(told['name'])}",
    )


def _problems(script: Script, told: Sequence[Mapping[str, Any]], last: str) -> list[str]:
    """What is to be said of a script that did not end well, or gave nothing."""
    name = script.entry or script.file.name
    count = sum("benchmark" in line for line in told)
    kept = (" It gave no benchmark before." if not count else
            f" What it gave before, {count} benchmark{'s' if count > 1 else ''}, is measured.")
    printed = f" The last that it printed: {last.rstrip('.')}." if last else ""
    for line in told:
        if "ended" in line:
            place, error = line["ended"]["place"], clean(line["ended"]["error"])
            said = printed if "sys.exit" in error else ""
            where = f" ({clean(place)})" if place else ""
            return [f"{name} ended in an error{where}: {error.rstrip('.')}.{said}{kept}"]
    code = next((line["code"] for line in told if "code" in line), 0)
    if code == -signal.SIGALRM:
        return [f"{name} did not come to its end within {TIME_LIMIT} s, though nothing was measured.{kept}"]
    if code:
        return [f"{name} ended the interpreter ({listing.cause(code)}).{printed}{kept}"]
    return [] if count else [f"{name} has no benchmarks: it makes none with a pyperf.Runner.{printed}"]


def _last(path: Path) -> str:
    """The last line that a script printed."""
    text = path.read_bytes()[-2000:].decode("utf-8", "replace") if path.exists() else ""
    lines = [line for line in text.splitlines() if line.strip()]
    return clean(" ".join(lines[-1].split())) if lines else ""
