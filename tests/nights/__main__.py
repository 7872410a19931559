"""``python -m nights``: does a row of nights find what is there, each in its night, and nothing else?

A history of CPython 3.13.5 is made with eight commits (`commits.PLAN`): one undoes copy-on-write in BytesIO, one adds
work to dict lookups, one makes five benchmarks 2 % slower, one does not compile, the others change nothing. Then, as
often as asked for: a night of the commit before them, of each of them and one without anything new, in a new state; and
a search over all eight for each of the three. Then a night is killed at random moments and begun again.

Right is: each of the three found in its night, at its commit, in all benchmarks that it slows; no benchmark reported
that a commit does not touch; the broken build reported; the last night silent; each search ends at its commit; what was
killed ends as what was left alone. The exit code is 0 if all is right, else 1.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from studies import say

from nights import commits, kills, session
from nights.commits import PLAN
from nights.session import Watching

SEARCHED = {"time_construct_large": 1, "time_dict_get": 4, "time_planted_arithmetic": 6}
"""What is searched for over all eight, and which commit it is: its place in `PLAN`."""


def main() -> int:
    options = _options()
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="nights-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    right = True
    if not options.quick:
        made = commits.make(folder / "source", say)
        for repeat in range(options.repeats):
            place = folder / f"repeat-{repeat + 1}"
            shutil.rmtree(place, ignore_errors=True)
            one = session.watching(place, made, budget=options.budget)
            rows = session.in_a_row(one, made, say)
            right = right and not any(row.wrong for row in rows)
            print(f"\n**Repeat {repeat + 1}**\n\n{session.table(rows, options.budget)}\n", flush=True)
            if options.bisect:
                right = _searches(made, place, options.bisect_budget) and right
    if options.kills:
        template = _small(folder / "small") if options.quick else _large(folder, made)
        shutil.rmtree(folder / "kills", ignore_errors=True)
        found = kills.trials(template, folder / "kills", options.kills, options.seed, say)
        right = right and not found.wrong
        where = ", ".join(f"{step} ({sum(other == step for _, other in found.moments)})"
                          for step in dict.fromkeys(step for _, step in found.moments))
        print(f"\n**Kills** {len(found.moments)} in {found.trials} nights, in: {where}. "
              f"{'; '.join(found.wrong) or 'All ended as the night that was left alone.'}")
    print(f"\n{'All is right.' if right else 'Not all is right.'} ({folder})")
    return 0 if right else 1


def _searches(made: commits.Made, place: Path, budget: str) -> bool:
    right = True
    print("| searched | found | wall | right |\n|:--|:--|--:|:--|")
    for benchmark, number in SEARCHED.items():
        found, wall = session.bisect(made, benchmark, place / "bisects", budget=budget)
        subjects = [PLAN[made.commits.index(one)].subject for one in found]
        good = found == [made.commits[number]]
        right = right and good
        print(f"| {benchmark} | {'; '.join(subjects) or 'nothing'} | {wall:.0f} s | {'yes' if good else 'no'} |",
              flush=True)
    return right


def _large(folder: Path, made: commits.Made) -> Watching:
    """A watch of CPython after its first night, with another one to come, of few blocks."""
    place = folder / "large"
    shutil.rmtree(place, ignore_errors=True)
    one = session.watching(place, made, budget="1h")
    one.file.write_text(one.file.read_text() + "blocks = 6\n")
    commits.move(made, made.base)
    one.night()
    commits.move(made, made.commits[1])
    return one


def _small(folder: Path) -> Watching:
    """The same of the project of tests/live, whose builds take no time."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "live"))
    from watched_project import Watched

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    project = Watched(folder=folder).begin()
    own = {"TMPDIR": "tmp", "HOME": "home", "XDG_CACHE_HOME": "cache"}
    for place in own.values():
        (folder / place).mkdir(exist_ok=True)
    (folder / "watching").mkdir()
    one = Watching(folder=folder / "watching", environment={name: str(folder / place) for name, place in own.items()})
    text = project.file.read_text().replace('"state"', f'"{one.state}"').replace('"source"', f'"{project.source}"')
    one.file.write_text(text)
    one.night()
    project.commit("Slow down", planted="1.00")
    return one


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="nights", description="Nights in a row on a history of known truth.")
    parser.add_argument("--repeats", type=int, default=2, help="rows of nights (default: 2)")
    parser.add_argument("--budget", default="15m", help="of a night (default: 15m)")
    parser.add_argument("--kills", type=int, default=20, help="kills of a night (default: 20)")
    parser.add_argument("--quick", action="store_true", help="the kills alone, on a project that builds in no time")
    parser.add_argument("--no-bisect", dest="bisect", action="store_false", help="leave the searches out")
    parser.add_argument("--bisect-budget", default="1m", help="of each duel of a search (default: 1m)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"), help="of the kills' moments")
    parser.add_argument("--folder", type=Path, help="where all is kept (default: a new temporary folder)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
