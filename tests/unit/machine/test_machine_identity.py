"""What the manifest says of a machine, and which systems are refused."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.machine import describe, supported, usable_memory

Plant = Callable[[dict[str, str]], Path]

FILES = {
    "sys/devices/system/cpu/online": "0-3\n",
    "proc/self/status": "Cpus_allowed_list:\t0-3\n",
    **{f"sys/devices/system/cpu/cpu{n}/topology/core_cpus_list": f"{n % 2},{n % 2 + 2}\n" for n in range(4)},
    "proc/cpuinfo": "model name\t: Fast CPU\nflags\t\t: fpu sse hypervisor\n",
    "proc/meminfo": "MemTotal:       16384000 kB\nMemAvailable:    8000000 kB\n",
    "proc/sys/kernel/osrelease": "6.12.4-amd64\n",
    "proc/sys/kernel/randomize_va_space": "2\n",
    "sys/class/dmi/id/product_name": "KVM Virtual Machine\n",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "powersave\n",
    "sys/devices/system/cpu/cpufreq/policy1/scaling_governor": "performance\n",
    "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n",
    "etc/os-release": 'NAME="Some"\nPRETTY_NAME="Some Linux 12"\n',
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
}


def test_facts(plant: Plant) -> None:
    facts = describe(plant(FILES))
    assert {name: facts[name] for name in ("cpu", "cores", "threads", "allowed", "isolated", "kernel", "os")} == {
        "cpu": "Fast CPU", "cores": 2, "threads": 4, "allowed": "0-3", "isolated": "",
        "kernel": "6.12.4-amd64", "os": "Some Linux 12",
    }
    assert (facts["hypervisor"], facts["governor"], facts["turbo"]) == ("KVM", "performance, powersave", "on")
    assert (facts["aslr"], facts["memory"]) == (2, 16384000 * 1024)
    assert json.loads(json.dumps(facts)) == facts


def test_the_name_of_the_machine_stays_here(plant: Plant) -> None:
    said = json.dumps(describe(plant(FILES)))
    assert "0123456789abcdef" not in said
    assert f'"{platform.node()}"' not in said


def test_fingerprint_survives_an_update_and_not_another_cpu(plant: Plant) -> None:
    first = describe(plant(FILES))
    updated = describe(plant({"proc/sys/kernel/osrelease": "6.13.1\n", "proc/meminfo": "MemTotal: 16383000 kB\n"}))
    assert updated["fingerprint"] == first["fingerprint"]
    other = describe(plant({"proc/cpuinfo": "model name\t: Slow CPU\nflags\t\t: fpu\n"}))
    assert other["fingerprint"] != first["fingerprint"]
    assert other["host"] == first["host"]
    assert other["hypervisor"] is None


def test_missing_files_are_not_known(tmp_path: Path) -> None:
    facts = describe(tmp_path)
    for name in ("cpu", "hypervisor", "governor", "turbo", "aslr", "memory", "quota", "clocksource"):
        assert facts[name] is None


GIB = 2**30


@pytest.mark.parametrize(("limits", "usable"), [
    ({}, 15.625),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 15.625),
    ({"proc/self/cgroup": "0::/box/inner\n", "sys/fs/cgroup/box/memory.max": str(3 * GIB),
      "sys/fs/cgroup/box/inner/memory.max": "max\n"}, 3),
    ({"proc/self/cgroup": "0::/box/inner\n", "sys/fs/cgroup/box/memory.max": str(3 * GIB),
      "sys/fs/cgroup/box/inner/memory.max": str(2 * GIB)}, 2),
    ({"proc/self/cgroup": "9:memory:/box\n0::/\n", "sys/fs/cgroup/memory/box/memory.limit_in_bytes": str(GIB),
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 1),
    ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": str(100 * GIB)}, 15.625),
])
def test_usable_memory_is_the_least_that_holds(plant: Plant, limits: dict[str, str], usable: float) -> None:
    root = plant(FILES | limits | {"proc/meminfo": "MemTotal: 16384000 kB\n"})
    assert usable_memory(root) == usable * GIB


def test_systems() -> None:
    assert supported("linux") == []
    assert [notice.kind for notice in supported("darwin")] == ["macos", "unpinned"]
    with pytest.raises(UsageError, match=r"win32.*Linux machine"):
        supported("win32")
