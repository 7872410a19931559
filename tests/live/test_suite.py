"""The project's own suite under asv itself, and the counts of bytes in fresh processes."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import pytest
from bench import TIME_LIMIT

ROOT = Path(__file__).parents[2]
PYENV = Path.home() / ".pyenv" / "versions"
ASV = Path(sysconfig.get_path("scripts")) / "asv"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the suite as a repository of one commit, so that asv's results stay out of ours."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "benchmarks", folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    conf = json.loads((ROOT / "asv.conf.json").read_text()) | {"repo": ".", "branches": ["main"]}
    (folder / "asv.conf.json").write_text(json.dumps(conf))
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    for command in (("init", "-q", "-b", "main"), ("add", "."), (*identity, "commit", "-q", "-m", "The suite")):
        subprocess.run(("git", *command), cwd=folder, check=True)
    return folder


def asv(tree: Path, *words: str) -> str:
    home = tree / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        (sys.executable, ASV, *words), cwd=tree, env={**os.environ, "HOME": str(home)}, timeout=TIME_LIMIT,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def test_asv_check(tree: Path) -> None:
    assert "No problems found" in asv(tree, "check", "--python=same")


def test_asv_run_quick(tree: Path) -> None:
    asv(tree, "machine", "--yes")
    commit = subprocess.run(("git", "rev-parse", "HEAD"), cwd=tree, check=True, capture_output=True, text=True).stdout
    # asv takes half a second for each: one size is enough, and of the consumers a module. All are called elsewhere, in
    # tests/unit and test_consumers.py.
    chosen = re.compile(r"^consumers\.archives\.|"
                        r"^(?!consumers\.)(?!.*'(0B|64B|4KiB|64KiB)')(?!(?!memory\.).*'16MiB')")
    told = asv(tree, "run", "--python=same", "--quick", "--show-stderr", f"--set-commit-hash={commit.strip()}",
               "-b", chosen.pattern)
    assert "failed" not in told
    known = json.loads((tree / "data" / "results" / "benchmarks.json").read_text())
    known.pop("version")
    (file,) = (path for path in tree.glob("data/results/*/*.json") if path.name != "machine.json")
    content = json.loads(file.read_text())
    place = content["result_columns"].index("result")
    measured = set()
    for name, record in known.items():
        for number, values in enumerate(itertools.product(*record["params"])):
            if chosen.search(f"{name}({', '.join(values)})" if values else name):
                value = content["results"][name][place][number]
                assert value is not None and value == value, (name, values)  # NaN: it was skipped
                measured.add(name)
    names = {name for name in known if chosen.search(name)}
    assert measured == names >= {"construct.FromBytes.time_construct", "consumers.archives.Tar.time_read"}
    assert len(names) > 40


def counts(python: Path) -> str:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from benchmarks import memory\n"
        "for owner in (memory.AllocatedByConstruct, memory.AllocatedByGetvalue, memory.AllocatedByWrite):\n"
        "    for name in sorted(name for name in dir(owner) if name.startswith('track_')):\n"
        "        for size in owner.params:\n"
        "            benchmark = owner()\n"
        "            benchmark.setup(size)\n"
        "            print(name, size, getattr(benchmark, name)(size))\n"
    )
    command = (python, "-s", "-c", script, ROOT)
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "this"])
def test_bytes_allocated_repeat_to_the_digit_and_prove_the_sharing(version: str) -> None:
    there = [Path(sys.executable)] if version == "this" else sorted(PYENV.glob(f"{version}.*/bin/python"))
    if not there:
        pytest.skip(f"no CPython {version} under {PYENV}")
    told = Counter(counts(there[-1]) for _ in range(5))
    assert len(told) == 1, told
    values = {tuple(line.split()[:2]): int(line.split()[2]) for line in next(iter(told)).splitlines()}
    mebi = 1024 * 1024
    for name in ("track_from_bytes", "track_after_construct", "track_read"):
        assert values[name, "4KiB"] == values[name, "1MiB"] < 1024, name
    for name in ("track_from_bytearray", "track_from_memoryview", "track_after_writes", "track_overwrite"):
        assert mebi <= values[name, "1MiB"] < mebi + 1024, name
    assert mebi <= values["track_append", "1MiB"] < 1.25 * mebi
    assert 2 * mebi <= values["track_after_getvalue", "1MiB"] < 2 * mebi + 1024
