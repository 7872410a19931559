"""Fuzz a real server by its own OpenAPI document: `python -m fuzzing`, or `make fuzz`."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "live"))
from served import serving

HERE = str(Path(__file__).parent)
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuzzed:
    """What became of it."""

    code: int
    """Schemathesis' exit code: 0 for nothing found."""
    said: str
    requests: float
    """That the server has counted."""
    log: str
    """What the server said on standard error."""
    outside: list[str]
    """Files that were made beside the folder of the data."""


def fuzzed(data: Path, *, examples: int, seconds: int, seed: int = 1) -> Fuzzed:
    """Start a server and send it so many examples for each operation, with a token that may all; `seconds` at most."""
    client = data.parent / "client"
    client.mkdir(parents=True)
    toml = data.parent / "lockstep.toml"
    toml.write_text("[serve]\nrate = 0\n")
    before = {path.name for path in data.parent.iterdir()}
    with serving(data, "--config", toml) as one:
        done = subprocess.run(
            [SCHEMATHESIS, "run", f"{one.address}/api/v1/openapi.json", "--header",
             f"Authorization: Bearer {one.token}", "--checks", "not_a_server_error", "--max-examples", str(examples),
             "--max-time", str(seconds), "--seed", str(seed), "--generation-database", "none", "--continue-on-failure",
             "--no-color", "--request-timeout", "30"],
            capture_output=True, text=True, check=False, timeout=seconds + 300, cwd=client,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "fuzzing_hooks",
                 "PYTHONPATH": os.pathsep.join([HERE, str(Path(HERE).parent)])},
        )
        counted = one.ask("GET", "/metrics").text
        _, log = one.end()
    counts = re.findall(r"^lockstep_requests_total\{.*\} (\S+)$", counted, re.MULTILINE)
    outside = sorted({path.name for path in data.parent.iterdir()} - before - {data.name})
    return Fuzzed(
        code=done.returncode, said=done.stdout + done.stderr, requests=sum(map(float, counts)), log=log,
        outside=outside,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzzing")
    parser.add_argument("--examples", type=int, default=10_000, help="of each operation")
    parser.add_argument("--minutes", type=float, default=30, help="at most")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = fuzzed(
            Path(folder) / "data", examples=asked.examples, seconds=round(60 * asked.minutes), seed=asked.seed)
    print(done.said[-5000:])
    print(f"{done.requests:,.0f} requests; exit code {done.code}; made outside: {done.outside or 'nothing'}")
    if done.log:
        print(done.log[-5000:])
    return done.code


if __name__ == "__main__":
    sys.exit(main())
