"""What the API says: the same as the pages, in every format, to those who may read it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import made_events
import pandas as pd
import pytest
from made_runs import MACHINE, arm, make_run, make_runs, some_benchmarks, spoil
from made_server import Client, Here, serving
from pyarrow import parquet
from samples import benchmark

from runner import config
from runner.errors import MachineError
from runner.history import events as events_of
from runner.history import series as series_of
from runner.history import tables
from runner.model import Failure, Purpose, Role
from runner.report import site_compare
from runner.report.quantities import ratio
from runner.service import answering
from runner.service.problems import Problem
from runner.storage import index

KEY = "work.Case0.time_it(size=1KiB)"
HOSTILE = '<script>alert("x")</script>=1+1,"\n'
LISTS = {"machines": "machines", "benchmarks": "benchmarks", "runs": "runs", "events": "events",
         f"series?benchmark={KEY}": "series"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """Four nights of eight benchmarks, and three events."""
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(config, "STATE", tmp_path / "elsewhere")
    make_runs(tmp_path / "data" / "runs", 4, 8)
    for number in range(3):
        events_of.write(tmp_path / "data" / "events", made_events.event(good=10 + number, bad=11 + number))
    with serving(tmp_path / "data") as found:
        found.index()
        yield found


@pytest.fixture
def client(here: Here) -> Client:
    return here.reader()


def got(client: Client, place: str, **options: Any) -> Any:
    answer = client.get(f"/api/v1/{place}", **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def table(client: Client, place: str) -> pd.DataFrame:
    """The parquet of an address."""
    answer = client.get(f"/api/v1/{place}", headers={"accept": "application/vnd.apache.parquet"})
    assert answer.status_code == 200, answer.text
    found: pd.DataFrame = parquet.read_table(io.BytesIO(answer.content)).to_pandas()
    return found


def test_a_run_says_what_its_page_says(here: Here, client: Client) -> None:
    site = here.publish().folder
    for run in got(client, "runs")["runs"]:
        whole = got(client, f"runs/{run['id']}")
        assert whole["run"] == run and (site / run["page"].lstrip("/")).is_file()
        page = pd.read_csv(site / "runs" / f"{run['id']}.csv")
        assert [one["benchmark"] for one in whole["benchmarks"]] == page["benchmark"].tolist()
        for ours, theirs in {"verdict": "verdict", "ratio": "ratio", "low": "low", "high": "high", "unit": "unit",
                             "base_value": "base", "head_value": "head", "blocks": "blocks"}.items():
            assert [one[ours] for one in whole["benchmarks"]] == page[theirs].tolist(), ours
        assert all((site / one["page"].lstrip("/")).is_file() for one in whole["benchmarks"])
        assert run["counts"]["slower"] == sum(one["verdict"] == "slower" for one in whole["benchmarks"])


def test_a_series_says_what_the_history_says(here: Here, client: Client) -> None:
    (one,) = got(client, f"series?benchmark={KEY}")["series"]
    (known,) = series_of.of(config.index_file(here.data / "runs"), benchmark=KEY)
    assert (one["anchor"], one["opened"], one["machine"]) == (known.key.anchor, "", MACHINE["fingerprint"])
    for name in ("run", "ratio", "log_ratio", "se", "counted", "verdict", "created"):
        assert [point[name] for point in one["points"]] == known.rows[name].tolist(), name
    assert {point["position"] for point in one["points"]} == {None}
    points = table(client, f"series?benchmark={KEY}")
    assert points["log_ratio"].tolist() == known.rows["log_ratio"].tolist() and set(points["segment"]) == {0}


def test_a_series_in_segments_is_told_in_segments(here: Here, client: Client) -> None:
    make_run(here.data / "runs", 9, some_benchmarks(2), machine={**MACHINE, "kernel": "7.0"})
    here.index()
    found = got(client, f"series?benchmark={KEY}")["series"]
    assert [one["opened"] for one in found] == ["", "new kernel: 6.1 → 7.0"]
    first = got(client, f"series?benchmark={KEY}&limit=1")
    assert (first["series"], first["next"]) == (found[:1], "0")
    assert got(client, f"series?benchmark={KEY}&limit=1&after=0") == {"series": found[1:], "next": None}
    assert table(client, f"series?benchmark={KEY}")["segment"].tolist() == [0, 0, 0, 0, 1]
    assert got(client, f"series?benchmark={KEY}&machine=none")["series"] == []


def test_what_was_not_measured_has_no_number_in_any_format(here: Here, client: Client) -> None:
    spoil(make_run(here.data / "runs", 9, some_benchmarks(2)), {KEY: Failure(reason="no", arm=None)})
    here.index()
    last = got(client, f"series?benchmark={KEY}")["series"][0]["points"][-1]
    assert last["verdict"] == "failed" and {last[name] for name in ("ratio", "log_ratio", "se", "base_value")} == {None}
    same_in_every_format(client, f"series?benchmark={KEY}")


def test_what_a_machine_is_and_how_often_it_measured(here: Here, client: Client) -> None:
    other = {**MACHINE, "fingerprint": "f" * 16, "host": "h", "cpu": HOSTILE}
    newest = make_run(here.data / "runs", 9, some_benchmarks(2), machine=other)
    here.index()
    first, second = got(client, "machines")["machines"]
    assert (first["machine"], first["run"], first["host"], first["runs"]) == ("f" * 16, newest.name, "h", 1)
    assert first["name"].startswith(HOSTILE) and first["facts"]["kernel"] == "6.1"
    assert (second["runs"], second["last"] - second["first"]) == (4, 3 * 86_400)


def test_runs_are_chosen_by_what_they_are(here: Here, client: Client) -> None:
    role = Role(watch="main", configuration="pgo", purpose=Purpose.ANCHOR)
    place = make_run(here.data / "runs", 9, some_benchmarks(2), role=role, suite="/there/other")
    here.index()
    ids = [one["id"] for one in got(client, "runs")["runs"]]
    assert ids[0] == place.name and ids == sorted(ids, reverse=True) and len(ids) == 5
    for query, count in {"watch=main": 1, "watch=": 4, "suite=other": 1, "purpose=anchor": 1, "machine=x": 0,
                         f"since={1.7e9 + 86_400}": 4, f"before={1.7e9 + 86_400}": 1, "since=nan": 0}.items():
        assert len(got(client, f"runs?{query}")["runs"]) == count, query
    assert got(client, "benchmarks?q=CASE1")["benchmarks"][0]["benchmark"].startswith("work.Case1")


def test_events_are_those_of_the_command_line(here: Here, client: Client) -> None:
    found = got(client, "events")["events"]
    known = events_of.read(here.data / "events")
    assert [one["id"] for one in found] == [event.id for event in reversed(known)]
    one = found[0]
    assert one["schema"] == events_of.SCHEMA and one["page"] == f"/events/{one['id']}.html"
    assert got(client, f"events/{one['id']}") == one
    events_of.write(here.data / "events", replace(known[0], entries=(made_events.entry(events_of.State.FIXED),)))
    assert [len(got(client, f"events?{query}")["events"]) for query in (
        "open=true", "open=false", "state=fixed", "watch=none", "benchmark=a", "benchmark=b")] == [2, 1, 1, 0, 3, 0]
    assert table(client, "events")["good_hash"].tolist() == [event.good.hash for event in reversed(known)]


class TestComparisons:
    def test_by_a_run_of_the_two_and_the_other_way_round(self, here: Here, client: Client) -> None:
        there = got(client, "comparisons?base=anchor&head=night-3")
        assert (there["base"], there["how"], len(there["ways"])) == ("anchor (3.13.5)", "", 1)
        run = got(client, f"runs/{there['way']}")["benchmarks"]
        assert [one["ratio"] for one in there["benchmarks"]] == [one["ratio"] for one in run]
        back = got(client, "comparisons?base=night-3&head=anchor")
        assert back["ways"][0]["inverted"] and not there["ways"][0]["inverted"]
        for one, other in zip(there["benchmarks"], back["benchmarks"], strict=True):
            assert other["ratio"] == pytest.approx(1 / one["ratio"]) and other["low"] <= other["ratio"] <= other["high"]
        assert (there["benchmarks"][0]["state"], back["benchmarks"][0]["state"]) == ("slower", "faster")

    def test_through_others_as_the_page_has_it(self, here: Here, client: Client) -> None:
        found = got(client, "comparisons?base=night-2&head=night-3")
        known = here.index()
        (place,) = site_compare.places(known)
        page = site_compare.page([place], known, site_compare.builds(known))
        assert (found["base"], found["head"], found["how"]) == (page.base, page.head, page.how)
        assert [(one["benchmark"], one["state"], one["words"]) for one in found["benchmarks"]] == [
            (row.key, row.state, row.words) for row in page.rows]
        assert [ratio(one["ratio"], one["low"], one["high"]) for one in found["benchmarks"]] == [
            row.ratio for row in page.rows]
        assert found["ways"][0]["runs"] == [place.runs[2].id, place.runs[3].id]
        assert table(client, "comparisons?base=night-2&head=night-3")["benchmark"].tolist() == [
            row.key for row in page.rows]

    def test_a_run_of_some_benchmarks_comes_behind_one_of_the_suite(self, here: Here, client: Client) -> None:
        part = make_run(here.data / "runs", 9, some_benchmarks(1), head=arm("night-3"))
        here.index()
        found = got(client, "comparisons?base=anchor&head=night-3")
        assert [one["way"] for one in found["ways"]] == [found["way"], part.name]
        assert len(found["benchmarks"]) == 8

    def test_a_run_that_was_interrupted_comes_behind_a_complete_one(self, here: Here, client: Client) -> None:
        torn = make_run(here.data / "runs", 9, some_benchmarks(8), head=arm("night-3"))
        spoil(torn, {some_benchmarks(8)[-1].key: 3})
        here.index()
        found = got(client, "comparisons?base=anchor&head=night-3")
        assert [one["way"] for one in found["ways"]] == [found["way"], torn.name]
        assert "not reached" not in {one["state"] for one in found["benchmarks"]}

    def test_over_a_bridge_and_not_farther_than_the_page_goes(self, here: Here, client: Client) -> None:
        suite = some_benchmarks(2)
        chain = ["night-3", "a", "b", "c", "d"]
        for number, (base, head) in enumerate(pairwise(chain), start=20):
            make_run(here.data / "runs", number, suite, base=arm(base), head=arm(head))
        here.index()
        assert len(got(client, "comparisons?base=night-3&head=d")["ways"][0]["runs"]) == 4
        assert got(client, "comparisons?base=anchor&head=d")["ways"] == []

    def test_a_build_is_found_by_what_it_is_called(self, here: Here, client: Client) -> None:
        identity = arm("night-3").identity
        for text in (identity, site_compare.short(identity), "night-3"):
            assert got(client, f"comparisons?base=anchor&head={text}")["head_identity"] == identity
        for query, status in {"base=anchor&head=nobody": 404, "base=anchor&head=night-3&way=none": 404,
                              "base=anchor": 422}.items():
            assert client.get(f"/api/v1/comparisons?{query}").status_code == status, query
        same = got(client, "comparisons?base=anchor&head=anchor")
        assert (same["ways"], same["benchmarks"]) == ([], [])


def test_every_format_says_the_same(here: Here, client: Client) -> None:
    for place in (*LISTS, "comparisons?base=anchor&head=night-3"):
        same_in_every_format(client, place)


def same_in_every_format(client: Client, place: str) -> None:
    content = got(client, place)
    rows = content[LISTS.get(place, "benchmarks")]
    if place.startswith("series"):
        rows = [point for one in rows for point in one["points"]]
    told = table(client, place)
    sign = "&" if "?" in place else "?"
    answer = client.get(f"/api/v1/{place}{sign}format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    read = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(read) == len(told) == len(rows) > 0 and list(read[0]) == list(told.columns)
    for name in set(rows[0]) & set(told.columns):
        ours = [one[name] for one in rows]
        assert [None if isinstance(one, float) and one != one else one for one in told[name].tolist()] == ours, name
        if isinstance(ours[0], str):
            assert [one[name] for one in read] == ours, name
        elif isinstance(ours[0], float):
            assert [float(one[name]) if one[name] else None for one in read] == ours, name


def test_a_list_is_gone_through_a_page_at_a_time(here: Here, client: Client) -> None:
    for place in LISTS:
        gone_through(client, place)


def gone_through(client: Client, place: str) -> None:
    sign, name = ("&" if "?" in place else "?"), LISTS[place]
    whole, found, after = got(client, place)[name], [], ""
    for _ in range(len(whole)):
        answer = client.get(f"/api/v1/{place}{sign}limit=1{after}")
        found += answer.json()[name]
        if answer.json()["next"] is not None:
            link = answer.headers["link"]
            assert link.endswith('; rel="next"') and f"after={answer.json()['next'][:4]}" in link
            after = f"&after={answer.json()['next']}"
    assert found == whole and answer.json()["next"] is None and "link" not in answer.headers
    assert client.get(f"/api/v1/{place}{sign}after=nothing").status_code == 404
    assert [client.get(f"/api/v1/{place}{sign}limit={wrong}").status_code for wrong in ("0", "1001", "x")] == [422] * 3


def test_who_has_it_is_told_so_until_something_changes(here: Here, client: Client) -> None:
    known = {}
    for place in ("machines", "benchmarks", "runs", f"series?benchmark={KEY}"):
        first = client.get(f"/api/v1/{place}")
        known[place] = {"if-none-match": first.headers["etag"]}
        same = client.get(f"/api/v1/{place}", headers=known[place])
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", first.headers["etag"])
        assert client.get(f"/api/v1/{place}", headers={"if-none-match": '"other", *'}).status_code == 304
        assert client.get(f"/api/v1/{place}", headers={**known[place], "accept": "text/csv"}).status_code == 200
    make_run(here.data / "runs", 9, some_benchmarks(2))
    here.index()
    assert {client.get(f"/api/v1/{place}", headers=mark).status_code for place, mark in known.items()} == {200}


def test_an_event_of_which_something_was_said_is_another(here: Here, client: Client) -> None:
    first = client.get("/api/v1/events")
    known = {"if-none-match": first.headers["etag"]}
    assert client.get("/api/v1/events", headers=known).status_code == 304
    event = events_of.read(here.data / "events")[0]
    events_of.write(here.data / "events", replace(event, entries=(made_events.entry(events_of.State.FIXED),)))
    assert client.get("/api/v1/events", headers=known).status_code == 200


def test_what_is_not_there_is_a_problem_in_words(here: Here, client: Client) -> None:
    for place in ("runs/none", "events/none", "series?benchmark=none", "runs/%2e%2e", "nothing"):
        answer = client.get(f"/api/v1/{place}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), place
    (here.data / "events" / "x.json").write_text("{")
    assert client.get("/api/v1/events").json()["detail"].endswith("take it back from version control.")


def test_nothing_is_read_without_a_token_but_where_all_may(here: Here, tmp_path: Path) -> None:
    nobody = Client(app=here.app)
    places = [*LISTS, "runs/x", "events/x", "comparisons?base=a&head=b"]
    assert {nobody.get(f"/api/v1/{place}").status_code for place in places} == {401}
    assert "private" in here.reader().get("/api/v1/runs").headers["cache-control"]
    with serving(tmp_path / "public", public=True) as other:
        answer = Client(app=other.app).get("/api/v1/runs")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


def test_a_server_that_has_nothing_says_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "data", public=True) as here:
        client = Client(app=here.app)
        for place, name in LISTS.items():
            if name != "series":
                assert got(client, place) == {name: [], "next": None}
                assert table(client, place).empty and len(table(client, place).columns) > 4


def test_names_that_are_html_or_no_text_stay_what_they_are(here: Here, client: Client) -> None:
    make_run(here.data / "runs", 9, [benchmark(f"work.time_{HOSTILE}")], head=arm(HOSTILE))
    here.index()
    run = got(client, "runs")["runs"][0]
    assert run["head"]["spec"] == HOSTILE
    assert got(client, f"runs/{run['id']}")["benchmarks"][0]["benchmark"] == f"work.time_{HOSTILE}"
    answer = client.get("/api/v1/series", params={"benchmark": f"work.time_{HOSTILE}", "format": "csv"})
    assert next(csv.DictReader(io.StringIO(answer.text)))["benchmark"] == f"work.time_{HOSTILE}"
    assert table(client, f"runs/{run['id']}")["benchmark"].tolist() == [f"work.time_{HOSTILE}"]


def test_no_text_is_a_formula_of_a_spreadsheets(here: Here, client: Client) -> None:
    texts = ("=HYPERLINK(0)", "+1", "-1", "@SUM(1)")
    for number, text in enumerate(texts):
        make_run(here.data / "runs", 9 + number, [benchmark(f"work.time_{number}")], head=arm(text))
    here.index()
    answer = client.get("/api/v1/runs?format=csv")
    told = [one["head_spec"] for one in csv.DictReader(io.StringIO(answer.text, newline=""))]
    assert {f"'{text}" for text in texts} <= set(told) and not [one for one in told if one[:1] in "=+-@\t\r"]
    assert set(texts) <= {one["head"]["spec"] for one in got(client, "runs")["runs"]}
    assert set(texts) <= set(table(client, "runs")["head_spec"]), "what programs read is as it was"
    here.publish()
    for file in (here.data / "site").rglob("*.csv"):
        for row in csv.reader(io.StringIO(file.read_bytes().decode(), newline="")):
            assert not [one for one in row if one[:1] in tuple("=+@\t\r")], file
    given = {"text": ["\t=1", "\r=1", "a=1", "'=", ""], "number": [-1.0, 2, 3, 4, 5]}
    plain = tables.csv(pd.DataFrame(given)).decode()
    told = [one["text"] for one in csv.DictReader(io.StringIO(plain, newline=""))]
    assert told == ["'\t=1", "'\r=1", "a=1", "'=", ""]
    assert ",-1\n" in plain, "a number is none"


@pytest.mark.parametrize(("accept", "kind"), [
    ("*/*", "json"), ("", "json"), ("text/csv", "csv"), ("text/*", "csv"), ("application/*", "json"),
    ("text/csv;q=0.5, application/json", "json"), ("text/csv, */*;q=0.1", "csv"), ("TEXT/CSV ; Q=1", "csv"),
    ("application/json;q=0, */*", "csv"), ("application/vnd.apache.parquet", "parquet"),
    ("text/html,application/xhtml+xml,*/*;q=0.8", "json"), ("text/csv;q=x, application/json;q=0.2", "json"),
])
def test_the_client_says_what_it_takes(accept: str, kind: str) -> None:
    assert answering._accepted(accept or "*/*") == kind


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/csv;q=nan", "json"])
def test_what_cannot_be_had_is_refused(accept: str) -> None:
    with pytest.raises(Problem) as refused:
        answering._accepted(accept)
    assert refused.value.status == 406


def test_an_index_of_no_use_is_told_by_name(here: Here, client: Client) -> None:
    file = config.index_file(here.data / "runs")
    index.discard(file)
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(MachineError, match="reindex"):
        here.server.site.records.now()


def test_what_is_read_is_read_once(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    records = here.server.site.records
    first = records.now()
    assert records.now() is first
    make_run(here.data / "runs", 9, some_benchmarks(2))
    assert records.now() is first, "nobody has read the run yet"
    here.index()
    assert len(records.now().history.runs) == 5 and records.now().state != first.state


def test_what_follows_from_the_index_is_made_once_and_anew_when_it_says_more(here: Here, client: Client) -> None:
    records = here.server.site.records
    first = records.now()
    assert len(got(client, "machines")["machines"]) == 1 and first.machines is records.now().machines
    assert client.get("/api/v1/comparisons?base=anchor&head=other").status_code == 404
    told = got(client, "comparisons?base=night-2&head=night-3")
    assert first.place is records.now().place and got(client, "comparisons?base=night-2&head=night-3") == told
    make_run(here.data / "runs", 9, some_benchmarks(8), head=arm("other"))
    make_run(here.data / "runs", 10, some_benchmarks(8), machine={**MACHINE, "fingerprint": "f" * 16})
    here.index()
    assert len(got(client, "machines")["machines"]) == 2
    assert len(got(client, "comparisons?base=anchor&head=other")["ways"]) == 1
    assert got(client, "comparisons?base=night-3&head=other")["benchmarks"]


def test_no_more_of_a_list_is_taken_than_is_needed() -> None:
    items = iter(range(100))
    assert answering.page_of(items, str, "4", 3) == ([5, 6, 7], "7") and next(items) == 9
    assert answering.page_of(iter(range(3)), str, "", 3) == ([0, 1, 2], "")
    assert answering.page_of(iter(range(3)), str, "2", 3) == ([], "")


def test_the_description_has_every_address_and_its_formats(here: Here, client: Client) -> None:
    described = client.get("/api/v1/openapi.json").json()
    for name in ("machines", "benchmarks", "series", "runs", "runs/{id}", "events", "events/{id}", "comparisons"):
        content = described["paths"][f"/api/v1/{name}"]["get"]["responses"]["200"]["content"]
        assert set(content) == set(answering.MEDIA.values()), name
    assert not [place for place in described["paths"] if "triage" in place or "{place" in place]
    assert json.dumps(described["components"]["schemas"]["RunRecord"]).count('"page"') == 2
