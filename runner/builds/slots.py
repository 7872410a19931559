"""Slots: one place in a link for an object file that differs between two builds, so that all others lie alike.

Where code lies bears on speed. Two builds that differ in one object file place everything behind it differently, and
that alone makes benchmarks a few per cent faster or slower. A slot is as large as the larger of the two versions, in
every section, so that what follows it starts at one address in both builds. Where in the link a slot is, is drawn with
the order, so that what the change does to its own place is averaged and not frozen (docs/decisions/0018).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from runner import shell
from runner.builds import compiling
from runner.errors import BuildError
from runner.model import Arm

FLAGS = {"A": "a", "W": "w", "X": "x", "T": "T"}
"""Flags of a section as readelf prints them, and as the assembler takes them; not those of merging, see `_unmerged`."""
GATHERED = (
    ".text.unlikely", ".text.exit", ".text.startup", ".text.hot", ".text", ".rodata", ".data.rel.ro.local",
    ".data.rel.ro", ".data", ".bss", ".tdata", ".tbss",
)
"""Sections that the linker gathers from all files, with those whose names go on after a dot; the first that fits."""
FEW = 8
"""Object files that are compiled anew at most: one takes seconds."""
WORKERS = 2
"""Programs of binutils that run at a time."""
_ROW = re.compile(
    r"\s*\[\s*\d+\]\s+(\S+)\s+(\S+)\s+[0-9a-f]+\s+[0-9a-f]+\s+([0-9a-f]+)\s+[0-9a-f]+\s+(\S*)\s+\d+\s+\d+\s+(\d+)"
)
"""Name, type, size, flags and alignment in a row of readelf's table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What an object file adds to one section that is loaded."""

    flags: str
    """As readelf prints them."""
    kind: str
    """``progbits``, ``nobits`` and so on, as the assembler takes it."""
    size: int
    """Bytes."""
    align: int
    """Bytes, 1 or more."""


def parse(listing: str) -> dict[str, Section]:
    """The loaded sections that are not empty, by name, from what ``readelf -SW`` prints.

    Unwinding tables and notes are left out: the linker rewrites them, and no code is behind them.
    """
    found = {}
    for line in listing.splitlines():
        row = _ROW.match(line)
        if row and "A" in row[4] and not row[1].startswith((".eh_frame", ".note")) and int(row[3], 16):
            found[row[1]] = Section(flags=row[4], kind=row[2].lower(), size=int(row[3], 16), align=max(1, int(row[5])))
    return found


def extents(sections: Mapping[str, Section]) -> dict[str, Section]:
    """What an object file takes up where the linker gathers sections of a kind, by the gathered section's name.

    From a start that has the alignment of the strictest of them, in the order of the file: what lies between two of
    them depends on their sizes.
    """
    found: dict[str, Section] = {}
    for name, section in sections.items():
        kind = next((kind for kind in GATHERED if name == kind or name.startswith(f"{kind}.")), name)
        whole = found.get(kind, replace(section, size=0))
        size = -(-whole.size // section.align) * section.align + section.size
        found[kind] = replace(whole, size=size, align=max(whole.align, section.align))
    return found


def larger(one: Mapping[str, Section], other: Mapping[str, Section]) -> dict[str, Section]:
    """For each section of either, the larger size and the stricter alignment."""
    found = {**one, **other}
    for name in one.keys() & other.keys():
        size, align = max(one[name].size, other[name].size), max(one[name].align, other[name].align)
        found[name] = replace(one[name], size=size, align=align)
    return found


def source(sections: Mapping[str, Section], sizes: Mapping[str, int], *, aligned: bool) -> str:
    """An assembler file that adds so many bytes to sections; with `aligned`, each from a boundary of its alignment."""
    lines = []
    for name, size in sizes.items():
        flags = "".join(letter for shown, letter in FLAGS.items() if shown in sections[name].flags)
        kind = sections[name].kind if sections[name].kind in ("progbits", "nobits") else "progbits"
        lines += [f'.section {name},"{flags}",@{kind}', *([f".balign {sections[name].align}"] if aligned else [])]
        lines.append(f".skip {size}")
    return "\n".join([*lines, '.section .note.GNU-stack,"",@progbits', ""])


def make(
    objects: Mapping[Arm, Mapping[str, Path]], folders: Mapping[Arm, Path], assembler: Sequence[str],
    anew: Callable[[str], Mapping[Arm, Path] | None] = lambda name: None,
) -> dict[Arm, dict[str, tuple[str, ...]]]:
    """Make the slots of two links: for each arm, the files that stand in the place of an object file, by its name.

    They are absolute paths, in order; the names are the same in both arms, and none where nothing differs.
    `objects` are each arm's object files by their names in the link command, `folders` where the slots' own files go,
    `assembler` the start of a command that assembles (``gcc``). `anew` may give other versions of an object file that
    both have; at most `FEW` are asked for. Raises BuildError.
    """
    words: dict[Arm, dict[str, tuple[str, ...]]] = {arm: {} for arm in Arm}
    names = _differing(objects)
    for name in names:
        slug = name.replace("/", "-").removesuffix(".o")
        versions = {arm: objects[arm].get(name) for arm in Arm}
        if len(names) <= FEW and None not in versions.values():
            versions = {**versions, **(anew(name) or {})}
        sections = {arm: {} if version is None else sections_of(version) for arm, version in versions.items()}
        taken = {arm: extents(found) for arm, found in sections.items()}
        slot = larger(taken[Arm.BASE], taken[Arm.HEAD])
        # A start of no size would be dropped by the linker, and its alignment with it.
        start = source(slot, {kind: whole.align for kind, whole in slot.items()}, aligned=True)
        for arm, version in versions.items():
            folder = folders[arm]
            folder.mkdir(parents=True, exist_ok=True)
            sizes = {kind: one.size for kind, one in taken[arm].items()}
            lacking = {kind: whole.size - sizes.get(kind, 0) for kind, whole in slot.items()}
            rest = source(slot, {kind: size for kind, size in lacking.items() if size}, aligned=False)
            own = [] if version is None else [_unmerged(version, folder / f"{slug}.o", sections[arm])]
            files = [_assembled(folder / f"{slug}-start.s", start, assembler), *own,
                     _assembled(folder / f"{slug}-rest.s", rest, assembler)]
            words[arm][name] = tuple(map(str, files))
    return words


def _differing(objects: Mapping[Arm, Mapping[str, Path]]) -> list[str]:
    """Names of the object files that are not in both links, or not with the same content as far as it is loaded."""
    base, head = objects[Arm.BASE], objects[Arm.HEAD]
    names = list(dict.fromkeys([*base, *head]))
    both = [name for name in names if name in base and name in head]
    # Compilers write paths for debuggers, so that files of two trees may differ in nothing else.
    unequal = [name for name in both if base[name].read_bytes() != head[name].read_bytes()]
    with ThreadPoolExecutor(WORKERS) as pool:
        differ = pool.map(lambda name: loaded(base[name]) != loaded(head[name]), unequal)
        really = dict(zip(unequal, differ, strict=True))
    return [name for name in names if really.get(name, name not in both)]


def loaded(path: Path) -> str:
    """All of an object file that is loaded, as text: not what a debugger reads, whose paths differ between trees."""
    only = [f"--section={name}" for name in sections_of(path)]
    return _run(["objdump", "-s", "-r", "-t", *only, path]).replace(str(path), "")


def sections_of(path: Path) -> dict[str, Section]:
    """The loaded sections of an object file, as `parse` gives them. Raises BuildError."""
    return parse(_run(["readelf", "-SW", path]))


def _unmerged(path: Path, new: Path, sections: Mapping[str, Section]) -> Path:
    """A copy of an object file whose strings stay its own.

    The linker merges equal strings of all files, so that the strings of one decide where those of all others lie.
    """
    merged = [name for name, section in sections.items() if "M" in section.flags]
    flags = [word for name in merged for word in ("--set-section-flags", f"{name}=alloc,load,readonly,data,contents")]
    _run(["objcopy", *flags, path, new])
    return new


def _assembled(path: Path, text: str, assembler: Sequence[str]) -> Path:
    path.write_text(text, encoding="utf-8")
    _run([*assembler, "-c", "-o", path.with_suffix(".o"), path])
    return path.with_suffix(".o")


def _run(command: Sequence[str | Path]) -> str:
    result = shell.run(command, env=compiling.environment())
    if result.code:
        raise BuildError(f"{command[0]} failed on an object file:\n{result.output.strip()[-1000:]}")
    return result.output
