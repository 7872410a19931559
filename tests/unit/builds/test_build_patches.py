"""Patches as text: what is read of them, and what is refused in words because git would apply half of it."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.builds import mails, patches
from runner.errors import UsageError


def lines_of(content: bytes) -> list[bytes]:
    return [line + b"\n" for line in content.split(b"\n")[:-1]] + [line for line in content.split(b"\n")[-1:] if line]


def diff_of(old: bytes, new: bytes, name: str = "a.c") -> bytes:
    made = []
    for line in difflib.diff_bytes(
        difflib.unified_diff, lines_of(old), lines_of(new), b"a/" + name.encode(), b"b/" + name.encode()
    ):
        made.append(line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n")
    return b"".join(made)


WORDS = [b"a", b"b", b"{", b"", b"\x0cff", b"cr\r", b"-x", b"+y", b"@@ z", b"-- w", b"++ v", b"\xff", b"Only in x: y"]
text = st.lists(st.sampled_from(WORDS)).map(b"\n".join)


@given(old=text, new=text, before=st.sampled_from([b"", b"words\n", b"Index: a.c\n====\n"]), after=st.sampled_from(
    [b"", b"-- \n2.40\n", b"\nmore words\n", b"From x\n+ y\n"]))
def test_all_of_a_diff_is_handed_on_and_nothing_else(old: bytes, new: bytes, before: bytes, after: bytes) -> None:
    diff = diff_of(old, new)
    if diff:
        (piece,) = patches.parse(before + diff + after, "fix.patch")
        assert piece.text == diff
        (change,) = piece.changes
        there = lines_of(old)
        for hunk in change.hunks:
            start = max(hunk.start - 1, 0)
            assert [line.rstrip(b"\n") for line in there[start:start + len(hunk.old)]] == list(hunk.old)


@given(old=text, new=text, cut=st.integers(1, 10_000))
def test_a_torn_diff_is_refused_or_ends_with_a_whole_hunk(old: bytes, new: bytes, cut: int) -> None:
    diff = diff_of(old, new)
    torn = diff[:cut]
    if len(torn) < len(diff):
        try:
            (piece,) = patches.parse(torn, "fix.patch")
        except UsageError:
            return
        # What is left is whole: all of it but the hunks behind it, or the remark on the last line's end.
        assert torn.startswith(piece.text)
        assert diff[len(torn):].startswith((b"@@ -", b"\\")) or torn.rsplit(b"\n")[-1].startswith((b"\\", b"@"))


GIT = b"""diff --git a/new.c b/new.c
new file mode 100644
index 0000000..07f33c4
--- /dev/null
+++ b/new.c
@@ -0,0 +1,2 @@
+new
+file
diff --git a/gone.c b/gone.c
deleted file mode 100644
--- a/gone.c
+++ /dev/null
@@ -1 +0,0 @@
-gone
diff --git a/old name.c b/new name.c
similarity index 90%
rename from old name.c
rename to new name.c
diff --git "a/caf\\303\\251" "b/caf\\303\\251"
old mode 100644
new mode 100755
diff --git a/empty b/empty
new file mode 100644
index 0000000..e69de29
"""


def test_the_files_of_a_git_diff() -> None:
    (piece,) = patches.parse(b"words\n\n" + GIT, "fix.patch")
    found = [(change.line, change.old, change.new, change.strip, change.exactly) for change in piece.changes]
    assert found == [
        (3, None, "b/new.c", 1, False), (11, "a/gone.c", None, 1, False),
        (17, "a/old name.c", "b/new name.c", 1, True), (21, "a/caf\u00e9", "b/caf\u00e9", 1, False),
        (24, None, "b/empty", 1, False),
    ]


@pytest.mark.parametrize(("names", "strip"), [
    ((b"a/Lib/x.c", b"b/Lib/x.c"), 1), ((b"Lib/x.c", b"Lib/x.c"), 0), ((b"w/Lib/x.c", b"i/Lib/x.c"), 1),
    ((b"Python-3/Lib/x.c\t2024-01-01 00:00:00", b"Python-3-mine/Lib/x.c\t2024-01-01 00:00:01"), 1),
    ((b"./Lib/x.c", b"./Lib/x.c"), 1), ((b"deep/er/Lib/x.c", b"deep/en/Lib/x.c"), 2), ((b"x.c.orig", b"x.c"), 0),
])
def test_what_comes_before_a_files_name(names: tuple[bytes, bytes], strip: int) -> None:
    (piece,) = patches.parse(b"--- %s\n+++ %s\n@@ -1 +1 @@\n-a\n+b\n" % names, "fix.patch")
    assert piece.changes[0].strip == strip


GOOD = b"--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(("diff", "words"), [
    (b"", "no change in it"),
    (b"hello\n", "no change in it"),
    (b"--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n a\n", r"fix.patch:5: the hunk that starts at line 3 is cut short"),
    (b"--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,1 @@\n a\n+b\n-c\n", r"fix.patch:3: .*more lines"),
    (GOOD + b" c\n", r"fix.patch:6: this line follows a hunk that is complete"),
    (GOOD + b"+c\n", r"fix.patch:6: this line follows a hunk that is complete"),
    (GOOD + b"\n-c\n", r"fix.patch:7: this line follows a hunk that is complete"),
    (GOOD + b"@@ -3\n-c\n", r"fix.patch:6: this is no complete @@ line|fix.patch:7: this line follows"),
    (b"@@ -1 +1 @@\n-a\n+b\n", "fix.patch:1: a hunk without"),
    (GOOD + b"--- a/b.c\n+++ b/b.c\n", "fix.patch:6: this line announces"),
    (b"diff --git a/b.c b/b.c\n" + GOOD.replace(b"--- ", b"---- "), "fix.patch:4: a hunk without"),
    (GOOD + b"diff --git a/b.c b/b.c\nindex 123..456 100644\n", "fix.patch:6: this names a file, and no change"),
    (GOOD + b"diff --git a/b.c b/b.c\nnew file mode 100644\nindex 0000000..07f33c4\n", "fix.patch:6: this names"),
    (GOOD + b"diff --git a/b b/b\nindex 123..456 100644\nBinary files a/b and b/b differ\n", "fix.patch:8: .*--binary"),
    (GOOD + b"diff -r 1 empty.py\n", "fix.patch:6: this line announces .* empty file"),
    (GOOD + b"Index: empty.py\n=====\n" + GOOD.replace(b"---", b"- -"), "fix.patch:10: .*without the ---"),
    (b"diff --cc a.c\nindex 1,2..3\n--- a/a.c\n+++ b/a.c\n@@@ -1 -1 +1,2 @@@\n  a\n++b\n", "fix.patch:1: .*merge"),
    (b"--- a/a.c\n+++ b/a.c\n@@@ -1,1 -1,1 +1,2 @@@\n  a\n++b\n", "fix.patch:3: .*a merge"),
    (GOOD + b"*** a/b.c\t2024\n--- b/b.c\t2024\n***************\n*** 1,2 ****\n! a\n", "fix.patch:6: .*context diff"),
    (b"***************\n*** 1,2 ****\n! a\n", "fix.patch:1: .*context diff"),
    (GOOD + b"3c3\n< a\n---\n> b\n", "fix.patch:6: .*without context"),
    (GOOD + b"3c\nb\n.\n", "fix.patch:6: this is an ed script"),
    (GOOD + b"Only in new/Lib: x.py\n", "fix.patch:6: .*without -N"),
    (GOOD + b"Common subdirectories: a/x and b/x\n", "fix.patch:6: .*without -r"),
    (GOOD + b"Binary files a/x.png and b/x.png differ\n", "fix.patch:6: .*not text"),
    (GOOD + b"Property changes on: x\n___\n", "fix.patch:6: .*Subversion"),
    (b"diff -ur a/a.c b/a.c\n" + GOOD + b"Nur in b: x.c.\n", "fix.patch:7: a diff of folders has no such line"),
    (b"diff -ur a/a.c b/a.c\n" + GOOD + b"diff -ur a/x b/x\nBin\xe4rdateien a/x und b/x sind verschieden.\n",
     "fix.patch:8: a diff of folders has no such line"),
    (b"\x1b[1mdiff --git a/a.c b/a.c\x1b[m\n", "fix.patch:1: .*--no-color"),
    (b"diff --git a/s b/s\nindex 1234567..89abcde 160000\n--- a/s\n+++ b/s\n@@ -1 +1 @@\n-Subproject commit 1\n"
     b"+Subproject commit 2\n", "fix.patch:1: .*submodule"),
    (b"\xff\xfed\0i\0f\0f\0", "UTF-16"),
    (b"--- a/../../x\n+++ b/../../x\n@@ -1 +1 @@\n-a\n+b\n", "not a path inside"),
    (b"--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-a\n+b\n", "not a path inside"),
    (b"--- \"a/..\\057x\"\n+++ \"b/..\\057x\"\n@@ -1 +1 @@\n-a\n+b\n", "not a path inside"),
    (b"--- a\\Lib\\x.py\n+++ b\\Lib\\x.py\n@@ -1 +1 @@\n-a\n+b\n", "not a path inside"),
    (b"--- a/one.c\n+++ b/two.c\n@@ -1 +1 @@\n-a\n+b\n", "do not agree"),
    (b"--- /dev/null\n+++ /dev/null\n@@ -1 +1 @@\n-a\n+b\n", "names no file"),
])
def test_what_would_be_applied_in_part_is_refused_with_its_line(diff: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        patches.parse(diff, "fix.patch")


MAIL = b"""From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: x <x@example.org>
Subject: [PATCH%s] words

--- a remark
+++ more of it
Only in words: this
---
 a.c | 2 +-

"""


def test_the_message_of_a_mail_is_no_patch() -> None:
    (piece,) = patches.parse(MAIL % b"" + GOOD + b"-- \n2.40.0\n\n", "fix.patch")
    assert piece.text == GOOD
    assert piece.changes[0].line == MAIL.count(b"\n") + 1
    # The line --- is a deleted line --, and not the end of a message.
    bare = b"Subject: x\nFrom: y\n\n--- a/a.c\n+++ b/a.c\n@@ -1,2 +1 @@\n a\n---\n"
    (piece,) = patches.parse(bare, "fix.patch")
    assert piece.text.endswith(b"\n---\n")


@pytest.mark.parametrize(("numbers", "whole"), [
    ([b" 1/2", b" 2/2"], True), ([b" v3 01/02", b" v3 02/02"], True), ([b"", b""], True), ([b" 2/3"], True),
    ([b" 0/1", b" 1/1"], True), ([b" 2/2", b" 1/2"], False), ([b" 1/3", b" 2/3"], False), ([b" 1/2", b" 1/2"], False),
    ([b" 1/2", b""], False),
])
def test_a_series_is_whole_and_in_order(numbers: list[bytes], whole: bool) -> None:
    content = b"\n".join(MAIL % number + GOOD + b"-- \n2.40.0\n" for number in numbers)
    if whole:
        assert len(mails.texts(content, "fix.patch")) == len(numbers)
        assert len(patches.parse(content, "fix.patch")) == len(numbers)
    else:
        with pytest.raises(UsageError, match="not one whole series"):
            mails.texts(content, "fix.patch")


@pytest.mark.parametrize(("header", "body", "words"), [
    (b"Content-Type: text/plain; format=flowed", GOOD, "flowed text"),
    (b"Content-Transfer-Encoding: base64", b"LS0tIGEvYS5jCisrKyBiL2EuYw\n!!", "base64 is damaged"),
])
def test_a_mail_that_cannot_be_trusted_is_refused(header: bytes, body: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        mails.texts(b"From: x\nSubject: y\n" + header + b"\n\n" + body, "fix.patch")
