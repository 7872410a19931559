"""What a wheel is made of: every file that the program reads, and every package that it imports."""

from __future__ import annotations

import ast
import fnmatch
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUP = PROJECT["tool"]["setuptools"]
OURS = ("runner", "dashboards", "benchmarks", "lockstep_ab")


def place(package: str) -> Path:
    """A package's folder in the repository: the longest mapping that it begins with, and the rest."""
    known = max((one for one in SETUP["package-dir"] if package == one or package.startswith(f"{one}.")), key=len)
    return ROOT / SETUP["package-dir"][known] / package.removeprefix(known).lstrip(".").replace(".", "/")


def test_all_that_is_listed_is_there() -> None:
    for package in SETUP["packages"]:
        assert place(package).is_dir(), package
        for pattern in SETUP["package-data"].get(package, ()):
            assert list(place(package).glob(pattern)), f"{package}: {pattern}"


MADE = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split() if line.startswith("/data/")]
"""What a machine has in `data` that a clone has not."""


def kept(folder: str) -> Iterator[Path]:
    """The files of a folder of the repository, without what programs make there and what they have measured."""
    for place in sorted((ROOT / folder).iterdir()):
        name = place.relative_to(ROOT).as_posix()
        if any(fnmatch.fnmatch(name, made) for made in (*MADE, "data/evidence", "data/events*", "*/__pycache__")):
            continue
        inside = [place] if place.is_file() else place.rglob("*")
        yield from (path for path in inside if path.is_file() and "__pycache__" not in path.parts)


@pytest.mark.parametrize("folder", ["runner", "dashboards", "benchmarks", "data"])
def test_all_that_the_program_reads_is_listed(folder: str) -> None:
    places = {place(package): package for package in SETUP["packages"]}
    for file in kept(folder):
        home = next(parent for parent in file.parents if parent in places)
        patterns = SETUP["package-data"].get(places[home], ())
        data = any(fnmatch.fnmatch(str(file.relative_to(home)), pattern) for pattern in patterns)
        assert data or (file.parent == home and file.suffix == ".py"), f"{file} is in no wheel"


def imported() -> set[str]:
    found: set[str] = set()
    for folder in ("runner", "dashboards"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {name.name.partition(".")[0] for name in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(OURS)


def test_what_is_imported_is_asked_for_and_nothing_else() -> None:
    """A package that only a developer has would be missing in the wheel's environment."""
    provided = packages_distributions()
    needed = {provided[name][0].lower().replace("_", "-") for name in imported()}
    extras = PROJECT["project"]["optional-dependencies"]
    asked, more = (
        {re.split(r"[^A-Za-z0-9_-]", one)[0].lower().replace("_", "-") for one in dependencies}
        for dependencies in (PROJECT["project"]["dependencies"], [*extras["service"], *extras["fleet"]])
    )
    assert needed - more == asked


def test_the_commands_are_those_of_the_package() -> None:
    assert PROJECT["project"]["scripts"] == {"lockstep": "lockstep_ab:main"}
    assert {name.partition(".")[0] for name in SETUP["packages"]} == {"lockstep_ab"}
