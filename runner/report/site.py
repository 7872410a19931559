"""The site's pages as records: a history in the words of a report."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup

from dashboards import axis, strips
from dashboards.records import (
    Bar,
    BenchmarkPage,
    Choice,
    Glance,
    Line,
    MachineCard,
    Overview,
    RunLine,
    Runs,
    Series,
    Trust,
)
from runner.history import points
from runner.history.runs import Entry, History
from runner.history.series import Ground, opened
from runner.judging.report import NOT_REACHED, Comparison
from runner.model import Metric, Verdict
from runner.report import addresses, commits, explain, grouped, notices, picture, quantities, words
from runner.report.addresses import slug as slug
from runner.report.picture import Item
from runner.report.quantities import day as day
from runner.report.run_page import METRICS, REASON, bars, blocks_table, reach, size, sorting
from runner.stats import steps

K = TypeVar("K", bound=Hashable)
PAIRS, CHANGES, SHOWN = 20, 40, 50
"""Most pairs and changes on the overview, and runs in a table on a benchmark's page; all are in the lists behind."""
FEW, SERIES = 10, 20
"""Most runs in the tables of all but the newest series on a benchmark's page, and most series there: a page stays light
however often a kernel or an anchor has changed."""
PICTURES = 3
"""Most comparisons that the overview shows at a glance."""
ALARMS = ("canary", "canary-failed", "drift", "disturbed-ratios", "disturbed-blocks", "order-effect", "steal")
"""Notices of a run that tell of the machine."""
LOST = (Verdict.FAILED.value, Verdict.ONLY_IN_BASE.value, Verdict.ONLY_IN_HEAD.value)
"""States that need a look."""
VAGUE = (Verdict.UNDECIDED.value, NOT_REACHED)
"""States that need one where a run has hardly any other."""
FARTHEST = 1e5
"""Largest change for which a chart is given a round mark."""


def runs(entries: Iterable[Entry]) -> Runs:
    """All runs as a list shows them, newest first."""
    lines = run_lines(entries)
    return Runs(lines=lines, choices=[
        Choice(name="suite", label="Suite", values=sorted({line.suite for line in lines})),
        Choice(name="machine", label="Machine", values=sorted({line.machine for line in lines})),
    ])


def run_lines(entries: Iterable[Entry]) -> list[RunLine]:
    """Runs as a list shows them, newest first."""
    return [_run_line(entry) for entry in sorted(entries, key=lambda entry: entry.created, reverse=True)]


def _run_line(entry: Entry) -> RunLine:
    mean = "–" if entry.mean is None else quantities.ratio(*entry.mean[:3])
    changed = sum(entry.counts.get(state, 0) for state in picture.CHANGED)
    return RunLine(
        id=entry.id, when=day(entry.created), sort=str(entry.created), base=commits.label(entry.base),
        head=commits.label(entry.head),
        suite=Path(entry.suite).name, machine=machine_name(entry.machine), mean=mean,
        counts=list(entry.counts.items()),
        state="" if entry.complete else "interrupted",
        mean_sort=quantities.sorting(mean=None if entry.mean is None else entry.mean[0])["mean"], changed=str(changed),
    )


def overview(
    history: History, attention: Sequence[tuple[str, str]] = (), *, asv: bool, imported: bool = False
) -> Overview:
    """The first page; `attention` is what needs a look beside the runs, each with where it leads."""
    # Oldest first: the last one of each pair stays.
    latest = {entry.pair: entry for entry in points.whole(history.runs, lambda entry: entry.pair)}
    newest = sorted(latest.values(), key=lambda entry: entry.created, reverse=True)[:PAIRS]
    ids = {entry.id: entry for entry in newest}
    rows = history.of_runs(ids)
    changed = rows[rows["verdict"].isin(picture.CHANGED)]
    # Of the nights of one base, each a pair of its own, a benchmark is told of once: by the last in which it differed.
    places = ["\n".join((ids[run].base.spec, *ids[run].pair[2:])) for run in changed["run"]]
    changed = changed.assign(place=places).drop_duplicates(["key", "place"], keep="last")
    extent = changed["ratio"].map(lambda ratio: abs(math.log(ratio)) if ratio > 0 else math.inf)
    changed = changed.assign(size=extent).sort_values("size", ascending=False, kind="stable").head(CHANGES)
    scale = axis.around(changed["ratio"], max((entry.margin for entry in newest), default=0.01))
    lines = [_row_line(row, ids[row["run"]], bar, label=row["key"], root="") for row, bar in _drawn(changed, scale)]
    return Overview(
        glances=_glances(newest, rows), latest=run_lines(newest), changed=lines, reach=reach(scale), choices=[
            Choice(name=name, label=name.capitalize(), values=sorted({getattr(line, name) for line in lines}))
            for name in ("metric", "suite", "machine")],
        attention=[
            *attention, *((problem, "") for problem in history.problems), *_attention(newest, rows)],
        machines=_machines(history.runs), runs=len(history.runs), asv=asv,
        imported=imported,
    )


def _glances(newest: Sequence[Entry], rows: pd.DataFrame) -> list[Glance]:
    """The newest comparison of each base, suite and machine, newest first."""
    chosen: dict[tuple[str, ...], Entry] = {}
    for entry in newest:
        chosen.setdefault((entry.base.spec, *entry.pair[2:]), entry)
    found = []
    for entry in list(chosen.values())[:PICTURES]:
        lines = picture.rows(_item(row) for row in rows[rows["run"] == entry.id].to_dict("records"))
        found.append(Glance(
            title=f"{_pair(entry)}, {day(entry.created)}", link=addresses.run(entry.id, ""),
            headline=headline(entry), picture=picture.picture(lines), changes=grouped.changes(lines),
        ))
    return found


def headline(entry: Entry) -> str:
    """What a run says, in a sentence."""
    tally = ", ".join(f"{count} {state}" for state, count in entry.counts.items() if count)
    mean = "" if entry.mean is None else f"; geometric mean {quantities.ratio(*entry.mean[:3])}"
    return f"{tally}{mean}"


def newest_first(runs: Iterable[Entry], key: Callable[[Entry], K]) -> dict[K, list[Entry]]:
    """Runs, which come oldest first, by what `key` says of each: that with the newest run first."""
    found: dict[K, list[Entry]] = {}
    for entry in runs:
        own = found.pop(what := key(entry), [])
        own.append(entry)
        found[what] = own  # behind the others
    return dict(reversed(found.items()))


def warnings(entry: Entry) -> list[str]:
    """What a run says against its machine."""
    return [notices.sentence(notice) for notice in entry.notices if notice.kind in ALARMS]


def _pair(entry: Entry) -> str:
    return f"{commits.label(entry.base)} → {commits.label(entry.head)}"


def _item(row: Any) -> Item:
    ratio = _number(row["ratio"])
    return Item(
        key=row["key"], name=row["name"], params=params_of(row["name"], row["key"]),
        timed=row["metric"] == Metric.TIME.value, state=row["verdict"], ratio=ratio, base=_number(row["base_value"]),
        head=_number(row["head_value"]), words=_verdict(row),
        link=addresses.benchmark(row["key"], ""),
    )


def params_of(name: str, key: str) -> dict[str, str]:
    """The parameters in a benchmark's key, the reverse of `model.key_of`; none where they cannot be told apart."""
    match = re.fullmatch(r"\((.*?)\)(?: \(\d+\))?", key[len(name):], re.DOTALL)
    pieces = re.split(r"(?:^|, )(\w+)=", match[1]) if match else [""]
    return dict(zip(pieces[1::2], pieces[2::2], strict=True)) if not pieces[0] else {}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _attention(newest: Sequence[Entry], rows: pd.DataFrame) -> list[tuple[str, str]]:
    found = []
    for entry in newest:
        name = f"{_pair(entry)}, {day(entry.created)}"
        link = f"runs/{entry.id}.html"
        if not entry.complete:
            found.append((f"{name}: interrupted", link))
        own = rows[rows["run"] == entry.id]
        for state in LOST + VAGUE:
            count = int((own["verdict"] == state).sum())
            # One that is undecided is no trouble; a run that mostly is has not said much.
            if count and (state in LOST or 2 * count > len(own)):
                found.append((f"{name}: {count} of {len(own)} {state}", link))
        found += [(f"{name}: {warning}", link) for warning in warnings(entry)]
    return found


def _machines(runs: Sequence[Entry]) -> list[MachineCard]:
    by_machine: dict[str, list[Entry]] = {}
    for entry in runs:
        by_machine.setdefault(str(entry.machine.get("fingerprint")), []).append(entry)
    cards = []
    for entries in sorted(by_machine.values(), key=lambda entries: entries[-1].created, reverse=True):
        last = entries[-1]
        alarms = [entry for entry in entries if any(notice.kind in ALARMS for notice in entry.notices)]
        cards.append(MachineCard(
            name=machine_name(last.machine),
            facts=[
                ("what it is", words.machine(last.machine)), ("runs", f"{len(entries)}, the last {day(last.created)}"),
                ("runs with a warning about it", str(len(alarms))),
            ],
            warnings=warnings(last),
        ))
    return cards


def machine_name(machine: Mapping[str, Any]) -> str:
    return f"{machine.get('cpu') or machine.get('arch')} ({str(machine.get('fingerprint'))[:8]})"


def _drawn(rows: pd.DataFrame, scale: axis.Axis) -> Iterable[tuple[Any, Bar | None]]:
    """Each row with its bar."""
    return zip(rows.to_dict("records"), _bars(rows, scale), strict=True)


def _bars(rows: pd.DataFrame, scale: axis.Axis) -> Sequence[Bar | None]:
    return bars(rows[["ratio", "low", "high"]].to_numpy(dtype=float), scale)


def _row_line(row: Any, entry: Entry, bar: Bar | None, *, label: str, root: str) -> Line:
    """A row of the history's table; `root` leads from the page to the site's first folder."""
    ratio, low, high = (_number(row[name]) for name in ("ratio", "low", "high"))
    exact = bool(row["exact"])
    state = str(row["verdict"])
    missing = words.TOO_FEW if state == NOT_REACHED else "–"
    shown = missing if ratio is None else quantities.ratio(ratio, *((None, None) if exact else (low, high)))
    base, head = words.values(_changed(row)) if state in picture.CHANGED else (
        quantities.value(row[f"{side}_value"], row["unit"]) for side in ("base", "head"))
    return Line(
        label=label,
        link=addresses.benchmark(row["key"], root) if label == row["key"] else addresses.run(entry.id, root),
        state=state, words=_verdict(row), ratio=shown, base=base, head=head,
        sort={
            **sorting(state, base=row["base_value"], head=row["head_value"], ratio=ratio), "date": str(entry.created),
        },
        bar=bar, command="", when=day(entry.created),
        notes=[words.side(row["reason"], REASON)] if row["reason"] else [], size=size(ratio, state),
        metric=METRICS[row["metric"]], suite=Path(entry.suite).name, machine=machine_name(entry.machine),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changed:
    """A row of the history that changed, as `words` tells of one."""

    verdict: Verdict
    metric: Metric
    unit: str
    clear: bool
    exact: bool
    ratio: float | None
    base_value: float | None
    head_value: float | None


def _changed(row: Any) -> _Changed:
    ratio, base, head = (_number(row[name]) for name in ("ratio", "base_value", "head_value"))
    return _Changed(verdict=Verdict(row["verdict"]), metric=Metric(row["metric"]), unit=row["unit"], ratio=ratio,
                    clear=bool(row["clear"]), exact=bool(row["exact"]), base_value=base, head_value=head)


def _verdict(row: Any) -> str:
    """What a row says, in the words of its run's report where it changed."""
    return words.sure(_changed(row)) if row["verdict"] in picture.CHANGED else str(row["verdict"])


def benchmark_page(
    key: str, rows: pd.DataFrame, entries: Mapping[str, Entry], record: Mapping[str, str] | None,
    last: Comparison | None,
) -> tuple[BenchmarkPage, dict[str, pd.DataFrame]]:
    """One benchmark through all runs, and its tables by file name.

    `rows` are the history's of this benchmark, in the order of measuring; `record` is what it said of itself when it
    was last measured (`Manifest.described`), None where that was not recorded; `last` is its line in the newest run,
    with its blocks.
    """
    name, series, files = slug(key), [], dict[str, pd.DataFrame]()
    # In the order of the graph: what fills a history backwards is measured last, and is not its newest end.
    ordered = points.in_order(entries[run] for run in set(rows["run"]))
    place = {entry.id: place for place, entry in enumerate(ordered)}
    keyed = rows.sort_values("run", key=lambda runs: runs.map(place), kind="stable", ignore_index=True)
    versions = keyed["version"].nunique()
    records = keyed.to_dict("records")  # once: of a table of one row it takes as long
    segments = _segments(records, entries)
    for number, (places, why) in enumerate(segments[:SERIES], start=1):
        file, own = f"{name}.{number}.csv", keyed.iloc[places]
        files[file] = own
        series.append(_series(own, [records[place] for place in places], entries, file, why, several=versions > 1,
                              most=SHOWN if number == 1 else FEW))
    said = record or {}
    newest = entries[rows["run"].iloc[-1]]
    blocks, noise = Markup(), None if last is None else last.noise
    if last is not None and (drawn := blocks_table(last)) is not None:
        files[f"{name}.blocks.csv"] = pd.DataFrame(dict(drawn))
        blocks = Markup(strips.blocks(drawn, low=last.low, high=last.high, margin=newest.margin))
    page = BenchmarkPage(
        key=key, slug=name, doc=said.get("doc", ""), place=said.get("place", ""),
        code=said.get("code", ""), series=series, older=len(segments) - len(series), blocks=blocks,
        last=f"Last measured {day(newest.created)}: {commits.label(newest.base)} → {commits.label(newest.head)}, "
             f"{_verdict(rows.iloc[-1])}.",
        noise=() if noise is None else explain.parts(noise),
        noise_sd="" if noise is None else f"Noise of a slice, {quantities.percent(noise.sd)}:",
    )
    return page, files


def _segments(records: Sequence[Mapping[Any, Any]], entries: Mapping[str, Entry]) -> list[tuple[list[int], str]]:
    """The places of rows that can be drawn as one course, in their order, and why it begins anew; the newest first.

    As in `history.series`, but that a bridge joins nothing: what is drawn are the ratios as they were measured.
    """
    grounds = [_ground(entries[row["run"]], row["version"]) for row in records]
    found: dict[tuple[str, ...], list[int]] = {}
    for place, (row, ground) in enumerate(zip(records, grounds, strict=True)):
        alone = ground._replace(host="", base_spec="")
        found.setdefault((*_line(row, entries), *alone), []).append(place)
    measured = [sorted(places, key=lambda place: records[place]["created"]) for places in found.values()]
    before: dict[tuple[str, ...], list[tuple[Ground, Ground]]] = {}
    segments = []
    for places in sorted(measured, key=lambda places: records[places[0]]["created"]):
        first, last = grounds[places[0]], grounds[places[-1]]
        line = before.setdefault(_line(records[places[0]], entries), [])
        segments.append((records[places[-1]]["created"], sorted(places), opened(first, line)))
        line.append((first, last))
    segments.sort(key=lambda segment: segment[0], reverse=True)
    return [(places, why) for _, places, why in segments]


def _line(row: Mapping[Any, Any], entries: Mapping[str, Entry]) -> tuple[str, ...]:
    """What segments of one benchmark that follow each other have in common."""
    return row["watch"], row["configuration"], Path(entries[row["run"]].suite).name, row["metric"], row["unit"]


def _ground(entry: Entry, version: str) -> Ground:
    machine, kernel, host = (str(entry.machine.get(name) or "") for name in ("fingerprint", "kernel", "host"))
    return Ground(version=version, machine=machine, kernel=kernel, compiler=entry.head.compiler, host=host,
                  base=entry.base.identity, base_spec=entry.base.spec)


def _series(
    own: pd.DataFrame, records: Sequence[Mapping[Any, Any]], entries: Mapping[str, Entry], file: str, why: str, *,
    several: bool, most: int
) -> Series:
    """The history of rows that follow each other, with the newest in a table, `most` at most; `records` are the same
    rows, and `why` says why they begin anew."""
    last = entries[own.sort_values("created", kind="stable")["run"].iloc[-1]]
    drawn = own[(own["ratio"] > 0) & own["verdict"].isin(["faster", "slower", "same", "undecided"])]
    heads = [entries[run].head for run in drawn["run"]]
    drawn = drawn.assign(label=[commits.label(head) for head in heads])
    figure, changes, chart = Markup(), tuple[int, ...](), dict[str, Any]()
    if len(drawn):
        changes = steps.changes(list(drawn["ratio"]), list(drawn["low"]), list(drawn["high"]), last.margin)
        noise = steps.bands(list(drawn["ratio"]), changes)
        figure = Markup(strips.history(drawn, margin=last.margin, changes=changes, noise=noise))
        chart = _chart(drawn, last.margin, changes, noise) if len(drawn) > 1 else {}
    shown = own.iloc[::-1].head(most)
    scale = axis.around(shown["ratio"], last.margin)
    note = ""
    if several:
        note = (f"Version {own['version'].iloc[-1][:10]} of the benchmark's code: results of another version measured"
                " something else, and are a series of their own.")
    watch, options, suite = _line(records[-1], entries)[:3]
    watched = f"{watch}{f' ?{options}' * bool(options)}, " if watch else ""
    where = f"{watched}suite {suite}, against {commits.label(last.base)} on {machine_name(last.machine)}"
    return Series(
        title=f"{where}; {why}" if why else where, figure=figure,
        lines=[_row_line(row, entries[row["run"]], bar, label=commits.label(entries[row["run"]].head), root="../")
               for row, bar in zip(reversed(records[-most:]), _bars(shown, scale), strict=True)],
        total=len(own), csv=file, note=note, chart=chart, reach=reach(scale),
        changes=[(f"{commits.step(heads[at - 1], heads[at])}, {day(entries[run].created)}", addresses.run(run, "../"))
                 for at in changes for run in [drawn["run"].iloc[at]]],
    )


def _chart(
    drawn: pd.DataFrame, margin: float, changes: Sequence[int], noise: axis.Array
) -> dict[str, Any]:
    """What `assets/chart.js` draws a history from: a list a column, oldest run first, null where there is no number."""
    ticks = [mark for mark in axis.marks() if axis.excess(mark[0]) <= FARTHEST]
    return {
        "near": max(margin, axis.NEAREST), "margin": margin, "changes": list(changes), "ticks": ticks,
        "timed": drawn["metric"].iloc[-1] == Metric.TIME.value,
        "created": [round(when) for when in drawn["created"]],
        **{name: _digits(drawn[name]) for name in ("ratio", "low", "high")},
        "noise": [_digits(noise[:, 0]), _digits(noise[:, 1])],
        **{name: list(drawn[name]) for name in ("label", "run", "verdict")},
        "head": [quantities.value(value, unit) for value, unit in zip(drawn["head_value"], drawn["unit"], strict=True)],
    }


def _digits(numbers: Iterable[float]) -> list[float | None]:
    """Six digits of each, which is more than can be seen."""
    return [quantities.rounded(number, 6) for number in numbers]


def trust(
    calibrations: Sequence[tuple[str, str]], history: History, evidence: str, suspicions: str = ""
) -> Trust:
    """The trust page. `calibrations` (machine and Markdown) and `evidence` (Markdown) are rendered; HTML is text.

    `suspicions` is as in `Trust`.
    """
    by_machine: dict[str, list[Entry]] = {}
    for entry in history.runs:
        by_machine.setdefault(machine_name(entry.machine), []).append(entry)
    canary = []
    for name, entries in by_machine.items():
        spoke = sum(any(notice.kind == "canary" for notice in entry.notices) for entry in entries)
        canary.append([name, str(len(entries)), f"{spoke} ({quantities.percent(spoke / len(entries))})"])
    return Trust(
        calibrations=[(name, _markdown(text)) for name, text in calibrations], canary=canary,
        suspicions=suspicions, evidence=_markdown(evidence),
    )


def _markdown(text: str) -> Markup:
    """Markdown as HTML; HTML in it is text. Columns are aligned by a class, `right` or `center`: the policy of a server
    (`service.headers`) blocks the `style` that the parser writes."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    for token in tokens:
        if style := token.attrs.pop("style", ""):
            token.attrJoin("class", str(style).removeprefix("text-align:"))
    return Markup(parser.renderer.render(tokens, parser.options, {}))
