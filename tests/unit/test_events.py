"""Events: an address for ever, one event for one change, and an end by itself."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import NOW, affected, commit, entry, event

from runner.errors import UsageError
from runner.history import events
from runner.history.events import LOCKSTEP, Affected, Event, State, merge

MARGIN = 0.01


def after(known: Sequence[Event], *found: Event) -> list[Event]:
    """What is known when changes were found one after the other."""
    there = {one.id: one for one in known}
    for one in found:
        there |= {changed.id: changed for changed in merge(tuple(there.values()), one, margin=MARGIN)}
    return list(there.values())


# Addresses


def test_an_id_is_the_same_for_the_same_change_and_for_no_other() -> None:
    one = event()
    assert one.id == event(affected("another"), run="later", opened=NOW + 5e6).id
    assert one.id.startswith("main-000000000b-slower-")
    others = [
        event(watch="other"), event(configuration="pgo"), event(machine="n"), event(good=9), event(bad=12),
        event(direction="faster"), event(suite="/else/t"), event(kind="drift"),
    ]
    assert len({one.id, *(other.id for other in others)}) == 9


def test_an_id_stays_when_the_range_becomes_narrower() -> None:
    wide = event(good=10, bad=18)
    (narrow,) = after([wide], event(good=13, bad=14, run="bisect"))
    assert (narrow.id, narrow.between, narrow.bad, narrow.run) == (wide.id, 1, commit(14), "bisect")


@given(watch=st.text(max_size=80), configuration=st.text(max_size=20))
def test_any_watch_gives_a_name_for_a_file(watch: str, configuration: str) -> None:
    id = event(watch=watch, configuration=configuration).id
    assert len(id) < 90 and not set(id) - set("abcdefghijklmnopqrstuvwxyz0123456789-")


# One change, one event


def test_what_moves_at_one_commit_is_one_event() -> None:
    (one,) = after([], event(affected("a")), event(affected("b"), run="second"))
    assert [it.benchmark for it in one.benchmarks] == ["a", "b"]


def test_the_same_once_more_changes_nothing() -> None:
    found = event(affected("a"), affected("b"))
    assert merge([found], found, margin=MARGIN) == ()
    closed = events.said(found, entry(State.WONT_FIX))
    assert merge([closed], found, margin=MARGIN) == (), "nor what was said of it"


def test_overlapping_ranges_that_share_a_benchmark_are_one_change() -> None:
    (one,) = after([event(good=10, bad=14)], event(good=12, bad=20))
    assert (one.good, one.bad, one.between) == (commit(10), commit(14), 4), "a wider range teaches nothing"
    (one,) = after([event(good=10, bad=20)], event(good=8, bad=12))
    assert (one.good, one.bad, one.between) == (commit(10), commit(12), 2), "it lies in what both share"


@pytest.mark.parametrize("other", [
    event(affected("b"), good=12, bad=20), event(good=14, bad=15), event(good=12, bad=20, machine="n"),
    event(good=12, bad=20, direction="faster"), event(good=12, bad=20, configuration="pgo"),
    event(good=12, bad=20, watch="other"), event(good=12, bad=20, kind="drift"), event(good=12, bad=20, suite="t"),
])
def test_another_benchmark_or_place_or_direction_is_another_event(other: Event) -> None:
    assert len(after([event(good=10, bad=14)], other)) == 2


def test_a_range_is_narrowed_only_for_all_that_moved_in_it() -> None:
    """The other benchmark may have changed elsewhere in the wider range."""
    (one,) = after([event(affected("a"), affected("b"), good=10, bad=20)], event(affected("a"), good=13, bad=14))
    assert one.between == 10
    (one,) = after([one], event(affected("a"), affected("b"), good=13, bad=14))
    assert one.between == 1


def test_what_moves_at_one_commit_in_two_suites_is_two_events() -> None:
    first, second = after([], event(affected("a")), event(affected("a", 1.4), suite="/else/t", run="second"))
    assert (first.suite, first.benchmarks[0].ratio, second.suite, second.run) == ("s", 1.2, "/else/t", "second")


def test_a_suite_that_has_moved_is_the_same_one() -> None:
    slow = event(suite="/home/a/suite", good=10, bad=11)
    back = event(affected("a", 1 / 1.2), suite="/srv/suite", good=20, bad=21, direction="faster")
    (one,) = after([slow], back)
    assert one.state is State.FIXED


def test_without_positions_the_commit_decides() -> None:
    known = event(bad=14, good=10)
    unknown = replace(known, id="", good=commit(12, position=None), bad=commit(14, position=None), between=1)
    (one,) = after([known], unknown)
    assert one.id == known.id
    assert len(after([known], replace(unknown, bad=commit(13, position=None), id=""))) == 2


def test_what_was_called_a_false_alarm_is_not_new_when_it_is_found_again() -> None:
    known = events.said(event(good=10, bad=14), entry(State.FALSE_ALARM))
    (one,) = after([known], event(good=12, bad=14))
    assert one.state is State.FALSE_ALARM


# Going away


def faster(*benchmarks: Affected, bad: int = 20) -> Event:
    return event(*benchmarks, direction="faster", good=bad - 1, bad=bad, run="recovery")


def back(name: str, ratio: float = 1 / 1.2) -> Affected:
    return affected(name, ratio, run="recovery")


def test_what_goes_away_closes_its_event_and_is_no_event() -> None:
    (one,) = after([event(affected("a"))], faster(back("a")))
    assert one.state is State.FIXED and one.entries[-1].who == LOCKSTEP
    assert one.entries[-1].note == "went away at 0000000014: run recovery"
    assert one.benchmarks[0].gone == "recovery"


def test_part_by_part() -> None:
    known = event(affected("a"), affected("b"))
    (one,) = after([known], faster(back("a")))
    assert one.state is State.NEW and [it.gone for it in one.benchmarks] == ["recovery", ""]
    (one,) = after([one], faster(back("b"), bad=25))
    assert one.state is State.FIXED


def test_what_gets_faster_beside_is_news() -> None:
    fixed, news = after([event(affected("a"))], faster(back("a"), back("z")))
    assert fixed.state is State.FIXED
    assert news.direction == "faster" and [it.benchmark for it in news.benchmarks] == ["z"]


@pytest.mark.parametrize(("known", "ratio"), [
    (event(affected("a", 1.2)), 0.95), (event(affected("a", 1.2)), 1 / 1.15),
    (event(affected("a", 1.2)), 1.2),
    (event(affected("a"), bad=30, good=29), 1 / 1.2), (event(affected("a"), machine="n"), 1 / 1.2),
    (events.said(event(affected("a")), entry(State.FIXED)), 1 / 1.2),
    (events.said(event(affected("a")), entry(State.FALSE_ALARM)), 1 / 1.2),
])
def test_what_is_not_taken_back_is_an_event_of_its_own(known: Event, ratio: float) -> None:
    """Too little; the other way; before it; elsewhere; or of what is over already."""
    same, news = after([known], faster(back("a", ratio)))
    assert same == known and news.direction == "faster"


def test_a_regression_is_news_even_where_it_undoes_an_improvement() -> None:
    known = event(affected("a", 1 / 1.2), direction="faster")
    same, news = after([known], event(affected("a"), good=19, bad=20))
    assert same == known and news.state is State.NEW


def test_an_improvement_is_spent_once_and_on_the_newest_slowdown_first() -> None:
    older, newer = event(affected("a", 1.05), good=9, bad=10), event(affected("a", 1.05), good=19, bad=20)
    for known in ([older, newer], [newer, older]):
        there = {one.id: one for one in after(known, faster(back("a", 1 / 1.05), bad=30))}
        assert there[newer.id].state is State.FIXED and there[older.id] == older and len(there) == 2


@pytest.mark.parametrize(("gained", "fixed"), [(1.05, 1), (1.07, 1), (1.05 * 1.04, 2), (1.05 * 1.05, 2), (1.2, 2)])
def test_what_is_left_of_an_improvement_is_for_the_slowdown_before(gained: float, fixed: int) -> None:
    known = [event(affected("a", 1.05), good=9, bad=10), event(affected("a", 1.05), good=19, bad=20)]
    found = faster(back("a", 1 / gained), bad=30)
    there = after(known, found)
    assert sum(one.state is State.FIXED for one in there) == fixed
    assert after(there, found) == there, "once more changes nothing"


def test_a_drift_and_the_step_in_it_are_one_slowdown() -> None:
    before = event(affected("a", 1.05), good=2, bad=3)
    drift, step = event(affected("a", 1.05), good=5, bad=15, kind="drift"), event(affected("a", 1.05), good=9, bad=10)
    found = faster(back("a", 1 / 1.05), bad=30)
    there = after([before, drift, step], found)
    assert [one.state for one in there] == [State.NEW, State.FIXED, State.FIXED]
    assert after(there, found) == there


def test_a_drift_over_two_steps_does_not_give_the_older_one_what_the_newer_one_took() -> None:
    drift = event(affected("a", 1.10, low=1.06, high=1.14), good=2, bad=25, kind="drift")
    older, newer = event(affected("a", 1.05), good=4, bad=5), event(affected("a", 1.05), good=19, bad=20)
    found = faster(back("a", 1 / 1.06), bad=30)
    there = after([drift, older, newer], found)
    assert [one.state for one in there] == [State.FIXED, State.NEW, State.FIXED] and there[1] == older
    assert after(there, found) == there, "once more changes nothing"


@given(
    ratios=st.lists(st.floats(1.02, 1.3), min_size=1, max_size=4), gained=st.floats(1.02, 2.0), cut=st.integers(0, 4),
)
def test_what_is_taken_back_of_one_benchmark_is_no_more_than_was_gained_after_a_kill_too(
    ratios: list[float], gained: float, cut: int
) -> None:
    known = {one.id: one for one in (
        event(affected("a", ratio), good=4 * place, bad=4 * place + 2) for place, ratio in enumerate(ratios))}
    found = faster(back("a", 1 / gained), bad=40)
    whole = merge(tuple(known.values()), found, margin=MARGIN)
    written = known | {one.id: one for one in whole[:cut]}
    again = written | {one.id: one for one in merge(tuple(written.values()), found, margin=MARGIN)}
    assert again == known | {one.id: one for one in whole}
    closed = sum(math.log(one.benchmarks[0].ratio) for one in again.values() if one.state is State.FIXED)
    assert events.TAKEN_BACK * closed <= math.log(gained) + 1e-9


@given(
    slower=st.lists(st.sampled_from("abcd"), min_size=1, unique=True),
    later=st.lists(st.sampled_from("abcdef"), min_size=1, unique=True), cut=st.integers(0, 3),
)
def test_a_night_that_is_killed_and_begun_again_ends_the_same(slower: list[str], later: list[str], cut: int) -> None:
    """Whatever of it was written before the kill."""
    known = [event(*map(affected, slower))]
    found = faster(*map(back, later))
    whole = merge(known, found, margin=MARGIN)
    written = {one.id: one for one in (*known, *whole[:cut])}
    again = merge(tuple(written.values()), found, margin=MARGIN)
    assert {one.id: one for one in (*written.values(), *again)} == {one.id: one for one in (*known, *whole)}


# Files


def test_an_event_is_read_as_it_was_written(tmp_path: Path) -> None:
    known = event(affected("a", high=math.inf), functions=("f +12 %",))
    one = events.said(known, entry(State.ACKNOWLEDGED, note="mine"))
    other = event(good=3, bad=5)
    for it in (one, other):
        assert events.write(tmp_path / "events", it) == tmp_path / "events" / f"{it.id}.json"
    assert events.read(tmp_path / "events") == [other, one], "oldest first"
    assert events.read(tmp_path / "nothing") == []
    assert json.loads((tmp_path / "events" / f"{other.id}.json").read_text())["schema"] == "lockstep.event/1"


def test_an_entry_is_a_line_or_a_few_in_a_diff(tmp_path: Path) -> None:
    before = events.write(tmp_path, event()).read_text().splitlines()
    lines = events.write(tmp_path, events.said(event(), entry(State.FIXED))).read_text().splitlines()
    assert len([line for line in before if line not in lines]) <= 1


@pytest.mark.parametrize(("text", "told"), [
    ("<<<<<<< ours\n{}", "Invalid JSON"), ('{"id": "x"}', "watch: Field required"), ("[]", "is no event"),
])
def test_a_file_that_is_no_event_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=rf"x\.json is no event: .*{told.partition(':')[0]}|{told}"):
        events.read(tmp_path)


def test_a_copy_and_a_newer_version_are_refused(tmp_path: Path) -> None:
    path = events.write(tmp_path, event())
    path.rename(tmp_path / "copy.json")
    with pytest.raises(UsageError, match="a copy, or renamed"):
        events.read(tmp_path)
    (tmp_path / "copy.json").write_text((tmp_path / "copy.json").read_text().replace("event/1", "event/9"))
    with pytest.raises(UsageError, match=r"is of version 'lockstep\.event/9'"):
        events.read(tmp_path)


def test_an_event_is_found_by_a_part_that_no_other_has() -> None:
    one, other = event(good=10, bad=11), event(good=20, bad=21)
    assert events.find([one, other], "00000b") == one
    assert events.find([one, other], other.id) == other
    with pytest.raises(UsageError, match="is a part of 2 events"):
        events.find([one, other], "main")
    with pytest.raises(UsageError, match=r"there is no event 'x'; the newest are: main-0000000015"):
        events.find([one, other], "x")


def test_what_says_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="is new already; say --note"):
        events.said(event(), entry(State.NEW))
    with pytest.raises(UsageError, match="who says so"):
        events.said(event(), entry(State.FIXED, who=" "))
    noted = events.said(event(), entry(State.NEW, note="seen"))
    assert noted.states == ((State.NEW, noted.opened),), "a note changes no state"
    assert events.said(noted, entry(State.FIXED)).states[-1] == (State.FIXED, NOW + 100)


def test_findings_are_recorded_once(tmp_path: Path) -> None:
    found = [event(affected("a")), event(affected("b"))]
    (one,) = events.record(tmp_path, found, margin=MARGIN)
    assert events.read(tmp_path) == [one] and len(one.benchmarks) == 2
    assert events.record(tmp_path, found, margin=MARGIN) == []
    meant = entry(State.WONT_FIX, note="it is meant")
    changed = events.change(tmp_path, "000000000b", lambda it: events.said(it, meant))
    assert events.read(tmp_path) == [changed]


def test_what_went_away_in_the_night_that_it_was_found_is_over_whichever_was_confirmed_first(tmp_path: Path) -> None:
    recovery = event(back("a"), good=7, bad=8, direction="faster", run="recovery")
    found = [recovery, event(affected("a"), good=4, bad=5)]
    events.record(tmp_path, found, margin=MARGIN)
    (one,) = events.read(tmp_path)
    assert one.state is State.FIXED and one.direction == "slower"
    assert events.record(tmp_path, found, margin=MARGIN) == []


def test_the_events_that_a_run_changed_are_known_although_it_changes_them_no_more(tmp_path: Path) -> None:
    slower = event(affected("a", run="one"), run="one", good=10, bad=11)
    faster = event(affected("a", 1 / 1.2, run="two"), run="two", good=20, bad=21, direction="faster")
    (first,) = events.record(tmp_path, [slower], margin=MARGIN)
    (fixed,) = events.record(tmp_path, [faster], margin=MARGIN)
    assert fixed.id == first.id and fixed.state is State.FIXED
    assert events.record(tmp_path, [faster], margin=MARGIN) == [], "as after a kill"
    assert events.of_runs(tmp_path, {"one"}) == events.of_runs(tmp_path, {"two", "three"}) == [first.id]
    assert events.of_runs(tmp_path, {"three"}) == [] == events.of_runs(tmp_path / "nowhere", {"one"})
