"""``python -m nights``: does a row of nights find what is there, each in its night, and nothing else?

A history of CPython 3.13.5 is made with eight commits (`commits.PLAN`): one undoes copy-on-write in BytesIO, one adds
work to dict lookups, one makes five benchmarks 2 % slower, one does not compile, the others change nothing. Then, as
often as asked for: a night of the commit before them, of each of them and one without anything new, in a new state;
once, a search over all eight for each of the three. And a night is killed at random moments and begun again.

Right is (`judging`): each of the three found in its night, at its commit, in all benchmarks that it slows; no benchmark
reported that did not become slower in the range that is named; the broken build reported; the last night silent; each
night within its budget; each search ends at its commit; what was killed ends as what was left alone.

It takes an hour or two, in pieces: what was had is stored, what was interrupted is gone on with, and docs/nights.md is
made anew each time. The exit code is 0 if all that was had is right, else 1.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from studies import run, say, sitting

from nights import page, records
from nights.session import Session, Settings
from nights.stages import Part
from runner.amounts import seconds
from runner.storage.store import write_whole

TOP = Path(__file__).resolve().parents[2]


def main() -> int:
    options = _options()
    try:
        code = 0 if options.report else sitting(lambda: _measure(options), "what was had is")
    finally:
        study = records.read(options.data)
        write_whole(options.page, page.render(study, repeats=options.repeats, kills=options.kills))
        say(f"written to {options.page}")
    found = [] if study is None else page.wrong(study)
    for line in found:
        say(f"wrong: {line}")
    return code or (1 if found else 0)


def _measure(options: argparse.Namespace) -> None:
    session = Session(Settings(
        data=options.data.absolute(), folder=options.folder.absolute(), seconds=options.minutes * 60,
        repeats=options.repeats, kills=options.kills, budget=options.budget, duel=options.duel,
        parts=tuple(Part(name) for name in options.parts), seed=options.seed,
    ), say)
    if options.builds:
        session.build()
    elif session.run():
        say("all that was asked for is there")


def _options() -> argparse.Namespace:
    names = [part.value for part in Part]
    parser = argparse.ArgumentParser(prog="nights", description="Nights in a row on a history of known truth.")
    parser.add_argument("--minutes", type=float, default=60, help="time to use; starting again goes on (default: 60)")
    parser.add_argument("--repeats", type=int, default=2, help="rows of nights, with their searches (default: 2)")
    parser.add_argument("--kills", type=int, default=20, help="kills of a night (default: 20)")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART",
                        help=f"only these of {', '.join(names)}")
    parser.add_argument("--builds", action="store_true", help="build all commits ahead, and have no night")
    parser.add_argument("--report", action="store_true", help="make the page of what is stored, and have nothing")
    parser.add_argument("--budget", type=seconds, default="10m", help="of a night, building included (default: 10m)")
    parser.add_argument("--duel", type=seconds, default="1m", help="budget of each duel of a search (default: 1m)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="of the kills' moments")
    parser.add_argument("--data", type=Path, default=TOP / "data/evidence/nights.json", help="where it is stored")
    parser.add_argument("--folder", type=Path, default=TOP / "data/nights-of-known-truth",
                        help="where repository and states are kept in between")
    parser.add_argument("--page", type=Path, default=TOP / "docs/nights.md", help="the page to write")
    return parser.parse_args()


if __name__ == "__main__":
    run("nights", main)
