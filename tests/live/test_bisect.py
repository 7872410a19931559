"""`lockstep bisect` and `backfill` as users run them, on clones of a tiny source whose commits plant slowdowns."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bench import LOCKSTEP, TIME_LIMIT, wait_until
from fake_source import plant

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
SUITE = Path(__file__).parent / "stepping"
WHO = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")
Background = Callable[[subprocess.Popen[str]], subprocess.Popen[str]]
Inside = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(kw_only=True)
class Clone:
    """A repository that grows by commits, and a command line with a cache and folders of its own."""

    folder: Path
    commits: list[str] = field(default_factory=list)
    planted: dict[str, float | str] = field(default_factory=lambda: {"one": 0.0, "two": 0.0, "three": 0.0})

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def git(self, *words: str) -> str:
        ran = subprocess.run(["git", *WHO, *words], cwd=self.repository, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    def commit(self, subject: str, *, broken: bool = False, **planted: float | str) -> str:
        """One more commit, which keeps what those before it have planted."""
        self.planted |= planted
        first = not self.repository.exists()
        code = f"int c{len(self.commits)}; {'broken' if broken else ''}\n"
        plant(self.repository, a_c=code, planted_json=json.dumps(self.planted))
        if first:
            self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", subject)
        self.commits.append(self.git("rev-parse", "HEAD"))
        return self.commits[-1]

    def start(self, *words: object) -> subprocess.Popen[str]:
        temporary = self.folder / "tmp"
        temporary.mkdir(exist_ok=True)
        return subprocess.Popen(
            [LOCKSTEP, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, env={
                **os.environ, "TMPDIR": str(temporary), "COLUMNS": "140", "XDG_CACHE_HOME": str(self.folder / "cache"),
            })

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        try:
            out, error = process.communicate(timeout=TIME_LIMIT)
        finally:
            process.kill()
        return subprocess.CompletedProcess([str(word) for word in words], process.returncode, out, error)

    def bisect(self, good: str, bad: str, pattern: str, *more: object) -> list[object]:
        """The words of a search, in which what is planted is far beyond the margin."""
        return ["bisect", good, bad, "--repo", self.repository, "--suite", SUITE, "-b", pattern, "--margin", "5%",
                "--out", self.folder / "bisects", *more]

    def stored(self) -> dict[str, Any]:
        """The newest search as it is on disk; {} before there is one."""
        files = sorted((self.folder / "bisects").glob("*/bisect.json"))
        return json.loads(files[-1].read_text()) if files else {}

    def blocks(self) -> dict[str, list[str]]:
        """The whole lines of the blocks of each duel's run, by its name, oldest first."""
        files = sorted((self.folder / "bisects").glob("*/runs/*/blocks.jsonl"))
        return {file.parent.name: [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
                for file in files}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(folder=tmp_path)


def test_a_search_that_was_killed_goes_on_and_names_the_commits_of_two_benchmarks(
    clone: Clone, background: Background
) -> None:
    good = clone.commit("in the beginning")
    two = clone.commit("two does more", two=0.25)
    broken = clone.commit("a broken one", broken=True)
    clone.commit("mended")
    one = clone.commit("one does more", one=0.25)
    bad = clone.commit("the end")
    process = background(clone.start(*clone.bisect(good, bad, "one|two")))
    wait_until(lambda: len(clone.stored().get("duels", ())) >= 1 and len(clone.blocks()) == 1 + sum(
        bool(duel["run"]) for duel in clone.stored()["duels"]) and len([*clone.blocks().values()][-1]) >= 4)
    process.kill()
    process.wait()
    before, duels = clone.blocks(), clone.stored()["duels"]
    assert clone.stored()["findings"] is None

    done = clone.run("bisect", "--resume", "last", "--out", clone.folder / "bisects", "-v")
    assert done.returncode == 1, done.stderr
    stored, after = clone.stored(), clone.blocks()
    assert stored["duels"][: len(duels)] == duels
    assert all(after[name][: len(lines)] == lines for name, lines in before.items()), "measured anew"
    assert len(after) == sum(bool(duel["run"]) for duel in stored["duels"])
    pairs = Counter((duel["base"], duel["head"], key) for duel in stored["duels"] for key in duel["benchmarks"])
    assert max(pairs.values()) <= 2, "a second look at most"
    found = {finding["benchmark"]: finding for finding in stored["findings"]}
    for name, commit, subject in (("work.time_one", one, "one does more"), ("work.time_two", two, "two does more")):
        finding = found[name]
        assert (finding["verdict"], finding["count"], finding["reason"]) == ("slower", 1, "")
        assert finding["commits"][0]["hash"] == commit
        assert finding["commits"][0]["subject"] == subject
        assert finding["commits"][0]["position"] == clone.commits.index(commit) + 1
        assert f"{commit[:12]}" in done.stdout
        assert subject in done.stdout
        assert finding["parent"] == clone.commits[clone.commits.index(commit) - 1]
        assert finding["change"]["low"] > 1
        assert finding["remark"] == ""
    # Which commits are tried is drawn: the broken one need not be among them.
    tried = any(broken in (duel["base"], duel["head"]) for duel in stored["duels"])
    assert ("passed over: compiling git:" in " ".join(done.stdout.split())) is tried
    assert clone.run("bisect", "--resume", "last", "--out", clone.folder / "bisects").returncode == 1
    assert clone.blocks() == after


def test_what_hangs_is_slow_and_what_fails_leaves_a_range_with_its_reason(clone: Clone) -> None:
    good = clone.commit("in the beginning")
    clone.commit("nothing of note")
    fails = clone.commit("three fails", three="raise")
    hangs = clone.commit("three hangs", three="hang")
    done = clone.run(*clone.bisect(good, "main", "three", "--strict"))
    assert done.returncode == 1, done.stderr
    (finding,) = clone.stored()["findings"]
    assert finding["verdict"] == "slower"
    assert finding["whole"] == {"ratio": None, "low": None, "high": None}
    assert [commit["hash"] for commit in finding["commits"]] == [fails, hangs]
    assert finding["reason"].startswith(f"{fails[:12]}: head raised ValueError: planted")
    assert "by one of 2 commits" in done.stdout
    assert "not in one:" in done.stdout


def test_what_cannot_be_built_is_passed_over_and_leaves_a_range(clone: Clone) -> None:
    good = clone.commit("in the beginning")
    broken = clone.commit("a broken one", broken=True)
    bad = clone.commit("mended, and one does more", one=0.25)
    done = clone.run(*clone.bisect(good, bad, "time_one", "-v"))
    assert done.returncode == 1, done.stderr
    (finding,) = clone.stored()["findings"]
    assert finding["verdict"] == "slower"
    assert [commit["hash"] for commit in finding["commits"]] == [broken, bad]
    assert finding["reason"].startswith(f"{broken[:12]}: compiling git:")
    assert f"{broken[:12]}: passed over: compiling git:" in " ".join(done.stdout.split())


def test_a_side_branch_is_searched_and_equal_ends_are_the_same(clone: Clone) -> None:
    good = clone.commit("in the beginning")
    clone.git("checkout", "--quiet", "-b", "side")
    clone.commit("on the side, nothing of note")
    culprit = clone.commit("one does more, on the side", one=0.25)
    clone.git("checkout", "--quiet", "main")
    clone.planted |= {"one": 0.0}
    (clone.repository / "b.h").write_text("int other;\n")
    clone.git("commit", "--quiet", "-am", "on the main line")
    # What side has changed, and main has not.
    clone.git("merge", "--quiet", "--no-edit", "side")
    done = clone.run(*clone.bisect(good, "main", "time_one"))
    assert done.returncode == 1, done.stderr
    (finding,) = clone.stored()["findings"]
    assert [commit["hash"] for commit in finding["commits"]] == [culprit]
    assert finding["remark"] == ""

    same = clone.run(*clone.bisect(good, "main", "time_two"))
    assert same.returncode == 0, same.stderr
    assert "work.time_two: the ends are the same" in same.stdout


def test_what_cannot_be_searched_is_refused_before_anything_is_built(
    clone: Clone, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(clone.folder / "cache"))
    good = clone.commit("in the beginning")
    bad = clone.commit("the end")
    for words, said in (
        (clone.bisect(bad, good, "one"), "the wrong way round"),
        (clone.bisect(good, good, "one"), "both ends"),
        (clone.bisect(good, "gone", "one"), "no such branch"),
        (clone.bisect(good, bad, "one", "--configuration", "fast"), "not a build option"),
        (clone.bisect(good, bad, "one", "--repo", clone.folder / "nowhere"), "there is no folder"),
        (["bisect", good], "two commits are needed"),
        (["bisect", "--resume", "last", "--out", clone.folder / "none"], "there is no search"),
        (["bisect", good, bad, "--resume", "last"], "leave out GOOD and BAD"),
    ):
        done = inside(*words)
        assert done.returncode == 2, done.stderr
        assert said in " ".join(done.stderr.split())
    assert not (clone.folder / "cache").exists() or not list((clone.folder / "cache").rglob("build.json"))
    assert clone.stored() == {}


def test_a_history_is_filled_once(clone: Clone, inside: Inside) -> None:
    anchor = clone.commit("in the beginning")
    older = clone.commit("nothing of note")
    clone.commit("a broken one", broken=True)
    newer = clone.commit("the end", one=0.25)
    words = ["backfill", f"{anchor}..main", "--repo", clone.repository, "--suite", SUITE, "-b", "time_one",
             "--anchor", f"git:{clone.repository}@{anchor}", "--watch", "main", "--out", clone.folder / "runs"]
    first = clone.run(*words, "--every", "3")
    assert first.returncode == 0, first.stderr
    manifests = [json.loads(path.read_text()) for path in sorted((clone.folder / "runs").glob("*/manifest.json"))]
    assert [manifest["role"]["purpose"] for manifest in manifests] == ["backfill"] * len(manifests)
    assert [manifest["head"]["spec"].rpartition("@")[2] for manifest in manifests] == [newer]
    assert "1 measured, 0 there before, 0 passed over, 0 left" in first.stdout
    assert manifests[0]["blocks"] == 6

    second = clone.run(*words)
    assert second.returncode == 0, second.stderr
    assert "1 measured, 1 there before, 1 passed over, 0 left" in second.stdout
    assert f"1 of 3: {older[:12]} nothing of note" in second.stderr
    third = clone.run(*words)
    assert "0 measured, 2 there before, 1 passed over, 0 left" in third.stdout
    refused = inside(*[word if word != f"{anchor}..main" else "main" for word in words])
    assert refused.returncode == 2
    assert "is not a range of commits" in refused.stderr
