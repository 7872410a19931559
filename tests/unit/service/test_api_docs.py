"""docs/api.md: every address for reading has an example, and each example is answered."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import httpx
import made_events
import pytest
from made_runs import arm, make_run
from made_server import Client, Here, serving
from samples import benchmark

from runner import config
from runner.history import events as events_of
from runner.model import Commit, Purpose, Role

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
EXAMPLES = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
            if line.startswith("curl ")]
AS_JSON = {"content-type": "application/json", "accept": "application/json"}
"""What curl adds for --json."""
RUN, EVENT = "20261129T024512Z-9ab3e1", "main-8f31c2a94e-slower-5b1f09c7"
"""Those of the page."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """A server that has what the page's examples ask for."""
    monkeypatch.setattr(config, "STATE", tmp_path / "elsewhere")
    suite = [benchmark("construct.FromBytes.time_construct", params={"size": "4KiB"}, index=(0,))]
    builds = [replace(arm(f"cpython@{version}"), version=version) for version in ("3.13.5", "3.14.0")]
    commit = Commit(hash="8f31c2a94e" * 4, date=1.7e9, subject="s", repository="r")
    built = replace(arm("git:cpython@main"), commit=commit)
    folder = tmp_path / "data" / "runs"
    role = Role(watch="main", configuration="", purpose=Purpose.ANCHOR)
    make_run(folder, 1, suite, base=builds[0], head=builds[1], created=1.79e9)
    make_run(folder, 2, suite, base=builds[0], head=built, role=role, id=RUN, created=1.8e9)
    events_of.write(tmp_path / "data" / "events", replace(made_events.event(), id=EVENT))
    with serving(tmp_path / "data") as found:
        found.index()
        yield found


def ask(here: Here, line: str) -> httpx.Response:
    """What a command line of curl's gets."""
    curl = argparse.ArgumentParser()
    curl.add_argument("-H", action="append", default=[])
    curl.add_argument("-o")
    curl.add_argument("--get", action="store_true")
    curl.add_argument("--json")
    curl.add_argument("--data", action="append", default=[])
    curl.add_argument("--data-urlencode", action="append", default=[])
    curl.add_argument("address")
    auth = f"Authorization: Bearer {here.token('ada', 'triage')}"
    line = line.replace("$SERVER", "http://testserver").replace("$AUTH", auth)
    given = curl.parse_args(shlex.split(line)[1:])
    query = [*given.data, *(urlencode([tuple(one.split("=", 1))]) for one in given.data_urlencode)]
    assert bool(query) == given.get
    address = given.address + ("?" + "&".join(query) if query else "")
    headers = dict(one.split(": ", 1) for one in given.H)
    if given.json:
        return Client(app=here.app).post(address, content=given.json, headers={**headers, **AS_JSON})
    return Client(app=here.app).get(address, headers=headers)


def test_every_example_is_answered(here: Here) -> None:
    assert len(EXAMPLES) > 8
    for line in EXAMPLES:
        answer = ask(here, line)
        assert answer.status_code == (201 if " --json " in line else 200), (line, answer.text)
        if answer.headers["content-type"] == "application/json":
            content = answer.json()
            names = ("machines", "benchmarks", "series", "runs", "events")
            lists = [content[name] for name in names if name in content]
            assert lists[0] if lists else content["id"], (line, "it shows something")
        else:
            assert len(answer.content.splitlines()) > 1, line


def test_every_address_has_one(here: Here) -> None:
    described = here.reader().get("/api/v1/openapi.json").json()["paths"]
    reading = [place for place, of in described.items() if "reading" in of.get("get", {}).get("tags", ())]
    assert len(reading) == 8
    for place in reading:
        pattern = re.escape(place).replace(r"\{id\}", r"[\w-]+") + r"[\"?]"
        assert any(re.search(pattern, line) for line in EXAMPLES), place


def test_every_word_of_the_page_is_one_of_the_answers(here: Here) -> None:
    text = str(here.reader().get("/api/v1/openapi.json").json())
    for name in re.findall(r"`([a-z_]+)`", PAGE.partition("## Machines")[2].partition("## In a browser")[0]):
        assert f"'{name}'" in text or name in ("compared", "main"), name
