"""``python -m rivals``: measure for some minutes and make the page's section anew."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from studies import run, say, sitting

from rivals import page, records, tools
from rivals.order import BUDGETS
from rivals.session import Session, Settings
from runner.storage.store import write_whole

TOP = Path(__file__).resolve().parents[2]


def main() -> int:
    options = _options()
    every = tools.every()
    code = 0 if options.report else sitting(lambda: _measure(options, every))
    section = page.render(records.read(options.data), every)
    write_whole(options.page, page.place_into(options.page.read_text() if options.page.exists() else "", section))
    print(section)
    say(f"written to {options.page}")
    return code


def _measure(options: argparse.Namespace, every: Sequence[tools.Tool]) -> None:
    settings = Settings(
        data=options.data, seconds=options.minutes * 60, python=options.python, seed=options.seed,
        budgets=options.budgets)
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        Session(settings, every, Path(folder), say).run()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="rivals", description="Measure Lockstep against the tools people use now.")
    parser.add_argument("--minutes", type=float, default=30, help="time to use; starting again goes on (default: 30)")
    parser.add_argument("--report", action="store_true", help="make the page of what is stored, and measure nothing")
    parser.add_argument("--budgets", type=int, nargs="+", choices=BUDGETS, default=list(BUDGETS), metavar="SECONDS",
                        help="only these of 10, 30 and 100")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that all arms are made of")
    parser.add_argument("--seed", type=int, default=22003, help="of the random order")
    parser.add_argument("--data", type=Path, default=TOP / "data/evidence/rivals.jsonl", help="where runs are stored")
    parser.add_argument("--page", type=Path, default=TOP / "docs/evidence.md", help="the page to write into")
    return parser.parse_args()


if __name__ == "__main__":
    run("rivals", main)
