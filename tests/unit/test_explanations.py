"""What is kept of explanations in a run's folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.errors import UsageError
from runner.report import explain
from runner.storage import explanations
from runner.storage.explanations import Count, Kept


def kept(key: str, text: str = "more work") -> Kept:
    return Kept(key=key, text=text, notes=(), work=(Count(name="instructions", base=100.0, head=4100.0),),
                functions=(Count(name="memcpy (libc.so.6)", base=0.0, head=4000.0),))


def test_what_is_explained_later_stands_beside_and_takes_the_place_of_the_same(tmp_path: Path) -> None:
    assert explanations.read(tmp_path) == ()
    explanations.add(tmp_path, [kept("a"), kept("b")])
    explanations.add(tmp_path, [kept("a", "less"), kept("c")])
    assert [(one.key, one.text) for one in explanations.read(tmp_path)] == [
        ("a", "less"), ("b", "more work"), ("c", "more work")]
    assert [path.name for path in tmp_path.iterdir()] == [explanations.FILE]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "lockstep.explanation/1", "benchmarks": [{"key": 1}]}'])
def test_a_file_that_is_none_of_ours_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / explanations.FILE).write_text(content)
    with pytest.raises(UsageError, match=r"explanation\.json is not an explanation that Lockstep wrote"):
        explanations.add(tmp_path, [kept("a")])
    assert (tmp_path / explanations.FILE).read_text() == content


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / explanations.FILE).write_text('{"schema": "lockstep.explanation/2"}')
    with pytest.raises(UsageError, match=r"this version of Lockstep reads lockstep\.explanation/1"):
        explanations.read(tmp_path)


def test_a_page_shows_it_as_the_terminal_does() -> None:
    told = explain.told(kept("a"), "#b0")
    assert told.work == [("instructions", "100", "4,100", "+4,000")]
    assert told.functions == [("memcpy (libc.so.6)", "0", "4,000", "+4,000")] and told.link == "#b0"
