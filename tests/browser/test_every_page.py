"""What every page does in a real browser, from disk: it works, alone, for whoever reads it."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ARTIFACTS, Sight
from made_sites import PAGES, place

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

# Tables with no room between them: one under the other, and less than a line apart.
TIGHT = """() => {
  const tables = [...document.querySelectorAll("table")].filter((table) => table.getClientRects().length);
  return tables.slice(1).map((table, n) => [tables[n].getBoundingClientRect(), table.getBoundingClientRect()])
    .map(([one, next]) => next.top - one.bottom).filter((room) => room > -1 && room < 16);
}"""


def shown(sight: Sight, kind: str, request: pytest.FixtureRequest) -> Any:
    """The page of a kind, with all that its scripts do at first."""
    page = sight.show(place(request.getfixturevalue(PAGES[kind][0]), kind))
    page.wait_for_load_state("networkidle")
    return page


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_works_from_disk_and_alone_for_whoever_reads_it(
    sight: Sight, kind: str, request: pytest.FixtureRequest
) -> None:
    """In light and in dark; and by what axe-core can tell of names and roles, tables' headings, the order of headings
    and labels, for a screen reader and the keyboard."""
    page = shown(sight, kind, request)
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    assert page.evaluate(TIGHT) == []
    ARTIFACTS.mkdir(exist_ok=True)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate(CONTRAST) == [], scheme
        page.screenshot(path=ARTIFACTS / f"{kind}-{scheme}.png", full_page=True)
    assert (sight.errors, sight.strangers()) == ([], [])
    unreachable = page.evaluate("[...document.querySelectorAll('a[href], button, input, select, summary')]"
                                ".filter((e) => e.tabIndex < 0).map((e) => e.outerHTML)")
    assert unreachable == []
    found = Axe().run(page).response  # last: it asks for files of its own accord
    assert [(one["id"], node["html"]) for one in found["violations"] for node in one["nodes"]] == []
    assert len(found["passes"]) > 15, "it has looked"


@pytest.mark.parametrize("kind", PAGES)
@pytest.mark.parametrize("sight", [{"viewport": {"width": 390, "height": 844}, "is_mobile": True}], indirect=True)
def test_a_page_fits_a_phone(sight: Sight, kind: str, request: pytest.FixtureRequest) -> None:
    page = shown(sight, kind, request)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=ARTIFACTS / f"{kind}-phone.png")
