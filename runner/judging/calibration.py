"""The stored calibration of a machine: a growing collection of ordinary runs of known truth, and its audit.

The folder `data/calibration/FINGERPRINT/` holds `runs/` (run folders, whose labels say what the truth is), `copies/`
(executables of runs that were interrupted), `canary.jsonl` and `summary.json`. The summary is made from the others,
every time anew.

Format history
--------------
lockstep.calibration/1  summary.json is `Summary`; a line of canary.jsonl has ``run``, ``benchmark``, ``mode``, ``d``
                        (log ratio of one block of base against a copy of base), in measured order.
lockstep.calibration/2  In summary.json each demand has how many comparisons decide it, and how many are there.
"""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from runner.errors import UsageError
from runner.judging import compare
from runner.measuring.execute import VERSION
from runner.model import Metric, Mode, Notice
from runner.stats.audit import AaAudit, Kind, Pair, Sample, Stratum, audit_aa
from runner.stats.blocks import log_ratios, of_canary, scored
from runner.stats.criteria import Criterion, criteria
from runner.stats.decide import LOOKS
from runner.stats.paired import Array
from runner.stats.power import Agreement, Planted, Truth, agreements, audit_planted, truths
from runner.storage import store

SCHEMA = "lockstep.calibration/2"
RUNS, COPIES, CANARY, SUMMARY = "runs", "copies", "canary.jsonl", "summary.json"
MARGIN = 0.01
"""The margin at which the rule is audited: the one that comparisons have unless the user says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One run of the collection."""

    run: store.Run
    stratum: Stratum
    finished: bool
    """Every benchmark is settled, or the budget is used up. One that was interrupted is no part of the audit: neither
    has ended its sampling."""

    @property
    def seconds(self) -> float:
        """Machine time."""
        return sum(block.seconds for block in self.run.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a calibration shows: all that a rendering needs."""

    schema: str = SCHEMA
    measuring: str = ""
    """The way of measuring that it is of; empty: not recorded."""
    created: float
    """Seconds since the epoch."""
    machine: Mapping[str, str | int | float | bool | None]
    """Of the newest run's manifest; empty without one."""
    interpreters: tuple[str, ...]
    """What was measured: spec and version."""
    first: float
    last: float
    """When the first and the last run began, seconds since the epoch."""
    runs: int
    """Finished ones."""
    unfinished: int
    failed: int
    """Benchmarks of finished runs that failed or did not reach the first look, and are not in the audit."""
    seconds: float
    """Machine time of the finished runs."""
    margin: float
    """As a fraction."""
    aa: AaAudit
    truths: tuple[Truth, ...]
    planted: tuple[Planted, ...]
    agreements: tuple[Agreement, ...]
    criteria: tuple[Criterion, ...]


@lru_cache
def _adapter() -> TypeAdapter[Summary]:
    return TypeAdapter(Summary)


def labels(stratum: Stratum) -> dict[str, str]:
    """A stratum as the labels of a run; the mode is among the run's settings."""
    neighbour = "yes" if stratum.neighbour else "no"
    return {
        "kind": stratum.kind.value, "pair": stratum.pair.value, "neighbour": neighbour, "measuring": str(VERSION),
    }


def stratum_of(manifest: store.Manifest) -> Stratum | None:
    """The stratum that a run's labels name; None for a run that is no part of it, or was measured in an older way."""
    told = manifest.labels
    if told.get("measuring") != str(VERSION):
        return None
    try:
        return Stratum(
            kind=Kind(told["kind"]), pair=Pair(told["pair"]), mode=Mode(manifest.settings["mode"]),
            neighbour=told["neighbour"] == "yes",
        )
    except (KeyError, ValueError):
        return None


def read(folder: Path) -> list[Stored]:
    """The runs of a machine's calibration, oldest first; none where there is no such folder.

    Raises UsageError as `store.read` does.
    """
    found = []
    for place in sorted(path.parent for path in (folder / RUNS).glob(f"*/{store.MANIFEST}")):
        run = store.read(place)
        stratum = stratum_of(run.manifest)
        if stratum is not None:
            found.append(Stored(run=run, stratum=stratum, finished=compare.report(run, with_noise=False).complete))
    return found


def samples(stored: Stored) -> list[Sample]:
    """One for each benchmark of a finished run that did not fail."""
    report = compare.report(stored.run)
    blocks = stored.run.by_benchmark()
    found = []
    for line in report.comparisons:
        there = tuple(scored(blocks.get(line.key, ())))
        if not line.compared or len(there) < LOOKS[0] or not line.low or not line.high:
            continue
        size = line.params.get("percent")
        found.append(Sample(
            run=report.run, stratum=stored.stratum, benchmark=line.key,
            size=None if size is None else float(size) / 100, blocks=there, verdict=line.verdict,
            low=math.log(line.low), high=math.log(line.high), seconds=line.machine_seconds,
        ))
    return found


def audit(folder: Path) -> Summary:
    """Audit all that is stored of a machine, and keep the result beside it.

    Raises UsageError for a run that cannot be read, MachineError when the summary cannot be written.
    """
    stored = read(folder)
    done = [one for one in stored if one.finished]
    found = [sample for one in done for sample in samples(one)]
    margin = math.log1p(MARGIN)
    known = truths(found)
    aa = audit_aa(found, margin, _canary(folder))
    planted, agreeing = audit_planted(found, known), agreements(found, margin)
    binary_only = all(one.run.manifest.base.build is None for one in stored)
    arms = (one.run.manifest.base for one in done)
    begun = [one.run.manifest.created for one in done]
    summary = Summary(
        measuring=str(VERSION), created=time.time(), machine=stored[-1].run.manifest.machine if stored else {},
        interpreters=tuple(dict.fromkeys(f"{arm.spec.partition('?layout')[0]} ({arm.version})" for arm in arms)),
        first=min(begun, default=0.0), last=max(begun, default=0.0), runs=len(done), unfinished=len(stored) - len(done),
        failed=sum(len(one.run.manifest.benchmarks) for one in done) - len(found),
        seconds=sum(one.seconds for one in done), margin=MARGIN, aa=aa, truths=known, planted=planted,
        agreements=agreeing, criteria=criteria(aa, found, margin, binary_only),
    )
    if stored:
        store.write_whole(folder / SUMMARY, _adapter().dump_json(summary, indent=1).decode() + "\n")
    return summary


def read_summary(folder: Path) -> Summary | None:
    """The stored summary; None where there is none, or one of another version, which the next audit replaces."""
    try:
        text = (folder / SUMMARY).read_text(encoding="utf-8")
        return _adapter().validate_json(text) if json.loads(text)["schema"] == SCHEMA else None
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return None


def _present(folder: Path) -> Summary | None:
    """The stored summary, if it is of the present way of measuring."""
    summary = read_summary(folder)
    return summary if summary is not None and summary.measuring == str(VERSION) else None


def known(folder: Path) -> Mapping[str, int | float | str] | None:
    """What every report says of this machine, in numbers; None where nothing is known of the present way of measuring.

    ``date``; ``comparisons``, ``false_changes``, ``false_low``, ``false_high`` (shares; exact 95 % interval); where 2 %
    were planted, ``found_2`` (share) and ``seconds_2`` (median machine time per benchmark), and likewise for 1 %;
    where fixed layouts were compared, ``layout_deviation`` (a log: what one layout's luck adds) and ``layout_pairs``.
    """
    summary = _present(folder)
    if summary is None or not summary.aa.strata:
        return None
    rule = summary.aa.strata[0].rule
    numbers: dict[str, int | float | str] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime(summary.last)), "comparisons": rule.of,
        "false_changes": rule.share, "false_low": rule.low, "false_high": rule.high,
    }
    for line in summary.planted:
        if line.mode is Mode.TURNS and not line.neighbour and line.size in (0.02, 0.01):
            numbers[f"found_{100 * line.size:g}"] = line.found.share
            numbers[f"seconds_{100 * line.size:g}"] = line.seconds
    if summary.aa.floor:
        numbers["layout_pairs"] = summary.aa.floor[0].comparisons
        numbers["layout_deviation"] = summary.aa.floor[0].deviation
    return numbers


def notices(folder: Path) -> tuple[Notice, ...]:
    """A warning for each mode that reads a known slowdown differently from `turns` on this machine."""
    summary = _present(folder)
    return tuple(
        Notice(kind="mode-disagreement",
               numbers={"mode": one.mode.value, "difference": math.expm1(one.difference), "size": one.size})
        for one in (summary.agreements if summary is not None else ())
        if one.disagrees
    )


def add_canary(folder: Path, run: store.Run) -> int:
    """Add the canary of a run to the machine's record; returns how many blocks were added.

    A run that is there already adds nothing. Raises MachineError when the disk is full.
    """
    blocks = scored(of_canary(run.blocks))
    if not blocks or any(line["run"] == run.manifest.id for line in _canary_lines(folder)):
        return 0
    ratios = log_ratios(Metric.TIME, blocks).tolist()
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"run": run.manifest.id, "benchmark": block.benchmark, "mode": block.settings.mode.value, "d": d}
        for block, d in zip(blocks, ratios, strict=True)
    ]
    before = (folder / CANARY).read_text(encoding="utf-8") if (folder / CANARY).exists() else ""
    store.write_whole(folder / CANARY, before + "".join(json.dumps(line) + "\n" for line in lines))
    return len(lines)


def _canary(folder: Path) -> dict[str, Array]:
    """The stream of log ratios of each benchmark in each mode."""
    streams: dict[str, list[float]] = defaultdict(list)
    for line in _canary_lines(folder):
        streams[f"{line['benchmark']} {line['mode']}"].append(float(line["d"]))
    return {name: np.array(stream) for name, stream in streams.items()}


def _canary_lines(folder: Path) -> list[dict[str, str | float]]:
    path = folder / CANARY
    if not path.exists():
        return []
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            line = json.loads(text)
            lines.append({"run": line["run"], "benchmark": line["benchmark"], "mode": line["mode"], "d": line["d"]})
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path}:{number} is not a line of the canary: {error}. "
                             "Remove it to read the others.") from error
    return lines
