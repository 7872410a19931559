"""Paths that people write. What pathlib asks of them raises where a folder may not be searched; os.path says no."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(text: str | Path) -> Path:
    """A path with a home folder for ``~`` and ``~name``; as it is written where there is no such user."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def why_not(path: Path) -> str:
    """Why nothing is found at a path, to follow its name: ``does not exist``, or what the system says."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    return "does not exist"
