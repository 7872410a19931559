"""``python -m bpo22003``: measure the line for some minutes and telco once, and make docs/bpo-22003.md and its figure
anew."""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path

from studies import check_machine, run, say, sitting

from bpo22003 import line, page, records, telco
from dashboards import figures
from runner import machine
from runner.errors import UsageError
from runner.storage.store import write_whole

TOP = Path(__file__).resolve().parents[2]
PARTS = ("line", "telco")
LEAST = 2
"""Blocks that an interval needs."""


def main() -> int:
    options = _options()
    code = 0 if options.report else sitting(lambda: _measure_all(options), "the blocks so far are")
    study = records.read(options.data)
    if study is None or len(study.blocks) < LEAST:
        raise UsageError(f"{options.data} has fewer than {LEAST} blocks, which are too few for a page. Measure longer.")
    figure = page.figure(study)
    options.figure.parent.mkdir(parents=True, exist_ok=True)
    figures.write(figure, options.figure)
    address = os.path.relpath(options.figure, options.page.parent)
    write_whole(options.page, page.render(study, address, telco.read(options.telco)))
    say(f"written to {options.page} and {options.figure}")
    return code


def _measure_all(options: argparse.Namespace) -> None:
    if "line" in options.parts:
        _measure(options)
    if "telco" in options.parts:
        known = telco.read(options.telco)
        if known is None:
            telco.write(options.telco, telco.measure(say))
        else:
            check_machine(known.machine, machine.describe(), options.telco)


def _measure(options: argparse.Namespace) -> None:
    end = time.monotonic() + 60 * options.minutes
    places = line.places(options.python or line.found(line.here()))
    subjects = tuple(place.subject for place in places)
    say("subjects: " + ", ".join(f"{one.kind} of {one.version}" for one in subjects))
    with machine.alone(wait=True, told=say):
        study = records.going_on(records.read(options.data), machine.describe(), subjects, options.data)
        pinning = machine.choose(machine.topology(), machine.activity())
        with machine.quiet(pinning):
            while True:
                begun = time.monotonic()
                number = len(study.blocks)
                study = replace(study, blocks=(*study.blocks, line.block(
                    places, pinning.worker, number, cycles=options.cycles)))
                records.write(options.data, study)
                taken = time.monotonic() - begun
                say(f"block {number + 1}, {taken:.1f} s")
                if time.monotonic() + taken > end:
                    return


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bpo22003", description="Measure the line from cStringIO to today's BytesIO.")
    parser.add_argument("--minutes", type=float, default=5,
                        help="time to use for the line; starting again goes on (default: 5)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"only these of {' and '.join(PARTS)}, which takes five minutes once")
    parser.add_argument("--report", action="store_true", help="make the page of what is stored, and measure nothing")
    parser.add_argument("--python", type=Path, action="append", metavar="PATH",
                        help="an interpreter, again for each; default: the newest of each version that pyenv has")
    parser.add_argument("--cycles", type=int, default=line.CYCLES, help=f"of a block (default: {line.CYCLES})")
    parser.add_argument("--data", type=Path, default=TOP / "data/evidence/bpo22003.json", help="where blocks are kept")
    parser.add_argument("--telco", type=Path, default=TOP / "data/evidence/telco.json", help="where telco's are kept")
    parser.add_argument("--page", type=Path, default=TOP / "docs/bpo-22003.md", help="the page to write")
    parser.add_argument("--figure", type=Path, default=TOP / "docs/pictures/bpo-22003.svg", help="the figure to write")
    return parser.parse_args()


if __name__ == "__main__":
    run("bpo22003", main)
