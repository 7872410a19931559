"""A real server: who is let in, who is not, how it ends, and clients that mean no good."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn
from served import QUICK, Served, serving

from runner.jobs.watched import Serve
from runner.service import app as application
from runner.service import connections, limits, server, settings, tokens
from runner.service.server import Server

Inside = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served") / "data") as one:
        yield one


def made(served: Served, inside: Inside, *words: object) -> tuple[str, str]:
    """A new token: id and text."""
    done = inside("token", "create", "ada", *words, "--data", served.data)
    assert done.returncode == 0, done.stderr
    text = done.stdout.strip()
    assert re.fullmatch(r"lst_[0-9a-f]{8}_[A-Za-z0-9_-]{43}", text) and "shown once" in done.stderr
    return text.split("_")[1], text


def test_tokens_let_in_as_far_as_they_go_and_as_long_as_they_count(served: Served, inside: Inside) -> None:
    id, text = made(served, inside, "--scope", "request")
    assert served.ask("GET", "/metrics", token=text).status_code == 200
    refused = served.ask("GET", "/api/v1/audit", token=text)
    assert refused.status_code == 403 and refused.json()["type"] == "/problems/scope"
    assert served.ask("GET", "/api/v1/audit").status_code == 200, "the first token may all"
    forged = text[:-1] + ("A" if text[-1] != "A" else "B")
    for wrong in ("", forged, text.replace(id, "00000000"), "lst_", text + "x"):
        assert served.ask("GET", "/metrics", token=wrong).status_code == 401
    _, short = made(served, inside, "--expires", "1s")
    end = time.monotonic() + QUICK
    while served.ask("GET", "/metrics", token=short).status_code == 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert served.ask("GET", "/metrics", token=short).status_code == 401
    done = inside("token", "revoke", id, "--data", served.data)
    assert done.returncode == 0 and "revoked" in done.stdout
    assert served.ask("GET", "/metrics", token=text).status_code == 401, "at once"
    listed = inside("token", "list", "--data", served.data).stdout
    assert f"{id}  ada  person  read request  used" in listed and text not in listed
    assert inside("token", "revoke", "00000000", "--data", served.data).returncode == 2
    assert inside("token", "create", "ada", "--scope", "root", "--data", served.data).returncode == 2
    noted = served.ask("GET", "/api/v1/audit").json()["entries"]
    assert {"token revoke", "token create", "GET /api/v1/audit"} <= {one["entry"]["action"] for one in noted}


def test_a_second_server_is_refused(served: Served, inside: Inside, tmp_path: Path) -> None:
    second = inside("serve", "--port", "0", "--data", served.data)
    assert second.returncode == 4 and "another server has" in second.stderr
    file = served.data / "service" / "service.sqlite"
    third = inside("serve", "--port", "0", "--data", tmp_path / "other", "--database", f"sqlite:///{file}")
    assert third.returncode == 4 and "another server has this database" in third.stderr
    busy = inside("serve", "--port", served.port, "--data", tmp_path / "other")
    assert busy.returncode == 4 and "cannot listen" in busy.stderr
    assert served.ask("GET", "/healthz", token="").status_code == 200


def test_a_server_that_is_ended_has_done_what_it_should_and_starts_again_as_after_a_kill(tmp_path: Path) -> None:
    text = ""
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with serving(tmp_path / "data") as one:
            assert bool(one.token) is not bool(text), "shown once"
            text = text or one.token
            assert one.ask("GET", "/metrics", token=text).status_code == 200
            if how is signal.SIGKILL:
                one.process.kill()
                continue
            with one.connect() as waiting:  # who asks nothing keeps nobody waiting
                assert one.end(how) == (0, "")
                with contextlib.suppress(ConnectionResetError):  # it may not have been taken up yet
                    assert waiting.recv(1) == b""
    with serving(tmp_path / "data") as again:
        assert again.ask("GET", "/metrics", token=text).status_code == 200


def test_others_are_warned_of_what_has_no_tls(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--host", "0.0.0.0") as one:
        assert one.ask("GET", "/healthz").status_code == 200
        code, error = one.end()
    assert code == 0 and "TLS" in error


def test_a_proxy_is_believed_and_nobody_else(served: Served, tmp_path: Path) -> None:
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    answer = served.ask("DELETE", "/api/v1/audit", headers=said)
    assert "strict-transport-security" in answer.headers
    (tmp_path / "lockstep.toml").write_text('[serve]\nproxies = ["192.0.2.0/24"]\n')
    with serving(tmp_path / "data", "--config", tmp_path / "lockstep.toml") as other:
        assert "strict-transport-security" not in other.ask("GET", "/healthz", headers=said).headers


def sent(served: Served, text: bytes, patience: float = 2.0) -> bytes:
    """All that a server answers to some bytes, until it closes the connection or nothing more comes for so long."""
    with served.connect() as connection:
        connection.sendall(text)
        connection.settimeout(patience)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionError):
            while piece := connection.recv(65536):
                answer += piece
    return answer


@pytest.mark.parametrize("text", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
    b"GET /%ff%00%2e%2e/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
])
def test_what_is_no_http_is_not_answered_by_a_fault(served: Served, text: bytes) -> None:
    answer = sent(served, text)
    assert answer == b"" or re.match(rb"HTTP/1.1 [234]\d\d ", answer), answer[:200]
    assert served.ask("GET", "/healthz").status_code == 200


def test_a_body_is_limited_that_says_nothing_of_its_length(served: Served) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 65536

    # Where nothing takes a body, none is read either.
    for path in ("/healthz", "/api/v1/audit"):
        with contextlib.suppress(httpx.TransportError):  # it may close the connection meanwhile
            assert 400 <= served.ask("POST", path, content=pieces()).status_code < 500
    said = sent(served, b"POST /api/v1/audit HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", QUICK)
    assert said.startswith(b"HTTP/1.1 4")
    assert served.ask("GET", "/healthz").status_code == 200


@contextlib.contextmanager
def here(data: Path, **said: object) -> Iterator[tuple[Server, int, uvicorn.Server]]:
    """A server in this process, whose patience a test can set: the server, its port, and what serves it."""
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(server.holding(settings.made(data, Serve(**said))))
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        running = connections.server(application.make(held), held.settings.serve.proxies)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        port = listening.getsockname()[1]
        thread.start()
        try:
            yield held, port, running
        finally:
            running.should_exit = True
            thread.join(300)
            assert not thread.is_alive()


def closed_after(port: int, first: bytes, pieces: bytes = b"", pause: float = 0.05) -> float:
    """Seconds until the server closes a connection on which these bytes are sent, one after the other."""
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=QUICK) as connection:
        connection.sendall(first)
        connection.settimeout(pause)
        for number in range(round(QUICK / pause)):
            with contextlib.suppress(ConnectionError):
                connection.sendall(pieces[number % len(pieces) :][:1] if pieces else b"")
            try:
                if not connection.recv(65536):
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        else:
            raise AssertionError("it is held for ever")
    return time.monotonic() - begun


def test_a_client_that_is_slow_loses_its_connection_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head a byte at a time, no head at all, a second head that never ends, a body that stops or trickles."""
    monkeypatch.setattr(connections, "HEAD", 0.5)
    monkeypatch.setattr(connections, "IDLE", 1)
    monkeypatch.setattr(limits, "SILENCE", 0.5)
    whole = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    body = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    with here(tmp_path / "data") as (_, port, running):
        app = running.config.app

        @app.post("/slow")
        def slow(body: dict) -> None:  # type: ignore[type-arg]
            pass

        app.router.routes.insert(0, app.router.routes.pop())
        for first, pieces in ((b"", b""), (b"", whole[:-2] + b"X: " + b"y" * 1000), (whole, b"GET / HTTP/1.1\r\nX: y"),
                              (whole, b""), (body, b""), (body, b" " * 1000)):
            assert closed_after(port, first, pieces) >= 0.4
        # Three hundred at once that say nothing, and one who asks.
        with contextlib.ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=QUICK))
            one.sendall(whole)
            assert one.recv(15) == b"HTTP/1.1 200 OK"


def test_where_there_are_too_many_the_idlest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 20)
    with here(tmp_path / "data") as (_, port, running), contextlib.ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=QUICK)) for _ in range(60)]
        one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=QUICK))
        one.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert one.recv(15) == b"HTTP/1.1 200 OK"
        with contextlib.suppress(ConnectionError):
            assert idle[0].recv(1) == b"", "the first has made room"
        assert len(running.server_state.connections) <= 20


def test_who_does_not_read_is_not_written_to_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "READING", 0.5)
    with here(tmp_path / "data") as (_, port, running):
        app = running.config.app

        @app.get("/large")
        def large() -> str:
            return "x" * 20_000_000

        app.router.routes.insert(0, app.router.routes.pop())
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(QUICK)
            connection.connect(("127.0.0.1", port))
            connection.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            end = time.monotonic() + QUICK
            while running.server_state.connections:
                assert time.monotonic() < end, "the connection is held"
                time.sleep(0.02)


def test_a_clock_that_jumps_ends_and_begins_nothing_that_it_should_not(tmp_path: Path) -> None:
    """By hours, both ways: tokens end by the clock, and limits and patience do not look at it."""
    now = time.time()
    with server.holding(settings.made(tmp_path / "data", Serve()), lambda: now) as held:
        _, lasting = tokens.create(held.database, "ada", ["read"], now)
        _, short = tokens.create(held.database, "grace", ["read"], now, expires=now + 7200)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            running = connections.server(application.make(held), ())
            thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
            one = Served(process=None, data=tmp_path, port=listening.getsockname()[1], token="")  # type: ignore[arg-type]
            thread.start()
            try:
                for jump, status in ((0, 200), (-86_400, 200), (0, 200), (3 * 86_400, 401), (-3 * 86_400, 200)):
                    now += jump
                    for _ in range(5):
                        assert one.ask("GET", "/metrics", token=lasting).status_code == 200
                        assert one.ask("GET", "/metrics", token=short).status_code == status
                        assert one.ask("GET", "/healthz").status_code == 200
            finally:
                running.should_exit = True
                thread.join(300)
