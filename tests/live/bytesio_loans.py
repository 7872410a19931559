"""Run by an interpreter under test: what io.BytesIO does with a buffer that it may read where it is.

Prints one JSON object. For each thing that a program may do with a stream: whether the buffer had been lent to it until
then, and no longer. For what cannot be borrowed: what is said of it. And in how many cases an object used the stream
that gave its buffer back.
"""

import contextlib
import gc
import io
import json
import weakref

LINES = b"abc\n" * 99


def refused(action):
    try:
        action()
    except BufferError:
        return True
    return False


def ends(action):
    """Read a stream in every way, then do something that must end the loan; returns whether there was one."""
    data = bytearray(LINES)
    with memoryview(data) as whole:
        view = whole.toreadonly()
    stream = io.BytesIO(view)
    view.release()
    lent = refused(lambda: data.append(1))
    assert stream.read(5) == b"abc\na"
    assert stream.readline() == b"bc\n"
    assert len(stream.readlines()) == 97
    stream.seek(0)
    assert len(list(stream)) == 99
    assert stream.read() == b""
    stream.seek(4)
    target = bytearray(3)
    assert (stream.readinto(target), target, stream.tell()) == (3, b"abc", 7)
    stream.seek(0)
    assert (stream.read1(-1), stream.tell()) == (LINES, len(LINES))
    stream.seek(0)
    assert refused(lambda: data.append(1)) == lent, "reading ends no loan"
    action(stream)
    if action is drop:
        del stream
    data.append(1)
    return lent


def write(stream):
    assert stream.write(b"XY") == 2
    assert stream.getvalue() == b"XY" + LINES[2:]


def append(stream):
    stream.seek(0, 2)
    stream.writelines([b"Z", bytearray(b"!")])
    assert stream.getvalue() == LINES + b"Z!"


def truncate(stream):
    assert stream.truncate(6) == 6
    assert stream.getvalue() == b"abc\nab"


def getvalue(stream):
    value = stream.getvalue()
    assert type(value) is bytes
    assert value == LINES == stream.getvalue()


def getbuffer(stream):
    with stream.getbuffer() as view:
        view[0] = 33
        assert refused(lambda: stream.write(b"1"))
        assert stream.read(2) == b"!b"
    assert stream.getvalue() == b"!" + LINES[1:]


def state(stream):
    kept = stream.__getstate__()
    stream.__setstate__((b"new", 1, None))
    assert stream.read() == b"ew"
    assert kept[0] == LINES


def again(stream):
    stream.__init__(b"other")
    assert stream.read() == b"other"
    stream.__init__()
    assert stream.getvalue() == b""


def close(stream):
    stream.close()
    assert stream.closed


def drop(stream):
    pass


def cycle():
    """A stream in a cycle with what lends to it is collected."""
    class Owner(bytearray):
        pass

    owner = Owner(b"x" * 100)
    owner.stream = io.BytesIO(memoryview(owner).toreadonly())
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def shapes():
    """Buffers of more than plain bytes are read as their bytes; the object that lends may be read into."""
    plain = bytes(range(24))
    many, wide = memoryview(plain).cast("B", (2, 3, 4)), memoryview(plain).cast("I")
    assert io.BytesIO(many).read() == io.BytesIO(wide).read() == plain
    assert io.BytesIO(wide).seek(0, 2) == 24
    data = bytearray(b"0123456789")
    stream = io.BytesIO(memoryview(data).toreadonly())
    stream.seek(2)
    assert stream.readinto(data) == 8
    assert data == b"2345678989"


def errors():
    """What is said of objects that have no buffer to read, and of streams that are closed."""
    released = memoryview(b"abc")
    released.release()
    told = {}
    for name, wrong in (("text", "text"), ("number", 5), ("steps", memoryview(b"abcdef")[::2]), ("released", released)):
        try:
            io.BytesIO(wrong)
        except (TypeError, ValueError, BufferError) as error:
            told[name] = str(error)
    for name, value in (("view again", memoryview(b"abc")), ("subclass again", Subclass(b"abc"))):
        stream = io.BytesIO()
        stream.close()
        try:
            stream.__init__(value)
        except ValueError as error:
            told[name] = str(error)
    stream.__init__(b"bytes open it again")
    assert stream.read(5) == b"bytes"
    return told


class Subclass(bytes):
    """`bytes` in all but type."""


class Meddler(bytearray):
    """Uses a stream as it is deleted, which is when the stream gives its buffer back."""

    count = 0

    def __del__(self):
        Meddler.count += 1
        with contextlib.suppress(ValueError):  # the stream is closed
            self.meddle()


USES = (
    lambda stream: stream.write(b"one"), lambda stream: stream.truncate(1), lambda stream: stream.getvalue(),
    lambda stream: stream.getbuffer().release(), lambda stream: stream.__init__(b"new"),
    lambda stream: stream.__setstate__((b"new", 1, None)), lambda stream: stream.close(),
)
MEDDLINGS = (
    lambda stream: stream.close(), lambda stream: stream.__init__(memoryview(b"z" * 50)),
    lambda stream: stream.write(b"q" * 5000), lambda stream: stream.truncate(0), lambda stream: stream.getvalue(),
    lambda stream: stream.seek(10**6),
)


def meddled():
    """Every use of a stream, while what lends to it uses the stream too."""
    for use in USES:
        for meddling in MEDDLINGS:
            owner = Meddler(b"m" * 3000)
            stream = io.BytesIO(memoryview(owner).toreadonly())
            owner.meddle = lambda stream=stream, meddling=meddling: meddling(stream)
            del owner
            try:
                use(stream)
                stream.getvalue()
                stream.seek(0)
                stream.read()
            except ValueError as error:
                assert "closed file" in str(error), error
    return Meddler.count


if __name__ == "__main__":
    actions = (write, append, truncate, getvalue, getbuffer, state, again, close, drop)
    lent = {action.__name__: ends(action) for action in actions}
    cycle()
    shapes()
    print(json.dumps({"lent": lent, "errors": errors(), "meddled": meddled()}))
