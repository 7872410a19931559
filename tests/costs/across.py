"""``python tests/costs/across.py``: what the pages that look across runs cost for a year of nights, printed.

    python tests/costs/across.py --machines 3 --nights 365 --benchmarks 500

Rows are generated; a night is two runs on each machine, against the anchor and against the night before. What is timed
is `jobs.publish_history`: the index of benchmarks, any two builds, changes, releases, health. The first time all of it,
then with one night more.
"""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from asked import folder, options
from made_rows import a_point, fill
from made_runs import MACHINE, arm, make_run, some_benchmarks

from runner.history import runs as history
from runner.history.runs import Entry, History
from runner.jobs import publish_history
from runner.model import Commit, Purpose, Role
from runner.storage import index
from runner.storage.index import Run


def main() -> None:
    asked = options(str(__doc__), machines=3, nights=365, benchmarks=500)
    with folder(asked) as place:
        make_run(place / "runs", 0, some_benchmarks(2))
        (model,) = history.read(place / "runs", place / "model").runs
        keys = [one.key for one in some_benchmarks(asked.benchmarks)]
        luck = random.Random(1)
        for night in range(asked.nights):
            fill(place / "index", made(model, keys, night, asked.machines, luck))
        stamps: dict[str, str] = {}
        stamps = told("the first time", place, stamps)
        fill(place / "index", made(model, keys, asked.nights, asked.machines, luck))
        told("a night more", place, stamps)
        for page in ("benchmarks/index.html", "compare.html", "compare/builds.js", "health.html"):
            print(f"{page}: {(place / 'site' / page).stat().st_size / 1e6:.2f} MB")
        print(f"compare: {sum(file.stat().st_size for file in (place / 'site' / 'compare').iterdir()) / 1e6:.0f} MB")


def made(model: Entry, keys: list[str], night: int, machines: int, luck: random.Random) -> Iterator[Any]:
    for machine in range(machines):
        for purpose in (Purpose.ANCHOR, Purpose.PREVIOUS):
            entry = an_entry(model, night, machine, purpose)
            yield a_row(entry), [
                a_point(key, place, name=key.partition("(")[0], log_ratio=(log := luck.gauss(0.01, 0.004)),
                        ratio=2.718281828**log, low=2.718281828 ** (log - 0.003), high=2.718281828 ** (log + 0.003))
                for place, key in enumerate(keys)]


def an_entry(model: Entry, night: int, machine: int, purpose: Purpose) -> Entry:
    def side(number: int) -> Any:
        commit = Commit(hash=f"{number:040x}", date=1.7e9, subject=f"Change number {number}", repository="r",
                        position=number)
        return replace(model.head, spec=f"git:r@{number}", identity=f"{number:032x}", commit=commit)

    base = replace(model.base, spec=arm("anchor").spec) if purpose is Purpose.ANCHOR else side(night - 1)
    id = f"2026{night:04}T{machine:02}{purpose is Purpose.ANCHOR:02}00Z-{night:06x}"
    return replace(
        model, id=id, stamp=f"{id} 1", created=1.7e9 + 86_400 * night + machine, base=base, head=side(night),
        role=Role(watch="main", configuration="", purpose=purpose, night=f"{night}"),
        machine={**MACHINE, "fingerprint": f"{machine:016}"})


def a_row(entry: Entry) -> Run:
    role, commit = entry.role, entry.head.commit
    assert role is not None and commit is not None
    return Run(
        id=entry.id, stamp=entry.stamp, created=entry.created, watch=role.watch, configuration=role.configuration,
        purpose=role.purpose.value, night=role.night, suite=Path(entry.suite).name,
        machine=str(entry.machine["fingerprint"]), host="", kernel="", compiler="", base=entry.base.identity,
        base_spec=entry.base.spec, head=entry.head.identity, head_spec=entry.head.spec, commit=commit.hash,
        date=commit.date, subject=commit.subject, branch="", position=commit.position,
        entry=history._entry.dump_json(entry).decode())


def told(what: str, place: Path, stamps: dict[str, str]) -> dict[str, str]:
    """Time and memory of one publishing of these pages."""
    file, new, out = place / "index", place / "new", place / "site"
    with index.opened(file) as connection:
        known = History(
            file=file, runs=tuple(history._entry.validate_json(text) for text in index.entries(connection)),
            benchmarks=tuple(index.benchmarks(connection)), problems=(), fresh=())
    for name in ("benchmarks", "assets"):
        (new / name).mkdir(parents=True)
    begun = time.perf_counter()
    across = publish_history.write(publish_history.Site(
        known=known, state=place / "state", new=new, out=out, commit_url="https://example.org/{hash}", channels=None,
        link=link), stamps, [])
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what} ({len(known.runs)} runs): {seconds:.1f} s, {peak:.0f} MiB so far", flush=True)
    if out.exists():
        out.rename(place / "old")
    new.rename(out)
    return dict(across.compared)


def link(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except FileNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
