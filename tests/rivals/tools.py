"""One class for each tool: how its own documentation says to compare two interpreters, sized to a budget."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

from rivals import answers
from rivals.arms import SHARES, SUITE, Arms, name
from rivals.records import Answer
from runner import shell
from runner.measuring import execute

BIN = Path(sys.executable).parent
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ASV"))}


class ToolError(Exception):
    """The tool ended without an answer; the text says how."""


class Busy(Exception):
    """The tool did not begin, because another run holds the machine."""


@dataclass(slots=True, kw_only=True)
class Commands:
    """Runs commands within one time limit for all of them, and keeps what they were."""

    limit: float
    """Seconds."""
    done: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Begin again: the time limit counts from now, and nothing is done yet."""
        self.started = time.monotonic()
        self.done.clear()

    @property
    def wall(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def run(self, *words: object, codes: tuple[int, ...] = (0,), cwd: Path | None = None,
            environment: Mapping[str, str] = ENVIRONMENT) -> str:
        """What the command printed. Raises ToolError when it ends with another code, or when time is up."""
        command = [str(word) for word in words]
        self.done.append(shlex.join(command))
        result = shell.run(command, cwd=cwd, env=environment, timeout=max(self.limit - self.wall, 0.1))
        if result.timed_out:
            raise ToolError(f"not ready in time: {self.done[-1]}")
        if result.code not in codes:
            if "another Lockstep run" in result.output:
                raise Busy(result.output)
            raise ToolError(f"exit code {result.code}: {result.output.strip()[-500:]}")
        return result.output


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one run of a tool is to measure."""

    arms: Arms
    share: float
    workload: str
    size: int
    folder: Path
    """Empty, for this run alone."""
    details: Mapping[str, int]
    """What `Tool.learn` found."""

    @property
    def pythons(self) -> tuple[Path, Path]:
        return self.arms.base, self.arms.head(self.share)


class Tool(ABC):
    """A tool as it is used by those who follow its documentation."""

    name: ClassVar[str]
    program: ClassVar[str]
    """What has the version; several tools may be ways to use one program."""
    rules: ClassVar[tuple[str, ...]]
    """The answers that one run gives."""
    practice: ClassVar[str]
    """For the page: what is run, and what `size` is."""
    trials: ClassVar[tuple[int, int]]
    """Two sizes that tell what a size costs; the first is the smallest that is ever used."""
    locks: ClassVar[bool] = False
    """Takes the machine's lock by itself."""

    def missing(self) -> str | None:
        """What to do to have it; None where it is there."""
        return None

    @abstractmethod
    def version(self) -> str: ...

    def prepare(self, arms: Arms) -> None:
        """Do what is done once before all runs, and not timed."""
        return

    def learn(self, task: Task, commands: Commands) -> dict[str, int]:
        """What is found out once for all runs, and not timed."""
        return {}

    @abstractmethod
    def measure(self, task: Task, commands: Commands) -> tuple[tuple[Answer, ...], float]:
        """The answers, one for each rule, and how much of the size was used.

        Raises ToolError or ValueError when there is none.
        """


class Lockstep(Tool):
    name = program = "lockstep"
    rules = ("lockstep",)
    practice = ("`lockstep ab BASE HEAD --suite … -b … --budget Ns --json`; sized by the budget; it may end before it; "
                "undecided claims nothing")
    trials = (2, 4)
    locks = True

    def version(self) -> str:
        return f"{version('lockstep')} in the way of measuring {execute.VERSION}"

    def measure(self, task: Task, commands: Commands) -> tuple[tuple[Answer, ...], float]:
        report = task.folder / "report.json"
        commands.run(
            BIN / "lockstep", "ab", *task.pythons, "--suite", SUITE, "-b", f"work.{task.workload}$", "--budget",
            f"{task.size}s", "--json", report, "--out", task.folder / "runs", "--no-wait", codes=(0, 1),
        )
        answer, seconds = answers.lockstep(report.read_text())
        return (answer,), min(seconds, task.size)


class Pyperf(Tool):
    name = program = "pyperf"
    rules = ("pyperf",)
    practice = ("`pyperf timeit` of base, then of head, then `pyperf compare_to`; sized by `--processes`, whose "
                "default is 20")
    trials = (2, 6)

    def version(self) -> str:
        return version("pyperf")

    def measure(self, task: Task, commands: Commands) -> tuple[tuple[Answer, ...], float]:
        files = task.folder / "base.json", task.folder / "head.json"
        for python, file in zip(task.pythons, files, strict=True):
            self._timeit(commands, task.workload, python, "-p", task.size, "-o", file)
        return (self._compare(commands, *files),), task.size

    def _timeit(self, commands: Commands, workload: str, python: Path, *options: object) -> None:
        setup = f"import sys; sys.path.insert(0, {str(SUITE)!r}); from work import {workload}"
        commands.run(BIN / "python", "-m", "pyperf", "timeit", "--python", python, "--name", workload, "-q", *options,
                     "-s", setup, f"{workload}()")

    def _compare(self, commands: Commands, base: Path, head: Path) -> Answer:
        printed = commands.run(BIN / "python", "-m", "pyperf", "compare_to", base, head)
        return answers.compare_to(printed, self.rules[0], answers.means(str(base), str(head)))


class PyperfAlternating(Pyperf):
    name = "pyperf-alternating"
    rules = ("pyperf, alternating",)
    practice = ("`pyperf timeit -p 1 --append FILE` of base and head in turn, with a number of loops found before, "
                "then `pyperf compare_to`; sized by the number of turns")
    trials = (2, 6)

    def learn(self, task: Task, commands: Commands) -> dict[str, int]:
        file = task.folder / "loops.json"
        self._timeit(commands, task.workload, task.arms.base, "-p", 1, "-o", file)
        return {"loops": answers.loops(file.read_text())}

    def measure(self, task: Task, commands: Commands) -> tuple[tuple[Answer, ...], float]:
        files = task.folder / "base.json", task.folder / "head.json"
        for _ in range(task.size):
            for python, file in zip(task.pythons, files, strict=True):
                self._timeit(commands, task.workload, python, "-p", 1, "-l", task.details["loops"], "--append", file)
        return (self._compare(commands, *files),), task.size


class Asv(Tool):
    """One run is judged by both factors, since they differ only in how the stored results are compared."""

    name = program = "asv"
    rules = ("asv, factor 1.1", "asv, factor 1.02")
    practice = ("`asv continuous --factor 1.1 BASE HEAD` on two commits of a throw-away repository, then `asv compare "
                "--factor 1.02` on the same stored results; sized by `-a rounds=`, whose default is 2; "
                "it alternates the commits between rounds")
    trials = (2, 10)

    def __init__(self) -> None:
        self._folder = Path()
        self._environment: dict[str, str] = {}

    def missing(self) -> str | None:
        return None if shutil.which("git") else "git is not installed; on Debian: apt-get install git"

    def version(self) -> str:
        return version("asv")

    def prepare(self, arms: Arms) -> None:
        folder = self._folder = arms.folder / "asv"
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / f"python{arms.version}").symlink_to(arms.python)
        path = os.pathsep.join([str(folder / "bin"), ENVIRONMENT.get("PATH", os.defpath)])
        self._environment = {
            **ENVIRONMENT, "HOME": str(folder), "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull,
            "VIRTUALENV_NO_PERIODIC_UPDATE": "1",  # it would look for newer versions in the background
            **{f"GIT_{who}_{what}": f"{what}@localhost".lower() for who in ("AUTHOR", "COMMITTER")
               for what in ("NAME", "EMAIL")},
        }
        shutil.copytree(SUITE, folder / "benchmarks", ignore=shutil.ignore_patterns("__pycache__", "[ac]*.py"))
        shutil.copy(Path(__file__).with_name("offline.py"), folder)
        (folder / "asv.conf.json").write_text(json.dumps({
            "version": 1, "project": "planted", "repo": "repo", "branches": ["base"], "dvcs": "git",
            "environment_type": "offline", "plugins": [".offline"], "pythons": [arms.version],
            "build_command": [], "uninstall_command": [], "benchmark_dir": "benchmarks",
            "install_command": ["python -c \"import shutil; shutil.copy('{build_dir}/planted', '{env_dir}')\""],
        }))
        self._commit(folder / "repo")
        self._asv(Commands(limit=60), "machine", "--yes")
        # The environment is made, and its Python's modules compiled, before anything is timed.
        self._asv(Commands(limit=300), "continuous", "--quick", "base", name(0.0), codes=(0, 1))

    def _commit(self, repo: Path) -> None:
        """A branch for base and one for each head: the A/A pair's two differ in a file that does nothing."""
        repo.mkdir()
        commands = Commands(limit=60)

        def git(*words: str) -> None:
            commands.run("git", *words, cwd=repo, environment=self._environment)

        git("init", "-q")
        for branch, share in (("base", 0.0), *((name(share), share) for share in SHARES)):
            git("checkout", "-q", "-b", branch, *(["base"] if branch != "base" else []))
            (repo / "planted").write_text(f"{share:.4f}")
            (repo / "branch").write_text(branch)
            git("add", ".")
            git("commit", "-q", "-m", branch)

    def _asv(self, commands: Commands, *words: object, codes: tuple[int, ...] = (0,)) -> str:
        return commands.run(BIN / "asv", *words, cwd=self._folder, environment=self._environment, codes=codes)

    def measure(self, task: Task, commands: Commands) -> tuple[tuple[Answer, ...], float]:
        shutil.rmtree(self._folder / "results", ignore_errors=True)
        head = name(task.share)
        benchmark = f"work.{task.workload}"
        printed = self._asv(commands, "continuous", "--factor", "1.1", "-b", f"{benchmark}$", "-a",
                            f"rounds={task.size}", "base", head, codes=(0, 1))
        compared = self._asv(commands, "compare", "--factor", "1.02", "base", head)
        ratio = self._seconds(head, benchmark) / self._seconds("base", benchmark)
        return (answers.asv_continuous(printed, ratio), answers.asv_compare(compared, benchmark, ratio)), task.size

    def _seconds(self, branch: str, benchmark: str) -> float:
        commit = (self._folder / "repo" / ".git" / "refs" / "heads" / branch).read_text()[:8]
        files = list((self._folder / "results").glob(f"*/{commit}-*.json"))
        if len(files) != 1:
            raise ToolError(f"asv stored {len(files)} results of {branch}")
        return answers.asv_result(files[0].read_text(), benchmark)


class Hyperfine(Tool):
    name = program = "hyperfine"
    rules = ("hyperfine",)
    practice = ("`hyperfine --shell=none --warmup 3 --runs N BASE_COMMAND HEAD_COMMAND` on a script that does the work "
                "200 times, judged by Welch's t-test at p < 0.05 as in its `scripts/welch_ttest.py`; sized by "
                "`--runs`; the interpreter's start is part of what it measures")
    trials = (2, 6)
    CALLS = 200

    def missing(self) -> str | None:
        return None if shutil.which("hyperfine") else "hyperfine is not installed; on Debian: apt-get install hyperfine"

    def version(self) -> str:
        return shell.run(["hyperfine", "--version"]).output.split()[-1]

    def measure(self, task: Task, commands: Commands) -> tuple[tuple[Answer, ...], float]:
        stored = task.folder / "times.json"
        scripts = [shlex.join([str(python), str(SUITE / "command.py"), task.workload, str(self.CALLS)])
                   for python in task.pythons]
        commands.run("hyperfine", "--shell=none", "--style", "none", "--warmup", 3, "--runs", task.size,
                     "--export-json", stored, *scripts)
        return (answers.hyperfine(stored.read_text()),), task.size


def every() -> list[Tool]:
    """All tools, those that are not installed too."""
    return [Lockstep(), Pyperf(), PyperfAlternating(), Asv(), Hyperfine()]


def tidy(text: str, folder: Path) -> str:
    """The text without the machine's own folders; `folder` holds all that was made for measuring."""
    text = text.replace(str(folder), "RIVALS").replace(str(Path(__file__).resolve().parents[2]), "TOP")
    return re.sub(r"RIVALS/runs/[^/\s']+", "RIVALS/run", text)
