"""Where and in what slices the kernel runs a process: affinity and sched_setattr(2)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import MachineError
from runner.machine.choice import Pinning

_SETATTR = {
    "x86_64": 314, "i686": 351, "aarch64": 274, "riscv64": 274, "loongarch64": 274, "armv7l": 380,
    "ppc64le": 355, "s390x": 345,
}
"""Number of the system call sched_setattr; sched_getattr is the next one. glibc wraps it from 2.41 only."""

SHORTEST, LONGEST = 100e-6, 100e-3
"""Seconds; the kernel moves a slice outside of these to the nearer end (sched(7), Linux 6.12)."""


class _Attributes(ctypes.Structure):
    """struct sched_attr, first version: include/uapi/linux/sched/types.h."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def set_slice(pid: int, seconds: float) -> bool:
    """Ask the scheduler to run this process in slices of `seconds` (0.0001 to 0.1) among its equals.

    Policy and nice value stay as they are; threads and children that it starts later inherit the slice. Returns
    whether the kernel keeps the request: False for a kernel that takes and forgets it (Linux before 6.12), for
    one that refuses, for a policy other than SCHED_OTHER and SCHED_BATCH, and for a process that has ended. The
    timer tick still bounds how finely slices are cut. Source: sched_setattr(2).
    """
    wanted = round(min(max(seconds, SHORTEST), LONGEST) * 1e9)
    attributes = _get(pid)
    if attributes is None or attributes.policy not in (0, 3):
        return False
    attributes.runtime = wanted
    if _call(0, pid, ctypes.byref(attributes), 0) != 0:
        return False
    # Reading back is surer than a version: 6.12 and later tell the slice, older ones say 0.
    kept = _get(pid)
    return kept is not None and kept.runtime == wanted


def get_slice(pid: int) -> float | None:
    """Return the slice that the kernel gives to a process, in seconds; None where it does not tell."""
    attributes = _get(pid)
    return attributes.runtime / 1e9 if attributes is not None and attributes.runtime else None


def pin(pid: int, cpu: int) -> None:
    """Move a process with all its threads to one CPU (0: this process).

    Raises MachineError when the kernel refuses, ProcessLookupError when the process has ended.
    """
    move(pid, (cpu,))


def move(pid: int, cpus: Iterable[int]) -> None:
    """Move a process with all its threads to a set of CPUs (0: this process). Raises what `pin` raises."""
    if sys.platform != "linux":
        raise MachineError("this system cannot pin processes to CPUs; run unpinned")
    wanted = set(cpus)
    for thread in threads(pid):
        try:
            move_thread(thread, wanted)
        except ProcessLookupError:
            if thread == pid:
                raise


def move_thread(thread: int, wanted: set[int]) -> None:
    """Move one thread (0: this one). Raises MachineError when the kernel refuses, ProcessLookupError where it ended."""
    try:
        os.sched_setaffinity(thread, wanted)
    except ProcessLookupError:
        raise
    except OSError as error:
        raise MachineError(
            f"cannot move process {thread or os.getpid()} to CPU {', '.join(map(str, sorted(wanted)))}: "
            f"{error.strerror}. The CPU may be offline or outside of the control group's cpuset, or a security policy "
            "forbids it; `lockstep doctor` lists the CPUs that can be used. What a run has measured is safe: "
            "`lockstep resume` goes on with a CPU that is chosen anew."
        ) from error


@contextmanager
def quiet(pinning: Pinning) -> Iterator[None]:
    """Keep this process with all its threads off the measured CPU: on `pinning.parent`, and back on leaving.

    Does nothing where there is no pinning. Threads and processes started inside inherit the place. Raises what
    `pin` raises.
    """
    if not pinning.parent or sys.platform != "linux":
        yield
        return
    before = {}
    for thread in threads(0):
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            before[thread] = os.sched_getaffinity(thread)
    move(0, pinning.parent)
    try:
        yield
    finally:
        own = before[os.getpid()]
        for thread in threads(0):
            # A thread that ended meanwhile needs nothing; a CPU that went offline must not hide the real error.
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, before.get(thread, own))


@contextmanager
def lent(cpus: Iterable[int]) -> Iterator[None]:
    """Put this thread on a set of CPUs for a moment, so that what it starts begins there; () changes nothing.

    Raises MachineError when the kernel refuses.
    """
    wanted = set(cpus)
    if not wanted or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    move_thread(0, wanted)
    try:
        yield
    finally:
        # Where it was may have gone offline, which must not hide the real error: the next attempt to pin says it.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, before)


def threads(pid: int) -> list[int]:
    """Return the thread ids of a process (0: this process), its own first.

    sched_setaffinity(2) moves one thread; libraries such as BLAS may have started others already.
    """
    pid = pid or os.getpid()
    try:
        found = [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        found = []
    return [pid, *(thread for thread in sorted(found) if thread != pid)]


def _get(pid: int) -> _Attributes | None:
    attributes = _Attributes(size=ctypes.sizeof(_Attributes))
    result = _call(1, pid, ctypes.byref(attributes), ctypes.sizeof(_Attributes), 0)
    return attributes if result == 0 else None


def _call(offset: int, pid: int, *arguments: object) -> int:
    number = _SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return -1
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    passed = [ctypes.c_uint(value) if isinstance(value, int) else value for value in arguments]
    return int(syscall(ctypes.c_long(number + offset), ctypes.c_int(pid), *passed))
