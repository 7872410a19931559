"""One measurement at a time on a machine: a lock that all users of the machine share.

flock(2) on a file that is never removed: the kernel releases it when the holder ends, however it ends. Rejected:
a file whose existence is the lock (stays behind after ``kill -9``), and a lock in the user's own folders
(another user's run would not see it).

It is one for the whole machine, whatever CPUs a run may use: runs on different CPUs still share memory bandwidth, the
last cache and the processor's heat. It holds between runs that see the same file. It does not cover a run in a
container, or a service, that has a /tmp of its own; `coverage` says so where this process is in one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runner.errors import MachineError
from runner.machine import files
from runner.machine.findings import Finding, State

LOCK = Path("/tmp/lockstep.lock")
"""Not under TMPDIR, which differs from user to user, nor in /run/lock, where some systems let only root write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the lock, as the lock file says. The file is open to all: this is for people, not for decisions."""

    pid: int
    """In the holder's own PID namespace."""
    command: str
    since: float
    """Seconds since the epoch."""

    def __str__(self) -> str:
        start = time.strftime("%H:%M:%S", time.localtime(self.since))
        minutes = max(time.time() - self.since, 0) / 60
        return f"pid {self.pid}, `{self.command}`, since {start} ({minutes:.0f} min)"


@contextmanager
def alone(
    *, wait: bool, told: Callable[[str], None], held: bool = False, path: Path = LOCK
) -> Iterator[None]:
    """Hold the machine-wide lock: no other Lockstep run measures meanwhile.

    While another run holds it this waits, after telling `told` once who it is, or raises MachineError if
    `wait` is False. Processes started inside do not inherit the lock, so one that is left behind does not
    keep it. Not re-entrant: a second `alone` inside would wait for the first for ever; `held` says that the process
    which started this one holds the lock, and does nothing.

    Raises MachineError also when the lock file cannot be used.
    """
    if held:
        yield
        return
    descriptor = _take(path, wait, told)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
        # Not by closing alone: a process just started inside has a copy until its exec is over.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def holder(path: Path = LOCK) -> Holder | None:
    """Return who wrote itself into the lock file; None when nobody did or it cannot be read."""
    try:
        descriptor = _open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        said = json.loads(os.read(descriptor, 4096))
        command = "".join(c if c.isprintable() else "?" for c in str(said["command"]))
        return Holder(pid=int(said["pid"]), command=command[:200], since=float(said["since"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    finally:
        os.close(descriptor)


def coverage(root: Path = Path("/")) -> Finding:
    """Return which runs on this machine the lock keeps apart, and which it does not. Reads under `root`."""
    value = f"{LOCK}, of all runs and users that see it"
    apart = _apart(root)
    if apart is None:
        return Finding(name="lock", value=f"{value}; not of those in containers", state=State.GOOD)
    return Finding(
        name="lock", value=value, state=State.COULD_BE_BETTER,
        advice=f"{apart}: runs outside, or in other containers, are not kept from measuring at the same time; measure "
        f"in one place at a time, or give all of them one {LOCK.parent} (docker run -v {LOCK.parent}:{LOCK.parent})",
    )


def _apart(root: Path) -> str | None:
    """Why others on this machine probably have another /tmp, in words; None where nothing says so."""
    # Not /.dockerenv: a virtual machine made from a container's image has it too.
    with contextlib.suppress(OSError):
        # The first PID namespace has a number of its own: PROC_PID_INIT_INO in the kernel's proc_ns.h.
        if str((root / "proc/self/ns/pid").readlink()) != "pid:[4026531836]":
            return "this process is in a PID namespace of its own, as in a container"
    # systemd's PrivateTmp, a service's own /tmp: fourth field of a mount, what of its disk is mounted.
    for line in (files.text(root, "proc/self/mountinfo") or "").splitlines():
        fields = line.split()
        if len(fields) > 4 and fields[4] == str(LOCK.parent) and "systemd-private-" in fields[3]:
            return f"this process has a {LOCK.parent} of its own (systemd's PrivateTmp)"
    return None


def _take(path: Path, wait: bool, told: Callable[[str], None]) -> int:
    """Return an open descriptor that holds the lock."""
    announced = False
    while True:
        descriptor = _open_or_create(path)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                who = holder(path) or "its process is not known"
                if not wait:
                    raise MachineError(
                        f"another Lockstep run is measuring on this machine ({who}). Two at once would disturb each "
                        "other: wait until it has ended, or end it, and try again."
                    ) from None
                if not announced:
                    told(f"waiting for another Lockstep run on this machine to end ({who})")
                    announced = True
                # Blocked in the kernel: a process that polls would disturb the run that it waits for.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_still(path, descriptor):
                _sign(descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Somebody cleaned up the directory while we waited: this file is no longer the one that others open.
        os.close(descriptor)


def _open_or_create(path: Path) -> int:
    try:
        while True:
            # Without O_CREAT first: under fs.protected_regular, O_CREAT on another user's file in a sticky
            # directory fails even though the file may be opened.
            try:
                return _open(path, os.O_RDWR)
            except FileNotFoundError:
                pass
            except PermissionError:
                # Created by somebody else a moment ago, or under a strict umask: reading is enough for flock.
                return _open(path, os.O_RDONLY)
            with contextlib.suppress(FileExistsError):
                descriptor = _open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                os.fchmod(descriptor, 0o666)  # the umask took bits off the mode given to open
                return descriptor
    except OSError as error:
        raise MachineError(
            f"cannot open the lock file {path}: {error.strerror}. It must be an ordinary file that all users can "
            "read; remove it when no Lockstep run is in progress, and try again."
        ) from error


def _open(path: Path, flags: int) -> int:
    # O_NONBLOCK: a pipe planted under this name must not make us wait for its other end.
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "not an ordinary file")
    return descriptor


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int) -> None:
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    record = json.dumps({"pid": os.getpid(), "command": command, "since": time.time()})
    # Best effort: a descriptor that may only read, or a full disk, leaves the lock itself as good as ever.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, record.encode(), 0)
