"""A command that strangers have a hand in, kept apart: bubblewrap shows it a system of its own.

In it are the programs of this system, what Lockstep runs from and the folders that are named, to read; one folder to
write; no network, no process of others, and, where we are root, another user. Before a cage is used, `holes` is asked
in it what can be reached all the same. What no cage keeps apart is in docs/agents.md.
"""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import secrets
import shutil
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner import config, shell
from runner.errors import MachineError

GUESTS = ("lockstep-guest", "nobody")
"""Users that root gives the command to: the first that there is."""
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/sys")
"""What is there to read of the system: programs, libraries, and what the machine is."""
KEPT = ("PATH", "LANG", "LANGUAGE", "TZ")
"""Variables that the command sees; beside those of `Cage.environment`."""
LIMIT = 60.0
"""Seconds for a cage to be looked at from inside."""

HOLES = """
import json, os, socket, sys
asked = json.loads(sys.argv[1])
holes = []
def found(what, reach):
    try:
        if reach():
            holes.append(what)
    except OSError:
        pass
def process():
    with open("/proc/%d/stat" % asked["pid"]) as file:
        return file.read().rpartition(")")[2].split()[19] == asked["started"]
def network():
    socket.create_connection(("127.0.0.1", asked["port"]), 2).close()
    return True
def routes():
    four, six = ([*open(path)] if os.path.exists(path) else [] for path in ("/proc/net/route", "/proc/net/ipv6_route"))
    return four[1:] or [line for line in six if line.split()[-1] != "lo"]
def rights():
    with open("/proc/self/status") as file:
        status = dict(line.rstrip().partition(":")[::2] for line in file)
    return int(status["CapEff"], 16) or status["NoNewPrivs"].strip() != "1"
found("it reads files that it has no need of", lambda: open(asked["secret"]).read())
found("it sees the processes of others", process)
found("it reaches this machine's own servers", network)
found("it has a network", routes)
found("it has the rights of an administrator, or can get them", rights)
found("it is root", lambda: asked["root"] and os.getuid() == 0)
found("it sees variables of Lockstep's own", lambda: set(os.environ) & set(asked["names"]))
for place in asked["places"]:
    found("it may write into " + place, lambda: os.access(place, os.W_OK))
for place in (asked["work"], "/tmp", "/dev/shm"):
    if not os.access(place, os.W_OK):
        holes.append("it cannot write into " + place + ", as it must")
print("lockstep", json.dumps(holes))
"""
"""A program that is run in a cage. It prints what it reaches and should not, in words; it does no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """Where a command is kept apart, and what it sees."""

    program: str
    """Path of bubblewrap."""
    work: Path
    """The one folder that it may write, absolute; under the same path inside and outside."""
    readable: tuple[Path, ...]
    """What it sees beside the system, absolute; inside others, the outer first."""
    hidden: tuple[Path, ...] = ()
    """What is not shown of that: folders are empty, files too."""
    guest: tuple[int, int] | None = None
    """Numbers of the user and group that run it; None: this process's own, which is not root."""

    def words(self, command: Sequence[str | Path], *, cwd: Path) -> list[str]:
        """The command line that runs a command in it. It ends with whoever starts it, however that ends."""
        words = [self.program, "--die-with-parent", "--unshare-net", "--unshare-pid", "--unshare-ipc"]
        for place in map(Path, SYSTEM):
            if place.is_symlink():
                words += ["--symlink", str(place.readlink()), str(place)]
            elif place.is_dir():
                words += ["--ro-bind", str(place), str(place)]
        words += ["--proc", "/proc", "--dev", "/dev"]
        for place in map(Path, ("/dev/shm", "/tmp")):
            words += ["--perms", "1777", "--tmpfs", str(place)]
        for place in self.readable:
            words += [*_way(place), "--ro-bind", str(place), str(place)]
        for place in self.hidden:
            words += ["--tmpfs", str(place)] if place.is_dir() else ["--ro-bind", "/dev/null", str(place)]
        words += [*_way(self.work), "--bind", str(self.work), str(self.work), "--remount-ro", "/", "--chdir", str(cwd)]
        if self.guest is not None:
            user, group = self.guest
            # bubblewrap has made the place as root; what runs in it is started by setpriv, as another user.
            words += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--", "setpriv", f"--reuid={user}",
                      f"--regid={group}", "--clear-groups"]
        else:
            words += ["--"]
        return [*words, *map(str, command)]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """The variables of a command in it: few of ours, since any may be secret; `more` goes before."""
        ours = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("LC_")}
        path = {name: os.environ[name] for name in ("PYTHONPATH",) if config.CHECKOUT and name in os.environ}
        return {**ours, **path, "TMPDIR": "/tmp", **more}

    def give(self, folder: Path) -> None:
        """Have all in a folder of ours belong to whoever runs in the cage. Nobody else may be writing into it."""
        if self.guest is not None:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, *self.guest, follow_symlinks=False)


def _way(place: Path) -> list[str]:
    """Folders on the way to a place, for all to go through: bubblewrap makes them for its own user."""
    above = reversed(place.parents[:-1])
    return [word for folder in above for word in ("--perms", "0755", "--dir", str(folder))]


def find(work: Path, readable: Iterable[Path], hidden: Iterable[Path] = ()) -> Cage:
    """A cage that was looked at from inside, and keeps apart what it must.

    `work` is there; of `readable` and `hidden`, what is not there is left out. Raises MachineError that says why there
    is none.
    """
    program = shutil.which("bwrap")
    if not sys.platform.startswith("linux") or program is None:
        raise MachineError("bubblewrap is not installed (Debian: apt-get install bubblewrap)")
    guest = None
    if os.geteuid() == 0:
        guest = _guest()
        if shutil.which("setpriv") is None:
            raise MachineError("setpriv is not installed (Debian: apt-get install util-linux)")
    shown = {path for path in (*own(), *readable) if path.exists()}
    cage = Cage(
        program=program, work=work, guest=guest, readable=tuple(sorted(shown, key=lambda path: len(path.parts))),
        hidden=tuple(path for path in hidden if path.exists()),
    )
    if found := holes(cage):
        raise MachineError(f"bubblewrap does not keep a command apart here: {'; '.join(found)}")
    return cage


def own() -> tuple[Path, ...]:
    """What Lockstep itself runs from: its interpreter, its packages and its code, the outer first."""
    spec = importlib.util.find_spec("lockstep_ab")
    package = () if spec is None or spec.origin is None else (Path(spec.origin).parent,)
    places = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parents[1], config.ROOT, *package)
    resolved = dict.fromkeys([*(place.resolve() for place in places), *places])
    # What the system shows already is not shown a second time, and no link is put over another.
    found = [place for place in resolved if not any(place.is_relative_to(top) for top in SYSTEM)]
    return tuple(place for place in found if place.resolve() == place or not any(
        place.is_relative_to(other) for other in found if other != place))


def holes(cage: Cage) -> list[str]:
    """What a command in a cage reaches and should not, in words; empty: nothing that was tried."""
    secret = cage.work.with_name(f".secret-{secrets.token_hex(8)}")
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        try:
            secret.write_text("secret\n")
            secret.chmod(0o644)
            cage.give(cage.work)
            asked = {
                "pid": os.getpid(), "started": stat[19], "port": listening.getsockname()[1], "secret": str(secret),
                "root": cage.guest is not None, "work": str(cage.work),
                "names": sorted(name for name in os.environ if name.startswith(config.OURS)),
                "places": ["/", "/usr", "/etc", *map(str, cage.readable)],
            }
            told = shell.run(
                cage.words([sys.executable, "-I", "-S", "-c", HOLES, json.dumps(asked)], cwd=cage.work),
                env=cage.environment({}), timeout=LIMIT,
            )
        finally:
            secret.unlink(missing_ok=True)
    line = next((line for line in told.output.splitlines() if line.startswith("lockstep ")), None)
    if told.code or line is None:
        said = " ".join(told.output.split())[-500:]
        return [f"nothing runs in it: {said or f'exit code {told.code}'}"]
    found = json.loads(line.partition(" ")[2])
    assert isinstance(found, list)
    return [str(one) for one in found]


def _guest() -> tuple[int, int]:
    for name in GUESTS:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        if user.pw_uid != 0:
            return user.pw_uid, user.pw_gid
    raise MachineError(f"there is no user {GUESTS[0]} to give it to (Debian: useradd --system {GUESTS[0]})")
