"""What the programs share that measure or simulate for long, store what they have, and make a page of it."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from runner.errors import LockstepError, UsageError
from runner.judging.report import Report
from runner.measuring.plan import Standing
from runner.measuring.progress import Progress
from runner.model import Metric
from runner.storage.store import write_whole

EVERY = 60.0
"""Seconds between two lines that say how far a run is."""


class Study(Protocol):
    """What is stored as one file."""

    @property
    def schema(self) -> str: ...


T = TypeVar("T", bound=Study)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a run says of one benchmark, as in `judging.report.Comparison`."""

    benchmark: str
    """Its key: ``construct.FromBytes.time_construct(size=64B)``."""
    metric: Metric
    unit: str
    state: str
    clear: bool
    ratio: float | None
    low: float | None
    high: float | None
    base_value: float | None
    head_value: float | None


def rows(report: Report) -> tuple[Row, ...]:
    """What is kept of a run's benchmarks, in its order."""
    return tuple(Row(
        benchmark=one.key, metric=one.metric, unit=one.unit, state=one.state, clear=one.clear, ratio=one.ratio,
        low=one.low, high=one.high, base_value=one.base_value, head_value=one.head_value,
    ) for one in report.comparisons)


class View:
    """What a job tells while it works, one line each.

    From `until` on, a moment of `time.monotonic`, it ends measuring as Ctrl-C does, and is `late`.
    """

    def __init__(self, say: Callable[[str], None], until: float = math.inf) -> None:
        self.say, self._until = say, until
        self.late = False
        self._told = self._phased = time.monotonic()
        self._phase = ""

    def phase(self, text: str) -> None:
        """Say it; of a state that goes on, up to the colon, only now and then."""
        now, what = time.monotonic(), text.partition(":")[0]
        if what != self._phase or now - self._phased >= EVERY:
            self._phase, self._phased = what, now
            self.say(text)

    def measured(self, plan: Standing, progress: Progress) -> None:
        now = time.monotonic()
        if now >= self._until:
            self.late = True
            raise KeyboardInterrupt
        if now - self._told >= EVERY:
            self._told = now
            settled = sum(one.settled for one in plan.progress.values())
            self.say(f"{settled} of {len(plan.progress)} settled")


def say(text: str) -> None:
    """Tell it on standard error, with the time of day."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def run(name: str, main: Callable[[], int]) -> NoReturn:
    """Run a program and exit with its code, or an error's after its words; SIGTERM interrupts it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(main())
    except LockstepError as problem:
        print(f"{name}: {problem}", file=sys.stderr)
        sys.exit(problem.exit_code)


def sitting(measure: Callable[[], object], what: str = "what was measured is") -> int:
    """Measure, and return the exit code: 130 where it was interrupted, after saying `what` is stored; else 0."""
    try:
        measure()
    except KeyboardInterrupt:
        say(f"interrupted; {what} stored, and the next start goes on from here")
        return 130
    return 0


def _terminate(*_: object) -> None:
    raise KeyboardInterrupt


def read(path: Path, adapter: TypeAdapter[T], schema: str, otherwise: str) -> T | None:
    """The study that is stored; None where nothing is.

    Raises UsageError for a file that is none, of which it says what it is `otherwise` ("no study of …"), and for one of
    another version.
    """
    if not path.exists():
        return None
    try:
        study = adapter.validate_json(path.read_bytes())
    except ValidationError as error:
        raise UsageError(f"{path} is {otherwise}: {error.errors()[0]['msg']}.") from error
    if study.schema != schema:
        raise UsageError(f"{path} is of version {study.schema!r}; this reads {schema!r}.")
    return study


def write(path: Path, adapter: TypeAdapter[T], study: T, indent: int | None = None) -> None:
    """Write it whole; it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, adapter.dump_json(study, indent=indent).decode() + "\n")


def check_machine(measured: Mapping[str, object], here: Mapping[str, object], path: Path) -> None:
    """Raises UsageError where what `path` holds was measured on another machine; both as `machine.describe` says."""
    if measured.get("fingerprint") != here.get("fingerprint"):
        raise UsageError(
            f"{path} was measured on another machine ({measured.get('cpu')}, kernel {measured.get('kernel')}). Times "
            "of two machines are not put into one table: name another file with --data, or remove this one.")


def origin(moments: Sequence[float], facts: Mapping[str, object]) -> str:
    """When (UTC) and where it was measured, for a page: ``Measured 2026-11-22 to 2026-11-24 on AMD EPYC, 2 cores, …``.

    Without moments it says no day; `facts` as `machine.describe` gives them.
    """
    days = sorted({time.strftime("%Y-%m-%d", time.gmtime(one)) for one in moments})
    when = f" {' to '.join(dict.fromkeys((days[0], days[-1])))}" if days else ""
    return (f"Measured{when} on {facts.get('cpu')}, {facts.get('cores')} cores, {facts.get('os')}, kernel "
            f"{facts.get('kernel')}, hypervisor {facts.get('hypervisor') or 'none seen'}")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], rule: Sequence[str] = ()) -> list[str]:
    """The lines of a table in Markdown; `rule` is the line below its head. A cell may hold any text."""
    told = [[" ".join(cell.split()).replace("|", "\\|") for cell in cells] for cells in (head, *rows)]
    return ["| " + " | ".join(cells) + " |" for cells in (told[0], rule or ["---"] * len(head), *told[1:])]


def numbers(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table whose columns, but for the first, are numbers."""
    return table(head, rows, ["---", *["--:"] * (len(head) - 1)])


def inserted(page: str, section: str, begin: str, end: str) -> str:
    """The page with the section between its marks. Raises ValueError where it lacks them."""
    if begin not in page or end not in page:
        raise ValueError(f"the page lacks its marks {begin} and {end}")
    before, rest = page.split(begin, 1)
    return f"{before}{begin}\n{section}{end}{rest.split(end, 1)[1]}"


def placed(page: str, section: str, begin: str, end: str, otherwise: str) -> str:
    """The page with the section between its marks, which are added at the end where there are none.

    `otherwise`: what an empty page begins with.
    """
    if begin in page and end in page:
        return inserted(page, section, begin, end)
    return f"{page.rstrip() or otherwise.rstrip()}\n\n{begin}\n{section}{end}\n"
