"""What can be read: everything that the pages show, and the same numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from runner.errors import LockstepError
from runner.history import events as events_of
from runner.history import series as series_of
from runner.history.events import Event
from runner.history.runs import Entry
from runner.report.events import data, page
from runner.report.events import json as in_json
from runner.service import as_records, server, sessions
from runner.service.answering import TABLES, After, Answer, Format, Kind, Limit, answer, page_of
from runner.service.api_records import (
    BenchmarkList,
    ComparisonRecord,
    EventList,
    MachineList,
    RunList,
    SeriesList,
    WholeRunRecord,
)
from runner.service.comparing import comparison
from runner.service.problems import Problem
from runner.service.records import Snapshot
from runner.service.server import Server

router = APIRouter(prefix="/api/v1", tags=["reading"], dependencies=[Depends(sessions.reads)])
Text = Annotated[str | None, Query(max_length=1000)]
Time = Annotated[float | None, Query(description="Seconds since the epoch.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What all lists can be asked for."""

    request: Request
    format: Kind | None
    limit: int
    after: str

    @property
    def here(self) -> Server:
        return server.of(self.request)

    @property
    def snapshot(self) -> Snapshot:
        return self.here.site.records.now()

    def answered(self, state: str, made: Callable[[], Answer]) -> Response:
        """As `answering.answer` does."""
        return answer(self.request, state, self.format, made, public=self.here.settings.serve.public)


def asked(request: Request, format: Format = None, limit: Limit = 100, after: After = "") -> Asked:
    """A dependency."""
    return Asked(request=request, format=format, limit=limit, after=after)


def asked_one(request: Request, format: Format = None) -> Asked:
    """A dependency of what is no list."""
    return Asked(request=request, format=format, limit=1, after="")


OfList = Annotated[Asked, Depends(asked)]
OfOne = Annotated[Asked, Depends(asked_one)]


@router.get("/machines", response_model=MachineList, responses=TABLES, summary="Machines, the newest run's first")
def machines(asked: OfList) -> Response:
    """The machines that have measured something, as the newest run of each knew it."""
    snapshot = asked.snapshot

    def made() -> Answer:
        shown, next = page_of(snapshot.machines, lambda one: one.machine, asked.after, asked.limit)
        return Answer(
            content=lambda: MachineList(machines=tuple(shown), next=next or None),
            table=lambda: as_records.rows(shown, as_records.MACHINE), next=next)

    return asked.answered(snapshot.state, made)


@router.get("/benchmarks", response_model=BenchmarkList, responses=TABLES, summary="Benchmarks by key")
def benchmarks(asked: OfList, q: Text = None) -> Response:
    """All benchmarks that some run has; `q`: those whose key has this in it."""
    snapshot, wanted = asked.snapshot, (q or "").lower()

    def made() -> Answer:
        known = (one for one in snapshot.history.benchmarks if wanted in one.key.lower())
        own, next = page_of(known, lambda one: one.key, asked.after, asked.limit)
        shown = tuple(map(as_records.benchmark, own))
        return Answer(
            content=lambda: BenchmarkList(benchmarks=shown, next=next or None),
            table=lambda: as_records.rows(shown, as_records.BENCHMARK), next=next)

    return asked.answered(snapshot.state, made)


@router.get("/series", response_model=SeriesList, responses=TABLES, summary="The history of a benchmark")
def series(
    asked: OfList, benchmark: Annotated[str, Query(max_length=1000, description="Its key.")],
    watch: Text = None, configuration: Text = None, machine: Text = None,
) -> Response:
    """All series of one benchmark, in segments that say why they begin. As a table: a row a point."""
    snapshot = asked.snapshot

    def made() -> Answer:
        if not any(one.key == benchmark for one in snapshot.history.benchmarks):
            raise Problem(404, "benchmark", "There is no such benchmark.", f"No run has one of the key {benchmark!r}.")
        found = series_of.of(
            snapshot.history.file, benchmark=benchmark, watch=watch, configuration=configuration, machine=machine)
        own, next = page_of(enumerate(found), lambda one: str(one[0]), asked.after, asked.limit)
        shown = [(number, as_records.series(one)) for number, one in own]
        return Answer(
            content=lambda: SeriesList(series=tuple(one for _, one in shown), next=next or None),
            table=lambda: as_records.points(shown), next=next)

    return asked.answered(snapshot.state, made)


@router.get("/runs", response_model=RunList, responses=TABLES, summary="Runs, newest first")
def runs(
    asked: OfList, machine: Text = None, suite: Text = None, watch: Text = None, purpose: Text = None,
    since: Time = None, before: Time = None,
) -> Response:
    """Runs without their benchmarks. ``watch=`` (empty): those that people asked for."""
    snapshot = asked.snapshot

    def fits(entry: Entry) -> bool:
        role = entry.role
        own = (str(entry.machine.get("fingerprint") or ""), Path(entry.suite).name, role.watch if role else "",
               role.purpose.value if role else "")
        return (
            (since is None or entry.created >= since) and (before is None or entry.created < before)
            and all(text in (None, one) for text, one in zip((machine, suite, watch, purpose), own, strict=True)))

    def made() -> Answer:
        own, next = page_of(
            (entry for entry in reversed(snapshot.history.runs) if fits(entry)), lambda one: one.id, asked.after,
            asked.limit)
        shown = tuple(map(as_records.run, own))
        return Answer(
            content=lambda: RunList(runs=shown, next=next or None),
            table=lambda: as_records.rows(shown, as_records.RUN), next=next)

    return asked.answered(snapshot.state, made)


@router.get("/runs/{id}", response_model=WholeRunRecord, responses=TABLES, summary="One run with its benchmarks")
def run(asked: OfOne, id: str) -> Response:
    """What a run says of every benchmark. As a table: a row a benchmark. A run that was received is here some seconds
    later."""
    snapshot = asked.snapshot

    def made() -> Answer:
        entry = snapshot.entries.get(id)
        if entry is None:
            raise Problem(404, "run", "There is no such run.", f"No run that can be read is named {id!r}.")
        results = as_records.results(snapshot.history.of_runs([id]))
        return Answer(
            content=lambda: WholeRunRecord(
                run=as_records.run(entry), machine=entry.machine, benchmarks=results),
            table=lambda: as_records.rows(results, as_records.RESULT))

    return asked.answered(snapshot.state, made)


@router.get("/events", response_model=EventList, responses=TABLES, summary="Confirmed changes, newest first")
def events(
    asked: OfList, state: Text = None, watch: Text = None, benchmark: Text = None,
    open: Annotated[bool | None, Query(description="Those that are open, or those that are over.")] = None,
) -> Response:
    """Regressions and improvements, with what was said of them; `benchmark`: those of benchmarks with this key."""
    mark, found = known(asked.here)

    def fits(event: Event) -> bool:
        return (
            open in (None, event.state.open) and state in (None, event.state.value) and watch in (None, event.watch)
            and (benchmark is None or any(one.benchmark == benchmark for one in event.benchmarks)))

    def made() -> Answer:
        own, next = page_of(
            (event for event in reversed(found) if fits(event)), lambda one: one.id, asked.after, asked.limit)
        shown = tuple(told(event, asked.here) for event in own)
        return Answer(
            content=lambda: EventList(events=shown, next=next or None),
            table=lambda: as_records.rows(shown, as_records.EVENT), next=next)

    return asked.answered(mark, made)


@router.get("/events/{id}", response_model=dict[str, Any], responses=TABLES, summary="One event")
def event(asked: OfOne, id: str) -> Response:
    """As ``lockstep events --json`` has it (lockstep.events/1)."""
    mark, found = known(asked.here)

    def made() -> Answer:
        shown = told(event_of(found, id), asked.here)
        return Answer(content=lambda: shown, table=lambda: as_records.rows([shown], as_records.EVENT))

    return asked.answered(mark, made)


@router.get("/comparisons", response_model=ComparisonRecord, responses=TABLES, summary="Any two builds")
def comparisons(
    asked: OfOne,
    base: Annotated[str, Query(max_length=1000, description="Identity, spec, or a commit's first seven digits.")],
    head: Annotated[str, Query(max_length=1000, description="As `base`.")],
    way: Annotated[str, Query(max_length=1000, description="One of `ways`; by default the first.")] = "",
) -> Response:
    """By a run of the two, or through others, as the page Compare has it. As a table: a row a benchmark."""
    snapshot = asked.snapshot

    def made() -> Answer:
        found = comparison(snapshot, base, head, way)
        return Answer(
            content=lambda: found, table=lambda: as_records.rows(found.benchmarks, as_records.COMPARED))

    return asked.answered(snapshot.state, made)


def every(here: Server) -> Sequence[Event]:
    """All events, oldest first. Raises Problem 503."""
    try:
        return events_of.read(here.site.events)
    except LockstepError as error:
        raise Problem(503, "events", "The events cannot be read.", str(error)) from error


def known(here: Server) -> tuple[str, Sequence[Event]]:
    """As `every`, and what changes whenever one of them does."""
    found = every(here)
    return hashlib.sha256(in_json(found).encode(errors="replace")).hexdigest(), found


def event_of(found: Sequence[Event], id: str) -> Event:
    """The event of this very id. Raises Problem 404."""
    for event in found:
        if event.id == id:
            return event
    raise Problem(404, "event", "There is no such event.", f"None has the id {id!r}.")


def told(event: Event, here: Server) -> dict[str, Any]:
    """An event as the API tells it (lockstep.events/1)."""
    found: dict[str, Any] = data(event, here.site.channels.site)["event"]
    return {**found, "page": found["page"] or f"/{page(event.id)}"}
