"""Projects that asv benchmarks: two of their commits, installed side by side.

asv has one environment for a combination of its matrix, and installs one commit after the other into it. A duel needs
both at once. So each commit gets that environment at a place of its own, ``lockstep/COMMIT`` below the project's
`env_dir`: asv's own classes make it, build the commit and install it, as asv.conf.json says, and find it there the next
time.
"""

from __future__ import annotations

import copy
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asv import environment
from asv.console import log
from asv.plugin_manager import plugin_manager
from asv.repo import NoSuchNameError, get_repo
from asv.util import ProcessError, UserError

from runner import shell
from runner.errors import BuildError, UsageError, listed
from runner.model import Arm, Installed
from runner.owned import held
from runner.suites import asv_conf

PLACE = "lockstep"
"""Folder in a project's env_dir with the environments of single commits."""
KEPT = 10
"""Commits whose environments are kept, beside the two that are wanted."""
TIMEOUT = 60.0
"""asv's own limit of a benchmark that states none, seconds, which Lockstep has too."""
LINES = 20
"""Lines of a failed command's output that are shown."""
SHORT = 8
"""Characters of a commit's hash that people see."""
STEERING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
"""Variables that name a repository. git sets them for its hooks; asv's checkout of a commit would move that one."""

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Two commits of a project, as the user named them."""

    configuration: Path
    base: str | None
    """None: the parent of head."""
    head: str | None
    """None: the first of the configured branches."""
    environment: str | None = None
    """asv's name of it, or ``virtualenv:3.12``; None: the first of the matrix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What was found of `wanted`: nothing is installed yet."""

    wanted: Wanted
    arms: Mapping[Arm, Installed]


@contextmanager
def inside(path: Path) -> Iterator[Any]:
    """The configuration, in its folder: asv takes what it names from there. Raises UsageError for what asv refuses."""
    before = Path.cwd()
    steering = {name: os.environ.pop(name) for name in STEERING if name in os.environ}
    log.dot = lambda: None  # it would draw on the terminal between our own lines
    try:
        conf = asv_conf.load(path)
        os.chdir(path.resolve().parent)
        for plugin in conf.plugins:
            plugin_manager.import_plugin(plugin)
        yield conf
    except (UserError, ProcessError, OSError, ImportError) as error:
        raise UsageError(f"{path}: {_said(error)}") from error
    finally:
        del log.dot
        os.environ.update(steering)
        os.chdir(before)


def plan(wanted: Wanted, *, progress: Told, told: Told) -> Planned:
    """Find the commits and the environment; a repository that is elsewhere is fetched.

    `progress` is told each step, `told` what the user must know. Raises UsageError for a project, a commit or an
    environment that cannot be had.
    """
    with inside(wanted.configuration) as conf, _heard(progress) as warnings:
        chosen = _chosen(conf, wanted.environment, warnings, told)
        repository = _repository(conf, wanted.configuration, fetched=True)
        commits = _commits(conf, repository, wanted)
        _tell_of_edits(conf, told)
        limit = getattr(conf, "default_benchmark_timeout", TIMEOUT)
        if limit != TIMEOUT:
            told(f"default_benchmark_timeout = {limit} has no effect: a benchmark that states no `timeout` has "
                 f"{TIMEOUT:g} s for what it does")
        return Planned(wanted=wanted, arms={
            arm: Installed(
                project=str(conf.project), commit=commit, name=name, configuration=wanted.configuration.resolve(),
                environment=chosen.name, python=str(chosen.python), requirements=dict(chosen.requirements),
            )
            for arm, (name, commit) in commits.items()
        })


def install(planned: Planned, *, progress: Told) -> dict[Arm, Path]:
    """Install both commits, each in an environment of its own, and return the Python of each.

    What is installed already is left as it is. Environments of other commits are removed where there are many. Who
    installs commits of the same project has to wait: another run may be confined to other CPUs. Raises UsageError as
    `plan` does, and BuildError where a command of asv's fails.
    """
    with inside(planned.wanted.configuration) as conf:
        repository = _repository(conf, planned.wanted.configuration, fetched=False)
        place = Path(conf.env_dir).resolve() / PLACE
        made = {}
        with _alone(place, progress):
            _prune(place, {one.commit for one in planned.arms.values()})
            for arm, one in planned.arms.items():
                with _heard(_prefixed(f"{arm.value}, {one.project} {one.commit[:SHORT]}", progress)):
                    made[arm] = _install(conf, planned.wanted.environment, one, repository, place)
    return made


@contextmanager
def _alone(place: Path, progress: Told) -> Iterator[None]:
    """Hold the environments of a project: asv takes one that another process is making for one that is broken, and
    removes it."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{place}, where environments are made, cannot be used: {error.strerror}") from error
    with held(descriptor, lambda: progress("waiting for another run that installs commits of this project")):
        yield


def _prefixed(what: str, progress: Told) -> Told:
    return lambda text: progress(f"{what}: {text}")


@contextmanager
def _heard(progress: Told) -> Iterator[list[str]]:
    """What asv says goes to `progress`; its warnings and errors are in the list."""
    warnings: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage().strip()
            if record.levelno >= logging.WARNING:
                warnings.append(text)
            elif text:
                progress(text.splitlines()[0])

    root, ear = logging.getLogger(), Ear()
    level, others = root.level, root.handlers[:]
    root.handlers[:] = [ear]
    root.setLevel(logging.INFO)
    try:
        yield warnings
    finally:
        root.setLevel(level)
        root.handlers[:] = others


def environments(conf: Any, asked: str | None, *, verbose: bool = True) -> list[Any]:
    """The environments of a configuration's matrix, or those that are asked for; `verbose`: asv says what is wrong with
    the others. Raises UserError, which `inside` turns into words, where no type of environment is configured."""
    try:
        return list(environment.get_environments(conf, [asked] if asked else None, verbose=verbose))
    except RuntimeError as error:  # no environment_type
        raise UserError(str(error)) from error


def _chosen(conf: Any, asked: str | None, warnings: list[str], told: Told) -> Any:
    """The environment of the matrix to use."""
    there = environments(conf, asked)
    if not there:
        known = ", ".join(one.name for one in environments(conf, None)) if asked else ""
        why = f"its environments are {known}" if known else "; ".join(dict.fromkeys(warnings)) or "its matrix is empty"
        which = f"the environment {asked}" if asked else "any environment"
        raise UsageError(f"asv cannot make {which} of this project: {why}.")
    chosen = there[0]
    if chosen.tool_name == "lockstep":
        raise UsageError("the environments of this project are Lockstep's own builds; compare two commits by: "
                         f"lockstep ab git:{conf.repo}@BASE git:{conf.repo}@HEAD")
    if not chosen.can_install_project():
        raise UsageError(f"into the environment {chosen.name} asv installs nothing; compare two interpreters that have "
                         "the project by: lockstep ab BASE HEAD")
    if chosen.env_vars:
        raise UsageError(f"the environment {chosen.name} sets variables ({', '.join(sorted(chosen.env_vars))}), which "
                         "measured processes would not see; name another one by --env-name.")
    for warning in dict.fromkeys(warnings):
        told(f"asv: {warning}")
    if len(there) > 1:
        others = ", ".join(one.name for one in there[1:])
        told(f"the matrix has {len(there)} environments; this is about {chosen.name}, and --env-name names another: "
             f"{others}")
    return chosen


def _repository(conf: Any, path: Path, *, fetched: bool) -> Any:
    try:
        repository = get_repo(conf)
        if fetched:
            repository.pull()
        return repository
    except (UserError, ProcessError) as error:
        raise UsageError(f"{conf.repo!r}, which {path} names as its repo, is no repository that asv can use: "
                         f"{_said(error)}") from error


def _commits(conf: Any, repository: Any, wanted: Wanted) -> dict[Arm, tuple[str, str]]:
    """For each arm the name that a person knows its commit by, and its hash."""

    def find(name: str | None) -> str:
        try:
            return str(repository.get_hash_from_name(name))
        except (NoSuchNameError, ProcessError) as error:
            called = name or repository.get_branch_name()
            raise UsageError(f"{conf.repo} has no commit {called!r}; name it as git would: a branch, a tag, a hash, "
                             "main~3.") from error

    first = conf.branches[0]
    head = find(wanted.head or first)
    name = wanted.head or first or str(repository.get_branch_name())
    if wanted.base is not None:
        return {Arm.BASE: (wanted.base, find(wanted.base)), Arm.HEAD: (name, head)}
    try:
        parent = str(repository.get_hash_from_parent(head))
    except (NoSuchNameError, ProcessError) as error:
        raise UsageError(f"{name} has no parent to compare with; name BASE too.") from error
    return {Arm.BASE: (f"{name}^", parent), Arm.HEAD: (name, head)}


def _tell_of_edits(conf: Any, told: Told) -> None:
    """Say where the user has edits that no commit holds: they are in neither arm."""
    if not (Path(conf.repo) / ".git").exists():
        return
    benchmarks = os.path.relpath(conf.benchmark_dir, conf.repo)
    command = ["git", "-C", conf.repo, "-c", "core.quotepath=off", "status", "--porcelain", "--untracked-files=no",
               "--no-renames", "--", ".", *([] if benchmarks.startswith("..") else [f":(exclude){benchmarks}"])]
    result = shell.run(command)
    edited = [line[3:] for line in result.output.splitlines()] if result.code == 0 else []
    if edited:
        told(f"not committed, and so in neither arm: {listed(edited, 3)} (only the benchmarks are taken from the "
             "working tree)")


def _install(conf: Any, asked: str | None, wanted: Installed, repository: Any, place: Path) -> Path:
    """Have the commit installed in its environment; return its Python."""
    own = copy.copy(conf)
    own.env_dir = str(place / wanted.commit)
    made = next(one for one in environments(own, asked) if one.name == wanted.environment)
    try:
        made.create()
        made.install_project(own, repository, wanted.commit)
        os.utime(own.env_dir)
        return Path(made.find_executable("python"))
    except ProcessError as error:
        raise BuildError(f"{wanted.project} {wanted.commit[:SHORT]} cannot be installed in {made.name}: "
                         f"{_said(error)}") from error


def _said(error: Exception) -> str:
    if not isinstance(error, ProcessError):
        return str(error)
    output = "\n".join(text for text in (error.stdout, error.stderr) if text)
    last = [line for line in output.splitlines() if line.strip()][-LINES:]
    command = " ".join(map(str, error.args))
    ended = "did not end in time" if error.retcode < -255 else f"ended with exit code {error.retcode}"
    return "\n  ".join((f"`{command}` {ended}" + (". Its last lines:" if last else ""), *last))


def _prune(place: Path, wanted: Collection[str]) -> None:
    """Remove the environments of commits that were not used lately."""
    others = [path for path in place.iterdir() if path.name not in wanted] if place.is_dir() else []
    for path in sorted(others, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(path, ignore_errors=True)
