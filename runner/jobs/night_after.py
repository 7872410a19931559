"""What a night does with what it measured: history and what it nominates, events, report, pages, server, alerts.

All calls into other parts of the program are here, one function each.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from runner import config, jobs, machine, suites
from runner.alerts.message import Message
from runner.builds import history
from runner.errors import BuildError, LockstepError, MachineError
from runner.history import changes, events, runs, series
from runner.jobs import alert as telling
from runner.jobs import record as recording
from runner.jobs import retention
from runner.jobs import upload as uploading
from runner.jobs.ab import report_of
from runner.jobs.night_work import Work
from runner.jobs.watched import Nightly
from runner.judging.report import Report
from runner.measuring.counts import Change
from runner.model import Purpose
from runner.report import explain as explanations
from runner.report import night as night_report
from runner.storage import ledger, store
from runner.storage.nights import Confirmation, Night, Outcome, Shown

REPORT = "report.md"
COUNTING = 120.0
"""Seconds that counting may take for a change that was confirmed."""
MOVED = 3
"""Functions of a benchmark that an event names."""


def append(work: Work) -> None:
    """Add the night's runs to the index of all runs."""
    runs.update(work.settings.runs, _index(work.settings),
                told=lambda done, of: work.view.phase(f"reading run {done} of {of}"))


def nominate(work: Work) -> None:
    """Ask the history, and the comparison with the last commit, which changes they see that nobody has explained."""
    night = work.night
    assert night.commit is not None
    try:
        branch = history.first_parents(history.read_in(night.repository), night.commit.hash)
    except BuildError as error:
        branch = None
        work.note(f"commits that are no longer on the branch count in the history: {error}")
    against_previous = [report_of(work.settings.runs / one.run, with_noise=False) for one in night.measured
                        if one.purpose is Purpose.PREVIOUS]
    there = series.of(
        _index(work.settings), watch=night.watch, configuration=night.configuration,
        machine=str(machine.describe()["fingerprint"]))
    places = {Path(place).name: place for place in (suites.open(suite.place).place for suite in work.watch.suites)}
    work.keep(confirmations=tuple(
        Confirmation(
            suite=places[one.suite], kind=one.kind.value, direction=one.direction, good=one.good, bad=one.bad,
            benchmarks=tuple(suspect.key for suspect in one.benchmarks), blocks=one.blocks, nomination=_plain(one),
        )
        for one in changes.nominate(there, work.settings.state / ledger.NAME, night.margin, against_previous, branch)
        # A suite that is no longer measured has a history all the same.
        if one.suite in places
    ))


def judge(work: Work, one: Confirmation, report: Report) -> tuple[Shown, ...]:
    """What a confirming run shows of a nomination; in the ledger, where one run stands once."""
    outcome = changes.judge(_nomination(one), report, work.settings.state / ledger.NAME)
    return tuple(
        Shown(benchmark=line.benchmark, ratio=line.ratio, low=line.low, high=line.high, p=line.p)
        for line in outcome.benchmarks
    )


def pass_over(work: Work, one: Confirmation, reason: str) -> None:
    """Put into the ledger that a nomination could not be measured."""
    changes.pass_over(_nomination(one), reason, work.settings.state / ledger.NAME, time.time())


def explain(work: Work) -> None:
    """Count which functions do more or less in what was confirmed, as far as the night has time for it."""
    for place, one in enumerate(work.night.confirmations or ()):
        if not one.shown or one.run is None or one.functions is not None:
            continue
        if work.night.budget - work.night.spent(time.time()) < COUNTING:
            work.note(f"which functions changed in {one.run} was not counted: the night's time was over. "
                      f"To do it: lockstep explain {work.settings.runs / one.run}")
            continue
        done = jobs.explain(
            jobs.ExplainRequest(base=one.run, out=work.settings.runs, wait=work.wait), work.view)
        if done.interrupted:
            raise KeyboardInterrupt
        moved = [_moved(change) for line in done.explanation.explained
                 if line.counts is not None and line.counts.instructions is not None
                 for change in line.counts.instructions.changes[:MOVED]]
        work.put(place, replace(one, functions=tuple(dict.fromkeys(moved))))


def _moved(change: Change) -> str:
    name = explanations.function(change)
    return f"{name} {100 * (change.head / change.base - 1):+.0f} %" if change.base else f"{name} is new"


def record_events(work: Work) -> None:
    """What was confirmed becomes events, or a part of those that are known; what went away closes them.

    So does what a night before this one confirmed and could not record: nothing else would suggest it again.
    """
    found = [event for night in _owing(work) for event in _confirmed(work, night)]
    if found:
        folder = _events_folder(work.settings)
        events.record(folder, found, margin=work.night.margin)
        # Not what was changed just now: a night that was killed in between had changed it before.
        known = dict.fromkeys((*work.night.events, *events.of_runs(folder, {one.run for one in found})))
        work.keep(events=tuple(known))


def _owing(work: Work) -> list[Night]:
    """This night, and those since the last one that has recorded its events; oldest first."""
    found = [work.night]
    for night in work.earlier:
        step = night.step("events")
        if step is not None and step.ended is not None and not step.problem:
            break
        found.append(night)
    return found[::-1]


def _confirmed(work: Work, night: Night) -> Iterator[events.Event]:
    """What a night has confirmed, as it is heard of now."""
    for one in night.confirmations or ():
        if one.shown and one.run is not None and one.before is not None and one.after is not None:
            yield events.Event(
                watch=night.watch, configuration=night.configuration, machine=night.machine, suite=one.suite,
                direction=one.direction, kind=one.kind, good=one.before, bad=one.after, between=one.between,
                benchmarks=tuple(
                    events.Affected(benchmark=line.benchmark, ratio=line.ratio, low=line.low, high=line.high, p=line.p,
                                    run=one.run)
                    for line in one.shown),
                run=one.run, command=one.command, functions=one.functions or (),
                opened=_measured(work, one.run) if night is work.night else time.time())


def _measured(work: Work, run: str) -> float:
    """When a run of this night began, in seconds since the epoch, or the night where the run is gone.

    A night that was killed may have been gone on with weeks after it began, and what it confirmed is news all the same.
    """
    try:
        return store.read_manifest(work.settings.runs / run).created
    except LockstepError:
        return work.night.created


def record(work: Work) -> None:
    """Add the history's runs to asv's store, where one is configured."""
    if work.settings.asv is not None:
        for one in work.night.measured:
            if one.purpose is Purpose.ANCHOR:
                recording.record(work.settings.runs / one.run, work.settings.asv)


def report(work: Work) -> None:
    """Write what the night has found into its folder."""
    store.write_whole(report_file(work.settings, work.night), night_report.render(_closed(work.night)))


def publish(work: Work) -> None:
    """Make the pages."""
    settings = work.settings
    done = jobs.publish(jobs.PublishRequest(
        out=settings.site.out or settings.state / "site", runs=settings.runs, configuration=settings.asv,
        commit_url=settings.site.commit_url, state=settings.state, channels=settings.channels,
        night=_closed(work.night),
    ), work.view)
    for problem in done.problems:
        work.view.say(f"problem: {problem}")


def upload(work: Work) -> None:
    """Send the night's runs to the server, where one is configured; what does not get through waits."""
    settings = work.settings
    if settings.server is None:
        return
    folders = [settings.runs / run for run in dict.fromkeys(one.run for one in work.night.measured)]
    request = uploading.UploadRequest(folders=folders, told=work.view.phase)
    sent = uploading.send(settings.server, settings.state, request)
    if sent.problems:
        raise MachineError("; ".join(sent.problems))


def alert(work: Work) -> None:
    """Tell those who want to hear of it; what does not get through is tried again by later nights."""
    sent = telling.tell(work.settings.channels, work.settings.state, alarms=_alarms(work))
    if sent.problems:
        raise MachineError("; ".join(sent.problems))


def retain(work: Work) -> None:
    """Remove the blocks of old runs of all that is watched, as the configuration says; what people measured stays."""
    settings = work.settings
    before = work.night.created - settings.retention.days * retention.DAY
    done = retention.collect(
        settings.runs, before=before, apply=True, view=work.view, events=_events_folder(settings),
        watches={watch.name for watch in settings.watch})
    if done.runs:
        day = time.strftime("%Y-%m-%d", time.gmtime(before))
        kept = f"; {len(done.left)} other folders were left: `lockstep gc` says why" * bool(done.left)
        work.view.say(f"the blocks of {len(done.runs)} runs of before {day} were removed{kept}")


def report_file(settings: Nightly, night: Night) -> Path:
    """Where the night's report is."""
    return settings.nights / night.id / REPORT


def _events_folder(settings: Nightly) -> Path:
    return telling.places(settings.channels, settings.state).events


def _index(settings: Nightly) -> Path:
    return config.index_file(settings.runs)


def _closed(night: Night) -> Night:
    """The night as it will be when its last steps are over."""
    return replace(night, ended=time.time())


def _alarms(work: Work) -> list[Message]:
    """What somebody must hear of a night that could not do its work: the same trouble night after night is one."""
    night, first = _closed(work.night), work.night
    if night.outcome in (Outcome.DONE, Outcome.UNCHANGED) and not night.alarm:
        return []
    for earlier in work.earlier:
        if _trouble(earlier) != _trouble(night):
            break
        first = earlier
    text = night_report.render(night)
    return [Message(
        key=f"night/{first.id}", thread=f"night/{first.id}", watch=night.watch, kind="alarm", state="alarm",
        began=first.created, created=time.time(), title=night_report.headline(night),
        markdown=text.partition("\n\n")[2], text=text, commit="" if night.commit is None else night.commit.hash,
        data={"night": night.id, "watch": night.watch, "configuration": night.configuration, "state": night.state,
              "outcome": night.outcome.value, "alarm": night.alarm, "problems": list(night.problems)},
    )]


def _trouble(night: Night) -> tuple[Outcome, str, str, tuple[str, ...]]:
    return night.outcome, night.alarm, night.broken, night.problems[-1:]


def _nomination(one: Confirmation) -> changes.Nomination:
    return TypeAdapter(changes.Nomination).validate_python(one.nomination)


def _plain(record: Any) -> Mapping[str, Any]:
    """A record as JSON has it."""
    found: Mapping[str, Any] = TypeAdapter(type(record)).dump_python(record, mode="json")
    return found
