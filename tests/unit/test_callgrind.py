"""What is read from callgrind's files: small ones made by hand, with all that the format allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import MachineError
from runner.measuring.callgrind import Function, parse, read

PYTHON = Path("/opt/python")

COMPRESSED = """\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 30376
cmd:  /opt/python -c x
part: 3

desc: I1 cache:
desc: Trigger: --dump-before=getppid

positions: line
events: Ir
summary: 177

ob=(1) /opt/python
fl=(1) ./Objects/bytesobject.c
fn=(1) PyBytes_FromStringAndSize
10 5
+3 7
cob=(2) /usr/lib/libc.so.6
cfi=(2) ./string/memmove.S
cfn=(2) __memcpy_avx
calls=2 264
* 100
-1 3

fn=(3) static_helper
fi=(3) ./Include/object.h
30 20
fe=(1)
31 2
cfn=(1)
calls=1 10
32 115

ob=(2)
fl=(2)
fn=(2)
264 60
+6 40

ob=(1)
fl=(1)
fn=(3)
33 40

totals: 177
"""


def costs(text: str) -> dict[Function, int]:
    return dict(parse(text.splitlines(), PYTHON).functions)


def test_own_costs_are_summed_and_the_cost_of_calls_is_not() -> None:
    assert costs(COMPRESSED) == {
        Function(name="PyBytes_FromStringAndSize", object=""): 15,
        Function(name="static_helper", object=""): 62,
        Function(name="__memcpy_avx", object="libc.so.6"): 100,
    }


def test_the_total_is_the_sum_that_callgrind_gives() -> None:
    assert parse(COMPRESSED.splitlines(), PYTHON).total == 177


def test_a_function_of_a_library_is_told_with_the_interpreters_function_that_called_it() -> None:
    profile = parse(COMPRESSED.splitlines(), PYTHON)
    assert profile.callers == {Function(name="__memcpy_avx", object="libc.so.6"): "PyBytes_FromStringAndSize"}


def test_names_that_are_not_compressed() -> None:
    """As with --compress-strings=no; a C++ name may hold brackets and blanks."""
    text = (
        "ob=/opt/python\nfl=a.c\nfn=f(int) const\n1 4\ncob=/lib/x.so\ncfn=g\ncalls=1 0\n1 9\n\n"
        "ob=/lib/x.so\nfn=g\n0 9\n"
    )
    assert costs(text) == {Function(name="f(int) const", object=""): 4, Function(name="g", object="x.so"): 9}


def test_numbers_of_names_are_those_of_functions_objects_and_files_apart() -> None:
    text = "ob=(1) /opt/python\nfl=(1) a.c\nfn=(1) f\n1 2\nfl=(2) b.c\nfn=(2) g\n1 3\n\nob=(1)\nfl=(1)\nfn=(1)\n5 4\n"
    assert costs(text) == {Function(name="f", object=""): 6, Function(name="g", object=""): 3}


def test_jumps_cost_nothing_of_their_own() -> None:
    """With --collect-jumps=yes; the line of positions that follows a jump has no cost."""
    text = "positions: line\nevents: Ir\nob=/opt/python\nfn=f\n1 2\njump=3 +4\n1\njcnd=2/5 -1\n+1\n+2 8\n"
    assert costs(text) == {Function(name="f", object=""): 10}


def test_positions_may_be_addresses_and_lines_and_more_than_one_event() -> None:
    text = "positions: instr line\nevents: Ir Dr\nob=/opt/python\nfn=f\n0x4010 12 7 3\n+0x3 * 5\n* +1 1 1\n"
    assert costs(text) == {Function(name="f", object=""): 13}


def test_the_object_of_a_called_function_is_the_callers_unless_it_is_named() -> None:
    text = (
        "ob=/opt/python\nfn=f\n1 1\ncob=/lib/libc.so.6\ncfn=free\ncalls=1 0\n1 5\ncfn=g\ncalls=1 0\n1 2\n\n"
        "fn=g\n1 2\n\nob=/lib/libc.so.6\nfn=free\n0 5\n"
    )
    profile = parse(text.splitlines(), PYTHON)
    assert profile.total == 8
    assert profile.callers == {Function(name="free", object="libc.so.6"): "f"}


STRIPPED = """\
ob=/opt/python
fn=PyBytes_FromStringAndSize
1 10
cfn=0x0000000000188718
calls=9 0
1 920
cfn=small
calls=1 0
1 4

fn=small
1 3
cfn=0x0000000000188718
calls=1 0
1 1

fn=0x0000000000188718
1 20
cob=/lib/libc.so.6
cfn=0x00000000001a0b40
calls=10 0
1 901

ob=/lib/libc.so.6
fn=0x00000000001a0b40
0 600
cfn=0x00000000001a0b40
calls=3 0
0 300

fn=0x00000000001a0c00
0 301
"""


def test_functions_without_a_name_are_told_by_object_and_nearest_named_caller() -> None:
    """Addresses mean nothing in another build, so those of one object and one caller are one function."""
    assert costs(STRIPPED) == {
        Function(name="PyBytes_FromStringAndSize", object=""): 10,
        Function(name="small", object=""): 3,
        Function(name="", object="", caller="PyBytes_FromStringAndSize"): 20,
        Function(name="", object="libc.so.6", caller="PyBytes_FromStringAndSize"): 600,
        Function(name="", object="libc.so.6"): 301,
    }


def test_calls_of_itself_and_what_a_compiler_cuts_off_belong_to_a_function() -> None:
    """callgrind counts the second level of a recursion apart, and a compiler makes copies and pieces."""
    text = (
        "ob=/opt/python\nfn=(1) eval\n1 5\ncfn=(2) eval'2\ncalls=1 0\n1 9\n\nfn=(2)\n1 9\ncob=/lib/libc.so.6\n"
        "cfn=(3) 0x188718'2\ncalls=1 0\n1 4\n\nfn=(4) lookup.constprop.0\n1 1\n\nfn=(5) lookup.part.0.cold\n1 2\n\n"
        "fn=(6) lookup.lto_priv.3'2\n1 4\n\nob=/lib/libc.so.6\nfn=(3)\n0 4\n\nfn=(7) 0x1a0b40 [PLT]\n0 3\n"
    )
    assert costs(text) == {
        Function(name="eval", object=""): 14, Function(name="lookup", object=""): 7,
        Function(name="", object="libc.so.6", caller="eval"): 4, Function(name="", object="libc.so.6"): 3,
    }


def test_the_functions_of_a_shared_interpreter_are_its_own() -> None:
    text = "ob=/opt/lib/libpython3.13.so.1.0\nfn=PyList_New\n1 5\n"
    assert costs(text) == {Function(name="PyList_New", object=""): 5}


@pytest.mark.parametrize("line", ["fn=(7)", "calls", "12 x", "hello world", "fn"])
def test_a_line_that_is_not_of_the_format_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"line 3 is not one of callgrind's"):
        parse(["ob=/opt/python", "fn=f", line], PYTHON)


def part(cost: int) -> str:
    return f"events: Ir\nob=/opt/python\nfn=f\n1 {cost}\n"


def test_what_lies_between_two_marks_is_read_in_the_order_of_the_marks(tmp_path: Path) -> None:
    for number, cost in enumerate((9000, 1, 500, 2, 600, 3, 700, 4, 800, 5, 900, 6), start=1):
        (tmp_path / f"out.{number}").write_text(part(cost))
    (tmp_path / "out").write_text(part(7))
    (tmp_path / "out.1-01").write_text("of another tool")
    assert [profile.total for profile in read(tmp_path / "out", 12, PYTHON)] == [1, 2, 3, 4, 5, 6]


def test_marks_that_are_not_ours_are_told(tmp_path: Path) -> None:
    (tmp_path / "out.1").write_text(part(1))
    with pytest.raises(MachineError, match="1 parts instead of 4: the benchmark calls getppid itself"):
        read(tmp_path / "out", 4, PYTHON)
