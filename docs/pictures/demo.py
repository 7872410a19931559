"""A history that nobody measured, for pictures: three weeks of nights of a branch, releases, events."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from made_files import HOST, results
from made_runs import MACHINE, arm, make_run
from samples import Quiet, benchmark

from runner import jobs
from runner.history import events
from runner.history.events import Affected, Direction, Entry, Event, State
from runner.model import Benchmark, Commit, Interpreter, Metric, Purpose, Role
from runner.storage import explanations, imports, nights
from runner.storage.explanations import Count, Kept
from runner.storage.imports import Imported
from runner.storage.nights import Measured, Night, Outcome, Step
from runner.storage.store import new_id

DAY = 86_400
NIGHTS = 21
REPOSITORY = "https://github.com/python/cpython"
BOX = {**MACHINE, "cpu": "AMD EPYC 7763", "cores": 8, "threads": 16, "kernel": "6.12", "ram": 32 << 30}
ANCHOR = "cpython@3.14.0"
SIZES = ("64B", "4KiB", "64KiB", "1MiB")
SUITE = {
    "construct": ("FromBytes.time_construct", "FromBytearray.time_construct"),
    "lines": ("Lines.time_iterate", "Lines.time_readlines"),
    "lookups": ("Keys.time_get", "Attributes.time_get"),
    "packing": ("Pickle.time_load", "Pickle.time_dump"),
    "writing": ("Append.time_append", "Overwrite.time_overwrite"),
}
SUBJECTS = (
    "Explain in the docs what a reader gets", "Mend a test that is slow", "Free what a failed import has left",
    "Say which argument is wrong", "Add a test for reading past the end", "Rename a variable in the compiler",
    "Give iterators a hint of length", "Take a lock for a shorter time",
)
FASTER, BROKEN, SLOWER = 7, 11, 14
"""Nights whose commits made something faster, did not build, and made something slower."""
THEIRS = {FASTER: "Share the bytes that BytesIO is made from", SLOWER: "Look keys up in the instance first"}
RELEASES = {"3.12.8": -0.05, "3.13.5": -0.09, "3.14.0": -0.14}
"""Log ratios of all benchmarks to 3.11.9."""
PYPERFORMANCE = {
    "deltablue": (2.6e-3, 0.9), "json_loads": (2.1e-5, 0.1), "nbody": (7.9e-2, 0.6), "pickle": (8.7e-6, 0.0),
    "richards": (3.6e-2, 1.3), "telco": (6.3e-3, 0.4),
}
"""Seconds of a call in 3.11.9, and how much of a release's change each gets."""
CODE = '''\
def time_get(self, n):
    get = self.mapping.get
    for key in self.keys:
        get(key)
'''
DOC = "Looks up keys that are there, one after the other."


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What was made."""

    folder: Path
    """For state: runs, nights, events."""
    last: Path
    """The run whose own report is shown: the newest commit against the anchor."""
    event: str
    """Id of the event that is shown."""
    key: str
    """Of the benchmark that is shown."""


def make(folder: Path) -> Demo:
    """Make the history in a folder that is empty: it ends this morning."""
    suite = [
        *(benchmark(f"{module}.{name}", params={"size": size}, index=(place,))
          for module, names in SUITE.items() for name in names for place, size in enumerate(SIZES)),
        benchmark("memory.Copies.peakmem_copy", Metric.PEAK_MEMORY),
    ]
    runs, last = folder / "runs", _last()
    _releases(runs, suite, last - (NIGHTS + 3) * DAY)
    before: Path | None = None
    for number in range(NIGHTS):
        before = _night(folder, suite, number, last - (NIGHTS - 1 - number) * DAY)
    slower = _confirmed(folder, suite, SLOWER, last - (NIGHTS - 1 - SLOWER) * DAY)
    _confirmed(folder, suite, FASTER, last - (NIGHTS - 1 - FASTER) * DAY)
    _imported(folder / imports.FOLDER, last)
    assert before is not None
    jobs.save(jobs.Finished(folder=before, report=jobs.report_of(before), interrupted=False))
    return Demo(folder=folder, last=before, event=slower.id, key=slower.benchmarks[0].benchmark)


def _imported(folder: Path, last: float) -> None:
    """Results of pyperformance, of one machine, for each of the releases."""
    for number, (release, change) in enumerate(RELEASES.items()):
        benchmarks = {name: typical * math.exp(change * weight) for name, (typical, weight) in PYPERFORMANCE.items()}
        started = last - (40 - 10 * number) * DAY
        imports.add(folder, Imported(
            id=new_id(started), imported=started, build=release, machine="bench1", files=(results(
                benchmarks, seed=number + 1, started=started, metadata={**HOST, "hostname": "bench1",
                "cpu_model_name": BOX["cpu"], "python_version": f"{release} (64-bit)"}),)))


def publish(demo: Demo, site: Path) -> Sequence[str]:
    """Make the site; returns what is missing of it."""
    done = jobs.publish(jobs.PublishRequest(
        out=site, runs=demo.folder / "runs", state=demo.folder, commit_url=f"{REPOSITORY}/commit/{{hash}}",
    ), Quiet())
    return done.problems


def _last() -> float:
    """Two o'clock this morning, UTC; yesterday's where that is still to come."""
    now = time.time()
    return now // DAY * DAY + 2 * 3600 - (DAY if now % DAY < 3 * 3600 else 0)


def _commit(number: int) -> Commit:
    digest = hashlib.sha1(f"{number}".encode(), usedforsecurity=False).hexdigest()
    return Commit(
        hash=digest, date=_last() - (NIGHTS - number) * DAY, repository=REPOSITORY, branch="main",
        subject=THEIRS.get(number, SUBJECTS[number % len(SUBJECTS)]), position=120_000 + number)


def _built(spec: str, version: str, commit: Commit | None = None) -> Interpreter:
    digest = hashlib.sha256(spec.encode()).hexdigest()
    return replace(arm(spec), sha256=digest, version=version, commit=commit, facts={"compiler": "GCC 14.2.0"})


def _head(number: int) -> Interpreter:
    commit = _commit(number)
    return _built(f"git:{REPOSITORY}@{commit.hash}", "3.15.0a3+", commit)


def _truth(suite: Sequence[Benchmark], number: int, luck: np.random.Generator) -> dict[str, float]:
    """Log ratios of a commit to the anchor, by key, with what differs between two nights of its own accord."""
    found = {}
    for place, one in enumerate(suite):
        truth = 0.004 * ((place * 7) % 5 - 2)
        if one.name.startswith("construct.FromBytes.") and number >= FASTER:
            truth -= 0.09 * (1 + one.index[0]) ** 2
        if one.name.startswith("lookups.") and number >= SLOWER:
            truth += 0.034
        found[one.key] = truth + luck.normal(0, 0.0015)
    return found


def _run(
    folder: Path, suite: Sequence[Benchmark], created: float, pair: tuple[Interpreter, Interpreter],
    changed: Mapping[str, float], purpose: Purpose | None, night: str = "",
) -> Path:
    base, head = pair
    role = None if purpose is None else Role(watch="main", configuration="", purpose=purpose, night=night)
    seed = int(created) % 9973
    return make_run(
        folder, int(created) % 0xFFFFFF, suite, created=created, base=base, head=head, changed=changed, machine=BOX,
        role=role, suite="/srv/lockstep/benchmarks", seed=seed, blocks=6, scope="binary" if role is None else "source",
        command=f"lockstep ab {base.spec} {head.spec} --suite bytesio --seed {seed}",
        described={one.name: {"doc": DOC, "place": f"{one.name.partition('.')[0]}.py:12", "code": CODE}
                   for one in suite},
    )


def _releases(runs: Path, suite: Sequence[Benchmark], created: float) -> None:
    old = _built("cpython@3.11.9", "3.11.9")
    luck = np.random.default_rng(1)
    for number, (version, change) in enumerate(RELEASES.items()):
        changed = {one.key: change + luck.normal(0, 0.03) for one in suite}
        _run(runs, suite, created + 3600 * number, (old, _built(f"cpython@{version}", version)), changed, None)


def _night(folder: Path, suite: Sequence[Benchmark], number: int, created: float) -> Path:
    """A night of two runs; returns the one against the anchor."""
    luck = np.random.default_rng([2, number])
    head, truth, before = _head(number), _truth(suite, number, luck), _truth(suite, number - 1, luck)
    state = folder / "nights"
    commit = _commit(number)
    id = nights.new_id(state, "main", "", commit.hash, created)
    broken, earlier = number == BROKEN, number - 1 - (number - 1 == BROKEN)
    made, measured = list[Path](), list[Measured]()
    pairs = {Purpose.PREVIOUS: (_head(earlier), {key: truth[key] - before[key] for key in truth}),
             Purpose.ANCHOR: (_built(ANCHOR, "3.14.0"), truth)}
    for place, (purpose, (base, changed)) in enumerate(pairs.items()):
        if broken or (number == 0 and purpose is Purpose.PREVIOUS):
            continue
        made.append(_run(folder / "runs", suite, created + 900 * (1 + place), (base, head), changed, purpose, id))
        measured.append(Measured(
            purpose=purpose, suite="bytesio", run=made[-1].name, blocks=6, round_seconds=30.0, scope="source",
            counts=jobs.report_of(made[-1]).states))
    seconds = 240.0 if broken else 2900.0 + luck.normal(0, 60)
    nights.write(state, Night(
        id=id, watch="main", configuration="", repository=REPOSITORY, branch="main", created=created, margin=0.01,
        machine=str(BOX["fingerprint"]), ended=created + seconds, budget=3600.0, commit=commit, anchor=ANCHOR,
        outcome=Outcome.BROKEN if broken else Outcome.DONE, measured=tuple(measured), confirmations=(),
        broken="Python/ceval.c:1021:9: error: 'oparg' undeclared" if broken else "",
        steps=(Step(name="build", begun=created, ended=created + seconds, seconds=seconds),)))
    return made[-1] if made else folder


def _confirmed(folder: Path, suite: Sequence[Benchmark], number: int, created: float) -> Event:
    """What a night's commit changed: the run that confirmed it, what `explain` found, and the event."""
    direction: Direction = "slower" if number == SLOWER else "faster"
    prefix = "lookups." if number == SLOWER else "construct.FromBytes."
    chosen = [one for one in suite if one.name.startswith(prefix)]
    quiet = np.random.default_rng([3, number])
    after, before = _truth(suite, number, quiet), _truth(suite, number - 1, quiet)
    changed = {one.key: after[one.key] - before[one.key] for one in chosen}
    good, bad = _head(number - 1), _head(number)
    run = _run(folder / "runs", chosen, created + 2700, (good, bad), changed, Purpose.CONFIRM)
    report = jobs.report_of(run)
    functions = (Count(name="_PyObject_GenericGetAttrWithDict", base=4100.0, head=4690.0),
                 Count(name="dictkeys_get", base=2050.0, head=2112.0))
    explanations.add(run, [Kept(
        key=chosen[0].key, text="Each call runs more instructions; what it allocates is the same.", notes=(),
        work=(Count(name="instructions", base=18_200.0, head=18_850.0),), functions=functions)])
    affected = tuple(
        Affected(benchmark=one.key, ratio=one.ratio, low=one.low, high=one.high, p=1e-6, run=run.name)
        for one in report.comparisons if one.ratio is not None and one.low is not None and one.high is not None)
    noted = Entry(when=created + DAY / 2, state=State.ACKNOWLEDGED, who="ada", note="meant for instances with few keys")
    assert good.commit is not None and bad.commit is not None
    event = Event(
        watch="main", configuration="", machine=str(BOX["fingerprint"]), suite="/srv/lockstep/benchmarks",
        direction=direction, kind="newest", good=good.commit, bad=bad.commit, between=1, benchmarks=affected,
        run=run.name, opened=created + 3000, entries=(noted,) if direction == "slower" else (),
        command=f"lockstep ab {good.spec} {bad.spec} --suite bytesio -b '^{prefix}'",
        functions=tuple(f"{one.name} {100 * (one.head / one.base - 1):+.0f} %" for one in functions)
        if direction == "slower" else ())
    events.write(folder / "events", event)
    return event
