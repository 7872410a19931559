"""What runs inside the measured interpreter: loads one benchmark, then runs slices of it when told to.

How a benchmark is loaded, its suite's kind knows: the request names the file that does it (`runner.suites`).

Standard library only, Python 3.8 and later, PyPy too, and as few imports as possible: this file is loaded
by every measured process, tens of times a benchmark. So there is no `json` here unless something failed
(it costs 5 ms), and no `signal` but `_signal`.

The parent writes one request a line to standard input, a Python literal; the reply is one line of JSON on
what was standard output. Both are moved out of the benchmark's way first: it gets an empty standard input,
and what it prints goes where standard error goes.

    {"do": "cache", "file": "…", …}        make what its processes share, in the working directory   → {"value": null}
    {"do": "load", "file": "…", …}         import, set up, call once   → {"value": "…"}
    {"do": "again"}                        call once more             → {"value": "…"}
    {"do": "slice", "calls": n}            time n calls   → {"ns": …, "cpu": …, "children": …, "setup": …, "waits": …,
                                                              "alone": 0 or 1}
    {"do": "turns", "calls": (n, …), "order": "bhhb…", "shift": n, …}   take turns with the other arm   → {"ns": […]}
    {"do": "window", "start": …, "end": …, "calls": n}  call from start to end, in lots of n
                                                               → {"lots": [[start, end, cpu per call], …]}
    {"do": "gil"}                          whether the GIL is on now   → {"value": 0 or 1}
    {"do": "extensions"}                   file names of its library's loaded extension modules → {"names": […]}
    {"do": "value"}                        one tracked value           → {"value": …}
    {"do": "peak"}                         peak memory of one call     → {"value": …}
    {"do": "count", "warmup": n, "calls": [n, …]}   so many calls between marks for callgrind   → {"value": null}
    {"do": "allocated"}                    bytes allocated at the peak of one call   → {"value": …}
    {"do": "end"}                          tear down; whether it has undone anything or will, and whether there is more
                                               to do at the end   → {"undone": …, "more": …}
    {"do": "leave"}                        do that: what `atexit` has, and the shared memory of multiprocessing

It is interrupted by SIGINT while it works, in a set-up by a second one. When the parent is gone it tears down, and
ends itself and its children.

Anything raised is answered with {"error": "ValueError: …", "where": "setup", "traceback": "…"}, or, where the benchmark
says by it that it does not apply, with {"skipped": "what its author says of that"}.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import machinery
from importlib.machinery import SourceFileLoader
from itertools import cycle, repeat
from time import perf_counter_ns, process_time_ns, sleep

TYPE_CHECKING = False  # type checkers take this name for typing's; importing typing costs 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Loaded(Protocol):
        """A benchmark as the `load` of a kind of suite gives it: imported, and not set up yet.

        `load` may also call what its request has as ``stay`` with it, once: that serves it, and returns when it is to
        be torn down, which ends with `load` itself.
        """

        number: int
        """Calls that are timed as one lot; 0: any number of them."""
        renew: Callable[[], None] | None
        """What is due before each lot but the first, outside of its time: tear down, and set up anew. It may switch the
        collection of garbage off until the lot has ended. None: nothing is due."""
        call: Callable[[], Any]
        """One call; what it returns is its value."""
        alone: bool
        """Calls of both arms are not to be made at the same time. It may be seen by and by."""
        uncollected: bool
        """No garbage is collected while its calls are timed."""
        undoes: bool
        """Tearing it down undoes what it, or whoever opened something for it, has done."""

        def setup(self) -> None: ...

        def teardown(self) -> None: ...

        def make_cache(self) -> None:
            """Make what the processes of several benchmarks share, in the working directory; it was not set up."""

        def skips(self, error: BaseException) -> bool:
            """Whether what it has raised says that it does not apply."""

        def slice(self, calls: int) -> int:
            """Wall nanoseconds of so many calls, one after the other."""

        def window(self, start: int, end: int, lot: int, renew: Callable[[], None] | None) -> list[list[float]]:
            """Call from `start` to `end` on perf_counter's clock, in lots: [start, end, CPU time per call], all ns.

            `renew` is called before each lot, outside of it.
            """


HELLO = b'{"hello": "lockstep"}\n'
CLOSED = 70
"""Exit code when the pipe to the parent is gone: the benchmark has closed it."""
SHORT = 200
"""Characters of a returned value that are compared and shown as they are; a longer one by checksum."""
LEAVES = 1000
"""Values inside a returned one that are looked at."""
CHUNK = 1 << 16


def _module(file: str) -> Any:
    """A Python file as a module that nobody else can import; its bytecode is cached."""
    name = "lockstep_" + os.path.basename(file).rpartition(".")[0]
    module = type(sys)(name)
    Loader(name, file).exec_module(module)
    return module


def _alarm(seconds: float | None) -> None:
    # Should the parent be killed, nobody is left to end a hanging benchmark: the kernel does, by SIGALRM.
    try:
        from _signal import alarm  # type: ignore[import-not-found, unused-ignore]

        alarm(0 if seconds is None else int(seconds) + 10)
    except ImportError:
        pass


def describe(value: object) -> str:
    """A short text that is equal in both arms if the values are; for objects, only their type.

    The text of an object may hold its address, which differs without meaning anything. Of what holds many values, the
    first `LEAVES` count, and how many there are: a benchmark is free to return what is dear to look at.
    """
    text = _text(value, 3, [LEAVES])
    return text if len(text) <= SHORT else _cut(text, text[:60])


def _text(value: Any, depth: int, left: list[int]) -> str:
    # The exact type: the text of a subclass is its author's, and differs between versions of Python for enums.
    kind = type(value)
    left[0] -= 1
    if kind in (str, bytes) and len(value) > SHORT:
        return _cut(value, ascii(value[:60])[:61])
    if kind is int and value.bit_length() > 1024:
        # Some versions refuse to write so many decimal digits; the hash of an int is the same in all of them.
        size = value.bit_length()
        return "%s… (%d bits, hash %x)" % (hex(value >> (size - 160)), size, hash(value))
    if value is None or kind in (bool, int, float, complex, str, bytes):
        return ascii(value)  # which characters repr escapes depends on the version's Unicode tables
    if depth == 0 or kind not in (tuple, list, dict, set, frozenset):
        return "<%s>" % kind.__name__
    if kind not in (tuple, list) and len(value) > left[0]:
        return "{… (length %d)}" % len(value)  # which ones are first depends on how it was filled
    inside: list[str] = []
    if kind is dict:
        inside = sorted("%s: %s" % (_text(k, depth - 1, left), _text(v, depth - 1, left)) for k, v in value.items())
    else:
        for inner in value:
            if left[0] <= 0:
                inside.append("… (length %d)" % len(value))
                break
            inside.append(_text(inner, depth - 1, left))
    start, end = "()" if kind is tuple else "[]" if kind is list else "{}"
    return start + ", ".join(inside if kind in (tuple, list, dict) else sorted(inside)) + end


def _cut(value: Any, beginning: str) -> str:
    """What stands for a long str or bytes: its beginning, length and checksum. It is never copied as a whole."""
    from binascii import crc32

    checksum = 0
    for start in range(0, len(value), CHUNK):
        part = value[start : start + CHUNK]
        checksum = crc32(part if type(part) is bytes else part.encode("utf-8", "surrogatepass"), checksum)
    return "%s… (length %d, crc %08x)" % (beginning, len(value), checksum & 0xFFFFFFFF)


class Refused(Exception):
    """What a benchmark returned is not what it is for; says so in words."""


class NotApplicable(Exception):
    """A benchmark returned what says that it does not apply."""


def _number(value: Any) -> int | float:
    """A tracked value as a plain finite number, whatever type of number it is; True is 1.

    Raises Refused, and NotApplicable for NaN: asv stores that for what does not apply.
    """
    kind = type(value)
    number: int | float | None = None
    try:
        if hasattr(kind, "__index__"):
            number = int(value.__index__())
        elif hasattr(kind, "__float__"):
            number = float(value)
        if number is not None and number != number:
            raise NotApplicable("returned nan: not applicable")
        if number is not None and float(number) - float(number) != 0:
            number = None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None:
        raise Refused("returned %s: a tracked value must be a finite number" % describe(value))
    return number


def _peak_memory() -> int:
    """Highest resident size of this process so far, bytes.

    Not `ru_maxrss` where it can be helped: on Linux that survives exec and so starts from the parent's size.
    """
    try:
        with open("/proc/self/status", "rb") as stream:
            for line in stream:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _children() -> float:
    """CPU seconds of the child processes that have ended. Not from `os.times`, which counts in steps of 10 ms."""
    from resource import RUSAGE_CHILDREN, getrusage

    return sum(getrusage(RUSAGE_CHILDREN)[:2])


def _waits() -> int:
    """Times that this process has given up the CPU by itself."""
    from resource import RUSAGE_SELF, getrusage

    return getrusage(RUSAGE_SELF).ru_nvcsw


class Ballast:
    """Moves the places where the next objects are allocated, differently before every slice.

    Where an object lies decides what it collides with in the caches, and an allocator that gets the same
    requests again gives out the same places again: a process would repeat one stroke of luck in all its slices.
    """

    def __init__(self, seed: int) -> None:
        self.state = seed  # of a small generator: importing `random` takes 5 ms
        self.held: list[object] = []

    def shift(self) -> None:
        """Let go of what was held and hold something else: a few small objects of each size, and a larger one."""
        self.held = []
        held: list[object] = []
        state = self.state
        for size in range(14, 480, 16):  # one of each size that Python serves from pools of its own, from 48 bytes up
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            held.extend([bytes(size) for _ in range((state >> 16) & 15)])
        held.extend(range(state, state + (state >> 8 & 15)))  # 32 bytes each
        held.extend([object() for _ in range(state >> 4 & 15)])  # 16 bytes each
        # And one from malloc, too large for a hole: the large objects that follow lie up to a page further on.
        held.append(bytes(66_000 + (state >> 12) % 4096))
        self.state, self.held = state, held


class Server:
    """Answers the parent's requests until the parent closes the pipe."""

    left = False
    """A benchmark was served from inside what loads it, and that is to end now."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.requests = os.fdopen(os.dup(0), "rb", buffering=0)
        self.replies = os.dup(1)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        os.dup2(2, 1)
        self.benchmark: Loaded = None  # type: ignore[assignment]  # until it is loaded
        self.where, self.file = "start", ""
        self.live = False
        """It was set up, and is to be torn down."""
        self.paused = False
        """Garbage is not collected until the call has ended."""
        self.exits = _undoing() or 0
        self.working = self.stopping = False
        """It answers a request; it is to give up as soon as it can."""
        self.ballast = Ballast(int(os.environ.get("PYTHONHASHSEED", "0")))  # the same in both arms

    def serve(self) -> None:
        self.reply(HELLO)
        while True:
            request = self.asked()
            if request is None:
                self.abandoned()
            else:
                self.respond(request, getattr(self, "do_" + request["do"]))

    def asked(self) -> dict[str, Any] | None:
        """The next request; None where the parent is gone."""
        line = self.requests.readline()
        # The literal comes from the parent's own pipe; ast.literal_eval would cost an import.
        request: dict[str, Any] | None = eval(line, {"__builtins__": {}}) if line else None
        return request

    def respond(self, request: dict[str, Any], answering: Callable[[dict[str, Any]], bytes]) -> None:
        _alarm(request["limit"])
        try:
            self.working = True
            if request["do"] not in ("end", "leave"):
                self.give_up_if_due()
            self.stopping = False
            answer = answering(request)
            self.working = False
        except BaseException as error:  # SystemExit and KeyboardInterrupt are a benchmark's doing too
            self.working = False
            answer = self.failure(error)
        if os.getpid() != self.pid:
            answer = b'{"error": "returned in a forked child", "where": "child", "traceback": ""}\n'
        self.resume()
        _alarm(None)  # an idle worker needs none: it ends when the parent's pipe does
        self.reply(answer)
        if os.getpid() != self.pid:
            os._exit(0)

    def stay(self, request: dict[str, Any], benchmark: Loaded) -> None:
        """Serve a benchmark from inside what loads it, whose stack holds what the author has opened for it.

        Answers `request`, which is to load it, and all that follow until the end is asked for.
        """
        self.benchmark = benchmark
        self.respond(request, self.ready)
        while True:
            following = self.asked()
            if following is None or following["do"] == "end":
                break
            self.respond(following, getattr(self, "do_" + following["do"]))
        _alarm(0.0 if following is None else following["limit"])
        self.left, self.working, self.where = True, True, "teardown"

    def reply(self, line: bytes) -> None:
        try:
            while line:
                line = line[os.write(self.replies, line):]
        except BrokenPipeError:
            self.abandoned()
        except OSError:
            os._exit(CLOSED)

    def loaded(self, request: dict[str, Any]) -> Loaded:
        self.where = "import"
        self.file = request["file"]
        benchmark: Loaded = _module(request["file"]).load(request, Loader)
        return benchmark

    def do_load(self, request: dict[str, Any]) -> bytes:
        self.benchmark = self.loaded({**request, "stay": lambda benchmark: self.stay(request, benchmark)})
        return self.do_end({}) if self.left else self.ready(request)

    def ready(self, request: dict[str, Any]) -> bytes:
        """Set up what was loaded, and make the first call."""
        self.where = "setup"
        self.benchmark.setup()
        self.live = True
        self.give_up_if_due()
        if not request["call"]:
            return b'{"value": null}\n'
        self.where = "call"
        return self.told(describe(self.benchmark.call()))

    def do_cache(self, request: dict[str, Any]) -> bytes:
        benchmark = self.loaded(request)
        self.where = "setup_cache"
        benchmark.make_cache()
        return b'{"value": null}\n'

    def renew(self) -> None:
        """Do what is due before the next lot."""
        if self.benchmark.renew is not None:
            self.resume()
            self.paused, self.where = gc.isenabled(), "setup"
            self.benchmark.renew()
            self.give_up_if_due()
        self.where = "call"

    def as_timed(self) -> None:
        """Make the process as it is when a call is timed: what is due is done, no garbage is left of that, and none is
        collected where none would be."""
        self.renew()
        gc.collect()
        if self.benchmark.uncollected and gc.isenabled():
            self.paused = True
            gc.disable()

    def interrupted(self, *_: object) -> None:
        """SIGINT: give up. What a set-up has made half could not be torn down, so that is given up the second time."""
        if self.working and (self.stopping or self.where != "setup"):
            raise KeyboardInterrupt
        self.stopping = True

    def give_up_if_due(self) -> None:
        if self.stopping:
            raise KeyboardInterrupt

    def resume(self) -> None:
        if self.paused:
            self.paused = False
            gc.enable()

    def lots(self, calls: int) -> int:
        """Wall nanoseconds of so many calls, in lots."""
        total, number = 0, self.benchmark.number
        for _ in repeat(None, calls // number):
            self.renew()
            total += self.benchmark.slice(number)
        return total

    def do_again(self, request: dict[str, Any]) -> bytes:
        self.renew()
        return self.told(describe(self.benchmark.call()))

    def told(self, text: str) -> bytes:
        gc.collect()  # what the call has returned is gone, and whatever refers to itself in it
        if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
            return b'{"value": "%s"}\n' % text.encode()
        import json

        return json.dumps({"value": text}).encode() + b"\n"

    def do_slice(self, request: dict[str, Any]) -> bytes:
        """What is done between the lots is told apart: wall nanoseconds, and times that this has waited."""
        apart = self.benchmark.renew is not None
        calls = self.benchmark.number or request["calls"]
        wall = cpu = setup = waits = begun = waited = 0
        children = 0.0
        for _ in repeat(None, request["calls"] // calls):
            if apart:
                begun, waited = perf_counter_ns(), _waits()
                self.renew()
                waits += _waits() - waited
            before, entered = _children(), perf_counter_ns()
            started = process_time_ns()
            took = self.benchmark.slice(calls)
            # What a benchmark times itself may be a part of what it does: as large a part counts of its CPU time.
            cpu += int((process_time_ns() - started) * min(1.0, took / max(1, perf_counter_ns() - entered)))
            children += _children() - before
            wall += took
            if apart:
                setup += perf_counter_ns() - begun - took
        return b'{"ns": %d, "cpu": %d, "children": %.6f, "setup": %d, "waits": %d, "alone": %d}\n' % (
            wall, cpu, children, setup, waits, self.benchmark.alone)

    def do_turns(self, request: dict[str, Any]) -> bytes:
        """Slices in the given order of the arms; the turn goes from hand to hand as a byte in a pipe.

        Not by way of the parent: on its other CPU it would have to be woken for every slice, which took longer
        than a tenth of the slice, and left the measured CPU idle meanwhile. Before every `shift`-th slice, objects
        are moved.
        """
        mine, order, calls = request["arm"], request["order"], cycle(request["calls"])
        incoming, outgoing = request["pipes"]
        times: list[int] = []
        take = self.lots if self.benchmark.number else self.benchmark.slice
        before = mine
        for arm, after in zip(order, order[1:] + mine):  # noqa: B905
            if arm == mine:
                if before != mine and not os.read(incoming, 1):
                    self.abandoned()  # the parent has this end of the pipe too: both it and the other arm are gone
                if len(times) % request["shift"] == 0:
                    self.ballast.shift()
                times.append(take(next(calls)))
                if after != mine:
                    os.write(outgoing, b".")
            before = arm
        return b'{"ns": %s}\n' % repr(times).encode()

    def do_window(self, request: dict[str, Any]) -> bytes:
        renew = self.renew if self.benchmark.renew is not None else None
        lots = self.benchmark.window(request["start"], request["end"], request["calls"], renew)
        return b'{"lots": %s}\n' % repr(lots).encode()

    def do_gil(self, request: dict[str, Any]) -> bytes:
        enabled: Any = getattr(sys, "_is_gil_enabled", lambda: True)
        return b'{"value": %d}\n' % enabled()

    def do_extensions(self, request: dict[str, Any]) -> bytes:
        # Of the library alone: those of installed packages are not made from the builds' source.
        library = [place for place in sys.path if "site-packages" not in place and "dist-packages" not in place]
        files = [getattr(module, "__file__", None) or "" for module in list(sys.modules.values())]
        names = [os.path.basename(file) for file in files if file.endswith(".so") and os.path.dirname(file) in library]
        return b'{"names": [%s]}\n' % ", ".join('"%s"' % name for name in names).encode()

    def do_value(self, request: dict[str, Any]) -> bytes:
        self.where = "call"
        return b'{"value": %s}\n' % repr(_number(self.benchmark.call())).encode()

    def do_peak(self, request: dict[str, Any]) -> bytes:
        self.where = "call"
        self.benchmark.call()
        return b'{"value": %d}\n' % _peak_memory()

    def do_count(self, request: dict[str, Any]) -> bytes:
        """Calls between two calls of getppid, at which callgrind writes what it has counted, and sets out anew.

        No clock here: how many digits a time has would be counted too.
        """
        self.where = "call"
        benchmark = self.benchmark
        _children()  # what it imports is there before anything is counted
        for _ in repeat(None, request["warmup"]):
            benchmark.call()
        for calls in request["calls"]:
            self.as_timed()
            times = repeat(None, calls)
            function, children = benchmark.call, _children()
            os.getppid()
            for _ in times:
                function()
            os.getppid()
            self.refuse_children(children)
        return b'{"value": null}\n'

    def do_allocated(self, request: dict[str, Any]) -> bytes:
        import _tracemalloc  # tracemalloc itself, in Python, allocates too

        self.as_timed()
        function, children = self.benchmark.call, _children()
        _tracemalloc.start(1)
        try:
            function()
            peak = _tracemalloc.get_traced_memory()[1]
        finally:
            _tracemalloc.stop()
        self.refuse_children(children)
        return b'{"value": %d}\n' % peak

    def refuse_children(self, before: float) -> None:
        """Raises Refused where a child has worked since: what this process does says nothing of the benchmark then."""
        if _children() > before:
            raise Refused("it works in processes of its own, which are not counted")

    def do_end(self, request: dict[str, Any]) -> bytes:
        undone = self.live and self.benchmark.undoes
        if self.live:
            self.live = False
            self.where = "teardown"
            self.benchmark.teardown()
        undoing, tracked = _undoing(), _tracker() is not None
        undone = undone or tracked or undoing is None or undoing > self.exits
        return b'{"undone": %d, "more": %d}\n' % (undone, tracked or _exits() != 0)

    def do_leave(self, request: dict[str, Any]) -> bytes:
        self.where = "exit"
        sys.modules["atexit"]._run_exitfuncs()
        tracker = _tracker()
        if tracker is not None:
            # It removes the shared memory that nobody has removed, when it sees that this process is gone.
            os.close(tracker._fd)
            tracker._fd = None
            while not os.waitpid(tracker._pid, os.WNOHANG)[0]:
                sleep(0.005)
        return b'{"value": null}\n'

    def abandoned(self) -> None:
        """The parent is gone: leave nothing behind, and do not take long over it."""
        if os.getpid() == self.pid:
            _alarm(0.0)
            try:
                self.do_end({})
                self.do_leave({})
            except BaseException:
                pass
            if os.getpgrp() == self.pid:
                os.killpg(self.pid, 9)
        os._exit(0)

    def failure(self, error: BaseException) -> bytes:
        import json
        import traceback

        if isinstance(error, Refused):
            return json.dumps({"error": str(error), "where": "value", "traceback": ""}).encode() + b"\n"
        try:
            said = str(error)
        except BaseException:  # the author's own text may fail too
            said = ""
        if isinstance(error, NotApplicable) or (self.benchmark is not None and self.benchmark.skips(error)):
            return json.dumps({"skipped": " ".join(said.split())[:SHORT]}).encode() + b"\n"
        told = traceback.TracebackException(type(error), error, error.__traceback__)
        self.forget(told)
        text = "%s: %s" % (type(error).__name__, said) if said else type(error).__name__
        told_in_full = "".join(told.format())[-4000:]
        return json.dumps({"error": text[:500], "where": self.where, "traceback": told_in_full}).encode() + b"\n"

    def forget(self, told: Any) -> None:
        """Take our own frames out of a traceback and of those before it: they say nothing of the benchmark."""
        ours = [main.__code__.co_filename, self.file, "<string>"]
        told.stack[:] = [
            frame for frame in told.stack
            if frame.filename not in ours and not frame.filename.startswith("<frozen importlib")
        ]
        for before in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
            if before is not None:
                self.forget(before)


def _exits() -> int | None:
    """How many functions are to be called at the end; None where that is not told."""
    exits = sys.modules.get("atexit")
    if exits is None:
        return 0
    count: Callable[[], int] | None = getattr(exits, "_ncallbacks", None)
    return None if count is None else count()


def _undoing() -> int | None:
    """As `_exits`, without that of logging: it flushes and closes, and undoes nothing. Half of all suites import it."""
    exits = _exits()
    return None if exits is None else exits - ("logging" in sys.modules)


def _tracker() -> Any:
    """What multiprocessing keeps of the process that watches over shared memory; None where there is none."""
    module = sys.modules.get("multiprocessing.resource_tracker")
    tracker = getattr(module, "_resource_tracker", None)
    return tracker if getattr(tracker, "_fd", None) is not None else None


class Loader(SourceFileLoader):
    """Keeps the bytecode of what it loads in the arm's own folder, whatever is done with that of other modules."""

    folder = ""

    def get_code(self, fullname: str) -> Any:
        before, sys.pycache_prefix = sys.pycache_prefix, self.folder
        try:
            return super().get_code(fullname)
        finally:
            sys.pycache_prefix = before


def _keep_apart() -> None:
    """Have all imports done by `Loader` but those of the interpreter's own library and packages.

    Their bytecode was made with the interpreter, or by its installer. `sys.pycache_prefix` is for all or nothing, and a
    library is at another path in every layout and copy: each would compile it once more.
    """
    packages = [place for place in sys.path if "site-packages" in place or "dist-packages" in place]
    lib = os.path.dirname(os.__file__)
    # A build that was not installed has a part of its library in a folder beside it.
    made = os.path.join(os.path.dirname(lib), "build")
    library = tuple(os.path.join(place, "") for place in [lib, made, *packages])
    finder = machinery.FileFinder.path_hook(
        (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES), (Loader, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    )

    def hook(path: str) -> Any:
        if os.path.join(path, "").startswith(library):
            raise ImportError(path)  # the next hook's
        return finder(path)

    sys.pycache_prefix = None
    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()


def main() -> None:
    Loader.folder, which = sys.argv[2:]
    del sys.argv[1:]  # a benchmark may parse them
    if which == "own":
        _keep_apart()
    server = Server()
    try:
        import _signal  # type: ignore[import-not-found, unused-ignore]

        _signal.signal(_signal.SIGINT, server.interrupted)
    except ImportError:
        pass
    server.serve()
