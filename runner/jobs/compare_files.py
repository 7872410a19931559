"""The order of steps of `lockstep compare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.errors import MachineError, UsageError
from runner.judging import unpaired
from runner.judging.unpaired import Side, Unpaired
from runner.storage import pyperf_json, pyperf_says
from runner.storage.pyperf_says import Said


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFiles:
    """Two builds' files, judged by us and by pyperf."""

    report: Unpaired
    said: Mapping[str, Said]
    """What `pyperf compare_to` says, by the benchmark's name; empty where it could not be asked."""
    problem: str
    """Why not; empty where it could, or there was nothing to ask."""


def compare_files(base: Sequence[Path], head: Sequence[Path], margin: float) -> ComparedFiles:
    """Judge result files of pyperf and pyperformance; `margin` as a fraction.

    Raises UsageError for files that are none, for one that is named twice, for a side of several builds, and where no
    benchmark is in both.
    """
    ours, theirs = _side(base), _side(head)
    files = (*ours.files, *theirs.files)
    hashes = [file.sha256 for file in files]
    if len(set(hashes)) < len(hashes):
        twice = next(file.name for file in files if hashes.count(file.sha256) > 1)
        raise UsageError(f"{twice} is there twice, by one name or two; results are compared with others.")
    report = unpaired.judge(ours, theirs, margin)
    if not any(one.base_values.size for one in report.comparisons):
        raise UsageError(f"{ours.name} and {theirs.name} have no benchmark in common.")
    try:
        return ComparedFiles(report=report, said=pyperf_says.compare_to(ours.files, theirs.files), problem="")
    except MachineError as error:
        return ComparedFiles(report=report, said={}, problem=pyperf_says.untold(error))


def _side(paths: Sequence[Path]) -> Side:
    files = tuple(pyperf_json.read(path) for path in paths)
    pyperf_json.check_alike(
        files, pyperf_json.ONE_BUILD, "The files of one side are of one build, and one version of the benchmarks.")
    return Side(name=", ".join(map(str, paths)), files=files)
