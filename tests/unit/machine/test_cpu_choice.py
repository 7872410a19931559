"""Topologies read from fake roots, and the CPU that is chosen on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import config
from runner.errors import UsageError
from runner.machine import Activity, Topology, choose, files, topology

Plant = Callable[[dict[str, str]], Path]
CPU = "sys/devices/system/cpu"


def smt8(allowed: str, **more: str) -> dict[str, str]:
    """Four cores with two hardware threads each: CPUs n and n + 4 share a core."""
    return {
        f"{CPU}/online": "0-7\n",
        "proc/self/status": f"Name:\tpython\nCpus_allowed_list:\t{allowed}\n",
        "proc/cpuinfo": "processor\t: 0\nmodel name\t: Fast CPU\n\nprocessor\t: 1\nmodel name\t: Other\n",
        **{f"{CPU}/cpu{n}/topology/core_cpus_list": f"{n % 4},{n % 4 + 4}\n" for n in range(8)},
        **{path.replace("__", "/"): text for path, text in more.items()},
    }


def still(*cpus: int) -> dict[int, Activity]:
    return {cpu: Activity(interrupts=10.0, steal=0.0) for cpu in cpus}


@given(st.sets(st.integers(0, 300)))
def test_cpu_lists_survive_printing_and_parsing(cpus: set[int]) -> None:
    assert files.parse_cpus(files.print_cpus(cpus)) == tuple(sorted(cpus))


def test_cpu_lists_of_kernels() -> None:
    assert files.parse_cpus("0-3,8,10-11\n") == (0, 1, 2, 3, 8, 10, 11)
    assert files.parse_cpus("") == files.parse_cpus(None) == files.parse_cpus("(null)") == ()
    assert files.print_cpus([5, 0, 1, 2]) == "0-2,5"


def test_smt_machine(plant: Plant) -> None:
    here = topology(plant(smt8("0-7")))
    assert here.cpus == tuple(range(8))
    assert here.siblings[1] == here.siblings[5] == (1, 5)
    assert here.isolated == ()
    assert here.model == "Fast CPU"
    pinning = choose(here, still(*range(8)))
    assert pinning.worker == 7
    assert pinning.parent == (0, 1, 2, 4, 5, 6), "without the measured core's other thread"
    assert pinning.notices == ()


def test_isolated_cpus_are_ours_though_not_in_the_mask_we_were_born_with(plant: Plant) -> None:
    here = topology(plant(smt8("0-1,4-7", sys__devices__system__cpu__isolated="2-3\n")))
    assert here.cpus == tuple(range(8))
    assert here.isolated == (2, 3)
    pinning = choose(here, still(*range(8)))
    assert pinning.worker == 3
    assert pinning.parent == (0, 1, 4, 5, 6)


def test_a_mask_that_somebody_narrowed_is_kept(plant: Plant) -> None:
    here = topology(plant(smt8("0-1", sys__devices__system__cpu__isolated="2-3\n")))
    assert here.cpus == (0, 1)
    assert here.isolated == ()


def test_isolated_cpu_whose_core_is_isolated_goes_first(plant: Plant) -> None:
    here = topology(plant(smt8("0,2-4,6", sys__devices__system__cpu__isolated="1,5,7\n")))
    assert here.isolated == (1, 5, 7)
    assert choose(here, still(*range(8))).worker == 5, "its sibling 1 is isolated; 7's sibling 3 is not"


def test_cpuset_of_a_container_version_2(plant: Plant) -> None:
    root = plant({
        **smt8("2-3", sys__devices__system__cpu__isolated="2-3,6\n"),
        "proc/self/cgroup": "0::/box/inner\n",
        "sys/fs/cgroup/cpuset.cpus.effective": "0-7\n",
        "sys/fs/cgroup/box/cpuset.cpus.effective": "2-3\n",
        "sys/fs/cgroup/box/cpu.max": "50000 100000\n",
        "sys/fs/cgroup/box/inner/cpu.max": "max 100000\n",
    })
    here = topology(root)
    assert here.cpus == here.isolated == (2, 3), "isolated CPU 6 is outside of the cpuset"
    assert here.quota == 0.5, "the limit of the group above holds below"
    pinning = choose(here, {})
    assert (pinning.worker, pinning.parent) == (3, (2,))
    assert [notice.kind for notice in pinning.notices] == ["quota"]
    assert pinning.notices[0].numbers == {"cpus": 0.5}


def test_isolated_cpus_of_our_cpuset_are_ours(plant: Plant) -> None:
    root = plant({
        **smt8("0-2", sys__devices__system__cpu__isolated="3,6\n"),
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cpuset.cpus.effective": "0-3\n",
    })
    assert topology(root).cpus == (0, 1, 2, 3)


def test_the_smallest_quota_on_the_way_to_the_top_counts(plant: Plant) -> None:
    root = plant({
        **smt8("0-7"),
        "proc/self/cgroup": "0::/box\n",
        "sys/fs/cgroup/cpu.max": "300000 100000\n",
        "sys/fs/cgroup/box/cpu.max": "200000 100000\n",
    })
    assert topology(root).quota == 2.0


def test_cgroup_version_1_seen_from_inside_a_container(plant: Plant) -> None:
    root = plant({
        **smt8("0-7"),
        "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n3:cpuset:/docker/abc\n0::/docker/abc\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    })
    assert topology(root).quota is None
    plant({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n"})
    assert topology(root).quota == 1.5
    assert choose(topology(root), {}).notices == ()


def test_one_cpu_works_and_says_so(plant: Plant) -> None:
    root = plant({f"{CPU}/online": "0\n", "proc/self/status": "Cpus_allowed_list:\t0\n"})
    pinning = choose(topology(root), still(0))
    assert (pinning.worker, pinning.parent) == (0, (0,))
    assert [(notice.kind, dict(notice.numbers)) for notice in pinning.notices] == [("one-cpu", {"cpu": 0})]
    assert not pinning.apart


def test_one_core_with_two_threads_says_that_it_is_shared(plant: Plant) -> None:
    pinning = choose(topology(plant(smt8("1,5"))), still(1, 5))
    assert (pinning.worker, pinning.parent) == (5, (1,))
    assert [notice.kind for notice in pinning.notices] == ["sibling"]
    assert not pinning.apart


@pytest.mark.parametrize(("quota", "apart"), [("max", True), ("200000", True), ("190000", False), ("100000", False)])
def test_what_two_cpus_may_not_do_at_once_would_hold_up_the_measured_one(
    plant: Plant, quota: str, apart: bool
) -> None:
    root = plant({**smt8("0-7"), "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": f"{quota} 100000\n"})
    assert choose(topology(root), still(*range(8))).apart is apart


def test_missing_files_mean_unpinned(tmp_path: Path) -> None:
    here = topology(tmp_path)
    assert here == Topology(cpus=(), siblings={}, isolated=(), model="")
    pinning = choose(here, {})
    assert pinning.worker is None
    assert pinning.parent == ()
    assert [notice.kind for notice in pinning.notices] == ["unpinned"]


def test_an_offline_cpu_is_not_used(plant: Plant) -> None:
    here = topology(plant({**smt8("0-7"), f"{CPU}/online": "0-2,4-6\n"}))
    assert here.cpus == (0, 1, 2, 4, 5, 6)


def test_the_arms_load_on_one_cpu_each_of_one_numa_node(plant: Plant) -> None:
    """A library that makes as many threads as it may use CPUs makes equally many in both arms."""
    nodes = {"sys/devices/system/node/node0/cpulist": "0-1,4-5\n", "sys/devices/system/node/node1/cpulist": "2-3,6-7\n"}
    here = topology(plant({**smt8("0-7"), **nodes, "sys/devices/system/node/online": "0-1\n"}))
    assert here.nodes == {0: 0, 1: 0, 4: 0, 5: 0, 2: 1, 3: 1, 6: 1, 7: 1}
    pinning = choose(here, still(*range(8)))
    assert (pinning.worker, pinning.other) == (7, 6)
    few = topology(plant(smt8("0,7")))
    assert (choose(few, still(0, 7)).worker, choose(few, still(0, 7)).other) == (7, 0), "of another node, if need be"


def test_a_process_that_keeps_to_some_cores_has_those_and_no_others(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(config.CPUS, "6,1-2,5")
    for mask in ("0-7", "5", "0"):  # where it is at the moment does not matter
        here = topology(plant(smt8(mask)))
        assert here.confined and here.cpus == (1, 2, 5, 6)
        pinning = choose(here, still(*range(8)))
        assert (pinning.worker, pinning.parent, pinning.other) == (6, (1, 5), 5)
        (notice,) = pinning.notices
        assert (notice.kind, dict(notice.numbers)) == ("confined", {"cpus": "1-2,5-6"})
    monkeypatch.setenv(config.CPUS, "2,6")
    assert [notice.kind for notice in choose(topology(plant(smt8("0-7"))), {}).notices] == ["sibling", "confined"]
    monkeypatch.setenv(config.CPUS, "")
    assert not topology(plant(smt8("0-7"))).confined


def test_isolated_cpus_are_kept_to_where_they_were_named_alone(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(smt8("0-1,4-5", sys__devices__system__cpu__isolated="2-3,6-7\n"))
    monkeypatch.setenv(config.CPUS, "0-1,4-5")
    assert (topology(root).cpus, topology(root).isolated) == ((0, 1, 4, 5), ())
    monkeypatch.setenv(config.CPUS, "2,6")
    assert topology(root).cpus == topology(root).isolated == (2, 6)


@pytest.mark.parametrize(("text", "told"), [
    ("2", r"--cpus 2: it splits a core. CPUs 2,6 are its hardware threads"), ("0-2,4,6", "CPUs 1,5 are its"),
    ("3,7-9", "--cpus 3,7-9: this process cannot use CPU 8-9, but only 0-7"), ("3-1", "is not a set of CPUs"),
])
def test_cpus_that_cannot_be_kept_to_are_refused(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.setenv(config.CPUS, text)
    with pytest.raises(UsageError, match=told):
        topology(plant(smt8("0-7")))


def test_a_thread_that_cannot_be_named_splits_no_core_and_is_known(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(config.CPUS, "3")
    box = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpuset.cpus.effective": "0-3\n"}
    assert topology(plant({**smt8("0-3"), **box})).siblings == {3: (3, 7)}
    offline = {f"{CPU}/online": "0-6\n", "sys/fs/cgroup/cpuset.cpus.effective": "0-7\n"}
    assert topology(plant({**smt8("0-6"), **offline})).siblings == {3: (3,)}
    monkeypatch.setenv(config.CPUS, "4")
    with pytest.raises(UsageError, match="cannot use CPU 4, but only 0-3"):
        topology(plant({**smt8("0-3"), **box}))


def test_where_nothing_can_be_pinned_no_cpus_are_kept_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config.CPUS, "0")
    with pytest.raises(UsageError, match="does not let a process be moved"):
        topology(tmp_path)


def plain(count: int) -> Topology:
    return Topology(cpus=tuple(range(count)), siblings={n: (n,) for n in range(count)}, isolated=(), model="")


def test_the_quiet_cpu_wins_over_steal_load_and_interrupts() -> None:
    noisy = {
        0: Activity(interrupts=50.0, steal=0.0),
        1: Activity(interrupts=50.0, steal=0.1),
        2: Activity(interrupts=50.0, steal=0.0, busy=0.4),
        3: Activity(interrupts=20000.0, steal=0.0),
    }
    assert choose(plain(4), noisy).worker == 0


def test_where_devices_usually_interrupt_decides_between_equals() -> None:
    even = {cpu: Activity(interrupts=40.0 - cpu, steal=0.0, usual=65.0 * cpu) for cpu in range(2)}
    assert choose(plain(2), even).worker == 0


def test_a_busy_sibling_counts_as_disturbance(plant: Plant) -> None:
    seen = still(*range(8)) | {3: Activity(interrupts=10.0, steal=0.0, busy=0.9)}
    assert choose(topology(plant(smt8("0-7"))), seen).worker == 6


cpu_numbers = st.sets(st.integers(0, 7), min_size=1)


@given(
    cpus=cpu_numbers, isolated=cpu_numbers, threads=st.sampled_from([1, 2, 4, 8]),
    noise=st.dictionaries(st.integers(0, 7), st.builds(
        Activity, interrupts=st.floats(0, 1e5), steal=st.floats(0, 1), busy=st.floats(0, 1), usual=st.floats(0, 1e4),
    )),
)
def test_laws_of_any_choice(
    cpus: set[int], isolated: set[int], threads: int, noise: dict[int, Activity]
) -> None:
    cores = {cpu: tuple(n for n in range(8) if n // threads == cpu // threads) for cpu in cpus}
    usable = tuple(sorted(cpus))
    here = Topology(cpus=usable, siblings=cores, isolated=tuple(sorted(isolated & cpus)), model="")
    pinning = choose(here, noise)
    assert pinning.worker in cpus
    assert pinning.parent and set(pinning.parent) <= cpus
    assert (pinning.worker in pinning.parent) == (len(cpus) == 1)
    assert pinning.other in pinning.parent
    if isolated & cpus:
        assert pinning.worker in isolated
    kinds = [notice.kind for notice in pinning.notices]
    assert ("one-cpu" in kinds) == (len(cpus) == 1)
    shares_a_core = len(cpus) > 1 and bool(set(pinning.parent) & set(cores[pinning.worker]))
    assert ("sibling" in kinds) == shares_a_core
    if not isolated & cpus and len(set(cores.values())) > 1:
        assert not shares_a_core
    assert choose(here, noise) == pinning
