"""The environments that the tools compare: one interpreter, equal but for the share of work planted in them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from runner import shell
from runner.errors import MachineError, UsageError

SUITE = Path(__file__).parent / "suite"
SHARES = (0.0, 0.01, 0.02, 0.05)
"""0 is the A/A pair."""
WORKLOADS = ("time_loop", "time_copy", "time_json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arms:
    """The environments of one session."""

    folder: Path
    python: Path
    """The interpreter that all are made of, links resolved."""
    version: str
    """``3.13``."""

    @property
    def base(self) -> Path:
        return self.folder / "base" / "bin" / "python"

    def head(self, share: float) -> Path:
        return self.folder / name(share) / "bin" / "python"


def name(share: float) -> str:
    """The folder of a head: as long as that of base, since the length of paths moves the stack."""
    return f"h{round(share * 100):03d}"


def make(folder: Path, python: str) -> Arms:
    """Make a base and a head for every share; base and the head of the A/A pair have no share planted.

    Raises UsageError when `python` cannot be run or has no venv module.
    """
    try:
        said = shell.run([python, "-c", "import os, sys; print(*sys.version_info[:2], sep='.'); "
                          "print(os.path.realpath(getattr(sys, '_base_executable', sys.executable)))"])
    except MachineError as error:
        raise UsageError(f"{error}; name another interpreter by --python.") from error
    if said.code != 0:
        raise UsageError(f"{python} cannot be run: {said.output.strip()[-300:]}")
    version, real = said.output.splitlines()[:2]
    arms = Arms(folder=folder, python=Path(real), version=version)
    for environment, share in (("base", 0.0), *((name(share), share) for share in SHARES)):
        place = folder / environment
        done = shell.run([real, "-m", "venv", "--without-pip", "--symlinks", place])
        if done.code != 0:
            raise UsageError(f"{python} cannot make a virtual environment: {done.output.strip()[-300:]}")
        # Every environment has the file, so that all do the same to read it.
        (place / "planted").write_text(f"{share:.4f}")
        borrow("pyperf", place)
    return arms


def borrow(package: str, environment: Path) -> None:
    """Lend a pure Python package of our own environment to another one; nothing is downloaded."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MachineError(f"{package} is not installed beside Lockstep; run `make setup`.")
    source = Path(spec.origin)
    source = source.parent if source.name == "__init__.py" else source
    for packages in environment.glob("lib/python*/site-packages"):
        (packages / source.name).symlink_to(source)
