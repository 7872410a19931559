"""Who asks, and whether they may: every handler of an API names the scope that it needs."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from runner.service import server
from runner.service.problems import Problem
from runner.service.tokens import SCOPES, Token

bearer = HTTPBearer(auto_error=False, description="A token that `lockstep token create` has shown.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sent a request."""

    token: Token | None
    """None: nobody is named, and may read what is public."""
    address: str

    @property
    def name(self) -> str:
        return self.token.name if self.token else ""

    def may(self, scope: str) -> bool:
        return self.token is not None and bool(self.token.scopes & {scope, "admin"})


def address_of(scope: Scope) -> str:
    """Where a request came from: an IP address, or empty where that is not known."""
    client = scope.get("client")
    try:
        found = ipaddress.ip_address(client[0]) if client else None
    except ValueError:
        return ""  # what a proxy says of it, and is none
    if isinstance(found, ipaddress.IPv6Address):
        # Without a zone; and one of IPv4 as such: else all of them would be of one network.
        found = found.ipv4_mapped or ipaddress.IPv6Address(int(found))
    return "" if found is None else str(found)


def needs(scope: str, *, audited: bool = True) -> Callable[..., Caller]:
    """A dependency: the caller, who has a scope. Raises Problem 401, 403 or 429.

    What the caller writes is noted in the audit log, and so is a refusal; not `audited`: for what says nothing of
    anybody's intentions, such as a heart-beat.
    """
    assert scope in SCOPES

    def caller(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Caller:
        here = server.of(request)
        address = address_of(request.scope)
        if given is None:
            if scope == "read" and here.settings.serve.public:
                return Caller(token=None, address=address)
            raise _unknown("This needs a token: send it as `Authorization: Bearer lst_…`.")
        token = here.verify(given.credentials, address)
        if token is None:
            raise _unknown("This token is not known, or has ended. `lockstep token create` on the server makes one.")
        return admitted(request, Caller(token=token, address=address), scope, audited=audited)

    return caller


def admitted(request: Request, caller: Caller, scope: str, *, audited: bool = True) -> Caller:
    """The caller, who is known, and by whatever way; they are counted, and noted as `needs` says.

    Raises Problem 403 where they lack the scope, and rates.TooMany.
    """
    assert caller.token is not None
    if audited:
        request.state.audit = caller
    request.app.state.limits.tokens.take(caller.token.id)
    permitted(caller, scope)
    return caller


def permitted(caller: Caller, scope: str) -> None:
    """Raises Problem 403 where a caller, who is known, lacks a scope."""
    assert caller.token is not None
    if not caller.may(scope):
        raise Problem(
            403, "scope", "This token may not do that.",
            f"It has {', '.join(sorted(caller.token.scopes))}; this needs {scope}.",
        )


def _unknown(detail: str) -> Problem:
    return Problem(401, "token", "Nobody is let in without a token.", detail, headers={"WWW-Authenticate": "Bearer"})
