"""lockstep.toml: what it may say, and that what is wrong is named with file, line and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner import config
from runner.errors import UsageError
from runner.jobs import watched
from runner.jobs.watched import Nightly
from runner.storage import nights

GOOD = """\
[[watch]]
name = "main"
repository = "source"
branch = "main"
anchor = "cpython@3.13.5"
"""


def read(folder: Path, text: str) -> Nightly:
    (folder / "benchmarks").mkdir(exist_ok=True)
    (folder / "benchmarks" / "__init__.py").touch()
    (folder / "lockstep.toml").write_text(text)
    return watched.read(folder / "lockstep.toml")


def test_the_example_is_right_and_has_every_key(tmp_path: Path) -> None:
    settings = read(tmp_path, watched.EXAMPLE)
    (watch,) = settings.watch
    assert watch.configurations == ("", "pgo&lto") and watch.margin == 0.01 and watch.budget == 3600
    assert settings.machine.memory_limit == 4 << 30 and settings.retention.days == 90
    for model in (watched.Watch, watched.Suite, watched.Retention, watched.Site, watched.Machine):
        for key in model.model_fields:
            assert f"{key} =" in watched.EXAMPLE or f"{key}=" in watched.EXAMPLE, key


def test_what_is_left_out_is_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "STATE", tmp_path / "elsewhere")
    settings = read(tmp_path, GOOD)
    (watch,) = settings.watch
    assert watch.configurations == ("",) and watch.blocks is None and watch.edits == ()
    assert [suite.place for suite in watch.suites] == ["bytesio"]
    assert watch.repository == str(tmp_path / "source"), "a path is relative to the file"
    assert settings.runs == tmp_path / "elsewhere" / "runs" and settings.asv is None


def test_builds_of_a_watch(tmp_path: Path) -> None:
    (tmp_path / "fix.patch").write_text("--- a/b.h\n+++ b/b.h\n@@ -1 +1 @@\n-int h;\n+int g;\n")
    (watch,) = read(tmp_path, GOOD + 'edits = ["nocow", "fix.patch"]\n').watch
    assert watch.spec("abc", "") == f"git:{tmp_path}/source@abc+nocow+{tmp_path}/fix.patch"
    assert watch.spec("abc", "pgo&lto") == f"git:{tmp_path}/source@abc+nocow+{tmp_path}/fix.patch?pgo&lto"
    assert watch.pinned(tmp_path, "pgo") == "cpython@3.13.5?pgo", "the edits are for the repository's commits"
    for place in ("https://example.org/a.git", "git@example.org:a/b.git"):
        (watch,) = read(tmp_path, GOOD.replace("source", place)).watch
        assert watch.repository == place


WRONG = {
    'margin = "zero"': ("6: watch[0].margin: 'zero' is not a margin; write a percentage such as 1%",),
    "margin = true": ("6: watch[0].margin: 'True' is not a margin",),
    "budget = 90": ("6: watch[0].budget: '90' is not a time; write for example 90s",),
    "blocks = 3": ("6: watch[0].blocks: ", "greater than or equal to 6"),
    "colour = 1": ("6: watch[0].colour: there is no such key; there are: name, repository, branch, anchor",),
    'configurations = ["pgi"]': ("6: watch[0].configurations: ", "'pgi' is not a build option"),
    'configurations = ["pgo", "pgo"]': ("6: watch[0].configurations: it has each configuration once",),
    "configurations = []": ("6: watch[0].configurations: it has each configuration once, and one at least",),
    'edits = ["nowhere.patch"]': ("6: watch[0].edits: ", "nowhere.patch"),
    'suites = [{ place = "nowhere" }]': ("6: watch[0].suites[0].place: There is no suite nowhere",),
    'suites = [{ place = "bytesio", select = "(" }]': ("6: watch[0].suites[0].select: '(' is no regular expression",),
    "suites = []": ("6: watch[0].suites: it needs one at least",),
    "suites = [{ place = 'bytesio' }, { place = 'benchmarks' }]": ("6: watch[0].suites: two are folders of one name",),
    "suites = [\n  { plaice = 'x' },\n]": (
        "6: watch[0].suites[0].plaice: there is no such key; there are: place, select",),
    "[[watch.suites]]\nplace = 'nowhere'": ("7: watch[0].suites[0].place: There is no suite nowhere",),
    "\n[site]\ncommit_url = 'x'": ("8: site.commit_url: 'x' lacks {hash}",),
    "[retention]\ndays = 0": ("7: retention.days: ", "greater than or equal to 1"),
    "[machine]\nmemory_limit = 'big'": ("7: machine.memory_limit: 'big' is not a size",),
    "[serve]\nproxies = ['10.0.0.1/8']": ("7: serve.proxies: '10.0.0.1/8' is no address or network",),
    "[serve]\nrate = -1": ("7: serve.rate",),
    "[[watch]]\nname = 'main'": (
        "6: watch[1].repository: it is missing", "6: watch[1].branch: it is missing", "watch[1].anchor: it is missing"),
    GOOD: ("1: watch: two are named 'main'",),
    "margin = 1%": ("6: it is not TOML: ",),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_with_its_line_and_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, f"{GOOD}{text}\n")
    for word in WRONG[text]:
        assert word in str(caught.value), str(caught.value)
    assert all(line.startswith(f"{tmp_path}/lockstep.toml:") for line in str(caught.value).splitlines())


@pytest.mark.parametrize(("key", "value", "word"), [
    ("name", "a/b", "becomes a part of file names"), ("name", "", "becomes a part of file names"),
    ("branch", "refs/heads/main", "is no branch's name"), ("branch", "main~1", "is no branch's name"),
    ("anchor", "dir:source", "is a folder, whose content changes"), ("anchor", "cpython@3.13.5?pgo", "has options"),
    ("anchor", "cpython@3", "is not a release of CPython"), ("anchor", "", "is neither a build"),
])
def test_a_wrong_value_of_a_key_that_must_be_there(tmp_path: Path, key: str, value: str, word: str) -> None:
    lines = [f'{key} = "{value}"' if line.startswith(f"{key} =") else line for line in GOOD.splitlines()]
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "\n".join(lines))
    number = next(place for place, line in enumerate(lines, start=1) if line.startswith(f"{key} ="))
    assert f":{number}: watch[0].{key}: " in str(caught.value) and word in str(caught.value)


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, GOOD.replace("main", "/") + 'margin = "0"\nbudget = "0"\n')
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == ["2", "6", "7"]


def test_lines_of_tables_and_keys() -> None:
    text = '# a\n[[a]]\nx = 1\n"y z" = 2\n[[a.b]]\nu = 1\n[[a.b]]\nu = 2\n[[a]]\nx = 3\n[c.d]\ne = """\nf"""\n'
    assert watched.lines(text) == {
        ("a", 0): 2, ("a", 0, "x"): 3, ("a", 0, "b", 0): 5, ("a", 0, "b", 0, "u"): 6, ("a", 0, "b", 1): 7,
        ("a", 0, "b", 1, "u"): 8, ("a", 1): 9, ("a", 1, "x"): 10, ("c", "d"): 11, ("c", "d", "e"): 12,
    } | ({("a", 0, "y z"): 4})


def test_the_command_checks_and_gives_an_example(
    lockstep: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, example, _ = lockstep("config", "--example")
    assert code == 0
    (tmp_path / "lockstep.toml").write_text(example)
    code, out, error = lockstep("config", "--check", "--config", tmp_path / "lockstep.toml")
    assert (code, error) == (0, "")
    assert "main: branch main of https://github.com/python/cpython against cpython@3.13.5" in out
    (tmp_path / "lockstep.toml").write_text(example.replace('"1%"', '"1"'))
    code, out, error = lockstep("config", "--check", "--config", tmp_path / "lockstep.toml")
    assert code == 2 and out == "" and "lockstep.toml:11: watch[0].margin: '1' is not a margin" in error
    code, _, error = lockstep("nightly", "--config", tmp_path / "nowhere.toml")
    assert code == 2 and "lockstep config --example > lockstep.toml" in error
    assert lockstep("config")[0] == 2


def test_what_is_not_watched_and_a_night_that_is_under_way_are_refused(
    lockstep: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    read(tmp_path, f'state = "{tmp_path / "state"}"\n{GOOD}')
    words = ("nightly", "--config", tmp_path / "lockstep.toml")
    code, _, error = lockstep(*words, "--watch", "other")
    assert code == 2 and "nothing is watched by the name other; there are: main" in error
    with nights.alone(tmp_path / "state" / "nights", "main", "", wait=False, told=print):
        code, _, error = lockstep(*words, "--no-wait")
    assert code == 4 and "another night of main is under way" in error
    assert nights.read(tmp_path / "state" / "nights") == []


def test_what_is_watched_is_asked_for_by_nights_alone(
    lockstep: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events are looked after where the repositories and suites of a watch need not be."""
    monkeypatch.chdir(tmp_path)
    assert watched.service(None).state == config.STATE
    file = tmp_path / "lockstep.toml"
    file.write_text('state = "here"\n[channels]\nsite = "https://example.org"\n')
    found = watched.service(None)
    assert found.state == tmp_path / "here" and found.channels.site == "https://example.org"
    assert lockstep("status")[0] == lockstep("events")[0] == 0
    code, _, error = lockstep("nightly")
    assert code == 2 and "lockstep.toml:1: watch: it is missing" in error
    file.write_text(f'{GOOD}suites = [{{ place = "nowhere" }}]\n')
    assert watched.service(file).retention.days == 90
    file.write_text('[chanels]\nsite = "https://example.org"\n')
    code, _, error = lockstep("status")
    assert code == 2 and "lockstep.toml:1: chanels: there is no such key; there are: state, asv" in error


def serve(folder: Path, text: str) -> watched.Serve:
    (folder / "lockstep.toml").write_text(f"[serve]\n{text}")
    return watched.service(folder / "lockstep.toml").serve


@pytest.mark.parametrize("url", [
    "https://github.com/python/cpython", "https://forge.example:8443/~ada/cpython.git",
    "ssh://git@forge.example/cpython", "ssh://forge.example:2222/a/b", "http://127.0.0.1:8000/cpython",
])
def test_repositories_of_requests(tmp_path: Path, url: str) -> None:
    assert serve(tmp_path, f'repositories = ["{url}"]').repositories == (url,)


@pytest.mark.parametrize("url", [
    "", "cpython", "/srv/cpython", "file:///srv/cpython", "ext::id", "git://forge.example/a", "http://forge.example/a",
    "https://user:secret@forge.example/a", "https://user@forge.example/a", "ssh://git:secret@forge.example/a",
    "ssh://-oProxyCommand=id/a", "ssh://-o@forge.example/a", "git@forge.example:a/b", "https://forge.example",
    "https://forge.example/", "https://forge.example/a b", "https://forge.example/a?b", "https://forge.example/a#b",
    "https://forge.example/a@b", "https://forge.example/a+b", "HTTPS://forge.example/a", "https://forge.example/a\\n",
])
def test_what_is_no_repository_of_requests(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=r"lockstep.toml:2: serve.repositories\[1\]: that is no URL") as told:
        serve(tmp_path, f'repositories = ["https://forge.example/a", "{url}"]')
    assert "secret" not in str(told.value)


def test_who_may_ask_by_a_comment(tmp_path: Path) -> None:
    github = '\n[serve.github]\nsecret_from = "LOCKSTEP_SECRET"\nrepositories = ["python/cpython"]\n'
    assert serve(tmp_path, "").github is None
    found = serve(tmp_path, f'{github}allow = ["ada"]').github
    assert found is not None and found.allow == ("ada",) and found.token_from == "LOCKSTEP_GITHUB_TOKEN"
    hook = serve(tmp_path, github).github
    assert hook is not None and hook.allow == (), "nobody by default"
    for wrong, why in (
        ('secret = "hunter2"', "there is no such key; there are: secret_from"),
        ('allow = ["ada lovelace"]', "should match"), ('address = "http://forge.example"', "http sends everything"),
    ):
        with pytest.raises(UsageError, match=why) as told:
            serve(tmp_path, f"{github}{wrong}")
        assert "hunter2" not in str(told.value)
    with pytest.raises(UsageError, match="name an environment variable") as told:
        serve(tmp_path, github.replace("LOCKSTEP_SECRET", "hunter2"))
    assert "hunter2" not in str(told.value)
