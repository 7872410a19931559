"""The pages that a server makes when they are asked for, as records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dashboards.live_records import MachineLine, MachinesPage, TriagePage
from runner.history.events import Event, State
from runner.history.runs import Entry
from runner.report import addresses, commits, site, site_events
from runner.report import events as in_words


def triage_page(event: Event, csrf: str, *, why: str = "", problem: str = "", note: str = "") -> TriagePage:
    """Where people say what an event is; `csrf`, `why`, `problem` and `note` as in `TriagePage`."""
    return TriagePage(
        id=event.id, title=in_words.headline(event), state=event.state.value, link=in_words.page(event.id),
        said=site_events.said(event), states=[state.value for state in State], csrf=csrf, why=why,
        problem=problem, note=note,
    )


def machines_page(runs: Iterable[Entry], hosts: Mapping[str, Sequence[str]]) -> MachinesPage:
    """All machines: those of some runs, oldest first, and those that have a token and no run.

    `hosts` has the names of tokens by the host that each is bound to, those that are bound to none under ``""``.
    """
    found = site.newest_first(runs, lambda entry: str(entry.machine.get("fingerprint")))
    lines = [_machine(entries, hosts) for entries in found.values()]
    seen = {str(entries[-1].machine.get("host") or "") for entries in found.values()} - {""}
    waiting = [name for host, names in hosts.items() if host not in seen for name in names]
    return MachinesPage(machines=[*lines, *(
        MachineLine(name=name, tokens=name, runs=0, last="", last_link="", sort="", warnings=())
        for name in sorted(waiting))])


def _machine(entries: Sequence[Entry], hosts: Mapping[str, Sequence[str]]) -> MachineLine:
    last = entries[-1]
    host = str(last.machine.get("host") or "")
    return MachineLine(
        name=site.machine_name(last.machine), tokens=", ".join(sorted(hosts.get(host, ()))) if host else "",
        runs=len(entries), last=f"{site.day(last.created)}: {commits.label(last.base)} → {commits.label(last.head)}",
        last_link=addresses.run(last.id, ""), sort=repr(last.created),
        warnings=site.warnings(last),
    )
