"""Proof on the user's own machine: runs of known truth, as many as the time allows, and what they show."""

from __future__ import annotations

import itertools
import math
import random
import secrets
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from runner import builds, config, machine
from runner.errors import LockstepError, UsageError
from runner.jobs.ab import AbRequest, Finished, View, compare_arms, go_on
from runner.judging import calibration
from runner.judging.calibration import Stored, Summary
from runner.machine.neighbour import neighbour
from runner.measuring.plan import Standing
from runner.measuring.progress import Progress
from runner.model import Interpreter, Mode
from runner.stats.audit import Kind, Pair, Stratum
from runner.stats.criteria import TRUTH_RUNS
from runner.stats.power import AGREEING_SIZES

SUITE = Path(__file__).parents[1] / "suites" / "calibration"
AA_RUNS = {Mode.TURNS: 20, Mode.SHARED: 10, Mode.ADJACENT: 10}
"""Runs of equals in each mode by which the demands of `stats.criteria` can be decided, ten comparisons each; not equal
times, since a run in `adjacent` takes five times as long."""
PLANTED_RUNS, BINARY_RUNS = 4, 5
"""Runs of planted slowdowns in each mode, five of each size each; and of two fixed layouts."""
AA_BUDGET = 60.0
"""Seconds for a run of equals. Some need minutes to be settled on a noisy machine; a change that is called falsely
before a budget ends is as much an error, and users give budgets."""
TRUTH_MARGIN = 0.5
"""Margin of the truth runs: so wide that each benchmark is settled at the first look whatever is measured, and the
blocks that are pooled were not chosen by what they showed."""
USUAL = 30.0
"""Seconds that a run is taken to need before one of its stratum was measured."""
BYSTANDER = "bystander"
"""The variant that adds a function that nothing calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateRequest:
    """A calibration as the user asked for it."""

    interpreter: str
    minutes: float
    """Of measuring; the run that is under way when they are over is finished."""
    out: Path | None = None
    """Folder of calibrations; None: the project's."""
    seed: int | None = None
    """Of the order of the strata and of the neighbour's bursts."""
    wait: bool = True
    """Wait for another run on this machine to end, or refuse."""
    suite: Path = SUITE
    """Folder with the modules `aa` and `planted`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """What is stored of this machine, audited."""

    folder: Path
    summary: Summary
    interrupted: bool


def calibrate(request: CalibrateRequest, view: View) -> Calibrated:
    """Add runs of known truth to what is stored of this machine, and audit all of it.

    A run that was interrupted before is finished first. Raises UsageError, BuildError or MachineError; an interruption
    while measuring ends the measuring and is told in what comes back.
    """
    machine.supported()
    whole()
    folder = here(request.out)
    interrupted = False
    with machine.alone(wait=request.wait, told=view.say):
        interpreter = builds.resolve(request.interpreter, progress=view.phase)
        bystander = _bystander(interpreter, view)
        session = _Session(request, interpreter, bystander, folder, view)
        try:
            interrupted = session.work()
        except KeyboardInterrupt:
            interrupted = True
        finally:
            session.tidy()
    view.phase("auditing what is stored")
    return Calibrated(folder=folder, summary=calibration.audit(folder), interrupted=interrupted)


def whole() -> None:
    """Raises UsageError in a process that keeps to some CPUs."""
    if (cpus := config.cpus()) is not None:
        raise UsageError(f"a calibration is of the whole machine, and {config.CPUS} says CPU {cpus}: unset it.")


def _bystander(interpreter: Interpreter, view: View) -> Interpreter | None:
    """The build with a function that nothing calls; None, after saying why, where layouts cannot be compared."""
    if interpreter.build is None:
        reason = f"{interpreter.spec} is not a build of Lockstep's; for that, name a build such as cpython@3.13.5"
    else:
        try:
            head = builds.resolve(with_edit(interpreter.spec, BYSTANDER), progress=view.phase)
            view.phase("linking both arms anew")
            builds.Layouts(interpreter, head).check(1, 2)
            return head
        except LockstepError as problem:
            reason = str(problem)
    view.say(f"layouts of the code are left out: {reason}")
    return None


def calibrated(out: Path | None) -> Calibrated:
    """What is stored of this machine, audited anew, without measuring. Raises what `calibration.audit` does."""
    folder = here(out)
    return Calibrated(folder=folder, summary=calibration.audit(folder), interrupted=False)


def here(out: Path | None) -> Path:
    """The folder of this machine's calibration; `out` is the folder of all calibrations, None: the project's."""
    return config.calibration_folder(out, str(machine.describe()["fingerprint"]))


def wanted(*, layouts: bool) -> Mapping[Stratum, int]:
    """Every stratum with the runs that decide the demands on it. `layouts`: there are builds to link anew."""
    both = (False, True)
    pairs = (Pair.COPIES, Pair.LAYOUTS) if layouts else (Pair.COPIES,)
    runs = {
        Stratum(kind=Kind.AA, pair=pair, mode=mode, neighbour=neighbour):
            math.ceil(AA_RUNS[mode] / (len(pairs) * len(both)))
        for pair, mode, neighbour in itertools.product(pairs, Mode, both)
    }
    for mode in Mode:
        runs[Stratum(kind=Kind.PLANTED, pair=Pair.COPIES, mode=mode, neighbour=False)] = PLANTED_RUNS
    runs[Stratum(kind=Kind.PLANTED, pair=Pair.COPIES, mode=Mode.TURNS, neighbour=True)] = 1
    runs[Stratum(kind=Kind.TRUTH, pair=Pair.COPIES, mode=Mode.TURNS, neighbour=False)] = TRUTH_RUNS
    if layouts:
        runs[Stratum(kind=Kind.AA, pair=Pair.LAYOUTS_BINARY, mode=Mode.TURNS, neighbour=False)] = BINARY_RUNS
    return runs


def next_stratum(wanted: Mapping[Stratum, int], runs: Mapping[Stratum, int], rng: random.Random) -> Stratum:
    """The stratum that has had fewest of the runs that are wanted of it; at random among equals."""
    had = {stratum: runs.get(stratum, 0) / number for stratum, number in wanted.items()}
    least = min(had.values())
    return rng.choice([stratum for stratum in wanted if had[stratum] == least])


def in_words(stratum: Stratum) -> str:
    """For the terminal: ``A/A of copies, turns, with a neighbour``."""
    what = {Pair.COPIES: "copies", Pair.LAYOUTS: "layouts", Pair.LAYOUTS_BINARY: "two fixed layouts"}[stratum.pair]
    kind = {Kind.AA: f"A/A of {what}", Kind.PLANTED: "planted slowdowns", Kind.TRUTH: "their true size"}[stratum.kind]
    return f"{kind}, {stratum.mode.value}, {'with a neighbour' if stratum.neighbour else 'quiet'}"


class Within:
    """The view of a run inside a calibration: its lines are not wanted, its progress is."""

    def __init__(self, view: View, heading: str) -> None:
        self._view, self._heading = view, heading

    def phase(self, text: str) -> None:
        self._view.phase(f"{self._heading}: {text}")

    def say(self, text: str) -> None:
        pass

    def measured(self, plan: Standing, progress: Progress) -> None:
        self._view.measured(plan, progress)


class _Session:
    """One invocation: runs until the time is over."""

    def __init__(
        self, request: CalibrateRequest, interpreter: Interpreter, bystander: Interpreter | None, folder: Path,
        view: View,
    ) -> None:
        self._interpreter, self._bystander, self._folder, self._view = interpreter, bystander, folder, view
        self._suite = request.suite
        self._rng = random.Random(request.seed)
        self._end = time.monotonic() + 60 * request.minutes
        self._wanted = wanted(layouts=bystander is not None)
        stored = calibration.read(folder)
        self._unfinished = [one for one in stored if not one.finished]
        self._spent: dict[Stratum, float] = defaultdict(float)
        self._runs = Counter[Stratum]()
        for one in stored:
            self._count(one.stratum, one.seconds)

    def work(self) -> bool:
        """Measure until the time is over; whether the user put an end to it."""
        for one in self._unfinished:
            if self._continue(one):
                return True
        started = 0
        while True:
            stratum = next_stratum(self._wanted, self._runs, self._rng)
            usual = self._spent[stratum] / self._runs[stratum] if self._runs[stratum] else USUAL
            # Half a run too much at most, and at least one.
            if started and self._left() < usual / 2:
                return False
            if self._left() <= 0 and (started or self._unfinished):
                return False
            started += 1
            self._tell(in_words(stratum))
            if self._run(stratum):
                return True

    def tidy(self) -> None:
        """Remove the copies of the interpreter; those of an unfinished run are made again when it goes on."""
        shutil.rmtree(self._folder / calibration.COPIES, ignore_errors=True)

    def _left(self) -> float:
        return self._end - time.monotonic()

    def _tell(self, what: str) -> None:
        left = max(0.0, self._left())
        self._view.say(f"{what} (about {left / 60:.0f} min left)" if left >= 90 else f"{what} ({left:.0f} s left)")

    def _count(self, stratum: Stratum, seconds: float) -> None:
        self._spent[stratum] += seconds
        self._runs[stratum] += 1

    def _continue(self, one: Stored) -> bool:
        self._tell(f"going on with {one.run.manifest.id}: {in_words(one.stratum)}")
        try:
            if one.stratum.pair is Pair.COPIES:
                self._copies(one.stratum, one.run.manifest.labels["copies"])
            with self._neighbour(one.stratum):
                return go_on(one.run.folder, Within(self._view, in_words(one.stratum))).interrupted
        except LockstepError as problem:
            # Not an end of the calibration: what the run has measured stays, and is not counted.
            self._view.say(f"it cannot be finished: {problem}")
            return False

    def _run(self, stratum: Stratum) -> bool:
        token = secrets.token_hex(4)
        view = Within(self._view, in_words(stratum))
        base, head = self._arms(stratum, token, view)
        request = AbRequest(
            base=base.spec, head=head.spec, suite=str(self._suite),
            pattern=_pattern(stratum),
            margin=TRUTH_MARGIN if stratum.kind is Kind.TRUTH else calibration.MARGIN,
            budget=AA_BUDGET if stratum.kind is Kind.AA else None,
            scope="source" if stratum.pair is Pair.LAYOUTS else "binary",
            out=self._folder / calibration.RUNS, mode=stratum.mode.value,
        )
        with self._neighbour(stratum):
            finished = compare_arms(request, base, head, view, {**calibration.labels(stratum), "copies": token})
        self._count(stratum, _machine_seconds(finished))
        return finished.interrupted

    def _arms(self, stratum: Stratum, token: str, view: View) -> Sequence[Interpreter]:
        spec = self._interpreter.spec
        if stratum.pair is Pair.LAYOUTS:
            assert self._bystander is not None
            return self._interpreter, self._bystander
        if stratum.pair is Pair.LAYOUTS_BINARY:
            first = 2 * self._runs[stratum] + 1
            return [builds.resolve(with_layout(spec, seed), progress=view.phase) for seed in (first, first + 1)]
        return self._copies(stratum, token)

    def _copies(self, stratum: Stratum, token: str) -> Sequence[Interpreter]:
        # At a place that the run remembers, where it finds them when it goes on. There are none of another run by then:
        # runs are measured one after the other.
        self.tidy()
        place = self._folder / calibration.COPIES / token
        base, head = (builds.copy_of(self._interpreter, place / arm) for arm in ("base", "head"))
        if stratum.kind is not Kind.AA:
            (head.executable.parent / "planted").touch()
        return base, head

    def _neighbour(self, stratum: Stratum) -> AbstractContextManager[object]:
        return neighbour(self._rng.randrange(2**31)) if stratum.neighbour else nullcontext()


def _pattern(stratum: Stratum) -> str:
    """The benchmarks of a stratum. Of `shared` and `adjacent` it is asked whether they agree with `turns`, and small
    slowdowns would not tell in any time."""
    if stratum.kind is Kind.AA:
        return r"^aa\."
    percents = "|".join(f"{100 * size:g}" for size in AGREEING_SIZES)
    return r"^planted\." if stratum.mode is Mode.TURNS else rf"^planted\..*percent=({percents})\)"


def with_edit(spec: str, edit: str) -> str:
    """A build's spec with one more edit: ``cpython@3.13.5?lto`` → ``cpython@3.13.5+bystander?lto``."""
    body, mark, options = spec.rpartition("?")
    return f"{body}+{edit}?{options}" if mark else f"{spec}+{edit}"


def with_layout(spec: str, seed: int) -> str:
    """A build's spec at a fixed layout: ``cpython@3.13.5`` → ``cpython@3.13.5?layout=1``."""
    return f"{spec}{'&' if '?' in spec else '?'}layout={seed}"


def _machine_seconds(finished: Finished) -> float:
    return sum(comparison.machine_seconds for comparison in finished.report.comparisons)
