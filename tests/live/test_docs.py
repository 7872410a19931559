"""Every command in README and docs/ is one that exists, and those of the README are run as they are written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from asv.commands import make_argparser
from bench import LOCKSTEP, TIME_LIMIT
from fake_source import plant

from runner.cli import app

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^(?:    )?\$? ?((?:\.venv/bin/)?(?:lockstep|make|asv|pipx) .*?)(?:\s+#.*)?$", re.MULTILINE)
QUICK = ("lockstep build --list", "make help")
WHEEL = ("pipx install .",)
"""Done by test_wheel.py, by pip."""
STEP = ("make ab", "make test", "make source-repo", "make publish", ".venv/bin/asv machine --yes",
        ".venv/bin/asv continuous nocow cow -b construct")
"""Steps of .ci/run, each with the real thing; `make ab` as the command that is its recipe, see below."""


def blocks(text: str) -> Iterator[str]:
    """The page's code: fenced blocks without a language, or of a shell, and indented lines."""
    yield from re.findall(r"^```(?:console|sh|shell|bash|)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield "\n".join(line for line in plain.splitlines() if line.startswith("    "))


def commands_of(page: Path) -> list[str]:
    """In the order in which they are there, each once."""
    found = (command.strip() for block in blocks(page.read_text()) for command in COMMAND.findall(block))
    return list(dict.fromkeys(found))


def commands() -> list[tuple[str, str]]:
    return sorted({(page.name, command) for page in PAGES for command in commands_of(page)})


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 20
    assert len(commands_of(README)) >= 12


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_of_the_docs_is_one_that_exists(page: str, command: str) -> None:
    words = shlex.split(re.split(r" [|>] ", command)[0], comments=True)
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), f"{page}: {command}"
    elif program == "asv":
        make_argparser()[0].parse_args(words[1:])
    elif program == "lockstep" and not words[1].startswith("-") and words[1] != "COMMAND":
        found, rest = typer.main.get_command(app), words[1:]
        while hasattr(found, "commands"):
            assert rest and rest[0] in found.commands, f"{page}: {command}"
            found, rest = found.commands[rest[0]], rest[1:]
        # Parses names and values of all options; raises for one that does not exist.
        found.make_context(found.name, rest)


@pytest.mark.parametrize("command", QUICK)
def test_a_quick_command_runs(command: str) -> None:
    done = subprocess.run(
        command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT, check=False,
        env={**os.environ, "PATH": f"{LOCKSTEP.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Somebody who follows the README: a home with a clone of CPython, and a folder with what the README names."""

    folder: Path

    def types(self, command: str) -> subprocess.CompletedProcess[str]:
        home = self.folder / "home"
        path = f"{self.folder / '.venv' / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, check=False,
            timeout=TIME_LIMIT,
            env={**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "PATH": path},
        )


SUITE = '''
class Founding:
    """As many benchmarks as a test has time for."""

    def setup(self):
        self.lines = [b"line"] * 100

    def time_list_of_lines(self):
        b"".join(self.lines)
'''


SHORTER = r'''#!/bin/sh
run=$1; shift
case "$run $*" in
  ab\ *pyperformance) exec {program} ab "$@" -b nqueens --budget 3s --margin 30% --out {runs} ;;
  ab\ git:*) exec {program} build "$1" "$2" ;;
  ab\ *) exec {program} ab "$@" -b Founding --budget 3s --margin 30% --out {runs} ;;
  explain\ *) exec {python} -c '{fewer}' "$run" "$@" --out {runs} ;;
  show\ *|resume\ *|export\ *) exec {program} "$run" "$@" --out {runs} ;;
  *) exec {program} "$run" "$@" ;;
esac
'''
"""What a reader's `lockstep` is. The stand-in of a clone can be named and built, and not measured: it is no CPython.
Real builds are measured in .ci/run."""
FEWER = "import lockstep_ab; from runner.measuring import counts; counts.SEEDS = (1,); lockstep_ab.main()"
"""A program whose `explain` counts with one hash seed instead of five, each of which takes seconds under valgrind."""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("reader")
    clone = plant(folder / "home" / "cpython")
    identity = ("-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*identity, "commit", "-q", "-m", "main")):
        subprocess.run(["git", "-C", clone, *words], check=True)
    (clone / "a.c").write_text("int a = 1;\n")
    for name in ("old", "new"):
        venv.create(folder / name, symlinks=True, with_pip=False)
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks" / "__init__.py").touch()
    (folder / "benchmarks" / "readlines.py").write_text(SUITE)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "lockstep").write_text(SHORTER.format(
        program=LOCKSTEP, runs=folder / "runs", python=sys.executable, fewer=FEWER))
    (folder / ".venv" / "bin" / "lockstep").chmod(0o755)
    return Reader(folder=folder)


@pytest.mark.parametrize("command", [one for one in commands_of(README) if one not in (*WHEEL, *STEP)])
def test_a_command_of_the_readme_runs(reader: Reader, command: str) -> None:
    """As it is written, in its order; what compares is kept short, and what reads runs finds those of this test."""
    done = reader.types(command)
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr


def test_what_is_not_run_here_is_run_elsewhere() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    for command in STEP:
        assert command in commands_of(README), f"{command} has left the README"
        assert command in ci or command == "make ab", command
    assert "pip" in (ROOT / "tests" / "live" / "test_wheel.py").read_text()


@pytest.mark.parametrize(("code", "good"), [(0, True), (1, True), (2, False), (3, False), (4, False), (70, False),
                                            (130, False)])
def test_make_ab_takes_a_regression_alone_for_a_result(tmp_path: Path, code: int, good: bool) -> None:
    stub = tmp_path / "lockstep"
    stub.write_text(f'#!/bin/sh\necho "$@"\nexit {code}\n')
    stub.chmod(0o755)
    done = subprocess.run(
        ["make", "-s", "-o", "setup", "ab", f"LOCKSTEP={stub}"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("ab cpython@3.13.5+nocow cpython@3.13.5 --budget 5m")
    assert (done.returncode == 0) is good
