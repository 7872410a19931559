"""Who measures on a machine: a lock that all its users share, and one for each CPU.

flock(2) on files that are never removed: the kernel releases it when the holder ends, however it ends. Rejected:
a file whose existence is the lock (stays behind after ``kill -9``), and a lock in the user's own folders
(another user's run would not see it).

A run has the machine for itself: runs on different CPUs still share memory bandwidth, the last cache and the
processor's heat. Only one that was asked to keep to some CPUs (`Topology.confined`) lets others of its kind measure
beside it. It holds the machine's lock shared, and those of its own CPUs, and of what shares a core with them, alone.

All take the machine's lock first and those of CPUs in ascending order, so no two can wait for each other. Who waits for
the machine's stands in a queue meanwhile, which is a lock too: confined runs of which one begins before another has
ended would keep those out for ever that want the machine for themselves. A Lockstep that knows the first lock alone
takes that, and is kept apart from both.

They hold between runs that see the same files. They do not cover a run in a container, or a service, that has a /tmp of
its own; `coverage` says so where this process is in one.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner.errors import MachineError
from runner.machine import files, sched
from runner.machine.findings import Finding, State
from runner.machine.topology import Topology, topology

LOCK = Path("/tmp/lockstep.lock")
"""Not under TMPDIR, which differs from user to user, nor in /run/lock, where some systems let only root write. The
others lie beside it."""
PASSING = 0.1
"""Seconds: for less than that, whoever need not wait has the queue's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a lock, as its file says. The file is open to all: this is for people, not for decisions."""

    pid: int
    """In the holder's own PID namespace."""
    command: str
    since: float
    """Seconds since the epoch."""
    cpus: str = ""
    """Those that it keeps to, such as "0-3"; empty: it has the machine for itself."""

    def __str__(self) -> str:
        start = time.strftime("%H:%M:%S", time.localtime(self.since))
        minutes = max(time.time() - self.since, 0) / 60
        where = f", on CPU {self.cpus}" if self.cpus else ""
        return f"pid {self.pid}, `{self.command}`, since {start} ({minutes:.0f} min){where}"


@contextmanager
def alone(
    *, wait: bool, told: Callable[[str], None], held: bool = False, path: Path = LOCK
) -> Iterator[None]:
    """Hold the machine, or the CPUs that this process was asked to keep to: no other Lockstep run measures there.

    While another run holds what is wanted this waits, after telling `told` once who it is, or raises MachineError if
    `wait` is False. Processes started inside do not inherit the locks, so one that is left behind does not
    keep them. Not re-entrant: a second `alone` inside would wait for the first for ever; `held` says that the process
    which started this one holds the locks, and takes none.

    A process that keeps to some CPUs is moved there, with all its threads, and stays: what it starts later, to write a
    report, must not disturb who measures elsewhere.

    Raises MachineError also when a lock file cannot be used, and UsageError for CPUs that cannot be kept to.
    """
    here = topology()
    if here.confined:
        sched.move(0, here.cpus)
    with ExitStack() as stack:
        if not held:
            _take_all(stack, path, here, _Patience(wait, told))
        yield


def holder(path: Path = LOCK) -> Holder | None:
    """Return who wrote itself into a lock file; None when nobody did or it cannot be read."""
    try:
        descriptor = _open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        said = json.loads(os.read(descriptor, 4096))
        command, cpus = ("".join(c if c.isprintable() else "?" for c in str(text))[:200]
                         for text in (said["command"], said.get("cpus", "")))
        return Holder(pid=int(said["pid"]), command=command, since=float(said["since"]), cpus=cpus)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    finally:
        os.close(descriptor)


def holders(path: Path = LOCK) -> list[Holder]:
    """Return who has the machine, or CPUs of it, as far as the lock files say, oldest first."""
    whole = holder(path)
    if whole is not None:
        return [whole]
    found = [one for file in path.parent.glob(_beside(path, "cpu*").name) for one in _named(file)]
    # One that was killed has not taken its name out, and nobody may have been on its CPUs since.
    there = {(one.pid, one.cpus): one for one in found if Path(f"/proc/{one.pid}").exists()}
    return sorted(there.values(), key=lambda one: one.since)


def coverage(root: Path = Path("/")) -> Finding:
    """Return which runs on this machine the locks keep apart, and which they do not. Reads under `root`."""
    value = f"{LOCK}, of all runs and users that see it; beside it one for each CPU, for runs with --cpus"
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


class _Patience:
    """Whether one may wait, and that it is said once."""

    def __init__(self, wait: bool, told: Callable[[str], None]) -> None:
        self.waits, self._told, self._announced = wait, told, False

    def must(self, held: Sequence[Holder]) -> None:
        """Something is held. Raises MachineError where one may not wait."""
        who = "; ".join(map(str, held)) or "its process is not known"
        if not self.waits:
            raise MachineError(
                f"another Lockstep run is measuring on this machine ({who}). Two at once would disturb each "
                "other: wait until it has ended, or end it, and try again."
            )
        if not self._announced:
            self._told(f"waiting for another Lockstep run on this machine to end ({who})")
            self._announced = True


def _take_all(stack: ExitStack, path: Path, here: Topology, patience: _Patience) -> None:
    """Hold all that is wanted until the stack ends."""
    threads = sorted({thread for cpu in here.cpus for thread in here.siblings[cpu]}) if here.confined else []
    with ExitStack() as queue:
        # Who may not wait takes nobody's place, and is in nobody's way.
        if patience.waits:
            _hold(queue, _beside(path, "queue"), fcntl.LOCK_EX, patience, partial(holders, path))
        whole = _hold(stack, path, fcntl.LOCK_SH if threads else fcntl.LOCK_EX, patience, partial(holders, path))
    if threads:
        _clear(whole)  # of the name of a run that was killed
    else:
        _sign(whole, "")
    for thread in threads:
        file = _beside(path, f"cpu{thread}")
        _sign(_hold(stack, file, fcntl.LOCK_EX, patience, partial(_named, file)), files.print_cpus(here.cpus)[:200])


def _named(path: Path) -> list[Holder]:
    one = holder(path)
    return [] if one is None else [one]


def _beside(path: Path, what: str) -> Path:
    """``/tmp/lockstep.lock`` → ``/tmp/lockstep-cpu3.lock``."""
    return path.with_name(f"{path.stem}-{what}{path.suffix}")


def _hold(
    stack: ExitStack, path: Path, operation: int, patience: _Patience, who: Callable[[], Sequence[Holder]]
) -> int:
    """Take a lock and release it when the stack ends; return the descriptor that holds it. `who`: has it probably."""
    while True:
        descriptor = _open_or_create(path)
        try:
            if not _tried(descriptor, operation):
                patience.must(who())
                # Blocked in the kernel: a process that polls would disturb the run that it waits for.
                fcntl.flock(descriptor, operation)
            still = _is_still(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if still:
            stack.callback(_release, descriptor)
            return descriptor
        # Somebody cleaned up the directory while we waited: this file is no longer the one that others open.
        os.close(descriptor)


def _tried(descriptor: int, operation: int) -> bool:
    """Whether a lock could be had at once; or after `PASSING`, which is no waiting to speak of."""
    for pause in (PASSING, 0.0):
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(pause)
    return False


def _release(descriptor: int) -> None:
    _clear(descriptor)
    # Not by closing alone: a process just started inside has a copy until its exec is over.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
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


def _sign(descriptor: int, cpus: str) -> None:
    """Write into a lock's file who holds it, and on which CPUs."""
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
    record = json.dumps({"pid": os.getpid(), "command": command, "since": time.time(), "cpus": cpus})
    _clear(descriptor)
    # Best effort: a descriptor that may only read, or a full disk, leaves the lock itself as good as ever.
    with contextlib.suppress(OSError):
        os.pwrite(descriptor, record.encode(), 0)


def _clear(descriptor: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
