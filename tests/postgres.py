"""A PostgreSQL of a test's own: Debian's server in a temporary folder, on a socket there and on no port.

    with postgres.server() as one:
        address = one.database("name")

It ends with the block, and with the process that started it however that ends. Of a process that was killed, the folder
stays until the next server is started. The server refuses to be root; where root starts it, it is `postgres`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from runner.owned import owned

ROLE = "lockstep"
"""Who may do everything in it."""
PATIENCE = 120.0
"""Seconds for it to start, or to end, on a machine that is busy."""
SETTINGS = {
    "listen_addresses": "", "max_connections": "60", "shared_buffers": "128MB",
    # What a test's machine loses with its power is nothing. What a server loses that is killed is something: so
    # commits are written, if not to the disk.
    "fsync": "off", "full_page_writes": "off",
}


def programs() -> Path | None:
    """The folder with the newest `postgres` and `initdb` that is here; None: there is none."""
    there = [place.parent for place in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    if there:
        return max(there, key=lambda place: [int(number) for number in re.findall(r"\d+", place.parent.name)])
    found = shutil.which("postgres")
    return None if found is None else Path(found).resolve().parent


@dataclass(kw_only=True)
class Server:
    """A server that runs, or may be started again."""

    programs: Path
    folder: Path
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)
    """What all its others are children of."""

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "log"

    def url(self, name: str, *, driver: str = "") -> str:
        """A database's address, for libpq; `driver` ``psycopg``: for SQLAlchemy."""
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{ROLE}@/{name}?host={self.folder / 'socket'}"

    def database(self, name: str, *, driver: str = "", order: str = "") -> str:
        """Make an empty database, in the place of what there was of that name, and return its `url`.

        `order`: the language by which it orders texts (ICU's name: ``en-US``); empty: by bytes.
        """
        how = sql.SQL("LOCALE_PROVIDER icu ICU_LOCALE {} ").format(order) if order else sql.SQL("")
        with self.connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0 ").format(sql.Identifier(name)) + how)
        return self.url(name, driver=driver)

    def connect(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection whose statements are transactions of their own."""
        return psycopg.connect(self.url(name), autocommit=True)

    def start(self) -> None:
        """Start it, and wait until it answers; one that runs stays as it is. Raises AssertionError, with what it said,
        where it does not answer."""
        if self.process is not None:
            return
        settings = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*_as_another(dies=True), self.programs / "postgres", "-D", self.folder / "data",
                 "-k", self.folder / "socket", *settings],
                cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError as error:
                alive = self.process.poll() is None
                assert alive and time.monotonic() < end, f"PostgreSQL does not answer: {error}\n{self.log.read_text()}"
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it, and all connections with it; SIGQUIT: as a loss of power would."""
        process, self.process = self.process, None
        if process is None:
            return
        with process:
            process.send_signal(how)
            try:
                process.wait(PATIENCE)
            finally:
                if process.poll() is None:
                    process.kill()


@contextmanager
def server(**settings: str) -> Iterator[Server]:
    """Make a server in a folder of its own, and start it; `settings` are PostgreSQL's. It is gone at the end."""
    here = programs()
    assert here is not None, "PostgreSQL's server is missing (Debian: apt-get install postgresql)"
    with owned("lockstep-postgres-") as folder:
        folder.chmod(0o711)  # another user is to find what is its own in it
        for name in ("data", "socket"):
            (folder / name).mkdir(mode=0o700)
            if os.geteuid() == 0:
                shutil.chown(folder / name, *_other())
        made = subprocess.run(
            [*_as_another(), here / "initdb", "-D", folder / "data", "--username", ROLE, "--auth=trust",
             "--encoding=UTF8", "--locale=C", "--no-sync"],
            cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )
        assert made.returncode == 0, f"initdb failed: {made.stdout}{made.stderr}"
        one = Server(programs=here, folder=folder, settings={**SETTINGS, **settings})
        try:
            one.start()
            yield one
        finally:
            with contextlib.suppress(ProcessLookupError):
                one.stop()


def _other() -> tuple[int, int]:
    """Whom the server is to be where root starts it: user and group."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            return user.pw_uid, user.pw_gid
    raise AssertionError("there is neither a user postgres nor a user nobody to run PostgreSQL as")


def _as_another(*, dies: bool = False) -> list[str]:
    """Words before a command that root may not run; `dies`: and that ends when the process that started it does."""
    words = ["--pdeathsig", "QUIT"] if dies else []
    if os.geteuid() == 0:
        user, group = _other()
        words += ["--reuid", str(user), "--regid", str(group), "--clear-groups"]
    return ["setpriv", *words] if words else []
