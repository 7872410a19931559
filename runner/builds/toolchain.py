"""What a build is made with: compiler, target, assembler, linker, C library, and the libraries that it may find.

All of it is in a build's key. A cache may lie in a home that several machines or containers share, and what was made
on one would start, and run otherwise, on another.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from runner import shell
from runner.builds import compiling
from runner.errors import MachineError
from runner.owned import owned

LIMIT = 20.0
"""Seconds for one question."""
_GIVEN = ("CPPFLAGS", "CFLAGS", "OPT", "BASECFLAGS", "CFLAGS_NODIST")
"""Variables that configure passes to the compiler."""
_CLANGS = range(16, 24)
"""Major versions by whose name a clang may be called."""
_HEADERS: Mapping[str, tuple[str, str]] = {
    "bzip2": ("bzlib.h", ""), "bsddb": ("db.h", ""), "crypt": ("crypt.h", ""), "curses": ("curses.h", ""),
    "editline": ("editline/readline.h", ""), "expat": ("expat.h", ""), "ffi": ("ffi.h", ""),
    "gdbm": ("gdbm.h", ""), "gettext": ("libintl.h", ""), "lzma": ("lzma.h", "LZMA_VERSION_STRING"),
    "mpdecimal": ("mpdecimal.h", "MPD_VERSION"), "ncurses": ("ncurses.h", "NCURSES_VERSION"), "ndbm": ("ndbm.h", ""),
    "openssl": ("openssl/opensslv.h", "OPENSSL_VERSION_TEXT"), "probes": ("sys/sdt.h", ""),
    "readline": ("readline/readline.h", ""), "sqlite": ("sqlite3.h", "SQLITE_VERSION"),
    "tcl": ("tcl.h", "TCL_PATCH_LEVEL"), "tk": ("tk.h", ""), "uuid": ("uuid/uuid.h", ""),
    "zlib": ("zlib.h", "ZLIB_VERSION"), "zstd": ("zstd.h", "ZSTD_VERSION_STRING"),
}
"""What configure looks for and builds modules with: a header, and the macro in it that has the version."""
_PACKAGES = (
    "bzip2", "gdbm", "libffi", "liblzma", "libmpdec", "libzstd", "ncursesw", "openssl", "panelw", "readline", "sqlite3",
    "tcl", "tk", "uuid", "zlib",
)
"""What configure asks pkg-config for, which knows of headers where no compiler looks by itself."""
_MARK = "lockstep_has"


@lru_cache(maxsize=16)
def describe(flags: Sequence[str]) -> Mapping[str, str]:
    """What a build with these arguments for configure is made with, here and now.

    ``compiler``, ``target``, ``assembler``, ``linker``, ``libc``, ``pkg-config`` (what it knows of optional libraries)
    and ``libraries`` (what the compiler finds of them) are for people; ``macros`` is a hash of all that the compiler
    defines with the flags, so that ``-march=native`` is another thing on another processor. Raises MachineError where
    the compiler does not answer.
    """
    compiler = _words(flags, "CC")
    given = [word for name in _GIVEN for word in _words(flags, name)]
    given += [f"-I{flag.partition('=')[2]}/include" for flag in flags if flag.startswith("--with-openssl=")]
    with owned("lockstep-toolchain-") as folder:
        macros = _ask([*compiler, *given, "-dM", "-E", "-x", "c", "/dev/null"], folder)
        libc = _libc(compiler, given, folder)
        return {
            "compiler": _version(compiler, folder),
            "target": _line(_ask([*compiler, "-dumpmachine"], folder)) or "unknown",
            "assembler": _assembler(compiler, folder),
            "linker": _line(_ask([*compiler, *given, *_words(flags, "LDFLAGS"), "-Wl,--version"], folder)) or "unknown",
            "libc": libc,
            "pkg-config": _packages(flags, folder),
            "libraries": _libraries(compiler, given, folder),
            "macros": hashlib.sha256(macros.encode()).hexdigest()[:16],
            **({"clang": _clangs(folder)} if any("experimental-jit" in flag for flag in flags) else {}),
        }


def _words(flags: Sequence[str], name: str) -> list[str]:
    value = next((flag.partition("=")[2] for flag in reversed(flags) if flag.startswith(f"{name}=")), "")
    return shlex.split(value)


def _version(compiler: Sequence[str], folder: Path) -> str:
    result = shell.run([*compiler, "--version"], cwd=folder, env=compiling.environment(), timeout=LIMIT)
    if result.code or not result.output.strip():
        raise MachineError(f"{shlex.join(compiler)} --version failed: {result.output.strip()}")
    return result.output.splitlines()[0]


def _assembler(compiler: Sequence[str], folder: Path) -> str:
    program = _line(_ask([*compiler, "-print-prog-name=as"], folder))
    return (_line(_ask([program, "--version"], folder)) if program else "") or "unknown"


def _libc(compiler: Sequence[str], given: Sequence[str], folder: Path) -> str:
    """``glibc 2.36``; where its headers have no version, as musl's, a hash of the library that is linked."""
    said = _ask([*compiler, *given, "-dM", "-E", "-x", "c", "-include", "features.h", "/dev/null"], folder)
    version = dict(re.findall(r"^#define (__GLIBC(?:_MINOR)?__) (\d+)$", said, re.MULTILINE))
    if len(version) == 2:
        return f"glibc {version['__GLIBC__']}.{version['__GLIBC_MINOR__']}"
    for name in ("libc.so", "libc.so.6"):
        file = Path(_line(_ask([*compiler, f"-print-file-name={name}"], folder)))
        if file.is_absolute() and file.is_file():
            return f"libc {hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    return "unknown"


def _clangs(folder: Path) -> str:
    """The clangs that may make the templates of CPython's JIT, which finds one by itself."""
    names = ["clang", *(f"clang-{number}" for number in _CLANGS)]
    found = ((name, _line(_ask([name, "--version"], folder))) for name in names)
    return ", ".join(f"{name}: {said}" for name, said in found if said) or "none"


def _packages(flags: Sequence[str], folder: Path) -> str:
    """pkg-config's version, and those of the libraries that it knows: ``1.8.1: tcl 8.6.13, tk 8.6.13``."""
    variables = dict(flag.split("=", 1) for flag in flags if flag.startswith("PKG_CONFIG") and "=" in flag)
    program = variables.get("PKG_CONFIG", "pkg-config")
    version = _line(_ask([program, "--version"], folder, variables))
    if not version:
        return "none"
    found = ((name, _line(_ask([program, "--modversion", name], folder, variables))) for name in _PACKAGES)
    return f"{version}: {', '.join(f'{name} {known}' for name, known in found if known) or 'none'}"


def _libraries(compiler: Sequence[str], given: Sequence[str], folder: Path) -> str:
    """The optional libraries whose headers the compiler finds, with their versions where those say one."""
    lines = []
    for name, (header, macro) in _HEADERS.items():
        include = f"#include <{header}>\n" * bool(macro)
        lines.append(f"#if __has_include(<{header}>)\n{include}{_MARK} {name} {macro}\n#endif\n")
    source = folder / "libraries.c"
    source.write_text("".join(lines), encoding="utf-8")
    said = _ask([*compiler, *given, "-E", "-P", str(source)], folder)
    found = re.findall(rf"^{_MARK} (\w+)(.*)$", said, re.MULTILINE)
    # A text may be in pieces: "5" "." "4".
    texts = {name: re.sub(r'" *"', "", version).replace('"', "").strip() for name, version in found}
    return ", ".join(f"{name} {text}".strip() for name, text in sorted(texts.items())) or "none"


def _ask(command: Sequence[str], folder: Path, variables: Mapping[str, str] = MappingProxyType({})) -> str:
    """What a program prints; nothing where it cannot be asked, which is an answer too."""
    try:
        result = shell.run(
            command, cwd=folder, env={**compiling.environment(), **variables}, timeout=LIMIT, apart=True)
    except MachineError:
        return ""
    return "" if result.code else result.output


def _line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")
