"""Link orders: one build's object files, linked anew in an order and with paddings drawn from a seed.

Where the linker puts a function decides what it collides with in the caches and the branch predictors, and
two builds differ in it for no reason in the source (Mytkowicz et al. 2009). Here nothing is compiled again:
the link command is the one that make would run, with the object files shuffled behind a pad object. The pad
is needed because GNU ld gathers `.text.hot` first, so that shuffling alone hardly moves the interpreter's loop.

    layouts/KEY/SEED/   the executable, its linked extension modules, symbols.json; the rest are links to the build
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from runner import shell
from runner.builds import cache, compiling, farm, functions, slots
from runner.builds.releases import sha256_of
from runner.errors import BuildError, MachineError
from runner.model import Arm, Build, Interpreter
from runner.owned import owned

LIMIT = 2 << 30
"""Bytes of layouts that are kept; the oldest are removed first."""
STEP = 16
"""Bytes: what functions are aligned to, so that a finer padding would be lost."""
STEPS = 256
"""Different paddings of a section, from 0 up to a page."""
USED = 16
"""Layouts of a build that a process uses at a time, at most: those of its last blocks and of its canary's copies."""
SYMBOLS = "symbols.json"
"""In a layout's folder: where the hot functions are. Written last."""
SLOTS = "2"
"""Raised when slots are made in another way: a layout that is in the cache is then another one."""
SECTIONS = (".text.hot", ".text", ".text.unlikely")
HOT = (
    "_PyEval_EvalFrameDefault", "_PyEval_Vector", "_PyObject_Malloc", "_PyObject_Free", "_Py_dict_lookup",
    "PyDict_GetItemWithError", "_PyObject_GenericGetAttrWithDict", "_PyType_Lookup", "PyObject_Vectorcall",
    "PyObject_GetAttr", "PyObject_RichCompare", "_Py_NewReference", "PyTuple_New", "PyLong_FromLong", "_PyLong_Add",
    "PyUnicode_FromFormatV", "PyList_Append", "PyBytes_FromStringAndSize",
)
"""Functions that most programs call most; those of them that a version has (a dozen or more) are watched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A link command, taken apart."""

    start: tuple[str, ...]
    """The compiler and its flags, up to the first object file."""
    objects: tuple[str, ...]
    end: tuple[str, ...]
    """Libraries and archives."""

    def words(
        self, output: Path, pad: Path | None, seed: int | None, slots: Mapping[str, Sequence[str]] | None = None
    ) -> list[str]:
        """The command for another output; `seed` None keeps make's order.

        `slots` has what stands in the place of object files, by name, also of those that the command lacks.
        """
        slots = slots or {}
        pads = [] if pad is None else [str(pad)]
        ordered = shuffled(list(dict.fromkeys([*self.objects, *slots])), seed)
        objects = [word for name in ordered for word in slots.get(name, (name,))]
        return [*self.start, "-Wl,-S", "-o", str(output), *pads, *objects, *self.end]


def shuffled(objects: Sequence[str], seed: int | None) -> list[str]:
    """The object files in an order drawn from the seed, in which any two stand alike whatever else is linked.

    So two builds that have most object files in common get them in one order. None keeps the order.
    """
    return list(objects) if seed is None else sorted(objects, key=lambda name: _draw(seed, name))


def _draw(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed} {name}".encode(), digest_size=8).digest(), "big")


def pad_source(seed: int) -> str:
    """An assembler file that moves what follows it in each section of code, by 0 to a page less 16 bytes."""
    lines = []
    for section in SECTIONS:
        size = _draw(seed, f"pad {section}") % STEPS * STEP
        lines += [f'.section {section},"ax",@progbits', f".balign {STEP}", f".skip {size}"]
    return "\n".join([*lines, '.section .note.GNU-stack,"",@progbits', ""])


def parse(line: str, output: str) -> Command | None:
    """Take the command apart that links `output`; None where it does not link object files."""
    words = shlex.split(line)
    if "-o" not in words or words[words.index("-o") + 1] != output:
        return None
    at = words.index("-o")
    rest = words[:at] + words[at + 2 :]
    places = [i for i, word in enumerate(rest) if word.endswith(".o") and not word.startswith("-")]
    if not places:
        return None
    inside = rest[places[0] : places[-1] + 1]
    # The order of libraries among themselves matters; that of object files does not.
    return Command(
        start=tuple(rest[: places[0]]), objects=tuple(word for word in inside if word.endswith(".o")),
        end=(*(word for word in inside if not word.endswith(".o")), *rest[places[-1] + 1 :]),
    )


class Linker:
    """Links one build anew. Its link commands are asked of make once."""

    def __init__(self, interpreter: Interpreter, partner: Interpreter | None = None) -> None:
        """`partner` is another build whose object files are to have the same places, see `give_slots`.

        Raises BuildError, which says why, for an interpreter that cannot be linked anew.
        """
        if interpreter.build is None:
            raise BuildError(f"{interpreter.spec} is not a build of Lockstep's, so its object files are not there")
        self._interpreter, self._build = interpreter, interpreter.build
        if not cache.use(self._build.tree.parent):
            raise BuildError(f"the build {interpreter.spec} is no longer in {self._build.tree.parent}")
        self._used: deque[cache.Use] = deque(maxlen=USED)
        self._tree = self._build.tree
        self._name = next(path.name for path in (self._tree / "python", self._tree / "python.exe") if path.is_file())
        reason = _unfit(self._build)
        if reason is not None:
            raise BuildError(f"{interpreter.spec} {reason}")
        self._command = self._ask(self._name, "Programs/python.o")
        if self._command is None or len(self._command.objects) < 50:
            raise BuildError(f"{interpreter.spec} is not linked from object files but from a library")
        self._extensions: dict[str, Command | None] = {}
        self._slots: dict[str, Mapping[str, Sequence[str]]] = {}
        self._pair = "" if partner is None or partner.build is None else _pair(self._build, partner.build)

    def objects(self, target: str | None = None) -> dict[str, Path] | None:
        """Object files of the executable or of an extension module, by their names in the link; None: not known."""
        command = self._command if target is None else self._of_extension(target)
        return None if command is None else {name: self._tree / name for name in command.objects}

    @property
    def compiler(self) -> str:
        """The compiler that links, and assembles what is linked beside the build's own files."""
        assert self._command is not None
        return self._command.start[0]

    def compiling(self, name: str) -> functions.Compiling | None:
        """How make compiles an object file; None where it does not say."""
        said = self._make_says(name, str(Path(name).with_suffix(".c")))
        found = (functions.parse(line, name) for line in reversed(said) if f"-o {name}" in line)
        words = next((words for words in found if words is not None), None)
        return None if words is None else functions.Compiling(words=words, tree=self._tree)

    def give_slots(self, words: Mapping[str, Sequence[str]], target: str | None = None) -> None:
        """Files that stand in the place of object files from now on, in the executable or in an extension module."""
        self._slots[target or self._name] = words

    def link(self, seed: int, extensions: Sequence[str] = ()) -> Interpreter:
        """The interpreter in the layout of a seed, with these extension modules (file names) in it too.

        Made if it is not in the cache. Raises BuildError.
        """
        folder = self._folder(seed)
        try:
            self._used.append(self._there(folder, seed))
            os.utime(folder)
            place = farm.extensions(folder)
            for name in extensions:
                if (place / name).is_symlink() and self._of_extension(name) is not None:
                    self._link_extension(place / name, seed)
        except OSError as error:
            raise cache.problem(error) from error
        return replace(self._interpreter, executable=folder / self._name)

    def _there(self, folder: Path, seed: int) -> cache.Use:
        while True:
            try:
                return cache.Use(folder / SYMBOLS)
            except FileNotFoundError:
                self._make(folder, seed)

    def let_go(self) -> None:
        """The layouts that were linked are in use no longer."""
        for use in self._used:
            use.close()
        self._used.clear()

    def covers(self, extension: str) -> bool:
        """Whether this extension module can be linked anew."""
        return self._of_extension(extension) is not None

    def addresses(self, seed: int) -> Mapping[str, int]:
        """Where the hot functions are in a layout that was linked; bytes from the start of the file's image."""
        found = json.loads((self._folder(seed) / SYMBOLS).read_text(encoding="utf-8"))
        return {str(name): int(address) for name, address in found.items()}

    def unshuffled(self, output: Path) -> None:
        """Link in make's own order without a pad, which must give make's own file. Raises BuildError."""
        assert self._command is not None
        self._run(self._command.words(output, None, None))

    def _folder(self, seed: int) -> Path:
        # The slots follow from the two builds of a pair, so that a layout of another pair is another layout.
        return cache.home() / "layouts" / self._build.key / f"{seed:08x}{self._pair}"

    def _make(self, folder: Path, seed: int) -> None:
        assert self._command is not None
        with cache.scratch() as scratch:
            new = scratch / "layout"
            farm.plant(self._tree, new, self._name)
            self._run(self._command.words(
                new / self._name, self._pad(scratch, seed), seed, self._slots.get(self._name)
            ))
            symbols = hot_symbols(new / self._name)
            (new / SYMBOLS).write_text(json.dumps(symbols), encoding="utf-8")
            (cache.folder("layouts") / self._build.key).mkdir(exist_ok=True)
            if not (folder / SYMBOLS).is_file():
                shutil.rmtree(folder, ignore_errors=True)
            try:
                new.rename(folder)
            except OSError:
                if not (folder / SYMBOLS).is_file():  # else another process has made it meanwhile
                    raise

    def _link_extension(self, place: Path, seed: int) -> None:
        command = self._of_extension(place.name)
        assert command is not None
        with cache.scratch() as scratch:
            self._run(command.words(
                scratch / place.name, self._pad(scratch, seed), seed, self._slots.get(place.name)
            ))
            (scratch / place.name).replace(place)

    def _pad(self, scratch: Path, seed: int) -> Path:
        source, pad = scratch / "pad.s", scratch / "pad.o"
        source.write_text(pad_source(seed), encoding="utf-8")
        self._run([self.compiler, "-c", "-o", str(pad), str(source)])
        return pad

    def _of_extension(self, name: str) -> Command | None:
        if name not in self._extensions:
            # Before 3.12 a script builds them, and make does not know how.
            self._extensions[name] = self._ask(f"Modules/{name}", "Modules/config.c")
        return self._extensions[name]

    def _ask(self, target: str, changed: str) -> Command | None:
        """What make would run to link a target, if another file had changed."""
        lines = self._make_says(target, changed)
        found = (parse(line, target) for line in reversed(lines) if f"-o {target}" in line)
        return next((command for command in found if command is not None), None)

    def _make_says(self, target: str, changed: str) -> list[str]:
        result = shell.run(["make", "-n", "-W", changed, target], cwd=self._tree, env=compiling.environment())
        # A line may be continued on the next one.
        return result.output.replace("\\\n", " ").splitlines()

    def _run(self, command: Sequence[str]) -> None:
        result = shell.run(command, cwd=self._tree, env=compiling.environment())
        if result.code:
            said = f"linking {self._interpreter.spec} anew failed:\n{result.output.strip()[-2000:]}"
            raise MachineError(f"{said}\n{cache.full()}") if cache.says_full(result.output) else BuildError(said)


def _pair(one: Build, other: Build) -> str:
    words = " ".join((SLOTS, *sorted((one.key, other.key))))
    return "-" + hashlib.blake2b(words.encode(), digest_size=4).hexdigest()


def _unfit(build: Build) -> str | None:
    flags = " ".join(build.flags)
    if "--with-lto" in flags or "-flto" in flags:
        return "is built with LTO, where every new order costs the whole optimisation again"
    if "--enable-bolt" in flags:
        return "is built with BOLT, which decides the order itself"
    return None


def hot_symbols(executable: Path) -> dict[str, int]:
    """Address of each of the `HOT` functions that the executable has. Raises BuildError."""
    result = shell.run(["nm", "--defined-only", executable])
    if result.code:
        raise BuildError(f"nm cannot read {executable}: {result.output.strip()[-500:]}")
    wanted = set(HOT)
    rows = (line.split() for line in result.output.splitlines())
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3 and row[2] in wanted}


def moved(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """Whether the watched functions are in other places of their pages in two layouts, most of them.

    Not all: there are 256 places, and the functions of one file move together, so that in one pair of layouts in
    twenty-five some file's are where they were. In the page, because address space randomisation puts the pages
    themselves anywhere.
    """
    common = one.keys() & other.keys()
    same = sum(one[name] % 4096 == other[name] % 4096 for name in common)
    return bool(common) and same < len(common) / 2


def trim(limit: int = LIMIT) -> None:
    """Remove the layouts that were not used for longest and are not in use, until the others fit into `limit` bytes."""
    found: list[tuple[float, int, Path]] = []
    for path in (cache.home() / "layouts").glob("*/*"):
        with contextlib.suppress(FileNotFoundError):  # another process removes it just now
            size = sum(file.lstat().st_size for file in path.rglob("*") if not file.is_symlink())
            found.append((path.stat().st_mtime, size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            break
        if drop(path):
            total -= size


def drop(layout: Path) -> bool:
    """Remove a layout, unless a process uses it; returns whether it is gone."""
    symbols = layout / SYMBOLS
    with cache.free(symbols) as unused:
        if symbols.exists() and not unused:
            return False
        with contextlib.suppress(FileNotFoundError):  # another process has removed it
            cache.discard(layout)
    return True


class Layouts:
    """Both arms of a run, linked anew together: a seed gives both the same order and paddings."""

    def __init__(self, base: Interpreter, head: Interpreter) -> None:
        """Raises BuildError, which says why, where one of them cannot be linked anew."""
        one = base.build is not None and head.build is not None and base.build.key == head.build.key
        linker = Linker(base, None if one else head)
        self._linkers = {Arm.BASE: linker, Arm.HEAD: linker if one else Linker(head, base)}
        self._one = one
        self._slotted: set[str | None] = set()
        with contextlib.ExitStack() as stack:
            self._files = stack.enter_context(owned("lockstep-slots-"))
            weakref.finalize(self, stack.pop_all().close)
        trim()

    def arms(self, seed: int, extensions: Sequence[str] = ()) -> dict[Arm, Interpreter]:
        """Both interpreters in the layout of a seed, made if need be. Raises BuildError."""
        for target in (None, *extensions):
            self._give_slots(target)
        different = list(dict.fromkeys(self._linkers.values()))
        with ThreadPoolExecutor(len(different)) as pool:
            done = dict(zip(different, pool.map(lambda linker: linker.link(seed, extensions), different), strict=True))
        return {arm: done[linker] for arm, linker in self._linkers.items()}

    def _give_slots(self, target: str | None) -> None:
        """See that what differs between the arms has one place in both, in the executable or an extension module."""
        if self._one or target in self._slotted:
            return
        objects = {arm: found for arm, linker in self._linkers.items() if (found := linker.objects(target)) is not None}
        if len(objects) == len(Arm):
            folders = {arm: self._files / arm.value / (target or "executable") for arm in Arm}

            def anew(name: str) -> Mapping[Arm, Path] | None:
                here = {arm: folder / "anew" / name.replace("/", "-") for arm, folder in folders.items()}
                both = {arm: found[name] for arm, found in objects.items()}
                return functions.apart(both, {arm: one.compiling(name) for arm, one in self._linkers.items()}, here)

            made = slots.make(objects, folders, [self._linkers[Arm.BASE].compiler], anew)
            for arm, linker in self._linkers.items():
                linker.give_slots(made[arm], target)
        self._slotted.add(target)

    def addresses(self, seed: int) -> dict[Arm, Mapping[str, int]]:
        """Where the hot functions are in both arms in a layout that was made."""
        return {arm: linker.addresses(seed) for arm, linker in self._linkers.items()}

    def uncovered(self, extensions: Sequence[str]) -> list[str]:
        """Those of these extension modules that stay as they are, in one arm or both."""
        return [name for name in extensions if not all(linker.covers(name) for linker in self._linkers.values())]

    def check(self, one: int, other: int) -> None:
        """Link two layouts and compare them. Raises BuildError where the hot functions did not move."""
        for seed in (one, other):
            self.arms(seed)
        before, after = self.addresses(one), self.addresses(other)
        for arm in Arm:
            if not moved(before[arm], after[arm]):
                raise BuildError(f"linking {arm.value} in another order does not move its hot functions")


def fixed(interpreter: Interpreter, seed: int) -> Interpreter:
    """The interpreter in one layout, for good: what ``?layout=SEED`` in a build's name means. Raises BuildError."""
    linked = Linker(interpreter).link(seed)
    assert linked.build is not None
    cache.use(linked.executable.parent, SYMBOLS)
    return replace(linked, sha256=sha256_of(linked.executable), build=replace(linked.build, layout=seed))
