"""The order of steps of `lockstep nightly`: fetch, build, measure, ask the history, confirm, report; each but once."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner import config, machine
from runner.builds import history
from runner.errors import LockstepError, MachineError, fault, listed
from runner.jobs import night_after, night_measure
from runner.jobs.ab import View
from runner.jobs.night_work import Work
from runner.jobs.watched import Nightly, Watch
from runner.model import Commit
from runner.storage import crashes, nights
from runner.storage.nights import SHORT, Night, Outcome, Step

STEPS: Mapping[str, Callable[[Work], None]] = {
    "build": night_measure.build, "bridge": night_measure.bridge, "anchor": night_measure.anchor,
    "previous": night_measure.previous, "append": night_after.append, "nominate": night_after.nominate,
    "confirm": night_measure.confirm, "explain": night_after.explain, "events": night_after.record_events,
    "record": night_after.record, "report": night_after.report, "publish": night_after.publish,
    "upload": night_after.upload, "alert": night_after.alert, "retention": night_after.retain,
}
"""In their order."""
ALONE = ("build", "bridge", "anchor", "previous", "append", "nominate", "confirm")
"""Steps for which the night has the machine for itself, without a break: all is measured in one session."""
CLOSING = ("report", "publish", "upload", "alert", "retention")
"""Steps that end every night of which somebody should hear."""
NEEDED = ("build", "anchor", "previous", "confirm")
"""Steps without which a night cannot go on; of the others it is on record that they failed."""
ATTEMPTS = 2
"""Times that a night may fail before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NightlyRequest:
    """Nights as the user asked for them."""

    settings: Nightly
    watch: str | None = None
    """Name of the one watch; None: all."""
    again: bool = False
    """Measure the newest commit although it is not new."""
    wait: bool = True
    """Wait for another run, or night, to end, or refuse."""


def nightly(request: NightlyRequest, view: View) -> Sequence[Night]:
    """Have a night of each watch in each of its configurations; first one that was interrupted is gone on with.

    What comes back has ended, or has met a problem and will be gone on with the next time. Raises UsageError for a
    watch that is not there, and MachineError where nothing can be put on record or, without waiting, another night or
    run is under way; KeyboardInterrupt is passed on.
    """
    machine.supported()
    found: list[Night] = []
    for watch in request.settings.find(request.watch):
        for configuration in watch.configurations:
            with nights.alone(request.settings.nights, watch.name, configuration, wait=request.wait, told=view.say):
                found += _nights(request, watch, configuration, view)
    return found


def _nights(request: NightlyRequest, watch: Watch, configuration: str, view: View) -> list[Night]:
    """One that was interrupted, if there is one; and tonight's, unless that was about the same commit."""
    folder, found = request.settings.nights, list[Night]()
    known = nights.read(folder, watch=watch.name, configuration=configuration)

    def through(night: Night, before: Sequence[Night]) -> Night:
        return _through(Work(settings=request.settings, watch=watch, night=night, earlier=before[::-1], view=view,
                             wait=request.wait))

    if known and known[-1].ended is None:
        view.say(f"going on with night {known[-1].id}")
        *before, interrupted = known
        found.append(through(interrupted, before))
        if found[-1].ended is None:
            return found
        known = [*before, found[-1]]
    tonight = _begin(request, watch, configuration, known, view)
    if found and tonight.outcome is Outcome.UNCHANGED and not tonight.alarm:
        return found
    nights.write(folder, tonight)
    return [*found, through(tonight, known)]


def _begin(
    request: NightlyRequest, watch: Watch, configuration: str, known: Sequence[Night], view: View
) -> Night:
    """What a new night is about, by what is at the repository and on record; nothing is written yet."""
    now = time.time()
    night = Night(
        id="", watch=watch.name, configuration=configuration, repository=watch.repository, branch=watch.branch,
        machine=str(machine.describe()["fingerprint"]), created=now, margin=watch.margin, budget=watch.budget,
    )
    try:
        repository = history.fetch(watch.repository, view.phase)
        tip = history.tip(repository, watch.branch)
        seen = next((one.commit for one in reversed(known) if one.commit is not None), None)
        if tip is None:
            night = replace(night, outcome=Outcome.GONE, alarm=_gone(repository, watch, seen))
        else:
            night = _about(night, watch, repository, tip, known, again=request.again)
            if seen is not None and not history.is_ancestor(repository, seen.hash, tip):
                night = replace(night, alarm=(
                    f"branch {watch.branch} of {watch.repository} was overwritten: {seen.hash[:SHORT]} "
                    f"({seen.subject}), its newest commit before, is no longer in its history"))
    except Exception as error:
        problem, notes = _told(error, f"the beginning of a night of {watch.name}", view)
        night = replace(night, outcome=Outcome.FAILED, problems=(problem,), notes=notes)
    hash = "" if night.commit is None else night.commit.hash
    return replace(night, id=nights.new_id(request.settings.nights, watch.name, configuration, hash, now))


def _about(
    night: Night, watch: Watch, repository: Path, tip: str, known: Sequence[Night], *, again: bool
) -> Night:
    """A night about the newest commit: against which anchor and which commit before, or that it is not new."""
    commit = history.describe(repository, tip, place=watch.repository, branch=watch.branch)
    night = replace(night, commit=commit, anchor=watch.pinned(repository, night.configuration))
    handled = any(_is_of(one, tip) and one.outcome in (Outcome.DONE, Outcome.BROKEN) for one in known)
    if handled and not again:
        return replace(night, outcome=Outcome.UNCHANGED)
    previous = next(
        (one.commit for one in reversed(known) if one.outcome is Outcome.DONE and one.commit is not None
         and one.commit.hash != tip and history.is_ancestor(repository, one.commit.hash, tip)), None)
    between = None if previous is None else len(history.line(repository, previous.hash, tip))
    return replace(night, previous=previous, between=between)


def _is_of(night: Night, commit: str) -> bool:
    return night.commit is not None and night.commit.hash == commit


def _gone(repository: Path, watch: Watch, seen: Commit | None) -> str:
    """That a branch is not there, and where its commits are now."""
    said = f"{watch.repository} has no branch {watch.branch}"
    if seen is None:
        return f"{said}; is that its name?"
    inside = list(history.branches_with(repository, seen.hash))
    where = f"is in {listed(inside)}: was it renamed?" if inside else "is in no other branch"
    return f"{said} any more; {seen.hash[:SHORT]} ({seen.subject}), its newest commit before, {where}"


def _steps(night: Night) -> Sequence[str]:
    """The steps that a night has, in their order, by what it has come to so far."""
    if night.outcome is Outcome.DONE:
        return tuple(STEPS)
    if night.outcome is Outcome.UNCHANGED and not night.alarm:
        return ()
    if night.outcome is Outcome.BROKEN:
        return "build", *CLOSING
    # A night that failed may have confirmed something before.
    return ("events", *CLOSING) if any(one.shown for one in night.confirmations or ()) else CLOSING


def _through(work: Work) -> Night:
    """All steps of a night that are not over; it has ended when this returns, or has met a problem.

    Raises MachineError where nothing can be put on record or, without waiting, another run is measuring.
    """
    if any(_is_due(work.night, name) for name in ALONE):
        with machine.alone(wait=work.wait, told=work.view.say):
            if not _measured(work):
                return work.night
    for name in (name for name in STEPS if name not in ALONE):
        if _is_due(work.night, name):
            _do(work, name)
    work.keep(ended=time.time())
    return work.night


def _measured(work: Work) -> bool:
    """The steps of `ALONE`; False: the night has met a problem, and is to be gone on with."""
    try:
        for name in ALONE:
            if _is_due(work.night, name):
                _do(work, name)
    except LockstepError as error:
        work.keep(problems=(*work.night.problems, str(error)))
        if len(work.night.problems) < ATTEMPTS:
            return False
        work.keep(outcome=Outcome.FAILED)
    return True


def _is_due(night: Night, name: str) -> bool:
    step = night.step(name)
    return name in _steps(night) and (step is None or step.ended is None)


def _do(work: Work, name: str) -> None:
    """One step, which is on record before and after. Raises MachineError where the night cannot go on without it."""
    work.view.phase(f"{name}: {work.night.id}")
    before, begun = work.night.step(name), time.time()
    spent = before.seconds if before is not None else 0.0
    work.keep(steps=work.night.with_step(Step(name=name, begun=begun, seconds=spent)).steps)
    problem, fatal = "", False
    notes: tuple[str, ...] = ()
    try:
        STEPS[name](work)
    except Exception as error:
        problem, notes = _told(error, f"{name} of night {work.night.id}", work.view)
        fatal = name in NEEDED
    now = time.time()
    step = Step(name=name, begun=begun, ended=None if fatal else now, seconds=spent + now - begun, problem=problem)
    work.keep(steps=work.night.with_step(step).steps, notes=(*work.night.notes, *notes))
    if fatal:
        raise MachineError(problem)


def _told(error: Exception, during: str, view: View) -> tuple[str, tuple[str, ...]]:
    """An exception in words, and what is to be noted of it, which is said at once.

    One that nobody has foreseen is a problem as any other: a night that ended with it would begin with it again, each
    night, and nobody would hear of it. Its traceback is kept; where, is no part of the problem, which must be the same
    each time for people to be told of it once.
    """
    if isinstance(error, LockstepError):
        return str(error), ()
    place = crashes.keep(error, during)
    if place is None or config.debugging():
        for part in traceback.format_exception(error):
            view.say(part)
    if place is None:
        return fault(error), ()
    note = f"{place} has the traceback of {during}: please report it"
    view.say(note)
    return fault(error), (note,)
