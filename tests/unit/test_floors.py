"""The floors of the house: a module of runner/ imports only from floors below its own (docs: architecture)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "model", "config", "amounts", "paths"),  # 0 words
    ("stats",),  # 1 mathematics
    # 2 one outside thing each; at the foot what the others run their commands through, and make folders with
    ("shell", "owned"),
    ("machine", "builds", "suites", "storage", "vendor", "cage"),
    ("sending",),
    ("alerts", "client"),
    ("measuring", "verifying"),  # 3 the outside and inside of a measured process
    ("judging",),  # 4 numbers to claims
    ("history",),  # 5 claims over time
    ("report",),  # 6 views
    ("jobs",),  # 7 recipes and doors
    ("fleet", "service"),
    ("cli", "asv_plugin"),
    ("installed",),
)
"""The first part of a module's name below runner/, lowest first: a module imports only from lines above its own. A new
module is given its place here."""

PACKAGES = (
    "stats", "machine", "builds", "suites", "storage", "sending", "alerts", "measuring", "verifying", "judging",
    "history", "report", "jobs", "fleet", "service", "cli",
)
"""Their modules may import each other."""

ALONE = {
    "runner/measuring/worker.py": set[str](), "runner/suites/asv_loaded.py": {"pympler"},
    "runner/measuring/beating.py": set[str](),
    "runner/suites/asv_params.py": set[str](),
    "runner/suites/discovery.py": {"asv_runner"},
    "runner/verifying/inside.py": set[str](), "runner/verifying/tests_inside.py": set[str](),
    "runner/suites/pyperf_loaded.py": {"pyperf"}, "runner/suites/pyperf_discovery.py": set[str](),
    "runner/suites/calibration/aa.py": set[str](), "runner/suites/calibration/planted.py": set[str](),
}
"""What runs inside a measured interpreter, and what it may import beside the standard library."""


def imports(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the dotted name of everything that a file imports, wherever it stands in the file.

    `package` is the package that the file belongs to, from which relative imports start. ``from a import b`` gives
    ``a.b``, since b may be a module.
    """
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            for name in node.names:
                yield node.lineno, f"{source}.{name.name}"


def violations(root: Path) -> list[str]:
    """Return what breaks a rule in the project under `root`, as ``file:line: what``."""
    floor_of = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    found: list[str] = []
    for path in sorted(root.glob("runner/**/*.py")) + sorted(root.glob("dashboards/**/*.py")) + sorted(
        root.glob("benchmarks/**/*.py")
    ):
        place = path.relative_to(root)
        own = place.parts[1].removesuffix(".py")
        if place.parts[0] == "runner" and own != "__init__" and own not in floor_of:
            found.append(f"{place}:1: has no floor in {Path(__file__).name}")
            continue
        for line, name in imports(path, ".".join(place.parts[:-1])):
            if fault := _fault(place, own, name, floor_of):
                found.append(f"{place}:{line}: {fault}")
    return found


def _fault(place: Path, own: str, name: str, floor_of: dict[str, int]) -> str | None:
    first, *rest = name.split(".")
    allowed = ALONE.get(place.as_posix())
    if allowed is not None and first not in sys.stdlib_module_names and first not in allowed:
        return f"imports {name}, which a measured interpreter does not have"
    if first != "runner":
        return None
    if place.parts[0] != "runner":
        return f"{place.parts[0]} imports {name}"
    other = rest[0] if rest else "__init__"
    if other == own and own in PACKAGES:
        return None
    if own == "__init__":
        return f"runner/__init__.py imports {name}, so that no module can be had without it"
    if other not in floor_of:
        return None  # a name such as runner.__version__
    if floor_of[other] < floor_of[own]:
        return None
    return f"imports {name}, which is not on a floor below its own"


def test_the_project_keeps_its_floors() -> None:
    assert violations(ROOT) == []


def test_every_name_is_one_of_a_module_or_package() -> None:
    runner = list((ROOT / "runner").iterdir())
    there = {path.stem for path in runner if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert {name for names in FLOORS for name in names} == there - {"__init__"}
    assert {name for name in PACKAGES if not (ROOT / "runner" / name).is_dir()} == set()
    assert {place for place in ALONE if not (ROOT / place).is_file()} == set()


PLANTED = {
    "upwards": ("runner/stats/paired.py", "from runner.storage.store import Run", "imports runner.storage.store.Run"),
    "sideways": ("runner/storage/store.py", "import runner.machine.lock", "imports runner.machine.lock, which is not"),
    "module of the package": ("runner/machine/lock.py", "from runner import jobs", "imports runner.jobs"),
    "relative": ("runner/builds/spec.py", "from ..report import words", "imports runner.report.words"),
    "inside a function": (
        "runner/storage/store.py", "def f() -> None:\n    from runner import cli", "imports runner.cli",
    ),
    "for types only": (
        "runner/measuring/plan.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import runner.cli",
        ":3: imports",
    ),
    "no floor": ("runner/misc.py", "", "has no floor"),
    "package's front": ("runner/__init__.py", "from runner.model import Arm", "no module can be had without it"),
    "dashboard": ("dashboards/forest.py", "from runner.judging.compare import Report", "dashboards imports runner"),
    "benchmark": ("benchmarks/write.py", "import runner", "benchmarks imports runner"),
    "worker, foreign": ("runner/measuring/worker.py", "import numpy", "imports numpy, which a measured interpreter"),
    "worker, ours": (
        "runner/measuring/worker.py", "from runner.model import Arm", "which a measured interpreter does not have",
    ),
    "worker, relative": (
        "runner/measuring/worker.py", "from .model import Arm", "which a measured interpreter does not have",
    ),
    "what loads in a worker": (
        "runner/suites/asv_loaded.py", "from asv_runner.benchmarks.mark import skip_for_params",
        "which a measured interpreter does not have",
    ),
    "discovery": ("runner/suites/discovery.py", "import asv", "imports asv, which a measured interpreter"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_violation_is_found(tmp_path: Path, kind: str) -> None:
    place, code, message = PLANTED[kind]
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(code)
    found = violations(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(f"{place}:")
    assert message in found[0]


@pytest.mark.parametrize(("place", "code"), [
    ("runner/builds/build.py", "import ast\nimport numpy\nfrom runner import shell\nfrom . import cache"),
    ("runner/suites/discovery.py", "import json\nfrom asv_runner.discovery import get_benchmarks"),
    ("runner/cli/app.py", "from runner import __version__, jobs\nfrom runner.report import text"),
    ("dashboards/forest.py", "import matplotlib\nfrom dashboards import style"),
])
def test_what_is_allowed_is_not_reported(tmp_path: Path, place: str, code: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text(code)
    assert violations(tmp_path) == []
