"""What is read of a git repository: graphs with merges as git itself has them, commits in words, shallow clones."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from runner.builds import ancestry
from runner.errors import UsageError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
WHO = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


def do(folder: Path, *words: str, date: int = 1_700_000_000) -> str:
    stamps = {"GIT_COMMITTER_DATE": f"{date} +0000", "GIT_AUTHOR_DATE": f"{date} +0000"}
    ran = subprocess.run(
        ["git", *WHO, *words], cwd=folder, check=True, capture_output=True, env={**os.environ, **stamps})
    return ran.stdout.decode().strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    place = tmp_path / "repository"
    place.mkdir()
    do(place, "init", "--quiet")
    return place


def commit(place: Path, *parents: str, subject: str = "a commit", date: int = 1_700_000_000) -> str:
    tree = do(place, "write-tree")
    named = [word for parent in parents for word in ("-p", parent)]
    return do(place, "commit-tree", tree, *named, "-m", subject, date=date)


def grown(place: Path, seed: int, count: int) -> list[str]:
    """Commits of a history with branches and merges, the first one the root, the last one above all."""
    rng = random.Random(seed)
    made = [commit(place, subject=f"{seed}: root")]
    tips = {made[0]}
    for number in range(count):
        parents = rng.sample(made[-6:], k=min(len(made), rng.choice([1, 1, 1, 2, 3])))
        made.append(commit(place, *parents, subject=f"{seed}: {number}", date=1_700_000_000 - rng.randrange(10**6)))
        tips = (tips - set(parents)) | {made[-1]}
    return [*made, commit(place, *sorted(tips), subject=f"{seed}: all")]


@pytest.mark.parametrize("seed", range(3))
def test_candidates_are_gits_and_so_are_the_places_to_look_at(repository: Path, seed: int) -> None:
    made = grown(repository, seed, 18)
    graph = ancestry.between(repository, made[0], made[-1])
    assert set(graph.commits) == set(do(repository, "rev-list", f"{made[0]}..{made[-1]}").split())
    assert graph.bad == made[-1]
    places = {commit: place for place, commit in enumerate(graph.commits)}
    assert all(places[parent] < places[commit] for commit in graph.commits for parent in graph.parents[commit]
               if parent in places)
    rng = random.Random(seed)
    for _ in range(8):
        bad, goods = rng.choice(graph.commits), rng.sample(graph.commits, k=rng.randrange(3))
        said = do(repository, "rev-list", "--bisect-all", bad, *(f"^{good}" for good in [made[0], *goods]))
        distances = {line.split()[0]: int(re.search(r"dist=(\d+)", line)[1]) for line in said.splitlines()}  # type: ignore[index]
        assert graph.parts(bad, goods) == distances


def test_ends_that_do_not_fit_are_refused_with_what_helps(repository: Path) -> None:
    root = commit(repository, subject="root")
    left, right = commit(repository, root, subject="left"), commit(repository, root, subject="right")
    other = commit(repository, subject="another root")
    for good, bad, words in (
        (left, left, "both ends"), (left, root, "wrong way round"), (left, right, f"apart at {root[:12]}"),
        (other, left, "no commit in common"),
    ):
        with pytest.raises(UsageError, match=words):
            ancestry.between(repository, good, bad)
