"""Suites in the shape of public ones: what is measured of them is what asv measures, in each of their kinds."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bench import Twins

SUITES = Path(__file__).parents[1] / "suites"
ASV = Path(sysconfig.get_path("scripts")) / "asv"
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")

# A block of each is enough to see that it can be measured; the command line has no such option.
ONE_BLOCK = """
import sys
from pathlib import Path
from runner import jobs

class Silent:
    def phase(self, text): ...
    def say(self, text): print(text, file=sys.stderr)
    def measured(self, plan, progress): ...

base, head, suite, pattern, out = sys.argv[1:]
request = jobs.AbRequest(base=base, head=head, suite=suite, pattern=pattern, out=Path(out), blocks=1, seed=1,
                         scope="binary")
print(jobs.save(jobs.ab(request, Silent())))
"""

MEASURED = ("faster", "slower", "same", "undecided")

Place = tuple[str, int]
"""A benchmark's name, and the number of its combination of parameters in asv's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one program made of a suite."""

    measured: frozenset[Place]
    failed: dict[str, str]
    """Of what was neither measured nor skipped: what it said."""
    there: frozenset[Place]
    """All that it knows of, measured or not."""


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project of asv's for each suite."""
    folder = tmp_path_factory.mktemp("projects")
    for suite in ("heavy", "grid", "packaged"):
        project = folder / suite
        shutil.copytree(SUITES / suite, project / suite, ignore=shutil.ignore_patterns("__pycache__"))
        conf = {"version": 1, "project": suite, "repo": ".", "branches": ["main"], "benchmark_dir": suite,
                "environment_type": "existing", "results_dir": "results", "env_dir": "env"}
        (project / "asv.conf.json").write_text(json.dumps(conf))
        for command in (("init", "-q", "-b", "main"), ("add", "."), (*IDENTITY, "commit", "-q", "-m", "The suite")):
            subprocess.run(("git", *command), cwd=project, check=True)
    (folder / "heavy" / "heavy" / "scale.py").write_text("SECONDS = 0.03\n")
    return folder


def by_asv(project: Path, pattern: str) -> Seen:
    """What `asv run --quick` measures; what the pattern does not name is only `there`."""
    (project / "home").mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(project / "home"), "COLUMNS": "200"}

    def asv(*words: str, codes: Iterable[int] = (0,)) -> None:
        done = subprocess.run(
            (sys.executable, ASV, *words), cwd=project, env=environment, timeout=600, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        assert done.returncode in codes, done.stdout[-4000:]

    asv("machine", "--yes")
    told = subprocess.run(("git", "rev-parse", "HEAD"), cwd=project, check=True, capture_output=True, text=True)
    asv("run", "--quick", "--python=same", f"--set-commit-hash={told.stdout.strip()}", "-b", pattern,
        codes=(0, 2))  # 2: something failed, which is looked at below
    known = json.loads((project / "results" / "benchmarks.json").read_text())
    (file,) = [path for path in project.glob("results/*/*.json") if path.name != "machine.json"]
    content = json.loads(file.read_text())
    place = content["result_columns"].index("result")
    measured, failed, there = set(), {}, set()
    for name, record in known.items():
        if name == "version":
            continue
        keys = [f"{name}({', '.join(values)})" if values else name for values in itertools.product(*record["params"])]
        there |= {(name, number) for number in range(len(keys))}
        values = (content["results"].get(name) or [])[place:place + 1]
        for number, value in enumerate((values or [None])[0] or [None] * len(keys)):
            if not re.search(pattern, keys[number]):
                continue
            if value is None:
                failed[keys[number]] = "failed under asv"
            elif value == value:  # not NaN, which says that it was skipped
                measured.add((name, number))
    return Seen(measured=frozenset(measured), failed=failed, there=frozenset(there))


def by_lockstep(suite: Path, twins: Twins, pattern: str, out: Path) -> Seen:
    done = subprocess.run(
        [sys.executable, "-c", ONE_BLOCK, *map(str, twins.pythons), suite, pattern, out], capture_output=True,
        text=True, timeout=1500, check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    folder = Path(done.stdout.split()[-1]).parent
    report = json.loads((folder / "report.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert not [one for one in manifest["notices"] if one["kind"] == "suite-problem"]
    listed = subprocess.run(
        [sys.executable, "-c", "import sys, json\nfrom pathlib import Path\nfrom runner import suites\n"
         "found = suites.open(sys.argv[1]).discover(Path(sys.executable))\n"
         "print(json.dumps([[b.name, b.index, b.key, [len(v) for v in found.records[b.name]['params']]]"
         " for b in found.benchmarks]))", suite], capture_output=True, text=True, check=True,
    )
    places = {key: (name, number_of(index, sizes)) for name, index, key, sizes in json.loads(listed.stdout)}
    states = {key_of(one): one for one in report["benchmarks"]}
    return Seen(
        measured=frozenset(places[key] for key, one in states.items() if one["verdict"] in MEASURED),
        failed={key: one["reason"] for key, one in states.items() if one["verdict"] == "failed"},
        there=frozenset(places.values()),
    )


def number_of(index: list[int], sizes: list[int]) -> int:
    number = 0
    for at, size in zip(index, sizes, strict=True):
        number = number * size + at
    return number


def key_of(one: dict[str, Any]) -> str:
    inside = ", ".join(f"{name}={value}" for name, value in one["params"].items())
    return f"{one['name']}({inside})" if inside else str(one["name"])


def compared(
    projects: Path, suite: str, twins: Twins, out: Path, patterns: tuple[str, str] = ("", "")
) -> tuple[Seen, Seen]:
    """What asv and Lockstep make of a suite; `patterns` names the same benchmarks to both."""
    asv = by_asv(projects / suite, patterns[0])
    lockstep = by_lockstep(projects / suite / suite, twins, patterns[1], out)
    assert not lockstep.failed
    return asv, lockstep


def test_set_ups_that_take_long(projects: Path, twins: Twins, tmp_path: Path) -> None:
    """Each of their kinds: of the values of a parameter, some."""
    some = r"^(?!.*(float|2000|\b10\b))"
    asv, lockstep = compared(projects, "heavy", twins, tmp_path, (some, some))
    assert lockstep.measured == asv.measured and not asv.failed
    assert len(asv.measured) == 18 and len({name for name, _ in asv.measured}) == len({name for name, _ in asv.there})
    assert lockstep.there == asv.there and len(asv.there) == 40


def test_five_thousand_combinations_are_found_and_those_that_are_asked_for_measured(
    projects: Path, twins: Twins, tmp_path: Path
) -> None:
    """Some of each kind; all of them would take hours."""
    some = (
        r"numeric.*\('(add|and|mod)', '(int8|complex)', (3|100), '(list|dict)'\)|"
        r"kinds.*(, 7, 'first'|\(None, 7, 'fourth')|marks.*\((10, '[ae]'|30, 'c'|60, 'e')\)|time_never",
        r"numeric.*=(add|and|mod), type=(int8|complex), size=(3|100), container=(list|dict)\)|"
        r"kinds.*(number=7, name=first|thing=None, number=7, name=fourth)|"
        r"marks.*\(ten=(10, letter=[ae]|30, letter=c|60, letter=e)\)|time_never",
    )
    asv, lockstep = compared(projects, "grid", twins, tmp_path, some)
    assert lockstep.measured == asv.measured and not asv.failed
    assert len(asv.there) == 5000 and len(asv.measured) == 43
    # Lockstep does not list what a mark leaves out.
    assert lockstep.there < asv.there and len(lockstep.there) == 4996


def test_a_package_with_data_sub_packages_and_children(projects: Path, twins: Twins, tmp_path: Path) -> None:
    asv, lockstep = compared(projects, "packaged", twins, tmp_path)
    # Under asv, children that are not forked do not find the suite.
    assert asv.failed.keys() == {"children.Pools.time_map('spawn')", "children.Pools.time_map('forkserver')"}
    assert lockstep.measured == asv.there and len(asv.there) == 16
