"""The nouns that three or more modules share. Everything else lives with the module that makes it.

A ratio is always head ÷ base; inside the program it is the natural log of that ratio. Times are in
seconds, sizes in bytes, except in a `Block`, which keeps what was measured in integer nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Arm(Enum):
    """One side of a comparison. Base always comes first."""

    BASE = "base"
    HEAD = "head"

    # Enum's own is written in Python, and is asked for several times in each of a million blocks.
    __hash__ = object.__hash__

    @property
    def other(self) -> Arm:
        return Arm.HEAD if self is Arm.BASE else Arm.BASE


class Metric(Enum):
    """What a benchmark measures; the value is the prefix that asv gives to its name."""

    TIME = "time"
    PEAK_MEMORY = "peakmem"
    TRACK = "track"


class Mode(Enum):
    """How the two arms of a block share the CPU (docs/method.md section 2)."""

    TURNS = "turns"
    SHARED = "shared"
    ADJACENT = "adjacent"


class BlockKind(Enum):
    """What a block is for."""

    CALIBRATION = "calibration"
    """Chooses the settings of one benchmark's blocks; is not scored."""
    SCORED = "scored"
    """Base against head."""
    CANARY = "canary"
    """Base against a byte copy of base: it tells of the machine, and belongs to no benchmark's comparison."""


class Purpose(Enum):
    """What a run of a watched project is for."""

    ANCHOR = "anchor"
    """The newest commit against the pinned build: a point of the history."""
    PREVIOUS = "previous"
    """The newest commit against the last good one."""
    CONFIRM = "confirm"
    """A nominated change, measured afresh."""
    BRIDGE = "bridge"
    """An old anchor against a new one."""
    BISECT = "bisect"
    BACKFILL = "backfill"
    """An older commit against the pinned build: a point of the history."""


class Verdict(Enum):
    """What a report says of one benchmark."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    UNDECIDED = "undecided"
    FAILED = "failed"
    SKIPPED = "skipped"
    """It says itself, in both arms, that it does not apply."""
    ONLY_IN_BASE = "only in base"
    """Head lacks it, or skips it: there is nothing to compare."""
    ONLY_IN_HEAD = "only in head"

    @staticmethod
    def only_in(arm: Arm) -> Verdict:
        return Verdict.ONLY_IN_BASE if arm is Arm.BASE else Verdict.ONLY_IN_HEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A warning as a value: which one, and its numbers. The words for it are in `report.notices`."""

    kind: str
    """One of the kinds that `report.notices` has a sentence for, such as ``"steal"``."""
    numbers: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """What several benchmarks of a suite share: made once for each arm, before the first of them is measured."""

    key: str
    """Tells caches apart, as asv does: ``module:line`` of the function that makes it."""
    timeout: float
    """Seconds after which making it counts as hanging."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One asv benchmark with one set of parameters: the unit that gets a verdict."""

    name: str
    """Dotted name as asv gives it, without the package: ``construct.FromBytes.time_construct``."""
    params: Mapping[str, str]
    """Each parameter's name and that of its value, in asv's order: ``{"size": "4KiB"}``. By these names a process finds
    the values (`suites.asv_params`): they are the same in all, whatever order the values come in."""
    index: tuple[int, ...]
    """Position of each parameter's value where the benchmark was listed: in another process it may be another."""
    metric: Metric
    unit: str
    """``s`` for time, ``bytes`` for peak memory, what the benchmark says for a tracked value."""
    version: str
    """asv's benchmark version: a hash of the code unless the benchmark states one."""
    timeout: float
    """Seconds after which one call, or setup, counts as hanging."""
    number: int | None = None
    """Calls between two set-ups: 1 for a timed benchmark that has a set-up and does not call it pure; the number that
    one without a set-up states. None: it is set up once per process."""
    form: str = ""
    """What a call is, where name and metric do not say: ``raw``: source text, timed in processes of its own; ``size``:
    the size of what the function returns; ``task``: what a script comes to after whatever it does before. Empty: the
    function."""
    cache: Cache | None = None
    """What its processes start with; None: nothing."""
    attribute: str = ""
    """Where it is in the suite: ``module:Class.time_x``, without the package; empty in runs of older versions."""
    twin: int | None = None
    """Which one it is of several combinations whose parameters read alike: 0, 1, …; None: no other does."""
    contents: tuple[int | None, ...] = ()
    """For each parameter a checksum of what its value holds, where its name is told from another's by number alone and
    the order of the values may be another in every process; empty: no parameter needs it."""

    @property
    def key(self) -> str:
        """The name a person reads and the run uses to tell benchmarks apart: ``name(size=4KiB)``."""
        return key_of(self.name, self.params, self.twin)


def key_of(name: str, params: Mapping[str, str], twin: int | None) -> str:
    """See `Benchmark.key`."""
    inside = ", ".join(f"{parameter}={value}" for parameter, value in params.items())
    return (f"{name}({inside})" if inside else name) + (f" ({twin})" if twin is not None else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """One arm, ready to be run, with what is known of how it was made."""

    spec: str
    """What the user typed: a path, a command, or a build such as ``cpython@3.13.5+nocow``; where a commit of a project
    was installed for a run, ``PROJECT@COMMIT``."""
    executable: Path
    version: str
    """``3.13.5``, with the level where it is not final: ``3.14.0a1+``."""
    implementation: str
    """``cpython``, ``pypy``: ``sys.implementation.name``."""
    sha256: str
    """Of the executable file's bytes, symbolic links followed; of a wrapper, of its hash and that of what it starts."""
    facts: Mapping[str, str]
    """What the interpreter says of itself: compiler, configure arguments, flags and so on."""
    build: Build | None = None
    """How Lockstep made it; None for an interpreter that was there already."""
    packages: Mapping[str, str] | None = None
    """Version and hash of each installed package that it finds, by name: ``{"numpy": "2.1.0 0a1b2c3d"}``. None: not
    known, as in runs of older versions."""
    starts: Path | None = None
    """The interpreter that it starts, where the executable is a wrapper that is run as it is."""
    installed: Installed | None = None
    """The commit of a project that was installed for this run; None where nothing was."""
    modules: Mapping[str, str] | None = None
    """Modules of the standard library that it lacks (``missing``), and the versions of foreign libraries that others
    link, by name: ``{"_ssl": "OpenSSL 3.0.17", "_tkinter": "missing"}``. None: not known."""
    commit: Commit | None = None
    """The commit that it was built from; None where it was built from none. Builds of equal content are one build, so
    that this is the run's, not the build's."""

    @property
    def identity(self) -> str:
        """What it is told by: the commit that was installed; a build's key, since it may be made again; else the
        content of its file."""
        if self.installed is not None:
            return self.installed.commit
        return self.sha256 if self.build is None else self.build.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """A commit of a git repository, for people and for histories."""

    hash: str
    """Full."""
    date: float
    """The committer's, seconds since the epoch. It is shown; nothing is ordered by it."""
    subject: str
    """First line of the message."""
    repository: str
    """Folder or URL, as the user named it."""
    branch: str = ""
    """As the user named it; empty where a commit was named otherwise."""
    position: int | None = None
    """Commits on the line of first parents up to it, itself included: what histories are ordered by. None: not known,
    as in a shallow clone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A commit of a project that asv benchmarks, installed in an environment of asv's."""

    project: str
    """As asv.conf.json calls it, which is also the name of its distribution."""
    commit: str
    """Full hash."""
    name: str
    """What the user called it: ``main~1``."""
    configuration: Path
    """The project's asv.conf.json, absolute."""
    environment: str
    """asv's name of it: ``virtualenv-py3.12-numpy``."""
    python: str
    requirements: Mapping[str, str]
    """Of the environment, as the matrix says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an interpreter of Lockstep's own was made. Two builds with one ``key`` are the same build."""

    key: str
    """Hash of source, edits, flags and toolchain; names the folder in the cache."""
    tree: Path
    """The finished build tree with its object files."""
    source: str
    """For people: ``CPython 3.13.5``, a tarball's or tree's path, ``git REF (commit)``."""
    source_hash: str
    edits: tuple[str, ...]
    """Variants and patches in order, by the names the user gave them."""
    edits_hash: str
    flags: tuple[str, ...]
    """configure arguments, then compiler flags, as they were used."""
    compiler: str
    """First line of the compiler's ``--version``."""
    changed_files: tuple[str, ...] = ()
    """Files that the edits touch, relative to the source's root."""
    notes: tuple[str, ...] = ()
    """How the edits fitted, one sentence each: a hunk that lay elsewhere, files that were generated anew."""
    layout: int | None = None
    """Seed of the one link order that was asked for by name; None: make's own."""
    toolchain: Mapping[str, str] = field(default_factory=dict)
    """What it was made with: target, assembler, linker, C library, headers of optional libraries. Empty: not known, as
    in runs of older versions."""
    pyconfig: str = ""
    """Hash of what configure found, ``pyconfig.h``; empty: not known."""
    libraries: Mapping[str, str] = field(default_factory=dict)
    """Foreign libraries that its extension modules link, by module: ``{"zlib": "libz.so.1"}``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing in which the two interpreters differ."""

    what: str
    """``source``, ``edits``, ``compiler``, or the name of a sysconfig variable."""
    base: str
    head: str
    asked: bool
    """Whether the request implies it. One that was not asked for is a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one benchmark is measured: chosen by its calibration, the same for every block and both arms."""

    mode: Mode
    calls: Mapping[Arm, int]
    """Calls in a slice (`shared`: in a lot that is timed as one). Equal in both arms unless they differ in speed by
    more than four times."""
    cycles: int
    """Cycles in a block (`turns`, `adjacent`); in `shared`, the lots hoped for inside the window."""
    window: float
    """Length of the common stretch in `shared`, seconds; 0 in the other modes."""
    warmup: int
    """Cycles (`shared`: lots) that each arm does before anything is kept, the same for both."""
    stretch: float = 0.0
    """Seconds that all of this will take, set-ups between the calls included; 0: not known, as in older runs."""
    pace: float = 0.0
    """Seconds between two beats of the pacemaker in `shared`; 0: there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpec:
    """What is drawn anew for every block, the same for both arms. One seed determines all of it."""

    benchmark: Benchmark
    kind: BlockKind
    index: int
    """0, 1, 2 … among the benchmark's blocks of one kind."""
    round: int
    """Blocks of one round share byte copies of the arms, where those are run."""
    settings: Settings | None
    """None for the calibration, which finds them."""
    first: Arm
    """Started first."""
    order: str
    """Who goes first in each cycle, ``b`` or ``h``: balanced, in random order; read cyclically."""
    hash_seed: int
    padding: int
    """Bytes, 0-4095."""
    directory: str
    """Name of the working directory, of random length."""
    address: int
    """0-65535: where the arms' memory begins, as far as that can be chosen."""
    layout: int | None = None
    """Seed of the link order, scope ``source`` only; the same for every benchmark's block of one index, and for the
    canary that of the block before it."""
    extensions: tuple[str, ...] = ()
    """Extension modules that are to be linked anew too."""
    next_layout: int | None = None
    """Seed of the link order that comes after `layout`."""


class Cause(Enum):
    """What kind of failure it was, as far as it matters for trying again."""

    KILLED = "killed"
    """By SIGKILL, as by a kernel that has run out of memory."""
    REFUSED = "refused"
    """The system had no room for another process."""
    HUNG = "hung"
    """A time limit passed."""
    SKIPPED = "skipped"
    """No failure: the benchmark says that it does not apply."""
    DISTURBED = "disturbed"
    """The machine stood still for so long that nothing was left to compare."""
    OTHER = "other"
    """It would fail again: it raised, the arms disagree, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a benchmark has no verdict."""

    reason: str
    """In words for the user, starting with what happened: ``raised ValueError: …``. Of what was skipped, what its
    author says of that; may be empty."""
    arm: Arm | None
    """The arm in which it happened; None when it happened in both, or neither is to blame."""
    cause: Cause = Cause.OTHER
    detail: str = ""
    """Traceback or the last lines of the worker's output, cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fresh process of each arm on one CPU, with all the cycles that they did; or one calibration."""

    benchmark: str
    """`Benchmark.key`."""
    kind: BlockKind = BlockKind.SCORED
    index: int
    """0, 1, 2 … among the benchmark's blocks of one kind; one that was tried again has the index of the first try."""
    settings: Settings
    started: float
    """Seconds since the epoch."""
    seconds: float
    """Machine time that the block cost, processes' start included."""
    base: tuple[int | float, ...]
    """Measured order. `turns`, `adjacent`: nanoseconds per slice. `shared`: CPU nanoseconds per call, of each
    counted lot.
    Memory and tracked values: the one value."""
    head: tuple[int | float, ...]
    first: Arm
    """The arm that was started first."""
    order: str = ""
    """A letter a cycle: ``b`` where base went first, ``h`` where head did; empty in `shared`."""
    readings: Mapping[str, float] = field(default_factory=dict)
    """The machine meanwhile: ``steal`` (share of the CPU's time), ``load``, ``switches_base`` and so on.
    ``start``: seconds from the workers' start until both had loaded and called the benchmark once; ``cache``: seconds
    before that in which its cache was made, 0 where it was there."""
    failure: Failure | None = None
    layout: int | None = None
    """Seed of the link order of both arms; None in scope ``binary``."""
    host: str = ""
    """Name of the machine; empty in runs of before version 3."""
    cpu: int | None = None
    """The workers' CPU; None where they were not pinned, and in runs of before version 3."""
    session: str = ""
    """Which process measured it: a run that was resumed has several. Empty in runs of before version 3."""
    extensions: tuple[str, ...] = ()
    """Calibrations in scope ``source`` only: file names of the library's extension modules that it has loaded."""
    uncovered: tuple[str, ...] = ()
    """Those of them that cannot be linked anew."""
    unsteady: str = ""
    """``calls`` or ``processes``, where returned values were seen to differ between those of one arm; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What a run is for, where a project is watched."""

    watch: str
    """Name of what is watched: a repository's branch."""
    configuration: str
    """Build options as in a spec, without the question mark: ``pgo&lto``; empty for none."""
    purpose: Purpose
    night: str = ""
    """Id of the night; empty where it belongs to none."""
