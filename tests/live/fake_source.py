"""A tiny source tree that is configured, compiled and linked like CPython's, in milliseconds.

Its "compiler" copies a .c file to its .o, and notes that in compiled.txt; its interpreter is a link to
the Python that runs the tests.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

PYTHON = os.path.realpath(sys.executable)

CONFIGURE = f"""#!/bin/sh
echo configuring with "$@"
test ! -f fail-configure || {{ echo no such feature; exit 1; }}
cat > Makefile <<'END'
python: a.o b.o
	cat a.o b.o > linked
	ln -sf {PYTHON} python
all: python
sharedmods: python
a.o: a.c
b.o: b.c
.SUFFIXES:
%.o: %.c
	@test ! -f slow || sleep 60
	@! grep -n 'broken' $<
	@echo $< >> compiled.txt
	@cp $< $@
END
"""


MEASURABLE = CONFIGURE.replace("cat > Makefile", f"""mkdir -p build/lib.fake
echo build/lib.fake > pybuilddir.txt
echo 'home = {Path(PYTHON).parent}' > pyvenv.cfg
cat > Makefile""")
"""One whose interpreter can be measured: beside it lies what it and its copies need to find their library. A file
`planted` in the tree is beside the executable too."""


def plant(tree: Path, **files: str) -> Path:
    """Write the source tree, with further files or other contents by name (``a_c`` for a.c)."""
    contents = {
        "a.c": "int a;\n", "b.c": '#include "b.h"\nint b;\n', "b.h": "int h;\n", "Lib/module.py": "x = 1\n",
        "configure": CONFIGURE,
    }
    contents |= {name.replace("_", "."): text for name, text in files.items()}
    for name, text in contents.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "configure").chmod(0o755)
    return tree


def compiled(tree: Path) -> list[str]:
    """The files that were compiled, sorted, over the tree's whole life, what it was copied from included."""
    return sorted((tree / "compiled.txt").read_text().split())


def snapshot(tree: Path) -> dict[str, tuple[int, int]]:
    """Size and modification time of everything in a tree."""
    paths = [tree, *tree.rglob("*")]
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in paths}


def wait_for(condition: Callable[[], bool], limit: float = 300.0) -> None:
    """Return as soon as the condition holds; fails when it does not within the limit (seconds)."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
