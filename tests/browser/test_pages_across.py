"""The pages that look across runs, builds and benchmarks in a real browser, from disk: what one can do with them."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Sight, address, follow


@pytest.mark.parametrize("sight", [{"java_script_enabled": False}], indirect=True)
def test_without_scripts_there_is_a_table(sight: Sight, across: Path) -> None:
    page = sight.show(across / "compare.html")
    assert page.locator("#rows tbody tr").count() == 41
    assert page.locator("#choose").is_hidden() and page.locator("noscript").is_visible()
    page = sight.show(across / "benchmarks" / "index.html")
    assert page.locator("#index tbody tr:not(.group)").count() == 41


def rows(page: Any) -> list[list[str]]:
    return [row.locator("th, td").all_inner_texts() for row in page.locator("#rows tbody tr:visible").all()]


def ready(page: Any) -> None:
    page.wait_for_function("document.querySelector('#narrow output').textContent.includes('shown')")


def test_the_script_says_what_the_page_said(sight: Sight, across: Path) -> None:
    """One rule, written in two languages: through the anchor, of the two newest builds."""
    text = (across / "compare.html").read_text()
    body = text.split("<tbody>")[1].split("</tbody>")[0]
    cells = [html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", body)]
    said = [cells[at : at + 3] for at in range(0, len(cells), 3)]
    page = sight.show(across / "compare.html")
    ready(page)
    assert sorted(rows(page)) == sorted(said) and len(said) == 41
    assert page.locator("#summary").inner_text() == re.search(r'id="summary"[^>]*>([^<]*)', text)[1]  # type: ignore[index]
    assert sight.errors == []


def chosen(sight: Sight, across: Path, base: str, head: str, find: str = "") -> Any:
    """The page that compares any two builds, with these two; `find` is asked for before."""
    page = sight.show(across / "compare.html")
    ready(page)
    form = page.locator("#choose")
    if find:
        form.get_by_label("Find a build").fill(find)
    form.get_by_label("Base").select_option(base)
    form.get_by_label("Head").select_option(head)
    return page


def test_two_builds_are_compared_swapped_and_kept_in_the_address(sight: Sight, across: Path) -> None:
    page = chosen(sight, across, "night-2 (3.13.5)", "night-9 (3.13.5)")
    page.wait_for_function("document.querySelector('#summary').textContent.includes('looks slower or more in 4')")
    assert page.locator("#command").inner_text() == "lockstep ab night-2 night-9 --suite /suite"
    first = rows(page)[0]
    assert first[1].startswith("1.03") and first[2] == "looks slower"
    page.get_by_role("button", name="Swap").click()
    page.wait_for_function("document.querySelector('#summary').textContent.includes('looks faster or less in 4')")
    assert rows(page)[0][1].startswith(("0.96", "0.97"))
    page.locator("#narrow").get_by_label("changed only").check()
    assert len(rows(page)) == 4 and "changed=1" in address(page)
    before = rows(page)
    page.reload()
    ready(page)
    page.wait_for_function("document.querySelector('#summary').textContent.includes('looks faster or less in 4')")
    assert rows(page) == before
    assert sight.errors == [] and sight.strangers() == []


def test_a_run_of_the_two_goes_before_their_anchor(sight: Sight, across: Path) -> None:
    page = chosen(sight, across, "cpython@3.14.0", "cpython@3.10.4", find="3.1")
    page.wait_for_function("document.querySelector('#how').textContent.includes('Measured against each other')")
    assert "the other way round" in page.locator("#how").inner_text()
    first = rows(page)[0]
    assert first[1].startswith("0.8") and first[2] in ("faster", "less")
    follow(page.locator("#how a"))
    assert "/runs/" in page.url and sight.errors == []


def test_builds_without_common_ground_are_said_to_have_none(sight: Sight, across: Path) -> None:
    page = chosen(sight, across, "night-1 (3.13.5)", "cpython@3.14.0")
    page.wait_for_function("document.querySelector('#summary').textContent.includes('cannot be compared')")
    assert rows(page) == []
    assert "lockstep ab night-1 cpython@3.14.0" in page.locator("#command").inner_text()

def test_an_anchor_that_changed_is_got_over_by_a_run_of_the_two(sight: Sight, across: Path) -> None:
    page = chosen(sight, across, "early (3.13.5)", "late (3.13.5)")
    page.wait_for_function("document.querySelector('#how').textContent.includes('old anchor')")
    told = page.locator("#how").inner_text()
    assert "Through old anchor (3.13.5) and new anchor (3.13.5), with" in told
    by_name = {name: number for name, number, _ in rows(page)}
    # 0.04 from early to its anchor back, 0.1 from the old to the new one, 0.02 from there.
    first = float(by_name["work.Case0.time_it(size=1KiB)"].split()[0])
    assert abs(first - 2.718281828 ** (-0.04 + 0.1 + 0.02)) < 0.004
    assert sight.errors == []


def test_a_benchmark_is_found_in_the_index(sight: Sight, across: Path) -> None:
    page = sight.show(across / "benchmarks" / "index.html")
    visible = page.locator("#index tbody tr:visible:not(.group)")
    assert visible.count() == 41
    page.get_by_role("searchbox").fill("case7")
    assert visible.count() == 4 and page.locator("#index tr.group:visible").count() == 1
    assert "4 of 41 shown" in page.locator("output").inner_text()
    page.reload()
    assert visible.count() == 4 and "q=case7" in address(page)
    page.get_by_role("searchbox").fill("")
    page.get_by_label("changed only").check()
    assert 0 < visible.count() < 41
    follow(visible.locator("a").first)
    assert "/benchmarks/work." in page.url and sight.errors == []


def test_an_event_leads_to_its_run_and_its_commit(sight: Sight, across: Path) -> None:
    page = sight.show(across / "events" / "index.html")
    follow(page.locator("#regressions-table tbody th a"))
    assert "/events/main-" in page.url
    link = page.locator(".commit a").first
    assert link.get_attribute("href") == f"https://example.org/commit/{'2' * 40}"
    assert "Change <b>2</b>" in page.locator(".facts").inner_text()
    follow(page.locator(".facts a[href*='runs/']"))
    assert "/runs/" in page.url and sight.errors == []
