"""Events in words: for a channel, a page, a feed, a terminal and a program. What is foreign in them is text, no markup.

Format history
--------------
lockstep.events/1  JSON of events. The first. Keys may be added; none is removed or changes its meaning within a
                   version.
"""

from __future__ import annotations

import json as json_
import re
import time
import uuid
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

from pydantic import TypeAdapter
from rich.console import RenderableType
from rich.text import Text

from runner.alerts.message import Message
from runner.history.events import Affected, Event, State
from runner.model import Commit
from runner.report import quantities
from runner.report.as_json import strict
from runner.report.markdown import code, escape
from runner.report.printable import REPLACEMENT, printable
from runner.report.text import clean, plain_table, print_to_text

SCHEMA = "lockstep.events/1"
SHORT = 10
"""Digits of a commit that are shown."""
MOST = 30
"""Benchmarks that are listed of an event; the others are counted."""
ENDED = 50
"""Events that are over and still have their own part of the file for people."""
NEWS = 100
"""States that a feed goes back."""
_STYLES = {State.NEW: "bold red", State.CONFIRMED: "red", State.ACKNOWLEDGED: "yellow"}
_event = TypeAdapter(Event)
_ATOM = "http://www.w3.org/2005/Atom"
_NO_XML = re.compile(r"[^\t\n\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")


def page(id: str) -> str:
    """The address of an event's page, below that of the site."""
    return f"events/{id}.html"


def headline(event: Event) -> str:
    """What happened, in a line: ``5 benchmarks slower, up to 1.21x, since 0123456789``."""
    return f"{_size(event)}, {_since(event)}"


def title(event: Event) -> str:
    """A headline that stands alone among others: what is watched first, and the state where people have spoken."""
    state = "" if event.state is State.NEW else f"{event.state.value}: "
    with_options = f" ({event.configuration})" if event.configuration else ""
    return _flat(f"{state}{event.watch}{with_options}: {headline(event)}")


def message(event: Event, site: str | None) -> Message:
    """What channels are told of an event's present state; `site` is the address of the site, None: it is not known."""
    states = event.states
    now, when = states[-1]
    over_before = len(states) > 1 and not states[-2][0].open
    return Message(
        key=f"event/{event.id}/{len(states) - 1}-{now.value}", watch=event.watch, direction=event.direction,
        thread=f"event/{event.id}", kind="event", state=now.value, began=event.opened, created=when,
        title=title(event), markdown=markdown(event, site), text=text(event, site), data=data(event, site),
        commit=event.bad.hash, closed=True if not now.open else False if over_before else None,
    )


def data(event: Event, site: str | None) -> dict[str, Any]:
    """An event for programs, in JSON's own types: as in its file, with its state and its page's address."""
    found: dict[str, Any] = strict(_event.dump_python(event, mode="json"))
    address = f"{site}/{page(event.id)}" if site else None
    return {"watch": event.watch, "event": {**found, "state": event.state.value, "page": address}}


def json(events: Sequence[Event], site: str | None = None) -> str:
    """Events as JSON, in the order given."""
    content = {"schema": SCHEMA, "events": [data(event, site)["event"] for event in events]}
    return json_.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def markdown(event: Event, site: str | None = None) -> str:
    """An event in GitHub's Markdown, without a heading."""
    parts = [f"**{escape(headline(event))}**", "\n".join(f"- {line}" for line in _facts(event, site, code, escape))]
    shown, rest = _shown(event)
    rows = [f"| {code(one.benchmark)} | {_ratio(one)} | {_p(one.p)} |{' went away' * bool(one.gone)} |"
            for one in shown]
    parts.append("\n".join(["| benchmark | after ÷ before | p | |", "| --- | --: | --: | --- |", *rows]))
    if rest:
        parts.append(f"and {rest} more")
    if event.functions:
        lines = "\n".join(f"- {code(one)}" for one in event.functions[:MOST])
        parts.append(f"Functions whose instruction counts moved:\n\n{lines}")
    parts.append(f"To measure it again: {code(event.command)}")
    if event.entries:
        said = (f"- {_day(one.when)} {escape(one.state.value)}, {escape(one.who)}"
                f"{f': {escape(one.note)}' if one.note else ''}" for one in event.entries)
        parts.append("\n".join(said))
    return printable("\n\n".join(parts)) + "\n"


def text(event: Event, site: str | None = None) -> str:
    """An event as plain text, in lines."""
    shown, rest = _shown(event)
    width = max((len(_flat(one.benchmark)) for one in shown), default=0)
    rows = [f"  {_flat(one.benchmark):{width}}  {_ratio(one)}{'  went away' * bool(one.gone)}" for one in shown]
    parts = [headline(event), "", *_facts(event, site, _flat, _flat), "", *rows]
    if rest:
        parts.append(f"  and {rest} more")
    if event.functions:
        names = (f"  {_flat(one)}" for one in event.functions[:MOST])
        parts += ["", "Functions whose instruction counts moved:", *names]
    parts += ["", "To measure it again:", f"  {_flat(event.command)}"]
    if event.entries:
        said = (f"{_day(one.when)} {one.state.value}, {_flat(one.who)}{f': {_flat(one.note)}' if one.note else ''}"
                for one in event.entries)
        parts += ["", *said]
    return "\n".join(printable(part) for part in parts) + "\n"


def file(events: Sequence[Event], site: str | None = None) -> str:
    """All events in one Markdown file: those that are open first, each group newest first. It changes only when they
    do."""
    newest = sorted(events, key=lambda event: (-event.states[-1][1], event.id))
    there = [event for event in newest if event.state.open]
    ended = [event for event in newest if not event.state.open]
    parts = ["# Events", f"{len(there)} open, {len(ended)} over."]
    for name, group in (("Open", there), ("Over", ended[:ENDED])):
        if group:
            parts.append(f"## {name}")
            parts += [f"### {escape(title(event))}\n\n{code(event.id)}\n\n{markdown(event, site).rstrip()}"
                      for event in group]
    if len(ended) > ENDED:
        parts.append(f"and {len(ended) - ENDED} older: `lockstep events --all`")
    return "\n\n".join(parts) + "\n"


def atom(events: Sequence[Event], site: str | None = None) -> str:
    """An Atom feed (RFC 4287) with an entry for each state that an event entered, newest first. It changes only when
    they do; without `site` its addresses start from where it lies, which is beside the overview."""
    feed = ElementTree.Element("feed", {"xmlns": _ATOM, "xml:lang": "en"})
    news = sorted(((when, number, event) for event in events for number, (_, when) in enumerate(event.states)),
                  key=lambda one: (-one[0], one[2].id, -one[1]))
    _add(feed, "title", "Lockstep: events")
    _add(feed, "id", _urn("events"))
    _add(feed, "updated", _moment(news[0][0] if news else 0.0))
    ElementTree.SubElement(_add(feed, "author", ""), "name").text = "Lockstep"
    start = f"{site}/" if site else ""
    ElementTree.SubElement(feed, "link", {"rel": "alternate", "href": f"{start}index.html"})
    for when, number, event in news[:NEWS]:
        state = event.states[number][0].value
        entry = ElementTree.SubElement(feed, "entry")
        _add(entry, "title", f"{state}: {event.watch}: {headline(event)}")
        _add(entry, "id", _urn(f"event/{event.id}/{number}-{state}"))
        _add(entry, "updated", _moment(when))
        _add(entry, "published", _moment(when))
        ElementTree.SubElement(entry, "link", {"rel": "alternate", "href": f"{start}{page(event.id)}"})
        ElementTree.SubElement(entry, "category", {"term": state})
        _add(entry, "content", text(event, site)).set("type", "text")
    ElementTree.indent(feed)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(feed, encoding="unicode") + "\n"


def render(events: Sequence[Event], *, width: int = 100, color: bool = False) -> str:
    """A row an event for the terminal, in the order given; or a line that says none."""
    if not events:
        return "no such events\n"
    table = plain_table()
    for name in ("event", "state", "since"):
        table.add_column(name, no_wrap=True)
    table.add_column("what", overflow="fold")
    for event in events:
        table.add_row(clean(event.id), clean(event.state.value, _STYLES.get(event.state, "")),
                      clean(_day(event.states[-1][1])), clean(title(event)))
    parts: list[RenderableType] = [table, Text(f"{len(events)} event{'s' * (len(events) != 1)}", style="dim")]
    return print_to_text(parts, width=width, color=color)


def _size(event: Event) -> str:
    there = [one for one in event.benchmarks if not one.gone] or list(event.benchmarks)
    count = len(there)
    what = f"{count} benchmark{'s' * (count != 1)} {event.direction}"
    most = _most(there)
    if most is None:
        return what
    times = quantities.factor(max(most.ratio, 1 / most.ratio))
    return f"{what}, {times}" if count == 1 else f"{what}, up to {times}"


def _most(benchmarks: Sequence[Affected]) -> Affected | None:
    """The one that changed most; None where no ratio is a number above 0."""
    known = [one for one in benchmarks if 0 < one.ratio < float("inf")]
    return max(known, key=lambda one: max(one.ratio, 1 / one.ratio), default=None)


def _since(event: Event) -> str:
    if event.between == 1:
        return f"since {event.bad.hash[:SHORT]}"
    return f"within {event.between} commits up to {event.bad.hash[:SHORT]}"


def _facts(event: Event, site: str | None, literal: Any, plain: Any) -> list[str]:
    """Where, in which commits, and how it is known: lines; `literal` and `plain` write foreign text."""
    lines = [f"event: {literal(event.id)}, {plain(event.state.value)}"]
    if event.between == 1:
        lines.append(f"commit: {_commit(event.bad, literal)}")
    else:
        lines += [f"last without it: {_commit(event.good, literal)}", f"first with it: {_commit(event.bad, literal)}"]
    options = f", built with {literal(event.configuration)}" if event.configuration else ""
    lines += [f"watched: {literal(event.watch)}{options}, on machine {literal(event.machine)}",
              f"confirmed by run {literal(event.run)}"]
    return [*lines, f"page: {site}/{page(event.id)}"] if site else lines


def _commit(commit: Commit, literal: Any) -> str:
    return f"{literal(commit.hash)} {literal(commit.subject)} ({_day(commit.date)})"


def _shown(event: Event) -> tuple[Sequence[Affected], int]:
    """The benchmarks that are listed, most changed first, and how many are not."""
    def size(one: Affected) -> float:
        return max(one.ratio, 1 / one.ratio) if one.ratio > 0 else float("inf")

    found = sorted(event.benchmarks, key=lambda one: (bool(one.gone), -size(one), one.benchmark))
    return found[:MOST], max(0, len(found) - MOST)


def _ratio(one: Affected) -> str:
    return quantities.ratio(one.ratio, one.low, one.high)


def _p(value: float) -> str:
    return f"{value:.1g}"


def _day(when: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(when))


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def _flat(text: str) -> str:
    return printable(" ".join(text.split()))


def _urn(what: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"lockstep:{what}").urn


def _add(parent: ElementTree.Element, name: str, text: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, name)
    child.text = _NO_XML.sub(REPLACEMENT, printable(text)) or None
    return child
