"""Reports made by hand, so that renderers can be tested without measuring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from runner.judging.report import Array, Comparison, Mean, Report
from runner.model import Arm, Cause, Difference, Failure, Metric, Mode, Notice, Settings, Verdict

SETTINGS = Settings(mode=Mode.TURNS, calls={Arm.BASE: 12, Arm.HEAD: 12}, cycles=60, window=0.0, warmup=2)
UNEQUAL = Settings(mode=Mode.TURNS, calls={Arm.BASE: 12, Arm.HEAD: 9000}, cycles=60, window=0.0, warmup=2)
SHARED = Settings(mode=Mode.SHARED, calls={Arm.BASE: 1, Arm.HEAD: 1}, cycles=8, window=1.5, warmup=1)

TRACEBACK = """Traceback (most recent call last):
  File "construct.py", line 12, in time_construct
    raise ValueError("<b>| `x` & y</b>")
ValueError: <b>| `x` & y</b>"""
HOSTILE = "<script>alert(1)</script>|`a`"


def _frozen(values: list[float] | Array) -> Array:
    array = np.array(values, dtype=float)
    array.flags.writeable = False
    return array


def _digits(number: float) -> float:
    """Nine digits: the last ones of an exponential are not the same on every machine."""
    return float(f"{number:.9g}")


def comparison(name: str, verdict: Verdict, **changes: Any) -> Comparison:
    """A comparison of `verdict` with unremarkable numbers, but for `changes`."""
    facts: dict[str, Any] = {
        "name": name, "params": {}, "metric": Metric.TIME, "unit": "s", "verdict": verdict, "clear": False,
        "tiny": False, "exact": False, "ratio": None, "low": None, "high": None, "base_value": None,
        "head_value": None, "blocks": 8, "reached": True, "needed": None, "p": None, "q": None, "mode": Mode.TURNS,
        "settings": SETTINGS, "machine_seconds": 4.0, "failure": None, "notices": (), "log_ratios": _frozen([]),
        "base_values": _frozen([]), "head_values": _frozen([]), "started": _frozen([]),
    }
    return Comparison(**(facts | changes))


def measured(
    name: str, verdict: Verdict, ratio: float, base: float, *, spread: float = 0.01, blocks: int = 14, seed: int = 0,
    **changes: Any,
) -> Comparison:
    """A comparison with blocks around `ratio` and an interval to match; `base` is base's value per call."""
    random = np.random.default_rng([seed, *name.encode()])
    drift = random.normal(0, 0.03, blocks)
    logs = math.log(ratio) + random.normal(0, spread, blocks)
    bases = base * np.exp(drift)
    half = 2.6 * spread / math.sqrt(blocks)
    facts: dict[str, Any] = {
        "ratio": ratio, "low": _digits(ratio * math.exp(-half)), "high": _digits(ratio * math.exp(half)),
        "base_value": base,
        "head_value": base * ratio, "blocks": blocks, "p": 0.012, "q": 0.021, "machine_seconds": 0.45 * blocks,
        "log_ratios": _frozen(logs), "base_values": _frozen(bases), "head_values": _frozen(bases * np.exp(logs)),
        "started": _frozen(np.cumsum(random.uniform(5, 40, blocks))),
    }
    return comparison(name, verdict, **(facts | changes))


def exact(name: str, verdict: Verdict, base: float, head: float, **changes: Any) -> Comparison:
    """A count that was the same in each of three blocks."""
    ratio = None if base == 0 else head / base
    facts: dict[str, Any] = {
        "metric": Metric.TRACK, "unit": "bytes", "clear": verdict is not Verdict.SAME, "exact": True, "ratio": ratio,
        "low": ratio, "high": ratio, "base_value": base, "head_value": head, "blocks": 3, "mode": None,
        "settings": None, "machine_seconds": 0.6, "base_values": _frozen([base] * 3),
        "head_values": _frozen([head] * 3), "log_ratios": _frozen([math.log(ratio)] * 3 if ratio else []),
        "started": _frozen([1.0, 2.0, 3.0]),
    }
    return comparison(name, verdict, **(facts | changes))


def absent(name: str, verdict: Verdict, reason: str, skips: Arm | None = None, **changes: Any) -> Comparison:
    """A benchmark that was not compared: skipped by both arms or by one, or there in one arm alone."""
    skipped = verdict is Verdict.SKIPPED or skips is not None
    facts: dict[str, Any] = {
        "blocks": 0, "machine_seconds": 0.1 * skipped, "settings": None, "mode": None,
        "failure": Failure(reason=reason, arm=skips, cause=Cause.SKIPPED if skipped else Cause.OTHER),
    }
    return comparison(name, verdict, **(facts | changes))


def every_kind() -> list[Comparison]:
    """One benchmark of each kind that a renderer treats differently."""
    return [
        measured("construct.FromBytes.time_construct", Verdict.FASTER, 1 / 2042, 164e-6, params={"size": "4MiB"},
                 clear=True, spread=0.02, p=1e-12, q=6e-11, settings=UNEQUAL,
                 notices=(Notice(kind="unequal-calls", numbers={"base": 12, "head": 9000}),)),
        measured("readlines.Founding.time_list", Verdict.FASTER, 0.931, 2.91e-3, clear=True, p=1e-9, q=1e-8),
        measured("write_after_share.AfterGetvalue.time_append_one_byte", Verdict.SLOWER, 1.03, 7.1e-3,
                 params={"size": "16MiB", "how": "seek"}, clear=True, p=4e-5, q=1e-4,
                 notices=(Notice(kind="steal", numbers={"share": 0.12}),)),
        measured("getvalue.Repeated.time_getvalue", Verdict.SLOWER, 1.013, 32e-9, p=3e-3, q=8e-3),
        measured("construct.FromBytearray.time_construct", Verdict.SAME, 1.001, 133e-6, params={"size": "64KiB"}),
        measured("construct.Empty.time_construct", Verdict.SAME, 1.004, 61e-9, spread=0.004, tiny=True),
        measured("pickling.Big.time_dumps", Verdict.UNDECIDED, 1.009, 0.151, spread=0.03, blocks=40, needed=61,
                 mode=Mode.SHARED, settings=SHARED,
                 notices=(Notice(kind="steal", numbers={"share": 0.12}),)),
        measured("pickling.Small.time_loads", Verdict.UNDECIDED, 0.98, 3.3e-6, spread=0.2, blocks=5, reached=False,
                 p=None, q=None),
        comparison("construct.Broken.time_construct", Verdict.FAILED, blocks=0, machine_seconds=0.3, settings=None,
                   mode=None, failure=Failure(reason="raised ValueError: <b>| `x` & y</b>", arm=Arm.HEAD,
                                              detail=TRACEBACK)),
        absent("getvalue.New.time_getbuffer", Verdict.ONLY_IN_HEAD, "only in head"),
        absent("getvalue.Old.time_peek", Verdict.ONLY_IN_BASE, "gone | <b>for</b> good", Arm.HEAD),
        *(absent("seek.Far.time_seek", Verdict.SKIPPED, "not for files of `this` size", params={"size": f"{2**i}TiB"})
          for i in range(5)),
        absent("seek.Abstract.time_seek", Verdict.SKIPPED, ""),
        exact("getvalue.track_misses", Verdict.UNDECIDED, 0.0, 0.0, exact=False, clear=False, ratio=None, low=None,
              high=None, unit="misses", base_values=_frozen([0, 0, 2]), head_values=_frozen([0, 1, 0]),
              notices=(Notice(kind="no-ratio", numbers={"base": 0.0, "head": 1.0}),)),
        exact("construct.track_allocated", Verdict.FASTER, 16777336.0, 120.0, params={"size": "16MiB"}),
        exact("construct.track_one_more", Verdict.SLOWER, 16777336.0, 16777337.0),
        exact("getvalue.track_allocated", Verdict.SLOWER, 0.0, 4096.0,
              notices=(Notice(kind="from-zero", numbers={"base": 0, "head": 4096}),)),
        exact("getvalue.track_freed", Verdict.FASTER, 4096.0, 0.0),
        exact("getvalue.track_objects", Verdict.SAME, 12.0, 12.0, unit="objects"),
        measured("memory.peakmem_construct", Verdict.FASTER, 0.52, 34.2 * 2**20, metric=Metric.PEAK_MEMORY,
                 unit="bytes", clear=True, spread=0.002, mode=None, settings=None),
        measured(f"odd.{HOSTILE}", Verdict.SLOWER, 1.25, 1.5, params={"text": "a|b \\| `c` <i>&amp;</i>\n*x*"},
                 clear=True, notices=(Notice(kind="never-heard-of", numbers={"what": "<u>|`", "n": 3}),)),
    ]


def report(comparisons: list[Comparison] | None = None, **changes: Any) -> Report:
    """A report of `comparisons` (default: every kind), of a run that never was."""
    facts: dict[str, str] = {"CC": "gcc", "CONFIG_ARGS": "'--without-pgo'"}
    base: Mapping[str, Any] = {
        "spec": "cpython@3.13.5+nocow", "executable": "/builds/ab12/python", "version": "3.13.5",
        "implementation": "cpython", "sha256": "ab" * 32, "facts": facts,
        "build": {"key": "ab12", "source": "CPython 3.13.5", "edits": ["nocow"], "flags": []},
    }
    content: dict[str, Any] = {
        "run": "20250101T120000Z-ab12cd", "folder": "data/runs/20250101T120000Z-ab12cd", "suite": "/suite",
        "base": base,
        "head": {**base, "spec": "cpython@3.13.5", "executable": "/builds/cd34/python", "build": None},
        "differences": (
            Difference(what="edits", base="nocow", head="", asked=True),
            Difference(what="compiler", base="gcc 12.2.0", head="gcc 13.1.0", asked=False),
        ),
        "machine": {"cpu": "AMD EPYC", "cores": 2, "os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.18.1",
                    "pinned": 1, "isolated": [], "governor": None},
        "scope": "binary", "addresses": False, "margin": 0.01, "seed": 12345,
        "command": "lockstep ab 'cpython@3.13.5+nocow' cpython@3.13.5 --seed 12345",
        "started": 1735732800.0, "seconds": 312.4, "measured_share": 0.734, "complete": True,
        "comparisons": every_kind() if comparisons is None else comparisons,
        "mean": Mean(ratio=0.381, low=0.379, high=0.383, count=7),
        "notices": (Notice(kind="layout"), Notice(kind="suite-problem", numbers={"text": "odd.py:3: <x> | `y`"})),
    }
    return Report(**(content | changes))


def large(count: int = 110) -> Report:
    """A report of as many benchmarks as a full suite, up to 40 blocks each."""
    random = np.random.default_rng(7)
    families = ("construct.FromBytes", "getvalue.AfterWrites", "write_after_share.AfterGetvalue", "readlines.Lines")
    sizes = ("0B", "64B", "4KiB", "64KiB", "1MiB", "16MiB")
    made = []
    for i in range(count):
        name = f"{families[i % 4]}.time_number_{i // 24}"
        ratio, verdict = 1 + random.normal(0, 0.002), Verdict.SAME
        if i % 5 == 0:
            ratio, verdict = math.exp(-random.uniform(0.02, 7.5)), Verdict.FASTER
        elif i % 11 == 0:
            ratio, verdict = math.exp(random.uniform(0.015, 0.2)), Verdict.SLOWER
        elif i % 13 == 0:
            verdict = Verdict.UNDECIDED
        made.append(measured(
            name, verdict, ratio, 10 ** random.uniform(-8, -2), spread=0.03 if verdict is Verdict.UNDECIDED else 0.008,
            blocks=int(random.choice([8, 14, 24, 40])), seed=i, params={"size": sizes[i % 6]}, clear=True,
            needed=60 if verdict is Verdict.UNDECIDED else None))
    return report(made)
