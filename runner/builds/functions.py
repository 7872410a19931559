"""An object file that differs between two builds, compiled anew so that each of its functions has one place in both.

Most of a changed file's functions are not changed. Behind one that is longer they lie elsewhere all the same, and that
alone makes them a few per cent faster or slower. So the file is compiled to assembler with a section for each function,
and in each section both builds get as much room as the longer version needs (docs/decisions/0018).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runner import shell
from runner.builds import compiling
from runner.builds.slots import Section, loaded, sections_of
from runner.model import Arm

STEP = 16
"""Bytes: what functions are aligned to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiling:
    """How make compiles an object file."""

    words: tuple[str, ...]
    """The command without its output."""
    tree: Path
    """Where it is run."""

    def run(self, output: Path, *flags: str) -> bool:
        """Run it for another output, with more flags; False where it fails."""
        return shell.run([*self.words, *flags, "-o", output], cwd=self.tree, env=compiling.environment()).code == 0


def parse(line: str, output: str) -> tuple[str, ...] | None:
    """A compile command without its output; None where it does not compile one file to `output`."""
    words = shlex.split(line)
    if "-c" not in words or "-o" not in words[:-1] or words[words.index("-o") + 1] != output:
        return None
    at = words.index("-o")
    return tuple(words[:at] + words[at + 2 :])


def apart(
    objects: Mapping[Arm, Path], compiling: Mapping[Arm, Compiling | None], folders: Mapping[Arm, Path]
) -> dict[Arm, Path] | None:
    """Both versions of an object file anew, their functions at equal offsets; new files are written to `folders`.

    None where that is not to be had: make does not say how it compiles the file, the compiler makes another file of it
    than the build has (a profile or a generated source is missing), or there is no function by itself.
    """
    texts: dict[Arm, str] = {}
    sections: dict[Arm, dict[str, Section]] = {}
    for arm in Arm:
        how, folder = compiling[arm], folders[arm]
        folder.mkdir(parents=True, exist_ok=True)
        plain, assembler, single = (folder / name for name in ("again.o", "functions.s", "functions.o"))
        if how is None or not how.run(plain) or loaded(plain) != loaded(objects[arm]):
            return None
        split = Compiling(words=tuple("-S" if word == "-c" else word for word in how.words), tree=how.tree)
        if not split.run(assembler, "-ffunction-sections", "-g0") or not _assembled(how, assembler, single):
            return None
        texts[arm] = assembler.read_text(encoding="utf-8")
        sections[arm] = {name: one for name, one in sections_of(single).items() if name.startswith(".text.")}
    room = dict.fromkeys([*sections[Arm.BASE], *sections[Arm.HEAD]], 0)
    for found in sections.values():
        room.update({name: max(room[name], -(-one.size // STEP) * STEP) for name, one in found.items()})
    made = {}
    for arm in Arm:
        sizes = {name: one.size for name, one in sections[arm].items()}
        padded = folders[arm] / f"{objects[arm].stem}-functions.s"
        padded.write_text(_padded(texts[arm], room, sizes), encoding="utf-8")
        made[arm] = padded.with_suffix(".o")
        how = compiling[arm]
        if not room or how is None or not _assembled(how, padded, made[arm]):
            return None
    offsets = [[(name, one.size) for name, one in sections_of(made[arm]).items() if name in room] for arm in Arm]
    return made if offsets[0] == offsets[1] else None


def _padded(text: str, room: Mapping[str, int], sizes: Mapping[str, int]) -> str:
    """The sections in one order, each from a boundary on, and what each lacks behind it."""
    # Their order in the file is that in which they are first named.
    start = [line for name in room for line in (f'.section {name},"ax",@progbits', f".balign {STEP}")]
    end = [line for name, size in room.items()
           for line in (f'.section {name},"ax",@progbits', f".skip {size - sizes.get(name, 0)}")]
    return "\n".join([*start, ".text", text, *end, ""])


def _assembled(how: Compiling, source: Path, output: Path) -> bool:
    return shell.run([how.words[0], "-c", source, "-o", output], env=compiling.environment()).code == 0
