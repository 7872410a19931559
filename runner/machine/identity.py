"""What machine this is, for the manifest; and whether Lockstep can work on it at all."""

from __future__ import annotations

import hashlib
import platform
import sys
from pathlib import Path

import psutil

from runner.errors import UsageError
from runner.machine import cgroup, files
from runner.machine.topology import cores, isolated_cpus, topology
from runner.model import Notice

_NAMED = {
    "kvm": "KVM", "qemu": "QEMU", "amazon ec2": "Amazon EC2", "google": "Google Compute Engine",
    "microsoft": "Hyper-V", "vmware": "VMware", "innotek": "VirtualBox", "xen": "Xen", "bochs": "Bochs",
    "parallels": "Parallels", "firecracker": "Firecracker", "hyperv": "Hyper-V",
}
"""Words in the firmware's names, in the clock source's or in the device tree's, and whom they give away."""

Fact = str | int | float | bool | None


def supported(system: str = sys.platform) -> list[Notice]:
    """Return what a report must say about this operating system: nothing on Linux.

    On macOS: ``macos``, ``unpinned``. Raises UsageError elsewhere. `system` is a `sys.platform`.
    """
    if system == "linux":
        return []
    if system == "darwin":
        return [Notice(kind="macos"), Notice(kind="unpinned")]
    raise UsageError(
        f"Lockstep measures on Linux, and unpinned on macOS; on {system} it cannot choose the CPU of a process or "
        "read what disturbs it. Run it on a Linux machine, a virtual one or WSL 2 will do."
    )


def describe(root: Path = Path("/")) -> dict[str, Fact]:
    """Return what the manifest says of the machine; what is not known is None.

    ``cpu``, ``cores``, ``threads`` (online), ``allowed``, ``isolated`` (CPU lists such as "0-3,8"), ``kernel``, ``os``,
    ``arch``, ``hypervisor`` (None: none seen), ``governor``, ``turbo`` ("on", "off"), ``aslr`` (randomize_va_space:
    0, 1, 2), ``memory`` (bytes), ``quota`` (CPUs' worth), ``clocksource``; ``host``, a hash that is the same for
    one installation and does not give away its name; ``fingerprint``, a hash of cpu, cores, memory in GiB and the
    kernel's major release: equal on machines between which absolute times may be compared.
    """
    here = topology(root)
    online = files.parse_cpus(files.text(root, "sys/devices/system/cpu/online"))
    memory = total_memory(root)
    kernel = files.text(root, "proc/sys/kernel/osrelease") or platform.release()
    count = cores(root) or psutil.cpu_count(logical=False)
    gibibytes = None if memory is None else round(memory / 2**30)
    return {
        "cpu": here.model or None,
        "cores": count,
        "threads": len(online) or psutil.cpu_count(),
        "allowed": files.print_cpus(here.cpus),
        "isolated": files.print_cpus(isolated_cpus(root)),
        "kernel": kernel,
        "os": _system(root),
        "arch": platform.machine(),
        "hypervisor": hypervisor(root),
        "governor": governor(root),
        "turbo": turbo(root),
        "aslr": files.number(root, "proc/sys/kernel/randomize_va_space"),
        "memory": memory,
        "quota": here.quota,
        "clocksource": clocksource(root),
        # The installation's own id makes the hash useless for guessing common names.
        "host": _hash(files.text(root, "etc/machine-id"), platform.node()),
        "fingerprint": _hash(here.model, count, gibibytes, kernel.split(".")[0]),
    }


def hypervisor(root: Path) -> str | None:
    """Return the virtual machine monitor's name, "unknown" for one that hides it, None where none is seen."""
    flags = files.fields(root, "proc/cpuinfo").get("flags", "").split()  # x86 only
    if flags and "hypervisor" not in flags:
        return None
    for path in (
        "sys/class/dmi/id/product_name",
        "sys/class/dmi/id/sys_vendor",
        "sys/hypervisor/type",
        "proc/device-tree/hypervisor/compatible",
        "sys/devices/system/clocksource/clocksource0/available_clocksource",
    ):
        said = (files.text(root, path) or "").lower()
        for word, name in _NAMED.items():
            if word in said:
                return name
    return "unknown" if flags else None


def governor(root: Path) -> str | None:
    """Return the frequency governors of the CPUs, such as "performance"; None where cpufreq is not visible."""
    policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*/scaling_governor"))
    names = {files.text(path.parent, path.name) for path in policies}
    return ", ".join(sorted(name for name in names if name)) or None


def turbo(root: Path) -> str | None:
    """Return "on" or "off": whether CPUs may exceed their base frequency; None where that is not visible."""
    off = files.number(root, "sys/devices/system/cpu/intel_pstate/no_turbo")
    if off is not None:
        return "off" if off else "on"
    boost = files.number(root, "sys/devices/system/cpu/cpufreq/boost")
    return None if boost is None else "on" if boost else "off"


def clocksource(root: Path) -> str | None:
    """Return the kernel's clock source, such as "tsc"."""
    return files.text(root, "sys/devices/system/clocksource/clocksource0/current_clocksource")


def total_memory(root: Path) -> int | None:
    """Return the memory of the machine in bytes."""
    total = files.kibibytes(files.fields(root, "proc/meminfo").get("MemTotal"))
    return psutil.virtual_memory().total if total is None and root == Path("/") else total


def usable_memory(root: Path = Path("/")) -> int | None:
    """Return the memory in bytes that processes like this one may use: the machine's, or the control group's limit."""
    known = [size for size in (total_memory(root), cgroup.memory(root)) if size is not None]
    return min(known, default=None)


def _system(root: Path) -> str:
    for path in ("etc/os-release", "usr/lib/os-release"):
        for line in (files.text(root, path) or "").splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip("\"'")
    return f"{platform.system()} {platform.release()}"


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]
