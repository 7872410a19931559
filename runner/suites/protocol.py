"""What a suite is to the rest of the program, whatever its kind; and which of its benchmarks a run is about."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from runner.errors import UsageError, listed
from runner.model import Arm, Benchmark
from runner.suites.fingerprint import Watched

Loader = Callable[[Benchmark], Mapping[str, object]]
"""What a worker is told, so that it loads a benchmark: ``file``, the Python file whose function `load` takes all of
this, with ``stay``, and the class that loads a source file by its path, and returns what `worker.Loaded` describes (or
serves it: see there); and whatever else that function needs. All of it literals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one interpreter sees in a suite."""

    benchmarks: tuple[Benchmark, ...]
    """In the order of modules, classes and parameters; their keys are distinct."""
    problems: tuple[str, ...]
    """What cannot be measured, such as a module that could not be imported: in words, with file and line if known."""
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the suite's own tools say of each benchmark, by name, all parameters together."""
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each name its ``place`` (``benchmarks/construct.py:12``) and ``doc``, its description; both may be empty."""
    unlisted: Mapping[str, str] = field(default_factory=dict)
    """Benchmarks that stand for all of a script that could not be listed, since it lacks what it needs: name to script.
    Where another interpreter can list them, these stand in their place, and fail with the reason."""


class Suite(Protocol):
    """Benchmarks of one kind in one place."""

    @property
    def place(self) -> str:
        """Where it is, absolute: `open` makes the same suite of it."""
        ...

    @property
    def skips(self) -> Mapping[str, str]:
        """Benchmarks that the suite wants to have left out: key to reason."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions of ours that measured processes import: their versions belong to a run."""
        ...

    def watch(self) -> Watched:
        """What it holds now, by content, and from now on whether that is edited. Raises UsageError."""
        ...

    def discover(
        self, executable: Path, environment: Mapping[str, str] | None = None, *, hash_seed: int = 0
    ) -> Found:
        """What an interpreter sees, found in a process of its own; `environment`: as a worker gets it.

        Raises UsageError when it cannot list benchmarks at all, and MachineError when it cannot be started.
        """
        ...

    def loader(self, scratch: Path) -> Loader:
        """What gives a worker's load requests; the files that these need are made in `scratch` now."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What a run is about."""

    benchmarks: tuple[Benchmark, ...]
    """The ones that both interpreters see, in base's order."""
    missing: tuple[tuple[Benchmark, Arm], ...]
    """The ones that only one of them sees, each with the arm that has it. What has one name in both and is not the same
    is here once, as base's."""


def select(base: Found, head: Found, pattern: str | None) -> Selection:
    """Return the benchmarks whose key matches `pattern` (`re.search`, case matters; None: all), in both arms or in one.

    Two benchmarks are the same if they agree in key, metric, unit, and what they are in the suite's files.

    Raises UsageError when the pattern is no regular expression, or when nothing matches.
    """
    try:
        regex = re.compile(pattern or "")
    except re.error as error:
        raise UsageError(
            f"{pattern!r} is not a regular expression: {error}. "
            f"To find it as it stands, write {re.escape(pattern or '')!r}."
        ) from error
    arms = {arm: {_identity(b): b for b in found.benchmarks} for arm, found in ((Arm.BASE, base), (Arm.HEAD, head))}
    chosen = {
        arm: {identity: b for identity, b in there.items() if regex.search(b.key)} for arm, there in arms.items()
    }
    if not any(chosen.values()):
        raise UsageError(_nothing(pattern, [b for there in arms.values() for b in there.values()], base, head))
    missing: dict[str, tuple[Benchmark, Arm]] = {}
    for arm, there in chosen.items():
        for identity, b in there.items():
            if identity not in chosen[arm.other]:
                missing.setdefault(b.key, (b, arm))  # what has one name in both, and is not the same, is told of once
    return Selection(
        benchmarks=tuple(b for identity, b in chosen[Arm.BASE].items() if identity in chosen[Arm.HEAD]),
        missing=tuple(missing.values()),
    )


def described(base: Found, head: Found, selection: Selection) -> dict[str, Mapping[str, str]]:
    """What the selected benchmarks say of themselves, by name: ``doc``, ``place`` and ``code``, their source.

    Head's words where both interpreters see a benchmark.
    """
    names = {b.name for b in (*selection.benchmarks, *(b for b, _ in selection.missing))}
    return {
        name: {**one.places.get(name, {}), "code": str(one.records.get(name, {}).get("code", ""))}
        for one in (base, head) for name in one.places if name in names
    }


def _identity(benchmark: Benchmark) -> tuple[object, ...]:
    return benchmark.key, benchmark.metric, benchmark.unit, benchmark.attribute


def discover(
    suite: Suite, base: Path, head: Path, environment: Mapping[str, str] | None = None
) -> tuple[Found, Found]:
    """What two interpreters see, with different hash seeds.

    What one of them could not list (`Found.unlisted`) it is taken to have as the other one does. A benchmark whose
    parameters have other names in every process could not be found again: it is left out of both, and is a problem.
    Raises as `Suite.discover` does.
    """
    found = suite.discover(base, environment, hash_seed=0), suite.discover(head, environment, hash_seed=1)
    found = _named(*found), _named(*found[::-1])
    found = _listed(*found), _listed(*found[::-1])
    found = _steady(*found), found[1]
    keys = [_keys(one) for one in found]
    differing = {name for name in keys[0].keys() & keys[1].keys() if keys[0][name] != keys[1][name]}
    if not differing:
        return found
    # Between two versions names may differ for good; in one, from one process to the next, they may not.
    again = _keys(suite.discover(base, environment, hash_seed=1))
    unsteady = {name: keys[0][name] ^ again.get(name, set()) for name in differing if keys[0][name] != again.get(name)}
    if not unsteady:
        return found
    seen = " and ".join(sorted(unsteady[min(unsteady)])[:2])
    problem = (
        f"{listed(sorted(unsteady), 1)} cannot be measured: parameters have other names in every process, such as "
        f"{seen}. Make them of constants, or give them a __repr__ that is the same in every process"
    )
    return tuple(
        replace(one, benchmarks=tuple(b for b in one.benchmarks if b.name not in unsteady),
                problems=(*one.problems, problem))
        for one in found
    )  # type: ignore[return-value]


def _named(one: Found, other: Found) -> Found:
    """What one interpreter sees, with the other's names for tasks that are told there from another script's.

    Two scripts may use one name, and one of them be for one of the interpreters alone.
    """
    theirs = {there.attribute: there.name for there in other.benchmarks if there.form == "task"}
    mine = {there.name for there in one.benchmarks}
    names = {there.name: name for there in one.benchmarks if there.form == "task"
             and len(name := theirs.get(there.attribute, "")) > len(there.name) and name not in mine}
    return replace(
        one, benchmarks=tuple(replace(there, name=names.get(there.name, there.name)) for there in one.benchmarks),
        places={names.get(name, name): place for name, place in one.places.items()},
        unlisted={names.get(name, name): script for name, script in one.unlisted.items()},
    ) if names else one


def _listed(one: Found, other: Found) -> Found:
    """What one interpreter sees, with the other's benchmarks in the place of those that could not be listed."""
    def of(stand_in: Benchmark) -> tuple[Benchmark, ...]:
        script = one.unlisted.get(stand_in.name)
        found = () if script is None else tuple(
            there for there in other.benchmarks
            if there.attribute.partition(":")[0] == script and there.name not in (*other.unlisted, *taken))
        return found or (stand_in,)

    taken = {benchmark.name for benchmark in one.benchmarks} - set(one.unlisted)
    return replace(one, benchmarks=tuple(there for benchmark in one.benchmarks for there in of(benchmark)))


def _steady(base: Found, head: Found) -> Found:
    """Base's, with those `Benchmark.contents` that head's process saw too: by others no value can be found again."""
    seen = [_contents(one) for one in (base, head)]
    kept = {place for place, there in seen[0].items() if there == seen[1].get(place)}
    benchmarks = []
    for one in base.benchmarks:
        contents = tuple(held if (one.name, i) in kept else None for i, held in enumerate(one.contents))
        benchmarks.append(replace(one, contents=contents if any(held is not None for held in contents) else ()))
    return replace(base, benchmarks=tuple(benchmarks))


def _contents(found: Found) -> dict[tuple[str, int], list[int]]:
    """The contents of each parameter's values, by benchmark and place of the parameter, in ascending order."""
    there: dict[tuple[str, int], dict[str, int]] = {}
    for one in found.benchmarks:
        for i, (name, held) in enumerate(zip(one.params.values(), one.contents, strict=False)):
            if held is not None:
                there.setdefault((one.name, i), {})[name] = held
    return {place: sorted(held.values()) for place, held in there.items()}


def _keys(found: Found) -> dict[str, set[str]]:
    keys: dict[str, set[str]] = {}
    for benchmark in found.benchmarks:
        keys.setdefault(benchmark.name, set()).add(benchmark.key)
    return keys


def _nothing(pattern: str | None, there: Sequence[Benchmark], base: Found, head: Found) -> str:
    if not there:
        problems = "".join(f"\n  {problem}" for problem in dict.fromkeys((*base.problems, *head.problems)))
        return "The suite holds no benchmarks that can be measured" + (f":{problems}" if problems else ".")
    words = str(pattern)
    names = list(dict.fromkeys(benchmark.name for benchmark in there))
    near = [name for name in names if words.lower() in name.lower()]
    parts = {part: name for name in names for part in (name, *name.split("."))}
    near += [parts[part] for part in difflib.get_close_matches(words, parts, n=5, cutoff=0.5)]
    listed = list(dict.fromkeys(near))[:5]
    lead = "Near it" if listed else "There are for example"
    return f"No benchmark matches {words!r} (case matters). {lead}: {', '.join(listed or names[:5])}."
