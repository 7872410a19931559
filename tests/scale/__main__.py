"""``python -m scale``: fill indexes of several sizes in both engines, ask them, and make docs/scale.md anew."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import postgres
from made_runs import make_run, some_benchmarks
from studies import run, say

from runner.history import runs
from runner.storage import index
from runner.storage.index import Place
from runner.storage.store import write_whole
from scale import asked, made, page, records
from scale.records import Measured, Size, Study, size_of

TOP = Path(__file__).resolve().parents[2]
ROWS = (365_000, 3_650_000, 10_000_000, 36_500_000)
SETTINGS = {"shared_buffers": "1GB", "work_mem": "32MB", "max_wal_size": "4GB"}
"""PostgreSQL's, for a machine with 8 GiB and more; else it is as Debian has it, but that nothing waits for the disk."""


def main() -> int:
    options = _options()
    study = records.read(options.data)
    if study is None or options.anew:
        study = Study(day=time.strftime("%Y-%m-%d"), machine=_machine())
    if not options.report:
        for size in [size_of(rows) for rows in options.rows]:
            for engine, opened in (("SQLite", _file), ("PostgreSQL", _database)):
                if engine.lower() not in options.engines or _done(study, engine, size):
                    continue
                measured = _measured(opened, size)
                study = replace(study, measured=(*study.measured, measured))
                records.write(options.data, study)
                say(f"{measured.engine}, {size.rows:.3g} rows: filled in {measured.filled:.0f} s, "
                    f"{measured.bytes / 2**20:.0f} MiB, a series in {1e3 * measured.took['series'].median:.1f} ms, "
                    f"overview in {1e3 * measured.took['overview'].median:.0f} ms")
    section = page.render(study)
    write_whole(options.page, page.place_into(options.page.read_text(), section))
    print(section)
    return 0


Kept = tuple[Place, str, Callable[[], tuple[int, int | None]]]
"""Where an index can be made, what keeps it, and what says how large it is and how large its indexes are, in bytes."""


def _done(study: Study, engine: str, size: Size) -> bool:
    return any(one.engine.startswith(engine) and one.size == size for one in study.measured)


def _measured(opened: Callable[[], AbstractContextManager[Kept]], size: Size) -> Measured:
    entry = _entry()
    with opened() as (place, engine, sizes):
        with asked.told("filling") as filling:
            made.fill(place, size, entry)
            if isinstance(place, str):
                with index.opened(place) as connection:
                    connection.execute("VACUUM ANALYZE")  # as the server does by itself, sooner or later
        say(f"{engine}: {size.rows:.3g} rows are there after {filling['seconds']:.0f} s")
        whole, indexes = sizes()
        took, plans = asked.ask(place, size, entry, plans=True)
        return Measured(
            engine=engine, size=size, filled=filling["seconds"], bytes=whole, indexes=indexes, took=took, plans=plans)


@contextmanager
def _file() -> Iterator[Kept]:
    with tempfile.TemporaryDirectory(prefix="lockstep-scale-") as folder:
        place = Path(folder) / "index"
        yield place, f"SQLite {sqlite3.sqlite_version}", lambda: (place.stat().st_size, None)


@contextmanager
def _database() -> Iterator[Kept]:
    with postgres.server(**SETTINGS) as server:
        place = server.database("scale")
        with server.connect("scale") as connection:
            version = str(connection.info.server_version // 10_000)

            def sizes() -> tuple[int, int]:
                found = connection.execute(
                    "SELECT sum(pg_total_relation_size(oid)), sum(pg_indexes_size(oid)) FROM pg_class"
                    " WHERE relkind = 'r' AND relnamespace = 'lockstep_index'::regnamespace").fetchone()
                assert found is not None
                return int(found[0]), int(found[1])

            yield place, f"PostgreSQL {version}", sizes


def _entry() -> str:
    """What there is to say of one run of 500 benchmarks."""
    with tempfile.TemporaryDirectory(prefix="lockstep-scale-") as folder:
        make_run(Path(folder) / "runs", 0, some_benchmarks(500))
        runs.update(Path(folder) / "runs", Path(folder) / "index")
        with index.opened(Path(folder) / "index") as connection:
            return index.entries(connection)[0]


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} CPUs, {memory:.0f} GiB of memory, {platform.system()} {platform.machine()}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scale", description="Fill indexes with rows, and ask them.")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help=f"sizes (default: {ROWS})")
    parser.add_argument("--engines", nargs="+", default=("sqlite", "postgresql"), choices=("sqlite", "postgresql"))
    parser.add_argument("--anew", action="store_true", help="forget what is stored")
    parser.add_argument("--report", action="store_true", help="make the page of what is stored, and measure nothing")
    parser.add_argument("--data", type=Path, default=TOP / "data/evidence/scale.json", help="where results are")
    parser.add_argument("--page", type=Path, default=TOP / "docs/scale.md", help="the page to write into")
    return parser.parse_args()


if __name__ == "__main__":
    run("scale", main)
