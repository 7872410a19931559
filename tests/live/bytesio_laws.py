"""Run by an interpreter under test: io.BytesIO against a plain model, and whether its data is shared.

Prints a line of JSON: the number of operations that agreed with the model, and what was shared.
"""

import io
import json
import random
import sys


class Model:
    """What the documentation says of io.BytesIO, in bytes and an integer."""

    def __init__(self, data):
        self.data, self.at = bytes(data), 0

    def write(self, new):
        if new:
            padded = self.data.ljust(self.at, b"\0")
            self.data = padded[: self.at] + new + padded[self.at + len(new):]
            self.at += len(new)
        return len(new)

    def read(self, size=-1):
        end = len(self.data) if size < 0 else min(self.at + size, len(self.data))
        part = self.data[self.at:end]
        self.at += len(part)
        return part

    def readline(self):
        end = self.data.find(b"\n", self.at) + 1 or len(self.data)
        return self.read(max(end - self.at, 0))

    def seek(self, at):
        self.at = at
        return at

    def truncate(self, size):
        self.data = self.data[:size]
        return size

    def getvalue(self):
        return self.data


def operations(random, stream):
    size = random.choice([0, 1, 2, 5, 33, 200])
    data = bytes(random.choices(b"ab\n", k=size))
    yield "write", (data,)
    yield "read", (random.choice([-1, 0, 1, 7, 1000]),)
    yield "readline", ()
    yield "seek", (random.choice([0, 0, 1, 40, 300]),)
    yield "truncate", (random.choice([0, 3, 50, 500]),)
    yield "getvalue", ()


def agree(seed):
    choose = random.Random(seed)
    kind = choose.choice([bytes, bytes, bytearray, memoryview])
    start = bytes(choose.choices(b"xy\n", k=choose.choice([0, 1, 2, 64, 1000])))
    stream, model = io.BytesIO(kind(start)), Model(start)
    kept = []  # everything handed out, with a copy of what it was: nobody may change it afterwards
    count = 0
    for _ in range(60):
        name, arguments = choose.choice(list(operations(choose, stream)))
        if choose.random() < 0.05:
            again = bytes(choose.choices(b"zw", k=30))
            stream.__init__(again)
            model.__init__(again)
        if choose.random() < 0.1:
            with stream.getbuffer() as view:
                if len(view):
                    view[0] = 33
                    model.data = b"!" + model.data[1:]
                assert bytes(view) == model.data, "getbuffer"
                assert stream.getvalue() == model.data, "getvalue while exported"
                if stream.tell() == 0:
                    assert stream.read() == model.data
                    stream.seek(0)
        got, expected = getattr(stream, name)(*arguments), getattr(model, name)(*arguments)
        assert got == expected, (seed, name, arguments, got, expected)
        assert stream.tell() == model.at, (seed, name)
        if isinstance(got, bytes):
            kept.append((got, bytes(bytearray(got))))
        assert all(one == other for one, other in kept), (seed, name, "changed what was handed out")
        count += 1
    assert stream.getvalue() == model.data
    assert start == bytes(bytearray(start))
    return count


def shared():
    data = bytes(bytearray(5000))
    references = sys.getrefcount(data)
    stream = io.BytesIO(data)
    on_construction = sys.getrefcount(data) - references
    on_getvalue = io.BytesIO(bytearray(5000))
    value = on_getvalue.getvalue()
    whole = io.BytesIO(data)
    return {
        "construction": on_construction == 1 and stream.getvalue() is data,
        "getvalue": value is on_getvalue.getvalue(),
        "read": whole.read() is data,
        "size": sys.getsizeof(io.BytesIO(bytes(bytearray(1000)))) - sys.getsizeof(io.BytesIO()),
    }


print(json.dumps({"agreed": sum(agree(seed) for seed in range(300)), "shared": shared()}))
