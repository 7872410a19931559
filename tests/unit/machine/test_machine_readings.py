"""Counters from fake /proc files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.machine import activity, between, read, readings

Plant = Callable[[dict[str, str]], Path]

STAT = """cpu  300 0 100 1400 0 0 0 200 50 0
cpu0 200 0 50 700 0 0 0 50 50 0
cpu1 100 0 50 600 100 0 0 150 0 0
cpu11 1 1 1 1 1 1 1 1 1 1
intr 12345 0 0
"""
INTERRUPTS = """           CPU0       CPU1
 24:        100          7  IO-APIC   5-edge      ACPI:Ged
LOC:        900        500  Local timer interrupts
ERR:          3
MIS:          0
"""


def grown(cpu1: str) -> str:
    return STAT.replace("cpu1 100 0 50 600 100 0 0 150 0 0", f"cpu1 {cpu1}")


def test_steal_is_the_share_of_the_cpu_s_own_time(plant: Plant) -> None:
    root = plant({"proc/stat": STAT, "proc/loadavg": "0.25 0.10 0.05 1/80 900\n"})
    before = read(1, root)
    assert (before.total, before.steal) == (1000, 150)
    plant({"proc/stat": grown("120 0 50 610 100 0 0 160 0 0")})
    found = between(before, read(1, root))
    assert found == {"steal": pytest.approx(10 / 40), "load": 0.25}


def test_guest_time_is_not_counted_twice(plant: Plant) -> None:
    assert read(0, plant({"proc/stat": STAT})).total == 1000


def test_unpinned_reading_is_of_all_cpus(plant: Plant) -> None:
    reading = read(None, plant({"proc/stat": STAT, "proc/interrupts": INTERRUPTS}))
    assert (reading.total, reading.steal, reading.interrupts) == (2000, 200, None)


def test_what_is_not_known_has_no_key(tmp_path: Path) -> None:
    reading = read(0, tmp_path)
    assert (reading.total, reading.steal, reading.interrupts, reading.load, reading.mhz) == (None,) * 5
    assert between(reading, reading) == {}


def test_no_tick_between_two_readings_is_no_statement_about_steal(plant: Plant) -> None:
    reading = read(1, plant({"proc/stat": STAT}))
    assert "steal" not in between(reading, reading)


def test_a_counter_that_steps_back_gives_no_negative_share(plant: Plant) -> None:
    root = plant({"proc/stat": STAT})
    before = read(1, root)
    plant({"proc/stat": grown("140 0 50 610 100 0 0 149 0 0")})
    assert between(before, read(1, root))["steal"] == 0.0


def test_frequency_is_the_mean_of_both_moments(plant: Plant) -> None:
    path = "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq"
    root = plant({path: "3000000\n"})
    before = read(1, root)
    plant({path: "2000000\n"})
    assert between(before, read(1, root))["mhz"] == 2500.0


def test_interrupts_of_one_cpu_without_the_machine_s_error_counts(plant: Plant) -> None:
    root = plant({"proc/interrupts": INTERRUPTS})
    assert read(0, root).interrupts == 1000
    assert read(1, root).interrupts == 507


def test_interrupts_where_cpu_numbers_have_gaps(plant: Plant) -> None:
    root = plant({"proc/interrupts": INTERRUPTS.replace("CPU1", "CPU4")})
    assert read(4, root).interrupts == 507
    assert read(1, root).interrupts is None


def test_error_counts_of_a_machine_with_one_cpu_are_not_interrupts(plant: Plant) -> None:
    assert read(0, plant({"proc/interrupts": "      CPU0\nLOC:  5  Local timer\nERR:  3\n"})).interrupts == 5


def test_interrupts_of_very_many_cpus_are_left_alone(plant: Plant) -> None:
    header = " ".join(f"CPU{n}" for n in range(256))
    row = " ".join("1" for _ in range(256))
    assert read(0, plant({"proc/interrupts": f"{header}\n 1: {row} x\n"})).interrupts is None


def test_activity_of_a_stretch(plant: Plant) -> None:
    root = plant({"proc/stat": STAT, "proc/interrupts": INTERRUPTS, "proc/uptime": "100.0 150.0\n"})
    before = readings._snapshot(root)
    plant({"proc/stat": grown("130 0 50 640 110 0 0 170 0 0"), "proc/interrupts": INTERRUPTS.replace("500", "700")})
    after = readings._snapshot(root)
    seen = readings._rates(before, after, uptime=100.0)
    assert seen[1].steal == pytest.approx(0.2)
    assert seen[1].busy == pytest.approx(0.3)
    assert seen[1].interrupts == pytest.approx(200 / (after.at - before.at))
    assert seen[1].usual == pytest.approx(0.07), "devices only, since the machine started"
    assert seen[0].steal == seen[0].busy == seen[0].interrupts == 0.0


def test_activity_without_files_is_empty(tmp_path: Path) -> None:
    assert activity(0.0, tmp_path) == {}
