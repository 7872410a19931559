"""Random sequences of operations on io.BytesIO, drawn by hypothesis, until two interpreters answer differently."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from hypothesis import HealthCheck, Verbosity, configuration, errors, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, precondition, rule, run_state_machine_as_test

from runner import config
from runner.verifying.pair import Answer, Pair, Point, first_difference

CLASSES = """\
class Stream(io.BytesIO):
    pass


class Data(bytes):
    pass
"""
STEPS = 24
"""Rules that are taken in one sequence."""
ROUND = 400
"""Sequences under one seed: hypothesis remembers those of a round."""
REPEATS = 3

LITERALS = (
    "b''", "b'a'", "b'ab'", r"b'\n'", r"b'one\ntwo\n'", "b'0123456789'", r"b'ab\n' * 40", "bytes(range(48, 58))",
    "bytes(5000)",
)
"""Both what the code holds too, and what nothing else does; nothing, one byte (CPython has one object of each), and
sizes on both sides of where a buffer is allocated anew."""
PLACES = (0, 1, 2, 5, 9, 40, 130, 4990, -1)
READS = (
    "getvalue()", "read()", "read(1)", "read(5)", "read(10)", "read(None)", "read1()", "read1(2)", "readline()",
    "readline(2)", "__next__()",
)
LISTS = ("readlines()", "readlines(3)", "__getstate__()")
ASKED = (
    "closed", "readable()", "writable()", "seekable()", "isatty()", "flush()", "tell()", "detach()", "fileno()",
    "__enter__()", "__dict__",
)
WRONG = (
    "write('a')", "write(3)", "writelines(3)", "writelines([b'a', 'b', b'c'])", "read('a')", "readline('a')",
    "readlines('a')", "seek('a')", "seek(0, 9)", "seek(-1)", "truncate(-1)", "truncate('a')", "readinto(b'abc')",
    "__setstate__(3)", "__setstate__((b'abc',))", "__setstate__((b'abc', -1, None))",
    "__setstate__((b'abc', 'a', None))",
    "__setstate__((b'abc', 1, 3))", "__setstate__(('abc', 1, None))", "__init__('a')", "__init__(3)",
)
CHANGES = {
    "bytes": ("{0}[:2]", "{0}[0] = 33"),
    "bytearray": ("{0}[0] = 33", "{0}.append(33)", "{0}.clear()", "{0}[1:2] = b'xyz'"),
    "memoryview": ("{0}[0] = 33", "{0}.release()"),
    "mmap": ("{0}[0] = 33", "{0}.close()"),
    "mapped file": ("os.pwrite({0}_file.fileno(), b'!', 0)", "{0}.close()"),
    "array": ("{0}[0] = 33", "{0}.append(33)", "{0}.pop()"),
    "numpy": ("{0}[0] = 33",),
    "view": ("{0}[0] = 33", "{0}[-1] = 10", "{0}.release()", "bytes({0})"),
}
"""For each kind of source, what changes it between operations, or takes its memory away."""
KINDS = tuple(CHANGES)
"""``mapped file``: an mmap through which nothing can be written, and others can; ``view``: of a stream's buffer."""
NEEDED = {"mmap": "mmap", "mapped file": "mmap", "array": "array", "numpy": "numpy"}
"""Modules."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One line of a sequence."""

    text: str
    kind: str = ""
    """Of the source that it makes; empty: it makes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A sequence to which the interpreters answer differently, as short as it could be made."""

    statements: tuple[Statement, ...]
    point: Point
    raising: frozenset[int]
    """Numbers of the statements that raise, in base."""
    after: float
    """Seconds of searching until the first of its kind was seen."""
    steady: bool
    """It differs each time that it is run."""

    @property
    def kinds(self) -> frozenset[str]:
        """Of the sources that it uses; bytes, which need nothing to be told, are not among them."""
        return frozenset(statement.kind for statement in self.statements) - {"", "bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What a search has come to."""

    found: tuple[Found, ...]
    """At most one for each kind of source."""
    sequences: int
    statements: int
    """In all sequences together."""
    seconds: float
    """Of searching, without what it took to make sequences short."""
    kinds: tuple[str, ...]
    """Of sources that both interpreters have."""
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a stream can be made from, by the name that it has in its sequence."""

    name: str
    kind: str


class Sequences(RuleBasedStateMachine):
    """Draws one sequence, rule by rule, and has it tried at the end."""

    sources: Bundle[Source] = Bundle("sources")
    streams: Bundle[str] = Bundle("streams")

    def __init__(self, kinds: frozenset[str], tried: Callable[[tuple[Statement, ...]], None]) -> None:
        super().__init__()
        self.kinds, self._tried = kinds, tried
        self._statements: list[Statement] = []
        self._count: Counter[str] = Counter()

    def teardown(self) -> None:
        if self._statements:
            self._tried(tuple(self._statements))

    def _say(self, text: str, kind: str = "") -> None:
        self._statements.append(Statement(text=text, kind=kind))

    def _make(self, stem: str, expression: str, kind: str = "") -> str:
        self._count[stem] += 1
        name = f"{stem}{self._count[stem]}"
        self._say(f"{name} = {expression}", kind)
        return name

    def _source(self, kind: str, expression: str) -> Source:
        return Source(name=self._make("source", expression, kind), kind=kind)

    # Sources.

    @rule(target=sources, literal=st.sampled_from(LITERALS), form=st.sampled_from(("{}", "Data({})")))
    def make_bytes(self, literal: str, form: str) -> Source:
        return self._source("bytes", form.format(literal))

    @precondition(lambda self: "bytearray" in self.kinds)
    @rule(target=sources, literal=st.sampled_from(LITERALS))
    def make_bytearray(self, literal: str) -> Source:
        return self._source("bytearray", f"bytearray({literal})")

    @precondition(lambda self: "memoryview" in self.kinds)
    @rule(target=sources, source=sources, form=st.sampled_from(("memoryview({})", "memoryview({})[1:]")))
    def make_memoryview(self, source: Source, form: str) -> Source:
        return self._source("memoryview", form.format(source.name))

    @precondition(lambda self: "mmap" in self.kinds)
    @rule(target=sources)
    def make_mmap(self) -> Source:
        return self._source("mmap", "mmap.mmap(-1, 10)")

    @precondition(lambda self: "mapped file" in self.kinds)
    @rule(target=sources)
    def make_mapped_file(self) -> Source:
        file = f"source{self._count['source'] + 1}_file"
        self._say(f"{file} = tempfile.TemporaryFile()")
        self._say(rf"os.write({file}.fileno(), b'one\ntwo\nend')")
        return self._source("mapped file", f"mmap.mmap({file}.fileno(), 0, access=mmap.ACCESS_READ)")

    @precondition(lambda self: "array" in self.kinds)
    @rule(target=sources, code=st.sampled_from("BH"))
    def make_array(self, code: str) -> Source:
        return self._source("array", f"array.array('{code}', [97, 10, 98])")

    @precondition(lambda self: "numpy" in self.kinds)
    @rule(target=sources, code=st.sampled_from("BH"))
    def make_numpy(self, code: str) -> Source:
        return self._source("numpy", f"numpy.array([97, 10, 98], dtype='{code}')")

    @precondition(lambda self: "view" in self.kinds)
    @rule(target=sources, stream=streams)
    def get_buffer(self, stream: str) -> Source:
        return Source(name=self._make("view", f"{stream}.getbuffer()", "view"), kind="view")

    @rule(source=sources, number=st.integers(0, 3))
    def change(self, source: Source, number: int) -> None:
        ways = CHANGES[source.kind]
        self._say(ways[number % len(ways)].format(source.name))

    @rule(source=consumes(sources))
    def forget_source(self, source: Source) -> None:
        self._say(f"del {source.name}")

    # Streams.

    @rule(target=streams, source=sources, form=st.sampled_from((
        "io.BytesIO({})", "Stream({})", "io.BytesIO(initial_bytes={})",
    )))
    def make_stream(self, source: Source, form: str) -> str:
        return self._make("stream", form.format(source.name))

    @rule(target=streams, literal=st.sampled_from(("", *LITERALS)))
    def make_stream_alone(self, literal: str) -> str:
        return self._make("stream", f"io.BytesIO({literal})")

    @rule(target=streams, stream=streams, form=st.sampled_from((
        "copy.copy({})", "copy.deepcopy({})", "pickle.loads(pickle.dumps({}))", "pickle.loads(pickle.dumps({}, 2))",
    )))
    def copy_stream(self, stream: str, form: str) -> str:
        return self._make("stream", form.format(stream))

    @rule(stream=streams, source=sources)
    def make_anew(self, stream: str, source: Source) -> None:
        self._say(f"{stream}.__init__({source.name})")

    @rule(stream=streams)
    def close(self, stream: str) -> None:
        self._say(f"{stream}.close()")

    @rule(stream=consumes(streams))
    def forget_stream(self, stream: str) -> None:
        self._say(f"del {stream}")

    # What is read. Kept or not: a stream may hand out what it goes on using.

    @rule(target=sources, stream=streams, call=st.sampled_from(READS))
    def keep(self, stream: str, call: str) -> Source:
        return Source(name=self._make("value", f"{stream}.{call}", "bytes"), kind="bytes")

    @rule(stream=streams, call=st.sampled_from(READS))
    def read(self, stream: str, call: str) -> None:
        self._say(f"{stream}.{call}")

    @rule(stream=streams, call=st.sampled_from((*LISTS, "list")))
    def read_many(self, stream: str, call: str) -> None:
        self._say(f"list({stream})" if call == "list" else f"{stream}.{call}")

    @rule(stream=streams, source=sources)
    def read_into(self, stream: str, source: Source) -> None:
        self._say(f"{stream}.readinto({source.name})")

    # What changes the stream.

    @rule(stream=streams, literal=st.sampled_from(LITERALS))
    def write(self, stream: str, literal: str) -> None:
        self._say(f"{stream}.write({literal})")

    @rule(stream=streams, source=sources)
    def write_source(self, stream: str, source: Source) -> None:
        self._say(f"{stream}.write({source.name})")

    @rule(stream=streams, source=sources, literal=st.sampled_from(LITERALS))
    def write_lines(self, stream: str, source: Source, literal: str) -> None:
        self._say(f"{stream}.writelines([{literal}, {source.name}])")

    @rule(stream=streams, at=st.sampled_from(PLACES), whence=st.sampled_from((0, 0, 1, 2)))
    def seek(self, stream: str, at: int, whence: int) -> None:
        self._say(f"{stream}.seek({at}, {whence})" if whence else f"{stream}.seek({at})")

    @rule(stream=streams, size=st.sampled_from(("", *map(str, PLACES))))
    def truncate(self, stream: str, size: str) -> None:
        self._say(f"{stream}.truncate({size})")

    @rule(stream=streams, literal=st.sampled_from(LITERALS), at=st.sampled_from(PLACES[:-1]))
    def set_state(self, stream: str, literal: str, at: int) -> None:
        self._say(f"{stream}.__setstate__(({literal}, {at}, None))")

    @rule(stream=streams, other=streams)
    def take_state(self, stream: str, other: str) -> None:
        self._say(f"{stream}.__setstate__({other}.__getstate__())")

    @rule(stream=streams)
    def set_attribute(self, stream: str) -> None:
        self._say(f"{stream}.tag = 1")

    # What changes nothing, and errors.

    @rule(stream=streams, call=st.sampled_from(ASKED))
    def ask(self, stream: str, call: str) -> None:
        self._say(f"{stream}.{call}")

    @rule(stream=streams, call=st.sampled_from(WRONG))
    def go_wrong(self, stream: str, call: str) -> None:
        self._say(f"{stream}.{call}")

    @rule(stream=streams)
    def go_far(self, stream: str) -> None:
        # And back at once: with memory that there is not, it is no fault to behave differently.
        self._say(f"{stream}.seek(2**63 - 1)")
        self._say(f"{stream}.seek(1, 1)")
        self._say(f"{stream}.write(b'a')")
        self._say(f"{stream}.seek(0)")


class _Different(Exception):
    """The interpreters answer a sequence differently: what hypothesis is to make short."""


class _Enough(BaseException):
    """The time is over. Not an Exception, which hypothesis would take for a finding."""


def search(
    pair: Pair, *, seconds: float, seed: int, shrinking: float = 20.0, kinds: Iterable[str] = KINDS,
    most: int | None = None, tell: Callable[[str], None] = lambda _: None,
) -> Searched:
    """Look for differences for a time, and make what is found short within `shrinking` seconds each.

    After a difference the search goes on without the kinds of sources that it uses, so that one is found for each kind;
    it ends with one that uses bytes alone, and after `most`. `kinds` limits what it begins with; `tell` gets the state
    in words, a few times a second. Raises MachineError where an interpreter cannot answer any more.
    """
    there = tuple(k for k in KINDS if k in set(kinds) and NEEDED.get(k, "io") in pair.modules)
    left, found, trial = frozenset(there), list[Found](), _Trial(pair, tell)
    while trial.searched < seconds:
        one = trial.search(left, seconds - trial.searched, shrinking, seed + len(found))
        if one is None:
            break
        found.append(one)
        if not one.kinds & left or len(found) == most:
            break
        left -= one.kinds
    return Searched(found=tuple(found), sequences=trial.sequences, statements=trial.statements,
                    seconds=trial.searched, kinds=there, seed=seed)


class _Trial:
    """Tries sequences, and keeps the shortest that differs."""

    def __init__(self, pair: Pair, tell: Callable[[str], None]) -> None:
        self._pair, self._tell = pair, tell
        self.sequences = self.statements = 0
        self.searched = 0.0
        self._best: Found | None = None
        self._began = self._end = self._told = 0.0
        self._shrinking = 0.0

    def search(self, kinds: frozenset[str], seconds: float, shrinking: float, seed: int) -> Found | None:
        """The next difference, made short; None: the time is over."""
        self._best, self._shrinking = None, shrinking
        self._began = time.monotonic()
        self._end = self._began + seconds
        number = 0
        # It keeps the constants of our modules, which take it a second to find, and would do so where the user is.
        configuration.set_hypothesis_home_dir(config.caches()[-1] / "hypothesis")
        try:
            with contextlib.suppress(_Enough):
                while self._best is None:
                    self._round(kinds, f"{seed}.{number}")
                    number += 1
        finally:
            configuration.set_hypothesis_home_dir(None)
        if self._best is None:
            self.searched += time.monotonic() - self._began
            return None
        self.searched += self._best.after
        after = self.searched
        short = self._without_the_rest(self._best)
        return replace(short, after=after, steady=all(self._differs(short.statements) for _ in range(REPEATS)))

    def _round(self, kinds: frozenset[str], seed: str) -> None:
        def sequence() -> Sequences:
            return Sequences(kinds, self._try)

        how = settings(
            max_examples=ROUND, stateful_step_count=STEPS, deadline=None, database=None, derandomize=False,
            print_blob=False, report_multiple_bugs=False, verbosity=Verbosity.quiet,
            suppress_health_check=list(HealthCheck),
        )
        # Flaky: where memory was freed, what is found there may be another thing each time.
        with contextlib.suppress(_Different, errors.Flaky):
            run_state_machine_as_test(seeded(seed)(sequence), settings=how)  # type: ignore[arg-type]

    def _try(self, statements: tuple[Statement, ...]) -> None:
        now = time.monotonic()
        if now > self._end:
            raise _Enough
        if now - self._told > 0.3:
            self._told = now
            what = "looking for differences" if self._best is None else "making what was found short"
            self._tell(f"{what}: {self.sequences} sequences")
        one = self._differs(statements)
        if one is None:
            return
        if self._best is None:
            self._end = now + self._shrinking
            one = replace(one, after=now - self._began)
        else:
            one = replace(one, after=self._best.after)
        if self._best is None or _length(one) < _length(self._best):
            self._best = one
        raise _Different

    def _differs(self, statements: tuple[Statement, ...]) -> Found | None:
        self.sequences += 1
        self.statements += len(statements)
        answers = self._pair.answers([statement.text for statement in statements])
        point = first_difference(*answers)
        if point is None:
            return None
        if isinstance(point.place, int):
            statements = statements[:point.place + 1]
        return Found(statements=statements, point=point, raising=_raising(answers[0]), after=0.0, steady=False)

    def _without_the_rest(self, found: Found) -> Found:
        """Without each statement that it does not need."""
        for number in reversed(range(len(found.statements))):
            if number < len(found.statements):
                shorter = (*found.statements[:number], *found.statements[number + 1:])
                found = self._differs(shorter) or found
        return found


def _length(found: Found) -> tuple[int, int]:
    return len(found.statements), sum(len(statement.text) for statement in found.statements)


def _raising(answer: Answer) -> frozenset[int]:
    return frozenset(place for place, text in answer if isinstance(place, int) and text.startswith("raises "))
