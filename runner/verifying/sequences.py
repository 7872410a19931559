"""Random sequences of operations on io.BytesIO, as hypothesis draws them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

CLASSES = """\
class Stream(io.BytesIO):
    pass


class Data(bytes):
    pass
"""

LITERALS = (
    "b''", "b'a'", "b'bc'", r"b'\n'", r"b'one\ntwo\n'", "b'0123456789'", r"b'xy\n' * 40", "bytes(range(65, 75))",
    "bytes(5000)",
)
"""Both what the code holds too, and what nothing else does; nothing, one byte (CPython has one object of each), and
sizes on both sides of where a buffer is allocated anew. Few begin alike: what is written over another is to be seen."""
PLACES = (0, 1, 2, 5, 9, 40, 130, 4990, -1)
READS = (
    "read()", "read(1)", "read(5)", "read(10)", "read(None)", "read1()", "read1(2)", "readline()", "readline(2)",
    "__next__()",
)
MORE_READS = ("getvalue()", "readlines()", "readlines(3)", "__getstate__()", "__iter__()", "tell()")
ASKED = (
    "closed", "readable()", "writable()", "seekable()", "isatty()", "flush()", "detach()", "fileno()", "__enter__()",
    "close()", "write('a')", "write(3)", "writelines(3)", "writelines([b'a', 'b', b'c'])", "read('a')",
    "readline('a')", "readlines('a')", "seek('a')", "seek(0, 9)", "seek(-1)", "truncate(-1)", "truncate('a')",
    "readinto(b'abc')", "__setstate__(3)", "__setstate__((b'abc',))", "__setstate__((b'abc', -1, None))",
    "__setstate__((b'abc', 'a', None))", "__setstate__((b'abc', 1, 3))", "__setstate__(('abc', 1, None))",
    "__init__('a')", "__init__(3)",
    # And back at once: with memory that there is not, it is no fault to behave differently.
    "seek(2**63 - 1)|seek(1, 1)|write(b'a')|seek(0)",
)
"""What changes nothing in most cases, and errors; several calls are parted by a bar."""
MADE = {
    "bytes": ("{}", "Data({})"), "bytearray": ("bytearray({})",), "memoryview": ("memoryview({})",),
    "read-only view": ("memoryview(bytearray({})).toreadonly()",), "mmap": ("mmap.mmap(-1, 10)",),
    "mapped file": ("mmap.mmap({name}_file.fileno(), 0, access=mmap.ACCESS_READ)",),
    "array": ("array.array('B', [97, 10, 98])", "array.array('H', [97, 10, 98])"),
    "numpy": ("numpy.array([97, 10, 98], dtype='B')", "numpy.array([97, 10, 98], dtype='H')"),
    "read-only numpy": ("numpy.broadcast_to({name}_owner, 3)",),
}
"""For each kind of source how it is made, some of a literal."""
BEFORE = {
    "mapped file": (
        "{name}_file = tempfile.TemporaryFile()", r"os.write({name}_file.fileno(), b'one\ntwo\nend')",
    ),
    "read-only numpy": ("{name}_owner = numpy.array([97, 10, 98], dtype='B')",),
}
"""What has to be done before."""
FORMS = ("io.BytesIO({})", "Stream({})", "io.BytesIO(initial_bytes={})")
CHANGES = {
    "bytes": ("{0}[:2]", "{0}[0] = 33"),
    "bytearray": ("{0}[0] = 33", "{0}.append(33)", "{0}.clear()", "{0}[1:2] = b'xyz'"),
    "memoryview": ("{0}[0] = 33", "{0}.release()"),
    "read-only view": ("{0}.obj[0] = 33", "{0}[0] = 33", "{0}.release()"),
    "mmap": ("{0}[0] = 33", "{0}.close()"),
    "mapped file": ("os.pwrite({0}_file.fileno(), b'!', 0)", "{0}.close()"),
    "array": ("{0}[0] = 33", "{0}.append(33)", "{0}.pop()"),
    "numpy": ("{0}[0] = 33",),
    "read-only numpy": ("{0}_owner[0] = 33", "{0}[0] = 33"),
    "view": ("{0}[0] = 33", "{0}[-1] = 10", "{0}.release()", "bytes({0})"),
}
"""For each kind of source, what changes it between operations, or takes its memory away."""
KINDS = tuple(CHANGES)
"""Through a ``mapped file``, a ``read-only view`` and ``read-only numpy`` nothing can be written, and others can write
to what they show; ``view``: of a stream's buffer."""
NEEDED = {"mmap": "mmap", "mapped file": "mmap", "array": "array", "numpy": "numpy", "read-only numpy": "numpy"}
"""Modules."""

OLDEST = 3
NUMBERS = st.integers(0, OLDEST)
"""Which source or stream, from the newest on; `OLDEST` is the first, and the first of both belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One line of a sequence."""

    text: str
    kind: str = ""
    """Of the source that it makes; empty: it makes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a stream can be made from, by the name that it has in its sequence."""

    name: str
    kind: str


class Sequences(RuleBasedStateMachine):
    """Draws one sequence, rule by rule, and has it tried at the end.

    It begins with a source and a stream that is made of it, and there is always one of each: what is drawn at random
    finds together what belongs together. Not with bundles, which take hypothesis most of its time.
    """

    def __init__(self, kinds: frozenset[str], tried: Callable[[tuple[Statement, ...]], None]) -> None:
        super().__init__()
        self.kinds, self._tried = kinds, tried
        self._statements: list[Statement] = []
        self._count: Counter[str] = Counter()
        self._kind = "bytes"
        self.sources: list[Source] = []
        self.streams: list[str] = []

    def teardown(self) -> None:
        if self._statements:
            self._tried(tuple(self._statements))

    def _say(self, text: str, kind: str = "") -> None:
        self._statements.append(Statement(text=text, kind=kind))

    def _make(self, stem: str, expression: str, kind: str = "") -> str:
        self._count[stem] += 1
        name = f"{stem}{self._count[stem]}"
        self._say(f"{name} = {expression}", kind)
        if stem == "stream":
            self.streams.append(name)
        else:
            self.sources.append(Source(name=name, kind=kind))
        return name

    def _source(self, number: int) -> Source:
        return self.sources[0 if number == OLDEST else -1 - number % len(self.sources)]

    def _stream(self, number: int) -> str:
        return self.streams[0 if number == OLDEST else -1 - number % len(self.streams)]

    @initialize(kind=st.integers(0, len(MADE) - 1), literal=st.sampled_from(LITERALS), form=st.sampled_from(FORMS))
    def begin(self, kind: int, literal: str, form: str) -> None:
        there = [one for one in MADE if one in self.kinds]
        self._kind = there[kind % len(there)]
        self.make_source(literal, 0, other=False)
        self._make("stream", form.format(self._source(0).name))

    # Sources.

    @rule(literal=st.sampled_from(LITERALS), way=st.integers(0, 1), other=st.booleans())
    def make_source(self, literal: str, way: int, other: bool) -> None:
        kind = "bytes" if other else self._kind
        name = f"source{self._count['source'] + 1}"
        for text in BEFORE.get(kind, ()):
            self._say(text.format(name=name))
        ways = MADE[kind]
        self._make("source", ways[way % len(ways)].format(literal, name=name), kind)

    @precondition(lambda self: "memoryview" in self.kinds)
    @rule(source=NUMBERS, form=st.sampled_from(("memoryview({})", "memoryview({})[1:]")))
    def look_at_source(self, source: int, form: str) -> None:
        self._make("source", form.format(self._source(source).name), "memoryview")

    @precondition(lambda self: "view" in self.kinds)
    @rule(stream=NUMBERS)
    def get_buffer(self, stream: int) -> None:
        self._make("view", f"{self._stream(stream)}.getbuffer()", "view")

    @rule(source=NUMBERS, way=st.integers(0, 3))
    def change(self, source: int, way: int) -> None:
        chosen = self._source(source)
        ways = CHANGES[chosen.kind]
        self._say(ways[way % len(ways)].format(chosen.name))

    @precondition(lambda self: len(self.sources) > 1)
    @rule(source=NUMBERS)
    def forget_source(self, source: int) -> None:
        chosen = self._source(source)
        self.sources.remove(chosen)
        self._say(f"del {chosen.name}")

    # Streams.

    @rule(source=NUMBERS, form=st.sampled_from(FORMS))
    def make_stream(self, source: int, form: str) -> None:
        self._make("stream", form.format(self._source(source).name))

    @rule(literal=st.sampled_from(("", *LITERALS)))
    def make_stream_alone(self, literal: str) -> None:
        self._make("stream", f"io.BytesIO({literal})")

    @rule(stream=NUMBERS, form=st.sampled_from((
        "copy.copy({})", "copy.deepcopy({})", "pickle.loads(pickle.dumps({}))", "pickle.loads(pickle.dumps({}, 2))",
    )))
    def copy_stream(self, stream: int, form: str) -> None:
        self._make("stream", form.format(self._stream(stream)))

    @rule(stream=NUMBERS, source=NUMBERS)
    def make_anew(self, stream: int, source: int) -> None:
        self._say(f"{self._stream(stream)}.__init__({self._source(source).name})")

    @precondition(lambda self: len(self.streams) > 1)
    @rule(stream=NUMBERS, form=st.sampled_from(("del {}", "{}.close()")))
    def end_stream(self, stream: int, form: str) -> None:
        chosen = self._stream(stream)
        self.streams.remove(chosen)
        self._say(form.format(chosen))

    # What is read. Kept or not: a stream may hand out what it goes on using.

    @rule(stream=NUMBERS)
    def get_value(self, stream: int) -> None:
        self._make("value", f"{self._stream(stream)}.getvalue()", "bytes")

    @rule(stream=NUMBERS, call=st.sampled_from(READS))
    def keep(self, stream: int, call: str) -> None:
        self._make("value", f"{self._stream(stream)}.{call}", "bytes")

    @rule(stream=NUMBERS, call=st.sampled_from((*READS, *MORE_READS)))
    def read(self, stream: int, call: str) -> None:
        self._say(f"{self._stream(stream)}.{call}")

    @rule(stream=NUMBERS, source=NUMBERS, form=st.sampled_from(("{0}.readinto({1})", "list({0})")))
    def read_into(self, stream: int, source: int, form: str) -> None:
        self._say(form.format(self._stream(stream), self._source(source).name))

    # What changes the stream.

    @rule(stream=NUMBERS, literal=st.sampled_from(LITERALS))
    def write(self, stream: int, literal: str) -> None:
        self._say(f"{self._stream(stream)}.write({literal})")

    @rule(stream=NUMBERS, source=NUMBERS, form=st.sampled_from(("{}.write({})", "{}.writelines([b'd', {}])")))
    def write_source(self, stream: int, source: int, form: str) -> None:
        self._say(form.format(self._stream(stream), self._source(source).name))

    @rule(stream=NUMBERS, at=st.sampled_from(PLACES), whence=st.sampled_from((0, 0, 1, 2)))
    def seek(self, stream: int, at: int, whence: int) -> None:
        self._say(f"{self._stream(stream)}.seek({at}, {whence})" if whence else f"{self._stream(stream)}.seek({at})")

    @rule(stream=NUMBERS, size=st.sampled_from(("", *map(str, PLACES))))
    def truncate(self, stream: int, size: str) -> None:
        self._say(f"{self._stream(stream)}.truncate({size})")

    @rule(stream=NUMBERS, other=NUMBERS, literal=st.sampled_from(LITERALS), form=st.sampled_from((
        "{0}.__setstate__({1}.__getstate__())", "{0}.__setstate__(({2}, 2, None))", "{0}.tag = 1",
    )))
    def set_state(self, stream: int, other: int, literal: str, form: str) -> None:
        self._say(form.format(self._stream(stream), self._stream(other), literal))

    @rule(stream=NUMBERS, calls=st.sampled_from(ASKED))
    def ask(self, stream: int, calls: str) -> None:
        for call in calls.split("|"):
            self._say(f"{self._stream(stream)}.{call}")
