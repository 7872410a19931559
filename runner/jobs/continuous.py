"""The order of steps of `lockstep continuous`: two commits of a project that asv benchmarks, installed and compared."""

from __future__ import annotations

from dataclasses import replace

from runner import builds, machine, suites
from runner.jobs.ab import AbRequest, Finished, View, compare_arms
from runner.model import Arm, Interpreter
from runner.suites import asv_conf, asv_project
from runner.suites.asv_project import Made, Wanted


def continuous(wanted: Wanted, request: AbRequest, view: View) -> Finished:
    """Install two commits, each in an environment of asv's, and compare them over the project's benchmarks.

    `request` says how; its arms are made here, and its suite is the project's where it names none. Raises UsageError,
    BuildError or MachineError, and ends early as `ab` does.
    """
    machine.supported()
    suite = request.suite or str(asv_conf.benchmark_dir(wanted.configuration))
    suites.open(suite)  # before minutes are spent on installing
    with machine.alone(wait=request.wait, told=view.say):
        made = asv_project.install(wanted, progress=view.phase, told=view.say)
        base, head = (_arm(made[arm], view) for arm in Arm)
        own = ["continuous", "--config", str(wanted.configuration.resolve())]
        own += ["--env-name", wanted.environment] if wanted.environment else []
        request = replace(request, base=made[Arm.BASE].installed.commit, head=made[Arm.HEAD].installed.commit,
                          suite=suite, words=tuple(own))
        return compare_arms(request, base, head, view)


def _arm(made: Made, view: View) -> Interpreter:
    installed = made.installed
    name = f"{installed.project}@{installed.commit[:asv_project.SHORT]}"
    return replace(builds.resolve(str(made.python), progress=view.phase), spec=name, installed=installed)
