"""Regressions and improvements: the list of them, and a page for each that keeps its address."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from dashboards.history_records import AffectedLine, EventLine, EventPage, EventsPage
from runner.history import points
from runner.history.events import Affected, Event, State
from runner.history.runs import Entry, History
from runner.model import Metric, Verdict
from runner.report import addresses, commits, quantities, site
from runner.report import events as in_words
from runner.report.commits import SHORT

SLOWER, FASTER = "slower", "faster"


def events_page(events: Sequence[Event], known: History, *, url: str, notes: Sequence[str] = ()) -> EventsPage:
    """The list, newest first in each group. `url` is the address of commits, or empty; `notes` are said below it."""
    machines = _machines(known)
    newest = sorted(events, key=lambda event: event.opened, reverse=True)
    groups = (
        ("regressions", "Regressions", [one for one in newest if one.direction == SLOWER and one.state.open]),
        ("improvements", "Improvements", [one for one in newest if one.direction == FASTER and one.state.open]),
        ("closed", "Closed", [one for one in newest if not one.state.open]),
    )
    return EventsPage(
        groups=[(id, title, [_line(one, machines, url) for one in own]) for id, title, own in groups], notes=notes,
    )


def event_page(event: Event, known: History, *, url: str) -> EventPage:
    """The page of one event."""
    timed = _timed(known, {one.run for one in event.benchmarks})
    pages = {entry.id: entry for entry in known.runs}
    keys = points.names(known).keys()
    where = [
        ("watch", event.watch), ("build options", event.configuration or "none"),
        ("suite", Path(event.suite).name), ("machine", _machines(known).get(event.machine, event.machine)),
        ("found", f"{site.day(event.opened)}, nominated as {event.kind}, and measured afresh"),
    ]
    return EventPage(
        id=event.id, title=in_words.headline(event), direction=event.direction, state=event.state.value,
        range=commits.between(event.good, event.bad, event.between, url), facts=where, run=event.run,
        run_link=f"../runs/{event.run}.html" if event.run in pages else "",
        benchmarks=[_affected(one, event, pages, keys, timed=timed.get(one.benchmark, True))
                    for one in sorted(event.benchmarks, key=_size, reverse=True)],
        functions=event.functions, command=event.command,
        said=said(event),
        log=f"git log --oneline {event.good.hash[:SHORT]}..{event.bad.hash[:SHORT]}",
        triage=f"lockstep triage {shlex.quote(event.id)} acknowledged --note TEXT",
    )


def said(event: Event) -> list[tuple[str, str, str, str]]:
    """What was said of an event, oldest first: when, which state, who, and the note."""
    return [(site.day(one.when), one.state.value, one.who, one.note) for one in event.entries]


def _line(event: Event, machines: Mapping[str, str], url: str) -> EventLine:
    largest = max(event.benchmarks, key=_size, default=None)
    options = f" ?{event.configuration}" if event.configuration else ""
    return EventLine(
        title=in_words.headline(event), link=f"{event.id}.html", direction=event.direction, state=event.state.value,
        range=commits.between(event.good, event.bad, event.between, url),
        largest="–" if largest is None else quantities.ratio(largest.ratio, largest.low, largest.high),
        size="" if largest is None else repr(_size(largest)),
        where=f"{event.watch}{options} on {machines.get(event.machine, event.machine[:8])}",
        opened=site.day(event.opened), sort=str(event.opened),
    )


def _affected(
    one: Affected, event: Event, pages: Mapping[str, Entry], keys: Collection[str], *, timed: bool
) -> AffectedLine:
    word = event.direction if timed else {SLOWER: "more", FASTER: "less"}[event.direction]
    times = max(one.ratio, 1 / one.ratio) if one.ratio > 0 else math.inf
    gone = ""
    if one.gone:
        gone = f"gone since {site.day(pages[one.gone].created)}" if one.gone in pages else f"gone: run {one.gone}"
    return AffectedLine(
        key=one.benchmark, link=f"../benchmarks/{addresses.slug(one.benchmark)}.html" if one.benchmark in keys else "",
        ratio=quantities.ratio(one.ratio, one.low, one.high), sort=repr(one.ratio), p=f"{one.p:.1g}",
        state=Verdict(event.direction).value, words=f"{quantities.factor(times)} {word}" if one.ratio > 0 else word,
        run=one.run, run_link=f"../runs/{one.run}.html" if one.run in pages else "", gone=gone,
    )


def _size(one: Affected) -> float:
    return abs(math.log(one.ratio)) if one.ratio > 0 else math.inf


def _timed(known: History, runs: Collection[str]) -> dict[str, bool]:
    """Whether benchmarks of some runs are timings, by key."""
    rows = points.of_runs(known, runs)
    return {str(key): metric == Metric.TIME.value for key, metric in zip(rows["key"], rows["metric"], strict=True)}


def _machines(known: History) -> dict[str, str]:
    return {str(entry.machine.get("fingerprint")): site.machine_name(entry.machine) for entry in known.runs}


def attention(events: Sequence[Event]) -> list[tuple[str, str]]:
    """What the first page says of them: regressions that nobody has dealt with, each with its page."""
    return [
        (in_words.title(event), in_words.page(event.id))
        for event in sorted(events, key=lambda event: event.opened, reverse=True)
        if event.direction == SLOWER and event.state in (State.NEW, State.CONFIRMED)
    ]


def suspicions(outcomes: Iterable[str]) -> str:
    """What became of all that histories suggested, in a sentence; empty where they suggested nothing.

    `outcomes` are those of the ledger of nominations.
    """
    count = Counter(outcomes)
    if not count:
        return ""
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(count.items()))
    return (f"Histories have suggested {count.total()} change{'s' * (count.total() != 1)}: {told}. What fresh blocks "
            "did not confirm is no event.")
