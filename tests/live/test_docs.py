"""Every command in README and docs/ is one that exists; those that end quickly are run as they are written."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from asv.commands import make_argparser

from runner.cli import app

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = re.compile(r"^(?:    )?\$? ?(?:\.venv/bin/)?((?:lockstep|make|asv) .*?)(?:\s+#.*)?$", re.MULTILINE)
QUICK = ("lockstep doctor", "lockstep build --list", "make help")


def blocks(text: str) -> Iterator[str]:
    """The page's code: fenced blocks without a language, or of a shell, and indented lines."""
    yield from re.findall(r"^```(?:console|sh|shell|bash|)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    yield "\n".join(line for line in plain.splitlines() if line.startswith("    "))


def commands() -> list[tuple[str, str]]:
    return sorted({(page.name, command.strip()) for page in PAGES for block in blocks(page.read_text())
                   for command in COMMAND.findall(block)})


def test_there_are_commands_to_check() -> None:
    assert len(commands()) >= 8


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_of_the_docs_is_one_that_exists(page: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), f"{page}: {command}"
        return
    if words[0] == "asv":
        make_argparser()[0].parse_args(words[1:])
        return
    group = typer.main.get_command(app)
    assert words[1] in group.commands, f"{page}: {command}"  # type: ignore[attr-defined]
    # Parses names and values of all options; raises for one that does not exist.
    group.commands[words[1]].make_context(words[1], words[2:])  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", QUICK)
def test_a_quick_command_runs(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "lockstep":
        words[0] = str(BIN / "lockstep")
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
