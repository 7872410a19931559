"""Secrets: taken from the environment when something is delivered, and kept out of all words."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from urllib.parse import quote, urlsplit

from runner.sending import Failed

Secrets = Callable[[str], str | None]
"""A variable's value in the environment; None where it is not set, or empty."""
SHORTEST = 4
"""Characters of a part that is taken out of words: what is shorter is no secret, and would take words apart."""


def get(secrets: Secrets, variable: str) -> str:
    """A variable's value, in one line of ASCII. Raises Failed, without the value."""
    value = (secrets(variable) or "").strip()
    if not value:
        raise Failed(f"the variable {variable} is not set", refused=True)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise Failed(f"what the variable {variable} holds is no secret of one word of ASCII", refused=True)
    return value


def without(text: str, secrets: Iterable[str]) -> str:
    """A text on one line in which each secret, as it is or as it is sent, became ``***``."""
    flat = " ".join(text.split())
    for secret in secrets:
        parts = {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}
        if "://" in secret:
            address = urlsplit(secret)
            parts |= {address.path, address.path.strip("/"), address.query, *address.path.split("/")}
        for part in sorted(parts, key=len, reverse=True):
            if len(part) >= SHORTEST:
                flat = flat.replace(part, "***")
    return flat
