"""Which git trees hold a release, with or without variants: so that one source is built once, however it is named.

Format, version 1: a file `trees/HASH.json` in the cache for each tree, with ``version`` and ``release`` (its sha256),
``edits`` (names of variants) and ``edits_hash`` (of what they did when the tree was made).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from runner.builds import cache, edits
from runner.builds.edits import Edit
from runner.builds.releases import Catalogue, Release
from runner.errors import UsageError


def remember(tree: str, release: Release, applied: Sequence[Edit]) -> None:
    """Put on record what a tree (git's hash of it) holds. Raises MachineError where the cache cannot be written."""
    content = {
        "version": release.version, "release": release.sha256,
        "edits": [edit.name for edit in applied], "edits_hash": edits.digest(applied),
    }
    path = cache.folder("trees") / f"{tree}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def recall(tree: str, catalogue: Catalogue, variants: Path) -> tuple[Release, tuple[Edit, ...]] | None:
    """The release and the variants that a tree holds; None where that is not known, or the variants have changed."""
    paths = [path for trees in cache.kept("trees") if (path := trees / f"{tree}.json").is_file()]
    try:
        known = json.loads(paths[-1].read_text(encoding="utf-8"))
        release = catalogue.releases[known["version"]]
        applied = edits.load_all(known["edits"], variants)
    except (OSError, ValueError, LookupError, TypeError, UsageError):
        return None
    with contextlib.suppress(OSError):  # somebody else's
        os.utime(paths[-1])
    same = release.sha256 == known.get("release") and edits.digest(applied) == known.get("edits_hash")
    return (release, applied) if same else None


def holding(catalogue: Catalogue, variants: Path) -> Iterator[tuple[str, Release, tuple[Edit, ...]]]:
    """All trees that are known, with what they hold."""
    for tree in sorted({path.stem for trees in cache.kept("trees") for path in trees.glob("*.json")}):
        known = recall(tree, catalogue, variants)
        if known is not None:
            yield tree, *known
