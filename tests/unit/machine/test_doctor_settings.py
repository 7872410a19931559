"""What doctor says of planted settings, and that each fault comes with its cure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.machine import Activity, choose, lock, noise, topology
from runner.machine.findings import Finding, State

Plant = Callable[[dict[str, str]], Path]
CPU = "sys/devices/system/cpu"
CLOCK = "sys/devices/system/clocksource/clocksource0"
DOCS = Path(__file__).parents[3] / "docs" / "machine.md"

GOOD = {
    f"{CPU}/online": "0-3\n",
    f"{CPU}/isolated": "3\n",
    "proc/self/status": "Cpus_allowed_list:\t0-2\n",
    "proc/self/personality": "00000000\n",
    "proc/cpuinfo": "model name\t: Fast CPU\nflags\t\t: fpu sse\n",
    "proc/meminfo": "MemTotal: 16384000 kB\nMemAvailable: 8000000 kB\nSwapTotal: 1000 kB\nSwapFree: 1000 kB\n",
    "proc/sys/kernel/osrelease": "6.12.4-amd64\n",
    "proc/sys/kernel/randomize_va_space": "2\n",
    f"{CPU}/cpufreq/policy0/scaling_governor": "performance\n",
    f"{CPU}/cpufreq/boost": "0\n",
    f"{CLOCK}/current_clocksource": "tsc\n",
    f"{CLOCK}/available_clocksource": "tsc hpet\n",
    "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
}


def examined(root: Path) -> dict[str, Finding]:
    here = topology(root)
    return {finding.name: finding for finding in noise.settings(root, here, choose(here, {}))}


def test_a_prepared_machine_is_good_throughout(plant: Plant) -> None:
    found = examined(plant(GOOD))
    assert {finding.state for finding in found.values()} == {State.GOOD}
    assert not any(finding.advice or finding.command for finding in found.values())
    assert "CPU 3, Lockstep itself on 0-2" in found["CPUs"].value


SMT = {f"{CPU}/cpu{n}/topology/core_cpus_list": f"{n % 2},{n % 2 + 2}\n" for n in range(4)}
FREE = {f"{CPU}/isolated": "\n", "proc/self/status": "Cpus_allowed_list:\t0-3\n"}

FAULTS = {
    "isolation, with SMT": (
        {**FREE, **SMT, "etc/default/grub": "", "usr/sbin/update-grub": ""}, "isolation", State.COULD_BE_BETTER,
        "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&isolcpus=1,3 nohz_full=1,3 /' /etc/default/grub && sudo update-grub",
    ),
    "isolation, with grubby": (
        {**FREE, "usr/sbin/grubby": ""}, "isolation", State.COULD_BE_BETTER,
        'sudo grubby --update-kernel=ALL --args="isolcpus=3 nohz_full=3"',
    ),
    "isolation, not ours": ({"proc/self/status": "Cpus_allowed_list:\t0-1\n"}, "isolation", State.COULD_BE_BETTER, ""),
    "smt": (SMT, "SMT", State.COULD_BE_BETTER, "echo off | sudo tee /sys/devices/system/cpu/smt/control"),
    "one cpu": ({"proc/self/status": "Cpus_allowed_list:\t0\n"}, "CPUs", State.BAD, ""),
    "governor": (
        {f"{CPU}/cpufreq/policy0/scaling_governor": "powersave\n"}, "governor", State.COULD_BE_BETTER,
        "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
    ),
    "governor, with cpupower": (
        {f"{CPU}/cpufreq/policy0/scaling_governor": "schedutil\n", "usr/bin/cpupower": ""}, "governor",
        State.COULD_BE_BETTER, "sudo cpupower frequency-set -g performance",
    ),
    "turbo": (
        {f"{CPU}/cpufreq/boost": "1\n"}, "turbo", State.COULD_BE_BETTER,
        "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
    ),
    "turbo, intel": (
        {f"{CPU}/intel_pstate/no_turbo": "0\n"}, "turbo", State.COULD_BE_BETTER,
        "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo",
    ),
    "aslr": (
        {"proc/sys/kernel/randomize_va_space": "0\n"}, "ASLR", State.BAD, "sudo sysctl kernel.randomize_va_space=2",
    ),
    "aslr, setarch -R": ({"proc/self/personality": "00040000\n"}, "ASLR", State.BAD, ""),
    "clock": (
        {f"{CLOCK}/current_clocksource": "hpet\n"}, "clock source", State.BAD,
        "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
    ),
    "clock without tsc": (
        {f"{CLOCK}/current_clocksource": "hpet\n", f"{CLOCK}/available_clocksource": "hpet acpi_pm\n"},
        "clock source", State.BAD, "",
    ),
    "kernel": ({"proc/sys/kernel/osrelease": "6.1.0-32-amd64\n"}, "kernel", State.COULD_BE_BETTER, ""),
    "virtual": (
        {"proc/cpuinfo": "flags\t\t: fpu hypervisor\n"}, "virtualisation", State.COULD_BE_BETTER, "",
    ),
    "huge pages": (
        {"sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n"}, "huge pages",
        State.COULD_BE_BETTER, "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
    ),
    "swap": (
        {"proc/meminfo": "MemTotal: 16384000 kB\nMemAvailable: 8000000 kB\nSwapTotal: 1000000 kB\nSwapFree: 0 kB\n"},
        "swap", State.COULD_BE_BETTER, "sudo swapoff -a",
    ),
    "memory": (
        {"proc/meminfo": "MemTotal: 1000000 kB\nMemAvailable: 500000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"},
        "memory", State.BAD, "",
    ),
    "memory of the control group": (
        {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": str(3 * 2**29)}, "memory",
        State.COULD_BE_BETTER, "",
    ),
    "quota": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000\n"}, "CPU quota", State.BAD, ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_with_its_cure_and_nothing_else_changes(plant: Plant, fault: str) -> None:
    planted, name, state, command = FAULTS[fault]
    found = examined(plant({**GOOD, **planted}))
    assert found[name].state is state
    assert found[name].command == command
    assert found[name].advice
    related = {"CPUs", "isolation", "SMT"} if name in ("CPUs", "isolation", "SMT") else {name}
    assert {finding.name for finding in found.values() if finding.state is not State.GOOD} <= related


def test_missing_files_are_unknown_never_good_or_bad(tmp_path: Path) -> None:
    found = examined(tmp_path)
    for name in ("SMT", "governor", "turbo", "clock source", "kernel", "ASLR", "huge pages", "memory", "swap"):
        assert found[name].state is State.UNKNOWN, name


def test_the_core_of_cpu_0_is_never_proposed_for_isolation(plant: Plant) -> None:
    mirrored = {f"{CPU}/cpu{n}/topology/core_cpus_list": f"{min(n, 3 - n)},{max(n, 3 - n)}\n" for n in range(4)}
    root = plant({**GOOD, **FREE, **mirrored, "usr/sbin/grubby": ""})
    here = topology(root)
    pinning = choose(here, {1: Activity(interrupts=0.0, steal=0.5), 2: Activity(interrupts=0.0, steal=0.5)})
    assert pinning.worker == 3
    assert "isolcpus=1-2 " in noise.isolation(root, here, pinning).command


@pytest.mark.parametrize(("steal", "state"), [
    (0.0, State.GOOD), (0.02, State.COULD_BE_BETTER), (0.3, State.BAD),
])
def test_steal_now(plant: Plant, steal: float, state: State) -> None:
    seen = {cpu: Activity(interrupts=5.0, steal=steal) for cpu in range(4)}
    found = noise.now(choose(topology(plant(GOOD)), seen), seen)
    assert found[0].state is state
    assert bool(found[0].advice) == (state is not State.GOOD)


def test_the_page_about_machines_has_every_command() -> None:
    page = DOCS.read_text()
    for _, _, _, command in FAULTS.values():
        general = command.replace("isolcpus=1,3 nohz_full=1,3", "isolcpus=3 nohz_full=3")
        assert general in page, general


@pytest.mark.parametrize(("namespace", "mounts", "apart"), [
    ("pid:[4026531836]", "21 1 8:1 / /tmp rw - tmpfs tmpfs rw\n", ""),
    ("pid:[4026532512]", "", "PID namespace of its own"),
    ("pid:[4026531836]", "99 1 8:1 /tmp/systemd-private-0a1b-me.service-x/tmp /tmp rw - ext4 /dev/sda rw\n",
     "PrivateTmp"),
])
def test_doctor_says_whom_the_lock_does_not_keep_out(
    tmp_path: Path, namespace: str, mounts: str, apart: str
) -> None:
    (tmp_path / "proc/self/ns").mkdir(parents=True)
    (tmp_path / "proc/self/ns/pid").symlink_to(namespace)
    (tmp_path / "proc/self/mountinfo").write_text(mounts)
    found = lock.coverage(tmp_path)
    assert "/tmp/lockstep.lock" in found.value and apart in found.advice
    assert found.state is (State.COULD_BE_BETTER if apart else State.GOOD)
