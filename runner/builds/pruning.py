"""What the cache can do without: leftovers, what was not used for long, and what is too much.

Nothing goes that a living process uses or makes: a build and a layout are locked by who uses them, a scratch folder by
who made it; what builds are made from stays while anything is being made; packages of pyperf scripts stay for two days
after a run has begun with them.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.builds import cache, layouts, record
from runner.owned import LOCK

DAY = 86400.0
MAX_AGE = 90 * DAY
"""Seconds since the last use after which something goes, unless the user says otherwise."""
MAX_SIZE = 10 << 30
"""Bytes of the whole cache above which the least recently used goes."""
_FOLDERS = {"downloads": "download", "vendor": "download", "git": "repository", "logs": "log", "trees": "tree"}
"""Folders whose entries can go one by one, and what one is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something in the cache that can be removed by itself."""

    kind: str
    """``build``, ``layout``, ``download`` and so on; ``leftover``: nobody will ever use it."""
    label: str
    path: Path
    size: int
    """Bytes on disk; a build's without its layouts."""
    used: float
    """Seconds since the epoch; a layout's, at latest when its build was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What went, or would go."""

    gone: Sequence[Item]
    kept: int
    """Bytes of what stays."""


def prune(*, max_size: int = MAX_SIZE, max_age: float = MAX_AGE, dry_run: bool = False) -> Pruned:
    """Remove leftovers, what was not used for `max_age` seconds, and the least recently used until the rest fits into
    `max_size` bytes. With `dry_run`, only find what would go.

    Raises MachineError where the cache has no folder that can be written.
    """
    now = time.time()
    cache.folder("scratch")
    items = sorted(
        _items(cache.home(), now), key=lambda item: (item.kind != "leftover", item.used, item.kind == "build")
    )
    total = sum(item.size for item in items)
    gone = []
    for item in items:
        if item.kind == "leftover" or now - item.used > max_age or total > max_size:
            with _claimed(item) as claimed:
                if claimed and (dry_run or _remove(item.path)):
                    gone.append(item)
                    total -= item.size
    # Last: looking whether a build is being made leaves its lock.
    for path in _in(cache.folder("locks")):
        with cache.free(path) as unused:
            if unused and (dry_run or _remove(path)):
                gone.append(_item("leftover", path, f"lock {path.name}", _used(path)))
    return Pruned(gone=gone, kept=total)


def _items(top: Path, now: float) -> Iterator[Item]:
    """All that can be removed in one folder of the cache."""
    entries = {entry.key: entry for entry in cache.cached() if entry.folder.parent.parent == top}
    for path in _in(top / "builds"):
        entry = entries.get(path.name)
        used = entry.used if entry else _used(path)
        # An older version has no lock on what it uses, so that what was used of late may be in use.
        stale = (entry is None or not entry.usable) and now - used > DAY
        label = f"{entry.label} ({path.name[:12]})" if entry else path.name
        yield _item("leftover" if stale else "build", path, f"{label}, not usable" if stale else label, used)
    for path in _in(top / "layouts"):
        entry = entries.get(path.name)
        for layout in _in(path):
            used = _used(layout)
            label = f"{entry.label if entry else path.name}, layout {layout.name}"
            yield _item("layout" if entry else "leftover", layout, label, min(used, entry.used) if entry else used)
    for path in _in(top / "scratch"):
        # One without a lock is just being made, or an older version's.
        if (path / LOCK).exists() or now - _used(path) > DAY:
            yield _item("leftover", path, f"unfinished {path.name}", _used(path))
    for folder, kind in _FOLDERS.items():
        for path in _in(top / folder):
            torn = path.suffix in (".wrong", ".part") and now - _used(path) > DAY
            yield _item("leftover" if torn else kind, path, path.name, _used(path))
    for made in [made for path in _in(top / "pyperf") for made in _in(path) if made.is_dir()]:
        left = made.name.startswith("making-")
        if not left or now - _used(made) > DAY:
            label = f"unfinished {made.name}" if left else f"packages for {made.name}"
            yield _item("leftover" if left else "packages", made, label, _used(made))
    for name, kind in (("apt", "package list"), ("hypothesis", "constants")):
        if (top / name).is_dir():
            yield _item(kind, top / name, name, _used(top / name))


@contextlib.contextmanager
def _claimed(item: Item) -> Iterator[bool]:
    """Whether no process uses or makes it; none can meanwhile."""
    # They have no lock: each process of a run marks them when it begins to measure.
    if item.kind == "packages" and time.time() - item.used < 2 * DAY:
        yield False
        return
    with contextlib.ExitStack() as stack:
        yield all(stack.enter_context(cache.free(path)) for path in _guards(item) if path.exists())


def _guards(item: Item) -> Iterable[Path]:
    """The files that are locked by who uses or makes something."""
    folder, path = item.path.parent, item.path
    if folder.name == "builds":
        return cache.lock_file(path.name), path / record.NAME
    if folder.parent.name == "layouts":
        return (path / layouts.SYMBOLS,)
    if folder.name == "scratch":
        return (path / LOCK,)
    return _in(cache.folder("locks")) if item.kind in ("download", "repository", "package list") else ()


def _remove(path: Path) -> bool:
    """Remove a file or folder; returns whether it is gone."""
    try:
        cache.discard(path)
    except OSError:
        # A full disk has no room for a new folder to move it to. What makes it look whole goes first.
        for first in (path / record.NAME, path / layouts.SYMBOLS, path):
            with contextlib.suppress(OSError):
                first.unlink()
        shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _item(kind: str, path: Path, label: str, used: float) -> Item:
    return Item(kind=kind, label=label, path=path, size=cache.size(path), used=used)


def _in(folder: Path) -> Sequence[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else ()


def _used(path: Path) -> float:
    """When something was changed or marked as used; of a folder, also what is directly in it."""
    with contextlib.suppress(OSError):
        return max(one.lstat().st_mtime for one in (path, *_in(path)))
    return time.time()
