"""Recipe: have a text stand as a comment on a pull request, the same comment each time."""

from __future__ import annotations

import time

from pydantic import ValidationError

from runner import config
from runner.alerts import github
from runner.alerts.message import Message
from runner.alerts.settings import GitHub
from runner.errors import MachineError, UsageError
from runner.sending import Failed, secrets

TRIES = 3
PAUSE = 2.0
"""Seconds before the second try; twice as many before the third."""
LONGEST = 30.0
"""Seconds that a job waits because a server says so."""


def place(repository: str, pull: int, address: str) -> GitHub:
    """A pull request, as alerts have it; `repository` is ``OWNER/NAME``. Raises UsageError for what is none."""
    try:
        return GitHub(repository=repository, post="pull", pull=pull, address=address)
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        option = "".join(f"--{name}: " for name in problem["loc"][:1])
        raise UsageError(f"{option}{problem['msg'].removeprefix('Value error, ')}.") from None


def pull(where: GitHub) -> github.Pull:
    """A pull request as it is now. Raises MachineError where it cannot be looked up, in words without the token."""
    try:
        return github.pull(where, config.secret)
    except Failed as error:
        why = _why(where, error)
    raise MachineError(f"cannot look up pull request {where.pull} of {where.repository}: {why}.")


def comment(text: str, where: GitHub, name: str, known: str = "") -> str:
    """Post a text in Markdown, or put it into the comment of this name that is there; returns what the comment is
    called below the repository: ``issues/comments/12``.

    `known` is what was returned before. Where it is empty, one that is there is looked for each time: of a try that
    failed the answer alone may have been lost. Raises MachineError where it cannot be posted, in words without the
    token.
    """
    now = time.time()
    message = Message(
        key=f"comment/{name}", thread=f"comment/{name}", watch="", kind="event", state="", began=now, created=now,
        title=name, markdown=text, text=text, data={})
    why = ""
    for number in range(TRIES):
        try:
            return github.deliver(where, message, config.secret, known)
        except Failed as error:
            why = _why(where, error)
            wait = max(PAUSE * 2**number, error.wait)
            if error.refused or wait > LONGEST or number + 1 == TRIES:
                break
        time.sleep(wait)
    raise MachineError(f"cannot comment on pull request {where.pull} of {where.repository}: {why}.")


def _why(where: GitHub, error: Failed) -> str:
    return secrets.without(str(error), [config.secret(where.token_from) or ""])
