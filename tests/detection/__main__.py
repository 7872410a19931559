"""``python -m detection``: simulate some years, try the other rules, and make the tables of docs/detection.md anew."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from studies import say

from detection import others, page, records, simulate
from detection.records import Job, Study
from detection.worlds import WORLDS
from runner import shell
from runner.storage.store import write_whole

TOP = Path(__file__).resolve().parents[2]
PACKAGES = ("numpy", "scipy", "ruptures", "asv")


def main() -> int:
    options = _options()
    study = records.read(options.data) or Study(
        day=time.strftime("%Y-%m-%d"), versions={name: version(name) for name in PACKAGES}, missing={})
    if not options.report:
        study = _simulated(study, options)
        study = _compared(study, options)
    section = page.render(study)
    write_whole(options.page, page.place_into(options.page.read_text(), section))
    print(section)
    return 0


def _simulated(study: Study, options: argparse.Namespace) -> Study:
    done = {one.job for one in study.outcomes}
    jobs = [job for job in _jobs(options.suites) if job not in done]
    with shell.pool(options.processes) as pool:
        for outcome in pool.map(simulate.run, jobs):
            study = replace(study, outcomes=(*study.outcomes, outcome))
            records.write(options.data, study)
            say(f"{outcome.job.world}, {outcome.job.scene} {outcome.job.number}: {outcome.confirmed} events, "
                 f"{outcome.false} false, {outcome.nominations} nominations, {outcome.seconds:.0f} s")
    return study


def _jobs(suites: int) -> Iterator[Job]:
    for number in range(suites):
        for world in WORLDS:
            yield Job(world=world, scene="steps", number=number)
        yield Job(world="mixed", scene="quiet", number=number)
    yield Job(world="mixed", scene="creeping", number=0)


def _compared(study: Study, options: argparse.Namespace) -> Study:
    rules = [("rustc-perf: Q3 + 3 IQR of 30 differences", others.rustc, True),
             ("asv publish, threshold 1 %", others.asv(0.01), False)]
    python, reason = others.environment(options.otava)
    name = f"apache-otava {others.VERSION}"
    if python is None:
        study = replace(study, missing={name: reason})
    else:
        rules.append((name, others.otava(python), False))
        study = replace(study, missing={})
    done = {(one.rule, one.world) for one in study.others}
    for rule_name, rule, quick in rules:
        for world in WORLDS:
            if (rule_name, world) in done:
                continue
            other = others.try_rule(rule_name, rule, world, quick=quick)
            study = replace(study, others=(*study.others, other))
            records.write(options.data, study)
            say(f"{rule_name}, {world}: {other.false} false in {other.years} series-years, "
                 f"2 %: {other.soon} and {other.later} of {other.of}")
    return study


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="detection", description="Simulate histories of known truth.")
    parser.add_argument("--suites", type=int, default=3, help="of 100 series and a year, for each kind of nights")
    parser.add_argument("--processes", type=int, default=2, help="at one time (default: 2)")
    parser.add_argument("--report", action="store_true", help="make the page of what is stored, and simulate nothing")
    parser.add_argument("--otava", type=Path, default=TOP / "build/otava", help="environment for apache-otava")
    parser.add_argument("--data", type=Path, default=TOP / "data/evidence/detection.json", help="where results are")
    parser.add_argument("--page", type=Path, default=TOP / "docs/detection.md", help="the page to write into")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
