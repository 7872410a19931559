"""asv on Lockstep's builds: its commands run, through one cache with `lockstep ab`, and both fill one store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from bench import LOCKSTEP, Bench

from runner import builds
from runner.stats.decide import LOOKS

ROOT = Path(__file__).parents[2]
ASV = Path(sysconfig.get_path("scripts")) / "asv"
SUITE = """
import io

DATA = bytes(4 << 20)


class Construct:
    version = "1"
    params = ["small", "large"]
    param_names = ["what"]

    def time_construct(self, what):
        io.BytesIO(DATA if what == "large" else b"x")
    time_construct.version = "1"


def track_getvalue():
    data = io.BytesIO(DATA)
    return int(data.getvalue() is DATA)
track_getvalue.version = "1"
track_getvalue.unit = "shared"
"""


def run(folder: Path, *words: object, code: int = 0) -> str:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, env={**os.environ, "HOME": str(home), "COLUMNS": "200",
                                                           "XDG_CACHE_HOME": str(cache_home())},
        timeout=900, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )
    assert done.returncode == code, done.stdout[-4000:]
    return done.stdout


def cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source") / "cpython"
    subprocess.run([LOCKSTEP, "source-repo", folder], check=True, timeout=600)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, source: Path) -> Path:
    folder = tmp_path_factory.mktemp("project")
    configured(folder, source)
    run(folder, ASV, "machine", "--yes")
    return folder


@pytest.fixture(scope="module")
def continuous(project: Path, source: Path) -> str:
    """What `asv continuous` says of the two branches; its results are in the project's store."""
    before = {entry.key: entry.created for entry in builds.cached()}
    # A single call says little of small differences; copying 4 MiB takes hundreds of times as long as not copying. asv
    # claims a change where the intervals of the medians are apart: of nine values it is all of them, and one call that
    # was interrupted would do; of 31 it is those in the middle.
    few = [word for one in ("number=1", "repeat=31", "rounds=1", "warmup_time=0") for word in ("-a", one)]
    told = run(project, ASV, "continuous", *few, "--show-stderr", "--factor", "10", "nocow", "cow", "-b", "construct")
    after = {entry.key: entry for entry in builds.cached()}
    assert all(after[key].created == when for key, when in before.items() if key in after), "no build is made anew"
    # What others build meanwhile is theirs.
    assert not [new.label for key, new in after.items() if key not in before and str(source) in new.label]
    return told


def configured(folder: Path, repository: Path, **changes: object) -> None:
    conf = json.loads((ROOT / "asv.conf.json").read_text())
    conf |= {"repo": str(repository), "benchmark_dir": "small", "results_dir": "results", **changes}
    (folder / "asv.conf.json").write_text(json.dumps(conf))
    (folder / "small").mkdir()
    (folder / "small" / "__init__.py").touch()
    (folder / "small" / "bytesio.py").write_text(SUITE)


def git(repository: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", repository, *words], check=True, capture_output=True, text=True).stdout.strip()


def test_the_repository_says_what_it_holds(source: Path, tmp_path: Path) -> None:
    assert set(git(source, "for-each-ref", "--format=%(refname:short)").split()) >= {"main", "cow", "nocow", "v3.13.5"}
    assert len({git(source, "rev-parse", name) for name in ("main", "cow", "v3.13.5^{commit}")}) == 1
    assert git(source, "diff", "--name-only", "main", "nocow") == "Modules/_io/bytesio.c"
    assert git(source, "rev-list", "--count", "main..nocow") == "1"
    again = tmp_path / "again"
    subprocess.run([LOCKSTEP, "source-repo", again], check=True, timeout=600)
    assert git(again, "rev-parse", "nocow") == git(source, "rev-parse", "nocow"), "the same on every machine"
    head = git(source, "rev-parse", "HEAD")
    subprocess.run([LOCKSTEP, "source-repo", source], check=True, timeout=600)
    assert git(source, "rev-parse", "HEAD") == head, "there already"
    refused = subprocess.run(
        [LOCKSTEP, "source-repo", tmp_path], check=False, timeout=600, capture_output=True, text=True
    )
    assert refused.returncode == 2 and "has no v3.13.5" in refused.stderr


def test_a_commit_is_the_build_that_lockstep_knows(source: Path) -> None:
    """And so is never built twice."""
    for commit, spec in (
        ("main", "cpython@3.13.5"), ("nocow", "cpython@3.13.5+nocow"), ("main+nocow", "cpython@3.13.5+nocow"),
        ("main+cow", "cpython@3.13.5+cow"),
    ):
        one, other = (builds.resolve(name, progress=print).build for name in (f"git:{source}@{commit}", spec))
        assert one is not None and other is not None and one.key == other.key, commit


def test_continuous_means_what_it_says(project: Path, continuous: str) -> None:
    assert "PERFORMANCE INCREASED" in continuous and "bytesio.Construct.time_construct" in continuous
    assert "variant nocow is a branch" in continuous
    assert "No problems found" in run(project, ASV, "check")
    assert "bytesio.Construct.time_construct" in run(project, ASV, "show", "nocow")
    assert "time_construct" in run(project, ASV, "compare", "nocow", "cow")


def test_a_clone_without_the_branches_has_the_variants_as_environments(source: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--single-branch", "--branch", "main", str(source), str(clone))
    configured(tmp_path, clone, branches=["main"], matrix={"req": {"variant": ["cow", "nocow", "misspelt"]}})
    run(tmp_path, ASV, "machine", "--yes")
    assert "no variant is called 'misspelt'" in run(tmp_path, ASV, "run", "--quick", "main^!")
    found = {}
    for file in (tmp_path / "results").glob("*/*-lockstep-*.json"):
        content = json.loads(file.read_text())
        columns = dict(zip(content["result_columns"], content["results"]["bytesio.track_getvalue"], strict=False))
        found[content["params"]["variant"]] = columns["result"]
    assert found == {"cow": [1], "nocow": [0]}


@pytest.mark.usefixtures("continuous")
def test_both_fill_one_store(project: Path, tmp_path: Path) -> None:
    """What `asv run` measured of a build stays beside what Lockstep measures of it."""
    bench = Bench(folder=tmp_path)
    done = bench.run("ab", "cpython@3.13.5+nocow", "cpython@3.13.5", "--suite", project / "small", "-b", "large")
    assert done.returncode == 0, done.stderr
    files = {path: json.loads(path.read_text()) for path in (project / "results").glob("*/*-lockstep-*.json")}
    assert len(files) == 2
    exported = subprocess.run(
        [LOCKSTEP, "export", "last", "--format", "asv", "--config", project / "asv.conf.json", "--out", bench.out],
        check=False, timeout=600, capture_output=True, text=True, env={**os.environ, "HOME": str(project / "home"),
                                                                     "XDG_CACHE_HOME": str(cache_home())},
    )
    assert exported.returncode == 0, exported.stderr
    after = {path: json.loads(path.read_text()) for path in (project / "results").glob("*/*-lockstep-*.json")}
    assert set(after) == set(files), "one series each"
    for path, content in after.items():
        columns = content["result_columns"]
        row = dict(zip(columns, content["results"]["bytesio.Construct.time_construct"], strict=False))
        old = dict(zip(columns, files[path]["results"]["bytesio.Construct.time_construct"], strict=False))
        assert row["result"][0] == old["result"][0], "the other parameter stays as asv measured it"
        assert len(row["samples"][1]) >= LOOKS[0]
    assert "time_construct" in run(project, ASV, "compare", "nocow", "cow")
    told = run(project, ASV, "publish", "--no-pull")
    assert "Couldn't find" not in told
    index = json.loads((project / ".asv" / "html" / "index.json").read_text())
    assert set(index["benchmarks"]) == {"bytesio.Construct.time_construct", "bytesio.track_getvalue"}
    assert index["params"]["variant"] == ["cow"]


def test_what_has_no_commit_is_refused_in_words(project: Path, tmp_path: Path, finished: Bench) -> None:
    done = finished.run("export", "last", "--format", "asv", "--config", project / "asv.conf.json")
    assert done.returncode == 2 and "is no build of Lockstep's" in done.stderr
