"""The parts of `lockstep verify` that need no interpreter: what differs, what shows it, and what is searched for."""

from __future__ import annotations

import array
import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import interpreter

from runner.judging import behaviour
from runner.judging.behaviour import Verified
from runner.model import Arm
from runner.report import verify as words
from runner.verifying import helpers, inside, own_tests
from runner.verifying import search as searching
from runner.verifying.own_tests import Module, Odd, Outcome
from runner.verifying.pair import Answer, Pair, Point, first_difference
from runner.verifying.script import script
from runner.verifying.search import Found, Searched, search
from runner.verifying.sequences import Statement

ANSWERS = st.lists(st.tuples(st.sampled_from([0, 1, "stream1", "standard error"]), st.sampled_from(["b''", "3"]))).map(
    tuple
)


@given(ANSWERS, ANSWERS)
def test_the_first_difference_is_one(base: Answer, head: Answer) -> None:
    point = first_difference(base, head)
    assert (point is None) == (base == head)
    assert first_difference(base, base) is None
    if point is not None and len(base) == len(head) and [p for p, _ in base] == [p for p, _ in head]:
        assert (point.place, point.base) in base
        assert (point.place, point.head) in head


def test_what_an_arm_ends_in_belongs_to_the_statement_that_the_other_one_came_to() -> None:
    base: Answer = ((0, "3"), (1, "b'a'"), ("standard error", ""))
    assert first_difference(base, ((0, "3"), ("end", "killed by SIGSEGV"))) == Point(
        place=1, base="b'a'", head="killed by SIGSEGV")
    assert first_difference(base, base[:2]) == Point(place="standard error", base="", head="nothing")


@pytest.mark.parametrize(("value", "shown"), [
    (None, "None"), (b"a\n", r"b'a\n'"), (bytearray(b"a"), "bytearray(b'a')"), ([b"a", 1], "list of [\"b'a'\", '1']"),
    (memoryview(b"ab"), "memoryview b'ab' read-only"), (memoryview(bytearray(b"a")), "memoryview b'a'"),
    (array.array("H", [1, 2]), "array [1, 2]"), (io.BytesIO(b"abc"), "BytesIO at 0"), (object(), "object"),
])
def test_values_have_a_text_that_is_the_same_in_all_processes(value: object, shown: str) -> None:
    assert inside.show(value) == shown


def test_streams_are_looked_into_at_the_end_only() -> None:
    stream = io.BytesIO(b"abc")
    stream.seek(2)
    assert (inside.show(stream), inside.look(stream)) == ("BytesIO at 2", "BytesIO at 2, b'abc'")
    stream.close()
    assert inside.look(stream) == "BytesIO closed"


def found(*statements: str, place: int | str, raising: Sequence[int] = ()) -> Found:
    return Found(
        statements=tuple(Statement(text=text, kind="bytearray" if "bytearray" in text else "") for text in statements),
        point=Point(place=place, base="b'a'", head="b'b'"), raising=frozenset(raising), after=1.5, steady=True,
    )


def test_a_script_is_a_program_that_prints_what_differs() -> None:
    text = script(found("source1 = bytearray(b'a')", "stream1 = Stream(source1)", "source1[0] = 33", place="stream1"))
    assert text == """\
import io


class Stream(io.BytesIO):
    pass


source1 = bytearray(b'a')
stream1 = Stream(source1)
source1[0] = 33
print(stream1.tell(), stream1.getvalue())
# base: b'a'
# head: b'b'
"""


@pytest.mark.parametrize(("statement", "last"), [
    ("stream1.read(1)", "print(stream1.read(1))"),
    ("value1 = stream1.read(1)", "value1 = stream1.read(1)\nprint(value1)"),
    ("view1 = stream1.getbuffer()", "view1 = stream1.getbuffer()\nprint(bytes(view1))"),
    ("source1[0] = 33", "source1[0] = 33"), ("del stream1", "del stream1"),
])
def test_the_last_statement_of_a_script_shows_its_outcome(statement: str, last: str) -> None:
    text = script(found("stream1 = io.BytesIO(b'ab')", "stream1.write('a')", statement, place=2, raising=[1]))
    assert text == (
        "import contextlib\nimport io\n\nstream1 = io.BytesIO(b'ab')\nwith contextlib.suppress(Exception):\n"
        f"    stream1.write('a')\n{last}\n# base: b'a'\n# head: b'b'\n"
    )
    compile(text, "script", "exec")


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a search keeps goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


class Simulated(Pair):
    """A pair whose arms differ where a statement follows another one; no process."""

    def __init__(self, *planted: tuple[str, str], modules: Sequence[str] = ("io", "mmap", "array")) -> None:
        self.planted, self.modules = planted, frozenset(modules)
        self.asked: list[Sequence[str]] = []

    def answers(self, statements: Sequence[str]) -> tuple[Answer, Answer]:
        self.asked.append(statements)
        base = tuple((number, "None") for number in range(len(statements)))
        for first, second in self.planted:
            for number, statement in enumerate(statements):
                if second in statement and any(first in before for before in statements[:number]):
                    return base, (*base[:number], (number, "other"), *base[number + 1:])
        return base, base


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by a millisecond at every look: a search has as much time on one machine as on any other."""
    looks = itertools.count()
    monkeypatch.setattr(searching, "time", SimpleNamespace(monotonic=lambda: next(looks) / 1000))


@pytest.mark.usefixtures("ticking")
def test_a_difference_is_found_and_made_as_short_as_it_can_be() -> None:
    pair = Simulated(("= bytearray(", ".truncate("))
    searched = search(pair, seconds=20, seed=1, most=1, shrinking=0.1)
    assert len(searched.found) == 1
    source, truncate = searched.found[0].statements
    assert " = bytearray(" in source.text
    assert ".truncate(" in truncate.text
    assert searched.found[0].kinds == {"bytearray"}
    assert searched.found[0].steady
    assert searched.sequences == len(pair.asked)
    assert searched.seconds < 20


@pytest.mark.usefixtures("ticking")
def test_one_difference_is_found_for_each_kind_of_source() -> None:
    pair = Simulated(("= bytearray(", ".getvalue()"), ("= array.array(", ".getvalue()"))
    searched = search(pair, seconds=60, seed=2, shrinking=0.1, kinds=["bytearray", "array", "numpy"], most=2)
    assert {kind for one in searched.found for kind in one.kinds} == {"bytearray", "array"}
    assert "numpy" not in searched.kinds
    assert search(pair, seconds=60, seed=2, shrinking=0.1, most=1).found[0].kinds <= {"bytearray", "array"}


@pytest.mark.usefixtures("ticking")
def test_nothing_is_found_where_there_is_nothing_and_the_time_is_kept() -> None:
    searched = search(Simulated(), seconds=0.1, seed=3, kinds=["bytes"])
    assert searched.found == ()
    assert searched.kinds == ("bytes",)
    assert 50 < searched.sequences <= 100
    assert 0.1 <= searched.seconds < 0.11


OUTPUT = b"""\
["test.test_io.A.test_x"]
["test.test_io.A.test_x", "passed", ""]
["test.test_io.A.test_y"]
["test.test_io.A.test_y", "failed", "AssertionError: 1 != 2"]
["test.test_io.A.test_z"]
"""


def test_a_test_that_was_begun_is_what_the_interpreter_died_of() -> None:
    read = own_tests.read(OUTPUT, -11)
    assert {test.rpartition(".")[2]: outcome.word for test, outcome in read.items()} == {
        "test_x": "passed", "test_y": "failed", "test_z": "crashed"}
    assert read["test.test_io.A.test_z"].reason == "the interpreter was killed by signal 11"
    assert own_tests.read(OUTPUT + b"[]\n", 0).keys() == {"test.test_io.A.test_x", "test.test_io.A.test_y"}
    assert "did not end within" in own_tests.read(OUTPUT, None)["test.test_io.A.test_z"].reason
    ended = Outcome(word="crashed", reason="the interpreter ended with exit code 1")
    assert own_tests.read(b"", 1) == {"the module": ended}


def test_only_what_passes_in_one_arm_and_goes_wrong_in_the_other_is_a_difference() -> None:
    base = {"a": "passed", "b": "skipped", "c": "failed", "e": "error"}
    head = {"a": "passed", "b": "passed", "c": "passed", "d": "passed", "e": "failed"}
    odd = own_tests.unlike({
        arm: {test: Outcome(word=word) for test, word in there.items()}
        for arm, there in ((Arm.BASE, base), (Arm.HEAD, head))
    })
    assert [(one.test, one.differs) for one in odd] == [("c", True), ("b", False), ("e", False), ("d", False)]


@pytest.mark.parametrize("name", [
    "the module", "setUpClass (test.test_io.CBufferedReaderTest)", "tearDownModule (test.test_io)", "test.test_io",
    "unittest.loader._FailedTest.test_io",
])
@pytest.mark.parametrize("word", ["error", "crashed"])
def test_what_goes_wrong_as_a_whole_in_one_arm_is_a_difference(name: str, word: str) -> None:
    """It has no name in the other arm, where it is nothing that could pass."""
    tests = {f"test.test_io.A.test_{letter}": Outcome(word="passed") for letter in "xyz"}
    odd = own_tests.unlike({Arm.BASE: tests, Arm.HEAD: {name: Outcome(word=word, reason="why")}})
    assert [one.test for one in odd if one.differs] == [name]
    (said,), _ = behaviour.of_tests([module(*odd)], None)
    assert (said.what, said.script) == (f"{name} goes wrong in head only", "-m test test_io")
    assert json.loads(words.json(verified(modules=(module(*odd),))))["tests"][0]["odd"][0] == {
        "test": name, "base": {"word": "missing", "reason": ""}, "head": {"word": word, "reason": "why"}}
    both = {arm: {name: Outcome(word=word)} for arm in Arm}
    assert own_tests.unlike(both) == []
    skipped = {Arm.BASE: tests, Arm.HEAD: {"test.test_io": Outcome(word="skipped")}}
    assert not any(one.differs for one in own_tests.unlike(skipped)), "an arm that has no such tests"


def module(*odd: Odd) -> Module:
    return Module(name="test_io", counts={arm: {"passed": 9, "failed": len(odd)} for arm in Arm}, odd=odd, unsteady=(),
                  cut={}, idle={})


def verified(**changes: Any) -> Verified:
    facts: dict[str, Any] = {
        "base": interpreter(), "head": replace(interpreter(), spec="head"), "differences": (), "known": (),
        "modules": (),
        "searched": Searched(found=(), sequences=1234, statements=23456, seconds=60.0, kinds=("bytes",), seed=7),
        "problems": (),
    }
    return Verified(**(facts | changes))


def outcomes(**words: str) -> dict[str, Outcome]:
    return {f"test.test_io.A.test_{test}": Outcome(word=word) for test, word in words.items()}


ENDS = "takes the interpreter with it in {} only"


@pytest.mark.parametrize("word", ["passed", "failed", "skipped", None])
@pytest.mark.parametrize("arm", list(Arm))
def test_a_test_that_takes_one_interpreter_with_it_is_a_difference(word: str | None, arm: Arm) -> None:
    """Whatever came of it in the other arm, which may have no such test."""
    other = outcomes(x="passed", y="passed", **({} if word is None else {"z": word}))
    odd = own_tests.unlike({arm: outcomes(x="passed", z="crashed"), arm.other: other})
    assert [(one.test, one.ended) for one in odd if one.differs] == [("test.test_io.A.test_z", arm)]
    (said,), _ = behaviour.of_tests([module(*odd)], None)
    passes = f"passes in {arm.other.value} only"
    assert said.what == f"test.test_io.A.test_z {passes if word == 'passed' else ENDS.format(arm.value)}"


def arms_that_do(monkeypatch: pytest.MonkeyPatch, *turns: tuple[dict[str, Outcome], dict[str, Outcome]]) -> Module:
    """What is made of a module whose runs, one after the other, end so in base and head; all are asked for."""
    left = iter(turns)

    def both(arms: object, name: str, chosen: Sequence[str], *_: object) -> dict[Arm, dict[str, Outcome]]:
        assert not chosen, "the whole module"
        return dict(zip(Arm, next(left), strict=True))

    monkeypatch.setattr(own_tests, "_both", both)
    found = own_tests.run({}, "test_io", {}, Path(), lambda: None)
    assert list(left) == []
    return found


def test_where_an_interpreter_ends_the_whole_module_is_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it ends in may be the doing of a test before it."""
    good, bad = outcomes(x="passed", z="passed"), outcomes(x="passed", z="crashed")
    steady = arms_that_do(monkeypatch, (good, bad), (good, bad))
    assert [one.test for one in steady.odd if one.differs] == ["test.test_io.A.test_z"]
    assert steady.cut == {Arm.HEAD: "test.test_io.A.test_z"} and steady.idle == {}
    once = arms_that_do(monkeypatch, (good, bad), (good, good))
    assert once.unsteady == ("test.test_io.A.test_z",) and once.cut == {}


def test_what_an_arm_did_not_come_to_says_nothing_of_where_the_other_ended() -> None:
    base, head = outcomes(x="passed", y="crashed"), outcomes(x="passed", y="passed", z="crashed")
    odd = own_tests.unlike({Arm.BASE: base, Arm.HEAD: head})
    assert [one.test for one in odd if one.differs] == ["test.test_io.A.test_y"]


def test_what_was_not_run_is_told_and_is_not_green(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = outcomes(x="passed", y="crashed")
    both = arms_that_do(monkeypatch, (bad, bad))
    assert behaviour.unseen([both]) == [
        "test_io ended at test.test_io.A.test_y in base and head; what comes after it was not run there"]
    lacking = {"test.test_zlibb": Outcome(word="skipped", reason="No module named 'test.test_zlibb'")}
    gone = replace(arms_that_do(monkeypatch, (lacking, lacking)), name="test_zlibb")
    assert behaviour.unseen([module(), gone]) == [
        "no test of test_zlibb passed in base and head (skipped: No module named 'test.test_zlibb')"]
    moved = arms_that_do(monkeypatch, (outcomes(x="passed"), lacking))
    assert [text.partition(" (")[0] for text in behaviour.unseen([module(), moved])] == [
        "no test of test_io passed in head"]
    outside = {**outcomes(x="passed"), "the module": Outcome(word="crashed")}
    assert behaviour.unseen([arms_that_do(monkeypatch, (outside, outside))]) == [
        "test_io ended outside of any test in base and head; what comes after it was not run there"]
    for one in (both, gone, moved):
        assert "not all of CPython's own tests were run" in words.render(verified(modules=(module(), one)))
    assert behaviour.unseen([gone]) == [], "an interpreter without tests is told once"
    assert behaviour.unseen([module()]) == []


def test_tests_come_first_and_known_ones_are_no_difference() -> None:
    odd = Odd(test="test.test_io.A.test_cow", base=Outcome(word="passed"), head=Outcome(word="failed", reason="1 != 2"))
    differences, known = behaviour.of_tests([module(odd)], None)
    assert ([one.what for one in differences], known) == (["test.test_io.A.test_cow passes in base only"], [])
    assert behaviour.of_tests([module(odd)], "cow$") == ([], ["test.test_io.A.test_cow"])
    sequence = behaviour.of_search([found("stream1 = io.BytesIO()", "stream1.read()", place=1)], ["print(1)\n"], [True])
    text = words.render(verified(differences=(*differences, *sequence), modules=(module(odd),)))
    assert "2 differences in behaviour" in text
    order = ["test_cow passes in base only", "io.BytesIO behaves differently", "1,234"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert "    print(1)\n" in text
    assert "failed: 1 != 2" in text


def test_a_program_gets_what_a_person_gets() -> None:
    odd = Odd(test="test.test_io.A.test_cow", base=Outcome(word="passed"), head=Outcome(word="failed", reason="1 != 2"))
    differences, _ = behaviour.of_tests([module(odd)], None)
    sequence = behaviour.of_search([found("stream1 = io.BytesIO()", "stream1.read()", place=1)], ["print(1)\n"], [True])
    said = json.loads(words.json(verified(differences=(*differences, *sequence), modules=(module(odd),), known=("t",))))
    assert said["schema"] == "lockstep.verified/1"
    assert [(one["kind"], one["script"], one["after"] is None) for one in said["differences"]] == [
        ("test", "-m test test_io -m test.test_io.A.test_cow", True), ("sequence", "print(1)\n", False)]
    assert (said["differences"][0]["base"], said["differences"][0]["head"]) == ("passed", "failed: 1 != 2")
    assert (said["head"]["spec"], said["known"], said["search"]["operations"]) == ("head", ["t"], 23456)
    assert [(one["module"], set(one) >= {"base", "head"}) for one in said["tests"]] == [("test_io", True)]
    assert json.loads(words.json(verified(searched=None)))["search"] is None


def test_what_is_said_of_equals() -> None:
    assert "no difference in behaviour found" in words.render(verified(modules=(module(),)))
    none_ran = replace(module(), counts={arm: {"error": 1} for arm in Arm})
    assert "none of CPython's own tests ran\n" in words.render(verified(modules=(none_ran,)))
    half = replace(none_ran, counts={Arm.BASE: {"passed": 3}, Arm.HEAD: {"skipped": 1}})
    assert "none of CPython's own tests ran in head\n" in words.render(verified(modules=(half,)))


SETUP = """\
# A comment
@MODULE__TESTBUFFER_TRUE@_testbuffer _testbuffer.c
#_testcapi _testcapimodule.c _testcapi/mem.c
@MODULE_XXLIMITED_TRUE@xxlimited xxlimited.c
zlib zlibmodule.c
"""


def test_helper_modules_are_those_that_tests_name(tmp_path: Path) -> None:
    known = helpers.sources(SETUP)
    assert known == {
        "_testbuffer": ("_testbuffer.c",), "_testcapi": ("_testcapimodule.c", "_testcapi/mem.c"),
        "xxlimited": ("xxlimited.c",),
    }
    (tmp_path / "test_a.py").write_text("from test.pickles import T\nfrom test import support\nimport _testcapi_not\n")
    (tmp_path / "pickles.py").write_text("import _testbuffer\n")
    (tmp_path / "support.py").write_text("import _testcapi\n")
    assert helpers.wanted(tmp_path, ["test_a", "test_gone"], list(known)) == ["_testbuffer"]
    (tmp_path / "test_package" / "inner").mkdir(parents=True)
    (tmp_path / "test_package" / "inner" / "test_deep.py").write_text("import xxlimited\n")
    assert helpers.wanted(tmp_path, ["test_package"], list(known)) == ["xxlimited"]
    assert helpers.wanted(tmp_path, ["test_package.inner.test_deep"], list(known)) == ["xxlimited"]


@pytest.mark.parametrize(("options", "message"), [
    (("--tests", "none", "--time", "none"), "nothing is left"), (("--tests", "io"), "no module of CPython's tests"),
    (("--known", "("), "not a regular expression"), (("--time", "soon"), "not a time"),
])
def test_what_is_wrong_is_said_before_anything_is_built(
    lockstep: Callable[..., tuple[int, str, str]], options: Sequence[str], message: str
) -> None:
    code, _, error = lockstep("verify", "a", "b", *options)
    assert code == 2
    assert message in error
