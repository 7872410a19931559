"""Patches that git, diff and mail made, each applied as git's and GNU patch's own programs apply it, or refused."""

from __future__ import annotations

import base64
import os
import quopri
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from runner.builds import applying, edits
from runner.builds.edits import Changes
from runner.errors import UsageError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
needs_diff = pytest.mark.skipif(
    shutil.which("diff") is None or shutil.which("patch") is None, reason="needs diff and patch")

NUMBERS = b"".join(b"line %d\n" % number for number in range(1, 61))
FILES = {
    "top.c": b"int top;\n", "Lib/numbers.py": NUMBERS, "Lib/latin.py": b"# caf\xe9\nx = 1\n", "Lib/gone.py": b"gone\n",
    "Lib/dos.bat": b"one\r\ntwo\r\n", "Lib/old name.py": NUMBERS.replace(b"line", b"row"), "Lib/end.py": b"a\nb",
    "Lib/run.sh": b"#!/bin/sh\n", "Lib/data.bin": bytes(range(256)) * 4, "Lib/x.sql": b"-- x\nkeep\n",
    "Include/a.h": b"int a;\n\x0cint b;\n",
}


def git(tree: Path, *words: str) -> bytes:
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main",
                "-c", "core.autocrlf=false")
    ran = subprocess.run(["git", *identity, *words], cwd=tree, check=True, capture_output=True)
    return ran.stdout


def write(tree: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(content)
    return tree


def state(tree: Path) -> dict[str, applying.Content]:
    """All files of a tree with their modes and contents, and none of a repository's own."""
    names = (path.relative_to(tree) for path in tree.rglob("*") if path.is_symlink() or path.is_file())
    return {str(name): applying.content(tree / name) for name in names if name.parts[0] != ".git"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The source to be patched, which is no repository."""
    return write(tmp_path / "source", FILES)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The same as a commit."""
    tree = write(tmp_path / "repository", FILES)
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "-m", "first")
    return tree


def change_text(tree: Path) -> None:
    """What a unified diff of any program can say."""
    write(tree, {
        "top.c": b"long top;\n", "Lib/latin.py": b"# caf\xe9\nx = '\xfc'\n", "Lib/dos.bat": b"one\r\nthree\r\n",
        "Lib/end.py": b"a\nb\n", "Lib/x.sql": b"++ y\nkeep\n",
        "Lib/sub/new.py": b"new\n-- no\n", "Include/a.h": b"int a;\n\x0clong b;",
        "Lib/numbers.py": NUMBERS.replace(b"line 7\n", b"line 7\n--- 7a\n+++ 7b\n@@ -1 +1 @@\n").replace(b"line 50\n",
                                                                                                    b""),
    })
    (tree / "Lib/gone.py").unlink()


def change_all(tree: Path) -> None:
    """What git's own can say beside: names, modes, links, empty files, bytes."""
    change_text(tree)
    (tree / "Lib/old name.py").rename(tree / "Lib/new n\u00e4me.py")
    write(tree, {"Lib/new n\u00e4me.py": FILES["Lib/old name.py"].replace(b"row 30\n", b"row thirty\n"),
                 "Lib/empty.py": b"", "Lib/data.bin": bytes(reversed(range(256))) * 4,
                 "Lib/copy of numbers.py": NUMBERS.replace(b"line 40\n", b"line forty\n")})
    (tree / "Lib/run.sh").chmod(0o755)
    (tree / "Lib/link").symlink_to("run.sh")


def apply(content: bytes, tree: Path, name: str = "fix.patch") -> Changes:
    path = tree.parent / name
    path.write_bytes(content)
    return edits.apply([edits.load(str(path), tree.parent)], tree)


DIFFS = [
    [], ["--no-prefix"], ["--src-prefix=old/", "--dst-prefix=new/"],
    ["--src-prefix=x/y/", "--dst-prefix=x/z/", "--no-renames"],
    ["-M", "-C", "--find-copies-harder"], ["--no-renames"], ["--no-renames", "--no-prefix"], ["--full-index"],
    ["-M", "--no-prefix"], ["-U1"], ["-U9"], ["--function-context"], ["--patience"], ["--patch-with-stat"],
    ["--raw", "-p"], ["--ignore-submodules", "-B"],
]


@pytest.mark.parametrize("options", DIFFS, ids=" ".join)
def test_a_git_diff_makes_what_it_was_made_of(repository: Path, source: Path, options: list[str]) -> None:
    change_all(repository)
    git(repository, "add", "--all")
    patch = git(repository, "diff", "--cached", "--binary", *options)
    changes = apply(patch, source)
    assert state(source) == state(repository)
    assert {name for name in state(repository) | state(write(source.parent / "again", FILES))
            if state(repository).get(name) != state(source.parent / "again").get(name)} == set(changes.before)
    assert changes.notes == ()


def test_renames_under_deep_prefixes_are_refused(repository: Path, source: Path) -> None:
    change_all(repository)
    git(repository, "add", "--all")
    patch = git(repository, "diff", "--cached", "--binary", "-M", "--src-prefix=x/y/", "--dst-prefix=x/z/")
    with pytest.raises(UsageError, match="renames and copies under prefixes of several folders"):
        apply(patch, source)


@pytest.mark.parametrize(("words", "prefixes"), [([], b"i/ w/"), (["HEAD"], b"c/ w/"), (["--cached"], b"c/ i/")])
def test_prefixes_that_tell_what_is_compared(
    repository: Path, source: Path, words: list[str], prefixes: bytes
) -> None:
    change_text(repository)
    git(repository, "add", *(["--intent-to-add", "Lib/sub/new.py"] if not words else ["--all"]))
    patch = git(repository, "-c", "diff.mnemonicPrefix=true", "diff", *words)
    old, new = prefixes.split()
    assert b"diff --git %sLib/numbers.py %sLib/numbers.py" % (old, new) in patch
    apply(patch, source)
    assert state(source) == state(repository)


@pytest.mark.parametrize("prefix", ["a", "w", "i", "c", "o"])
def test_a_new_file_alone_is_made_in_its_own_place(source: Path, prefix: str) -> None:
    patch = f"--- /dev/null\n+++ {prefix}/Lib/new.py\n@@ -0,0 +1 @@\n+x = 1\n"
    apply(patch.encode(), source)
    assert set(state(source)) - set(FILES) == {"Lib/new.py"}


def test_a_new_file_without_prefixes_is_made_in_its_own_place(repository: Path, source: Path) -> None:
    write(repository, {"Lib/new.py": b"x = 1\n", "Lib/deep/new.py": b""})
    git(repository, "add", "--all")
    apply(git(repository, "diff", "--cached", "--no-prefix"), source)
    assert state(source) == state(repository)


def test_a_new_file_that_may_belong_in_two_places_is_refused(source: Path) -> None:
    for name in ("x/Lib/new.py", "somewhere/new.py"):
        with pytest.raises(UsageError, match=r"fix\.patch:1: which folder .* cannot be told"):
            apply(f"--- /dev/null\n+++ {name}\n@@ -0,0 +1 @@\n+x = 1\n".encode(), source)
    assert state(source) == state(write(source.parent / "again", FILES))


def committed(repository: Path) -> None:
    """Two commits behind the first, with messages that look like patches."""
    change_all(repository)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "One\n\n--- a remark that looks like a header\n+++ and goes on\n"
        "\nOnly in words: this.\n- a list\n+ and more\n")
    write(repository, {"Lib/sub/new.py": b"new\nand newer\n", "Lib/numbers.py": NUMBERS})
    git(repository, "commit", "--quiet", "--all", "-m",
        "Two\n\nBinary files a and b differ\n@@ -1 +1 @@\ndiff --git a/x b/x\n")


@pytest.mark.parametrize("words", [
    ["format-patch", "--stdout", "--binary"], ["format-patch", "--stdout", "--zero-commit", "--keep-subject"],
    ["format-patch", "--stdout", "--attach"], ["format-patch", "--stdout", "--inline"],
    ["format-patch", "--stdout", "--cover-letter"], ["format-patch", "--stdout", "--no-signature"],
    ["format-patch", "--stdout", "--signature=--- x"], ["format-patch", "--stdout", "--no-numbered", "--base=HEAD~2"],
    ["log", "-p", "--reverse", "--binary"], ["log", "-p", "--reverse", "--binary", "--stat", "--format=fuller"],
])
def test_a_series_is_applied_in_order(repository: Path, source: Path, words: list[str]) -> None:
    committed(repository)
    patch = git(repository, *words, "HEAD~2..HEAD")
    assert patch
    apply(patch, source)
    assert state(source) == state(repository)


def test_a_mail_without_the_line_that_ends_its_message(repository: Path, source: Path) -> None:
    change_text(repository)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "Words\n\n- a list\n")
    patch = git(repository, "format-patch", "--stdout", "-p", "HEAD~1")
    assert b"\n---\n" not in patch
    apply(patch, source)
    assert state(source) == state(repository)


def test_one_commit_is_shown_and_applied(repository: Path, source: Path) -> None:
    committed(repository)
    git(repository, "reset", "--quiet", "--hard", "HEAD~1")
    apply(git(repository, "show", "--binary"), source)
    assert state(source) == state(repository)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable"])
def test_an_encoded_mail_is_decoded(repository: Path, source: Path, encoding: str) -> None:
    change_text(repository)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "One")
    head, _, body = git(repository, "format-patch", "--stdout", "HEAD~1").partition(b"\n\n")
    coded = base64.encodebytes(body)
    if encoding == "quoted-printable":
        coded = quopri.encodestring(body.replace(b"\r", b"CR")).replace(b"CR", b"=0D")
    apply(head + f"\nContent-Transfer-Encoding: {encoding}\n\n".encode() + coded, source)
    assert state(source) == state(repository)


def test_a_series_that_lacks_a_mail_is_refused(repository: Path, source: Path) -> None:
    committed(repository)
    git(repository, "commit", "--quiet", "--allow-empty", "-m", "Three")
    series = git(repository, "format-patch", "--stdout", "--always", "HEAD~3..HEAD")
    mails = [b"From " + rest for rest in (b"\n" + series).split(b"\nFrom ")[1:]]
    assert len(mails) == 3
    for chosen in ([0, 2], [1, 0, 2], [0, 1]):
        with pytest.raises(UsageError, match="is not one whole series of mails in order"):
            apply(b"\n".join(mails[number] for number in chosen), source)


@needs_diff
@pytest.mark.parametrize("options", ["-urN", "-ruN -p", "-u5rN", "-rN -U1"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_diff_is_applied_as_patch_does(tmp_path: Path, source: Path, options: str, zone: str) -> None:
    before, after = write(tmp_path / "Python-3", FILES), write(tmp_path / "Python-3-mine", FILES)
    change_text(after)
    made = subprocess.run(["diff", *options.split(), "Python-3", "Python-3-mine"], cwd=tmp_path, capture_output=True,
                          env={**os.environ, "TZ": zone})
    assert made.returncode == 1
    apply(made.stdout, source)
    subprocess.run(["patch", "-p1", "--binary", "--quiet", "--no-backup-if-mismatch"], cwd=before, input=made.stdout,
                   check=True, env={**os.environ, "TZ": zone})
    assert state(source) == state(before) == state(after)


@needs_diff
def test_a_file_beside_its_original(source: Path) -> None:
    new = source / "Lib/numbers.py"
    shutil.copy(new, f"{new}.orig")
    new.write_bytes(NUMBERS.replace(b"line 3\n", b"line three\n"))
    made = subprocess.run(["diff", "-u", "Lib/numbers.py.orig", "Lib/numbers.py"], cwd=source, capture_output=True)
    wanted = new.read_bytes()
    Path(f"{new}.orig").rename(new)
    apply(made.stdout, source)
    assert new.read_bytes() == wanted
    assert set(state(source)) == set(FILES)


@pytest.mark.parametrize("patch", [
    b"Index: top.c\n===========\n--- top.c\t(revision 1)\n+++ top.c\t(working copy)\n@@ -1 +1 @@\n-int top;\n+x\n",
    b"# HG changeset patch\n# User x\n# Date 0 0\nwords\n\ndiff -r 000000000000 -r 111111111111 top.c\n"
    b"--- a/top.c\tThu Jan 01 00:00:00 1970 +0000\n+++ b/top.c\tThu Jan 01 00:00:00 1970 +0000\n@@ -1,1 +1,1 @@\n"
    b"-int top;\n+x\n",
    b"Description: words\nAuthor: x\n---\nmore words\n--- python.orig/top.c\n+++ python/top.c\n@@ -1 +1 @@\n"
    b"-int top;\n+x\n",
    b"\xef\xbb\xbfdiff --git a/top.c b/top.c\r\n--- a/top.c\r\n+++ b/top.c\r\n@@ -1 +1 @@\r\n-int top;\r\n+x\r\n",
])
def test_other_programs_headers(source: Path, patch: bytes) -> None:
    apply(patch, source)
    assert (source / "top.c").read_bytes() == b"x\n"


def test_a_file_that_svn_says_is_not_there(source: Path) -> None:
    apply(b"Index: Lib/gone.py\n=====\n--- Lib/gone.py\t(revision 1)\n+++ Lib/gone.py\t(nonexistent)\n@@ -1 +0,0 @@\n"
          b"-gone\nIndex: Lib/new.py\n=====\n--- Lib/new.py\t(nonexistent)\n+++ Lib/new.py\t(working copy)\n"
          b"@@ -0,0 +1 @@\n+new\n", source)
    assert set(state(source)) ^ set(FILES) == {"Lib/gone.py", "Lib/new.py"}


def test_a_patch_that_something_gave_dos_line_ends_makes_no_mixed_file(repository: Path, source: Path) -> None:
    change_text(repository)
    (repository / "Lib/dos.bat").write_bytes(FILES["Lib/dos.bat"])
    git(repository, "add", "--all")
    patch = git(repository, "diff", "--cached")
    changes = apply(patch.replace(b"\n", b"\r\n"), source)
    assert state(source) == state(repository)
    assert changes.notes == (f"{source.parent / 'fix.patch'}: its line ends are CRLF, and were read as LF",)


def test_lines_that_end_otherwise_are_no_context(source: Path) -> None:
    patch = b"--- a/top.c\n+++ b/top.c\n@@ -1 +1 @@\n-int top;\r\n+x\r\n"
    with pytest.raises(UsageError, match="differ in their line ends"):
        apply(patch, source)
    mixed = b"--- a/Lib/numbers.py\n+++ b/Lib/numbers.py\n@@ -1,3 +1,4 @@\n line 1\n+new\r\n line 2\n line 3\n"
    with pytest.raises(UsageError, match="line ends of both kinds"):
        apply(mixed, source)


def test_a_hunk_that_lies_elsewhere_is_said(source: Path, repository: Path) -> None:
    change_text(repository)
    git(repository, "add", "--all")
    patch = git(repository, "diff", "--cached", "--", "Lib/numbers.py")
    (source / "Lib/numbers.py").write_bytes(b"above\n" * 12 + NUMBERS)
    changes = apply(patch, source)
    assert (source / "Lib/numbers.py").read_bytes() == b"above\n" * 12 + (repository / "Lib/numbers.py").read_bytes()
    (note,) = changes.notes
    assert note.endswith("of Lib/numbers.py was found 12 lines down from where it says (2 of its hunks lie elsewhere)")
    twice = b"--- a/Lib/numbers.py\n+++ b/Lib/numbers.py\n@@ -20,3 +20,3 @@\n line 2\n-line 3\n+line three\n line 4\n"
    write(source, {"Lib/numbers.py": NUMBERS * 2})
    (note,) = apply(twice, source).notes
    assert note.endswith("hunk 1 of Lib/numbers.py was found 18 lines up from where it says, and one of them fits at 2 "
                         "places, of which the nearest was taken")


def test_a_patch_that_is_in_the_source_already_is_said(source: Path, repository: Path) -> None:
    change_all(repository)
    git(repository, "add", "--all")
    patch = git(repository, "diff", "--cached", "--binary")
    apply(patch, source)
    with pytest.raises(UsageError, match=r"fits in reverse: the source has what it changes already"):
        apply(patch, source)


def test_a_merge_is_refused(repository: Path, source: Path) -> None:
    git(repository, "checkout", "--quiet", "-b", "other")
    write(repository, {"top.c": b"int other;\n"})
    git(repository, "commit", "--quiet", "--all", "-m", "other")
    git(repository, "checkout", "--quiet", "main")
    write(repository, {"top.c": b"int mine;\n"})
    git(repository, "commit", "--quiet", "--all", "-m", "mine")
    subprocess.run(["git", "merge", "other"], cwd=repository, capture_output=True)
    write(repository, {"top.c": b"int both;\n"})
    assert b"@@@" in git(repository, "diff")
    with pytest.raises(UsageError, match="the diff of a merge"):
        apply(git(repository, "diff"), source)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "merge")
    for words in (["show"], ["show", "-c"], ["log", "-p", "--cc", "-1"]):
        with pytest.raises(UsageError, match="the diff of a merge"):
            apply(git(repository, *words), source)
    with pytest.raises(UsageError, match="does not fit"):
        apply(git(repository, "show", "-m", "--first-parent"), source)


def unified(name: str, start: int, old: str, new: str) -> bytes:
    lines = [f"-{line}" for line in old.splitlines()] + [f"+{line}" for line in new.splitlines()]
    hunk = f"@@ -{start},{len(old.splitlines())} +{start},{len(new.splitlines())} @@"
    return "\n".join([f"--- a/{name}", f"+++ b/{name}", hunk, *lines, ""]).encode()


GOOD = unified("top.c", 1, "int top;", "int good;")
REFUSED = [
    (unified("Lib/numbers.py", 7, "line 8", "x"), r"fix\.patch:\d+: this hunk does not fit at Lib/numbers\.py:7"),
    (unified("Lib/none.py", 1, "x", "y"), r"fix\.patch:\d+: the source has no file Lib/none\.py"),
    (b"--- /dev/null\n+++ b/Lib/end.py\n@@ -0,0 +1 @@\n+x\n", "already exists"),
    (b"--- a/Lib/gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-other\n", "does not fit at Lib/gone.py:1"),
    (b"diff --git a/Lib/link b/Lib/link\nnew file mode 120000\n--- /dev/null\n+++ b/Lib/link\n@@ -0,0 +1 @@\n"
     b"+../../out\n\\ No newline at end of file\n", "symbolic link to ../../out, which leads out of the source tree"),
    (b"diff --git a/Lib/data.bin b/Lib/data.bin\nindex 1234567..89abcde 100644\nGIT binary patch\nliteral 3\n"
     b"KcmZ=uU|;|M0!RQ3\n\nliteral 0\nHcmV?d00001\n\n", "cannot be applied as a whole; git says: corrupt binary patch"),
    (b"--- a/Lib/../../x\n+++ b/Lib/../../x\n@@ -1 +1 @@\n-a\n+b\n", "not a path inside"),
    (b"diff --git a/.git/config b/.git/config\nnew file mode 100644\n--- /dev/null\n+++ b/.git/config\n"
     b"@@ -0,0 +1 @@\n+x\n", "invalid path"),
]


@pytest.mark.parametrize(("bad", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_a_patch_of_which_a_part_does_not_fit_is_refused(source: Path, bad: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        apply(GOOD + bad, source)


def test_bytes_without_whole_hashes_are_refused(repository: Path, source: Path) -> None:
    write(repository, {"Lib/data.bin": bytes(reversed(range(256)))})
    patch = git(repository, "diff", "--binary")
    short = re.sub(rb"index (.{7}).{33}\.\.(.{7}).{33}", rb"index \1..\2", patch)
    assert short != patch
    with pytest.raises(UsageError, match=r"git says: .*full index line"):
        apply(GOOD.replace(b"good", b"fine") + short, source)
    write(source, {"top.c": b"int top;\n", "Lib/data.bin": b"other"})
    with pytest.raises(UsageError, match="does not match the current contents"):
        apply(patch, source)


def test_a_patch_that_changes_nothing_is_an_error(source: Path) -> None:
    with pytest.raises(UsageError, match="changes nothing"):
        apply(unified("top.c", 1, "int top;", "int top;"), source)


def test_a_series_that_changes_nothing_all_in_all_is_an_error(repository: Path, source: Path) -> None:
    change_all(repository)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "There")
    git(repository, "revert", "--no-edit", "HEAD")
    with pytest.raises(UsageError, match="all in all, this changes nothing"):
        apply(git(repository, "format-patch", "--stdout", "--binary", "HEAD~2"), source)


def test_what_git_is_told_does_not_depend_on_where_the_tree_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Inside of a repository git passes over what is not below the folder that it runs in; a hook sets variables.
    around = tmp_path / "around"
    around.mkdir()
    git(around, "init", "--quiet")
    (around / ".gitattributes").write_text("* text eol=crlf\n")
    tree = write(around / "cache/source", FILES)
    monkeypatch.setenv("GIT_DIR", str(around / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(around))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.autocrlf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    apply(GOOD, tree)
    assert (tree / "top.c").read_bytes() == b"int good;\n"


def test_without_git_a_patch_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(source))
    with pytest.raises(UsageError, match="a patch needs git"):
        apply(GOOD, source)
