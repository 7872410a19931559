"""``python -m design_space``: measure for some minutes, and make docs/design-space.md of all that is stored."""

from __future__ import annotations

import argparse
from pathlib import Path

from studies import run, say, sitting

from design_space import page, records
from design_space.designs import EVERY, SUITES
from design_space.session import PARTS, Session, Settings, current
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
    write_whole(options.page, page.render(current(study)))
    say(f"written to {options.page}")
    return code


def _measure(options: argparse.Namespace) -> None:
    settings = Settings(
        data=options.data, runs=options.runs, seconds=options.minutes * 60, budget=options.budget,
        designs=options.designs, parts=options.parts, suites=options.suites, pattern=options.bench)
    if Session(settings, say).run():
        say("all of it is measured")


def _options() -> argparse.Namespace:
    names = [design.name for design in EVERY]
    parser = argparse.ArgumentParser(prog="design_space", description="Measure what bpo-22003 weighed for io.BytesIO.")
    parser.add_argument("--minutes", type=float, default=60, help="time to use; starting again goes on (default: 60)")
    parser.add_argument("--budget", type=seconds, default="3m", help="time of each comparison (default: 3m)")
    parser.add_argument("--designs", nargs="+", choices=names, default=names, metavar="NAME", help="only these")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"only these of {', '.join(PARTS)}")
    parser.add_argument("--suites", nargs="+", choices=tuple(SUITES), default=tuple(SUITES), metavar="SUITE",
                        help=f"only these of {', '.join(SUITES)}")
    parser.add_argument("-b", "--bench", metavar="REGEX", help="only benchmarks whose name matches")
    parser.add_argument("--report", action="store_true", help="make the page of what is stored, and measure nothing")
    parser.add_argument("--data", type=Path, default=TOP / "data/evidence/design-space.json", help="where it is stored")
    parser.add_argument("--runs", type=Path, help="where run folders go (default: with those of `lockstep ab`)")
    parser.add_argument("--page", type=Path, default=TOP / "docs/design-space.md", help="the page to write")
    return parser.parse_args()


if __name__ == "__main__":
    run("design_space", main)
