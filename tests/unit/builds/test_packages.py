"""Packages that differ are told from those that are alike."""

from __future__ import annotations

from runner.builds.packages import differences


def test_what_is_alike_is_not_named() -> None:
    one = {"numpy": "2.1.0 0a1b2c3d", "six": "1.16.0 11111111"}
    assert differences(one, dict(one)) == ("", "")
    other = {"numpy": "2.2.0 44444444", "six": "1.16.0 22222222", "attrs": "25.1 33333333"}
    assert differences(one, other) == (
        "attrs none, numpy 2.1.0, six 1.16.0 11111111", "attrs 25.1, numpy 2.2.0, six 1.16.0 22222222")
