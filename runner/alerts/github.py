"""A thread as one issue or comment on GitHub, made once and then edited in place, by the REST API.

Our post of a thread is known by a line that GitHub does not show, `marker`. Whether something is already there is seen
there: a delivery that a crash cut off before it was recorded makes no second post. What is edited is the whole text, so
that doing it twice is doing it once.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from runner.alerts.message import Message
from runner.alerts.settings import GitHub
from runner.sending import Failed, web
from runner.sending import secrets as words
from runner.sending.secrets import Secrets
from runner.sending.spool import digest

VERSION = "2022-11-28"
LONGEST = 60_000
"""Characters of a text; GitHub takes 65 536."""
PAGE, PAGES = 100, 100
"""Posts that are asked for at once, which is the most that GitHub gives, and how often."""
SEARCH = 120.0
"""Seconds that looking for a post may take."""
EARLIER = 86_400.0
"""Seconds by which our clock may be ahead of GitHub's."""
PAUSE = 60.0
"""Seconds to wait at a limit that does not say how long."""
_HASH = "[0-9a-f]{40}(?:[0-9a-f]{24})?"


def deliver(channel: GitHub, message: Message, secrets: Secrets, known: str) -> str:
    """Have the thread's post say this; returns where that is, below the repository: ``issues/12``.

    `known` is what was returned for the thread before; empty: nothing was, or it is not known any more. Raises Failed.
    """
    api = _Api(channel, words.get(secrets, channel.token_from))
    content = {"body": body(message)}
    if channel.post == "issue":
        content["title"] = message.title
    if known and api.edit(known, _with_state(channel, message, content), missing=True):
        return known
    place = next(api.ours(message), "")
    if not place:
        labels = {"labels": list(channel.labels)} if channel.post == "issue" and channel.labels else {}
        place = api.make(message, {**content, **labels})
        if channel.post != "issue" or not message.closed:
            return place
    api.edit(place, _with_state(channel, message, content))
    return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A pull request as it was at one moment."""

    base: str
    """Full hash of the commit at which it parted from its target."""
    head: str
    """Full hash of its newest commit."""
    fork: bool
    """Whether it comes from another repository, to which others may push."""
    pushed: float
    """When that was pushed to last: seconds since the epoch; 0 where it is gone."""


def pull(channel: GitHub, secrets: Secrets) -> Pull:
    """The pull request that a channel of this kind posts to. Raises Failed."""
    return _Api(channel, words.get(secrets, channel.token_from)).pull()


def marker(thread: str) -> str:
    """A line by which our post of a thread is found again, and which a reader does not see."""
    return f"<!-- lockstep {digest(thread)} -->"


def body(message: Message) -> str:
    """What the post says, with the marker first: what is cut off is the end."""
    text = message.markdown
    if len(text) > LONGEST:
        text = text[:LONGEST].rpartition("\n")[0] + "\n\n*… and more, which is too long for a post.*"
    return f"{marker(message.thread)}\n{text}"


def _with_state(channel: GitHub, message: Message, content: Mapping[str, str]) -> Mapping[str, str]:
    """An issue's state with it, where the message ends or begins its thread; what a person did is left alone else."""
    if channel.post != "issue" or message.closed is None:
        return content
    if not message.closed:
        return {**content, "state": "open"}
    return {**content, "state": "closed", "state_reason": "completed" if message.state == "fixed" else "not_planned"}


class _Api:
    """The few calls that are needed, in one repository."""

    def __init__(self, channel: GitHub, token: str) -> None:
        self._channel, self._token = channel, token
        self._base = f"{channel.address}/repos/{channel.repository}"

    def edit(self, place: str, content: Mapping[str, str], *, missing: bool = False) -> bool:
        """Edit a post; False: `missing` is allowed, and it is gone."""
        allowed = (404, 410) if missing else ()
        return self._call("PATCH", place, content, allowed=allowed) is not None

    def make(self, message: Message, content: Mapping[str, Any]) -> str:
        """Make a post; returns its place."""
        found = self._call("POST", self._list(message), content)
        try:
            return f"issues/{found['number']}" if self._channel.post == "issue" else self._comment(found)
        except (KeyError, TypeError):
            raise Failed("the server took it, and did not answer as GitHub does") from None

    def ours(self, message: Message) -> Iterator[str]:
        """Places of our posts of the thread, oldest first: one, if any."""
        line = marker(message.thread)
        for found in self._all(message):
            if line in str(found.get("body") or "") and "pull_request" not in found:
                yield f"issues/{found['number']}" if self._channel.post == "issue" else self._comment(found)

    def pull(self) -> Pull:
        """The channel's pull request."""
        try:
            found = self._call("GET", f"pulls/{self._channel.pull}")
            target, head, own = found["base"]["sha"], found["head"]["sha"], found["head"]["repo"]
            if not re.fullmatch(f"{_HASH}[.]{_HASH}", f"{target}.{head}"):
                raise ValueError
            parted = self._call("GET", f"compare/{target}...{head}?per_page=1")["merge_base_commit"]["sha"]
            if not re.fullmatch(_HASH, parted):
                raise ValueError
            pushed = 0.0 if own is None else datetime.fromisoformat(own["pushed_at"]).timestamp()
            fork = own is None or own["full_name"].lower() != self._channel.repository.lower()
            return Pull(base=parted, head=head, fork=fork, pushed=pushed)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Failed("the server did not answer as GitHub does", refused=True) from None

    def _comment(self, found: Mapping[str, Any]) -> str:
        return f"{'comments' if self._channel.post == 'commit' else 'issues/comments'}/{found['id']}"

    def _list(self, message: Message) -> str:
        """Where posts of the kind are listed, and made."""
        if self._channel.post == "issue":
            return "issues"
        if self._channel.post == "commit":
            return f"commits/{quote(message.commit, safe='')}/comments"
        return f"issues/{self._channel.pull}/comments"

    def _all(self, message: Message) -> Iterator[Mapping[str, Any]]:
        place = self._list(message)
        if self._channel.post == "issue":
            since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(message.began - EARLIER))
            place += f"?state=all&sort=created&direction=asc&since={since}&"
        else:
            place += "?"
        begun = time.monotonic()
        for page in range(1, PAGES + 1):
            if time.monotonic() - begun > SEARCH:
                raise Failed(f"looking for an earlier post took more than {SEARCH:g} s")
            found = self._call("GET", f"{place}per_page={PAGE}&page={page}")
            if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
                raise Failed("the server did not answer as GitHub does", refused=True)
            yield from found
            if len(found) < PAGE:
                return
        # One of ours may be further on: a second one would be worse than a late one.
        raise Failed(f"there are more than {PAGE * PAGES} posts to look through", refused=True)

    def _call(self, method: str, place: str, content: Any = None, *, allowed: tuple[int, ...] = ()) -> Any:
        """What GitHub answers; None for a status that is `allowed`. Raises Failed for any other that is no success."""
        answer = web.request(
            method, f"{self._base}/{place}", body=None if content is None else json.dumps(content).encode(),
            headers={
                "Accept": "application/vnd.github+json", "Authorization": f"Bearer {self._token}",
                "X-GitHub-Api-Version": VERSION,
                **({} if content is None else {"Content-Type": "application/json"}),
            },
        )
        if answer.status in allowed:
            return None
        if 200 <= answer.status < 300:
            return answer.json()
        raise self._failed(answer)

    def _failed(self, answer: web.Answer) -> Failed:
        status, said = answer.status, _said(answer)
        told = f"GitHub answered {status}{f' ({said})' if said else ''}"
        if status >= 500 or status in web.BUSY or (status == 403 and _is_limit(answer, said)):
            return Failed(told, wait=_wait(answer) if status in (403, 429) else answer.wait)
        if 300 <= status < 400:
            where = self._channel.repository
            return Failed(f"{told}: the repository {where} has moved; write its new name", refused=True)
        token = f"the token in {self._channel.token_from}"
        if status == 401:
            return Failed(f"{told}: {token} is not valid", refused=True)
        if status in (403, 404, 410):
            needed = answer.headers.get("x-accepted-github-permissions", "")
            takes = f"; that takes {' '.join(needed.split())[:100]}" if needed else ""
            return Failed(f"{told}: {token} may not post to {self._channel.repository}, or what is posted to is not "
                          f"there{takes}", refused=True)
        return Failed(told, refused=True)


def _said(answer: web.Answer) -> str:
    """GitHub's own words, cut short; empty where there are none."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        return ""
    said = found.get("message") if isinstance(found, dict) else None
    return " ".join(said.split())[:200] if isinstance(said, str) else ""


def _is_limit(answer: web.Answer, said: str) -> bool:
    return answer.wait > 0 or answer.headers.get("x-ratelimit-remaining") == "0" or "rate limit" in said.lower()


def _wait(answer: web.Answer) -> float:
    """Seconds for which GitHub wants no more requests."""
    if answer.wait:
        return answer.wait
    reset = answer.headers.get("x-ratelimit-reset", "")
    if answer.headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit():
        return min(max(PAUSE, float(reset[:12]) - time.time()), web.LONGEST)
    return PAUSE
