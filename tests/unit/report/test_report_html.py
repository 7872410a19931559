from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
import report_samples as samples

from runner.judging.report import STATES
from runner.model import Verdict
from runner.report import as_html, run_page, site, words

VOID = {"meta", "input", "br", "wbr", "img", "link", "hr"}


class Page(HTMLParser):
    """What a browser would find: elements, ids, references, text; and whether all tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else, near line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text.setdefault(self.open[-1], []).append(data)


@pytest.fixture(scope="module")
def rendered() -> str:
    return as_html.render(samples.report())


@pytest.fixture(scope="module")
def page(rendered: str) -> Page:
    return Page(rendered)


def test_every_tag_is_closed_in_order(page: Page) -> None:
    assert page.open == []


def test_nothing_is_loaded_from_anywhere(rendered: str, page: Page) -> None:
    assert "http:" not in rendered and "https:" not in rendered and "@import" not in rendered
    for tag, attributes in page.tags:
        assert not attributes.keys() & {"src", "srcset", "action", "data", "xlink:href"}, tag
        assert (attributes.get("href") or "#").startswith("#")
    assert all(reference.startswith("#") for reference in re.findall(r"url\(([^)]*)\)", rendered))


def test_ids_are_unique_and_every_reference_has_its_target(rendered: str, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {(attributes.get("href") or "")[1:] for _, attributes in page.tags if attributes.get("href")}
    used |= set(re.findall(r"url\(#([^)]*)\)", rendered))
    used |= {attributes["aria-labelledby"] or "" for _, attributes in page.tags if "aria-labelledby" in attributes}
    assert used <= set(ids)


def test_every_benchmark_has_a_row_and_a_section(page: Page) -> None:
    links = "".join(page.text["a"]) + "".join(page.text["span"])
    rows = [attributes for tag, attributes in page.tags if tag == "tr" and "data-verdict" in attributes]
    details = [attributes for tag, attributes in page.tags if tag == "details" and "data-section" in attributes]
    assert len(rows) == len(details) == len(samples.every_kind())
    for comparison in samples.every_kind():
        assert links.count(comparison.key) >= 2


def test_states_are_filtered_by_and_counted_apart(page: Page) -> None:
    boxes = {attributes["value"] for tag, attributes in page.tags if attributes.get("name") == "verdict"}
    rows = Counter(attributes["data-verdict"] for tag, attributes in page.tags if "data-verdict" in attributes)
    assert boxes == set(rows) == {state.replace(" ", "-") for state in STATES}
    assert (rows["not-reached"], rows["undecided"], rows["skipped"], rows["only-in-base"]) == (1, 2, 6, 1)


def test_hostile_text_is_shown_as_text(rendered: str, page: Page) -> None:
    assert rendered.count("<script>") == 1
    assert "alert" not in "".join(page.text["script"])
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"b", "i", "u", "img"}
    assert samples.TRACEBACK in "".join(page.text["pre"])


def test_a_hostile_spec_stays_in_the_title(rendered: str) -> None:
    base = {"spec": "</title><script>alert(2)</script>", "version": "3"}
    page = Page(as_html.render(samples.report([], base=base)))
    assert "alert(2)" in "".join(page.text["title"])


def test_measured_benchmarks_have_a_figure_and_exact_ones_do_not(page: Page) -> None:
    drawn = sum(len(c.log_ratios) > 1 and not c.exact for c in samples.every_kind())
    figures = [attributes["class"] for tag, attributes in page.tags if tag == "svg"]
    assert figures.count("strip") == drawn and figures.count("strip forest") == 1


def test_a_report_without_benchmarks_and_one_without_ratios_are_pages_too() -> None:
    assert Page(as_html.render(samples.report([], mean=None))).open == []
    failed = samples.report([samples.comparison("a", Verdict.FAILED)], mean=None)
    assert "svg" not in {tag for tag, _ in Page(as_html.render(failed)).tags}


def test_blocks_that_came_after_a_look_are_told_apart() -> None:
    one = samples.measured("a.time_it", Verdict.UNDECIDED, 1.009, 0.1, blocks=70, needed=80)
    assert dict(as_html._facts(one))["blocks"].endswith(" of machine time")
    told = dict(as_html._facts(replace(one, blocks=40)))
    assert told["blocks"].startswith("70, ") and told["blocks"].endswith("; the verdict rests on 40")
    assert told["to settle it"] == "about 80 blocks in all, 4.5 s more"


def test_the_same_report_gives_the_same_page(rendered: str) -> None:
    assert as_html.render(samples.report()) == rendered


def test_a_figure_takes_little_room(rendered: str) -> None:
    figures = re.findall(r"<svg.*?</svg>", rendered, re.DOTALL)
    assert max(map(len, figures)) < 30_000


def test_what_came_from_nothing_is_the_largest_change_for_filters_and_sorting() -> None:
    assert (run_page.size(None, "slower") or 0) >= (run_page.size(1e9, "slower") or 0) > 1e3
    assert run_page.size(None, "undecided") is None and run_page.size(None, "failed") is None
    places = [float(run_page.sorting("slower", ratio=ratio)["verdict"]) for ratio in (None, 2.0, 1.1)]
    assert places == sorted(places)
    assert run_page.sorting("undecided", ratio=None)["verdict"] == run_page.sorting("undecided", ratio=1.0)["verdict"]


@pytest.mark.parametrize(("changes", "said", "values"), [
    ({}, "1.20x slower", ("1.00 s", "1.20 s")),
    ({"clear": False}, "1.20x slower (not clear)", ("1.00 s", "1.20 s")),
    ({"metric": "track", "unit": "bytes", "exact": True, "ratio": math.nan, "base_value": 0.0, "head_value": 4096.0},
     "more, from 0 B", ("0 B", "4.00 KiB")),
    ({"metric": "track", "unit": "bytes", "exact": True, "ratio": 0.0, "base_value": 4096.0, "head_value": 0.0,
      "verdict": "faster"}, "less, down to 0 B", ("4.00 KiB", "0 B")),
    ({"metric": "track", "unit": "bytes", "exact": True, "ratio": 16777376 / 16777216, "base_value": 16777216.0,
      "head_value": 16777376.0}, "160 B more", ("16777216 B", "16777376 B")),
    ({"verdict": "undecided"}, "undecided", None),
])
def test_the_site_says_what_the_report_says(
    changes: dict[str, Any], said: str, values: tuple[str, str] | None
) -> None:
    row = {"verdict": "slower", "metric": "time", "unit": "s", "clear": True, "exact": False, "ratio": 1.2,
           "base_value": 1.0, "head_value": 1.2, **changes}
    assert site._verdict(row) == said
    if values is not None:
        assert tuple(one.replace(",", "") for one in words.values(site._changed(row))) == values
