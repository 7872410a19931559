"""The table ``[channels]`` of lockstep.toml: who is told of what, and where. No secret stands in it, only the names of
environment variables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from runner import config, paths
from runner.alerts.message import Message
from runner.sending.web import HERE, address

States = Literal["new", "confirmed", "acknowledged", "fixed", "wont-fix", "false alarm"]


def _variable(name: str) -> str:
    if not re.fullmatch(rf"{config.OURS}[A-Z0-9_]+", name):
        raise ValueError(f"name an environment variable that begins with {config.OURS}, such as {config.OURS}TOKEN: "
                         "what is measured does not see those. The secret itself stands in no file")
    return name


def _mailbox(text: str) -> str:
    if not re.fullmatch(r"[^\s@<>,;:\"()\[\]]+@[^\s@<>,;:\"()\[\]]+", text) or not text.isascii():
        raise ValueError("that is no mail address; it looks like NAME@HOST")
    return text


Variable = Annotated[str, AfterValidator(_variable)]
Address = Annotated[str, AfterValidator(address)]
Base = Annotated[str, AfterValidator(lambda text: address(text).rstrip("/"))]
"""What paths are put behind."""
Mailbox = Annotated[str, AfterValidator(_mailbox)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)]
_Several = BeforeValidator(lambda found: [found] if isinstance(found, dict) else found)
"""One table is a list of one."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Channel(_Table):
    """What all channels have: what they want to hear."""

    name: Name
    """What was delivered is remembered under it: a channel that is renamed is another one."""
    watches: tuple[str, ...] = ()
    """Names of what is watched; empty: all."""
    states: tuple[States, ...] = ("new", "fixed")
    """An event is told when it enters one of them."""
    directions: tuple[Literal["slower", "faster"], ...] = ("slower", "faster")
    alarms: bool = True
    """Whether it hears of nights that could not do their work."""

    def wants(self, message: Message) -> bool:
        """Whether it is to be told."""
        if self.watches and message.watch not in self.watches:
            return False
        if message.kind == "alarm":
            return self.alarms
        return message.state in self.states and message.direction in self.directions


class GitHub(_Channel):
    """An issue, or a comment, for each event, edited in place."""

    name: Name = "github"
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$")]
    """``OWNER/NAME``."""
    post: Literal["issue", "commit", "pull"] = "issue"
    """An issue; a comment on the commit that an event is about; a comment on pull request `pull`."""
    pull: Annotated[int, Field(gt=0)] | None = None
    labels: tuple[str, ...] = ()
    """Of a new issue."""
    token_from: Variable = "LOCKSTEP_GITHUB_TOKEN"
    """The environment variable with the token."""
    address: Base = "https://api.github.com"
    """Of the REST API; GitHub Enterprise Server has its own: ``https://HOST/api/v3``."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.post == "pull") != (self.pull is not None):
            raise ValueError('post = "pull" and pull = NUMBER belong together')
        return self

    def wants(self, message: Message) -> bool:
        return super().wants(message) and (self.post != "commit" or bool(message.commit))


class Webhook(_Channel):
    """JSON that is sent to an address."""

    name: Name = "webhook"
    address: Address | None = None
    address_from: Variable | None = None
    """The environment variable with the address, where who knows the address may post."""
    key_from: Variable | None = None
    """The environment variable with the key that signs what is sent; None: it is not signed."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.address is None) == (self.address_from is None):
            raise ValueError("give one of address and address_from")
        return self


class Mail(_Channel):
    """A mail, by SMTP."""

    name: Name = "mail"
    server: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$")]
    port: Annotated[int, Field(gt=0, lt=65536)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Annotated[str, Field(pattern=r"^[!-~]*$")] = ""
    """Whom to log in as; empty: nobody."""
    password_from: Variable = "LOCKSTEP_SMTP_PASSWORD"
    """The environment variable with the password; not looked at without `user`."""
    sender: Mailbox
    to: Annotated[tuple[Mailbox, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.user and self.security == "none" and self.server not in HERE:
            raise ValueError('security = "none" would send the password in the open; use starttls or tls')
        return self


Channel = GitHub | Webhook | Mail


class Channels(_Table):
    """The table. Without it nobody is told; the events and their Markdown file are there all the same.

    Paths start from ``folder`` of the validation's context, which is that of the configuration.
    """

    github: Annotated[tuple[GitHub, ...], _Several] = ()
    webhook: Annotated[tuple[Webhook, ...], _Several] = ()
    mail: Annotated[tuple[Mail, ...], _Several] = ()
    events: Path | None = None
    """Folder of the events, such as one of a repository; None: ``events`` in the folder for state."""
    markdown: Path | None = None
    """File with all events for people; None: ``events.md`` in the folder for state."""
    site: Base | None = None
    """Where the site is served from, for links."""

    @model_validator(mode="after")
    def _have_names(self) -> Self:
        names = [channel.name for channel in self.every]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"more than one channel is called {', '.join(twice)}; give each its own: name = …")
        return self

    @property
    def every(self) -> tuple[Channel, ...]:
        return (*self.github, *self.webhook, *self.mail)

    @field_validator("events", "markdown")
    @classmethod
    def _is_path(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        folder = Path(info.context["folder"]) if info.context else Path.cwd()
        return None if path is None else folder / paths.expanded(path)
