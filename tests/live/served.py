"""A real `lockstep serve` with a folder of its own, and the plainest ways to ask it something."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from bench import LOCKSTEP, TIME_LIMIT, ended

QUICK = 60.0
"""Seconds for an answer, on a machine that is busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A server that runs."""

    process: subprocess.Popen[str]
    data: Path
    port: int
    token: str
    """That which it has shown when it was first started; empty: it was started before."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, *, token: str | None = None, **options: object) -> httpx.Response:
        """The answer to a request; `token` None: the first one, empty: none."""
        text = self.token if token is None else token
        headers = {"Authorization": f"Bearer {text}"} if text else {}
        headers |= options.pop("headers", {})  # type: ignore[arg-type]
        return httpx.request(method, self.address + path, headers=headers, timeout=QUICK, **options)  # type: ignore[arg-type]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=QUICK)

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """End it; its exit code, and what it had said on standard error."""
        self.process.send_signal(how)
        _, error = self.process.communicate(timeout=TIME_LIMIT)
        return self.process.returncode, error


@contextmanager
def serving(data: Path, *options: object) -> Iterator[Served]:
    """Within, `lockstep serve` runs, at a port of its own."""
    process = subprocess.Popen(
        [LOCKSTEP, "serve", "--port", "0", "--data", data, *map(str, options)], text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=data.parent, env={**os.environ, "COLUMNS": "200"},
    )
    with ended(process):
        token, port = "", 0
        assert process.stdout is not None and process.stderr is not None
        while not port:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            if match := re.search(r"lst_\S+", line):
                token = match[0]
            elif match := re.search(r" at http://\S+:(\d+)$", line):
                port = int(match[1])
        yield Served(process=process, data=data, port=port, token=token)


def lockstep(*words: object) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    return subprocess.run(
        [LOCKSTEP, *map(str, words)], capture_output=True, text=True, timeout=TIME_LIMIT, check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
