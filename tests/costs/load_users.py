"""Who uses the server of load.py: machines that each send a run within a minute, and readers meanwhile. Locust runs it.

What there is to do is in the file that ``LOCKSTEP_LOAD`` names; what came of it is written beside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import time
from pathlib import Path
from typing import Any

import gevent
from locust import HttpUser, between, events, task

JOB = Path(os.environ["LOCKSTEP_LOAD"])
WORK: dict[str, Any] = json.loads(JOB.read_text())
MEDIA = "application/vnd.lockstep.run+gzip"
AGAIN = (429, 503)
"""What a server says that wants to be asked later; it says when, or a second is waited."""

_luck = random.Random(1)
_machines, _readers = list(WORK["machines"]), list(WORK["readers"])
_begun = time.monotonic()
_answers: list[tuple[str, float, float, int]] = []
"""Kind, when it ended in seconds from the beginning, milliseconds that it took, and status (0: no answer)."""


class Machine(HttpUser):
    """Sends one run, at a moment of its own."""

    fixed_count = len(_machines)
    wait_time = between(1, 2)

    def on_start(self) -> None:
        self.mine: dict[str, str] | None = _machines.pop()
        gevent.sleep(_luck.uniform(0, WORK["spread"]))

    @task
    def night(self) -> None:
        if self.mine is None:
            return
        body = Path(self.mine["parcel"]).read_bytes()
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        begun = time.monotonic()
        while True:
            answer = self.client.post("/api/v1/runs", data=body, name="upload", headers={
                "Authorization": f"Bearer {self.mine['token']}", "Content-Type": MEDIA,
                "Idempotency-Key": self.mine["key"], "Content-Digest": f"sha-256=:{digest}:"})
            if answer.status_code not in AGAIN:
                break
            gevent.sleep(float(answer.headers.get("Retry-After", 1)))
        if answer.status_code not in (200, 201):
            print("refused:", answer.status_code, answer.text[:300], flush=True)
        # All of it, with what it was told to wait.
        _answers.append(("night", time.monotonic() - _begun, 1e3 * (time.monotonic() - begun), answer.status_code))
        self.mine = None


class Reader(HttpUser):
    """Looks at one page after the other."""

    fixed_count = len(_readers)
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.headers = {"Authorization": f"Bearer {_readers.pop()}"}

    @task
    def look(self) -> None:
        kind, addresses = _luck.choice(list(WORK["pages"].items()))
        self.client.get(_luck.choice(addresses), name=kind, headers=self.headers)


@events.request.add_listener
def _heard(name: str, response_time: float, response: Any, **_: Any) -> None:
    status = 0 if response is None else int(response.status_code or 0)
    _answers.append((name, time.monotonic() - _begun, response_time, status))


@events.quitting.add_listener
def _written(**_: Any) -> None:
    JOB.with_suffix(".answers").write_text(json.dumps(_answers))
