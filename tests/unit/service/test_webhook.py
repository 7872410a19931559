"""Which comments ask for something, what they ask for, and whose word that is."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.jobs.requesting import Hook
from runner.service import webhook
from runner.service.problems import Problem
from runner.service.webhook import Delivery

NOW = 1.8e9
HOOK = Hook(secret_from="LOCKSTEP_SECRET", repositories=("python/cpython",), allow=("ada", "Bob-B"))


def delivery(**changes: Any) -> Delivery:
    """One by ada, at `NOW`; `changes` are put in by their path: ``comment__body``."""
    content: dict[str, Any] = {
        "action": "created", "sender": {"login": "ada", "type": "User"}, "issue": {"number": 7, "pull_request": {}},
        "comment": {
            "id": 99, "body": "@lockstep compare", "user": {"login": "ada", "type": "User"},
            "created_at": datetime.fromtimestamp(NOW, UTC).isoformat()},
        "repository": {
            "full_name": "python/cpython", "html_url": "https://github.com/python/cpython", "private": False},
    }
    for path, value in changes.items():
        *above, last = path.split("__")
        place = content
        for name in above:
            place = place[name]
        place[last] = value
    return Delivery.model_validate_json(json.dumps(content))


@pytest.mark.parametrize(("text", "words"), [
    ("@lockstep compare", []), ("@lockstep compare main v3.13.0", ["main", "v3.13.0"]),
    ("Thank you!\r\n\r\n  @Lockstep  Compare a b suite=bytesio\r\nbye", ["a", "b", "suite=bytesio"]),
    ("```\n@lockstep compare a b\n```\n@lockstep compare c d", ["c", "d"]),
    ("````\n```\n@lockstep compare a b\n````\n", None), ("~~~ text\n@lockstep compare a b", None),
    ("> @lockstep compare a b", None), ("    @lockstep compare a b", None), ("\t@lockstep compare a b", None),
    ("say @lockstep compare a b", None), ("@lockstep", None), ("@lockstep comparison a b", None),
    ("@lockstep-bot compare a b", None), ("email@lockstep compare a b", None), ("", None),
    ("@lock\u200bstep compare", None),
])
def test_a_command_is_a_line_of_its_own(text: str, words: list[str] | None) -> None:
    assert webhook.command(text) == words


@given(st.text(st.sampled_from("@lockstep compare\n`~> \tab"), max_size=60))
def test_no_comment_is_too_odd(text: str) -> None:
    words = webhook.command(text)
    assert words is None or "@lockstep" in text.lower()


def test_what_a_command_says() -> None:
    said = webhook.understood(["main", "cpython@3.13.5?pgo", "suite=consumers", "margin=2%", "select=a|b"])
    assert said.builds == ("main", "cpython@3.13.5?pgo")
    assert said.options == {"suite": "consumers", "margin": "2%", "select": "a|b"}
    assert webhook.understood([]).builds == ()
    assert webhook.understood(["a", "cpython@3.13.5?configure=--x"]).builds[1] == "cpython@3.13.5?configure=--x"


@pytest.mark.parametrize("words", [["main"], ["a", "b", "c"], ["a", "b", "seed=1"], ["a", "b", "suite=x", "suite=y"]])
def test_what_no_command_says_is_told(words: list[str]) -> None:
    with pytest.raises(Problem) as told:
        webhook.understood(words)
    assert told.value.detail.endswith(".")


def test_who_may_ask() -> None:
    assert webhook.refusal(delivery(), HOOK, NOW) == ""
    bob = {"login": "bob-b", "type": "User"}
    assert webhook.refusal(delivery(comment__user=bob, sender=bob), HOOK, NOW) == ""
    assert webhook.refusal(delivery(repository__full_name="Python/CPython"), HOOK, NOW) == ""


@pytest.mark.parametrize(("changes", "why"), [
    ({"action": "edited"}, "edited"), ({"action": "deleted"}, "new comment"), ({"action": ""}, "new comment"),
    ({"repository__full_name": "ada/cpython"}, "repository"),
    ({"repository__full_name": "python/cpython2"}, "repository"),
    ({"comment__user": {"login": "eve", "type": "User"}}, "themselves"),
    ({"sender": {"login": "eve", "type": "User"}}, "themselves"),
    ({"comment__user": {"login": "eve", "type": "User"}, "sender": {"login": "eve", "type": "User"}}, "list"),
    ({"comment__user": {"login": "ada", "type": "Bot"}}, "person"),
    ({"comment__created_at": "2020-01-01T00:00:00Z"}, "ago"),
    ({"comment__created_at": "2100-01-01T00:00:00Z"}, "ahead"),
])
def test_who_may_not(changes: dict[str, Any], why: str) -> None:
    assert why in webhook.refusal(delivery(**changes), HOOK, NOW)


def test_nobody_may_ask_where_nobody_is_named() -> None:
    assert webhook.refusal(delivery(), Hook(secret_from="LOCKSTEP_SECRET", repositories=("python/cpython",)), NOW)


@given(st.binary(max_size=40), st.text(max_size=80))
def test_only_the_right_signature_is_right(body: bytes, other: str) -> None:
    right = f"sha256={hmac.new(b'secret', body, hashlib.sha256).hexdigest()}"
    assert webhook.signed("secret", body, right)
    for wrong in (other, right.upper(), right[:-1], f"{right} ", right.removeprefix("sha256="), "sha256=", "",
                  f"sha1={hmac.new(b'secret', body, hashlib.sha1).hexdigest()}"):
        assert not webhook.signed("secret", body, wrong) or wrong == right
    assert not webhook.signed("secret", body + b" ", right) and not webhook.signed("Secret", body, right)
