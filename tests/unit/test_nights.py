"""What is on record of a night, what it measures for how long, and what is said of it."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from made_runs import make_charts
from samples import Quiet, benchmark, block, interpreter, manifest

from runner import config
from runner.alerts.settings import Channels
from runner.cli.nightly import exit_code
from runner.errors import MachineError, UsageError
from runner.history import events
from runner.history.changes import Nomination, Suspect
from runner.jobs import night_after, night_measure, nightly
from runner.jobs.night_measure import Wanted
from runner.jobs.night_work import Work
from runner.jobs.status import status
from runner.jobs.watched import Nightly, Suite, Watch
from runner.judging import compare
from runner.model import Commit, Interpreter, Purpose
from runner.report import night as report
from runner.stats.nominate import Kind
from runner.storage import ledger, nights, store
from runner.storage.nights import Confirmation, Measured, Night, Outcome, Shown, Step

COMMIT = Commit(
    hash="1a2b" * 10, date=1.7e9, subject="Speed | up `dict`", repository="source", branch="main", position=7)
OLD = replace(COMMIT, hash="9f8e" * 10, subject="Before", position=4)


def night(**changes: Any) -> Night:
    facts: dict[str, Any] = {
        "id": "20251128T010000Z-main-1a2b1a2b1a2b", "watch": "main", "configuration": "", "repository": "source",
        "branch": "main", "machine": "abc", "created": 1.7e9, "ended": 1.7e9 + 100, "commit": COMMIT, "previous": OLD,
        "between": 3, "anchor": "cpython@3.13.5", "margin": 0.01, "budget": 600.0,
    }
    return Night(**(facts | changes))


CONFIRMED = Confirmation(
    suite="/suite", kind="newest", direction="slower", good=OLD.hash, bad=COMMIT.hash, benchmarks=("dict.time_get",),
    nomination={"kind": "newest"}, run="20251128T011000Z-aaaaaa", command="lockstep ab a b", before=OLD, after=COMMIT,
    between=3, shown=(Shown(benchmark="dict.time_get", ratio=1.04, low=1.03, high=1.05, p=1e-6),),
)
MEASURED = Measured(
    purpose=Purpose.ANCHOR, suite="bytesio", run="20251128T010100Z-bbbbbb", blocks=8, round_seconds=10.0,
    counts={"slower": 1, "same": 20}, scope="source",
)


def test_a_night_is_read_as_it_was_written(tmp_path: Path) -> None:
    full = night(steps=(Step(name="build", begun=1.0, ended=2.0, seconds=1.0),), measured=(MEASURED,),
                 confirmations=(CONFIRMED,), notes=("a",), problems=("b",))
    other = night(id="20251129T010000Z-main-1a2b1a2b1a2b-pgo-4d2f", configuration="pgo", created=1.7e9 - 5)
    for one in (full, other):
        nights.write(tmp_path, one)
    assert nights.read(tmp_path) == [other, full], "oldest first"
    assert nights.read(tmp_path, configuration="pgo") == [other]
    assert nights.read(tmp_path, watch="else") == [] and nights.read(tmp_path / "nowhere") == []


def test_a_file_that_is_no_night_is_named(tmp_path: Path) -> None:
    nights.write(tmp_path, night())
    file = tmp_path / night().id / nights.NAME
    text = json.loads(file.read_text())
    file.write_text(json.dumps(text | {"budget": "x"}))
    with pytest.raises(UsageError, match=r"night.json is no night: budget: .*Move its folder away"):
        nights.read(tmp_path)
    file.write_text(json.dumps(text | {"schema": "lockstep.night/9"}))
    with pytest.raises(UsageError, match=r"is of version 'lockstep.night/9'"):
        nights.read(tmp_path)


def test_ids_are_never_given_twice_and_options_never_share_a_file(tmp_path: Path) -> None:
    one = nights.new_id(tmp_path, "main", "pgo&lto", COMMIT.hash, 1.7e9)
    assert one.startswith("20231114T221320Z-main-1a2b1a2b1a2b-pgo-lto-")
    (tmp_path / one).mkdir()
    assert nights.new_id(tmp_path, "main", "pgo&lto", COMMIT.hash, 1.7e9) != one
    assert nights.new_id(tmp_path, "main", "", "", 1.7e9) == "20231114T221320Z-main-none"
    options = ["pgo&lto", "pgo-lto", "pgo lto", "configure=--disable-gil", "configure=--disable-gi&l", "x" * 99,
               "x" * 98]
    assert len({nights.slug(one) for one in options}) == len(options)
    assert all("/" not in nights.slug(one) and len(nights.slug(one)) < 40 for one in options)


def test_the_lock_of_a_watch_is_its_own(tmp_path: Path) -> None:
    told: list[str] = []
    with nights.alone(tmp_path, "main", "", wait=False, told=told.append):
        with nights.alone(tmp_path, "main", "pgo", wait=False, told=told.append):
            pass
        with pytest.raises(MachineError, match="another night of main is under way"), nights.alone(
                tmp_path, "main", "", wait=False, told=told.append):
            pass
    with nights.alone(tmp_path, "main", "", wait=False, told=told.append):
        pass
    assert told == [] and nights.read(tmp_path) == []


def work(folder: Path, *before: Night, blocks: int | None = None) -> Work:
    watch = Watch(name="main", repository="source", branch="main", anchor="v1", blocks=blocks)
    settings = Nightly(watch=(watch,), state=folder)
    return Work(settings=settings, watch=watch, night=night(ended=None), earlier=before, view=Quiet())


@pytest.mark.parametrize(("seconds", "cost", "blocks"), [
    (300.0, 10.0, 18), (300.0, 2.0, 40), (300.0, 100.0, 6), (1e6, 1e-3, 40),
])
def test_the_number_of_blocks_follows_from_what_they_cost_and_not_from_what_they_say(
    tmp_path: Path, seconds: float, cost: float, blocks: int
) -> None:
    before = night(created=1.6e9, id="20200913T000000Z-main-0", measured=(
        replace(MEASURED, purpose=Purpose.PREVIOUS, round_seconds=77.0), replace(MEASURED, round_seconds=cost)))
    assert night_measure.blocks(work(tmp_path), Suite(), seconds) == night_measure.USUAL, "nobody knows what they cost"
    assert night_measure.blocks(work(tmp_path, before), Suite(), seconds) == blocks
    assert night_measure.blocks(work(tmp_path, before, blocks=9), Suite(), seconds) == 9
    assert night_measure.blocks(work(tmp_path, night(), before), Suite(), seconds) == blocks, "one that measured it"


def test_what_a_round_costs_does_not_follow_from_what_was_found() -> None:
    """Twelve blocks were measured, after a calibration, though six are enough to say that it is the same."""
    one = benchmark()
    wanted = Wanted(purpose=Purpose.ANCHOR, base=interpreter("a"), head=interpreter("b"), suite="s", pattern=None,
                    blocks=12, budget=60.0)
    quiet = tuple(
        block(one.key, number, seconds=1.0, base=(2_000_000,) * 6, head=(2_000_000,) * 6, order="bh" * 3)
        for number in range(12))
    found = compare.report(
        store.Run(folder=Path("runs/r"), manifest=manifest((one,), blocks=12), blocks=quiet, torn=False))
    assert found.seconds == pytest.approx(12.0) and found.comparisons[0].blocks == 6
    assert night_measure._record(wanted, found).round_seconds == pytest.approx(12.0 / 13)


def test_the_health_page_that_a_night_makes_shows_it_as_it_will_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_charts(tmp_path, tmp_path / "cache")
    one = work(tmp_path / "state")
    nights.write(one.settings.nights, one.night)
    night_after.publish(one)
    page = (tmp_path / "state" / "site" / "health.html").read_text()
    assert one.night.id in page and "done" in page and "unfinished" not in page
    assert one.night.ended is None and status(Channels(), tmp_path / "state").nights[0].state == "unfinished"


def test_a_bridge_that_could_not_be_measured_is_tried_again_until_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[Purpose, str, str, str]] = []

    def against(_: Work, purpose: Purpose, base: Interpreter, head: Interpreter, suite: Suite) -> None:
        made.append((purpose, base.spec, head.spec, suite.place))

    def bridged(*before: Night) -> int:
        """How many runs there are after the night that follows these, which come newest first."""
        night_measure.bridge(work(tmp_path, *before))
        return len(made)

    monkeypatch.setattr(Work, "interpreter", lambda self, spec: interpreter(spec))
    monkeypatch.setattr(night_measure, "_against", against)
    old = night(anchor="cpython@3.12.1", anchor_identity="a", measured=(replace(MEASURED, suite=Suite().place),))
    failed = night(anchor_identity="b", steps=(Step(name="bridge", begun=1.0, ended=2.0, problem="no memory"),))
    there = replace(failed, measured=(replace(MEASURED, suite=Suite().place, purpose=Purpose.BRIDGE),))
    assert bridged(failed, old) == 1
    assert made == [(Purpose.BRIDGE, "cpython@3.12.1", "cpython@3.13.5", Suite().place)]
    assert bridged(failed, there, old) == 1, "it is there"
    assert bridged(*[failed] * night_measure.TRIES, old) == 1, "and not for ever"
    to_another = replace(there, anchor="cpython@3.14.0", outcome=Outcome.FAILED)
    assert bridged(to_another, old) == 2, "that is none to this anchor"
    assert bridged(night(anchor_identity="b")) == 2, "there never was another one"
    assert bridged(failed, replace(old, measured=(replace(MEASURED, suite="another"),))) == 2, "the suite is new"
    assert bridged(failed, replace(old, measured=()), old) == 3, "some night had it against the old one"


def test_building_takes_from_the_budget_but_never_all() -> None:
    assert night_measure.left(night()) == 540, "a tenth is for what is not measuring"
    assert night_measure.left(night(steps=(Step(name="build", begun=0.0, ended=1.0, seconds=200.0),))) == 340
    assert night_measure.left(night(steps=(Step(name="build", begun=0.0, ended=1.0, seconds=1e5),))) == 150


def test_every_run_of_every_night_has_a_schedule_of_its_own() -> None:
    one = Wanted(purpose=Purpose.ANCHOR, base=interpreter("a"), head=interpreter("b"), suite="s", pattern=None,
                 blocks=6, budget=1.0)
    others = [
        replace(one, purpose=Purpose.PREVIOUS), replace(one, suite="t"), replace(one, pattern="x"),
        replace(one, base=interpreter("c")), replace(one, head=interpreter("c")),
    ]
    seeds = {which.seed(id) for which in (one, *others) for id in ("night", "other")}
    assert len(seeds) == 12 and all(0 <= seed < 2**31 for seed in seeds)
    assert one.seed("night") == replace(one, budget=2.0, blocks=7).seed("night"), "what may change when it goes on"


@pytest.mark.parametrize(("changes", "steps"), [
    ({}, tuple(nightly.STEPS)), ({"outcome": Outcome.BROKEN}, ("build", *nightly.CLOSING)),
    ({"outcome": Outcome.UNCHANGED}, ()), ({"outcome": Outcome.UNCHANGED, "alarm": "x"}, nightly.CLOSING),
    ({"outcome": Outcome.GONE, "alarm": "x"}, nightly.CLOSING), ({"outcome": Outcome.FAILED}, nightly.CLOSING),
    ({"outcome": Outcome.FAILED, "confirmations": (CONFIRMED,)}, ("events", *nightly.CLOSING)),
    ({"outcome": Outcome.FAILED, "confirmations": (replace(CONFIRMED, shown=None),)}, nightly.CLOSING),
])
def test_the_steps_of_a_night_by_what_it_has_come_to(changes: dict[str, Any], steps: tuple[str, ...]) -> None:
    assert nightly._steps(night(**changes)) == steps


SAID = [
    (night(), 0, "main: 1a2b1a2b1a2b (Speed | up `dict`): no change confirmed"),
    (night(confirmations=(CONFIRMED,)), 1, "1 slower"),
    (night(confirmations=(replace(CONFIRMED, shown=()),)), 0, "no change confirmed of 1 that were suggested"),
    (night(confirmations=(replace(CONFIRMED, direction="faster"),)), 0, "1 faster"),
    (night(outcome=Outcome.UNCHANGED), 0, "nothing new since 1a2b1a2b1a2b"),
    (night(outcome=Outcome.UNCHANGED, alarm="it was overwritten"), 4, "nothing new since 1a2b1a2b1a2b"),
    (night(outcome=Outcome.BROKEN, broken="log"), 4, "does not build"),
    (night(outcome=Outcome.GONE, commit=None, alarm="it is gone"), 4, "main: it is gone"),
    (night(outcome=Outcome.FAILED, commit=None, problems=("no\nlog",)), 4, "main: failed: no"),
    (night(ended=None, problems=("the disk is full",)), 4, "main: not finished: the disk is full"),
    (night(configuration="pgo"), 0, "main (pgo): "),
]


@pytest.mark.parametrize(("one", "code", "said"), SAID, ids=[said for _, _, said in SAID])
def test_what_is_said_of_a_night(one: Night, code: int, said: str) -> None:
    assert said in report.headline(one)
    assert exit_code([one]) == code
    text = report.render(one)
    assert text.endswith("\n") and "None" not in text and one.id in text


def test_the_report_of_a_night_has_all_that_was_found() -> None:
    text = report.render(night(
        confirmations=(CONFIRMED, replace(CONFIRMED, shown=(), benchmarks=("a|b",)), replace(CONFIRMED, shown=None)),
        measured=(MEASURED,), notes=("a *note*",), broken="a ``` log",
        steps=(Step(name="build", begun=0.0, ended=1.0, seconds=61.0, problem="why"),),
    ))
    for word in ("**Slower at 3 commits up to `1a2b1a2b1a2b`**", "1.040 [1.030, 1.050]", "Not confirmed: ",
                 "Not measured again yet: ", "against the anchor, scope source, 8 blocks each: 1 slower, 20 same",
                 r"a \*note\*", "````text\na ``` log\n````", "build: why", "It took 1 min 01 s of 10 min 00 s",
                 "Speed &#124; up", "3 commits after `9f8e9f8e9f8e`"):
        assert word in text, word


def test_a_night_that_was_killed_after_its_events_were_written_names_them_all_the_same(tmp_path: Path) -> None:
    one = work(tmp_path)
    one.keep(confirmations=(CONFIRMED,))
    night_after.record_events(one)
    (event,) = one.night.events
    again = replace(one, night=replace(one.night, events=()))
    night_after.record_events(again)
    assert again.night.events == (event,)


def test_what_a_night_has_spent_is_known_while_a_step_is_under_way() -> None:
    built = Step(name="build", begun=1000.0, ended=1100.0, seconds=100.0)
    one = night(steps=(built, Step(name="explain", begun=2000.0, seconds=5.0)))
    assert (one.seconds, one.spent(2050.0)) == (105.0, 155.0)
    assert night().spent(2050.0) == 0.0


def test_counting_ends_with_the_night_however_many_changes_there_are(tmp_path: Path) -> None:
    one = work(tmp_path)
    steps = (Step(name="build", begun=1.0, ended=101.0, seconds=100.0), Step(name="explain", begun=time.time() - 450.0))
    one.keep(confirmations=(CONFIRMED,), steps=steps)
    night_after.explain(one)
    assert "was not counted: the night's time was over" in one.night.notes[0]


@pytest.mark.parametrize("step", [None, Step(name="events", begun=1.0, ended=2.0, problem="an event cannot be read")])
def test_what_a_night_confirmed_and_could_not_record_the_next_one_records(tmp_path: Path, step: Step | None) -> None:
    before = night(id="20251127T010000Z-main-9f8e", commit=OLD, confirmations=(CONFIRMED,), created=1.69e9,
                   steps=() if step is None else (step,))
    unchanged = night(outcome=Outcome.UNCHANGED)
    one = work(tmp_path, unchanged, before)
    night_after.record_events(one)
    (event,) = events.read(one.settings.state / "events")
    assert one.night.events == (event.id,) and event.opened > time.time() - 60, "nobody has heard of it yet"
    # And then it is over: what somebody removes does not come back.
    (one.settings.state / "events" / f"{event.id}.json").unlink()
    done = replace(one.night, steps=(Step(name="events", begun=3.0, ended=4.0),))
    night_after.record_events(work(tmp_path, done, unchanged, before))
    assert events.read(one.settings.state / "events") == []


def test_what_is_confirmed_late_is_news(tmp_path: Path) -> None:
    """The night began, was killed, and was gone on with weeks later."""
    one = work(tmp_path)
    run = store.create(one.settings.runs, manifest([benchmark("dict.time_get")], id=CONFIRMED.run, created=1.75e9))
    assert run.name == CONFIRMED.run
    one.keep(confirmations=(CONFIRMED,))
    night_after.record_events(one)
    assert [event.opened for event in events.read(one.settings.state / "events")] == [1.75e9]
    failed = replace(one, night=replace(one.night, outcome=Outcome.FAILED, problems=("why",)))
    assert night_after._alarms(failed)[0].created > time.time() - 60


def test_a_benchmark_that_the_suite_has_lost_fails_no_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def select(*_: object) -> None:
        raise UsageError("No benchmark matches '^(?:dict\\.time_get)$'.")  # as `suites.select` does

    one = work(tmp_path)
    monkeypatch.setattr(Work, "commit", lambda self, hash: interpreter(hash))
    monkeypatch.setattr(night_measure, "_measured", select)
    nomination = Nomination(
        id="a", watch="main", configuration="", machine="abc", suite="suite", kind=Kind.NEWEST, direction="slower",
        good=OLD.hash, bad=COMMIT.hash, positions=(4.0, 7.0), newest=COMMIT.hash, level=1e-4, blocks=8,
        benchmarks=(Suspect("dict.time_get", 0.04, 1e-6),))
    waiting = replace(CONFIRMED, shown=None, run=None, nomination=night_after._plain(nomination))
    one.keep(confirmations=(waiting,))
    night_measure.confirm(one)
    (told,) = one.night.confirmations or ()
    assert "No benchmark matches" in told.passed and told.shown is None
    (entry,) = ledger.read(one.settings.state / ledger.NAME)
    assert (entry.outcome, entry.reason) == ("not measured", told.passed)


def without_a_machine(folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> list[str]:
    """Steps that do nothing but say so in what comes back, and one that fails as nobody has foreseen."""
    done: list[str] = []

    def step(name: str, work: Work) -> None:
        done.append(name)
        if name == broken:
            raise RuntimeError("the pool is gone")

    monkeypatch.setattr(config, "STATE", folder)
    monkeypatch.setattr(nightly.machine, "alone", lambda **_: nullcontext())
    monkeypatch.setattr(nightly, "STEPS", {name: partial(step, name) for name in nightly.STEPS})
    return done


def listened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said from now on."""
    told: list[str] = []
    monkeypatch.setattr(Quiet, "say", lambda _, text: told.append(text))
    return told


@pytest.mark.parametrize("name", [name for name in nightly.STEPS if name not in nightly.NEEDED])
def test_a_fault_of_our_own_in_one_step_keeps_none_of_the_others_from_being_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    done, told = without_a_machine(tmp_path, monkeypatch, name), listened(monkeypatch)
    ended = nightly._through(work(tmp_path))
    assert done == list(nightly.STEPS) and ended.ended is not None and ended.outcome is Outcome.DONE
    step = ended.step(name)
    assert step is not None and step.ended is not None
    assert step.problem.startswith("a fault of Lockstep's own, RuntimeError in test_nights.py:")
    (kept,) = (tmp_path / "crashes").iterdir()
    assert "the pool is gone" in kept.read_text() and name in kept.read_text() and str(kept) in ended.notes[0]
    assert nights.read(tmp_path / "nights") == [ended]
    assert exit_code([ended]) == 4 and told == list(ended.notes), "whoever started it hears of it, too"


def test_a_fault_of_our_own_in_a_step_that_is_needed_gives_the_night_up_and_somebody_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, one = without_a_machine(tmp_path, monkeypatch, "anchor"), work(tmp_path)
    first = nightly._through(one)
    assert first.ended is None and exit_code([first]) == 4 and len(first.problems) == 1
    second = nightly._through(one)
    assert second.ended is not None and second.outcome is Outcome.FAILED
    assert second.problems == first.problems * 2, "the same trouble, in the same words"
    assert done == ["build", "bridge", "anchor", "anchor", *nightly.CLOSING]
    (alarm,) = night_after._alarms(one)
    assert "a fault of Lockstep's own, RuntimeError" in alarm.title


def test_a_fault_of_our_own_before_a_night_has_begun_is_a_night_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Path:
        raise KeyError("remote")

    monkeypatch.setattr(config, "STATE", tmp_path)
    monkeypatch.setattr(nightly.history, "fetch", broken)
    monkeypatch.setenv("LOCKSTEP_DEBUG", "1")
    one, told = work(tmp_path), listened(monkeypatch)
    begun = nightly._begin(nightly.NightlyRequest(settings=one.settings), one.watch, "", (), Quiet())
    assert begun.outcome is Outcome.FAILED and begun.commit is None
    assert begun.problems[0].startswith("a fault of Lockstep's own, KeyError") and "crashes" in begun.notes[0]
    assert "KeyError: 'remote'\n" in told and told[-1] == begun.notes[0]
