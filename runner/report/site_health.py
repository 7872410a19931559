"""The health page: what `lockstep status` says, and how well each machine has measured."""

from __future__ import annotations

from collections.abc import Sequence

from dashboards.history_records import HealthPage, HealthTable
from runner.history.runs import Entry, History
from runner.model import Verdict
from runner.report import health as in_words
from runner.report import quantities, site
from runner.report.health import Health

DAYS = 30
"""A machine's runs of so many days are counted, up to its newest one."""


def page(health: Health, known: History) -> HealthPage:
    """The page of one moment."""
    return HealthPage(
        made=f"{site.day(health.now)} UTC", problems=health.problems, facts=in_words.facts(health),
        tables=[
            HealthTable(
                id="nights", title="Last nights", columns=("night", "begun", "state", "took", "what went wrong"),
                rows=[(one.id, site.day(one.created), one.state, quantities.duration(one.seconds), one.why or "–")
                      for one in health.nights],
                none="There is no night yet: lockstep nightly makes one."),
            HealthTable(
                id="machines", title=f"Machines, in the last {DAYS} days of measuring", rows=_machines(known),
                columns=("machine", "last run", "runs", "interrupted", "undecided or not reached", "failed",
                         "runs in which the canary spoke", "runs with another warning about the machine"),
                none="There is no run yet."),
            HealthTable(
                id="waiting", title="Waiting to be delivered", columns=("channel", "what", "since", "tries", "problem"),
                rows=[(one.channel, one.title, site.day(one.since), str(one.tries), one.problem or "not tried yet")
                      for one in health.waiting],
                none="None."),
        ],
    )


def _machines(known: History) -> list[tuple[str, ...]]:
    by_machine: dict[str, list[Entry]] = {}
    for entry in reversed(known.runs):
        own = by_machine.setdefault(site.machine_name(entry.machine), [])
        if not own or entry.created > own[0].created - 86_400 * DAYS:
            own.append(entry)
    others = [kind for kind in site.ALARMS if not kind.startswith("canary")]
    return [
        (name, site.day(entries[0].created), str(len(entries)), str(sum(not entry.complete for entry in entries)),
         _share(entries, site.VAGUE), _share(entries, (Verdict.FAILED.value,)),
         _alarms(entries, ("canary", "canary-failed")), _alarms(entries, others))
        for name, entries in by_machine.items()
    ]


def _share(entries: Sequence[Entry], states: Sequence[str]) -> str:
    of = sum(sum(entry.counts.values()) for entry in entries)
    count = sum(entry.counts.get(state, 0) for entry in entries for state in states)
    return f"{count} of {of} ({quantities.percent(count / of)})" if of else "–"


def _alarms(entries: Sequence[Entry], kinds: Sequence[str]) -> str:
    return f"{sum(any(notice.kind in kinds for notice in entry.notices) for entry in entries)} of {len(entries)}"
