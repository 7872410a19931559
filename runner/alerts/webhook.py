"""A message as JSON, posted to an address.

What is sent is the same at every try, with the same ``Idempotency-Key``: where an answer got lost, the receiver knows
the second one by it.

Format history
--------------
lockstep.alert/1  The first. Keys may be added; none is removed or changes its meaning within a version.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from runner.alerts.message import Message
from runner.alerts.settings import Webhook
from runner.sending import Failed, web
from runner.sending import secrets as words
from runner.sending.secrets import Secrets

SCHEMA = "lockstep.alert/1"
SIGNATURE = "X-Lockstep-Signature"
"""Header with ``sha256=`` and the HMAC of the body, in hexadecimal digits."""


def deliver(channel: Webhook, message: Message, secrets: Secrets) -> str:
    """Post it; returns the server's answer in words. Raises Failed."""
    to = _address(channel, secrets)
    content = body(message)
    headers = {
        "Content-Type": "application/json; charset=utf-8", "Idempotency-Key": f'"{message.digest}"',
    }
    if channel.key_from is not None:
        key = words.get(secrets, channel.key_from)
        headers[SIGNATURE] = "sha256=" + hmac.new(key.encode(), content, hashlib.sha256).hexdigest()
    answer = web.request("POST", to, body=content, headers=headers)
    if 200 <= answer.status < 300:
        return f"answered {answer.status}"
    if 300 <= answer.status < 400:
        raise Failed(f"the server answered {answer.status}: the address is another one now; name that", refused=True)
    later = answer.status >= 500 or answer.status in (*web.BUSY, 409)  # 409: the first try is still under way
    raise Failed(f"the server answered {answer.status}", wait=answer.wait, refused=not later)


def body(message: Message) -> bytes:
    """What is posted: the same bytes for the same message."""
    content = {
        "schema": SCHEMA, "key": message.key, "thread": message.thread, "kind": message.kind, "state": message.state,
        "created": message.created, "title": message.title, "text": message.text, **message.data,
    }
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


def _address(channel: Webhook, secrets: Secrets) -> str:
    if channel.address is not None:
        return channel.address
    assert channel.address_from is not None  # settings.Webhook has one of them
    try:
        return web.address(words.get(secrets, channel.address_from))
    except ValueError as error:
        raise Failed(f"the variable {channel.address_from}: {error}", refused=True) from None
