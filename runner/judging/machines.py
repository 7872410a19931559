"""What a report says of the machines that measured it: one, or those of a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runner.errors import listed
from runner.judging.report import Comparison
from runner.model import Notice
from runner.stats.paired import Array
from runner.storage.store import Fleet, Manifest

PAUSE = 60.0
"""Seconds without a block that mean an interrupted run, not a slow step between two blocks."""
NAMED = 4
"""Benchmarks of a machine that its notice names; the page has the machine beside each of them."""


def facts(manifest: Manifest) -> dict[str, Any]:
    """What the manifest says of the machine, with the CPU that was measured on; each of several has its own."""
    return {**manifest.machine, **({"pinned": manifest.worker_cpu} if manifest.fleet is None else {})}


def seconds(manifest: Manifest, started: Array, lengths: Array, hosts: Mapping[int, str]) -> float:
    """Time spent measuring, of all machines together.

    When each block began, and how long it took, in measured order; `hosts`: who measured it, by its place.
    """
    if manifest.fleet is None:
        return wall_seconds(started, lengths)
    places: dict[str, list[int]] = {}
    for place in sorted(hosts):
        places.setdefault(hosts[place], []).append(place)
    return sum(wall_seconds(started[own], lengths[own]) for own in places.values())


def wall_seconds(started: Array, seconds: Array) -> float:
    """Wall time from the first block's start to the last one's end, without the pauses between sessions.

    When each block began, and how long it took; measured order.
    """
    gaps = started[1:] - (started + seconds)[:-1]
    return float(seconds.sum() + gaps[(gaps > 0) & (gaps < PAUSE)].sum())


def notices(fleet: Fleet, comparisons: Sequence[Comparison]) -> Iterator[Notice]:
    """Which machine has measured what."""
    for name, known in fleet.hosts.items():
        keys = [comparison.key for comparison in comparisons if comparison.host == name]
        yield Notice(kind="host", numbers={
            "host": name, "cpu": known.get("cpu") or "", "count": len(keys), "names": listed(keys, NAMED)})
