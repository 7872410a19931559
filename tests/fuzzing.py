"""Fuzz what is sent to a server: `python -m fuzzing`, or `make fuzz`.

A real server gets requests by its own OpenAPI document, parcels of all kinds among them. The tests of archives, which
ask more of each and are quicker, get as many examples.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "live"))
from served import lockstep, serving

HERE = Path(__file__).parent
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
ARCHIVES = ("tests/unit/test_parcel.py", "tests/unit/test_reception.py")
"""Tests that send archives, by hypothesis, in this process."""
SHARE = 0.25
"""Of the time, what the tests of archives may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """What became of it."""

    code: int
    """Schemathesis' exit code: 0 for nothing found."""
    said: str
    requests: float
    """That the server has counted."""
    uploads: float
    """Those of them that sent a parcel."""
    faults: float
    """Those that were answered by a 5xx."""
    log: str
    """What the server said on standard error."""
    outside: list[str]
    """Files that were made beside the folder of the data, and what was left of uploads in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of archives."""

    wrong: bool
    """Whether a test failed."""
    over: bool
    """Whether the time was over before all were tried."""
    said: str
    count: int
    """Archives at least, by the test cases that hypothesis tells."""


def fuzzed(data: Path, *, examples: int, seconds: int, seed: int = 1) -> Fuzzed:
    """Start a server and send it so many examples for each operation, with a token that may all; `seconds` at most."""
    client = data.parent / "client"
    client.mkdir(parents=True)
    toml = data.parent / "lockstep.toml"
    toml.write_text("[serve]\nrate = 0\n")
    before = {path.name for path in data.parent.iterdir()}
    with serving(data, "--config", toml) as one:
        scopes = "read,submit,request,triage,admin"
        made = lockstep("token", "create", "fuzz", "--machine", "--scope", scopes, "--data", data, "--config", toml)
        done = subprocess.run(
            [SCHEMATHESIS, "run", f"{one.address}/api/v1/openapi.json", "--header",
             f"Authorization: Bearer {made.stdout.strip()}", "--checks", "not_a_server_error",
             "--max-examples", str(examples), "--max-time", str(seconds), "--seed", str(seed),
             "--generation-database", "none", "--continue-on-failure", "--no-color", "--request-timeout", "30"],
            capture_output=True, text=True, check=False, timeout=seconds + 300, cwd=client,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzzing_hooks",
                 "PYTHONPATH": os.pathsep.join(map(str, (HERE, HERE / "unit", HERE.parent)))},
        )
        metrics = one.ask("GET", "/metrics").text
        _, log = one.end()
    outside = {path.name for path in data.parent.iterdir()} - before - {data.name}
    left = {f"incoming/{path.name}" for path in (data / "service" / "incoming").iterdir()}
    return Fuzzed(
        code=done.returncode, said=done.stdout + done.stderr, requests=_counted(metrics, ""), log=log,
        uploads=_counted(metrics, 'method="POST",route="/api/v1/runs",'), faults=_counted(metrics, 'status="5'),
        outside=sorted(outside | left),
    )


def _counted(metrics: str, which: str) -> float:
    """How many requests a server has counted in whose labels this is."""
    found = re.findall(r"^lockstep_requests_total\{(.*)\} (\S+)$", metrics, re.MULTILINE)
    return sum(float(count) for labels, count in found if which in labels)


def archives(*, examples: int, seconds: float) -> Tried:
    """Have each test of archives try so many examples; `seconds` at most."""
    command = [
        sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--hypothesis-profile", "fuzz",
        "--hypothesis-show-statistics", *ARCHIVES,
    ]
    process = subprocess.Popen(
        command, cwd=HERE.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "FUZZ_EXAMPLES": str(examples)})
    over = False
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        over = True
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate()
    # What was interrupted has an exit code of its own, whatever had failed before.
    wrong = bool(re.search(r"\b\d+ (?:failed|errors?)\b", said)) if over else process.returncode != 0
    return Tried(
        wrong=wrong, over=over, said=said, count=sum(map(int, re.findall(r"(\d+) passing\b", said))))


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzzing")
    parser.add_argument("--examples", type=int, default=10_000, help="of each operation, and of each test of archives")
    parser.add_argument("--minutes", type=float, default=120, help="at most, for all")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    seconds = 60 * asked.minutes
    tried = archives(examples=asked.examples, seconds=SHARE * seconds)
    print(tried.said[-3000:])
    with tempfile.TemporaryDirectory() as folder:
        done = fuzzed(
            Path(folder) / "data", examples=asked.examples, seconds=round((1 - SHARE) * seconds), seed=asked.seed)
    print(done.said[-5000:])
    if done.log:
        print(done.log[-5000:])
    if tried.over:
        print("The time was over before all archives were tried: give it more MINUTES.")
    print(f"{tried.count:,} archives were tried in one process; {done.requests:,.0f} requests were sent to a server, "
          f"{done.uploads:,.0f} of them uploads. In all {tried.count + done.requests:,.0f}.")
    print(f"{done.faults:,.0f} were answered by a 5xx; outside lies {', '.join(done.outside) or 'nothing'}.")
    if wrong := bool(tried.wrong or done.code or done.faults or done.outside):
        print("Something is wrong.")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
