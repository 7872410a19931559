"""Nothing on a page is blocked by the policy of a server: each template is made into pages, and all are looked through.

The policy (`headers.POLICY`) knows no exception: an inline style or handler does nothing, and a browser
says so on its console alone.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import jinja2
import made_events
import pytest
from made_files import results
from made_runs import arm, make_charts, make_run, make_runs, some_benchmarks
from made_server import BROWSER, Client, Here, serving
from test_calibration import COPIES, stored_run
from test_served_pages import signed_in

from dashboards import pages
from runner import config
from runner.history import events
from runner.judging import calibration
from runner.storage import explanations, imports
from runner.storage.explanations import Count, Kept
from runner.storage.imports import Imported

TEMPLATES = {path.name for path in (pages.HERE / "templates").iterdir()}
SHARED = {"base.html.j2", "macros.html.j2", "history.html.j2"}
"""What pages are made with, and none."""
ALONE = {"report.html.j2"}
"""A run's own report: it is one file, and has a policy of its own (`site_files.ALONE`)."""
NOTHING_LOADED = {"base", "embed", "frame", "iframe", "object", "style"}


class Blocked(HTMLParser):
    """What of a page is neither run nor loaded under a policy without exceptions: `found`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: (value or "").strip() for name, value in attrs}
        self.found += [f"<{tag} {name}>" for name in given if name == "style" or name.startswith("on")]
        self.found += [f"<{tag} {name}>" for name, value in given.items() if value.lower().startswith("javascript:")]
        loads = ("src", "srcset", "action", "formaction", *(["href"] if tag in ("link", "use", "image") else []))
        self.found += [f"<{tag} {name}={given[name]}>" for name in loads if urlsplit(given.get(name, "")).netloc]
        # Data in a script element of another type is not run.
        inline = tag == "script" and "src" not in given and given.get("type") != "application/json"
        if inline or tag in NOTHING_LOADED:
            self.found.append(f"<{tag}>")


@pytest.mark.parametrize("text", [
    '<td style="text-align:right">', "<td STYLE=''>", "<p onclick=x>", '<img src="x" onerror="alert(1)">',
    "<svg onload>", "<style>p {}</style>", "<script>1</script>", '<script type="module">1</script>',
    '<a href=" JavaScript:x">', '<img src="https://example.org/x.png">', '<script src="//example.org/x.js"></script>',
    "<base href='/'>", "<iframe>", '<link rel="stylesheet" href="https://example.org/x.css">',
    '<form action="//example.org">',
])
def test_what_is_blocked_is_found(text: str) -> None:
    assert Blocked(text).found


@pytest.mark.parametrize("text", [
    '<td class="right">', '<script src="assets/x.js"></script>', "<form>",
    '<script type="application/json">{"style": "x"}</script>',
    '<a href="https://example.org/commit/1">style="x" onclick=</a>', '<link rel="icon" href="data:,">',
    '<td data-style="x">&lt;p style="x"&gt;',
])
def test_what_is_not_is_left_alone(text: str) -> None:
    assert Blocked(text).found == []


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A little of all that pages are made of, and nothing of this machine."""
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "state")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    make_charts(tmp_path, tmp_path / "cache")
    data, suite = tmp_path / "data", some_benchmarks(2)
    make_runs(data / "runs", 2, 2)
    last = make_run(data / "runs", 3, suite, changed=0.2, base=arm("cpython@3.12.0"), head=arm("cpython@3.13.0"))
    explanations.add(last, [Kept(key=suite[0].key, text="More work.", notes=(), work=(), functions=(
        Count(name="memcpy", base=1.0, head=5000.0),))])
    events.write(data / "events", made_events.event(made_events.affected(suite[0].key), run=last.name))
    for number in range(2):
        imports.add(data / imports.FOLDER, Imported(
            id=f"20260101T00000{number}Z-00000{number}", imported=1.7e9 + number, build=f"3.13.{number}",
            commit=f"{number}" * 40, machine="box",
            files=(results({"telco": 1e-3}, seed=number, started=1.7e9 + 86_400 * number),)))
    calibrated = config.calibration_folder(None, "0123456789abcdef")
    stored_run(calibrated, COPIES, 0.0)
    calibration.audit(calibrated)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "evidence.md").write_text(
        "<!-- make rivals: begin -->\n| tool | error |\n|---|:-:|\n| ours | 1 % |\n<!-- make rivals: end -->\n")
    return data


def look_around(here: Here) -> None:
    """See each page that is made when it is asked for, in each of its states."""
    nobody, reader = Client(app=here.app), signed_in(here, "read")
    person, admin = signed_in(here, "request", "triage"), signed_in(here, "admin")
    event = events.read(here.data / "events")[0].id
    asker = Client(app=here.app, token=here.token("ada", "request"))
    asked = asker.post("/api/v1/requests", json={"base": "cpython@3.13.5+nocow", "head": "cpython@3.13.5"}).json()["id"]
    over = asker.post("/api/v1/requests", json={"base": "cpython@3.13.5", "head": "cpython@3.13.5"}).json()["id"]
    asker("DELETE", f"/api/v1/requests/{over}")
    for client in (nobody, reader, person, admin):
        for place in (
            "/login", "/machines/", "/audit", f"/triage/{event}", "/triage/none", "/nothing.html", "/requests/",
            "/requests/new", f"/requests/{asked}", f"/requests/{over}", "/requests/none",
        ):
            assert client.get(place, headers=BROWSER).status_code in (200, 303, 403, 404), place


def test_nothing_on_any_kind_of_page_is_blocked(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, list[str]] = {}
    render = jinja2.Template.render

    def noting(template: jinja2.Template, *content: object, **more: object) -> str:
        text = render(template, *content, **more)
        made.setdefault(str(template.name), []).append(text)
        return text

    monkeypatch.setattr(jinja2.Template, "render", noting)
    with serving(data, public=True, rate=0) as here:
        here.publish()
        look_around(here)
        trust = (data / "site" / "trust.html").read_text()
    assert set(made) == TEMPLATES - SHARED - ALONE, "each is looked at"
    assert {name: Blocked(text).found for name, texts in made.items() for text in texts if Blocked(text).found} == {}
    assert '<th class="right">' in trust and '<td class="right">' in trust, "numbers of a calibration"
    assert '<td class="center">1 %</td>' in trust


@pytest.mark.parametrize("name", sorted(TEMPLATES - ALONE))
def test_no_template_has_it_for_another_state(name: str) -> None:
    text = (pages.HERE / "templates" / name).read_text()
    assert re.findall(r"""\s(?:style|on[a-z]+)=["']""", text) == []
