"""Every warning that the program makes has a sentence, and gives it all the numbers that it needs."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import report_samples as samples

import runner
from runner.model import Notice
from runner.report import as_html, markdown, notices, text

ROOT = Path(runner.__file__).parent


def produced() -> dict[str, list[tuple[str, set[str] | None]]]:
    """By kind, where a `Notice` is made and the names of its numbers; None where they are not written out there."""
    found: dict[str, list[tuple[str, set[str] | None]]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", None) != "Notice":
                continue
            given = {word.arg: word.value for word in node.keywords}
            place = f"{path.relative_to(ROOT)}:{node.lineno}"
            kinds = [part.value for part in ast.walk(given["kind"]) if isinstance(part, ast.Constant)]
            assert kinds, f"{place}: the kind is not written out"
            for kind in kinds:
                found[str(kind)].append((place, _names(given.get("numbers"))))
    return dict(found)


def _names(numbers: ast.expr | None) -> set[str] | None:
    if numbers is None:
        return set()
    if isinstance(numbers, ast.Dict) and all(isinstance(key, ast.Constant) for key in numbers.keys):
        return {str(key.value) for key in numbers.keys if isinstance(key, ast.Constant)}
    return None


PRODUCED = produced()


class Asked(Mapping[str, Any]):
    """Numbers for any sentence, which remember what was asked for."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return {"reading": "load", "between": "calls"}.get(name, 2)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_the_program_makes_notices() -> None:
    assert len(PRODUCED) > 30 and {"steal", "no-ratio", "suite-problem", "budget"} <= set(PRODUCED)


def test_every_kind_that_is_made_has_a_sentence_and_no_sentence_is_for_nothing() -> None:
    assert set(PRODUCED) == set(notices.KINDS)


@pytest.mark.parametrize("kind", sorted(PRODUCED))
def test_whoever_makes_a_notice_gives_it_the_numbers_of_its_sentence(kind: str) -> None:
    asked = Asked()
    said = notices.KINDS[kind](asked)
    assert len(said) > 20 and not said.startswith(kind.replace("-", " ") + ":")
    for place, names in PRODUCED[kind]:
        assert names is None or asked.names <= names, f"{place} does not give {asked.names - names}"


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
