"""Which modules of the standard library an interpreter lacks, and the foreign libraries that it has.

Whether `_ssl`, `_pickle` or `zlib` was built depends on what was installed when the interpreter was made, and no flag
tells of it: a benchmark then does other work in one arm, or the same work in Python instead of C.
"""

from __future__ import annotations

from collections.abc import Mapping

SCRIPT = '''
def modules():
    import sys
    from importlib import import_module
    from importlib.util import find_spec
    found = {}
    for name in sorted(getattr(sys, "stdlib_module_names", ())):
        try:
            there = name in sys.modules or find_spec(name) is not None
        except Exception:
            there = True
        if not there:
            found[name] = "missing"
    # Not readline, which writes to the terminal, nor _tkinter, which loads half a desktop.
    for name, version in (
        ("_ssl", "OPENSSL_VERSION"), ("_hashlib", ""), ("zlib", "ZLIB_RUNTIME_VERSION"), ("_bz2", ""), ("_lzma", ""),
        ("_zstd", "zstd_version"), ("_sqlite3", "sqlite_version"), ("_ctypes", ""), ("_curses", "ncurses_version"),
        ("_gdbm", ""), ("_dbm", ""), ("_uuid", ""), ("_decimal", ""), ("pyexpat", ""),
    ):
        if name in found or name not in getattr(sys, "stdlib_module_names", (name,)):
            continue
        try:
            module = import_module(name)
            value = getattr(module, version) if version else ""
            if isinstance(value, tuple):
                value = ".".join(str(part) for part in value)
            found[name] = str(value) or "there"
        except ImportError as error:
            gone = getattr(error, "name", None) == name and getattr(error, "path", None) is None
            found[name] = "missing" if gone else "broken"
        except Exception:
            found[name] = "broken"
    return found
'''
"""Defines `modules`, for Python 3.8 and later; any Python can read it.

By name: ``missing`` for what the version should have (from 3.10 on it says so) and this interpreter has not; of those
that link a foreign library, its version, ``there`` where it does not say one, and ``broken`` where it does not load.
"""


def differences(one: Mapping[str, str], other: Mapping[str, str], *, alike: bool) -> tuple[str, str]:
    """What each has of the modules that differ: ``_ssl OpenSSL 3.0.17``, ``_ssl missing``; empty texts for none.

    `alike` says that both are of one feature version, so that what only one of them lacks the other has. Of two
    versions only the modules are compared that both speak of: a later one may have some that an earlier one never had.
    """
    names = one.keys() | other.keys() if alike else one.keys() & other.keys()
    mine, its = [], []
    for name in sorted(names):
        here, there = one.get(name, "there"), other.get(name, "there")
        if here != there:
            mine.append(f"{name} {here}")
            its.append(f"{name} {there}")
    return ", ".join(mine), ", ".join(its)
