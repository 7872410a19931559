"""``python -m pyperformance_study``: measure for some minutes, and make docs/pyperformance.md of all that is stored."""

from __future__ import annotations

import argparse
from pathlib import Path

from studies import run, say, sitting

from pyperformance_study import page, records
from pyperformance_study.parts import VERSIONS, suite
from pyperformance_study.session import STAGES, Session, Settings
from runner import suites
from runner.amounts import seconds
from runner.storage.store import write_whole

TOP = Path(__file__).resolve().parents[2]


def main() -> int:
    options = _options()
    code = 0 if options.report else sitting(lambda: _measure(options))
    study = records.read(options.data)
    if study is None:
        say(f"nothing was measured, so {options.page} is not made")
        return code
    write_whole(options.page, page.render(study))
    evidence = options.evidence.read_text("utf-8") if options.evidence.exists() else ""
    write_whole(options.evidence, page.place_into(evidence, page.section(study)))
    say(f"written to {options.page} and {options.evidence}")
    return code


def _measure(options: argparse.Namespace) -> None:
    suites.open(suite(options.only))  # an unknown name is told now, and not after the first build
    whole = Session(Settings(
        data=options.data, runs=options.runs, seconds=options.minutes * 60, budget=options.budget,
        stages=options.stages, only=options.only, versions=options.versions, explained=options.explain,
        processes=options.processes,
    ), say).run()
    say("all of it is measured" if whole else "not all of it is measured; the next start goes on from here")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pyperformance_study", description="Measure pyperformance between builds of which something is known.")
    parser.add_argument("--minutes", type=float, default=60, help="time to use; starting again goes on (default: 60)")
    parser.add_argument("--budget", type=_budget, default="20m",
                        help="time of each comparison that is begun, or `none` (default: 20m)")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES, metavar="STAGE",
                        help=f"only these of {', '.join(STAGES)}")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these scripts of pyperformance")
    parser.add_argument("--versions", nargs=2, default=VERSIONS, metavar=("OLDER", "NEWER"),
                        help=f"the two interpreters of the stage `versions` (default: {' and '.join(VERSIONS)})")
    parser.add_argument("--explain", type=int, default=5, metavar="NUMBER",
                        help="how many of those found slower are explained (default: 5)")
    parser.add_argument("--processes", type=int, metavar="NUMBER", help="for pyperf, instead of its own number")
    parser.add_argument("--report", action="store_true", help="make the page of what is stored, and measure nothing")
    parser.add_argument("--data", type=Path, default=TOP / "data/evidence/pyperformance.json",
                        help="where it is stored")
    parser.add_argument("--runs", type=Path, help="where run folders go (default: with those of `lockstep ab`)")
    parser.add_argument("--page", type=Path, default=TOP / "docs/pyperformance.md", help="the page to write")
    parser.add_argument("--evidence", type=Path, default=TOP / "docs/evidence.md", help="the page with a section of it")
    return parser.parse_args()


def _budget(text: str) -> float | None:
    return None if text == "none" else seconds(text)


if __name__ == "__main__":
    run("pyperformance_study", main)
