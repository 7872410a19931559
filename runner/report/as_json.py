"""A report for programs.

Format history
--------------
lockstep.report/1  The first. Keys and verdicts may be added; none is removed or changes its meaning within a version.
                   Added: verdicts ``skipped``, ``only in base`` and ``only in head`` (which were ``failed`` before, as
                   they are in older files), ``state``, ``suite``, ``host`` (of runs of a fleet).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runner.judging.report import Comparison, Report
from runner.model import Notice, Verdict
from runner.report import notices, words

SCHEMA = "lockstep.report/1"


def render(report: Report) -> str:
    """The report as JSON, benchmarks in suite order.

    Times are in seconds, sizes in bytes, ratios head ÷ base. What is not known, or is not finite, is null:
    the text is strict JSON. ``reason`` says why a benchmark failed, was skipped or is only in one arm, or that it has
    too few blocks for a ratio; ``failed_arm`` is the arm that failed or skips it, null for both. ``state`` is the
    verdict, or ``not reached``.
    """
    mean = report.mean
    content = {
        "schema": SCHEMA,
        "run": report.run,
        "folder": report.folder,
        "suite": report.suite,
        "command": report.command,
        "seed": report.seed,
        "started": report.started,
        "seconds": report.seconds,
        "measured_share": report.measured_share,
        "complete": report.complete,
        "base": report.base,
        "head": report.head,
        "differences": [
            {"what": d.what, "base": d.base, "head": d.head, "asked": d.asked} for d in report.differences
        ],
        "machine": report.machine,
        **({} if report.calibration is None else {"calibration": report.calibration}),
        "scope": report.scope,
        "addresses": "drawn for both arms" if report.addresses else "drawn by the system for each process",
        "margin": report.margin,
        "benchmarks": [_benchmark(c) for c in report.comparisons],
        "summary": {
            **{verdict.value.replace(" ", "_"): report.count(verdict) for verdict in Verdict},
            # Of the undecided ones.
            "not_reached": report.not_reached,
            "geometric_mean": None if mean is None else {
                "ratio": mean.ratio, "low": mean.low, "high": mean.high, "count": mean.count},
            "text": list(words.headline(report)),
        },
        "warnings": [_warning(notice) for notice in notices.warnings(report)],
    }
    return json.dumps(strict(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _benchmark(c: Comparison) -> dict[str, Any]:
    return {
        "name": c.name,
        "params": c.params,
        "metric": c.metric.value,
        "unit": c.unit,
        "verdict": c.verdict.value,
        "state": c.state,
        "clear": c.clear,
        "tiny": c.tiny,
        "exact": c.exact,
        "ratio": c.ratio,
        "low": c.low,
        "high": c.high,
        "base_value": c.base_value,
        "head_value": c.head_value,
        "blocks": c.blocks,
        "reached": c.reached,
        "needed": c.needed,
        "p": c.p,
        "q": c.q,
        "mode": None if c.mode is None else c.mode.value,
        "machine_seconds": c.machine_seconds,
        **({"host": c.host} if c.host else {}),
        "reason": words.TOO_FEW if c.too_few else None if c.failure is None else c.failure.reason,
        "failed_arm": None if c.failure is None or c.failure.arm is None else c.failure.arm.value,
        "detail": None if c.failure is None else c.failure.detail,
        "warnings": [_warning(notice) for notice in c.notices],
    }


def _warning(notice: Notice) -> dict[str, Any]:
    return {"kind": notice.kind, "numbers": notice.numbers, "text": notices.sentence(notice)}


def strict(thing: Any) -> Any:
    """The same thing in JSON's own types; a number that JSON cannot write becomes null."""
    if isinstance(thing, Mapping):
        return {str(key): strict(value) for key, value in thing.items()}
    if isinstance(thing, float):
        return thing if math.isfinite(thing) else None
    if isinstance(thing, Sequence) and not isinstance(thing, str):
        return [strict(value) for value in thing]
    return str(thing) if isinstance(thing, Path) else thing
