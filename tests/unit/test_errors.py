"""What messages have in common."""

from __future__ import annotations

from runner.errors import listed


def test_a_sentence_names_a_few() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefgh")) == "a, b, c, d, e and 3 more"
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(["a", "b"], 1) == "a and 1 more" and listed([], 1) == ""
