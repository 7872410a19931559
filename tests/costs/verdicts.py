"""What a verdict costs: ten pure-Python workloads in byte copies of one interpreter, equal, 1 % and 0.5 % apart.

    python tests/costs/verdicts.py [INTERPRETER] [SESSIONS]

Prints, for each session, how many of ten are called the same or slower, in how many machine-seconds, and how far the
ratios are from what was planted (root mean square). Run nothing else meanwhile.
"""

from __future__ import annotations

import json
import math
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUITE = Path(__file__).with_name("verdicts")
CASES = (("0", "1%"), ("1", "1%"), ("0.5", "0.25%"))
"""Per cent of more work in head, and the margin."""


def compared(arms: list[Path], percent: str, margin: str, folder: Path) -> dict:
    """The report of one comparison."""
    report = folder / "report.json"
    subprocess.run([
        Path(sys.executable).with_name("lockstep"), "ab", *(arm / "bin" / "python" for arm in arms), "--suite", SUITE,
        "-b", rf"percent={percent}\)", "--margin", margin, "--out", folder, "--json", report,
    ], check=False, capture_output=True)
    return json.loads(report.read_text())


def line(report: dict, percent: str) -> str:
    truth = math.log1p(float(percent) / 100)
    rows = report["benchmarks"]
    off = [math.log(row["ratio"]) - truth for row in rows if row["ratio"]]
    seconds = sum(row["machine_seconds"] for row in rows)
    slowest, second, *_ = sorted((row["machine_seconds"] for row in rows), reverse=True)
    counts = {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in ("same", "slower", "faster")}
    error = math.sqrt(sum(d * d for d in off) / len(off))
    return (f"{percent:>4} % | {counts['same']:2} same {counts['slower']:2} slower {counts['faster']:2} faster | "
            f"{seconds:6.1f} s in all, slowest {slowest:5.1f} and {second:.1f} s | error {100 * error:.2f} %")


def main() -> None:
    interpreter = sys.argv[1] if len(sys.argv) > 1 else sys.executable
    sessions = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print(f"{time.strftime('%Y-%m-%d %H:%M')} {platform.processor() or platform.machine()} {interpreter}")
    with tempfile.TemporaryDirectory(prefix="lockstep-verdicts-") as name:
        arms = [Path(name) / arm for arm in ("base", "head")]
        for arm in arms:
            subprocess.run([interpreter, "-m", "venv", "--without-pip", "--copies", arm], check=True)
        (arms[1] / "bin" / "planted").touch()
        for session in range(sessions):
            for percent, margin in CASES:
                (folder := Path(name) / f"{session}-{percent}").mkdir()
                print(line(compared(arms, percent, margin, folder), percent), flush=True)


if __name__ == "__main__":
    main()
