"""The pages of runs and benchmarks in a real browser, from disk: what one can do with them."""

from __future__ import annotations

import math
import random
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, Sight, address, follow
from made_sites import PAGES, place

from runner.report import quantities


def names(page: Any, table: str = "benchmarks") -> list[str]:
    """The benchmarks that are shown, from top to bottom."""
    return list(page.locator(f"#{table} tbody tr:visible th").all_inner_texts())


def test_sorting_is_in_the_address_and_restored(sight: Sight, site: Path) -> None:
    page = sight.show(place(site, "comparison"))
    for state in ("skipped", "only in base", "failed"):  # without numbers they come last in either order
        page.get_by_role("checkbox", name=re.compile(f"^{state}")).uncheck()
    first = names(page)
    heading = page.get_by_role("button", name="base", exact=True)
    heading.click()
    ascending = names(page)
    assert ascending != first and sorted(ascending) == sorted(first)
    assert "benchmarks.sort=base.ascending" in address(page)
    heading.click()
    assert names(page)[0] == ascending[-1] and "base.descending" in address(page)
    assert page.locator("th[data-column=base]").get_attribute("aria-sort") == "descending"
    page.reload()
    assert names(page)[0] == ascending[-1]
    page.get_by_role("button", name="base", exact=True).click()
    assert names(page) == first and "sort" not in address(page)
    assert sight.errors == []


def test_filtering_is_in_the_address_and_restored(sight: Sight, site: Path) -> None:
    page = sight.show(place(site, "comparison"))
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
    page = sight.show(place(site, kind))
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
    page = sight.show(place(site, "comparison"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    assert page.locator(".skip").bounding_box()["x"] >= 0, "it is seen when it has the focus"
    page.keyboard.press("Enter")
    page.get_by_role("button", name="verdict").focus()
    page.keyboard.press("Enter")
    assert "benchmarks.sort=verdict.ascending" in address(page)


def test_names_that_are_html_are_text(sight: Sight, site: Path) -> None:
    for kind, (whose, _) in PAGES.items():
        if whose == "site":
            sight.show(place(site, kind))
    for path in site.glob("benchmarks/*img*.html"):
        sight.show(path)
    assert sight.errors == []
    page = sight.show(place(site, "comparison"))
    assert "<script>alert(2)</script>" in page.locator("h1").inner_text()
    assert page.locator("img").count() == 0


def test_a_name_leads_to_its_history_and_back(sight: Sight, site: Path) -> None:
    page = sight.show(site / "index.html")
    follow(page.locator("#changes tbody th a").first)
    assert "/benchmarks/" in page.url
    follow(page.locator("#runs-1 tbody th a").first)
    assert "/runs/" in page.url
    follow(page.get_by_role("link", name="Overview"))
    assert page.url.endswith("index.html") and sight.errors == []


def test_a_command_is_copied(chromium: Any, site: Path, served: Any) -> None:
    context = chromium.new_context(permissions=["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    comparison = place(site, "comparison")
    page.goto(f"{served(site)}/runs/{comparison.name}")
    page.locator("p.command button").first.click()
    whole = page.locator("p.command code").first.inner_text()
    page.wait_for_function("async (whole) => await navigator.clipboard.readText() === whole", arg=whole)
    row = page.locator("#benchmarks tbody tr").first
    row.get_by_role("button").click()
    page.wait_for_function("async () => (await navigator.clipboard.readText()).includes(' -b ')")
    copied = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert copied[: len(shlex.split(whole))] == shlex.split(whole)
    assert re.fullmatch(copied[-1], row.locator("th").inner_text())
    context.close()


@pytest.mark.parametrize("kind", ["comparison", "report"])
def test_the_answer_comes_first_and_each_cell_leads_to_its_benchmark(sight: Sight, site: Path, kind: str) -> None:
    page = sight.show(place(site, kind))
    tops = [page.locator(place).first.bounding_box()["y"] for place in ("table.picture", "#changed", "#benchmarks")]
    assert tops == sorted(tops) and tops[0] < 900, "it is on the first screen"
    cell = page.get_by_role("link", name=re.compile(r"^work\.Case0\.time_it\(size=1KiB\): "))
    assert cell.count() == 1
    if kind == "comparison":
        follow(cell)
        assert "/benchmarks/work.Case0" in page.url
    else:
        cell.click()
        assert address(page).endswith(cell.get_attribute("href"))
    assert sight.errors == []


@pytest.mark.parametrize("kind", ["overview", "comparison", "report"])
def test_nothing_is_cut_off_at_1280_pixels(sight: Sight, site: Path, kind: str) -> None:
    page = sight.show(place(site, kind))
    for region in page.locator("div.wide:visible").all():
        wide, seen = region.evaluate("(e) => [e.scrollWidth, e.clientWidth]")
        assert wide <= seen + 1, region.get_attribute("aria-label")


def test_filters_are_in_the_address_and_restored(sight: Sight, site: Path) -> None:
    page = sight.show(place(site, "comparison"))
    everything = names(page)
    page.get_by_role("checkbox", name="changed only").check()
    changed = names(page)
    assert 0 < len(changed) < len(everything) and "benchmarks.changed=yes" in address(page)
    page.get_by_role("checkbox", name="changed only").uncheck()
    page.get_by_label("At least").fill("3")
    large = names(page)
    assert 0 < len(large) <= len(changed) and "benchmarks.least=3" in address(page)
    page.reload()
    assert names(page) == large and page.get_by_label("At least").input_value() == "3"
    page.get_by_label("At least").fill("")
    assert names(page) == everything and "least" not in address(page)
    assert sight.errors == []


def test_runs_are_chosen_by_machine_and_sorted_by_numbers(sight: Sight, site: Path) -> None:
    page = sight.show(place(site, "runs"))
    everything = names(page, "runs")
    page.locator("#main form select[name=machine]").select_option(index=1)
    some = names(page, "runs")
    assert 0 < len(some) < len(everything) and "runs.machine=" in address(page)
    page.reload()
    assert names(page, "runs") == some
    page.locator("#main form select[name=machine]").select_option(index=0)
    page.get_by_role("button", name="geometric mean").click()
    texts = page.locator("#runs tbody tr td:last-child").all_inner_texts()
    means = [float(text.split()[0]) for text in texts if text != "–"]
    assert means == sorted(means) and sight.errors == []


def test_a_click_on_a_name_does_not_clear_the_filter_and_back_leads_back(sight: Sight, site: Path) -> None:
    page = sight.show(place(site, "report"))
    page.get_by_role("searchbox").fill("Case2")
    some = names(page)
    page.locator("#benchmarks tbody tr:visible th a").first.click()
    assert names(page) == some and page.get_by_role("searchbox").input_value() == "Case2"
    assert "benchmarks.q=Case2" in address(page) and "at=b" in address(page)
    opened = page.locator("details[data-section][open]")
    assert opened.count() == 1 and opened.locator("summary").evaluate("(e) => e === document.activeElement")
    page.go_back()
    page.wait_for_function("!location.hash.includes('at=')")
    assert names(page) == some and "at=" not in address(page)
    page.go_forward()
    page.reload()
    assert names(page) == some and page.locator("details[data-section][open]").count() == 1
    hidden = page.locator("details[data-section][hidden]").first.get_attribute("id")
    page.evaluate(f"location.hash = '#{hidden}'")
    page.wait_for_function(f"!document.getElementById('{hidden}').hidden")
    assert sight.errors == []


def test_what_a_page_works_out_itself_is_written_as_in_the_tables(sight: Sight, site: Path) -> None:
    rng = random.Random(9)
    numbers = [1.0, 0.0, 0.1, 9.9996, 10.0, 99.96, 999.6, 999_999.7, 1e9]
    numbers += [1.0625, 1.1875, 1.125, 12.25, 12.75, 100.5, 101.5, 1250.5]  # half way between two that could be written
    numbers += [10 ** rng.uniform(-11, 11) for _ in range(300)]
    numbers += [1 + rng.choice((-1, 1)) * 10 ** rng.uniform(-8, -1) for _ in range(300)]
    rows = [(one, one * math.exp(-width), one * math.exp(width)) for one in numbers
            for width in (0.0, 10 ** rng.uniform(-6, 1))]
    page = sight.show(place(site, "benchmark"))
    assert page.evaluate("rows => rows.map((row) => lockstepNumbers.ratio(...row))", rows) == [
        quantities.ratio(*row) for row in rows]
    assert page.evaluate("all => all.map((one) => lockstepNumbers.ratio(one))", numbers) == [
        quantities.ratio(one) for one in numbers]
    up = [one for one in numbers if one >= 1]
    assert page.evaluate("all => all.map((one) => lockstepNumbers.factor(one))", up) == [
        quantities.factor(one) for one in up]


def test_a_chart_takes_the_place_of_the_figure_and_tells_of_each_run(sight: Sight, site: Path) -> None:
    page = sight.show(place(site, "benchmark"))
    assert page.locator("#chart-1 canvas").count() == 1 and not page.locator("#figure-1").is_visible()
    drawn = page.evaluate("""() => {
      const canvas = document.querySelector("#chart-1 canvas");
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const colours = new Set();
      for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3]) colours.add(pixels.slice(i, i + 3).join());
      return colours.size;
    }""")
    assert drawn > 5, "text, lines and shapes"
    plot = page.locator("#chart-1 .plot")
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 100)
    told = page.locator("#chart-1 output")
    page.wait_for_function("document.querySelector('#chart-1 output').textContent")
    words = r"night-\d+, 20\d\d-\d\d-\d\d \d\d:\d\d: [\d.]+ \[[\d.]+, [\d.]+\], .+, head .+ [mµ]?s"
    assert re.fullmatch(words, told.inner_text())
    plot.focus()
    page.keyboard.press("End")
    last = told.inner_text()
    page.keyboard.press("ArrowLeft")
    assert told.inner_text() != last
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs/*.html")
    assert sight.errors == [] and sight.strangers() == []


def test_a_chart_is_zoomed_and_its_axes_are_chosen_in_the_address(sight: Sight, site: Path) -> None:
    page = sight.show(place(site, "benchmark"))
    drawn = "document.querySelector('#chart-1 canvas').toDataURL()"
    before = page.evaluate(drawn)
    page.locator("#chart-1 select").first.select_option("log")
    page.locator("#chart-1 select").last.select_option("date")
    assert "chart-1.scale=log" in address(page) and "chart-1.x=date" in address(page)
    box = page.locator("#chart-1 .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 60, steps=4)
    page.mouse.up()
    page.wait_for_function("location.hash.includes('chart-1.from=')")
    first, last = page.locator("#chart-1 input").first.input_value(), page.locator("#chart-1 input").last.input_value()
    assert first < last
    page.reload()
    assert page.locator("#chart-1 select").first.input_value() == "log"
    assert [page.locator("#chart-1 input").nth(n).input_value() for n in (0, 1)] == [first, last]
    page.get_by_role("button", name="All runs").click()
    assert "from=" not in address(page)
    page.locator("#chart-1 select").first.select_option("ratio")
    page.locator("#chart-1 select").last.select_option("run")
    assert address(page).endswith(".html") and page.evaluate(drawn) == before
    assert sight.errors == []


def test_without_scripts_there_is_the_figure(chromium: Any, site: Path) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(place(site, "benchmark").as_uri())
    assert page.locator("#figure-1 svg").is_visible() and not page.locator("#chart-1").is_visible()
    page.goto(place(site, "report").as_uri())
    assert page.locator("table.picture").first.is_visible() and page.locator("#benchmarks tbody tr").count() > 20
    context.close()


def test_a_run_leads_to_its_own_report_and_has_what_explain_found(sight: Sight, site: Path) -> None:
    page = sight.show(place(site, "comparison"))
    assert "<img src=x onerror=alert(3)>" in page.locator("section[aria-labelledby=explained]").inner_text()
    follow(page.get_by_role("link", name="The report that was written when the run ended"))
    assert page.url.endswith(".report.html") and page.locator("details[data-section]").count() > 20
    assert sight.errors == [] and sight.strangers() == []
