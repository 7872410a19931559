"""What a build has come to: what configure found, and which libraries its modules link."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner import shell
from runner.builds import compiling

_DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)(?:[ \t]+(.*?))?\s*$", re.MULTILINE)
_SYSTEM = re.compile(r"(?:libc|libm|libdl|libpthread|librt|libutil|ld-\S+|linux-vdso)\.so|ld-musl|linux-gate")
"""Parts of the C library, which every program links."""
BATCH = 32
"""Files that ldd is asked about at a time."""
SHOWN = 6
"""Names of defines that a difference has at most."""


def defines(tree: Path) -> dict[str, str]:
    """The macros that pyconfig.h defines, with their values; none where there is no such file."""
    try:
        text = (tree / "pyconfig.h").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {name: value or "" for name, value in _DEFINE.findall(text)}


def digest(found: Mapping[str, str]) -> str:
    """Hash of the macros of a pyconfig.h; empty for none."""
    text = "\n".join(f"{name} {value}" for name, value in sorted(found.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16] if found else ""


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, str]:
    """What each defines of the macros that differ: ``HAVE_SYS_SDT_H 1``, ``HAVE_SYS_SDT_H none``; the first few."""
    names = [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]
    more = [f"{len(names) - SHOWN} more"] * (len(names) > SHOWN)
    mine, its = (", ".join([f"{name} {side.get(name, 'none')}".strip() for name in names[:SHOWN]] + more)
                 for side in (one, other))
    return mine, its


def libraries(folder: Path) -> dict[str, tuple[str, ...]]:
    """The foreign libraries that the extension modules in a folder link: by module, the paths that they are found at.

    Those of the C library are left out. A name without a slash: not found. Nothing where the system has no ldd.
    """
    files = sorted(folder.glob("*.so")) if shutil.which("ldd") else []
    found: dict[str, tuple[str, ...]] = {}
    for start in range(0, len(files), BATCH):
        batch = files[start:start + BATCH]
        result = shell.run(["ldd", *batch], env=compiling.environment(), apart=True)
        # With one file, ldd does not say which.
        text = result.output if len(batch) > 1 else f"{batch[0]}:\n{result.output}"
        for part in re.split(r"^(?=/)", text, flags=re.MULTILINE):
            head, _, lines = part.partition(":\n")
            paths = tuple(sorted(filter(None, map(_library, lines.splitlines()))))
            if paths:
                found[Path(head).name.partition(".")[0]] = paths
    return found


def _library(line: str) -> str | None:
    name, _, place = line.strip().partition(" => ")
    name = name.partition(" (")[0]
    if _SYSTEM.match(Path(name).name):
        return None
    found = name if place.startswith("not found") else place.partition(" (")[0] or name
    return found if found.startswith("/") or place.startswith("not found") else None


def in_words(found: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The same by the libraries' names alone: ``{"zlib": "libz.so.1"}``."""
    return {module: " ".join(Path(path).name for path in paths) for module, paths in sorted(found.items())}
