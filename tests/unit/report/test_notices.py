"""Every kind of notice that the program makes: it has a sentence that says its numbers, and a test that it is made."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import report_samples as samples

from runner.judging.guards import READINGS
from runner.model import Notice
from runner.report import as_html, markdown, notices, text

ROOT = Path(__file__).parents[3]
READING, ANOTHER, *_ = READINGS
TEXTS = {
    "reading": READING, "between": "calls", "arm": "head", "run": "r1", "runs": "r1, r2",
    **dict.fromkeys(("reason", "what", "base", "head", "names", "text", "benchmark", "resume", "mode", "first",
                     "second", "one", "other", "path", "starts", "adds", "libraries"), "some text"),
}
"""What stands in for the numbers that are texts."""


@dataclass(frozen=True)
class Made:
    """One place in the program that makes notices."""

    kind: str
    place: str
    numbers: frozenset[str]


def made() -> Iterator[Made]:
    for path in sorted((ROOT / "runner").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Notice":
                given = {word.arg: word.value for word in node.keywords}
                kind, numbers = given["kind"], given.get("numbers", ast.Dict(keys=[], values=[]))
                place = f"{path.relative_to(ROOT)}:{node.lineno}"
                assert isinstance(kind, ast.Constant) and isinstance(numbers, ast.Dict), f"{place} is not read here"
                keys = frozenset(str(key.value) for key in numbers.keys if isinstance(key, ast.Constant))
                assert len(keys) == len(numbers.keys), place
                yield Made(str(kind.value), place, keys)


MADE = list(made())
KINDS = sorted({one.kind for one in MADE})


def said() -> dict[str, ast.expr]:
    """The function that makes a kind's sentence, as it is written."""
    tree = ast.parse((ROOT / "runner/report/notices.py").read_text("utf-8"))
    (table,) = (node.value for node in tree.body if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)
                and ast.unparse(node.target) == "KINDS")
    return {str(key.value): value for key, value in zip(table.keys, table.values, strict=True)
            if isinstance(key, ast.Constant)}


SAID = said()


def asked(kind: str) -> set[str]:
    """The numbers that a kind's sentence asks for."""
    return {str(node.slice.value) for node in ast.walk(SAID[kind]) if isinstance(node, ast.Subscript)
            and ast.unparse(node.value) == "n" and isinstance(node.slice, ast.Constant)}


def test_the_kinds_that_are_made_are_those_that_have_a_sentence() -> None:
    assert set(KINDS) == set(SAID)
    assert set(SAID) == set(notices.KINDS)


@pytest.mark.parametrize("one", MADE, ids=lambda one: f"{one.kind}-{one.place.partition(':')[0].split('/')[-1]}")
def test_a_notice_has_the_numbers_that_its_sentence_asks_for(one: Made) -> None:
    assert asked(one.kind) <= one.numbers, one.place


def numbers(kind: str, *, other: str = "") -> dict[str, float | int | str]:
    """Some numbers for a kind, in which the one named `other` is another."""
    numeric = kind in ("unequal-calls", "from-zero", "no-ratio")
    texts = {**TEXTS, **(dict.fromkeys(("base", "head"), 0) if numeric else {})}
    found: dict[str, float | int | str] = {}
    for place, name in enumerate(sorted(asked(kind))):
        value = texts.get(name, 0)
        found[name] = value if isinstance(value, str) else 2 + place
        if name == other:
            changed: dict[str, float | int | str] = {"reading": ANOTHER, "between": "processes"}
            found[name] = changed.get(name, f"{value} more" if isinstance(value, str) else 31)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_sentence_says_every_number(kind: str) -> None:
    whole = notices.sentence(Notice(kind=kind, numbers=numbers(kind)))
    assert not whole.startswith(f"{kind.replace('-', ' ')}:") and whole != kind.replace("-", " "), "it has no sentence"
    for name in asked(kind):
        assert notices.sentence(Notice(kind=kind, numbers=numbers(kind, other=name))) != whole, name
    of_run = notices.sentence(Notice(kind=kind, numbers={**numbers(kind), "of_run": "z"}))
    assert of_run == f"Run z: {whole}"


def compared(tree: ast.AST) -> Iterator[str]:
    """The texts that a test compares with something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert | ast.Compare):
            yield from (inner.value for inner in ast.walk(node)
                        if isinstance(inner, ast.Constant) and isinstance(inner.value, str))


def test_every_kind_is_seen_to_be_made() -> None:
    """By its name, or by a part of its sentence; a notice that the test itself has made shows nothing."""
    inside = {kind: [node.value for node in ast.walk(SAID[kind]) if isinstance(node, ast.Constant)
                     and isinstance(node.value, str)] for kind in KINDS}
    seen: set[str] = set()
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        if path != Path(__file__):
            for text in compared(ast.parse(path.read_text("utf-8"))):
                seen |= {kind for kind in KINDS if text == kind or (
                    len(text) > 10 and any(text in part for part in inside[kind]))}
    assert set(KINDS) - seen == set()


def test_many_of_a_kind_are_a_few_lines_where_there_is_little_room() -> None:
    many = [Notice(kind="suite-problem", numbers={"text": f"odd_{n}.py:3: cannot be imported"}) for n in range(312)]
    report = samples.report([], notices=(Notice(kind="sibling"), *many))
    plain = text.render(report)
    assert plain.count("cannot be imported") == notices.FEW and "307 more of this kind" in plain
    assert "shares its core" in plain
    assert text.render(report, verbose=True).count("cannot be imported") == 312
    folded = markdown.render(report).split("<summary>307 more warnings</summary>")
    assert [part.count("cannot be imported") for part in folded] == [notices.FEW, 307]
    page = as_html.render(report).split("307 more warnings")
    assert [part.count("cannot be imported") for part in page] == [notices.FEW, 307]
