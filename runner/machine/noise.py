"""What `doctor` says of the kernel's and the processor's settings: pure, from /proc and /sys under a root.

Sources: Documentation/admin-guide/kernel-parameters.txt, pm/cpufreq.rst, pm/intel_pstate.rst, mm/transhuge.rst and
sysctl/kernel.rst in the Linux source.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from runner.machine import cgroup, files, identity
from runner.machine.choice import Pinning
from runner.machine.findings import Finding, State
from runner.machine.readings import Activity
from runner.machine.topology import Topology, isolated_cpus

_GRUB = "etc/default/grub"


def settings(root: Path, topology: Topology, pinning: Pinning) -> list[Finding]:
    """Return the findings about how the machine is set up, most telling first."""
    return [
        cpus(root, topology, pinning),
        isolation(root, topology, pinning),
        siblings(topology, pinning),
        quota(topology),
        governor(root),
        turbo(root),
        virtualisation(root),
        clock(root),
        kernel(root),
        aslr(root),
        huge_pages(root),
        memory(root),
        swap(root),
    ]


def cpus(root: Path, topology: Topology, pinning: Pinning) -> Finding:
    """How many CPUs are ours, and who would run where."""
    online = len(files.parse_cpus(files.text(root, "sys/devices/system/cpu/online"))) or len(topology.cpus)
    if pinning.worker is None:
        return Finding(
            name="CPUs", value="cannot be chosen", state=State.COULD_BE_BETTER,
            advice="this system does not let a process be pinned to a CPU, so the arms may move between CPUs "
            "in mid-measurement; measure on Linux for verdicts that hold",
        )
    name = f": {topology.model}" if topology.model else ""
    usable = f"{len(topology.cpus)} of {online} usable{name}"
    if pinning.parent == (pinning.worker,):
        return Finding(
            name="CPUs", value=f"{usable}; all on CPU {pinning.worker}", state=State.BAD,
            advice="Lockstep itself and everything else on the machine share the measured CPU: it works, with wider "
            "intervals; give the machine, or this container's cpuset, a second CPU",
        )
    place = f"the arms on CPU {pinning.worker}, Lockstep itself on {files.print_cpus(pinning.parent)}"
    return Finding(name="CPUs", value=f"{usable}; {place}", state=State.GOOD)


def isolation(root: Path, topology: Topology, pinning: Pinning) -> Finding:
    """Whether the scheduler keeps other processes off the measured CPU."""
    isolated = isolated_cpus(root)
    if pinning.worker in topology.isolated:
        return Finding(name="isolation", value=f"CPU {files.print_cpus(isolated)} isolated", state=State.GOOD)
    if isolated:
        return Finding(
            name="isolation", value=f"CPU {files.print_cpus(isolated)} isolated, not allowed to us",
            state=State.COULD_BE_BETTER,
            advice="the affinity or the cpuset of this process leaves the isolated CPUs out; start it without "
            "taskset, or in a container whose cpuset has them",
        )
    # CPU 0 must keep ticking for the others: the kernel takes it out of nohz_full.
    core = next((topology.siblings[cpu] for cpu in reversed(topology.cpus) if 0 not in topology.siblings[cpu]), ())
    if not set(topology.cpus) - set(core) or not core:
        return Finding(
            name="isolation", value="none", state=State.COULD_BE_BETTER,
            advice="no CPU can be set aside, because Lockstep and the system need a core of their own",
        )
    listed = files.print_cpus(core)
    return Finding(
        name="isolation", value="none", state=State.COULD_BE_BETTER,
        advice="other processes may be put on the measured CPU, and its timer interrupts the arms; start the kernel "
        f"with isolcpus={listed} nohz_full={listed} on its command line (takes effect with the next start of the "
        "machine; those CPUs are then used only by what is pinned to them)",
        command=_boot_parameters(root, f"isolcpus={listed} nohz_full={listed}"),
    )


def _boot_parameters(root: Path, parameters: str) -> str:
    if (root / "usr/sbin/grubby").exists():
        return f'sudo grubby --update-kernel=ALL --args="{parameters}"'
    if (root / _GRUB).exists() and (root / "usr/sbin/update-grub").exists():
        return f"sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{parameters} /' /{_GRUB} && sudo update-grub"
    return ""


def siblings(topology: Topology, pinning: Pinning) -> Finding:
    """Whether the measured core has a second hardware thread that others may use."""
    core = topology.siblings.get(pinning.worker, ()) if pinning.worker is not None else ()
    if not core:
        return Finding(name="SMT", value="not known", state=State.UNKNOWN)
    others = set(core) - {pinning.worker}
    if not others:
        return Finding(name="SMT", value="one hardware thread on the measured core", state=State.GOOD)
    listed = files.print_cpus(others)
    if others <= set(topology.isolated):
        return Finding(name="SMT", value=f"CPU {listed} on the measured core is isolated", state=State.GOOD)
    return Finding(
        name="SMT", value=f"the measured core is shared with CPU {listed}", state=State.COULD_BE_BETTER,
        advice=f"whatever runs on CPU {listed} takes part of the core's execution units and caches from the arms; "
        "switch SMT off while measuring ('on' brings it back)",
        command="echo off | sudo tee /sys/devices/system/cpu/smt/control",
    )


def quota(topology: Topology) -> Finding:
    """Whether a control group limits our CPU time."""
    if topology.quota is None:
        return Finding(name="CPU quota", value="none", state=State.GOOD)
    value = f"{topology.quota:.2f} CPUs' worth"
    if topology.quota >= 1:
        return Finding(name="CPU quota", value=value, state=State.GOOD)
    return Finding(
        name="CPU quota", value=value, state=State.BAD,
        advice="the control group stops its processes many times a second when the quota is used up, in the middle "
        "of slices; start the container with at least one CPU's worth (docker run --cpus=2)",
    )


def governor(root: Path) -> Finding:
    """Who decides the CPUs' frequency."""
    value = identity.governor(root)
    if value is None:
        return Finding(
            name="governor", value="not visible", state=State.UNKNOWN,
            advice="usual in a virtual machine, where the host decides the CPUs' frequency",
        )
    if value == "performance":
        return Finding(name="governor", value=value, state=State.GOOD)
    return Finding(
        name="governor", value=value, state=State.COULD_BE_BETTER,
        advice="the frequency follows the load, so the first calls of a slice run slower than the last",
        command="sudo cpupower frequency-set -g performance" if (root / "usr/bin/cpupower").exists()
        else "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor",
    )


def turbo(root: Path) -> Finding:
    """Whether the frequency depends on temperature and on what other cores do."""
    value = identity.turbo(root)
    if value is None:
        return Finding(
            name="turbo", value="not visible", state=State.UNKNOWN,
            advice="usual in a virtual machine, where the host decides",
        )
    if value == "off":
        return Finding(name="turbo", value=value, state=State.GOOD)
    intel = (root / "sys/devices/system/cpu/intel_pstate/no_turbo").exists()
    return Finding(
        name="turbo", value=value, state=State.COULD_BE_BETTER,
        advice="above the base frequency, speed depends on temperature and on what the other cores do; a duel cancels "
        "most of it, absolute times and histories do not",
        command="echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo" if intel
        else "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
    )


def virtualisation(root: Path) -> Finding:
    """Whether somebody else's machine is below this one."""
    name = identity.hypervisor(root)
    if name is None:
        return Finding(name="virtualisation", value="none seen", state=State.GOOD)
    return Finding(
        name="virtualisation", value=name, state=State.COULD_BE_BETTER,
        advice="neighbours on the host take time (steal), caches and memory bandwidth unseen; verdicts stay valid but "
        "need more blocks than on a machine of its own",
    )


def clock(root: Path) -> Finding:
    """What time is read from, and whether reading it is cheap."""
    value = identity.clocksource(root)
    if value is None:
        return Finding(name="clock source", value="not known", state=State.UNKNOWN)
    cheap = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page", "riscv_clocksource", "tod")
    if value in cheap:
        return Finding(name="clock source", value=value, state=State.GOOD)
    folder = "sys/devices/system/clocksource/clocksource0"
    known = (files.text(root, f"{folder}/available_clocksource") or "").split()
    return Finding(
        name="clock source", value=value, state=State.BAD,
        advice="each reading of the clock is a system call or slower, which adds to every slice"
        + ("" if "tsc" in known else "; the kernel found the processor's own counter unusable"),
        command=f"echo tsc | sudo tee /{folder}/current_clocksource" if "tsc" in known else "",
    )


def kernel(root: Path) -> Finding:
    """Whether the scheduler honours the slices that the `shared` mode asks for."""
    release = files.text(root, "proc/sys/kernel/osrelease")
    if release is None:
        return Finding(name="kernel", value="not known", state=State.UNKNOWN)
    parts = release.split("-")[0].split(".")
    version = tuple(int(part) for part in parts[:2] if part.isdigit())
    if version >= (6, 12):
        return Finding(name="kernel", value=f"{release}, slices can be set", state=State.GOOD)
    return Finding(
        name="kernel", value=release, state=State.COULD_BE_BETTER,
        advice="from Linux 6.12 a process can ask for its scheduler slice, so that the two arms of a long benchmark "
        "alternate as finely as the timer tick allows; before, they alternate in the kernel's default slices",
    )


def aslr(root: Path) -> Finding:
    """Address space randomisation, which Lockstep wants on."""
    value = files.number(root, "proc/sys/kernel/randomize_va_space")
    if value is None:
        return Finding(name="ASLR", value="not known", state=State.UNKNOWN)
    meaning = "with it off, every process has the same addresses, and an accident of alignment looks like an effect"
    if _flags(root) & 0x0040000:  # ADDR_NO_RANDOMIZE of personality(2)
        return Finding(
            name="ASLR", value="off for this process", state=State.BAD,
            advice=f"{meaning}; start Lockstep without setarch -R",
        )
    if value == 2:
        return Finding(name="ASLR", value="on", state=State.GOOD)
    return Finding(
        name="ASLR", value="off" if value == 0 else "partly on", state=State.BAD, advice=meaning,
        command="sudo sysctl kernel.randomize_va_space=2",
    )


def _flags(root: Path) -> int:
    try:
        return int(files.text(root, "proc/self/personality") or "0", 16)
    except ValueError:
        return 0


def huge_pages(root: Path) -> Finding:
    """Transparent huge pages, which the kernel hands out as luck has it when they are on for all."""
    path = "sys/kernel/mm/transparent_hugepage/enabled"
    chosen = [word.strip("[]") for word in (files.text(root, path) or "").split() if word.startswith("[")]
    if not chosen:
        return Finding(name="huge pages", value="not known", state=State.UNKNOWN)
    if chosen[0] != "always":
        return Finding(name="huge pages", value=chosen[0], state=State.GOOD)
    return Finding(
        name="huge pages", value="always", state=State.COULD_BE_BETTER,
        advice="whether a large buffer gets huge pages depends on how fragmented memory is at that moment, which "
        "makes benchmarks of large buffers vary from process to process",
        command=f"echo madvise | sudo tee /{path}",
    )


def memory(root: Path) -> Finding:
    """How much memory there is for two interpreters and a compiler."""
    free = files.kibibytes(files.fields(root, "proc/meminfo").get("MemAvailable"))
    total = identity.total_memory(root)
    if free is None or total is None:
        return Finding(name="memory", value="not known", state=State.UNKNOWN)
    limit = cgroup.memory(root)
    usable = free if limit is None else min(free, limit)
    value = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB available"
    if limit is not None and limit < total:
        value += f", the control group may use {limit / 2**30:.1f} GiB"
    if usable >= 2 * 2**30:
        return Finding(name="memory", value=value, state=State.GOOD)
    return Finding(
        name="memory", value=value, state=State.BAD if usable < 2**30 else State.COULD_BE_BETTER,
        advice="both arms are in memory at once, and when it runs short the kernel writes pages out in "
        "mid-measurement; end other programs, or raise the container's limit",
    )


def swap(root: Path) -> Finding:
    """Whether memory of running programs has been written to disk."""
    known = files.fields(root, "proc/meminfo")
    total, free = (files.kibibytes(known.get(name)) for name in ("SwapTotal", "SwapFree"))
    if total is None or free is None:
        return Finding(name="swap", value="not known", state=State.UNKNOWN)
    if total == free:
        return Finding(name="swap", value="none" if total == 0 else "unused", state=State.GOOD)
    return Finding(
        name="swap", value=f"{(total - free) / 2**20:.0f} MiB in use", state=State.COULD_BE_BETTER,
        advice="pages of running programs are on disk, and fetching them back disturbs whoever is measured; with "
        "enough free memory, bring them back and go without",
        command="sudo swapoff -a",
    )


def now(pinning: Pinning, activity: Mapping[int, Activity]) -> list[Finding]:
    """Return the findings about what happened on the CPUs while they were watched."""
    watched = activity.get(pinning.worker) if pinning.worker is not None else None
    if watched is None:
        return [Finding(name=name, value="not known", state=State.UNKNOWN) for name in ("steal", "interrupts")]
    steal = max((seen.steal for seen in activity.values()), default=0.0)
    return [
        Finding(
            name="steal", value=f"{steal:.1%} of a CPU's time now", state=_grade(steal, 0.005, 0.05),
            advice="" if steal < 0.005 else "the host gives this machine's CPUs to others for that share of the time; "
            "measure at another hour, or on a machine with CPUs of its own",
        ),
        Finding(
            name="interrupts", value=f"{watched.interrupts:.0f} per second on CPU {pinning.worker} now",
            state=_grade(watched.interrupts, 2000, 20000),
            advice="" if watched.interrupts < 2000 else "each takes some microseconds from the arms; keep disk and "
            "network quiet, or lead interrupts to other CPUs with irqaffinity= on the kernel's command line",
        ),
    ]


def _grade(value: float, better: float, bad: float) -> State:
    return State.GOOD if value < better else State.COULD_BE_BETTER if value < bad else State.BAD
