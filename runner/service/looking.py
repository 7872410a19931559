"""A parcel is looked at: unpacked, read from the first line to the last, and judged as it will be shown.

This is all the work that a run makes when it comes, and it is done with another's data. So the server has it done in
processes of their own, and this module needs nothing of the server.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dashboards import pages
from runner.errors import LockstepError
from runner.history import runs as history
from runner.judging import machines
from runner.judging.report import Report
from runner.report import as_json
from runner.report.run_page import run_page
from runner.storage import parcel, store
from runner.storage.parcel import Contents, Limits, ParcelError
from runner.storage.store import Manifest

BODY = "body"
"""A parcel as it came, in a folder of its own."""
_LARGE = ("too-large", "bomb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A run that can be shown."""

    folder: Path
    """Where it lies, whole and on disk; its name is the run's id."""
    manifest: Manifest
    contents: Contents
    found: history.Found
    """As the index will have it."""
    report: str
    """Its `report.json`, as of the place where it will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something is not taken: the parts of a `problems.Problem`."""

    status: int
    slug: str
    title: str
    detail: str


def look(place: Path, runs: Path, limits: Limits) -> Looked | Refusal:
    """Look at the parcel that lies in the folder `place`, and that is to come to the folder `runs`.

    Raises OSError where the disk fails, and MemoryError where it takes more than there is.
    """
    try:
        with (place / BODY).open("rb") as stream:
            sent = parcel.unpack(stream, place, limits)
    except ParcelError as error:
        status = 413 if error.reason in _LARGE else 422
        return Refusal(
            status=status, slug=f"parcel-{error.reason}", title="This is not taken as a run.", detail=str(error))
    folder, manifest = sent.folder, sent.manifest
    if manifest.labels:
        return Refusal(
            status=422, slug="part", title="This run says nothing by itself.",
            detail=f"{manifest.id} is a part of a larger measurement (`lockstep calibrate` or `bisect`), and only that "
            "one can tell what it means.")
    try:
        report, found = history.found_in(folder, sent.run)
        pages.run(run_page(report))
        text = as_json.render(replace(report, folder=str(runs / folder.name)))
    except (OSError, MemoryError):
        raise
    # Every number in it is another's, and so is whatever they lead to; the reason goes to whoever sent it.
    except Exception as error:
        reason = str(error) if isinstance(error, LockstepError) else f"{type(error).__name__}: {error}"
        return Refusal(status=422, slug="no-report", title="No report can be made of this run.",
                       detail=reason.replace(f"{folder}{os.sep}", "")[:500])
    if _about(report) != (manifest.id, manifest.created, manifest.suite, machines.facts(manifest)):
        return Refusal(
            status=422, slug="other-statistics", title="The statistics are not of this run.",
            detail=f"{store.STATISTICS} tells of another run, suite, time or machine than {store.MANIFEST} does.")
    return Looked(folder=folder, manifest=manifest, contents=sent.contents, found=found, report=text)


def _about(report: Report) -> tuple[Any, ...]:
    return report.run, report.started, report.suite, dict(report.machine)
