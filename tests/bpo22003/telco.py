"""What made telco 1.07x slower: where its times come from, `data/evidence/telco.json`, and what is said of it.

Format history
--------------
lockstep.telco/1  The first: `Telco`. Ratios are head ÷ base, above 1 is slower; standard deviations are of log time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import studies
from pydantic import TypeAdapter
from studies import View, origin, table

from runner import jobs, machine
from runner.errors import MachineError
from runner.jobs.ab import AbRequest
from runner.jobs.explain import ExplainRequest, explain
from runner.judging.report import Comparison
from runner.report import explain as words
from runner.report import quantities
from runner.stats.variance import PAIR, Range

SCHEMA = "lockstep.telco/1"
SUITE = "pyperformance:telco"
RELEASE = "cpython@3.13.5"
BASE, HEAD = f"{RELEASE}+nocow", RELEASE
PAIRS = ((1, 2), (3, 4), (5, 6))
"""Seeds of link orders of one source."""
BUDGET = 30.0
"""Seconds for each of these."""
SOURCES = {
    "layout": "where the linker put the code: the same in every process of a build",
    "time": "the moment of the machine",
    "process": "what a fresh process has of its own",
    "rest": "what is left between slices of one process",
}

INTRODUCTION = """\
## What made telco 1.07x slower

The suite of 2014 said that telco, a benchmark of `decimal`, was 1.07x slower with the patch, "Significant (t=-83.98)",
and nobody could say why. Its t-test takes all values for independent. Those of one process have a layout, a moment and
a process in common, of which it knows nothing: the more values, the larger is t. What each of these comes to was
measured, over 36 blocks of six layouts, by

    lockstep explain {base} {head} --suite {suite} -b telco

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A source of telco's noise."""

    source: str
    """A key of `SOURCES`."""
    sd: Range
    share: Range
    """Of the variance of a slice, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a run says of telco."""

    run: str
    """Its id."""
    started: float
    """Seconds since the epoch."""
    scope: str
    state: str
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Telco:
    """All that was measured, on one machine."""

    schema: str = SCHEMA
    machine: Mapping[str, str | int | float | bool | None]
    """As `runner.machine.describe` gives it."""
    margin: float
    patch: Told
    """Without and with copy-on-write, scope ``source``."""
    parts: tuple[Part, ...]
    spread: Range | None
    """What two layouts of one source differ by at most, in 95 of 100 pairs: log ratio; None: not seen."""
    instructions: tuple[float, float] | None
    """Of a call in base and in head; None: not counted."""
    paragraph: str
    """What counts and times say together, in words."""
    pairs: tuple[Told, ...]
    """Two link orders of one source each, scope ``binary``."""


_telco: TypeAdapter[Telco] = TypeAdapter(Telco)


def read(path: Path) -> Telco | None:
    """What is stored; None where nothing is. Raises UsageError for a file that is no such study."""
    return studies.read(path, _telco, SCHEMA, "nothing that is known of telco")


def write(path: Path, known: Telco) -> None:
    """Write it whole; it is on disk when this returns."""
    studies.write(path, _telco, known, indent=1)


def measure(say: Callable[[str], None]) -> Telco:
    """Explain telco and compare layouts of one source, in about five minutes.

    Raises KeyboardInterrupt where it is interrupted, and what `jobs.ab` and `explain` raise; MachineError where nothing
    can be said of its noise.
    """
    say(f"explaining {SUITE}")
    done = explain(ExplainRequest(base=BASE, head=HEAD, suite=SUITE, pattern="^telco$"), View(say))
    if done.interrupted:
        raise KeyboardInterrupt
    (one,) = done.explanation.explained
    report, noise = done.explanation.report, one.comparison.noise
    if noise is None:
        raise MachineError(f"nothing can be said of telco's noise: {words.paragraph(one, done.explanation)}")
    counted = one.counts.instructions if one.counts is not None else None
    pairs = []
    for first, second in PAIRS:
        say(f"layouts {first} and {second}")
        finished = jobs.ab(AbRequest(
            base=f"{RELEASE}?layout={first}", head=f"{RELEASE}?layout={second}", suite=SUITE, pattern="^telco$",
            scope="binary", budget=BUDGET), View(say))
        if finished.interrupted:
            raise KeyboardInterrupt
        (compared,) = finished.report.comparisons
        pairs.append(_told(finished.report.run, finished.report.started, finished.report.scope, compared))
    return Telco(
        machine=machine.describe(), margin=report.margin, pairs=tuple(pairs),
        patch=_told(report.run, report.started, report.scope, one.comparison),
        parts=tuple(Part(source=part.source.value, sd=part.sd, share=part.share) for part in noise.components),
        spread=noise.spread, paragraph=words.paragraph(one, done.explanation),
        instructions=None if counted is None else (fmean(counted.base), fmean(counted.head)),
    )


def _told(run: str, started: float, scope: str, one: Comparison) -> Told:
    if one.ratio is None or one.low is None or one.high is None:
        raise MachineError(f"telco was {one.state} in run {run}: there is no ratio")
    return Told(run=run, started=started or time.time(), scope=scope, state=one.state, ratio=one.ratio, low=one.low,
                high=one.high)


def section(known: Telco) -> str:
    """What is said of it, in Markdown."""
    rows = [[part.source, SOURCES[part.source], words.span(part.sd, 2), words.span(part.share)] for part in known.parts]
    head = ["source", "what it is", "standard deviation", "share of a slice's variance"]
    parts = [INTRODUCTION.format(base=BASE, head=HEAD, suite=SUITE) + "\n".join(table(head, rows)), _moments(known),
             _layouts(known), _patch(known), _origin(known)]
    return "\n\n".join(parts) + "\n"


def _moments(known: Telco) -> str:
    moment = next(part.sd for part in known.parts if part.source == "time")
    ends = {end: math.expm1(PAIR * sd) for end, sd in asdict(moment).items()}
    return ("So two builds that do the same, measured one after the other in moments that have nothing to do with each "
            f"other, differ by up to {words.span(Range(**ends))} in 95 of 100 tries. Here both run in every moment.")


def _layouts(known: Telco) -> str:
    if known.spread is None:
        spread = ""
    elif known.spread.value == 0:
        spread = ("What layout does is too little to be told beside that from six of them: 95 of 100 pairs of layouts "
                  f"differ by less than something between 0 and {quantities.percent(math.expm1(known.spread.high))}. ")
    else:
        spread = ("Of 100 pairs of layouts of one source, 95 differ by less than "
                  f"{words.span(Range(**{end: math.expm1(log) for end, log in asdict(known.spread).items()}), 1)}. ")
    told = "; ".join(f"{_ratio(one)}, {one.state}" for one in known.pairs)
    return (f"{spread}Pairs of link orders of one and the same source, compared as files (scope `binary`): {told}.")


def _patch(known: Telco) -> str:
    counted = "" if known.instructions is None else (
        f" A call takes {known.instructions[0]:,.0f} instructions without and {known.instructions[1]:,.0f} with it; "
        "today's telco reads its numbers from a `BytesIO`.")
    return (f"Over layouts, the patch itself makes of telco {_ratio(known.patch)}: {known.patch.state} "
            f"(margin ±{quantities.percent(known.margin)}).{counted} In the words of `lockstep explain`: "
            f"{known.paragraph}")


def _ratio(one: Told) -> str:
    return quantities.ratio(one.ratio, one.low, one.high)


def _origin(known: Telco) -> str:
    moments: Sequence[float] = [one.started for one in (known.patch, *known.pairs)]
    return f"{origin(moments, known.machine)}. The data: `data/evidence/telco.json`."
