"""A fleet on this machine: Dask's own scheduler, and agents that are processes of their own, some of which die.

Three agents share two CPUs here and disturb each other, so what is planted is large, and the margin wide.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import venv
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from bench import LOCKSTEP, TIME_LIMIT, Bench, Twins, ended, free_port, wait_until

SUITE = Path(__file__).parent / "planted"
SIX = "arith|copy|sort|regex|json|calls"
"""Benchmarks of it: two for each of three machines."""
AGENT = """
import sys
from pathlib import Path
import lockstep_ab
from runner.fleet import door, serve_blocks
from runner.fleet.bench import MachineBench
address, certificates, name, lock = sys.argv[1:]
def told(text): print(text, flush=True)
here = door(address, Path(certificates) if certificates else None)
serve_blocks(here, MachineBench(name, told, lock=Path(lock)), told)
"""
"""An agent with a lock of its own: on one machine, there is one for all."""

@dataclass(slots=True)
class Cluster:
    """A scheduler and agents, which end with the test."""

    folder: Path
    stack: ExitStack
    port: int
    certificates: Path | None = None
    agents: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    scheduler: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"{'tls' if self.certificates else 'tcp'}://127.0.0.1:{self.port}"

    @property
    def options(self) -> list[object]:
        return ["--fleet", self.address, *(["--certificates", self.certificates] if self.certificates else [])]

    def schedule(self) -> None:
        host = self.address.rpartition(":")[0]
        words = [LOCKSTEP.with_name("dask"), "scheduler", "--host", host, "--port", self.port, "--no-dashboard",
                 "--dashboard-address", "127.0.0.1:0", "--preload", "lockstep_ab"]
        if self.certificates:
            words += ["--protocol", "tls", "--tls-ca-file", self.certificates / "ca.pem",
                      "--tls-cert", self.certificates / "cert.pem", "--tls-key", self.certificates / "key.pem"]
        self.scheduler = self._start("scheduler", *words)
        wait_until(self._listening)

    def agent(self, *names: str) -> None:
        """Start agents at once, again if need be, and see them at work."""
        for name in names:
            lock = self.folder / f"{name}.lock"
            self.agents[name] = self._start(
                name, sys.executable, "-c", AGENT, self.address, self.certificates or "", name, lock)
        wait_until(lambda: all("at work for" in self.said(name) for name in names))

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text()

    def _start(self, name: str, *words: object) -> subprocess.Popen[str]:
        out = self.stack.enter_context((self.folder / f"{name}.out").open("w"))
        return self.stack.enter_context(ended(subprocess.Popen(
            [str(word) for word in words], stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            env={**os.environ, "TMPDIR": str(self.folder)})))

    def _listening(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "fleet"
    folder.mkdir()
    with ExitStack() as stack:
        yield Cluster(folder=folder, stack=stack, port=free_port())


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """Two environments, of which the second does half as much again."""
    folder = tmp_path_factory.mktemp("planted")
    for arm, more in (("base", 0.0), ("head", 0.5)):
        venv.create(folder / arm, symlinks=True, with_pip=False)
        (folder / arm / "planted").write_text(f"{more:.2f}")
    return Twins(base=folder / "base", head=folder / "head")


def certificates(folder: Path) -> Path:
    """An authority, and a certificate that it has signed, as docs/fleet.md makes them."""
    folder.mkdir()
    for words in (
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=fleet", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=machine",
         "-keyout", "key.pem", "-out", "machine.csr"],
        ["x509", "-req", "-in", "machine.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
         "-out", "cert.pem"],
    ):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    return folder


def hosts(bench: Bench) -> dict[str, set[str]]:
    """Who has measured blocks of each benchmark."""
    found = defaultdict(set)
    for block in bench.blocks():
        found[block["benchmark"]].add(block["host"])
    return found


def planted_options(planted: Twins, bench: Bench) -> list[object]:
    return ["ab", *planted.pythons, "--suite", SUITE, "-b", SIX, "--margin", "20%",
            "--json", bench.folder / "report.json"]


def verdicts(bench: Bench) -> dict[str, Any]:
    return {row["name"]: row["verdict"] for row in json.loads((bench.folder / "report.json").read_text())["benchmarks"]}


def test_three_machines_find_what_was_planted_and_the_report_says_which_measured_what(
    bench: Bench, planted: Twins, cluster: Cluster, inside: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    cluster.certificates = certificates(cluster.folder / "certificates")
    cluster.schedule()
    cluster.agent("a", "b", "c")
    done = bench.run(*planted_options(planted, bench), *cluster.options)
    assert done.returncode == 1, done.stderr
    assert set(verdicts(bench).values()) == {"slower"} and len(verdicts(bench)) == 6
    who = hosts(bench)
    assert all(len(own) == 1 for own in who.values()), "a benchmark stays on one machine"
    assert set().union(*who.values()) == {"a", "b", "c"}
    report = json.loads((bench.folder / "report.json").read_text())
    assert all({row["host"]} == who[row["name"]] for row in report["benchmarks"])
    text = " ".join(done.stdout.split())
    for name in ("a", "b", "c"):
        count = sum(own == {name} for own in who.values())
        assert f"Machine {name} (" in text and f"measured {count} benchmark" in text
        wait_until(lambda name=name: "the comparison has ended" in cluster.said(name))
    again = inside("show", "last", "--out", bench.out)
    assert again.returncode == 1 and "Machine a (" in " ".join(again.stdout.split())
    refused = inside("resume", "last", "--out", bench.out)
    assert refused.returncode == 2 and "was measured by a fleet" in " ".join(refused.stderr.split())
    # Whoever has no certificate of the fleet's authority is not let in.
    strange = certificates(cluster.folder / "strange")
    out = bench.run(*planted_options(planted, bench), "--fleet", cluster.address, "--certificates", strange)
    assert out.returncode == 4 and "does not answer" in out.stderr


def test_a_killed_agent_costs_its_blocks_and_one_that_never_returns_its_unsettled_benchmarks(
    bench: Bench, planted: Twins, cluster: Cluster, background: Callable[[Any], Any]
) -> None:
    cluster.schedule()
    cluster.agent("a", "b", "c")
    process = background(bench.start(*planted_options(planted, bench), *cluster.options, "--patience", "12s"))
    wait_until(lambda: {block["host"] for block in bench.blocks()} == {"a", "b", "c"})
    os.killpg(cluster.agents["a"].pid, signal.SIGKILL)
    os.killpg(cluster.agents["b"].pid, signal.SIGKILL)
    cluster.agent("a")
    _, error = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 1, error
    assert set(verdicts(bench).values()) == {"slower"} and len(verdicts(bench)) == 6
    said = " ".join(error.split())
    assert "a is away" in said and "b is away" in said
    report = json.loads((bench.folder / "report.json").read_text())
    blocks = bench.blocks()
    sessions = {block["session"] for block in blocks if block["host"] == "a"}
    assert len(sessions) <= 2
    # What counts of a benchmark is from one machine, whoever else was at it before.
    for row in report["benchmarks"]:
        own = [block for block in blocks if block["benchmark"] == row["name"] and block["host"] == row["host"]]
        scored = {block["index"] for block in own if block["kind"] == "scored" and block["failure"] is None}
        assert scored >= set(range(row["blocks"]))
    kept = [(b["benchmark"], b["kind"], b["index"], b["host"]) for b in blocks if b["failure"] is None]
    assert len(kept) == len(set(kept)), "nothing that was stored is measured again on the same machine"


def test_a_scheduler_that_restarts_and_an_interruption_cost_nothing_that_is_stored(
    bench: Bench, planted: Twins, cluster: Cluster, background: Callable[[Any], Any]
) -> None:
    cluster.schedule()
    cluster.agent("a", "b")
    process = background(bench.start(*planted_options(planted, bench), *cluster.options, "-b", "copy|arith|sort|regex"))
    wait_until(lambda: len(bench.blocks()) >= 4)
    assert cluster.scheduler is not None
    os.killpg(cluster.scheduler.pid, signal.SIGKILL)
    before = len(bench.blocks())
    time.sleep(2)
    cluster.schedule()
    wait_until(lambda: len(bench.blocks()) >= before + 3)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 130, error
    assert "interrupted; go on with: lockstep resume" in out
    stored = bench.blocks()
    done = bench.run("resume", "last", *cluster.options, "--json", bench.folder / "report.json")
    assert done.returncode == 1, done.stderr
    assert set(verdicts(bench).values()) == {"slower"}
    blocks = bench.blocks()
    assert blocks[: len(stored)] == stored
    kept = [(b["benchmark"], b["kind"], b["index"]) for b in blocks if b["failure"] is None]
    assert len(kept) == len(set(kept)), "nothing that is stored is measured again"
    assert all(len(own) == 1 for own in hosts(bench).values())


def test_replicates_are_judged_together_and_an_agent_is_a_command(
    bench: Bench, planted: Twins, cluster: Cluster
) -> None:
    cluster.schedule()
    cluster.agent("a")
    cluster.agents["b"] = cluster._start(
        "b", LOCKSTEP, "agent", "--dask", cluster.address, "--name", "b")
    wait_until(lambda: "at work for" in cluster.said("b"))
    refused = bench.run(*planted_options(planted, bench), *cluster.options, "--replicate", 3)
    assert refused.returncode == 2 and "there are 2: a, b" in " ".join(refused.stderr.split())
    done = bench.run(*planted_options(planted, bench), *cluster.options, "--replicate", 2, "-b", "copy|arith")
    assert done.returncode in (0, 1), done.stderr  # two runs of a few benchmarks seldom decide
    runs = sorted(bench.out.glob("*/manifest.json"))
    manifests = [json.loads(path.read_text()) for path in runs]
    assert len(runs) == 2
    assert all(sorted(one["fleet"]["runs"]) == [path.parent.name for path in runs] for one in manifests)
    blocks = [map(json.loads, path.with_name("blocks.jsonl").read_text().splitlines()) for path in runs]
    who = [{(block["benchmark"], block["host"]) for block in own} for own in blocks]
    assert not who[0] & who[1], "each on another machine"
    report = json.loads((bench.folder / "report.json").read_text())
    assert all(sorted(row["host"].split(", ")) == ["a", "b"] for row in report["benchmarks"])
    assert "Combined from 2 runs" in " ".join(done.stdout.split())
    cluster.agents["b"].send_signal(signal.SIGINT)
    assert cluster.agents["b"].wait(timeout=TIME_LIMIT) == 130
