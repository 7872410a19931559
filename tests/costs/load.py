"""``python tests/costs/load.py``: what a server does under load, printed; asserted nowhere.

    python tests/costs/load.py --machines 50 --benchmarks 500 --readers 10

A real `lockstep serve` on this machine, with a history. Each machine sends a run of a night, at a moment of its own
within `SPREAD` seconds, while readers look at pages and ask the API; locust is all of them, in a process of its own, on
the same CPUs. What is told to come again waits for as long as it is told, and that counts; a page's time counts from
when it was asked for. Who is not done `SLACK` seconds after `LASTS` is broken off, and is missing among the runs taken.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from asked import LOCKSTEP, folder, options
from made_runs import MACHINE, make_run, some_benchmarks

from runner.service import database, lookers, settings, tokens
from runner.storage import parcel

HISTORY = 20
"""Runs that the server has already."""
SPREAD = 40.0
"""Seconds within which all machines begin to send."""
LASTS, SLACK = 60, 60
"""Seconds that the load lasts, and that are left then to what is under way."""
PATIENCE = 600.0
"""Seconds to wait for the site."""
Answer = tuple[str, float, float, int]
"""As in `load_users`."""


def main() -> None:
    asked = options(str(__doc__), keeps="data, parcels and answers", machines=50, benchmarks=500, readers=10)
    with folder(asked) as place:
        data = place / "data"
        suite = some_benchmarks(asked.benchmarks)
        now = time.time()
        for number in range(HISTORY):
            make_run(data / "runs", number, suite, created=now - 86_400 * (HISTORY - number))
        work = {"spread": SPREAD, "machines": machines(place / "sent", asked, now), "readers": []}
        admit(data, work, asked.readers)
        with served(data) as (address, process):
            seconds = until(lambda: (data / "site" / "index.html").is_file())
            print(f"the site of {HISTORY} runs is there after {seconds:.0f} s", flush=True)
            work["pages"] = pages(data / "site")
            print(f"load of this machine before, of the last minute: {os.getloadavg()[0]:.1f}", flush=True)
            before, own = spent(process.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
            answers = loaded(place / "load.json", work, address)
            told(answers, asked.machines)
            after, end = spent(process.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
            locust = end.ru_utime + end.ru_stime - own.ru_utime - own.ru_stime
            print(f"CPU meanwhile: who sends and reads {locust:.1f} s, the server "
                  f"{after.itself - before.itself:.1f} s, its processes that look or publish "
                  f"{after.others - before.others:.1f} s", flush=True)
            new = [one["id"] for one in work["machines"] if (data / "runs" / one["id"]).is_dir()]
            seconds = until(lambda: all((data / "site" / "runs" / f"{id}.html").is_file() for id in new))
            print(f"all new runs are on the site {seconds:.0f} s after the load ended")
            print(f"CPU to look at a run: {spent(process.pid).looking / asked.machines:.2f} s")
            print(f"largest the server was: {memory(process.pid):.0f} MiB")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds of CPU since a server began."""

    itself: float
    others: float
    """Of the processes that it has started, and so on, whether they live or not."""
    looking: float
    """Of those of them that look at runs, and live."""


def spent(pid: int) -> Spent:
    process = psutil.Process(pid)
    own = process.cpu_times()
    others, looking = own.children_user + own.children_system, 0.0
    for one in process.children(recursive=True):
        try:
            times, nice = one.cpu_times(), one.nice()
        except psutil.NoSuchProcess:
            continue
        others += times.user + times.system + times.children_user + times.children_system
        looking += times.user + times.system if nice == process.nice() + lookers.NICE else 0.0
    return Spent(itself=own.user + own.system, others=others, looking=looking)


def machines(place: Path, asked: argparse.Namespace, now: float) -> list[dict[str, str]]:
    """A parcel for each machine, with what it is called."""
    suite, made = some_benchmarks(asked.benchmarks), []
    for number in range(asked.machines):
        machine = {**MACHINE, "host": f"{number:032x}", "fingerprint": f"{number:016x}"}
        run = make_run(place, 1000 + number, suite, changed=0.03, created=now - 3600 - number, machine=machine)
        file = place / f"{run.name}.parcel"
        with file.open("wb") as stream:
            size = parcel.pack(run, stream).size
        made.append({"id": run.name, "parcel": str(file), "key": run.name, "name": f"machine{number}"})
    print(f"{asked.machines} parcels of {size / 1024:.0f} KiB each", flush=True)
    return made


def admit(data: Path, work: dict[str, Any], readers: int) -> None:
    """Make tokens for all, before the server has the database."""
    opened = database.opened(settings.made(data, settings.Serve()).database)
    try:
        for one in work["machines"]:
            one["token"] = tokens.create(opened, one["name"], ["submit"], time.time(), machine=True)[1]
        work["readers"] = [
            tokens.create(opened, f"reader{number}", ["read"], time.time())[1] for number in range(readers)]
    finally:
        opened.close()


@contextmanager
def served(data: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server of this data, at an address; it is ended at the end."""
    command = [LOCKSTEP, "serve", "--data", data, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if found := re.search(r"http://\S+", line):
                    break
            else:
                raise SystemExit(f"the server ended with {process.wait()}")
            yield found[0], process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def pages(site: Path) -> dict[str, list[str]]:
    """What readers look at, by kind."""
    runs, benchmarks = (sorted((site / name).glob("*.html")) for name in ("runs", "benchmarks"))
    return {
        "overview": ["/"], "list of runs": ["/runs/"],
        "a run": [f"/runs/{file.name}" for file in runs if re.match(r"\d", file.name)][:20],
        "a benchmark": [f"/benchmarks/{file.name}" for file in benchmarks][:50],
        "machines": ["/machines/"], "requests": ["/requests/"],
        "api: runs": ["/api/v1/runs?limit=50"],
        "api: series": [f"/api/v1/series?benchmark={one.key}" for one in some_benchmarks(20)],
    }


def loaded(job: Path, work: Mapping[str, Any], address: str) -> list[Answer]:
    """Let locust do it."""
    job.write_text(json.dumps(work))
    users = len(work["machines"]) + len(work["readers"])
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", Path(__file__).with_name("load_users.py"), "--headless", "-H", address,
         "-u", str(users), "-r", str(users), "-t", f"{LASTS}s", "--stop-timeout", str(SLACK), "--only-summary",
         "--exit-code-on-error", "0", "--loglevel", "WARNING"],
        env={**os.environ, "LOCKSTEP_LOAD": str(job)}, check=False, timeout=LASTS + 240,
        capture_output=True, text=True)
    for text in [text for text in done.stdout.splitlines() if text.startswith("refused:")][:5]:
        print(text)
    if done.returncode:
        raise SystemExit(f"locust ended with {done.returncode}: {done.stderr[-2000:]}")
    return [(kind, at, took, status) for kind, at, took, status in json.loads(job.with_suffix(".answers").read_text())]


def told(answers: Sequence[Answer], machines: int) -> None:
    nights = [one for one in answers if one[0] == "night"]
    good = [one for one in nights if one[3] in (200, 201)]
    first, last = min((at - took / 1e3 for _, at, took, _ in good), default=0), max((one[1] for one in good), default=0)
    print(f"runs taken: {len(good)} of {machines}; {last - first:.1f} s from when the first was sent to when the last "
          f"was accepted; each in {line([one[2] for one in good])}")
    looked = [one for one in answers if one[0] not in ("night", "upload")]
    meanwhile = [one[2] for one in looked if one[1] >= first and one[1] - one[2] / 1e3 <= last]
    print(f"pages while runs were sent: {len(meanwhile)} in {line(meanwhile)}")
    print(f"all pages: {len(looked)} in {line([one[2] for one in looked])}")
    for kind in dict.fromkeys(one[0] for one in looked):
        own = [one for one in looked if one[0] == kind]
        states = sorted({one[3] for one in own})
        print(f"  {kind}: {len(own)} in {line([one[2] for one in own])}; status {', '.join(map(str, states))}")
    again = sum(one[0] == "upload" and one[3] in (429, 503) for one in answers)
    bad = sum((one[3] >= 500 and one[3] != 503) or one[3] == 0 for one in answers)
    print(f"told to come again: {again}; answers that were none, or a fault of the server's: {bad}", flush=True)


def line(took: Sequence[float]) -> str:
    """Milliseconds: what half of them, and 99 of 100, took at most, and the longest."""
    if not took:
        return "–"
    ordered = sorted(took)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99)]
    return f"{at[0]:.0f} ms (p99 {at[1]:.0f} ms, at most {ordered[-1]:.0f} ms)"


def until(true: Any) -> float:
    """Seconds until it is true."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > PATIENCE:
            raise SystemExit(f"not within {PATIENCE:.0f} s")
        time.sleep(0.5)
    return time.monotonic() - begun


def memory(pid: int) -> float:
    """MiB that a process had at most."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
