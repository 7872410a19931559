"""Recipe: do what a request asks by `lockstep ab`, in its own process, kept apart where strangers have a hand in it.

Whoever calls this has the machine for itself (`machine.alone`), and only looks on: every `BEAT` seconds it wakes, on
another CPU than the measured one, and calls `watch`. Not between blocks, as a terminal is told of them: one block may
take longer than a lease, and no answer of a server may hold up what is measured.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from runner import cage, config, machine, shell
from runner.builds import commits
from runner.builds.spec import BuildSpec, Origin, of_commit, parse
from runner.errors import BuildError, LockstepError, MachineError, UsageError
from runner.jobs import policy
from runner.machine.choice import Pinning
from runner.report.printable import printable
from runner.shell import Beside
from runner.storage import errands, store
from runner.storage.errands import Errand, State

UNTRUSTED = ("refuse", "sandbox", "unsafe")
"""What is done with a request whose code comes from a repository: it is refused, kept apart, or run as it is."""
BEAT = 30.0
"""Seconds between two heart-beats; a lease is four times as long."""
PATIENCE = 30.0
"""Seconds that a command has to end when it is asked to."""
MORE = 2 * 3600.0
"""Seconds that a request may take beyond twice its budget: building, and waiting."""
LARGEST = 64 << 20
"""Bytes that its commands may print."""
SAID = 1500
"""Characters of a problem that the server is told."""
NOTE = 200
"""Characters of how far it is."""
OWN_SETTINGS = Path("/etc/lockstep")
"""Where a service has its token, by docs/agents.md."""
WHOLE = (0, 1)
"""Exit codes of a comparison that came to its end; 1 is a regression, which is a result."""

Watch = Callable[[str], None]
"""Told every `BEAT` seconds how far it is; whatever it raises ends the work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How an agent does its errands."""

    top: Path
    """Folder of errands."""
    untrusted: str = "sandbox"
    """One of `UNTRUSTED`."""
    beat: float = BEAT
    """Seconds."""


def measured(errand: Errand, ways: Ways, watch: Watch) -> Errand:
    """Build, and measure or go on measuring; the errand comes back with a run, or with why there is none.

    What `watch` raises, and an interruption, are passed on when all that was started has ended; then it can be gone on
    with. Its folder is there.
    """
    try:
        folder = errands.folder_of(ways.top, errand.request)
        (folder / errands.LOG).unlink(missing_ok=True)
        return replace(errand, state=State.MEASURED, run=_Work(errand, folder, ways, watch).run(), problem="")
    except OSError as problem:
        return failed(errand, f"{problem.strerror or problem}: {problem.filename}")
    except LockstepError as problem:
        return failed(errand, str(problem))


def failed(errand: Errand, problem: str) -> Errand:
    """The errand, with why there is no run."""
    return replace(errand, state=State.FAILED, run="", problem=problem[:SAID])


def strange(arm: str) -> bool:
    """Whether strangers have a hand in a build that the policy allows: it is a commit of a repository. What is none of
    theirs are releases, whose hashes we know, and our own variants of them."""
    return arm.startswith(Origin.GIT.value)


def check(run: Path, errand: Errand) -> None:
    """See that a run is the one that was asked for, and no other: where it was measured a stranger could write, who may
    have made it one of a watch's history, or of other builds. What its figures say cannot be seen. Raises UsageError.
    """
    try:
        made = store.read_manifest(run)
    except RecursionError as error:
        raise UsageError(f"the manifest of the run {run.name} is nested too deeply") from error
    for what, asked, arm in (("base", errand.base, made.base), ("head", errand.head, made.head)):
        if not _is(arm.spec, asked):
            raise UsageError(f"the run {run.name} is not the one that was asked for: its {what} is {arm.spec[:NOTE]!r}")
    if made.id != run.name or made.role is not None or made.labels or made.fleet is not None:
        raise UsageError(f"the run {run.name} is not the one that was asked for: it says that it is another, or a part "
                         "of something larger")


def _is(text: str, asked: str) -> bool:
    """Whether a build's spec is what was asked for; of a commit it may have the hash in the place of a name."""
    try:
        one, other = (parse(spec, exists=lambda path: False) for spec in (text, asked))
    except UsageError:
        return False
    if one is None or other is None:
        return False
    same = one.ref == other.ref or not commits.FULL.fullmatch(other.ref)
    return same and replace(one, text="", ref="") == replace(other, text="", ref="")


def apart(work: Path) -> cage.Cage:
    """Where the code of strangers runs. `work` is the folder that it may write. Raises MachineError that says why there
    is no such place."""
    kept = config.calibrations_folder(None)
    # Of the repositories that were fetched, it has those that it builds.
    hidden = [OWN_SETTINGS, config.caches()[-1] / "git"]
    if config.CHECKOUT:  # what was measured lies in the same folder as what the program reads
        program = {config.STATE / "variants", kept}
        hidden += [path for path in sorted(config.STATE.iterdir()) if path not in program and path.suffix != ".toml"]
    return cage.find(work, readable=(config.caches()[-1], kept), hidden=hidden)


class _Work:
    """What one errand takes."""

    def __init__(self, errand: Errand, folder: Path, ways: Ways, watch: Watch) -> None:
        self._errand, self._ways, self._watch = errand, ways, watch
        self._folder, self._work = folder, folder / errands.WORK
        # Whatever a server says: what is done here is what the policy allows.
        self._wanted = policy.read(
            errand.margin, errand.budget, None, base=errand.base, head=errand.head, suite=errand.suite,
            select=errand.select or "",
        )
        self._left = 2 * self._wanted.budget + MORE
        self._cage: cage.Cage | None = None

    def run(self) -> str:
        """The id of the run. Raises LockstepError in words for whoever asked."""
        arms = [self._wanted.base, self._wanted.head]
        strangers = [arm for arm in arms if strange(arm)]
        if strangers and self._ways.untrusted == "refuse":
            raise UsageError(f"{strangers[0]}: this machine builds releases only (lockstep agent --untrusted refuse).")
        caged = bool(strangers) and self._ways.untrusted == "sandbox"
        where = ["--out", str(self._work / errands.RUNS), "--held"]
        if (cpus := config.cpus()) is not None:
            where += ["--cpus", cpus]
        if (begun := errands.run_of(self._folder)) is not None:
            if caged:
                self._cage = apart(self._work)
            code = self._command(["resume", begun, *where])
            if code != UsageError.exit_code:
                return self._outcome(code)
            # It is not what it was: a build was removed, or the system is another one.
            self._cage = None
        # What a stranger has written into, we write into no more: there may be links in it.
        errands.clear(self._work)
        for name in (errands.RUNS, "here", "home"):
            (self._work / name).mkdir(parents=True)
        if caged:
            arms = self._lent(arms)
            self._cage = apart(self._work)
        return self._outcome(self._command([*self._asked(arms), *where]))

    def _lent(self, arms: Sequence[str]) -> list[str]:
        """Have all there that needs a network or is no stranger's: releases built, commits in a cache of their own."""
        for arm in arms:
            if not strange(arm) and (code := self._command(["build", arm])):
                raise BuildError(f"{arm} cannot be built here (exit code {code}): {self._said()}")
        top = self._work / "home" / ".cache" / "lockstep"
        found = []
        with shell.pool(1) as pool:
            for arm in arms:
                job = pool.submit(_lend, arm, top)
                while not wait([job], timeout=self._ways.beat).done:
                    self._wait()
                    self._watch(f"fetching {arm}")
                found.append(job.result())
        return found

    def _asked(self, arms: Sequence[str]) -> list[str]:
        errand = self._errand
        words = ["ab", *arms, f"--suite={errand.suite}", f"--margin={errand.margin}", f"--budget={errand.budget}"]
        return words if errand.select is None else [*words, f"--bench={errand.select}"]

    def _outcome(self, code: int) -> str:
        """The id of the run that a comparison has left, which ended with an exit code; it is out of its reach now."""
        run = errands.run_of(self._folder)
        if code not in WHOLE or run is None:
            raise BuildError(f"lockstep ab ended with exit code {code}: {self._said() or 'it said nothing'}")
        taken = errands.take_out(self._folder, run)
        check(taken, self._errand)
        return taken.name

    def _command(self, words: Sequence[str]) -> int:
        """Have a command of ours run to its end; its exit code, negative for a signal. Raises what `watch` raises."""
        command = [sys.executable, "-P", "-m", "lockstep_ab", *words]
        here, environment = self._work / "here", _environment()
        if self._cage is not None:
            self._cage.give(self._work)
            environment = self._cage.environment(_places(self._work / "home"))
            command = self._cage.words(command, cwd=here)
        log = self._folder / errands.LOG
        process = Beside(command, cwd=here, env=environment, log=log)
        try:
            with ExitStack() as stack:
                placed = False
                while (code := process.ended(self._ways.beat)) is None:
                    placed = placed or self._keep_off(stack)
                    self._wait()
                    if log.stat().st_size > LARGEST:
                        raise MachineError(f"it was stopped: it printed more than {LARGEST >> 20} MiB.")
                    self._watch(self._said(NOTE).rpartition("\n")[2])
                return code
        finally:
            process.stop(PATIENCE)

    def _wait(self) -> None:
        """A heart-beat has passed. Raises MachineError when the time for all of it is over."""
        self._left -= self._ways.beat
        if self._left < 0:
            raise MachineError("it was stopped: it took far longer than its budget.")

    def _keep_off(self, stack: ExitStack) -> bool:
        """Once it is known which CPU is measured, be on others until the stack ends."""
        run = errands.run_of(self._folder)
        if run is None:
            return False
        try:
            worker = json.loads(errands.manifest(self._folder, run) or b"")["worker_cpu"]
        except (ValueError, TypeError, KeyError, RecursionError):  # it may be a stranger's
            return False
        here = machine.topology()
        # None: it is not pinned.
        if isinstance(worker, int) and worker in here.cpus and (others := machine.beside(here, worker)):
            stack.enter_context(machine.quiet(Pinning(worker=worker, parent=others, notices=())))
        return True

    def _said(self, most: int = SAID) -> str:
        """The end of what the commands printed, fit to be shown."""
        try:
            with (self._folder / errands.LOG).open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * most))
                lines = printable(file.read().decode("utf-8", "replace")).splitlines()
        except OSError:
            return ""
        return "\n".join(line for line in lines if line.strip())[-most:]


def _lend(arm: str, top: Path) -> str:
    """A commit by its hash, in the cache `top`; another build as it is. In a process that may take its time."""
    spec = parse(arm, exists=lambda path: False)
    assert isinstance(spec, BuildSpec)
    if spec.origin is not Origin.GIT:
        return arm
    # What is listed is an address: who moved may not choose what is built in its place.
    found = commits.find(arm, spec.place, spec.ref, _nobody, led=False)
    commits.lend(found, spec.place, top)
    return of_commit(spec.place, found.commit, edits=spec.edits, options=spec.options)


def _nobody(_: str) -> None:
    pass


def _environment() -> dict[str, str]:
    """What a command of ours sees of the variables: all but our own, of which one is the token."""
    return {name: value for name, value in os.environ.items() if not name.startswith(config.OURS)}


def _places(home: Path) -> dict[str, str]:
    """Where a command that is kept apart finds what it reads, and puts what it makes."""
    cache = config.caches()[-1]
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(cache.parent), "USER": "lockstep-guest"}
    return places if config.CHECKOUT else {**places, "XDG_STATE_HOME": str(config.STATE.parent)}
