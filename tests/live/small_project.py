"""A small project in git that asv benchmarks: pure Python, installed by copying, with virtual environments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import LOCKSTEP

ASV = Path(sysconfig.get_path("scripts")) / "asv"

CONFIGURATION = """
{
    // As a person writes it: with comments and a hanging comma.
    "version": 1,
    "project": "small",
    "repo": ".",
    "branches": ["main"],
    "environment_type": "virtualenv",
    "benchmark_dir": "benchmarks",
    "env_dir": ".asv/env",
    "results_dir": ".asv/results",
    "html_dir": ".asv/html",
    // A plain copy, so that nothing is fetched to build it.
    "build_command": [],
    "install_command": ["python {conf_dir}/install.py {build_dir}"],
}
"""
INSTALL = """
import shutil, sys, sysconfig
print("copying", sys.argv[1])
where = sysconfig.get_path("purelib")
shutil.copytree(sys.argv[1] + "/small", where + "/small", dirs_exist_ok=True)
"""
MODULE = """
def total(n):
    found = 0
    for i in range({range}):
        found += i * i % 7
    return found


def count(text):
    return len(text.split())
"""
BENCHMARKS = """
import small


class Total:
    params = [1000, 3000]
    param_names = ["n"]

    def time_total(self, n):
        small.total(n)


def time_count():
    small.count("one two three four five " * 20)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A repository that asv benchmarks; results and caches of the user go beside it."""

    folder: Path

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
        return subprocess.run(("git", *identity, *words), cwd=self.folder, check=True, capture_output=True,
                              text=True).stdout.strip()

    def run(self, *words: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command of Lockstep's, or ``asv …``, in the project's folder, as if from a hook of git's."""
        asv = words[0] == "asv"
        command: list[object] = [sys.executable, ASV, *words[1:]] if asv else [LOCKSTEP, *words]
        if words[0] in ("ab", "continuous", "export"):
            command += ["--out", self.folder.parent / "runs"]
        environment = {**os.environ, "HOME": str(self.folder.parent), "COLUMNS": "160"}
        return subprocess.run(
            list(map(str, command)), cwd=folder or self.folder, check=False, capture_output=True, text=True,
            timeout=900, env=environment if asv else {**environment, "GIT_DIR": str(self.folder / "of-a-hook")},
        )

    def continuous(self, *words: object) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """`lockstep continuous` with a JSON report, and what that says."""
        report = self.folder.parent / "report.json"
        report.unlink(missing_ok=True)
        done = self.run("continuous", *words, "--json", report)
        assert report.exists(), done.stderr
        return done, json.loads(report.read_text())

    def environments(self) -> dict[str, float]:
        """When each environment of a single commit got what it holds, by commit."""
        place = self.folder / ".asv" / "env" / "lockstep"
        return {path.parents[1].name: path.stat().st_mtime for path in place.glob("*/*/asv-install-status.json")}


def _module(extra: str = "") -> str:
    return MODULE.format(range=f"n{extra}")


def make(folder: Path) -> Project:
    """A project of three commits: ``v1.0``, one that does 5 % more work in `total`, and one that adds a remark."""
    made = Project(folder=folder)
    folder.mkdir(parents=True)
    made.git("init", "-q", "-b", "main")
    (folder / "asv.conf.json").write_text(CONFIGURATION)
    (folder / "install.py").write_text(INSTALL)
    (folder / ".gitignore").write_text(".asv/\n__pycache__/\nold/\nnew/\n")
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "__init__.py").touch()
    (folder / "benchmarks" / "work.py").write_text(BENCHMARKS)
    (folder / "small").mkdir()
    more = _module(" + n // 20")
    for message, text in (("The first", _module()), ("5 % more work", more), ("A remark", f"# A remark.\n{more}")):
        (folder / "small" / "__init__.py").write_text(text)
        made.git("add", ".")
        made.git("commit", "-q", "-m", message)
        if message == "The first":
            made.git("tag", "v1.0")
    return made
