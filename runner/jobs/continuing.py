"""What must be as it was when a run goes on: interpreters, suite and machine; and the environment in which it does."""

from __future__ import annotations

from collections.abc import Mapping

from runner import builds, config, machine, suites
from runner.builds import Progress
from runner.errors import UsageError, listed
from runner.machine import addresses, files
from runner.storage.store import SCHEMA, Manifest
from runner.suites import fingerprint
from runner.suites.fingerprint import Watched

SAME = {"host": "host", "cpu": "processor", "kernel": "kernel"}
"""Facts of the machine that must be the same, and what a person calls them."""


def check(manifest: Manifest, progress: Progress) -> Watched:
    """See that a run can go on here as if it had not been interrupted; return its suite, watched from now on.

    What a run of an older version did not record is not compared. Raises UsageError, which names what differs and says
    what can be done, and what `builds.check` raises.
    """
    if manifest.fleet is not None:
        raise UsageError(f"run {manifest.id} was measured by a fleet, which alone can go on with it: "
                         f"`lockstep resume {manifest.id} --fleet {manifest.fleet.address}`")
    if manifest.schema != SCHEMA:
        raise UsageError(
            f"run {manifest.id} was begun by an older Lockstep, whose schedule was another: `lockstep show` shows what "
            f"was measured. To measure it anew: {manifest.command}"
        )
    _check_machine(manifest)
    _check_cpus(manifest)
    refusal = addresses.refusal() if manifest.addresses else None
    if refusal is not None:
        raise UsageError(f"run {manifest.id} has drawn the addresses of its processes, and goes on so. Here {refusal}. "
                         f"Start a new run: {manifest.command}")
    suite = check_suite(manifest)
    for arm in (manifest.base, manifest.head):
        builds.check(arm, progress=progress, environment=environment(manifest))
    return suite


def environment(manifest: Manifest) -> Mapping[str, str]:
    """The environment of this run's processes: what it was given, and of the caller's the variables that it began with.

    Where those were not recorded, all of the caller's that a new run would get.
    """
    here = config.environment()
    return {**{name: here[name] for name in manifest.environment or here if name in here}, **manifest.given}


def changed(manifest: Manifest) -> str:
    """Which of the variables that the run began with are gone or have another value here, in words; empty: none."""
    here = config.marks(manifest.id, config.environment())
    found = [
        f"{name} {'has changed' if name in here else 'is gone'}" for name, mark in manifest.environment.items()
        if here.get(name) != mark and name not in manifest.given
    ]
    return listed(found)


def check_suite(manifest: Manifest) -> Watched:
    """See that the suite holds what it held when the run began. Raises UsageError."""
    try:
        suite = suites.open(manifest.suite).watch()
    except UsageError as error:
        raise UsageError(f"{error} Run {manifest.id} has measured it; put it back as it was, or start a new run: "
                         f"{manifest.command}") from error
    found = fingerprint.differences(manifest.suite_files, suite.files) if manifest.suite_files else []
    if found:
        raise UsageError(
            f"the suite {manifest.suite} is not what run {manifest.id} has measured: {listed(found)}. "
            f"Undo that, or start a new run: {manifest.command}"
        )
    if manifest.suite_files:
        suite.only(manifest.suite_files)
    return suite


def _check_cpus(manifest: Manifest) -> None:
    """A run that had the machine for itself keeps it, and one that kept to some CPUs does. Raises UsageError."""
    here = machine.topology()
    now = files.print_cpus(here.cpus) if here.confined else None
    then = next((str(notice.numbers["cpus"]) for notice in manifest.notices if notice.kind == "confined"), None)
    if then == now:
        return
    if then is None:
        raise UsageError(f"run {manifest.id} has the machine for itself, and goes on so: leave out --cpus {now}.")
    raise UsageError(f"run {manifest.id} keeps to CPU {then}, and goes on there: add --cpus {then} to the command.")


def _check_machine(manifest: Manifest) -> None:
    here = machine.describe()
    found = [
        f"{word} (there {manifest.machine[name]}, here {here[name]})" for name, word in SAME.items()
        if manifest.machine.get(name) is not None and here[name] is not None and manifest.machine[name] != here[name]
    ]
    if found:
        raise UsageError(
            f"run {manifest.id} was measured on another machine or system; it differs in {', '.join(found)}. Start a "
            f"new run here, `{manifest.command}` without its --seed, and judge both together: "
            f"`lockstep combine {manifest.id} last`"
        )
