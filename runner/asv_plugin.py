"""asv's environments as Lockstep's builds: each is CPython at a commit, with the variant and options of the matrix.

In asv.conf.json: ``"plugins": [".lockstep_ab.asv_plugin"]`` and ``"environment_type": "lockstep"``; asv's next release
finds it by the entry point of this project. The matrix knows two requirements: ``variant``, the name of an edit in
data/variants, and ``options``, what a build's name has behind its question mark (``pgo&lto``).

A commit is built by `runner.builds` in the cache that `lockstep ab` uses, so asv's own cache and `pip` have no part in
it. A benchmark runs pinned as in `lockstep ab`, one measurement at a time on the machine.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from asv import environment, util
from asv.console import log

from runner import builds, machine
from runner.builds import git
from runner.errors import LockstepError
from runner.storage.asv_results import OPTIONS, VARIANT
from runner.suites import asv as suites

LONGEST = 256
"""Bytes of the longest name of an environment; shorter ones are made up for."""


class Build(environment.Environment):  # type: ignore[misc]
    """One combination of the matrix: `install_project` makes it the build of a commit."""

    tool_name = "lockstep"
    matches_python_fallback = False

    def __init__(
        self, conf: Any, python: str, requirements: Mapping[str, str], tagged_env_vars: Mapping[Any, str]
    ) -> None:
        """Raises EnvironmentUnavailable for strange requirements, and for variants that are unknown or branches."""
        strange = set(requirements) - {VARIANT, OPTIONS}
        if strange:
            raise environment.EnvironmentUnavailable(
                "a build of CPython installs no packages; "
                f"the matrix may have {VARIANT} and {OPTIONS}, not {min(strange)}"
            )
        self._variant, self._options = (requirements.get(name) or "" for name in (VARIANT, OPTIONS))
        try:
            changes = bool(self._variant) and builds.changes(self._variant)
        except LockstepError as error:
            raise environment.EnvironmentUnavailable(str(error)) from error
        if changes and _is_branch(conf.repo, self._variant):
            raise environment.EnvironmentUnavailable(
                f"variant {self._variant} is a branch of {conf.repo}: name it as a commit"
            )
        # The base class asks for the name before it sets these.
        self._python, self._requirements = python, dict(requirements)
        super().__init__(conf, python, self._requirements, tagged_env_vars)

    @classmethod
    def matches(cls, python: str) -> bool:
        """Any: the commit decides which Python it is, and this is a label in the results."""
        return bool(python)

    def check_presence(self) -> bool:
        return self._library.is_dir()

    def _setup(self) -> None:
        folder = Path(self._path)
        folder.mkdir(parents=True)
        suites.link_asv_runner(folder)

    def install_project(self, conf: Any, repo: Any, commit_hash: str) -> None:
        """Make this the build of a commit. Raises ProcessError, which asv takes for a build that failed."""
        edits = [self._variant] if self._variant else []
        name = builds.of_commit(repo._path, commit_hash, edits=edits, options=self._options)
        try:
            made = builds.resolve(name, progress=log.info)
        except LockstepError as error:
            log.error(str(error))
            raise util.ProcessError(["lockstep", "build", name], error.exit_code, "", str(error)) from error
        # Kept in a file, since asv may install in another process than it runs in.
        self._executable.unlink(missing_ok=True)
        self._executable.symlink_to(made.executable)
        self._set_commit_hash(commit_hash)
        self._set_installed_commit_hash(commit_hash)

    @property
    def installed_commit_hash(self) -> str | None:
        """None where the build that was installed has been removed from the cache since."""
        return super().installed_commit_hash if self._executable.exists() else None

    def run(self, args: Sequence[str], **kwargs: Any) -> Any:
        """Run the build with these arguments, pinned, and wait while another run measures on this machine."""
        log.debug(f"Running '{' '.join(args)}' in {self.name}")
        # The build's own path: an interpreter that is started through a link looks for its library beside the link.
        executable = self._executable.resolve()
        builds.use(executable)
        command = [*_pinned(), str(executable), "-s", *args]
        kwargs["env"] = self._environment(kwargs.get("env") or {})
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self._install_timeout
        with machine.alone(wait=True, told=log.info):
            return util.check_output(command, **kwargs)

    @property
    def _executable(self) -> Path:
        return Path(self._path) / "python"

    @property
    def _library(self) -> Path:
        return Path(self._path) / "library"

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """What the interpreter sees: nothing that steers Python but the path to asv_runner, and equal in size."""
        kept = {name: value for name, value in given.items() if not name.startswith("PYTHON")}
        padding = "x" * max(0, LONGEST - len(self.name.encode()))
        return {**kept, **self._global_env_vars, "PYTHONPATH": str(self._library), "LOCKSTEP_PADDING": padding}


@lru_cache(maxsize=1)
def _pinned() -> tuple[str, ...]:
    """What comes before a command to pin it: the CPU is chosen once, when nothing of ours runs yet."""
    pinning = machine.choose(machine.topology(), machine.activity())
    taskset = shutil.which("taskset")
    if taskset is None:
        log.warning("benchmarks are not pinned to a CPU: taskset is missing (Debian: apt-get install util-linux)")
        return ()
    return (taskset, "--cpu-list", str(pinning.worker)) if pinning.worker is not None else ()


@lru_cache
def _is_branch(repository: str, name: str) -> bool:
    if not Path(repository).is_dir():
        return False
    return not git.run(Path(repository), "rev-parse", "--verify", "--quiet", f"refs/heads/{name}").code
