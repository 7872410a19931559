"""Who may ask a server for comparisons, and of what: `repositories` of the table ``[serve]`` of lockstep.toml, and the
table ``[serve.github]``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from runner.alerts.settings import Base, GitHub, Variable
from runner.sending.web import HERE

_PATH = r"(?::\d+)?(?:/[A-Za-z0-9._~-]+)+"
_URL = re.compile(
    r"(?:https://|ssh://(?:[A-Za-z0-9_]+@)?)[A-Za-z0-9][A-Za-z0-9.-]*" + _PATH
    + f"|http://(?:{'|'.join(map(re.escape, HERE[:2]))}){_PATH}")


def is_url(text: str) -> bool:
    """Whether requests may name a repository by this, where it is listed."""
    return _URL.fullmatch(text) is not None


def _url(text: str) -> str:
    if not is_url(text):
        raise ValueError("that is no URL that requests may name: https://HOST/PATH, or ssh://USER@HOST/PATH, with no "
                         "password and nothing behind the path")
    return text


Repository = Annotated[str, AfterValidator(_url)]


class Hook(BaseModel):
    """Comments on GitHub that ask for comparisons, by a webhook."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    secret_from: Variable
    """The environment variable with the webhook's secret."""
    repositories: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$")], ...]
    """``OWNER/NAME`` of each whose comments count. What they may build says `repositories` of ``[serve]``."""
    allow: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")], ...] = ()
    """Logins of those who may ask."""
    token_from: Variable = "LOCKSTEP_GITHUB_TOKEN"
    """The environment variable with the token that looks pull requests up, and answers."""
    address: Base = "https://api.github.com"
    """Of the REST API."""

    def place(self, repository: str, number: int) -> GitHub:
        """The conversation of an issue or a pull request there, as alerts have it."""
        return GitHub(repository=repository, post="pull", pull=number, address=self.address, token_from=self.token_from)
