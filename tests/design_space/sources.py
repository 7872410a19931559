"""Run by an interpreter under test: what a stream is to the object that it was made from.

A folder with numpy may be given. Prints one JSON object: ``size``, of the objects in bytes, and for each of their
``kinds`` three things. ``allocated``: bytes that making the stream took at most. ``follows``: whether the stream's
content changed when the object's did, null for what cannot change. ``held``: what the object's owner is told, who is
refused something as long as the stream is only read; empty where nothing is refused. ``stale``: whether a value can
have the hash of what its stream held before.
"""

import array
import io
import json
import mmap
import os
import sys
import tempfile
import tracemalloc

SIZE = 1 << 20


def fresh():
    """A bytes object of its own, without a hash yet."""
    return bytes(bytearray(b"x" * SIZE))


class Subclass(bytes):
    """`bytes` in all but type."""


# Each gives an object to make a stream from, what changes its first byte, and what only its one owner may do.

def of_bytes():
    return fresh(), None, None


def of_a_subclass():
    return Subclass(fresh()), None, None


def of_a_view_of_bytes():
    return memoryview(fresh()), None, None


def of_a_part_of_bytes():
    return memoryview(fresh())[1:], None, None


def of_a_bytearray():
    data = bytearray(fresh())
    return data, lambda: data.__setitem__(0, 33), lambda: data.append(33)


def of_a_view_of_a_bytearray():
    data = bytearray(fresh())
    view = memoryview(data)
    return view, lambda: data.__setitem__(0, 33), lambda: (view.release(), data.append(33))


def of_a_read_only_view():
    data = bytearray(fresh())
    with memoryview(data) as writable:
        view = writable.toreadonly()
    return view, lambda: data.__setitem__(0, 33), lambda: (view.release(), data.append(33))


def of_an_array():
    data = array.array("B", fresh())
    return data, lambda: data.__setitem__(0, 33), lambda: data.append(33)


def of_an_mmap():
    data = mmap.mmap(-1, SIZE)
    data.write(fresh())
    return data, lambda: data.__setitem__(0, 33), data.close


def of_an_mmap_for_reading():
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the mapping outlives this function
    file.write(fresh())
    file.flush()
    data = mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ)
    return data, lambda: os.pwrite(file.fileno(), b"!", 0), data.close


def of_another_stream():
    other = io.BytesIO(fresh())
    writable = other.getbuffer()
    view = writable.toreadonly()
    return (view, lambda: writable.__setitem__(0, 33),
            lambda: (view.release(), writable.release(), other.write(b"!")))


def of_a_numpy_array():
    data = numpy.frombuffer(bytearray(fresh()), dtype="B")
    return data, lambda: data.__setitem__(0, 33), None


def of_a_read_only_numpy_array():
    data = numpy.frombuffer(bytearray(fresh()), dtype="B")
    return numpy.broadcast_to(data, len(data)), lambda: data.__setitem__(0, 33), None


KINDS = {
    "bytes": of_bytes,
    "subclass of bytes": of_a_subclass,
    "memoryview of bytes": of_a_view_of_bytes,
    "part of a memoryview of bytes": of_a_part_of_bytes,
    "bytearray": of_a_bytearray,
    "memoryview of a bytearray": of_a_view_of_a_bytearray,
    "read-only memoryview of a bytearray": of_a_read_only_view,
    "array": of_an_array,
    "mmap": of_an_mmap,
    "mmap for reading": of_an_mmap_for_reading,
    "read-only getbuffer() of another stream": of_another_stream,
}
WITH_NUMPY = {"numpy array": of_a_numpy_array, "read-only numpy array": of_a_read_only_numpy_array}


def look(make):
    """What is told of one kind."""
    source, change, own = make()
    tracemalloc.start()
    stream = io.BytesIO(source)
    allocated = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    follows, held = None, ""
    if change is not None:
        change()
        follows = stream.read(1) == b"!"
        try:
            if own is not None:
                own()
        except (BufferError, ValueError) as error:
            held = str(error)
    stream.seek(0)
    assert stream.read()[1:] == b"x" * (SIZE - 1 - ("part" in make.__name__))
    return {"allocated": allocated, "follows": follows, "held": held}


def stale():
    """Whether a value that was hashed and dropped hands its hash on to the next one, which a write has changed."""
    stream = io.BytesIO()
    stream.write(b"old " * 100)
    hash(stream.getvalue())
    stream.seek(0)
    stream.write(b"new ")
    value = stream.getvalue()
    return hash(value) != hash(bytes(bytearray(value)))


if __name__ == "__main__":
    ways = dict(KINDS)
    if sys.argv[1:]:
        sys.path.append(sys.argv[1])
        import numpy

        ways.update(WITH_NUMPY)
    kinds = {name: look(make) for name, make in ways.items()}
    print(json.dumps({"size": SIZE, "kinds": kinds, "stale": stale()}))
