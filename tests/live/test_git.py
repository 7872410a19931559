"""git as people have it: hooks, settings, worktrees, shallow clones, submodules, names that mean two things."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from fake_source import plant

from runner import builds
from runner.builds import git, planning, repository, sources
from runner.builds.spec import parse
from runner.errors import BuildError, UsageError

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"), pytest.mark.usefixtures("own_folders"),
]
ROOT = Path(__file__).parents[2]


def do(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main",
                "-c", "protocol.file.allow=always")
    ran = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


def commit(folder: Path, text: str) -> str:
    (folder / "a.c").write_text(text)
    do(folder, "add", "--all")
    do(folder, "commit", "--quiet", "-m", text)
    return do(folder, "rev-parse", "HEAD")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A repository of two commits: v1 and main."""
    tree = plant(tmp_path / "source")
    do(tree, "init", "--quiet")
    commit(tree, "int first;\n")
    do(tree, "tag", "-a", "-m", "one", "v1")
    commit(tree, "int second;\n")
    return tree


def find(text: str) -> sources.Source:
    spec = parse(text)
    assert spec is not None
    return sources.find(spec, planning.DATA / "sources.toml", lambda _: None)


def content(text: str, place: Path) -> str:
    """What a.c is in the source that a name gives."""
    shutil.rmtree(place / "unpack", ignore_errors=True)
    (place / "unpack").mkdir(parents=True)
    find(text).unpack(place / "unpack" / "tree", lambda _: None)
    return (place / "unpack" / "tree" / "a.c").read_text()


def refused(text: str, *words: str, error: type[Exception] = UsageError) -> None:
    with pytest.raises(error) as caught:
        find(text)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


def test_source_repo_from_a_hook_leaves_the_users_repository_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook runs with variables that lead every git to the repository that it belongs to."""
    tree = plant(tmp_path / "release")
    monkeypatch.setattr(sources.ReleaseSource, "unpack", lambda self, to, progress: shutil.copytree(tree, to) and None)
    hook = source / ".git/hooks/post-commit"
    saw = tmp_path / "environment"
    hook.write_text(f"#!/bin/sh\nenv > {saw}\n")
    hook.chmod(0o755)
    commit(source, "int third;\n")
    given = dict(line.split("=", 1) for line in saw.read_text().splitlines() if line.startswith("GIT_"))
    assert "GIT_INDEX_FILE" in given, "git sets it for its hooks"
    before = do(source, "log", "--all", "--format=%H"), do(source, "status", "--porcelain"), do(source, "branch")
    for name, value in {**given, "GIT_DIR": f"{source}/.git", "GIT_INDEX_FILE": f"{source}/.git/index"}.items():
        monkeypatch.setenv(name, value)
    made = repository.make(tmp_path / "made", "3.13.5", planning.DATA, lambda _: None)
    assert "main" in made
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    assert before == (
        do(source, "log", "--all", "--format=%H"), do(source, "status", "--porcelain"), do(source, "branch")
    )
    assert do(tmp_path / "made", "log", "--format=%s", "main") == "CPython 3.13.5"


@pytest.mark.parametrize(("name", "value"), [
    ("GIT_DIR", "{0}/other/.git"), ("GIT_WORK_TREE", "{0}/other"), ("GIT_OBJECT_DIRECTORY", "{0}/other/.git/objects"),
    ("GIT_INDEX_FILE", "{0}/other/.git/index"), ("GIT_NAMESPACE", "other"), ("GIT_TRACE", "1"),
    ("GIT_CONFIG_GLOBAL", "{0}/gone/x"), ("GIT_CONFIG_PARAMETERS", "'core.bare=true'"), ("GIT_CONFIG_COUNT", "7"),
    ("GIT_CEILING_DIRECTORIES", "{0}"), ("GIT_LITERAL_PATHSPECS", "x"), ("GIT_COMMON_DIR", "{0}/other/.git"),
])
def test_variables_for_git_lead_nowhere_else(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    other = plant(tmp_path / "other")
    do(other, "init", "--quiet")
    commit(other, "int other;\n")
    do(other, "tag", "v1")
    files = sources.tracked(source)
    monkeypatch.setenv(name, value.format(tmp_path))
    assert content(f"git:{source}@main", tmp_path) == "int second;\n"
    assert content(f"git:{source}@v1", tmp_path) == "int first;\n"
    assert content(f"git:file://{source}@v1", tmp_path) == "int first;\n"
    assert sources.tracked(source) == files


def test_what_says_how_a_server_is_reached_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"GIT_SSH_COMMAND": "ssh -i key", "GIT_SSL_CAINFO": "ca.pem", "GIT_ASKPASS": "ask", "HTTPS_PROXY": "proxy"}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    assert kept.items() <= git.environment().items()


SETTINGS = """
[core]
    autocrlf = true
    eol = crlf
    attributesFile = {home}/attributes
    hooksPath = {home}/hooks
    quotePath = true
    abbrev = 4
[color]
    ui = always
    branch = always
[diff]
    noprefix = true
[commit]
    gpgSign = true
[gpg]
    program = /nonexistent/gpg
[tar]
    umask = 0077
[init]
    templateDir = {home}/template
    defaultBranch = strange
[user]
    useConfigOnly = true
"""


def test_the_users_settings_change_no_result(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = plant(tmp_path / "release")
    monkeypatch.setattr(sources.ReleaseSource, "unpack", lambda self, to, progress: shutil.copytree(tree, to) and None)
    repository.make(tmp_path / "one", "3.13.5", planning.DATA, lambda _: None)
    home = tmp_path / "home"
    (home / "hooks").mkdir()
    (home / "hooks/pre-commit").write_text("#!/bin/sh\nexit 1\n")
    (home / "hooks/pre-commit").chmod(0o755)
    (home / "template/hooks").mkdir(parents=True)
    (home / "attributes").write_text("*.h export-ignore\n")
    (home / ".gitconfig").write_text(SETTINGS.format(home=home))
    repository.make(tmp_path / "two", "3.13.5", planning.DATA, lambda _: None)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert do(tmp_path / "one", "rev-parse", "main") == do(tmp_path / "two", "rev-parse", "main")
    monkeypatch.setenv("HOME", str(home))
    for name in (f"git:{source}@main", f"git:file://{source}@main"):
        assert content(name, tmp_path) == "int second;\n"
        assert (tmp_path / "unpack/tree/b.h").is_file()
        assert stat.S_IMODE((tmp_path / "unpack/tree/configure").stat().st_mode) & 0o755 == 0o755
    assert "a.c" in sources.tracked(source)


def test_a_file_of_any_name_is_copied(source: Path, tmp_path: Path) -> None:
    odd = [b"caf\xe9.c", b"two\nlines.c", b"quote\".c"]
    for name in odd:
        (Path(os.fsdecode(os.fsencode(source) + b"/" + name))).write_text("int odd;\n")
    (source / "link").symlink_to("Lib", target_is_directory=True)
    found = sources.tracked(source)
    assert {*map(os.fsdecode, odd), "link"} <= set(found)
    assert find(f"dir:{source}").hash.startswith("tree:")


def test_names_of_commits(source: Path, tmp_path: Path) -> None:
    first, second = do(source, "rev-parse", "v1^{commit}"), do(source, "rev-parse", "main")
    do(source, "branch", "topic/deep", "v1^{commit}")
    do(source, "branch", "--set-upstream-to=main", "topic/deep")
    for name, expected in {
        "HEAD": second, "HEAD~1": first, "@{0}": second, "main^": first, second[:7]: second, first: first, "v1": first,
        "topic/deep": first, "topic/deep@{upstream}": second, "refs/heads/main": second, "v1^{}": first,
    }.items():
        found = find(f"git:{source}@{name}")
        assert isinstance(found, sources.Commit)
        assert found.commit == expected, name
    # Of a repository elsewhere.
    url = f"file://{source}"
    for name, expected in {
        "HEAD": second, "main": second, "v1": first, "topic/deep": first, "refs/heads/main": second, first: first,
        second[:9]: second, first[:9]: first,
    }.items():
        found = find(f"git:{url}@{name}")
        assert isinstance(found, sources.Commit)
        assert found.commit == expected, name


def test_branches_one_of_which_is_a_folder_of_the_other_are_both_fetched(source: Path, tmp_path: Path) -> None:
    do(source, "branch", "a", "v1^{commit}")
    assert content(f"git:file://{source}@a", tmp_path) == "int first;\n"
    do(source, "branch", "-D", "a")
    do(source, "branch", "a/b", "main")
    assert content(f"git:file://{source}@a/b", tmp_path) == "int second;\n"


@pytest.mark.parametrize("place", ["{0}", "file://{0}"])
def test_a_name_of_two_commits_is_refused(source: Path, place: str) -> None:
    do(source, "branch", "v1", "main")
    name = f"git:{place.format(source)}"
    refused(f"{name}@v1", "v1 names several commits", f"{name}@refs/tags/v1", f"{name}@refs/heads/v1")
    found = find(f"{name}@refs/heads/v1")
    assert isinstance(found, sources.Commit) and found.commit == do(source, "rev-parse", "main")
    do(source, "branch", "--force", "v1", "v1^{commit}")
    assert isinstance(find(f"{name}@v1"), sources.Commit), "both mean one commit"


def test_what_is_not_there_is_told_in_words_that_help(source: Path, tmp_path: Path) -> None:
    refused(f"git:{source}@gone", "cannot find gone", "no such branch, tag or commit")
    refused(f"git:{source}@main@{{upstream}}", "no upstream configured for branch 'main'")
    refused(f"git:{source}@-x", "is not a branch, tag or commit")
    refused(f"git:{source}@v1:a.c", "needs a commit, branch or tag")
    refused(f"git:{source / 'Lib'}@main", "inside the git repository", str(source))
    refused(f"git:{source / 'a.c'}@main", "is a file")
    (tmp_path / "plain").mkdir()
    refused(f"git:{tmp_path / 'plain'}@main", "is no git repository")
    (tmp_path / "empty").mkdir()
    do(tmp_path / "empty", "init", "--quiet")
    refused(f"git:{tmp_path / 'empty'}@HEAD", "has no commit yet")
    url = f"file://{source}"
    for name in ("HEAD~1", "main@{upstream}", "main^"):
        refused(f"git:{url}@{name}", "needs the whole repository", "full hash")
    inside = commit(source, "int third;\n")
    commit(source, "int fourth;\n")
    refused(f"git:{url}@{inside[:9]}", "begins no commit that a branch or tag there points to", "full hash")
    refused(f"git:{url}@gone", "cannot fetch gone", error=BuildError)
    refused(f"git:{url}/nowhere@main", "cannot fetch main", error=BuildError)
    do(tmp_path, "clone", "--quiet", url, "clone")
    do(source, "branch", "other")
    do(tmp_path / "clone", "fetch", "--quiet")
    refused(f"git:{tmp_path / 'clone'}@other", "no such branch here, but origin/other")


def test_a_shallow_clone_lacks_what_it_lacks(source: Path, tmp_path: Path) -> None:
    first = do(source, "rev-parse", "v1^{commit}")
    do(tmp_path, "clone", "--quiet", "--depth=1", f"file://{source}", "shallow")
    assert content(f"git:{tmp_path / 'shallow'}@HEAD", tmp_path) == "int second;\n"
    for name in ("HEAD~1", first, "v1"):
        refused(f"git:{tmp_path / 'shallow'}@{name}", "is a shallow clone", "fetch --unshallow")


def test_worktrees_and_bare_repositories_are_repositories(source: Path, tmp_path: Path) -> None:
    do(source, "worktree", "add", "--quiet", str(tmp_path / "tree"), "v1")
    do(tmp_path, "clone", "--quiet", "--bare", str(source), "bare.git")
    assert (tmp_path / "tree/.git").is_file()
    (tmp_path / "tree/a.c").write_text("int changed;\n")
    (tmp_path / "tree/b.o").write_text("int ours;\n")  # not ignored, so it is a file like others
    assert content(f"dir:{tmp_path / 'tree'}", tmp_path) == "int changed;\n"
    assert {"a.c", "b.o"} <= set(sources.tracked(tmp_path / "tree"))
    assert content(f"git:{tmp_path / 'tree'}@HEAD", tmp_path) == "int first;\n"
    assert content(f"git:{tmp_path / 'bare.git'}@main", tmp_path) == "int second;\n"
    source.rename(tmp_path / "moved")
    with pytest.raises(BuildError, match=r"worktree of a repository that is no longer at .*git worktree repair"):
        find(f"dir:{tmp_path / 'tree'}")


def test_submodules_are_taken_with_a_folder_and_refused_in_a_commit(source: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    do(part, "init", "--quiet")
    (part / "p.h").write_text("int p;\n")
    commit(part, "int part;\n")
    do(source, "submodule", "--quiet", "add", str(part), "Modules/part")
    do(source, "commit", "--quiet", "-m", "with a part")
    assert {"Modules/part/p.h", "Modules/part/a.c"} <= set(sources.tracked(source))
    refused(f"git:{source}@main", "Modules/part", "--recurse-submodules", "dir:FOLDER")
    assert content(f"git:{source}@v1", tmp_path) == "int first;\n"
    do(tmp_path, "clone", "--quiet", str(source), "clone")
    refused(f"dir:{tmp_path / 'clone'}", "Modules/part is empty", "git submodule update --init")


def test_another_users_repository_names_the_command_that_trusts_it(source: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a repository to another user")
    for path in [source, *source.rglob("*")]:
        os.chown(path, 4321, 4321, follow_symlinks=False)
    command = f"git config --global --add safe.directory {source}"
    refused(f"git:{source}@main", "belongs to another user", command)
    refused(f"dir:{source}", "belongs to another user", command, error=BuildError)
    subprocess.run(command.split(), check=True)
    assert isinstance(find(f"git:{source}@main"), sources.Commit)


def test_a_branch_of_the_plugins_repository_is_found_from_a_hook(
    source: Path, tmp_path: Path
) -> None:
    code = "import sys; from runner.asv_plugin import _is_branch; print(_is_branch(sys.argv[1], 'main'))"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(source)], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "GIT_DIR": str(tmp_path / "nowhere")},
    )
    assert ran.stdout.strip() == "True"


def test_a_build_of_a_commit_and_of_its_files_is_one_and_the_same(source: Path) -> None:
    one, other = (builds.resolve(f"git:{place}@main", progress=lambda _: None) for place in (source, f"file://{source}"))
    assert one.build is not None and other.build is not None
    assert one.build.key == other.build.key
