"""A server that runs, what may be built by request, and agents that work for it."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import LOCKSTEP, TIME_LIMIT, free_port, wait_until
from fake_source import MEASURABLE, plant

from runner.client import Client, Request, Wanted
from runner.service import database, tokens

ROOT = Path(__file__).resolve().parents[2]
AGENT = """
import os, signal, sys
from pathlib import Path
from runner.cli import _terminate
from runner.cli.terminal import Terminal
from runner.client import Client
from runner.jobs.agent import AgentRequest, agent
signal.signal(signal.SIGTERM, _terminate)
address, folder, untrusted, once = sys.argv[1:]
request = AgentRequest(client=Client(address, os.environ["LOCKSTEP_TOKEN"]), folder=Path(folder), untrusted=untrusted,
                       once=once == "once", idle=0.2, beat=0.5)
with Terminal() as view:
    print("answered", agent(request, view.say))
"""
"""`lockstep agent`, with a heart-beat twice a second, so that a test need not wait for one."""


@dataclass(slots=True, kw_only=True)
class Service:
    """A server with a folder of its own, which can be stopped and started at its address; and agents of a test."""

    folder: Path
    agents: Path
    """Where agents have their folders."""
    before: frozenset[str] = frozenset()
    """Runs that others have sent."""
    repositories: tuple[str, ...] = ()
    port: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def runs(self) -> list[str]:
        there = {path.name for path in (self.folder / "data" / "runs").iterdir()}
        return sorted(there - self.before)

    def lent(self, agents: Path) -> Service:
        """The same server for one more test, whose agents and runs are its own."""
        return replace(self, agents=agents, before=self.before | {*self.runs})

    def start(self) -> Service:
        self.port = self.port or free_port()  # one that it gets again when it is started again
        listed = ", ".join(f'"{one}"' for one in self.repositories)
        (self.folder / "lockstep.toml").write_text(f"[serve]\nrepositories = [{listed}]\n")
        with (self.folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                [LOCKSTEP, "serve", "--port", str(self.port), *self._where()], stdout=subprocess.PIPE, text=True,
                stderr=log, env=self.environment(), start_new_session=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if f"at http://127.0.0.1:{self.port}" in line:
                return self
        raise AssertionError((self.folder / "server.log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=TIME_LIMIT)
            self._process = None

    def token(self, name: str, *scopes: str, machine: bool = False) -> str:
        """A token; the same each time."""
        if name not in self.tokens:
            opened = database.opened(database.of_file(self.folder / "data" / "service" / "service.sqlite"))
            try:
                self.tokens[name] = tokens.create(opened, name, scopes, time.time(), machine=machine)[1]
            finally:
                opened.close()
        return self.tokens[name]

    def person(self) -> Client:
        return Client(self.address, self.token("ada", "request"))

    def ask(self, base: str, head: str, **more: Any) -> str:
        """Ask for a quick comparison; the request's id."""
        usual = {"suite": "consumers", "select": "Copy.time_copy.*4KiB", "margin": "30%", "budget": "20s"}
        return self.person().request(Wanted(base=base, head=head, **{**usual, **more})).id

    def look(self, id: str) -> Request:
        return self.person().look(id)

    def environment(self, **more: str) -> dict[str, str]:
        """Without a token, and with folders of the test's own but for the cache, where the builds are."""
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("LOCKSTEP_") or name == "LOCKSTEP_CPUS"}
        return {**kept, "COLUMNS": "120", "PYTHONPATH": str(ROOT), **more}

    def agent(self, *, untrusted: str = "refuse", once: bool = True, name: str = "bench1", **more: str
              ) -> subprocess.Popen[str]:
        """An agent that was started; the caller ends it."""
        token = self.token(name, "submit", machine=True)
        return subprocess.Popen(
            [sys.executable, "-c", AGENT, self.address, str(self.agents / name), untrusted, "once" if once else "on"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder, start_new_session=True,
            env=self.environment(LOCKSTEP_TOKEN=token, **more),
        )

    def answer(self, **options: Any) -> str:
        """Have an agent answer what waits; what it said."""
        process = self.agent(**options)
        try:
            said, _ = process.communicate(timeout=TIME_LIMIT)
        finally:
            process.kill()
        assert process.returncode == 0, said
        return said

    def _where(self) -> list[str]:
        return ["--data", str(self.folder / "data"), "--config", str(self.folder / "lockstep.toml")]


@contextmanager
def serving(folder: Path, *repositories: str) -> Iterator[Service]:
    """A server that runs, until the end."""
    folder.mkdir(parents=True, exist_ok=True)
    service = Service(folder=folder, agents=folder, repositories=repositories)
    try:
        yield service.start()
    finally:
        service.stop()


class _Git(http.server.BaseHTTPRequestHandler):
    """git's own CGI program, for repositories that are read."""

    server: Any

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given: Mapping[str, str] = {
            "GIT_PROJECT_ROOT": str(self.server.folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "PATH": os.environ["PATH"],
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=given, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def published(folder: Path) -> Iterator[str]:
    """The address of the repositories in a folder, which are served over HTTP until the end."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Git) as server:
        server.folder = folder  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def repository(folder: Path, configure: str = MEASURABLE) -> None:
    """Make a repository whose commits build in no time and can be measured: a tag ``v1``, and ``main`` after it."""
    plant(folder, configure=configure)
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "--quiet", "--initial-branch=main"), ("add", "--all"), ("commit", "--quiet", "-m", "Begin"),
                  ("tag", "v1"), ("commit", "--quiet", "--allow-empty", "-m", "More")):
        subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def blocks_of(service: Service, name: str = "bench1") -> int:
    """How many blocks an agent has measured of what it has taken on."""
    files = (service.agents / name).glob("*/work/runs/*/blocks.jsonl")
    return sum(file.read_bytes().count(b"\n") for file in files)


def wait_for_blocks(service: Service, count: int = 2) -> None:
    wait_until(lambda: blocks_of(service) >= count)
