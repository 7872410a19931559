"""The order of commits is the graph's; a build says which commit it is of; a repository elsewhere has a whole copy."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fake_source import plant

from runner import builds
from runner.builds import commits, history
from runner.errors import BuildError, UsageError

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"), pytest.mark.usefixtures("own_folders"),
]


def do(folder: Path, *words: str, date: int | None = None) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    dates = {} if date is None else {f"GIT_{who}_DATE": f"{date} +0000" for who in ("AUTHOR", "COMMITTER")}
    ran = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True,
                         env={**os.environ, **dates})
    return ran.stdout.strip()


def commit(folder: Path, text: str, date: int = 1_700_000_000) -> str:
    (folder / "a.c").write_text(f"int {text};\n")
    do(folder, "add", "--all")
    do(folder, "commit", "--quiet", "-m", f"Say {text}\n\nAnd more.", date=date)
    return do(folder, "rev-parse", "HEAD")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tree = plant(tmp_path / "source")
    do(tree, "init", "--quiet", "--initial-branch=main")
    return tree


def silent(_: str) -> None: ...


def test_positions_are_on_the_line_of_first_parents_whatever_the_dates_say(source: Path) -> None:
    first = commit(source, "one", date=1_700_000_300)
    second = commit(source, "two", date=1_700_000_100)  # older than its parent
    do(source, "checkout", "--quiet", "-b", "topic")
    aside = commit(source, "aside", date=1_700_000_900)
    aside = commit(source, "aside_more", date=1_700_000_901)
    do(source, "checkout", "--quiet", "main")
    do(source, "merge", "--quiet", "--no-ff", "-m", "Merge topic", "topic", date=1_700_000_200)
    merge = do(source, "rev-parse", "HEAD")
    last = commit(source, "last", date=1_600_000_000)
    assert [history.position(source, one) for one in (first, second, merge, last)] == [1, 2, 3, 4]
    assert history.line(source, first, last) == [second, merge, last]
    assert history.line(source, aside, last) == [merge, last], "what was merged is in the history"
    assert history.is_ancestor(source, aside, last) and not history.is_ancestor(source, last, aside)
    assert not history.is_ancestor(source, "0" * 40, last), "what is not there is no ancestor"
    with pytest.raises(UsageError, match="is not in the history of"):
        history.line(source, last, first)
    assert history.branches_with(source, aside) == ["topic", "main"]
    assert history.tip(source, "main") == last and history.tip(source, "gone") is None


def test_a_build_of_a_commit_says_which(source: Path, tmp_path: Path) -> None:
    commit(source, "one")
    second = commit(source, "two", date=1_700_000_001)
    do(source, "tag", "-a", "-m", "tag", "v2")
    named = {"main": "main", "refs/heads/main": "main", second: "", "v2": "", "HEAD": "", "main~0": ""}
    for ref, branch in named.items():
        made = builds.resolve(f"git:{source}@{ref}", progress=silent)
        assert made.commit is not None
        assert (made.commit.hash, made.commit.date, made.commit.subject) == (second, 1_700_000_001, "Say two")
        assert (made.commit.repository, made.commit.branch, made.commit.position) == (str(source), branch, 2), ref
    far = builds.resolve(f"git:file://{source}@main", progress=silent)
    assert far.commit is not None and (far.commit.hash, far.commit.branch) == (second, "main")
    assert far.commit.position is None, "of one commit alone nobody knows its place"
    assert builds.resolve(f"dir:{source}", progress=silent).commit is None


def test_a_message_in_any_encoding_is_told(source: Path) -> None:
    do(source, "add", "--all")
    do(source, "-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", "-F", str(_message(source)))
    found = history.describe(source, do(source, "rev-parse", "HEAD"), place="x")
    assert found.subject == "Süß"
    do(source, "commit", "--quiet", "--allow-empty", "--allow-empty-message", "-m", "")
    assert history.describe(source, do(source, "rev-parse", "HEAD"), place="x").subject == ""
    do(source, "commit", "--quiet", "--allow-empty", "-m", "ä" * 5000)
    found = history.describe(source, do(source, "rev-parse", "HEAD"), place="x")
    assert found.subject == "ä" * history.SUBJECT, "a page has it a hundred times"


def _message(source: Path) -> Path:
    path = source.parent / "message"
    path.write_bytes("Süß".encode("latin-1"))
    return path


def test_a_whole_copy_follows_its_repository_and_forgets_nothing(source: Path) -> None:
    first = commit(source, "one")
    url = f"file://{source}"
    copy = history.fetch(url, silent)
    assert history.tip(copy, "main") == first
    second = commit(source, "two")
    do(source, "tag", "v2")
    assert history.tip(history.fetch(url, silent), "main") == second
    assert history.named(copy, "v2") == second and history.named(copy, first[:9]) == first
    with pytest.raises(UsageError, match=r"main is a branch .* and moves"):
        history.named(copy, "main")
    with pytest.raises(UsageError, match="has no commit v3"):
        history.named(copy, "v3")
    do(source, "reset", "--quiet", "--hard", first)
    other = commit(source, "other")
    do(source, "branch", "a")
    history.fetch(url, silent)
    assert history.tip(copy, "main") == other and not history.is_ancestor(copy, second, other)
    assert history.describe(copy, second, place=url).subject == "Say two", "it is still there"
    do(source, "branch", "-D", "a")
    do(source, "branch", "--move", "main", "a/b")
    history.fetch(url, silent)
    assert history.tip(copy, "main") is None and history.branches_with(copy, other) == ["a/b"]
    shutil.rmtree(source / ".git")
    with pytest.raises(BuildError, match="cannot fetch file://"):
        history.fetch(url, silent)
    # What was fetched is built without asking again.
    made = builds.resolve(f"git:{url}@{second}", progress=silent)
    assert made.commit is not None and (made.commit.subject, made.commit.position) == ("Say two", 2)
    assert commits.copy_of(url) == copy


def test_a_folder_that_cannot_be_watched_is_refused(source: Path, tmp_path: Path) -> None:
    commit(source, "one")
    commit(source, "two")
    do(tmp_path, "clone", "--quiet", "--depth=1", f"file://{source}", "shallow")
    with pytest.raises(UsageError, match=r"is a shallow clone.*fetch --unshallow"):
        history.fetch(str(tmp_path / "shallow"), silent)
    with pytest.raises(UsageError, match="there is no folder"):
        history.fetch(str(tmp_path / "nowhere"), silent)
    with pytest.raises(UsageError, match="is no git repository"):
        history.fetch(str(tmp_path / "home"), silent)
    assert history.fetch(str(source), silent) == source
