"""Parcels as nobody packs them: archives of any members, and runs with anything in their files."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from made_runs import MACHINE, make_run, some_benchmarks

from runner.model import Arm
from runner.storage import explanations, parcel, store

HOST = "5eed5eed5eed5eed"

Member = tuple[str, bytes] | tarfile.TarInfo


def some_run(folder: Path, number: int = 1, **changes: Any) -> Path:
    """A run that has a file of every kind but statistics."""
    place = make_run(folder, number, some_benchmarks(3), **{"machine": {**MACHINE, "host": HOST}, **changes})
    store.add_layout(place, 7, {Arm.BASE: {"f": 4096}, Arm.HEAD: {"f": 8192}})
    explanations.add(place, [explanations.Kept(
        key="work.Case0.time_it(size=1KiB)", text="why", notes=("n",), functions=(),
        work=(explanations.Count(name="instructions", base=1.0, head=2.0),))])
    return place


def packed(folder: Path) -> bytes:
    """The parcel of a run folder."""
    stream = io.BytesIO()
    parcel.pack(folder, stream)
    return stream.getvalue()


def members(folder: Path) -> dict[str, bytes]:
    """The files that a parcel of a run folder holds."""
    return {name: (folder / name).read_bytes() for name in parcel.FILES if (folder / name).exists()}


def archive(entries: Iterable[Member], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar archive of files, and of what else is given as tarfile has it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for one in entries:
            if isinstance(one, tarfile.TarInfo):
                tar.addfile(one)
                continue
            entry = tarfile.TarInfo(one[0])
            entry.size = len(one[1])
            tar.addfile(entry, io.BytesIO(one[1]))
    return stream.getvalue()


def squeezed(data: bytes) -> bytes:
    """Gzipped, without a date."""
    return gzip.compress(data, 1, mtime=0)


def of_members(files: Mapping[str, bytes]) -> bytes:
    """A parcel of files, in the order in which they are given."""
    return squeezed(archive(files.items()))


NASTY = (
    None, True, 0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 0.0, -0.0, 1e-320, 1e308, -1e308, "", "nan", "inf",
    "-Infinity", "1e400", "\0", "‮<script>alert(1)</script>", "../../etc/passwd", "/etc/passwd", "a" * 5000,
    "$(touch x)", "'; DROP TABLE runs; --", "{{ 7 * 7 }}", [], {}, [[]], [1, "2"], {"a": {"b": None}},
    "20261129T073000Z-0a1b2c", "lockstep.run/3", "time", "head", "٣",
)
"""Values that some field somewhere will not like."""
RAW = ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", '"\\ud800"', "1" * 5000, "[" * 200 + "]" * 200, "00", "'x'")
"""The same, as JSON cannot or should not say it."""


def replaced(text: bytes, draw: st.DrawFn) -> bytes:
    """JSON with one value, wherever it is, in the place of which is another; or with a key more, or less."""
    content = json.loads(text)
    places = list(_places(content))
    holder, key = draw(st.sampled_from(places))
    kind = draw(st.sampled_from(("nasty", "nasty", "raw", "gone", "more", "same")))
    if kind == "gone" and isinstance(holder, dict):
        del holder[key]
    elif kind == "more" and isinstance(holder, dict):
        holder[draw(st.sampled_from(("schema", "x", "__class__", "\0", "")))] = draw(st.sampled_from(NASTY))
    elif kind == "same":
        other, name = draw(st.sampled_from(places))
        holder[key] = json.loads(json.dumps(other[name]))
    elif kind == "raw":
        holder[key] = "@raw@"
        return json.dumps(content).replace('"@raw@"', draw(st.sampled_from(RAW))).encode()
    else:
        holder[key] = draw(st.sampled_from(NASTY))
    return json.dumps(content).encode()


def _places(content: Any) -> Iterable[tuple[Any, Any]]:
    """Every place in a structure that has a value: what holds it, and its key or number."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inside:
        yield content, key
        yield from _places(value)


@st.composite
def altered(draw: st.DrawFn, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a parcel, with one value changed somewhere in one of them."""
    name = draw(st.sampled_from(sorted(files)))
    found = dict(files)
    if name in parcel.LINES:
        lines = found[name].splitlines()
        place = draw(st.integers(0, len(lines) - 1))
        lines[place] = replaced(lines[place], draw)
        found[name] = b"".join(line + b"\n" for line in lines)
    else:
        found[name] = replaced(found[name], draw)
    return found


@st.composite
def scratched(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes with some of them changed, left out, doubled or cut off."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        if not found:
            break
        place = draw(st.integers(0, len(found) - 1))
        end = min(len(found), place + draw(st.integers(1, 600)))
        match draw(st.sampled_from(("flip", "zero", "cut", "drop", "double", "insert"))):
            case "flip":
                found[place] ^= 1 << draw(st.integers(0, 7))
            case "zero":
                found[place:end] = bytes(end - place)
            case "cut":
                del found[place:]
            case "drop":
                del found[place:end]
            case "double":
                found[place:place] = found[place:end]
            case _:
                found[place:place] = draw(st.binary(min_size=1, max_size=20))
    return bytes(found)
