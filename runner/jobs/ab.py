"""The order of steps of each job. No step's own work is done here."""

from __future__ import annotations

import platform
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from runner import builds, config, machine, suites
from runner.errors import BuildError, LockstepError, UsageError, listed
from runner.jobs import continuing
from runner.judging import calibration, compare, parallel, statistics
from runner.judging.report import Report
from runner.machine import addresses
from runner.measuring import draws
from runner.measuring.copies import memory, scratch
from runner.measuring.execute import Context, Executor
from runner.measuring.plan import Plan, Standing
from runner.measuring.progress import Progress
from runner.model import Block, Interpreter, Notice, Role
from runner.report import words
from runner.report.notices import sentence
from runner.storage import origin, store
from runner.suites.fingerprint import Watched

FALLBACK = 8 << 30
"""Bytes of memory that a machine is taken to have where that is not known."""


class View(Protocol):
    """What a job tells while it works. `measured` is called between blocks only, never while a slice runs."""

    def phase(self, text: str) -> None: ...

    def say(self, text: str) -> None: ...

    def measured(self, plan: Standing, progress: Progress) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AbRequest:
    """A comparison as the user asked for it."""

    base: str
    head: str
    suite: str | None = None
    pattern: str | None = None
    margin: float = 0.01
    """As a fraction."""
    budget: float | None = None
    """Seconds."""
    scope: str = "auto"
    out: Path | None = None
    seed: int | None = None
    mode: str | None = None
    memory_limit: int | None = None
    """Bytes; None: a third of what the machine, or the control group, has."""
    values: str = "compare"
    """``compare`` or ``ignore`` what calls return in the two arms."""
    repeats: int = 1
    """Blocks of a benchmark that share one layout; scope ``source`` only."""
    blocks: int | None = None
    """Blocks of every benchmark; None: as many as it takes to settle it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that measured processes get beside those of the caller (`config.environment`)."""
    wait: bool = True
    """Wait for another run on this machine to end, or refuse."""
    held: bool = False
    """Whoever started this process holds the machine's lock."""
    verify: bool | None = None
    """Look at the behaviour of builds first, where the suite is the one for io.BytesIO. None: nobody was asked."""
    role: Role | None = None
    """What it is for, where a project is watched."""
    words: tuple[str, ...] = ("ab",)
    """What the command line that repeats the run begins with, before base and head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A run that has ended, by itself or by the user's hand."""

    folder: Path
    report: Report
    interrupted: bool


def ab(request: AbRequest, view: View) -> Finished:
    """Compare two interpreters: build, discover, measure, decide.

    Raises UsageError, BuildError or MachineError; an interruption (KeyboardInterrupt) while measuring ends
    the measuring and is told in what comes back, one before it is passed on.
    """
    machine.supported()  # these two before minutes are spent on building
    suites.open(request.suite)
    if (unwritable := builds.unwritable()) is not None:
        view.say(unwritable)
    with machine.alone(wait=request.wait, told=view.say, held=request.held):
        base, head = arms_of(request, view)
        return compare_arms(request, base, head, view)


def arms_of(request: AbRequest, view: View) -> tuple[Interpreter, Interpreter]:
    """Both interpreters, made if need be, and seen to behave alike where that was asked for. Raises as `ab` does."""
    base, head = builds.resolve_all(
        [request.base, request.head], progress=view.phase, environment=config.environment(request.environment)
    )
    if request.verify:
        _behave_alike(request, base, head, view)
    return base, head


def _behave_alike(request: AbRequest, base: Interpreter, head: Interpreter, view: View) -> None:
    """See for a few seconds that builds of one version behave alike, before io.BytesIO is timed in them.

    Raises UsageError where they do not: what is faster may do less.
    """
    if suites.open(request.suite).place != suites.open(None).place or base.identity == head.identity:
        return
    if (base.implementation, base.version) != (head.implementation, head.version):
        return  # versions differ in behaviour as they should
    from runner.jobs import verify  # which takes hypothesis half a second to import
    from runner.report.verify import told

    difference = verify.alike(base, head, config.environment(request.environment), view)
    if difference is not None:
        raise UsageError(
            f"{base.spec} and {head.spec} do not behave alike, and so are not timed:\n\n{told(difference)}\n\n"
            "`lockstep verify` looks for more; --no-verify times them all the same."
        )


def compare_arms(
    request: AbRequest, base: Interpreter, head: Interpreter, view: View, labels: Mapping[str, str] | None = None
) -> Finished:
    """Compare two interpreters that are there; the caller has the machine for itself (`machine.alone`).

    `labels` goes into the manifest. Raises as `ab` does.
    """
    ready = prepare(request, base, head, view, labels)
    return _measure(store.create(config.runs_folder(request.out), ready.manifest), ready, view)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A comparison that can be measured on this machine."""

    manifest: store.Manifest
    pinning: machine.Pinning
    layouts: builds.Layouts | None
    """What links both arms anew, scope ``source`` only."""
    watched: Watched

    def context(self, place: Path, copies: Path) -> Context:
        """What its blocks are measured with, in a session that begins now; both folders are the session's own."""
        manifest = self.manifest
        return Context(
            base=manifest.base, head=manifest.head, suite=suites.open(manifest.suite),
            environment=continuing.environment(manifest), worker_cpu=self.pinning.worker, other_cpu=self.pinning.other,
            ahead=self.pinning.apart,
            memory_limit=manifest.memory_limit, forced=manifest.settings, scratch=place, layouts=self.layouts,
            copies=manifest.copies, addresses=manifest.addresses, values=manifest.values, memory=copies,
            host=platform.node(), session=secrets.token_hex(3),
        )


def prepare(
    request: AbRequest, base: Interpreter, head: Interpreter, view: View, labels: Mapping[str, str] | None = None
) -> Ready:
    """Find out all that must be known before the first block, and write nothing. Raises as `ab` does."""
    suite = suites.open(request.suite)
    watched = suite.watch()
    view.phase("finding the benchmarks")
    found = suites.discover(suite, base.executable, head.executable, config.environment(request.environment))
    selection = suites.select(*found, request.pattern)
    problems = dict.fromkeys(problem for one in found for problem in one.problems)
    view.phase("looking at the machine")
    pinning = machine.choose(machine.topology(), machine.activity())
    differences = tuple(builds.differences(base, head))
    for difference in differences:
        asked = "" if difference.asked else "warning, not asked for: "
        view.say(f"{asked}they differ in {words.difference(difference, limit=60)}")
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    layouts, of_scope = _layouts(request, base, head, seed, view)
    copied, of_copies = _copied(base, head) if layouts is None else (False, [])
    of_scope += of_copies
    refusal = addresses.refusal()
    of_scope += [] if refusal is None else [Notice(kind="addresses", numbers={"reason": refusal})]
    facts = machine.describe()
    here = config.calibration_folder(None, str(facts["fingerprint"]))
    beside = _beside(here)
    for notice in beside:
        view.say(f"warning: {sentence(notice)}")
    now = time.time()
    id = store.new_id(now)
    manifest = store.Manifest(
        id=id, created=now, command=_command(request, seed), base=base, head=head,
        differences=differences, suite=suite.place, benchmarks=selection.benchmarks,
        missing=tuple(store.Missing(benchmark=b, present=arm) for b, arm in selection.missing),
        scope="binary" if layouts is None else "source", margin=request.margin, budget=request.budget, seed=seed,
        memory_limit=request.memory_limit or (machine.usable_memory() or FALLBACK) // 3,
        settings={} if request.mode is None else {"mode": request.mode},
        worker_cpu=pinning.worker, machine=facts, versions=_versions(suite), calibration=calibration.known(here),
        copies=copied, addresses=refusal is None, labels=labels or {}, role=request.role,
        repeats=request.repeats, blocks=request.blocks, values=request.values, suite_files=watched.files,
        environment=config.marks(id, config.environment()), given=request.environment,
        described=suites.described(*found, selection),
        notices=(*machine.supported(), *pinning.notices, *of_scope, *_notices(base, head), *_ignored(request),
                 *_dropped(request), *calibration.notices(here), *beside,
                 *(Notice(kind="suite-problem", numbers={"text": problem}) for problem in problems)),
    )
    return Ready(manifest=manifest, pinning=pinning, layouts=layouts, watched=watched)


def _beside(folder: Path) -> tuple[Notice, ...]:
    """A warning where more runs measure now than this machine's calibration allows, this one among them."""
    return () if config.cpus() is None else parallel.notices(folder, len(machine.holders()))


def _layouts(
    request: AbRequest, base: Interpreter, head: Interpreter, seed: int, view: View
) -> tuple[builds.Layouts | None, list[Notice]]:
    """What links both arms anew (None: scope ``binary``), and what a report must say about the scope.

    Raises UsageError where what was asked is not possible.
    """
    if request.scope == "binary":
        return None, []
    view.phase("linking both arms anew")
    try:
        layouts = builds.Layouts(base, head)
        layouts.check(draws.layout(seed, 0), draws.layout(seed, 1))
    except BuildError as error:
        if request.scope == "source":
            raise UsageError(f"scope source is not possible: {error}. Use --scope binary, and take its verdicts as "
                             "verdicts about these two files.") from error
        # Nobody expects it of ready-made interpreters; of builds, the reason is worth a line.
        ours = base.build is not None and head.build is not None
        return None, [Notice(kind="scope-binary", numbers={"reason": str(error)})] if ours else []
    return layouts, _of_training(base, head)


def _of_training(base: Interpreter, head: Interpreter) -> list[Notice]:
    trained = any(arm.build and "--enable-optimizations" in arm.build.flags for arm in (base, head))
    return [Notice(kind="one-profile")] if trained else []


def _copied(base: Interpreter, head: Interpreter) -> tuple[bool, list[Notice]]:
    """Whether byte copies of these interpreters can be measured in their stead, and what a report must say of that."""
    shared = []
    try:
        with scratch() as place:
            for name, interpreter in (("base", base), ("head", head)):
                copier = builds.Copier(interpreter)
                copier.copy(place / name)
                shared += [] if copier.shared is None else [str(copier.shared)]
    except UsageError as error:
        return False, [Notice(kind="uncopied", numbers={"reason": str(error)})]
    libraries = ", ".join(dict.fromkeys(shared))
    return True, [Notice(kind="uncopied-library", numbers={"libraries": libraries})] if libraries else []


def resume(folder: Path, view: View, *, wait: bool = True, held: bool = False) -> Finished:
    """Go on with a run that was interrupted, as if it had not been.

    Raises UsageError when an interpreter, the suite or the machine is not the one that was measured before.
    """
    with machine.alone(wait=wait, told=view.say, held=held):
        return go_on(folder, view)


def go_on(folder: Path, view: View) -> Finished:
    """Go on with a run; the caller has the machine for itself (`machine.alone`). Raises as `resume` does."""
    origin.refuse(folder, "Resume it there, and upload it again.")
    manifest = store.read_manifest(folder)
    watched = continuing.check(manifest, view.phase)
    if changed := continuing.changed(manifest):
        view.say(f"warning: the environment is not what it was when the run began: {changed}. What is measured now "
                 "sees it as it is now.")
    pinning = machine.choose(machine.topology(), machine.activity())
    layouts = builds.Layouts(manifest.base, manifest.head) if manifest.scope == "source" else None
    return _measure(folder, Ready(manifest=manifest, pinning=pinning, layouts=layouts, watched=watched), view)


def report_of(folder: Path, *, with_noise: bool = True) -> Report:
    """The report of a run, made from its folder alone; `with_noise` as in `compare.report`."""
    return statistics.report_of(folder, with_noise=with_noise)


def save(finished: Finished) -> Path:
    """Write `report.json` and `report.html` into the run's folder; return the page's path."""
    from runner.report import as_html, as_json  # long to import, and not needed before the last block

    store.write_whole(finished.folder / store.REPORT, as_json.render(finished.report))
    page = finished.folder / "report.html"
    store.write_whole(page, as_html.render(finished.report))
    return page


def _measure(folder: Path, ready: Ready, view: View) -> Finished:
    interrupted, layouts = False, ready.layouts
    with store.appending(folder) as append, machine.quiet(ready.pinning), scratch() as place, memory() as copies:
        plan = _replayed(append.run)
        linked: set[int] = set()
        programs = {path: _state(path) for path in _ready_made(ready.manifest)}

        def record(layout: int) -> None:
            if layouts is not None and layout not in linked:
                store.add_layout(folder, layout, layouts.addresses(layout))
                linked.add(layout)

        def keep(block: Block) -> None:
            # First: a block that may have seen an edit is not one of this run's.
            if edited := ready.watched.edited():
                raise _EditedError(f"the suite was edited while it was measured: {listed(edited)}")
            if changed := [str(path) for path, state in programs.items() if _state(path) != state]:
                raise _EditedError(f"{listed(changed)} was changed while it was measured")
            append(block)

        context = replace(ready.context(place, copies), linked=record)
        plan.begin(context.session, context.host)
        try:
            with Executor(context) as executor:
                _loop(plan, executor, keep, view)
        except KeyboardInterrupt:
            interrupted = True
        except _EditedError as edit:
            interrupted = True
            view.say(f"{edit}. Measuring has ended, and the last block is not kept. Undo the edit to go on, or start a "
                     "new run.")
    run = append.run
    # A run elsewhere (a test's, a calibration's) is none of the machine's usual ones; nor is one beside others.
    if not interrupted and folder.parent == config.runs_folder(None) and config.cpus() is None:
        here = config.calibration_folder(None, str(run.manifest.machine.get("fingerprint")))
        try:
            calibration.add_canary(here, run)
        except (LockstepError, OSError) as problem:  # nothing of the report hangs on it
            view.say(f"the canary's blocks are not added to this machine's record: {problem}")
    return Finished(folder=folder, report=compare.report(run), interrupted=interrupted)


def _ready_made(manifest: store.Manifest) -> list[Path]:
    """The programs that are measured and were not built by Lockstep: whoever works on them may make them anew."""
    arms = [arm for arm in (manifest.base, manifest.head) if arm.build is None]
    named = [path for arm in arms for path in (arm.executable, arm.starts) if path is not None]
    return list(dict.fromkeys(path.resolve() for path in named))


def _state(path: Path) -> tuple[int, ...]:
    try:
        state = path.stat()
    except OSError:  # it is being made anew
        return ()
    return state.st_size, state.st_mtime_ns, state.st_ino


class _EditedError(Exception):
    """What is measured is not what the run began with; in words."""


def _loop(plan: Plan, executor: Executor, append: Callable[[Block], None], view: View) -> None:
    while (spec := plan.next()) is not None:
        block = executor.run(spec, plan.following())
        append(block)
        plan.observe(block)
        view.measured(plan, plan.progress[block.benchmark])


def _replayed(run: store.Run) -> Plan:
    manifest = run.manifest
    plan = Plan(
        manifest.benchmarks, seed=manifest.seed, margin=manifest.margin, budget=manifest.budget,
        repeats=manifest.repeats if manifest.scope == "source" else None, blocks=manifest.blocks,
    )
    try:
        plan.replay(run.blocks)
    except ValueError as error:
        raise not_its_schedule(run.folder, error) from error
    return plan


def not_its_schedule(folder: Path, error: ValueError) -> UsageError:
    """A run whose stored blocks its plan did not ask for cannot be gone on with."""
    return UsageError(f"{folder / store.BLOCKS} does not hold this run's schedule: {error}. "
                      "Was it made by another version, or edited?")


def _notices(base: Interpreter, head: Interpreter) -> tuple[Notice, ...]:
    wrappers = tuple(
        Notice(kind="wrapper", numbers={"arm": arm, "path": str(one.executable), "starts": str(one.starts), "adds": (
            "; ".join(text for name, text in one.facts.items() if name.startswith("wrapper's")) or "nothing")})
        for arm, one in (("base", base), ("head", head)) if one.starts is not None
    )
    notes = dict.fromkeys(note for arm in (base, head) if arm.build is not None for note in arm.build.notes)
    edited = (Notice(kind="edit", numbers={"text": note}) for note in notes)
    if base.executable == head.executable:
        return *wrappers, Notice(kind="same-file"), *edited
    same = base.sha256 == head.sha256 and base.installed == head.installed
    return *wrappers, *((Notice(kind="same-content"),) if same else ()), *edited


def _ignored(request: AbRequest) -> tuple[Notice, ...]:
    return (Notice(kind="values-ignored"),) if request.values == "ignore" else ()


def _dropped(request: AbRequest) -> tuple[Notice, ...]:
    names = config.dropped(request.environment)
    return (Notice(kind="dropped-variables", numbers={"names": ", ".join(names)}),) if names else ()


def _command(request: AbRequest, seed: int) -> str:
    """A command line that repeats the run."""
    options: Mapping[str, object] = {
        "--suite": request.suite, "-b": request.pattern, "--margin": f"{request.margin * 100:g}%",
        "--budget": None if request.budget is None else f"{request.budget:g}s", "--mode": request.mode,
        "--memory-limit": request.memory_limit, "--seed": seed,
        "--values": None if request.values == "compare" else request.values,
        "--scope": None if request.scope == "auto" else request.scope,
    }
    words = ["lockstep", *request.words, request.base, request.head]
    for option, value in options.items():
        if value is not None:
            words += [option, str(value)]
    words += ["--no-verify"] * (request.verify is False)
    for name, value in request.environment.items():
        words += ["--env", f"{name}={value}"]
    return shlex.join(words)


def _versions(suite: suites.Suite) -> Mapping[str, str]:
    names = ("lockstep", "numpy", "scipy", *suite.packages)
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
