"""Tokens: what lets in, for how long, and what does not."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import UsageError
from runner.service import audit, tables, tokens
from runner.service.rates import TooMany
from runner.service.server import Server

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def test_a_token_is_what_was_asked_for(here: Server, clock: Any) -> None:
    made, text = tokens.create(here.database, "bench1", ["submit"], clock(), machine=True, host="abc")
    found = here.verify(text)
    assert found is not None and found.id == made.id and found.machine and found.host == "abc"
    assert found.scopes == {"read", "submit"}, "every token reads"
    assert made.used is None and tokens.listed(here.database)[0].used == clock()


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_token_with_one_character_changed_is_none(here: Server, data: st.DataObject) -> None:
    _, text = tokens.create(here.database, "ada", ["read"], here.clock())
    place = data.draw(st.integers(4, len(text) - 1))
    other = data.draw(st.sampled_from([one for one in ALPHABET if one != text[place]]))
    # Base64 of 32 bytes ends in a character that has two bits to spare, but it is the text that is compared.
    assert here.verify(text[:place] + other + text[place + 1 :], str(data.draw(st.integers()))) is None
    assert here.verify(text) is not None


@pytest.mark.parametrize("text", [
    "", "lst_", "lst__", "Bearer", "lst_00000000_", "lst_0000000g_" + "a" * 43, "lst_00000000_" + "a" * 44,
    "lst_00000000_" + "a" * 43 + "\n", "\0", "\ud800", "lst_00000000_" + "é" * 43, "x" * 100_000,
])
def test_what_is_no_token_costs_nothing(here: Server, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(tokens, "_hasher", None)
    assert here.verify(text) is None


def test_a_token_ends_to_the_second(here: Server, clock: Any) -> None:
    _, text = tokens.create(here.database, "ada", ["read"], clock(), expires=clock() + 90)
    assert here.verify(text) is not None
    clock.now += 89.5
    assert here.verify(text) is not None
    clock.now += 0.5
    assert here.verify(text) is None
    clock.now -= 3600
    assert here.verify(text) is not None, "a clock that was wrong and is set right ends nobody's token"


def test_a_revoked_token_ends_at_once_and_for_good(here: Server, clock: Any) -> None:
    made, text = tokens.create(here.database, "ada", ["read"], clock())
    assert here.verify(text) is not None
    revoked = tokens.revoke(here.database, made.id, clock())
    assert revoked.revoked == clock() and here.verify(text) is None
    clock.now += 10
    assert tokens.revoke(here.database, made.id, clock()).revoked == revoked.revoked, "it was revoked then"
    with pytest.raises(UsageError, match="no token 00000000"):
        tokens.revoke(here.database, "00000000", clock())


def test_a_secret_is_computed_once_a_minute(
    here: Server, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = []

    class Counting:
        def verify(self, hash: str, secret: str) -> bool:
            computed.append(secret)
            return hasher.verify(hash, secret)

    _, text = tokens.create(here.database, "ada", ["read"], clock())
    hasher = tokens._hasher
    monkeypatch.setattr(tokens, "_hasher", Counting())
    for seconds, count in ((0, 1), (59, 1), (2, 2), (-1000, 3), (0, 3)):
        clock.now += seconds
        assert here.verify(text) is not None
        assert len(computed) == count, f"after {seconds} s more"


def test_wrong_secrets_must_wait_and_nobody_else(here: Server, clock: Any) -> None:
    _, right = tokens.create(here.database, "ada", ["read"], clock())
    other, _ = tokens.create(here.database, "bench1", ["submit"], clock())
    for unknown in (f"lst_00000000_{'a' * 43}", f"lst_{other.id}_{'a' * 43}"):
        for _ in range(int(tokens.TRIES)):
            assert here.verify(unknown, "192.0.2.1") is None
        with pytest.raises(TooMany):
            here.verify(unknown, "192.0.2.1")
        assert here.verify(unknown, "192.0.2.2") is None, "another address"
        assert here.verify(right, "192.0.2.1") is not None, "another token of the same address"


def test_a_hash_that_was_spoiled_lets_nobody_in(here: Server, clock: Any) -> None:
    _, text = tokens.create(here.database, "ada", ["read"], clock())
    for spoiled in ("", "x", "$argon2id$v=19$m=8,t=1,p=1$"):
        with here.database.writing() as connection:
            connection.execute(sa.update(tables.tokens).values(hash=spoiled))
        assert here.verify(text) is None


@pytest.mark.parametrize(("name", "scopes"), [
    ("", ["read"]), ("-a", ["read"]), ("a b", ["read"]), ("a" * 61, ["read"]), ("a\n", ["read"]), ("ada", ["reed"]),
    ("ada", []),
])
def test_what_names_nobody_or_nothing_is_refused(here: Server, name: str, scopes: list[str]) -> None:
    with pytest.raises(UsageError):
        tokens.create(here.database, name, scopes, 0.0)
    assert tokens.listed(here.database) == ()


def test_no_secret_is_kept(here: Server, clock: Any) -> None:
    made, text = tokens.create(here.database, "ada", ["triage"], clock())
    tokens.revoke(here.database, made.id, clock())
    secret = text.split("_", 2)[2]
    with here.database.reading() as connection:
        rows = [row for table in tables.metadata.sorted_tables for row in connection.execute(sa.select(table)).all()]
    assert rows and secret not in repr(rows)
    done = [(one.entry.name, one.entry.action, one.entry.subject) for one in audit.newest(here.database)]
    assert done == [
        ("command line", "token revoke", f"{made.id} ada"),
        ("command line", "token create", f"{made.id} ada: read triage"),
    ]
