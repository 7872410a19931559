"""Whether runs that keep to different CPUs disturb each other: equals measured alone, and beside others at work."""

from __future__ import annotations

import random
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner import builds, config, machine
from runner.errors import UsageError
from runner.jobs.ab import AbRequest, View, compare_arms
from runner.jobs.calibrate import CalibrateRequest, Within, here, whole
from runner.judging import calibration, parallel
from runner.judging.parallel import Finding
from runner.machine import files, sched
from runner.machine.neighbour import neighbour
from runner.machine.topology import Topology
from runner.model import Interpreter, Mode
from runner.stats.decide import LOOKS

ROOMY = 4
"""Cores from which on a set has two, one to measure on and one for Lockstep itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paralleled:
    """What is stored of this machine's runs beside each other."""

    folder: Path
    finding: Finding
    interrupted: bool


def parallel_runs(request: CalibrateRequest, view: View) -> Paralleled:
    """Add runs of equals, alone and beside others, to what is stored of this machine, and say what all of them show.

    They are measured on one of the machine's sets of CPUs, drawn for each run, while neighbours work on others of them
    (`machine.neighbour`): half of their bursts stream through memory. Raises UsageError, BuildError or MachineError; an
    interruption while measuring ends the measuring and is told in what comes back.
    """
    machine.supported()
    whole()
    folder, sets = here(request.out), sets_of(machine.topology())
    if len(sets) < 2:
        raise UsageError("this machine has one core for measurements, and nothing can be measured beside another run.")
    interrupted = False
    with machine.alone(wait=request.wait, told=view.say):
        interpreter = builds.resolve(request.interpreter, progress=view.phase)
        try:
            interrupted = _measure(request, interpreter, sets, folder, view)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            shutil.rmtree(folder / calibration.COPIES, ignore_errors=True)
    return Paralleled(folder=folder, finding=parallel.audit(folder, sets), interrupted=interrupted)


def paralleled(out: Path | None) -> Paralleled:
    """What is stored, without measuring."""
    folder = here(out)
    return Paralleled(folder=folder, finding=parallel.audit(folder, sets_of(machine.topology())), interrupted=False)


def sets_of(topology: Topology) -> tuple[str, ...]:
    """Sets of whole cores that runs may keep to at once, as --cpus takes them: two cores each, or one of few.

    A core is left over where their number is odd, for the system.
    """
    cores = sorted({tuple(thread for thread in core if thread in topology.cpus) for core in topology.siblings.values()})
    size = 2 if len(cores) >= ROOMY else 1
    return tuple(
        files.print_cpus(thread for core in cores[first : first + size] for thread in core)
        for first in range(0, len(cores) - size + 1, size)
    )


def levels(sets: int) -> list[int]:
    """How many runs at once are tried on so many sets: 1, 2, 4 and so on, and all."""
    return sorted({*(1 << power for power in range(sets.bit_length())), sets})


def _measure(
    request: CalibrateRequest, interpreter: Interpreter, sets: Sequence[str], folder: Path, view: View
) -> bool:
    """Measure until the time is over; whether the user put an end to it."""
    rng = random.Random(request.seed)
    there = Counter({level.at_once: level.runs for level in parallel.audit(folder, sets).levels})
    end = time.monotonic() + 60 * request.minutes
    took: list[float] = []
    while True:
        if took and end - time.monotonic() < sum(took) / len(took) / 2:
            return False
        at_once = min(levels(len(sets)), key=lambda level: (there[level], rng.random()))
        heading = "alone" if at_once == 1 else f"beside {at_once - 1} other{'s' * (at_once > 2)}"
        view.say(f"equals {heading} ({max(0.0, end - time.monotonic()):.0f} s left)")
        begun = time.monotonic()
        own, *others = rng.sample(sets, at_once)
        with ExitStack() as stack:
            for cpus in others:
                with sched.lent(files.parse_cpus(cpus)):
                    stack.enter_context(neighbour(rng.randrange(2**31)))
            stack.enter_context(_keeping_to(own))
            if _run(request, interpreter, folder, parallel.labels(sets, at_once), Within(view, heading)):
                return True
        there[at_once] += 1
        took.append(time.monotonic() - begun)


def _run(
    request: CalibrateRequest, interpreter: Interpreter, folder: Path, labels: dict[str, str], view: View
) -> bool:
    """Compare two copies of the interpreter up to the first look; whether the user put an end to it."""
    token = secrets.token_hex(4)
    place = folder / calibration.COPIES / token
    base, head = (builds.copy_of(interpreter, place / arm) for arm in ("base", "head"))
    compared = compare_arms(AbRequest(
        base=base.spec, head=head.spec, suite=str(request.suite), pattern=r"^aa\.", scope="binary", blocks=LOOKS[0],
        out=folder / parallel.RUNS, mode=Mode.TURNS.value,
    ), base, head, view, {**labels, "copies": token})
    shutil.rmtree(place, ignore_errors=True)
    return compared.interrupted


@contextmanager
def _keeping_to(cpus: str) -> Iterator[None]:
    """Have this thread, and what it starts, keep to some CPUs for a while. The caller has the whole machine."""
    with sched.lent(files.parse_cpus(cpus)):
        config.keep_to(cpus)
        try:
            yield
        finally:
            config.keep_to("")
