"""Where a process that is started has its stack, its heap and its libraries: drawn by us, and not by the kernel.

The kernel draws these addresses for each process, and that alone makes one process a few per cent faster or slower than
the next. Two processes that are started with one drawn number have the same ones.

Without randomisation, Linux puts the region of mappings below the largest stack that the limit allows. So a limit on
the stack that is larger by k pages moves every mapping down by k pages. The executable itself and the heap behind it
keep one address.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import sys
from collections.abc import Iterator

DRAWS = 1 << 16
"""Different addresses; a drawn number is below it."""
PAGE = 4096
LEAST = 128 << 20
"""Bytes: the kernel leaves at least this much room for the stack, so a smaller limit moves nothing."""
_ADDR_NO_RANDOMIZE = 0x0040000
_ASK = 0xFFFFFFFF


def refusal() -> str | None:
    """Why processes cannot be started at drawn addresses here, in words; None: they can."""
    if not sys.platform.startswith("linux"):
        return "this system draws addresses for each process and cannot be asked not to"
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    if hard != resource.RLIM_INFINITY and hard < LEAST + DRAWS * PAGE:
        return f"the hard limit on the stack is {hard >> 20} MiB (ulimit -Hs), below {(LEAST + DRAWS * PAGE) >> 20} MiB"
    try:
        with drawn(0):
            return None
    except OSError as error:
        return f"personality(ADDR_NO_RANDOMIZE) is refused ({error.strerror}), as in most containers"


@contextlib.contextmanager
def drawn(number: int | None) -> Iterator[None]:
    """What is started meanwhile, by this thread, has the addresses of a number in [0, `DRAWS`); None: the kernel draws.

    Raises OSError where the system refuses; ask `refusal` first.
    """
    if number is None:
        yield
        return
    before = _personality(_ASK)
    limits = resource.getrlimit(resource.RLIMIT_STACK)
    _personality(before | _ADDR_NO_RANDOMIZE)
    try:
        resource.setrlimit(resource.RLIMIT_STACK, (LEAST + number * PAGE, limits[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, limits)
        _personality(before)


def _personality(flags: int) -> int:
    """The thread's personality before the call; `_ASK` changes nothing. Raises OSError."""
    library = ctypes.CDLL(None, use_errno=True)
    before = int(library.personality(ctypes.c_ulong(flags)))
    if before == -1:
        code = ctypes.get_errno() or errno.EPERM
        raise OSError(code, os.strerror(code))
    return before
