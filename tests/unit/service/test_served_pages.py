"""Pages of a server: the published ones as they are, and those for whom has signed in."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import made_events
import pytest
import sqlalchemy as sa
from made_runs import MACHINE, make_run, make_runs, some_benchmarks
from made_server import BROWSER, NOW, Client, Here, serving

from dashboards import pages
from runner import config
from runner.history import events as events_of
from runner.history.events import State
from runner.service import sessions, site, tables, tokens
from runner.service.rates import Rate

HOSTILE = '<script>alert("x")</script>&lt;'
EVENT = made_events.event().id


@pytest.fixture(autouse=True)
def nothing_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "elsewhere")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two nights, and an event."""
    make_runs(tmp_path / "data" / "runs", 2, 2)
    events_of.write(tmp_path / "data" / "events", made_events.event())
    return tmp_path / "data"


@pytest.fixture
def here(data: Path) -> Iterator[Here]:
    with serving(data) as found:
        yield found


@pytest.fixture
def public(data: Path) -> Iterator[Here]:
    """What all may read, published."""
    with serving(data, public=True) as found:
        found.publish()
        yield found


def signed_in(here: Here, *scopes: str, base: str = "http://testserver") -> Client:
    client = Client(app=here.app, base=base)
    answer = client.post("/login", data={"token": here.token("ada", *scopes)}, headers=BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return client


def csrf_of(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


class TestFiles:
    def test_a_page_is_what_was_published_at_the_same_address(self, public: Here) -> None:
        client, folder = Client(app=public.app), public.data / "site"
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "site.json"]
        assert len(files) > 20
        for path in files:
            answer = client.get(f"/{path.relative_to(folder)}")
            assert (answer.status_code, answer.content) == (200, path.read_bytes()), path
            assert answer.headers["content-type"].startswith("text/") or path.suffix == ".xml"
        for place in ("", "runs/", "benchmarks/", "events/"):
            assert client.get(f"/{place}").content == (folder / place / "index.html").read_bytes()

    def test_pages_lead_to_the_live_ones_and_every_link_of_theirs_is_an_address(self, public: Here) -> None:
        client = Client(app=public.app)
        for place in ("/", f"/events/{EVENT}.html", "/login", f"/triage/{EVENT}", "/machines/"):
            text = client.get(place, headers=BROWSER).text
            root = "../" * (place.count("/") - 1)
            for name, address in pages.LIVE:
                assert f'<a href="{root}{address}">{name}</a>' in text, place
            for link in re.findall(r'(?:href|src|action)="([^"#]*)"', text):
                if link.startswith("data:") or "requests/" in link:
                    continue  # others'
                assert not link.startswith(("/", "http"))
                found = client.get(urljoin(place, link), headers=BROWSER)
                assert found.status_code == 200, (place, link)
        assert f'href="../triage/{EVENT}"' in client.get(f"/events/{EVENT}.html").text

    def test_a_browser_that_has_it_is_told_so(self, public: Here) -> None:
        client = Client(app=public.app)
        for place in ("/runs/", "/assets/style.css", "/benchmarks/index.html"):
            mark = client.get(place).headers["etag"]
            same = client.get(place, headers={"if-none-match": mark})
            assert (same.status_code, same.content) == (304, b"")
        mark = client.get("/runs/").headers["etag"]
        public.publish()
        again = client.get("/runs/", headers={"if-none-match": mark})
        assert again.status_code in (200, 304)
        make_run(public.data / "runs", 9, some_benchmarks(2))
        public.publish()
        assert client.get("/runs/", headers={"if-none-match": mark}).status_code == 200

    def test_nothing_but_the_site_is_served(self, public: Here) -> None:
        folder = public.data / "site"
        (folder / "link.html").symlink_to(public.data / "service")
        (folder / "folder.html").mkdir()
        (public.data / "index.html").write_text("not of the site")
        client = Client(app=public.app)
        for place in (
            "/../service/service.sqlite", "/%2e%2e/service/service.sqlite", "/runs/..%2f..%2fruns.sqlite", "/site.json",
            "/..%2Findex.html", "/runs", "/assets", "/.html", "/...html/x.html", "/a%5Cb.html", "/%00.html",
            "/runs/%c3%a9.html", "/" + "a/" * 500 + "x.html", "/" + "a" * 4000 + ".html", "/index.html/x.html",
            "/link.html", "/folder.html", "/%2e%2e%2findex.html", "/%252e%252e/index.html",
        ):
            answer = client.get(place, headers=BROWSER)
            assert answer.status_code == 404 and "not of the site" not in answer.text, place
            assert client.get(place).headers["content-type"] == "application/problem+json", place

    def test_a_report_is_a_stranger_to_the_server(self, public: Here) -> None:
        run = max((public.data / "runs").iterdir())
        (run / "report.html").write_text("<script>1</script>")
        public.publish()
        answer = Client(app=public.app).get(f"/runs/{run.name}.report.html")
        assert answer.text == "<script>1</script>"
        assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
        assert "allow-same-origin" not in answer.headers["content-security-policy"]

    def test_before_there_is_a_site_it_says_so_and_looks_as_it_will(self, data: Path) -> None:
        with serving(data, public=True) as here:
            client = Client(app=here.app)
            answer = client.get("/", headers=BROWSER)
            assert "being made" in answer.text and '<meta http-equiv="refresh" content="3">' in answer.text
            assert client.get("/assets/live.css").text == pages.asset("live.css")
            assert client.get("/assets/nothing.css").status_code == 404


class TestSessions:
    def test_who_has_not_signed_in_is_led_there_and_back(self, here: Here) -> None:
        client = Client(app=here.app)
        for place in ("/", "/runs/x.html?a=b&c", f"/triage/{EVENT}", "/machines/"):
            answer = client.get(place, headers=BROWSER)
            assert answer.status_code == 303
            parts = urlsplit(answer.headers["location"])
            assert (parts.path, parse_qs(parts.query)["next"]) == ("/login", [place])
        assert client.get("/runs/x.csv").status_code == 401, "a program is told, not led"
        page = client.get("/login?next=/machines/", headers=BROWSER)
        assert 'name="next" value="/machines/"' in page.text and page.headers["cache-control"] == "no-store"
        answer = client.post("/login", data={"token": f" {here.token()}\n", "next": "/machines/"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/machines/")
        assert client.get("/machines/", headers=BROWSER).status_code == 200
        assert client.get("/api/v1/runs").status_code == 200, "a browser reads the API too"

    def test_nobody_is_led_elsewhere(self, here: Here) -> None:
        client, token = Client(app=here.app), here.token()
        for next in (
            "//evil.example", "/\\evil.example", "https://evil.example", "", "javascript:alert(1)", "/\t/evil.example",
            "\n//x", "evil", HOSTILE,
        ):
            assert HOSTILE not in Client(app=here.app).get("/login", params={"next": next}).text
            answer = client.post("/login", data={"token": token, "next": next})
            assert (answer.status_code, answer.headers["location"]) == (303, "/"), next

    def test_a_cookie_is_for_this_server_alone_and_not_for_scripts(self, here: Here, data: Path) -> None:
        answer = Client(app=here.app).post("/login", data={"token": here.token()})
        name, *attributes = answer.headers["set-cookie"].split("; ")
        assert name.startswith("lockstep=") and {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
        secret = name.removeprefix("lockstep=")
        with here.server.database.reading() as connection:
            (row,) = connection.execute(sa.select(tables.sessions)).mappings()
        assert row["hash"] == hashlib.sha256(secret.encode()).hexdigest() and secret not in str(dict(row))
        with serving(data.parent / "other", address="https://lockstep.example.org") as other:
            client = Client(app=other.app, base="https://testserver")
            answer = client.post("/login", data={"token": other.token()})
            assert answer.headers["set-cookie"].startswith("__Host-lockstep=")
            assert "Secure" in answer.headers["set-cookie"] and "Domain" not in answer.headers["set-cookie"]
            assert client.get("/machines/", headers=BROWSER).status_code == 200

    def test_a_wrong_token_is_told_and_begins_nothing(self, here: Here) -> None:
        client = Client(app=here.app)
        ended = here.token("bob", now=NOW - 1, expires=NOW)
        for token in ("", "lst_00000000_" + "x" * 43, ended, HOSTILE):
            answer = client.post("/login", data={"token": token}, headers=BROWSER)
            assert answer.status_code == 401 and 'role="alert"' in answer.text and "set-cookie" not in answer.headers
            assert not token or token not in answer.text

    def test_a_form_that_is_too_large_is_not_read(self, here: Here) -> None:
        for kind in ("application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x"):
            answer = Client(app=here.app).post("/login", content=b"&" * (100 << 10), headers={"Content-Type": kind})
            assert answer.status_code == 413 and answer.json()["largest"] == 64 << 10

        async def unsaid() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"&" * 1024

        answer = Client(app=here.app).post(
            "/login", content=unsaid(), headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status_code == 413, "nor one that does not say how long it is"

    def test_a_session_ends_with_its_token_its_time_and_its_person(self, data: Path) -> None:
        now = [NOW]
        with serving(data, clock=lambda: now[0]) as here:
            def reads(client: Client) -> bool:
                return client.get("/machines/", headers=BROWSER).status_code == 200

            first, second = signed_in(here), signed_in(here)
            assert reads(first) and reads(second)
            page = first.get("/login").text
            assert "Signed in as ada" in page
            assert first.post("/logout", data={"csrf": csrf_of(page)}).status_code == 303
            assert not reads(first) and reads(second), "another session goes on"
            now[0] += sessions.LENGTH - 1
            assert reads(second)
            now[0] += 1
            assert not reads(second)
            third = signed_in(here)
            assert reads(third)
            with here.server.database.reading() as connection:
                assert connection.scalar(sa.select(sa.func.count()).select_from(tables.sessions)) == 1, "old ones go"
            for token in tokens.listed(here.server.database):
                tokens.revoke(here.server.database, token.id, now[0])
            assert not reads(third)

    def test_a_text_that_is_no_cookie_of_ours_is_nobody(self, here: Here) -> None:
        for text in ("x", "x" * 43, "é", "x" * 5000):
            client = Client(app=here.app, cookies={"lockstep": text} if text.isascii() else None)
            assert client.get("/machines/", headers=BROWSER).status_code == 303

    def test_who_follows_a_link_from_elsewhere_finds_the_session(self, here: Here) -> None:
        elsewhere = {**BROWSER, "sec-fetch-site": "cross-site"}
        answer = Client(app=here.app).get("/machines/", headers=elsewhere)
        assert answer.status_code == 200 and '<meta http-equiv="refresh" content="0">' in answer.text
        assert "Uploads" not in answer.text and "newest run" not in answer.text
        again = Client(app=here.app).get("/machines/", headers={**BROWSER, "sec-fetch-site": "same-origin"})
        assert again.status_code == 303, "it is not asked for over and over"


class TestTriage:
    def said(self, here: Here) -> list[tuple[str, str, str]]:
        (event,) = events_of.read(here.data / "events")
        return [(one.state.value, one.who, one.note) for one in event.entries]

    def test_what_is_said_is_on_the_event_in_its_name(self, here: Here) -> None:
        client = signed_in(here, "triage")
        page = client.get(f"/triage/{EVENT}", headers=BROWSER).text
        form = {"csrf": csrf_of(page), "state": "acknowledged", "note": HOSTILE}
        before = here.server.site._first
        answer = client.post(f"/triage/{EVENT}", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/triage/{EVENT}")
        assert self.said(here) == [("acknowledged", "ada", HOSTILE)]
        assert before is None and here.server.site._first is not None, "the site is to be made anew"
        page = client.get(f"/triage/{EVENT}", headers=BROWSER).text
        assert HOSTILE not in page and "alert(&#34;x&#34;)" in page and page.count("<script") == 1
        client.post(f"/triage/{EVENT}", data={"csrf": csrf_of(page), "note": "a note alone"})
        assert self.said(here)[1] == ("acknowledged", "ada", "a note alone")

    def test_what_says_nothing_new_is_refused_in_words_and_the_note_is_kept(self, here: Here) -> None:
        client = signed_in(here, "triage")
        csrf = csrf_of(client.get(f"/triage/{EVENT}").text)
        wrong = {("new", ""): "is new already", ("gone", "my note"): "is no state", ("", ""): "is new already"}
        for form, words in wrong.items():
            answer = client.post(f"/triage/{EVENT}", data={"csrf": csrf, "state": form[0], "note": form[1]})
            assert answer.status_code == 422 and words in answer.text and form[1] in answer.text
        assert self.said(here) == []
        assert client.post(f"/triage/{EVENT}", data={"csrf": csrf, "note": "x" * 2001}).status_code == 422
        assert client.post("/triage/none", data={"csrf": csrf, "state": "fixed"}, headers=BROWSER).status_code == 404

    def test_a_form_of_another_site_changes_nothing(self, here: Here) -> None:
        client, token = signed_in(here, "triage"), here.token()
        form = {"csrf": csrf_of(client.get(f"/triage/{EVENT}").text), "state": "fixed"}
        for headers in (
            {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"},
            {"origin": "http://testserver:81"}, {"origin": "null"}, {"origin": "file://"}, {"origin": "http://["},
        ):
            answer = client.post(f"/triage/{EVENT}", data=form, headers=headers)
            assert answer.status_code == 403 and "did not come from a page" in answer.text
            assert client.post("/login", data={"token": token}, headers=headers).status_code == 403
        assert self.said(here) == []
        ours = {"origin": "http://testserver"}
        assert client.post(f"/triage/{EVENT}", data=form, headers=ours).status_code == 303

    def test_a_form_without_the_sessions_text_changes_nothing(self, here: Here) -> None:
        client, other = signed_in(here, "triage"), signed_in(here, "triage")
        for text in ("", "x", "é", "x" * 100, csrf_of(other.get(f"/triage/{EVENT}").text)):
            answer = client.post(f"/triage/{EVENT}", data={"csrf": text, "state": "fixed"})
            assert answer.status_code == 403
        assert self.said(here) == []

    def test_who_may_not_is_told_why(self, here: Here, data: Path) -> None:
        reader = signed_in(here, "read", "submit")
        page = reader.get(f"/triage/{EVENT}", headers=BROWSER).text
        assert "it needs scope triage" in page and 'name="csrf"' not in page
        csrf = csrf_of(reader.get("/login").text)
        answer = reader.post(f"/triage/{EVENT}", data={"csrf": csrf, "state": "fixed"})
        assert answer.status_code == 403 and "this needs triage" in answer.text
        nobody = Client(app=here.app).post(f"/triage/{EVENT}", data={"state": "fixed"})
        assert (nobody.status_code, nobody.headers["location"]) == (303, "/login")
        by_token = Client(app=here.app, token=here.token("x", "triage"))
        assert by_token.post(f"/triage/{EVENT}", data={"state": "fixed"}).status_code == 303, "forms need a session"
        assert self.said(here) == []
        with serving(data.parent / "public", public=True) as other:
            events_of.write(other.data / "events", made_events.event())
            page = Client(app=other.app).get(f"/triage/{EVENT}", headers=BROWSER).text
            assert "Sign in" in page and "<form" not in page

    def test_an_admin_may_say_it_too(self, here: Here) -> None:
        client = signed_in(here, "admin")
        form = {"csrf": csrf_of(client.get(f"/triage/{EVENT}").text), "state": "wont-fix"}
        assert client.post(f"/triage/{EVENT}", data=form).status_code == 303
        assert self.said(here)[0][0] == State.WONT_FIX.value

    def test_events_that_cannot_be_read_are_named(self, here: Here) -> None:
        (here.data / "events" / "x.json").write_text("{")
        page = signed_in(here, "triage").get(f"/triage/{EVENT}", headers=BROWSER)
        assert page.status_code == 503 and "x.json" in page.text


def test_machines_are_told_with_the_tokens_that_they_upload_by(here: Here) -> None:
    make_run(here.data / "runs", 9, some_benchmarks(2), machine={
        **MACHINE, "fingerprint": "f" * 16, "host": "h", "cpu": HOSTILE})
    here.index()
    here.token("bench1", "submit", machine=True, host="h")
    here.token("bench2", "submit", machine=True)
    here.token("old", "submit", machine=True, now=NOW - 1, expires=NOW)
    page = here.reader().get("/machines/", headers=BROWSER).text
    rows = [re.sub(r"<[^>]+>", " ", row) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)]
    assert [("bench1" in row, "bench2" in row, "nothing measured yet" in row) for row in rows[1:]] == [
        (True, False, False), (False, False, False), (False, True, True)]
    assert HOSTILE not in page and "old" not in " ".join(rows)
    with serving(here.data.parent / "empty", public=True) as other:
        assert "No machine has measured anything yet" in Client(app=other.app).get("/machines/", headers=BROWSER).text


class TestSite:
    def test_changes_are_waited_for_until_they_end_or_have_gone_on_for_long(
        self, here: Here, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, now, slept = here.server.site, [1000.0], list[float]()
        monkeypatch.setattr(site.time, "monotonic", lambda: now[0])

        def wait(seconds: float) -> None:
            slept.append(seconds)
            now[0] += seconds
            if then and seconds > 0.5:
                now[0] -= seconds / 2  # something changes before that
                one.changed()

        monkeypatch.setattr(one._wake, "wait", wait)
        then = False
        one._seen, one._ours = site._mark(one.state, one.events), site._inode(one.folder)
        one.changed()
        assert one._due() and slept == [site.QUIET] and one._first is None
        then = True
        one.changed()
        begun = now[0]
        assert one._due() and site.MOST - site.QUIET < now[0] - begun <= site.MOST + site.QUIET

    def test_it_sees_what_others_have_changed(self, here: Here) -> None:
        one, runs = here.server.site, here.data / "runs"
        newest = max(runs.iterdir())

        def marked() -> object:
            return site._mark(one.state, one.events)

        for path in (runs, newest, one.events):
            os.utime(path, ns=(1, 1))
        marks = [marked()]
        make_run(runs, 1, some_benchmarks(1), id="20200101T000000Z-000000")
        marks.append(marked())
        (newest / "report.json").write_text("{}")
        marks.append(marked())
        events_of.write(one.events, replace(made_events.event(), opened=1.0))
        marks.append(marked())
        assert len(set(map(str, marks))) == 4


def test_who_did_what_is_for_admins_alone(here: Here) -> None:
    client = signed_in(here, "triage")
    csrf = csrf_of(client.get(f"/triage/{EVENT}").text)
    assert client.post(f"/triage/{EVENT}", data={"csrf": csrf, "state": "fixed"}).status_code == 303
    refused = client.get("/audit", headers=BROWSER)
    assert refused.status_code == 403 and "this needs admin" in refused.text
    assert Client(app=here.app).get("/audit", headers=BROWSER).headers["location"] == "/login?next=%2Faudit"
    admin = signed_in(here, "admin")
    assert '<a href="audit">Audit log</a>' in admin.get("/login").text and "Audit" not in client.get("/login").text
    page = admin.get("/audit", headers=BROWSER).text
    rows = [re.sub(r"\s*<[^>]+>\s*", "|", row) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)]
    told = [row for row in rows if f"/triage/{EVENT}" in row and "POST" in row]
    assert len(told) == 1 and "ada (" in told[0] and "127.0.0.1" in told[0] and "303" in told[0]
    assert any("GET /audit" in row and "403" in row for row in rows), "and who was refused"
    assert any("POST /login" in row for row in rows)
    assert 'href="audit?before=' not in page and "Nothing." in admin.get("/audit?before=1", headers=BROWSER).text


def test_to_look_at_a_page_is_asked_once(here: Here) -> None:
    """Whoever may ask ten times, and no more for a long time, gets ten pages."""
    client, limits = signed_in(here, "admin"), here.app.state.limits
    limits.tokens = Rate(1e-6, 10)
    assert [client.get("/audit", headers=BROWSER).status_code for _ in range(11)] == [200] * 10 + [429]
