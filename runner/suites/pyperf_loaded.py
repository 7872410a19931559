"""What loads one benchmark of a pyperf script inside the measured interpreter, and how such a script is run.

The script runs as it would in a worker of pyperf's, and makes its own tasks; in the place of the one method of pyperf's
that measures a task stands what serves it. Standard library and pyperf only, Python 3.8 and later, PyPy too, and as few
imports as possible: see `runner.measuring.worker`, which loads this file by its path.
"""

from __future__ import annotations

import builtins
import errno
import os
import sys
from _imp import source_hash
from importlib.machinery import EXTENSION_SUFFIXES
from time import perf_counter_ns, process_time_ns, sleep

TYPE_CHECKING = False  # type checkers take this name for typing's; importing typing costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

AS_WORKER = ("--worker", "--loops=1", "--warmups=0")
"""The options by which a script runs as a worker: of pyperf's own, which it always passes before the script's."""
DECIDED: dict[str, Any] = {
    "worker": True, "worker_task": None, "loops": 1, "warmups": 0, "values": 1, "calibrate_loops": False,
    "recalibrate_loops": False, "calibrate_warmups": False, "recalibrate_warmups": False, "output": None,
    "append": None, "compare_to": None, "pipe": None,
}
"""What options of pyperf's own come to, whatever the script's say of it: Lockstep measures, and writes no file."""
FAILED = ".failed"
"""What follows the kind of interpreter in the name of the file that says why a set of packages is not installed."""
REFUSED = ("tracemalloc", "track_memory", "profile", "hook")
"""Options of pyperf's that would have something else measured than time, or with something between."""
UNINSTALLED = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1"}
"""A script may have pip install what it misses, which pyperformance does in an environment of its own. Here it would be
the interpreter that is measured."""
BOUND = 20.0
"""Seconds to wait for a port that the other arm has while it loads."""
APART, LEAST_APART = 0.05, 5e4
"""What a timing does outside of its time is a set-up where it takes more than this part of it, and nanoseconds."""


def load(request: dict[str, Any], loader: Any) -> Task:
    """Run a script up to the benchmark that is wanted, serve that from there, and let the script end.

    ``script``, the file, with its ``options``; ``name``, as `escaped` gives it; ``library``, the folder that has
    pyperf; ``path``: folders with packages, see `add`; ``trial``: nothing of this process is kept. `loader` is the
    class that loads a source file by its path.

    Raises LookupError where the script does not come to the benchmark, what the script raises, and as `add`.
    """
    prepare(request["library"])
    add(request["path"])
    found: list[Task] = []

    def serve(runner: Any, task: Any) -> None:
        check(runner.args)
        if not found and escaped(task.name) == request["name"]:
            found.append(Task(task, undoes=is_inside(sys._getframe(1))))
            if request["trial"]:
                found[0].watch()
            request["stay"](found[0])
            raise SystemExit(0)  # what the script would do next is for other benchmarks

    try:
        run(request["script"], request["options"], serve, loader)
    except SystemExit:
        if not found:
            raise
    if not found:
        raise LookupError("the script did not come to this benchmark in this process")
    return found[0]


class Task:
    """A `worker.Loaded`: a task of pyperf's. A call is one of its inner loops, so that a time is what pyperf says."""

    number = 0
    uncollected = False

    def __init__(self, task: Any, *, undoes: bool = True) -> None:
        """`undoes`: see `is_inside`."""
        self.task, self.undoes = task, undoes
        self.inner: int = task.inner_loops or 1
        self.timed = unit_of(task) == "second"
        self.calls, self.seen = 0, False
        self.alone = False
        # With one, what a timing does outside of its time is told apart.
        self.renew: Callable[[], None] | None = self._again if self.timed and self.inner > 1 else None

    def setup(self) -> None:
        pass

    def teardown(self) -> None:
        pass

    def make_cache(self) -> None:
        raise NotImplementedError("a pyperf script has no cache")

    def skips(self, error: BaseException) -> bool:
        return False

    def _again(self) -> None:
        self.calls = 0

    def call(self) -> float | None:
        """The value of a task that does not time. Of one that does, the first of so many calls as it has inner loops
        does them all, and returns nothing."""
        if not self.timed:
            value: float = self.task.task_func(self.task, 1)
            return value / self.inner if self.inner > 1 else value
        if self.calls % self.inner == 0:
            if self.seen:
                self._timed(1)
            else:
                self._first()
        self.calls += 1
        return None

    def _first(self) -> None:
        """One loop; both arms make their first one at the same time."""
        until = perf_counter_ns() + BOUND * 1e9
        while not self.seen:
            try:
                begun = perf_counter_ns()
                took = self._timed(1)
                self.seen = True
            except OSError as error:
                if error.errno != errno.EADDRINUSE or perf_counter_ns() > until:
                    raise
                sleep(0.05)
        outside = perf_counter_ns() - begun - took
        if outside > max(APART * took, LEAST_APART):
            self.renew = self._again

    def watch(self) -> None:
        """See from now on whether it takes a port of a number of its own, for which the other arm's would have to wait.

        Not where times are kept: it costs a moment each time that the interpreter tells of something, to the end.
        """
        def hear(event: str, args: tuple[Any, ...]) -> None:
            if event == "socket.bind" and isinstance(args[1], tuple) and args[1][1:2] != (0,):
                self.alone = True

        sys.addaudithook(hear)

    def _timed(self, loops: int) -> float:
        """Nanoseconds, above 0, that the task says of so many loops. Raises ValueError for what is none."""
        seconds = float(self.task.task_func(self.task, loops))
        if not 0 < seconds < float("inf"):
            raise ValueError("it returned %r, and not seconds above 0" % seconds)
        return seconds * 1e9

    def slice(self, calls: int) -> int:
        """Wall nanoseconds of so many calls, as the task tells them: a whole number of its loops, one at least."""
        loops = max(1, calls // self.inner)
        return max(1, round(self._timed(loops) * calls / (loops * self.inner)))

    def window(self, start: int, end: int, lot: int, renew: Callable[[], None] | None) -> list[list[float]]:
        """See `worker.Loaded`. Of a lot's CPU time, as large a part counts as of its wall time: what the task times."""
        sleep(max(0, start - perf_counter_ns()) / 1e9)
        lots: list[list[float]] = []
        loops = max(1, lot // self.inner)
        now = perf_counter_ns()
        while now < end:
            if renew is not None:
                renew()
            begun, cpu = perf_counter_ns(), process_time_ns()
            took = self._timed(loops)
            cpu = process_time_ns() - cpu
            now = perf_counter_ns()
            lots.append([begun, now, cpu * min(1.0, took / (now - begun)) / (loops * self.inner)])
        return lots


def is_inside(frame: Any) -> bool:
    """Whether a frame of the script, from this one outwards, is inside a `with` or a `try`, or may be.

    What it has opened there, such as a folder, it closes when it goes on.
    """
    library = os.path.dirname(sys.modules["pyperf._runner"].__file__ or "")
    while frame is not None and frame.f_code is not run.__code__:
        if os.path.dirname(frame.f_code.co_filename) != library and _is_guarded(frame.f_code, frame.f_lasti):
            return True
        frame = frame.f_back
    return frame is None  # in another thread


def _is_guarded(code: Any, at: int) -> bool:
    """Whether the instruction `at` so many bytes is inside a `with` or a `try`; before CPython 3.11, whether any is."""
    if not hasattr(code, "co_exceptiontable"):
        from opcode import opname

        names = {opname[operation] for operation in code.co_code[::2]}
        return any(name.startswith("SETUP_") for name in names - {"SETUP_ANNOTATIONS"})
    # Four numbers for each stretch, in units of two bytes: start, length, and what is done; six bits a byte, and one
    # that says that more follow (CPython's InternalDocs/exception_handling.md).
    numbers, number = [], 0
    for byte in code.co_exceptiontable:
        number = number << 6 | byte & 63
        if not byte & 64:
            numbers.append(number)
            number = 0
    return any(start <= at // 2 < start + length for start, length in zip(numbers[::4], numbers[1::4]))  # noqa: B905


def unit_of(task: Any) -> str:
    """``second``, ``byte`` or ``integer``."""
    return str(task.metadata.get("unit") or "second")


def escaped(name: str) -> str:
    """A benchmark's name in characters that every pipe and file takes."""
    return name.encode("unicode_escape").decode()


def check(args: Any) -> None:
    """Raises ValueError for options of pyperf's that Lockstep cannot do as they say."""
    for name in REFUSED:
        if getattr(args, name, None):
            option = "--" + name.replace("_", "-")
            raise ValueError("pyperf's option %s is not for Lockstep, which measures time" % option)


def prepare(library: str) -> None:
    """Import pyperf from the folder `library`, whatever else is installed."""
    sys.path.insert(0, library)
    try:
        _spare()
    finally:
        del sys.path[0]
    sys.path.append(library)


def add(folders: list[str]) -> None:
    """Add the packages that a script needs to `sys.path`: in each folder they are in one for each kind of interpreter.

    They come before what the interpreter has installed, which may be other versions, and behind its own library.

    Raises RuntimeError with what the installer said, where they could not be installed for this kind.
    """
    for folder in folders:
        place = os.path.join(folder, kind())
        if not os.path.isdir(place) and os.path.exists(place + FAILED):
            with open(place + FAILED, encoding="utf-8") as stream:
                raise RuntimeError(stream.read())
        installed = (at for at, entry in enumerate(sys.path) if "site-packages" in entry or "dist-packages" in entry)
        sys.path.insert(next(installed, len(sys.path)), place)


def kind() -> str:
    """What interpreters have in common that can load the same packages: ``cpython-313-x86_64-linux-gnu-0a1b2c3d``.

    The first part is the same from the first alpha of a version on, and in builds whose objects are laid out otherwise.
    So a hash follows of the sizes of built-in types, and of the version where it is not final.
    """
    others: list[object] = [kind, kind.__code__, sys, (number for number in range(0))]
    known: list[type[Any]] = [value for _, value in sorted(vars(builtins).items()) if isinstance(value, type)]
    known += map(type, others)
    sizes = [(one.__name__, getattr(one, "__basicsize__", 0), getattr(one, "__itemsize__", 0)) for one in known]
    level = 0 if sys.version_info.releaselevel == "final" else sys.hexversion
    hashed = source_hash(0, repr((level, sizes)).encode())
    return "%s-%s" % (EXTENSION_SUFFIXES[0].rpartition(".")[0].lstrip("."), hashed.hex()[:8])


def run(script: str, options: list[str], serve: Callable[[Any, Any], None], loader: Any) -> None:
    """Run a script as `python script` does, as a worker; `serve` gets pyperf's runner and task, for each benchmark.

    Raises what the script raises.
    """
    runner: Any = sys.modules["pyperf._runner"]
    os.environ.update(UNINSTALLED)
    runner.get_hook_names = tuple  # it would look through all that is installed
    runner.Runner._worker = serve
    process = runner.Runner._process_args

    def decided(self: Any) -> None:
        vars(self.args).update(DECIDED)
        process(self)

    runner.Runner._process_args = decided
    sys.argv[:] = [script, *AS_WORKER, *options]
    sys.path.insert(0, os.path.dirname(script))
    main: Any = type(sys)("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    exec(loader("__main__", script).get_code("__main__"), vars(main))


def _spare() -> None:
    """Import pyperf without most of what it imports for what is never done in a worker."""
    asked: dict[str, dict[str, Any]] = {
        "importlib.metadata": {}, "platform": {"machine": lambda: ""}, "shutil": {"which": _which}, "statistics": {},
        "subprocess": {}, "sysconfig": {"get_config_var": lambda name: 1}, "tempfile": {}, "uuid": {},
    }
    spared = {name: _Later(name, values) for name, values in asked.items() if name not in sys.modules}
    sys.modules.update(spared)
    try:
        __import__("pyperf")
    except Exception:  # another version, which needs more of them
        for name in [name for name in sys.modules if name.partition(".")[0] == "pyperf"]:
            del sys.modules[name]
    finally:
        for name in spared:
            del sys.modules[name]
        _Later.imports = True
    __import__("pyperf")


class _Later(type(sys)):  # type: ignore[misc]
    """Stands for a module, which is imported when something of it is used."""

    imports = False

    def __init__(self, name: str, values: dict[str, Any]) -> None:
        super().__init__(name)
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        if not _Later.imports:
            raise AttributeError(name)
        return getattr(__import__(vars(self)["__name__"], fromlist=["_"]), name)


def _which(*args: Any) -> Any:
    return __import__("shutil").which(*args)
