"""One file over HTTP, given up quickly where there is no network."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

CONNECT_LIMIT = 5.0
"""Seconds until the server must have answered, name look-up included."""
STALL_LIMIT = 20.0
"""Seconds without a single byte after which a download is given up."""


class DownloadError(Exception):
    """Why there is no file, in words for the list of attempts."""


@dataclass(slots=True)
class _State:
    """Shared by the thread that reads and the one that watches it."""

    answered: bool = False
    moved: float = 0.0
    given_up: bool = False
    error: str = ""


def fetch(url: str, target: Path, *, connect: float = CONNECT_LIMIT, stall: float = STALL_LIMIT) -> None:
    """Download to `target`, which is whole or not there. Raises DownloadError.

    A thread reads and this one watches, because a name look-up cannot be given a time limit.
    """
    state = _State(moved=time.monotonic())
    part = target.with_name(target.name + ".part")
    thread = threading.Thread(target=_read, args=(url, part, state, 2 * max(connect, stall)), daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
            still = time.monotonic() - state.moved
            if thread.is_alive() and still > (stall if state.answered else connect):
                silent = f"nothing more came for {stall:g} s"
                state.error = silent if state.answered else f"no answer within {connect:g} s"
                break
    finally:
        state.given_up = True
    if state.error:
        part.unlink(missing_ok=True)
        raise DownloadError(state.error)
    part.replace(target)


def _read(url: str, part: Path, state: _State, timeout: float) -> None:
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "lockstep"})
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            state.answered, state.moved = True, time.monotonic()
            expected = answer.headers.get("Content-Length")
            received = 0
            with part.open("wb") as file:
                while not state.given_up and (piece := answer.read1(1 << 18)):
                    file.write(piece)
                    received += len(piece)
                    state.moved = time.monotonic()
        if expected is not None and received != int(expected) and not state.given_up:
            state.error = f"the connection ended after {received} of {expected} bytes"
    except urllib.error.HTTPError as error:
        with error:
            state.error = state.error or f"the server answered {error.code} {error.reason}"
    except urllib.error.URLError as error:
        state.error = state.error or str(error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:
        state.error = state.error or str(error) or type(error).__name__
