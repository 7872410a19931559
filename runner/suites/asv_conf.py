"""The configuration of a project that asv benchmarks: asv.conf.json, which may have comments and hanging commas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runner.errors import UsageError

NAMES = ("asv.conf.json", "asv.conf.jsonc")


def configuration(folder: Path) -> Path | None:
    """asv's configuration in a folder; None where there is none. Raises UsageError where there are two, as asv does."""
    there = [folder / name for name in NAMES if (folder / name).is_file()]
    if len(there) > 1:
        raise UsageError(f"{folder} has both {' and '.join(NAMES)}: which one counts is not known. Remove one.")
    return there[0] if there else None


def load(path: Path) -> Any:
    """The configuration as asv itself reads it, an `asv.config.Config`. Raises UsageError for what asv refuses."""
    from asv.config import Config  # takes as long to import as all the rest of a short command
    from asv.util import UserError

    try:
        return Config.load(str(path))
    except (UserError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UsageError(f"{path} is no configuration of asv's: {error}") from error


def benchmark_dir(path: Path) -> Path:
    """The folder of benchmarks that a configuration names, absolute. Raises UsageError as `load` does."""
    return (path.resolve().parent / str(load(path).benchmark_dir)).resolve()
