"""Unified diffs: what git and diff write is applied to the byte, or refused with both places named."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.builds import patches
from runner.errors import UsageError


def apply(diff: bytes, files: dict[str, bytes]) -> dict[str, bytes | None]:
    return patches.apply(patches.parse(diff, "fix.patch"), files.get, "fix.patch")


def lines_of(content: bytes) -> list[bytes]:
    return [line + b"\n" for line in content.split(b"\n")[:-1]] + [line for line in content.split(b"\n")[-1:] if line]


def diff_of(old: bytes, new: bytes, name: str = "a.c") -> bytes:
    made = []
    for line in difflib.diff_bytes(
        difflib.unified_diff, lines_of(old), lines_of(new), b"a/" + name.encode(), b"b/" + name.encode()
    ):
        made.append(line if line.endswith(b"\n") else line + b"\n\\ No newline at end of file\n")
    return b"".join(made)


WORDS = [b"a", b"b", b"{", b"", b"\x0cff", b"cr\r", b"-x", b"+y", b"@@ z", b"--- w", b"\xff"]
text = st.lists(st.sampled_from(WORDS)).map(b"\n".join)


@given(old=text, new=text)
def test_the_diff_of_two_files_makes_one_of_the_other(old: bytes, new: bytes) -> None:
    if old != new:
        assert apply(diff_of(old, new), {"a.c": old}) == {"a.c": new}


@given(old=text, new=text, before=st.integers(0, 40))
def test_lines_added_above_do_not_matter(old: bytes, new: bytes, before: int) -> None:
    # Lines that occur nowhere else, so that there is one place only; an empty old side fits anywhere.
    own = b"".join(b"only %d\n" % number for number in range(4))
    above = b"".join(b"above %d\n" % number for number in range(before))
    if old != new:
        assert apply(diff_of(own + old, own + new), {"a.c": above + own + old}) == {"a.c": above + own + new}


GIT = b"""From: somebody
Subject: words before the diff

diff --git a/new.c b/new.c
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
diff --git a/old.c b/old.c
--- a/old.c\t2024-01-01 00:00:00
+++ b/old.c\t2024-01-02 00:00:00
@@ -1,3 +1,3 @@ int f()
 a

-b
+B
"""


def test_files_are_made_removed_and_changed() -> None:
    made = apply(GIT + b"-- \n2.39.5\n", {"gone.c": b"gone\n", "old.c": b"a\n\nb\n"})
    assert made == {"new.c": b"new\nfile\n", "gone.c": None, "old.c": b"a\n\nB\n"}


def test_the_first_folder_of_a_name_is_optional() -> None:
    diff = b"--- Python-3.13.5.orig/Objects/x.c\n+++ Python-3.13.5/Objects/x.c\n@@ -1 +1 @@\n-a\n+b\n"
    assert apply(diff, {"Objects/x.c": b"a\n"}) == {"Objects/x.c": b"b\n"}
    bare = b"--- Objects/x.c\n+++ Objects/x.c\n@@ -1 +1 @@\n-a\n+b\n"
    assert apply(bare, {"Objects/x.c": b"a\n"}) == {"Objects/x.c": b"b\n"}


def test_a_hunk_that_does_not_fit_is_shown_with_both_places() -> None:
    def numbers(odd: int, value: int) -> bytes:
        return b"".join(b"%d\n" % (value if number == odd else number) for number in range(40))

    with pytest.raises(UsageError) as caught:
        apply(diff_of(numbers(0, 0), numbers(30, 99)), {"a.c": numbers(29, 77)})
    message = str(caught.value)
    assert "fix.patch:3: this hunk does not fit at a.c:28" in message
    assert "'29' where the source has '77'" in message


def test_hunks_keep_their_order() -> None:
    # Both hunks' lines occur twice; each goes to the place nearest to where it was.
    old = b"x\ny\n" * 2
    diff = b"--- a/a.c\n+++ b/a.c\n@@ -1,1 +1,1 @@\n-x\n+1\n@@ -3,1 +3,1 @@\n-x\n+2\n"
    assert apply(diff, {"a.c": old}) == {"a.c": b"1\ny\n2\ny\n"}


def test_a_hunk_counts_with_the_lines_that_earlier_ones_added() -> None:
    old = [b"%d\n" % number for number in range(12)]
    old[5] = old[9] = b"x\n"
    diff = b"--- a/a.c\n+++ b/a.c\n@@ -1 +1,5 @@\n+a\n+b\n+c\n+d\n 0\n@@ -10 +14 @@\n-x\n+y\n"
    new = [b"a\n", b"b\n", b"c\n", b"d\n", *old]
    new[13] = b"y\n"
    assert apply(diff, {"a.c": b"".join(old)}) == {"a.c": b"".join(new)}


def test_a_hunk_never_fits_on_what_an_earlier_one_made() -> None:
    old = b"x\n" + b"-\n" * 20 + b"x\n"
    diff = b"--- a/a.c\n+++ b/a.c\n@@ -1 +1,2 @@\n-x\n+y\n+x\n@@ -2 +3 @@\n-x\n+z\n"
    assert apply(diff, {"a.c": old}) == {"a.c": b"y\nx\n" + b"-\n" * 20 + b"z\n"}


@pytest.mark.parametrize(("diff", "words"), [
    (b"hello\n", "no change in it"),
    (b"--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,2 @@\n a\n", r"fix.patch:5: the hunk that starts at line 3 is cut short"),
    (b"--- a/a.c\n+++ b/a.c\n@@ -1,2 +1,1 @@\n a\n+b\n-c\n", r"fix.patch:3: .*more lines"),
    (b"@@ -1 +1 @@\n-a\n+b\n", "fix.patch:1: a hunk without"),
    (b"diff --git a/a b/b\nsimilarity index 90%\nrename from a\n", "fix.patch:3: a rename"),
    (b"diff --git a/a b/a\nGIT binary patch\n", "fix.patch:2: a binary"),
    (b"--- a/../../x\n+++ b/../../x\n@@ -1 +1 @@\n-a\n+b\n", "not a path inside"),
    (b"--- /etc/x\n+++ /etc/x\n@@ -1 +1 @@\n-a\n+b\n", "not a path inside"),
    (b"--- a/b.c\n+++ b/b.c\n@@ -1 +1 @@\n-a\n+b\n", "fix.patch:1: the source has no file b.c"),
    (b"--- /dev/null\n+++ b/a.c\n@@ -0,0 +1 @@\n+b\n", "fix.patch:1: a.c is to be made"),
])
def test_what_cannot_be_applied_is_told_with_its_line(diff: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        apply(diff, {"a.c": b"a\n"})
