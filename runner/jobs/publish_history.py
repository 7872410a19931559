"""The order of steps for the pages that look across runs, builds and benchmarks; `publish` makes the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from dashboards import history_pages, pages
from runner.alerts.settings import Channels
from runner.errors import LockstepError
from runner.history import events as events_of
from runner.history.events import Event
from runner.history.runs import History
from runner.jobs import publish_apart as apart
from runner.jobs.alert import places
from runner.jobs.status import status
from runner.report import events as in_words
from runner.report import site_benchmarks, site_compare, site_events, site_health, site_imported, site_releases
from runner.storage import imports, ledger
from runner.storage.nights import Night

COMPARE, EVENTS = "compare", "events"
"""Folders of the site."""
FEED = "feed.xml"
"""Beside the overview."""

Link = Callable[[Path, Path], bool]
"""Puts a file of the old site into the new one, and returns whether there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the pages are made of, and where they go."""

    known: History
    state: Path
    """Folder with nights, events and the spool."""
    new: Path
    """The site that is being made; it has the folders of `publish`."""
    out: Path
    """The one that is there."""
    commit_url: str
    """Address of commits (`report.commits.check`), or empty."""
    channels: Channels | None
    """How people are told of events; None: as without a configuration."""
    link: Link
    night: Night | None = None
    """The night that makes the site, as it will end; None: none does."""
    served: bool = False
    """As in `publish.PublishRequest`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Across:
    """What the other pages need of these."""

    compared: Mapping[str, str]
    """Stamp of each run whose file lies beside the comparing page, by id."""
    attention: Sequence[tuple[str, str]]
    """What of the events needs a look, each with where it leads."""
    suspicions: str
    """What became of all that histories suggested, in a sentence; empty where they suggested nothing."""
    imported: bool
    """There is a page of imported results."""


def write(site: Site, before: Mapping[str, str], problems: list[str]) -> Across:
    """Write the pages.

    `before` is `Across.compared` of the old site: files of runs that are as they were are taken over. What is wrong
    with the events goes to `problems`, and then their old pages stay; what is wrong with the ledger does too.
    """
    known, new, channels = site.known, site.new, site.channels or Channels()
    for name in history_pages.ASSETS:
        apart.put(new / "assets" / name, pages.asset(name))
    _page(site, "benchmarks/index.html", lambda: history_pages.index(
        site_benchmarks.index(known, url=site.commit_url), served=site.served))
    kept = _compare(site, before)
    _page(site, "releases.html", lambda: history_pages.releases(site_releases.releases(known), served=site.served))
    suspicions = _suspicions(site.state / ledger.NAME, problems)
    events = _events(site, channels, suspicions, problems)
    health = status(channels, site.state, site.night)
    _page(site, "health.html", lambda: history_pages.health(site_health.page(health, known), served=site.served))
    found = imports.read(site.state / imports.FOLDER)
    problems += found.problems
    if found.imports:
        _page(site, "imported.html", lambda: history_pages.imported(
            site_imported.page(found, url=site.commit_url), served=site.served))
    return Across(compared=kept, attention=site_events.attention(events), suspicions=suspicions,
                  imported=bool(found.imports))


def _suspicions(file: Path, problems: list[str]) -> str:
    try:
        return site_events.suspicions(one.outcome for one in ledger.read(file))
    except LockstepError as error:
        problems.append(str(error))
        return ""


def _compare(site: Site, before: Mapping[str, str]) -> dict[str, str]:
    folder, old = site.new / COMPARE, site.out / COMPARE
    folder.mkdir()
    stamps, kept = {entry.id: entry.stamp for entry in site.known.runs}, dict[str, str]()

    def made() -> str:
        found, labels = site_compare.places(site.known), site_compare.builds(site.known)
        missing = []
        for id, stamp in stamps.items():
            file = f"{site_compare.run_name(id)}.js"
            if before.get(id) != stamp or not site.link(old / file, folder / file):
                missing.append(id)
        shared, own = site_compare.shared(found, site.known, labels), site_compare.of_runs(site.known, missing)
        for name, content in chain(shared, own):
            apart.put(folder / f"{name}.js", site_compare.script(name, content))
        kept.update(stamps)
        return history_pages.compare(site_compare.page(found, site.known, labels), served=site.served)

    _page(site, "compare.html", made)
    return kept


def _events(site: Site, channels: Channels, suspicions: str, problems: list[str]) -> list[Event]:
    """The list of events, their pages and the feed; returns the events. One that cannot be read takes no page away."""
    folder, old = site.new / EVENTS, site.out / EVENTS
    folder.mkdir()
    found: list[Event] = []
    notes = [suspicions] if suspicions else []
    readable = True
    try:
        found = events_of.read(places(channels, site.state).events)
    except LockstepError as error:
        readable = False
        problems.append(str(error))
        notes.append(f"The events could not be read, and are not listed: {error}")
        for file in [file for file in old.glob("*.html") if file.name != "index.html"]:
            site.link(file, folder / file.name)
    for event in found:
        _page(site, f"{EVENTS}/{event.id}.html", partial(_event, site, event))
    _page(site, f"{EVENTS}/index.html", lambda: history_pages.events(
        site_events.events_page(found, site.known, url=site.commit_url, notes=notes), served=site.served))
    if readable or not site.link(site.out / FEED, site.new / FEED):
        apart.put(site.new / FEED, in_words.atom(found, channels.site))
    return found


def _event(site: Site, event: Event) -> str:
    return history_pages.event(
        site_events.event_page(event, site.known, url=site.commit_url), served=site.served)


def _page(site: Site, name: str, make: Callable[[], str]) -> None:
    apart.put(site.new / name, apart.page(make, "../" * name.count("/"), served=site.served))
