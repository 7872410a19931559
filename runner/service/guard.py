"""Who asks, and whether they may: every handler of an API names the scope that it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

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


def needs(scope: str) -> Callable[..., Caller]:
    """A dependency: the caller, who has a scope. Raises Problem 401 or 403."""
    assert scope in SCOPES

    def caller(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
    ) -> Caller:
        here = server.of(request)
        address = request.client.host if request.client else ""
        if given is None:
            if scope == "read" and here.settings.serve.public:
                return Caller(token=None, address=address)
            raise _unknown("This needs a token: send it as `Authorization: Bearer lst_…`.")
        token = here.verify(given.credentials)
        if token is None:
            raise _unknown("This token is not known, or has ended. `lockstep token create` on the server makes one.")
        found = Caller(token=token, address=address)
        if not found.may(scope):
            raise Problem(
                403, "scope", "This token may not do that.",
                f"It has {', '.join(sorted(token.scopes))}; this needs {scope}.",
            )
        return found

    return caller


def _unknown(detail: str) -> Problem:
    return Problem(401, "token", "Nobody is let in without a token.", detail, headers={"WWW-Authenticate": "Bearer"})
