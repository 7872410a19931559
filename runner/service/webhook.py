"""Comments on GitHub that ask for comparisons, by its webhook: ``@lockstep compare BASE HEAD``, and on a pull request
``@lockstep compare`` alone.

What counts is what GitHub has signed, the body as it came: who wrote which comment, when, in which repository. A
comment asks once, however often and in whatever order it is delivered. One that is old or was edited, or of somebody
who is not on the list, asks for nothing. Headers are not signed: nothing rests on one but that a delivery which was
seen is not looked at again.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, BackgroundTasks, Depends, Request
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from runner import config
from runner.alerts.settings import GitHub
from runner.builds.spec import Origin
from runner.errors import MachineError
from runner.jobs import comment as commenting
from runner.jobs.policy import Wanted
from runner.jobs.requesting import Hook
from runner.report import markdown
from runner.service import audit, queue, server
from runner.service.api_requests import allowed, page
from runner.service.problems import Problem
from runner.service.queue import Asker
from runner.service.server import Server
from runner.service.tables import deliveries

router = APIRouter(include_in_schema=False)
log = logging.getLogger(__name__)
OLDEST = 3600.0
"""Seconds after which a comment asks for nothing any more."""
AHEAD = 300.0
"""Seconds by which GitHub's clock may be ahead of ours."""
KEPT = 7 * 86_400.0
"""Seconds for which deliveries are remembered: longer than GitHub lets them be sent again."""
OPTIONS = ("suite", "select", "margin", "budget", "machine", "priority", "build")


class _User(BaseModel):
    login: str
    type: str


class _Comment(BaseModel):
    id: Annotated[int, Field(gt=0, lt=2**63)]
    body: str | None
    user: _User
    created_at: AwareDatetime


class _Issue(BaseModel):
    number: Annotated[int, Field(gt=0, lt=2**31)]
    pull_request: dict[str, object] | None = None


class _Repository(BaseModel):
    full_name: str
    html_url: str
    clone_url: str = ""


class Delivery(BaseModel):
    """What GitHub says of a comment, as far as it is used."""

    action: str
    comment: _Comment
    issue: _Issue
    repository: _Repository
    sender: _User

    @property
    def key(self) -> str:
        """Of the request that it may ask for."""
        return f"github/{self.repository.full_name.lower()}/{self.comment.id}"


async def body_of(request: Request) -> bytes:
    """The body as it came."""
    return await request.body()


@router.post("/hooks/github")
def delivered(
    request: Request, body: Annotated[bytes, Depends(body_of)], later: BackgroundTasks
) -> dict[str, str]:
    """Take a delivery of GitHub's. The answer says what became of it: GitHub shows that to who set the webhook up."""
    here = server.of(request)
    hook = here.settings.serve.github
    secret = "" if hook is None else (config.secret(hook.secret_from) or "").strip()
    if hook is None or not secret:
        raise Problem(404, "hook", "There is no such hook.")
    if not signed(secret, body, request.headers.get("x-hub-signature-256", "")):
        raise Problem(401, "signature", "This is not signed.",
                      "The header X-Hub-Signature-256 is missing, or is not that of this body and our secret.")
    event, id = (request.headers.get(f"x-github-{name}", "") for name in ("event", "delivery"))
    if event != "issue_comment":
        return _ignored("only comments on issues and pull requests are looked at")
    if not re.fullmatch(r"[0-9A-Za-z-]{1,64}", id):
        raise Problem(400, "delivery", "This delivery has no id.", "The header X-GitHub-Delivery is missing.")
    try:
        delivery = Delivery.model_validate_json(body)
    except ValidationError as error:
        raise Problem(422, "invalid", "The request cannot be understood.",
                      "The body is no comment in GitHub's JSON: set the content type to application/json.") from error
    words = command(delivery.comment.body or "")
    why = "it asks for nothing" if words is None else refusal(delivery, hook, here.clock())
    if why or words is None:
        return _ignored(why)
    with here.database.reading() as connection:
        if _seen(connection, id):
            return _ignored("this delivery was seen before")
        known = queue.by_key(connection, delivery.key)
    if known is not None:
        return _ignored(f"this comment has asked before: request {known.id}")
    return _asked(here, hook, delivery, id, words, later)


def signed(secret: str, body: bytes, signature: str) -> bool:
    """Whether a signature is that of a body, in a time that does not tell how much of it is right."""
    right = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
    return hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace"))


def refusal(delivery: Delivery, hook: Hook, now: float) -> str:
    """Why a comment asks for nothing; empty: it does."""
    author = delivery.comment.user
    if delivery.action != "created":
        return "only a new comment asks: one that was edited is not what others have read"
    if delivery.repository.full_name.lower() not in [name.lower() for name in hook.repositories]:
        return "this repository is not among those of [serve.github]"
    if author.type != "User" or delivery.sender.login != author.login:
        return "only a person asks, and for themselves"
    if author.login.lower() not in [login.lower() for login in hook.allow]:
        return "who wrote it is not on the list of [serve.github]"
    age = now - delivery.comment.created_at.timestamp()
    if not -AHEAD <= age <= OLDEST:
        return f"it was written {abs(age):.0f} s {'ago' if age > 0 else 'ahead of our clock'}"
    return ""


def command(text: str) -> list[str] | None:
    """The words behind ``@lockstep compare`` in the first line of a comment that begins so; None: there is none.

    What is quoted, or stands in a block of code, asks for nothing.
    """
    fence = ""
    for line in text.splitlines():
        mark = re.match(r"\s{0,3}(`{3,}|~{3,})", line)
        if fence:
            if mark is not None and mark[1].startswith(fence) and not line.strip(f"{fence[0]} \t"):
                fence = ""
        elif mark is not None:
            fence = mark[1]
        elif not line.startswith(("    ", "\t")):
            words = line.split()
            if [word.lower() for word in words[:2]] == ["@lockstep", "compare"]:
                return words[2:]
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command says."""

    builds: tuple[str, ...]
    """Base and head, as they were written; none: those of the pull request."""
    options: dict[str, str]


def understood(words: Sequence[str]) -> Said:
    """Take the words of a command apart. Raises Problem, in words for who wrote them."""
    options: dict[str, str] = {}
    builds: list[str] = []
    for word in words:
        name, mark, value = word.partition("=")
        if not mark or not name.isalpha():
            builds.append(word)
        elif name not in OPTIONS or name in options:
            raise _unclear(f"{name}= is {'there twice' if name in options else 'unknown'}; there are "
                           f"{', '.join(OPTIONS)}.")
        else:
            options[name] = value
    if len(builds) not in (0, 2):
        raise _unclear("name two builds, the base first: @lockstep compare BASE HEAD. On a pull request, name none: "
                       "what it brings is compared with where it began.")
    return Said(builds=tuple(builds), options=options)


def _asked(
    here: Server, hook: Hook, delivery: Delivery, id: str, words: Sequence[str], later: BackgroundTasks
) -> dict[str, str]:
    """Ask for what a comment says, or answer it that this cannot be."""
    where = hook.place(delivery.repository.full_name, delivery.issue.number)
    asker = Asker(
        person=f"github:{delivery.comment.user.login}", source="github",
        reply={"repository": where.repository, "pull": where.pull},
    )
    why = ""
    found: queue.Request | None = None
    try:
        wanted = _wanted(here, delivery, understood(words), where)
    except Problem as problem:
        why = problem.detail or problem.title
    except MachineError as error:
        # Nothing is remembered: the delivery can be sent again.
        raise Problem(503, "github", "GitHub cannot be asked.", str(error), headers={"Retry-After": "60"}) from error
    with here.database.writing() as connection:
        if _seen(connection, id):
            return _ignored("this delivery was seen before")
        now = here.clock()
        connection.execute(sa.delete(deliveries).where(deliveries.c.time < now - KEPT))
        connection.execute(sa.insert(deliveries).values(id=id, time=now))
        if not why:
            try:
                found, _ = queue.submit(connection, wanted, asker, now, delivery.key)
            except Problem as problem:
                why = problem.detail or problem.title
        outcome = f"request {found.id}" if found else f"refused: {why}"
        audit.note(connection, audit.Entry(
            time=now, name=asker.person, action="POST /hooks/github", subject=delivery.key, outcome=outcome))
    if found is None:
        later.add_task(_answer, f"Lockstep does not compare this: {markdown.escape(why)}", where, delivery.comment.id)
        return {"state": "refused", "why": why}
    return {"state": "accepted", "request": found.id, "page": page(here, found.id)}


def _wanted(here: Server, delivery: Delivery, said: Said, where: GitHub) -> Wanted:
    """The comparison that a command asks for. Raises Problem, and MachineError where GitHub cannot be asked."""
    urls = (delivery.repository.html_url, delivery.repository.clone_url)
    url = next((url for url in urls if url in here.settings.serve.repositories), None)
    if url is None:
        raise _unclear("requests may not build this repository: it is not among `repositories` of [serve].")
    builds = said.builds
    if not builds:
        if delivery.issue.pull_request is None:
            raise _unclear("this is no pull request; name two builds: @lockstep compare BASE HEAD.")
        pulled = commenting.pull(where)
        if pulled.fork and pulled.pushed > delivery.comment.created_at.timestamp():
            raise _unclear("the branch was pushed to after you asked, and what is there now you may not have seen. "
                           "Look at it, and ask again.")
        builds = (pulled.base, pulled.head)
    options = dict(said.options)
    switches = options.pop("build", "")
    base, head = (_spec(word, url, switches) for word in builds)
    return allowed({"margin": "1%", "budget": "10m", "base": base, "head": head, **options}, here)


def _spec(word: str, url: str, switches: str) -> str:
    """A build by its spec, or by a branch, tag or commit of the repository where it was asked."""
    spec = word if word.startswith((Origin.RELEASE.value, Origin.GIT.value)) else f"{Origin.GIT.value}{url}@{word}"
    return f"{spec}?{switches}" if switches and "?" not in spec else spec


def _answer(text: str, where: GitHub, comment: int) -> None:
    try:
        commenting.comment(text, where, f"refused/{comment}")
    except MachineError as error:
        log.warning("%s", error)


def _seen(connection: sa.Connection, id: str) -> bool:
    return connection.execute(sa.select(deliveries.c.id).where(deliveries.c.id == id)).first() is not None


def _ignored(why: str) -> dict[str, str]:
    return {"state": "ignored", "why": why}


def _unclear(detail: str) -> Problem:
    return Problem(422, "policy", "This is not allowed.", detail)
