"""The order of steps of `lockstep continuous`: two commits of a project that asv benchmarks, installed and compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runner import builds, config, machine, suites
from runner.jobs.ab import AbRequest, Finished, View, compare_arms
from runner.model import Arm, Installed, Interpreter
from runner.suites import asv_conf, asv_project
from runner.suites.asv_project import Wanted


def continuous(wanted: Wanted, request: AbRequest, view: View) -> Finished:
    """Install two commits, each in an environment of asv's, and compare them over the project's benchmarks.

    `request` says how; its arms are made here, and its suite is the project's where it names none. Raises UsageError,
    BuildError or MachineError, and ends early as `ab` does.
    """
    machine.supported()
    suite = request.suite or str(asv_conf.benchmark_dir(wanted.configuration))
    suites.open(suite)  # these before minutes are spent on waiting and installing
    planned = asv_project.plan(wanted, progress=view.phase, told=view.say)
    own = ["continuous", "--config", str(wanted.configuration.resolve())]
    own += ["--env-name", wanted.environment] if wanted.environment else []
    request = replace(request, base=planned.arms[Arm.BASE].commit, head=planned.arms[Arm.HEAD].commit, suite=suite,
                      words=tuple(own))
    with machine.alone(wait=request.wait, told=view.say):
        pythons = asv_project.install(planned, progress=view.phase)
        base, head = (_arm(pythons[arm], planned.arms[arm], request, view) for arm in Arm)
        return compare_arms(request, base, head, view)


def _arm(python: Path, installed: Installed, request: AbRequest, view: View) -> Interpreter:
    name = f"{installed.project}@{installed.commit[:asv_project.SHORT]}"
    environment = config.environment(request.environment)
    found = builds.resolve(str(python), progress=view.phase, environment=environment)
    return replace(found, spec=name, installed=installed)
