"""Releases against each other, as users of CPython's bench_runner know it: a row a version, a column a base."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dashboards.history_records import ReleaseCell, ReleasesPage, ReleaseTable
from runner.history import points
from runner.history.runs import Entry, History, Side
from runner.model import Metric
from runner.report import quantities, site
from runner.stats import indirect

FINAL = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
"""A version that was released: ``3.14.0``, ``3.14.0rc1``; what stands between two has a ``+``."""
MOST = 12
"""Bases that have a column, the newest."""
ALIKE = 5e-4
"""Change of peak memory that counts as none: its mean has no interval that could say so."""

Mean = tuple[float, float, float, int]
"""Geometric mean, its interval, and of how many benchmarks."""


def releases(known: History) -> ReleasesPage:
    """The page: of runs of two versions. Builds of a commit are no releases."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in known.runs:
        if entry.base.version != entry.head.version and all(map(_is_release, (entry.base, entry.head))):
            groups.setdefault((Path(entry.suite).name, str(entry.machine.get("fingerprint"))), []).append(entry)
    return ReleasesPage(tables=[
        _table(suite, entries, known)
        for (suite, _), entries in sorted(groups.items(), key=lambda group: group[1][-1].created, reverse=True)
    ])


def _is_release(side: Side) -> bool:
    return FINAL.fullmatch(side.version) is not None and points.commit(side) is None


def _table(suite: str, entries: Sequence[Entry], known: History) -> ReleaseTable:
    versions = {side.spec: side.version for entry in entries for side in (entry.base, entry.head)}
    # An interpreter that was replaced by another version under its name is not the one that stands there now.
    entries = [entry for entry in entries if all(versions[side.spec] == side.version
                                                 for side in (entry.base, entry.head))]
    latest = _latest(entries)
    seen = _Seen(points.of_runs(known, [entry.id for entry in latest.values()]))
    bases = list(dict.fromkeys(entry.base.spec for entry in reversed(entries)))[:MOST]
    bases.sort(key=lambda spec: _order(versions[spec], spec))
    heads = sorted({entry.head.spec for entry in entries}, key=lambda spec: _order(versions[spec], spec), reverse=True)
    return ReleaseTable(
        title=f"{suite} on {site.machine_name(entries[-1].machine)}",
        bases=[_name(spec, versions) for spec in bases],
        rows=[(_name(head, versions), [_cell(base, head, latest, seen) for base in bases]) for head in heads],
    )


def _latest(entries: Iterable[Entry]) -> dict[tuple[str, str], Entry]:
    """Of each pair the newest run of the suite, and not of some of its benchmarks: one that is complete, and has at
    least `points.PART` of the timings of the fullest. `entries` come oldest first."""
    pairs: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        pairs.setdefault((entry.base.spec, entry.head.spec), []).append(entry)
    found = {}
    for pair, own in pairs.items():
        most = max(_timings(entry) for entry in own)
        enough = [entry for entry in own if _timings(entry) >= points.PART * most]
        found[pair] = ([entry for entry in enough if entry.complete] or enough)[-1]
    return found


def _timings(entry: Entry) -> int:
    return 0 if entry.mean is None else entry.mean[3]


def _name(spec: str, versions: Mapping[str, str]) -> str:
    return spec if versions[spec] in spec else f"{versions[spec]}, {spec}"


def _order(version: str, spec: str) -> tuple[tuple[int, ...], str]:
    """Of versions as they came: alphas, betas and candidates before the release."""
    found = FINAL.fullmatch(version)
    if found is None:
        return (), spec
    stage = {"a": 0, "b": 1, "rc": 2, None: 3}[found[4]]
    return (int(found[1]), int(found[2]), int(found[3]), stage, int(found[5] or 0)), spec


def _cell(base: str, head: str, latest: Mapping[tuple[str, str], Entry], seen: _Seen) -> ReleaseCell | None:
    """By the newest run of the suite in both (`_latest`); else by one the other way round; else through a base that
    both were measured against."""
    for pair, turned in (((base, head), 1), ((head, base), -1)):
        if pair in latest:
            entry = latest[pair]
            how = "" if turned == 1 else "measured the other way round"
            return _made(_turned(entry.mean, turned), turned * seen.memory(entry.id), entry, how)
    for anchor in dict.fromkeys(one for one, _ in latest) if base != head else ():
        there, here = latest.get((anchor, head)), latest.get((anchor, base))
        if there is not None and here is not None and there.base.identity == here.base.identity:
            peaks, times = (seen.alike(there.id, here.id, metric) for metric in (Metric.PEAK_MEMORY, Metric.TIME))
            log = seen.memory(there.id) - seen.memory(here.id) if peaks else math.nan
            mean = _through(here.mean, there.mean) if times else None
            return _made(mean, log, there, f"through {anchor}")
    return None


def _turned(mean: Mean | None, sign: int) -> Mean | None:
    if mean is None or sign == 1:
        return mean
    return None if not _whole(mean) else (1 / mean[0], 1 / mean[2], 1 / mean[1], mean[3])


def _whole(mean: Mean) -> bool:
    """Whether the logs of its numbers are numbers."""
    return all(0 < number < math.inf for number in mean[:3])


def _through(base: Mean | None, head: Mean | None) -> Mean | None:
    """Head to base from both to an anchor. The errors of two runs add up in their squares, at the same level."""
    if base is None or head is None or not (_whole(base) and _whole(head)):
        return None
    logs = [[math.log(number) for number in mean[:3]] for mean in (base, head)]
    middle = logs[1][0] - logs[0][0]
    half = math.hypot(*((log[2] - log[1]) / 2 for log in logs))
    return indirect.ratio(middle), indirect.ratio(middle - half), indirect.ratio(middle + half), base[3]


def _made(mean: Mean | None, log_memory: float, entry: Entry, how: str) -> ReleaseCell | None:
    if mean is None and not math.isfinite(log_memory):
        return None
    time, time_state = _time(mean)
    return ReleaseCell(
        time=time, time_state=time_state, memory=_memory(log_memory), memory_state="",
        link=f"runs/{entry.id}.html", how=how,
    )


def _time(mean: Mean | None) -> tuple[str, str]:
    """What a mean says, in words and as a state; it is the interval that tells whether there is a difference."""
    if mean is None:
        return "–", ""
    ratio, low, high, _ = mean
    if low <= 1 <= high:
        return f"no difference shown ({quantities.ratio(ratio)})", ""
    return _said(ratio, ("faster", "slower")), "faster" if ratio < 1 else "slower"


def _memory(log: float) -> str:
    if not math.isfinite(log):
        return "–"
    ratio = indirect.ratio(log)
    return "the same" if abs(ratio - 1) < ALIKE else _said(ratio, ("less", "more"))


def _said(ratio: float, words: tuple[str, str]) -> str:
    return f"{quantities.factor(max(ratio, 1 / ratio) if ratio else math.inf)} {words[ratio > 1]}"


class _Seen:
    """What runs saw of single benchmarks, as far as means need it."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self._nothing = rows.iloc[:0]
        self._rows = {str(run): own for run, own in rows[rows["ratio"] > 0].groupby("run")}

    def alike(self, run: str, other: str, metric: Metric) -> bool:
        """Whether two runs saw the same benchmarks of a metric: means of others are not to be compared."""
        return set(self._of(run, metric)["key"]) == set(self._of(other, metric)["key"])

    def memory(self, run: str) -> float:
        """Log of the geometric mean of the ratios of peak memory, which hardly vary; NaN where there are none."""
        logs = np.log(self._of(run, Metric.PEAK_MEMORY)["ratio"].to_numpy(dtype=float))
        return float(logs.mean()) if logs.size else math.nan

    def _of(self, run: str, metric: Metric) -> pd.DataFrame:
        own = self._rows.get(run, self._nothing)
        return own[own["metric"] == metric.value]
