from __future__ import annotations

import html
import re
from collections.abc import Callable

import pytest
import report_samples as samples
from markdown_it import MarkdownIt

from runner.model import Arm, Failure, Verdict
from runner.report import markdown, words


def _rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def test_golden(golden: Callable[[str, str], None]) -> None:
    golden("report.md", markdown.render(samples.report()))


def test_every_row_of_a_table_has_its_cells() -> None:
    """A pipe or a backtick of the suite's would move what is right of it."""
    rendered = _rendered(markdown.render(samples.report()))
    shown = {}
    for table in re.findall(r"<table>.*?</table>", rendered, re.DOTALL):
        head, *rows = [
            [html.unescape(re.sub(r"</?code>", "", cell)) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        ]
        # A row with too many cells loses the last ones, and one with too few gets empty ones.
        assert all(len(row) == len(head) and all(row) for row in rows)
        shown |= {row[0]: (head[-1], row[-1]) for row in rows}
    for one in (one for one in samples.every_kind() if one.compared and one.reached):
        column, last = shown[" ".join(one.key.split())]
        assert last.endswith({"verdict": words.verdict, "reason": words.failure, "to settle it": words.to_settle}[
            column](one)), one.key


def test_hostile_names_are_shown_as_text() -> None:
    rendered = _rendered(markdown.render(samples.report()))
    assert "<script" not in rendered and "<b>" not in rendered and "<i>" not in rendered and "<u>" not in rendered
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in rendered


@pytest.mark.parametrize("text", [
    "a|b", "`", "a`b", "\\", "a\\|b", "<i>", "&amp;", "*x*", "a_b_c", "``|``", "[a](b)", "~~x~~", "a@b",
])
def test_code_and_escape_show_exactly_the_text(text: str) -> None:
    for escape in (markdown.code, markdown.escape):
        rendered = _rendered(f"| a | b |\n| --- | --- |\n| {escape(text)} | x |")
        cell = re.findall(r"<td>(.*?)</td>", rendered)[0]
        shown = re.sub(r"</?code>", "", cell)
        assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&") == text


def test_a_fence_in_a_failures_output_does_not_end_the_code_block() -> None:
    failed = samples.comparison("a", Verdict.FAILED, failure=Failure(
        reason="raised X", arm=Arm.HEAD, detail="```\n<img src=x>\n````\nend"))
    assert "<img" not in _rendered(markdown.render(samples.report([failed])))


def test_nobody_is_mentioned() -> None:
    failed = samples.comparison("a", Verdict.FAILED, failure=Failure(reason="raised X: @someone", arm=None))
    text = markdown.render(samples.report([failed]))
    assert not re.search(r"(?<!`)@someone", re.sub(r"`[^`\n]*`", "", text))
