"""What a container takes away, in namespaces and under a filter of system calls; and what Lockstep says of it."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bench import LOCKSTEP, TIME_LIMIT, Bench, Twins

from runner.machine import addresses

ROOT = Path(__file__).parents[2]
SUITE = Path(__file__).parent / "told"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NUMBERS = {"x86_64": 135, "aarch64": 92}
"""Of the system call personality(2), by machine."""

FILTERED = """
import ctypes, os, struct, sys
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # struct sock_filter: code, jump if true, jump if false, operand
ALLOW, REFUSE = 0x7fff0000, 0x00050001
HARMLESS = (0x0, 0x8, 0x20000, 0x20008, 0xffffffff)
lines = [(LOAD, 0, 0, 0), (EQUAL, 0, len(HARMLESS) + 2, int(sys.argv[1])), (LOAD, 0, 0, 16)]
lines += [(EQUAL, len(HARMLESS) - place, 0, flags) for place, flags in enumerate(HARMLESS)]
lines += [(RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
header = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
assert libc.prctl(22, 2, header, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs a command as Docker's default profile has it: it may set no personality but five harmless ones."""

INSIDE = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
"""With a /dev/shm of Docker's default size."""


def filtered(*words: object) -> list[str]:
    number = NUMBERS.get(platform.machine())
    if number is None or addresses.refusal() is not None:
        pytest.skip("personality(2) is refused here anyway, or has an unknown number")
    return [sys.executable, "-c", FILTERED, str(number), *map(str, words)]


def contained(*words: object) -> list[str]:
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", INSIDE, "bash"]
    tried = subprocess.run([*command, "true"], capture_output=True, check=False) if shutil.which("unshare") else None
    if tried is None or tried.returncode != 0:
        pytest.skip("this user may make no namespaces, or mount nothing in them")
    return [*command, *map(str, words)]


def test_the_filter_refuses_what_lockstep_asks_for_and_nothing_else() -> None:
    code = "from runner.machine import addresses; print(addresses.refusal())"
    done = subprocess.run(filtered(sys.executable, "-c", code), cwd=ROOT, capture_output=True, text=True, check=True)
    assert "personality(ADDR_NO_RANDOMIZE) is refused (Operation not permitted)" in done.stdout


def test_a_run_in_a_container_is_whole_and_says_what_it_lacks(twins: Twins, bench: Bench) -> None:
    words = [LOCKSTEP, "ab", *twins.pythons, "--suite", SUITE, "-b", "time_something", "--margin", "30%",
             "--budget", "5s", "--out", bench.out]
    done = subprocess.run(contained(*filtered(*words)), capture_output=True, text=True, check=False, timeout=TIME_LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "Each process got addresses of its own" in said and "as in most containers" in said
    (run,) = bench.out.iterdir()
    assert (run / "report.html").is_file()


@pytest.mark.skipif(shutil.which("apt-cache") is None or not Path("/etc/os-release").exists(), reason="needs Debian")
def test_the_packages_of_the_dockerfile_are_there() -> None:
    (release,) = re.findall(r"^FROM debian:([a-z]+)-slim AS lockstep$", DOCKERFILE, re.MULTILINE)
    if f"VERSION_CODENAME={release}" not in Path("/etc/os-release").read_text():
        pytest.skip(f"this is no Debian {release}")
    commands = re.findall(r"apt-get install -qq -y --no-install-recommends (.*?) && rm", DOCKERFILE.replace("\\\n", ""))
    assert len(commands) == 2
    names = " ".join(commands).split()
    if subprocess.run(["apt-cache", "show", names[0]], capture_output=True, check=False).returncode != 0:
        pytest.skip("apt knows no packages here: apt-get update")
    command = ["apt-cache", "show", "--no-all-versions", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = set(re.findall(r"^Package: (.*)$", done.stdout, re.MULTILINE))
    assert set(names) == found, done.stderr


def test_all_that_the_dockerfile_copies_is_there_and_nothing_that_was_measured() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    generated = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split() if line.startswith("/data/")]
    assert set(generated) <= set(ignored) and ".venv" in ignored
    assert re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) == [". /src"]
    for flag in ("--cpuset-cpus", "--shm-size", "--security-opt seccomp=", "-v /tmp:/tmp", "-v lockstep-data:/data"):
        assert flag in (ROOT / "docs/docker.md").read_text()
    assert "VOLUME /data" in DOCKERFILE
