"""The four kinds of page in a real browser, from disk: they work, alone, for whoever reads them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ARTIFACTS, Sight

# Contrast of every piece of text with what is behind it: WCAG 2.1, 1.4.3.
CONTRAST = """() => {
  const channel = (v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = [];
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !parent.getClientRects().length) continue;
    if (parent.closest("script,.unseen,.skip")) continue;
    const style = getComputedStyle(parent);
    const ink = parse(parent.closest("svg") ? style.fill : style.color);
    const [a, b] = [light(ink), light(behind(parent))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push([walker.currentNode.data.trim(), (a + .05) / (b + .05)]);
  }
  return poor;
}"""


def pages(site: Path) -> dict[str, Path]:
    """One of each kind, and the report that every run has of its own."""
    return {
        "overview": site / "index.html", "runs": site / "runs" / "index.html", "trust": site / "trust.html",
        "comparison": max(path for path in (site / "runs").glob("2*.html")),
        "report": site.parent / "report.html",
        "benchmark": next(iter(sorted((site / "benchmarks").glob("work.Case0*1KiB*.html")))),
    }


KINDS = ("overview", "runs", "comparison", "benchmark", "trust", "report")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "sight", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_a_page_works_from_disk_and_alone(
    sight: Sight, site: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    page = sight.show(pages(site)[kind])
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    assert (sight.errors, sight.strangers()) == ([], [])
    assert page.evaluate(CONTRAST) == []
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{kind}-{request.node.callspec.id.split('-')[0]}.png", full_page=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sight", [{"viewport": {"width": 390, "height": 844}, "is_mobile": True}], indirect=True)
def test_a_page_fits_a_phone(sight: Sight, site: Path, kind: str) -> None:
    page = sight.show(pages(site)[kind])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.screenshot(path=ARTIFACTS / f"{kind}-phone.png")


def names(page: Any) -> list[str]:
    """The benchmarks that are shown, from top to bottom."""
    return list(page.locator("#benchmarks tbody tr:visible th").all_inner_texts())


def test_sorting_is_in_the_address_and_restored(sight: Sight, site: Path) -> None:
    page = sight.show(pages(site)["comparison"])
    for state in ("skipped", "only in base", "failed"):  # without numbers they come last in either order
        page.get_by_role("checkbox", name=re.compile(f"^{state}")).uncheck()
    first = names(page)
    heading = page.get_by_role("button", name="base", exact=True)
    heading.click()
    ascending = names(page)
    assert ascending != first and sorted(ascending) == sorted(first)
    assert "benchmarks.sort=base.ascending" in page.url
    heading.click()
    assert names(page)[0] == ascending[-1] and "base.descending" in page.url
    assert page.locator("th[data-column=base]").get_attribute("aria-sort") == "descending"
    page.reload()
    assert names(page)[0] == ascending[-1]
    page.get_by_role("button", name="base", exact=True).click()
    assert names(page) == first and "sort" not in page.url
    assert sight.errors == []


def test_filtering_is_in_the_address_and_restored(sight: Sight, site: Path) -> None:
    page = sight.show(pages(site)["comparison"])
    everything = names(page)
    page.get_by_role("searchbox").fill("Case2")
    some = names(page)
    assert 0 < len(some) < len(everything) and all("Case2" in name for name in some)
    assert f"{len(some)} of {len(everything)} shown" in page.locator("output").inner_text()
    page.get_by_role("searchbox").fill("")
    page.get_by_role("checkbox", name="same").uncheck()
    changed = names(page)
    assert 0 < len(changed) < len(everything)
    page.reload()
    assert names(page) == changed
    assert not page.get_by_role("checkbox", name="same").is_checked()
    assert sight.errors == []


@pytest.mark.parametrize("kind", ["comparison", "report"])
def test_states_are_filtered_by_one_by_one(sight: Sight, site: Path, kind: str) -> None:
    page = sight.show(pages(site)[kind])
    everything = names(page)
    hidden = {}
    for state in ("not reached", "skipped", "only in base", "failed"):
        box = page.get_by_role("checkbox", name=re.compile(f"^{state}"))
        box.uncheck()
        hidden[state] = len(everything) - len(names(page))
        if state == "not reached":
            page.reload()
            assert not box.is_checked() and len(names(page)) == len(everything) - hidden[state]
        box.check()
    assert hidden == {"not reached": 3, "skipped": 4, "only in base": 1, "failed": 5}
    reasons = page.locator("section[aria-labelledby=not-compared]").inner_text()
    assert "not for <b>this</b> size" in reasons and "work.py:7, in time_it" in reasons
    assert sight.errors == []


def test_the_keyboard_reaches_everything(sight: Sight, site: Path) -> None:
    page = sight.show(pages(site)["comparison"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert page.locator(".skip").bounding_box()["x"] >= 0, "it is seen when it has the focus"
    page.keyboard.press("Enter")
    page.get_by_role("button", name="verdict").focus()
    page.keyboard.press("Enter")
    assert "benchmarks.sort=verdict.ascending" in page.url
    unreachable = page.evaluate(
        "[...document.querySelectorAll('a[href], button, input, summary')].filter((e) => e.tabIndex < 0).length")
    assert unreachable == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_screen_reader_finds_its_way(sight: Sight, site: Path, kind: str) -> None:
    """What axe-core can tell of it: names and roles, tables' headings, the order of headings, labels."""
    found = Axe().run(sight.show(pages(site)[kind])).response
    problems = [(one["id"], node["html"]) for one in found["violations"] for node in one["nodes"]]
    assert problems == []
    assert len(found["passes"]) > 15, "it has looked"


def test_names_that_are_html_are_text(sight: Sight, site: Path) -> None:
    for path in (site / "index.html", *pages(site).values(), *site.glob("benchmarks/*img*.html")):
        sight.show(path)
    assert sight.errors == []
    page = sight.show(pages(site)["comparison"])
    assert "<script>alert(2)</script>" in page.locator("h1").inner_text()
    assert page.locator("img").count() == 0


def test_a_name_leads_to_its_history_and_back(sight: Sight, site: Path) -> None:
    page = sight.show(site / "index.html")
    page.locator("#changes tbody th a").first.click()
    assert "/benchmarks/" in page.url
    page.locator("#runs-1 tbody th a").first.click()
    assert "/runs/" in page.url
    page.get_by_role("link", name="Overview").click()
    assert page.url.endswith("index.html") and sight.errors == []


def test_a_command_is_copied(chromium: Any, site: Path, served: Any) -> None:
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    comparison = pages(site)["comparison"]
    page.goto(f"{served(site)}/runs/{comparison.name}")
    page.locator("p.command button").first.click()
    whole = page.locator("p.command code").first.inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == whole
    row = page.locator("#benchmarks tbody tr").first
    row.get_by_role("button").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).includes(' -b ')")
    copied = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert copied[: len(shlex.split(whole))] == shlex.split(whole)
    assert re.fullmatch(copied[-1], row.locator("th").inner_text())
    context.close()
