"""From nothing to verdicts: a server and an agent are started, and somebody asks in the browser."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from conftest import Sight, follow

sys.path.insert(0, str(Path(__file__).parents[1] / "live"))

from requested import serving


def test_what_is_asked_for_in_the_browser_ends_as_a_page_with_verdicts(sight: Sight, tmp_path: Path) -> None:
    with serving(tmp_path / "service") as service:
        page = sight.show(f"{service.address}/requests/new")
        page.goto(f"{service.address}/login?next=/requests/new")
        page.get_by_label("Token").fill(service.token("ada", "request"))
        follow(page.get_by_role("button", name="Sign in"))
        page.goto(f"{service.address}/requests/new")
        page.get_by_label("Base: compare with").fill("cpython@3.13.5+nocow")
        page.get_by_label("Head: compare this").fill("cpython@3.13.5")
        page.get_by_label("Benchmarks").fill("FromBytes.time_construct.*1MiB")
        page.get_by_label("Budget").fill("15s")
        follow(page.get_by_role("button", name="Ask", exact=True))
        assert re.search(r"/requests/(?!new$)[A-Za-z0-9_-]+$", page.url), page.url
        request = page.url

        said = service.answer()

        link = page.get_by_role("link", name=re.compile("All verdicts"))
        for shown in (link, page.locator("#now .headline")):  # the page looks again by itself, until it has both
            shown.wait_for()
        assert page.url == request and "done" in page.locator("#now").inner_text(), said
        follow(link)
        rows = page.locator("#benchmarks tbody tr")
        assert rows.count() == 1
        assert "faster" in rows.first.inner_text()
        assert "construct.FromBytes.time_construct" in rows.first.inner_text()
        assert sight.errors == [] and sight.strangers() == []
