"""Events in words: the same facts in every form, foreign text that stays text, and health."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import NOW, affected, commit, entry, event
from markdown_it import MarkdownIt

from runner.history import events
from runner.history.events import Event, State
from runner.report import events as report
from runner.report import health
from runner.report.health import DAY, Health, Night, Waiting

SITE = "https://example.org/bench"
ATOM = "{http://www.w3.org/2005/Atom}"
TWO = event(affected("a.time_x(n=1|2)", 1.05), affected("b.time_y", 1.5, gone="later"), affected("c.time_z", 1.3))
FIXED = events.said(TWO, entry(State.FIXED, note="by gh-1"))


def test_a_headline_says_how_many_how_much_and_since_when() -> None:
    assert report.headline(TWO) == "2 benchmarks slower, up to 1.30x, since 000000000b", "without what went away"
    wide, faster = event(affected("a"), bad=14), event(affected("a", 0.5), direction="faster")
    assert report.headline(wide) == "1 benchmark slower, 1.20x, within 4 commits up to 000000000e"
    assert report.headline(faster) == "1 benchmark faster, 2.00x, since 000000000b"
    assert report.title(replace(FIXED, configuration="pgo&lto")).startswith("fixed: main (pgo&lto): 2 benchmarks")


@pytest.mark.parametrize("form", [report.markdown, report.text])
def test_every_form_has_the_facts(form: Any) -> None:
    said = form(replace(FIXED, functions=("dict_lookup +12 %",)), SITE)
    for fact in (FIXED.id, commit(11).hash, "Change 11", "dict_lookup +12 %", "lockstep ab git:r@10 git:r@11 -b a",
                 "went away", "fixed", "by gh", "ada", f"{SITE}/events/{FIXED.id}.html", "confirming"):
        assert fact in said.replace("\\", ""), fact
    assert commit(10).hash not in said, "of one commit only that is told"
    assert commit(10).hash in form(event(bad=14), None)


def test_a_long_list_is_cut_and_counted() -> None:
    many = event(*(affected(f"b{number}", 1.1 + number / 1000) for number in range(40)))
    assert "and 10 more" in report.markdown(many) and "and 10 more" in report.text(many)
    assert "`b39`" in report.markdown(many) and "`b0`" not in report.markdown(many), "the largest are shown"


HOSTILE = "<script>|`*_[x](http://e) @ada \x1b[31m\u202e\x00\ufffe\n# no"


@given(text=st.text() | st.just(HOSTILE))
@settings(max_examples=40)
def test_foreign_text_is_no_markup(text: str) -> None:
    one = event(affected(f"x{text}"), watch=f"x{text}", good=8, bad=11)
    one = replace(one, bad=replace(one.bad, subject=text), functions=(text,), command=f"x{text}", entries=(
        entry(State.ACKNOWLEDGED, who=f"x{text}", note=text),))
    html = MarkdownIt("commonmark").enable("table").render(report.file([one], SITE))
    assert set(re.findall(r"<(\w+)", html)) <= {
        "h1", "h2", "h3", "p", "strong", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td", "sub"}
    assert html.count("<tr>") == 2
    ElementTree.fromstring(report.atom([one]))
    json.loads(report.json([one]))
    for shown in (report.text(one), report.render([one]), report.title(one)):
        assert not set(shown) & set("\x1b\u202e\x00")


def test_a_feed_has_an_entry_for_each_state() -> None:
    other = event(good=20, bad=21)
    feed = ElementTree.fromstring(report.atom([FIXED, other], SITE))
    entries = feed.findall(f"{ATOM}entry")
    assert [one.findtext(f"{ATOM}title", "").partition(":")[0] for one in entries] == ["fixed", "new", "new"]
    ids = [one.findtext(f"{ATOM}id", "") for one in entries]
    assert len(set(ids)) == 3 and all(id.startswith("urn:uuid:") for id in ids)
    for parent in (feed, *entries):
        for name in ("id", "title", "updated"):
            assert parent.findtext(f"{ATOM}{name}"), f"RFC 4287 asks for {name}"
    assert feed.find(f"{ATOM}author/{ATOM}name") is not None
    assert entries[0].find(f"{ATOM}link").attrib["href"] == f"{SITE}/events/{FIXED.id}.html"  # type: ignore[union-attr]
    before = [one.findtext(f"{ATOM}id") for one in ElementTree.fromstring(report.atom([TWO])).findall(f"{ATOM}entry")]
    assert ids[-1] in before or ids[-2] in before, "an entry keeps its id"
    assert ElementTree.fromstring(report.atom([])).findtext(f"{ATOM}updated") == "1970-01-01T00:00:00Z"


def test_what_is_said_changes_only_with_the_events() -> None:
    assert report.file([TWO, FIXED], SITE) == report.file([FIXED, TWO], SITE)
    assert report.atom([TWO]) == report.atom([TWO])
    text = report.file([event(good=20, bad=21), FIXED])
    assert text.startswith("# Events\n\n1 open, 1 over.\n\n## Open") and text.index("## Open") < text.index("## Over")


@pytest.mark.parametrize(("states", "closed"), [
    ([], None), ([State.ACKNOWLEDGED], None), ([State.FIXED], True), ([State.FIXED, State.WONT_FIX], True),
    ([State.FIXED, State.CONFIRMED], False), ([State.FIXED, State.CONFIRMED, State.ACKNOWLEDGED], None),
])
def test_what_a_message_does_to_its_thread(states: list[State], closed: bool | None) -> None:
    one: Event = replace(TWO, entries=tuple(entry(state) for state in states))
    assert report.message(one, None).closed is closed


def test_each_state_has_a_key_of_its_own_and_a_note_has_none() -> None:
    noted = replace(TWO, entries=(entry(State.NEW, note="x"),))
    assert report.message(noted, None).key == report.message(TWO, None).key == f"event/{TWO.id}/0-new"
    again = replace(TWO, entries=(entry(State.FIXED), entry(State.CONFIRMED), entry(State.FIXED)))
    assert report.message(again, None).key.endswith("/3-fixed") and report.message(FIXED, None).key.endswith("/1-fixed")


# Health


def night(day: float, state: str = "done", watch: str = "main", **counts: int) -> Night:
    return Night(id=f"n{day}", watch=watch, configuration="", created=NOW + day * DAY, state=state, seconds=60.0,
                 why="", counts=counts)


@pytest.mark.parametrize(("days", "now", "missed"), [
    ([0, 1, 2], 2.4, []), ([0, 1, 2], 3.4, []), ([0, 1, 2], 3.6, [3]), ([0, 2], 2, [1]), ([0, 1.4, 2], 2, []),
    ([0, 4], 4, [1, 2, 3]), ([0], 0, []), ([0, 0.1, 0.2], 1, []),
])
def test_a_missed_night_is_seen(days: list[float], now: float, missed: list[float]) -> None:
    found = health.missed([NOW + day * DAY for day in days], NOW + now * DAY)
    assert [(when - NOW) / DAY for when in found] == pytest.approx(missed)


def test_the_share_without_a_verdict() -> None:
    nights = [night(0, same=6, undecided=1, failed=9), night(1, slower=1, **{"not reached": 2}), night(2, "unchanged")]
    assert health.undecided(nights) == pytest.approx(3 / 10)
    assert health.undecided([night(0, "broken")]) is None


def sound(*nights: Night, now: float = 0.5, **more: Any) -> Health:
    given: dict[str, Any] = {
        "now": NOW + now * DAY, "nights": nights[::-1], "watched": health.watched(nights, NOW + now * DAY),
        "undecided": health.undecided(nights), "canary": (1, 30), "events": {"new": 2, "fixed": 0}, "runs": 12,
        "used": 5 << 20, "free": 7 << 30, "waiting": (), "dropped": 0, "versions": {"Lockstep": "1"},
        "problems": (), **more}
    return Health(**given)


def test_health_is_good_where_nobody_is_wanted() -> None:
    waiting = Waiting(channel="mail", title="t", since=NOW, tries=3, problem="no connection")
    assert sound(night(0)).good and sound(night(0, "unchanged")).good and sound().good
    assert sound(night(0), night(2), now=2).good, "what was missed before the last night is over"
    for bad in (sound(night(0, "broken")), sound(night(0), now=2), sound(night(0), waiting=(waiting,)),
                sound(night(0), problems=("x",)), sound(night(0), night(0, "gone", watch="other"))):
        assert not bad.good
        assert json.loads(health.json(bad))["good"] is False


def test_health_is_shown() -> None:
    waiting = Waiting(channel="mail", title="t", since=NOW, tries=3, problem="no connection\x1b[1m")
    nights = (night(-3), night(0, "broken", same=1, undecided=1))
    shown = health.render(sound(*nights, waiting=(waiting,), problems=("damaged",)))
    for words in ("last night 12 hours ago: broken; missed in all: 2, the last 2027-01-14", "2 new", "1 waiting",
                  "spoke in 1 of the last 30 runs", "12 runs; 5.00 MiB in all, 7.00 GiB free", "50 %",
                  "3 tries in 12 h 00 min", "damaged"):
        assert words in shown, shown
    assert "\x1b" not in shown and "no nights yet" in health.render(sound())
