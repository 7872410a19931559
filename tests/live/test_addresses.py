"""Both arms of a block in one address space: stacks, heaps, libraries and unchanged code lie at equal addresses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest
from bench import LOCKSTEP, TIME_LIMIT, Bench, Twins

from runner import builds
from runner.builds import functions, layouts, slots
from runner.machine import addresses
from runner.measuring.copies import Copies
from runner.model import Arm, Interpreter

SUITE = Path(__file__).parent / "told"
BASE, HEAD = "cpython@3.13.5+nocow", "cpython@3.13.5"
WHERE = (
    "import json, re; maps = open('/proc/self/maps').read(); "
    "print(id(json), id(object()), re.findall('^(.*?) .* /', maps, re.M))"
)

pytestmark = pytest.mark.skipif(addresses.refusal() is not None, reason=addresses.refusal() or "")


def made(spec: str) -> Interpreter:
    return builds.resolve(spec, progress=lambda phase: None)


def seen(executable: Path | str, number: int | None) -> str:
    """Addresses of two objects and of all files that a process has mapped."""
    env = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "7"}
    command = [executable, "-s", "-c", WHERE]
    with addresses.drawn(number):
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def test_one_number_is_one_address_space_and_another_number_another() -> None:
    first = seen(sys.executable, 41)
    assert seen(sys.executable, 41) == first
    assert seen(sys.executable, 42) != first
    assert seen(sys.executable, None) != seen(sys.executable, None), "the kernel draws nothing: this says nothing"


def test_the_caller_is_left_as_it_was() -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_STACK), Path("/proc/self/personality").read_text()
    with pytest.raises(RuntimeError), addresses.drawn(addresses.DRAWS - 1):
        assert Path("/proc/self/personality").read_text() != before[1]
        raise RuntimeError
    assert (resource.getrlimit(resource.RLIMIT_STACK), Path("/proc/self/personality").read_text()) == before


def test_where_the_system_refuses_the_report_says_so(bench: Bench, twins: Twins) -> None:
    """By a hard limit on the stack, which cannot be raised again."""
    words = ["ab", *twins.pythons, "--suite", SUITE, "-b", "time_something", "--budget", "2s", "--out", bench.out]
    limited = 'ulimit -Ss 8192 && ulimit -Hs 65536 && exec "$0" "$@"'
    done = subprocess.run(
        ["bash", "-c", limited, LOCKSTEP, *words], capture_output=True, text=True, timeout=TIME_LIMIT, check=False)
    assert done.returncode in (0, 1), done.stderr
    said = " ".join(done.stdout.split())
    assert "Each process got addresses of its own, which makes intervals wider" in said
    assert "the hard limit on the stack is 64 MiB" in said
    assert "at addresses drawn for each block" not in said


def symbols(executable: Path) -> dict[str, list[str]]:
    rows = subprocess.run(["nm", "--defined-only", executable], capture_output=True, text=True, check=True).stdout
    found: dict[str, list[str]] = {}
    for row in rows.splitlines():
        address, _, name = row.split()
        found.setdefault(name, []).append(address)
    return found


def apart(arms: dict[Arm, Interpreter]) -> list[str]:
    """Names that both executables have, at different addresses."""
    base, head = (symbols(arms[arm].executable) for arm in Arm)
    return [name for name in base if name in head and base[name] != head[name]]


@pytest.mark.parametrize("seed", [31, 32, 33])
def test_every_function_lies_at_one_address_in_both_builds(seed: int) -> None:
    base, head = made(BASE), made(HEAD)
    arms = layouts.Layouts(base, head).arms(seed)
    moved = {name for name in apart(arms) if not name.startswith(".LC")}  # those are strings
    assert moved <= {"__FRAME_END__"}
    assert arms[Arm.BASE].executable.read_bytes() != arms[Arm.HEAD].executable.read_bytes()
    # By themselves, the larger file moves all that follows it.
    alone = {arm: layouts.Linker(one).link(seed) for arm, one in ((Arm.BASE, base), (Arm.HEAD, head))}
    assert len(apart(alone)) > 200
    assert seen(arms[Arm.BASE].executable, 5) == seen(arms[Arm.HEAD].executable, 5)


def test_files_that_are_too_many_to_compile_have_slots_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "FEW", 0)
    base, head = made(BASE), made(HEAD)
    layouts.trim(0)
    moved = set(apart(layouts.Layouts(base, head).arms(34))) - {"__FRAME_END__"}
    assert base.build is not None
    assert moved and moved <= {*symbols(base.build.tree / "Modules/_io/bytesio.o")}
    layouts.trim(0)  # what was made here is not what others would make under this seed


def test_a_file_that_the_compiler_makes_otherwise_than_the_build_has_it_is_left_as_it_is(tmp_path: Path) -> None:
    """Its profile may be gone, or a source that was generated: what would be measured is not the build's."""
    pair = {Arm.BASE: made(BASE), Arm.HEAD: made(HEAD)}
    name = "Modules/_io/bytesio.o"
    objects = {arm: one.build.tree / name for arm, one in pair.items() if one.build is not None}
    how = {arm: layouts.Linker(one).compiling(name) for arm, one in pair.items()}
    folders = {arm: tmp_path / arm.value for arm in Arm}
    assert functions.apart(objects, how, folders) is not None
    command = how[Arm.BASE]
    assert command is not None
    other = {**how, Arm.BASE: replace(command, words=(*command.words, "-O1"))}
    assert functions.apart(objects, other, folders) is None
    assert functions.apart(objects, {**how, Arm.HEAD: None}, folders) is None


def test_the_place_of_the_slot_is_drawn() -> None:
    pair = layouts.Layouts(made(BASE), made(HEAD))
    neighbours = set()
    for seed in (31, 32, 33):
        found = sorted((int(at, 16), name) for name, places in symbols(pair.arms(seed)[Arm.HEAD].executable).items()
                       for at in places)
        last = max(i for i, (_, name) in enumerate(found) if name == "_io_BytesIO___init__")
        neighbours.add(next(name for _, name in found[last + 40 :]))
    assert len(neighbours) == 3


def test_copies_of_interpreters_in_folders_of_unequal_length_have_equal_addresses(tmp_path: Path) -> None:
    arms = {}
    for arm, name in ((Arm.BASE, "short"), (Arm.HEAD, "a-much-longer-name")):
        venv.create(tmp_path / name, symlinks=True, with_pip=False)
        arms[arm] = made(str(tmp_path / name / "bin" / "python"))
    # One is found by way of a longer path than the other.
    config = tmp_path / "short" / "pyvenv.cfg"
    (tmp_path / "another").symlink_to(Path(sys.base_prefix))
    config.write_text(re.sub("^home = .*", f"home = {tmp_path / 'another' / 'bin'}", config.read_text(), flags=re.M))
    (tmp_path / "copies").mkdir()
    pair = Copies(arms, tmp_path / "copies").of_round(0, Arm.BASE)
    here = [re.sub(r"/\S+", "", seen(pair[arm].executable, 9)) for arm in Arm]
    assert here[0] == here[1]
    plain = [seen(arms[arm].executable, 9) for arm in Arm]
    assert plain[0] != plain[1], "the originals do not differ: the test says nothing"
