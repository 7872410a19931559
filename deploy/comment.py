"""Posts a text as a comment on a pull request at GitHub, or edits the one that it posted before.

    python3 deploy/comment.py comment.md

It needs nothing but Python. From the environment it takes LOCKSTEP_TOKEN, LOCKSTEP_PULL (the number), LOCKSTEP_NAME
(each name has a comment of its own; default: report), GITHUB_REPOSITORY (OWNER/NAME) and GITHUB_API_URL. Where it
cannot post, it says why and ends with 0: the verdict does not depend on it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

LONGEST = 65_000
"""Characters of a comment; GitHub takes 65 536."""
LIMIT = 20.0
"""Seconds for one answer."""
TRIES = 3
PAUSE = 2.0
"""Seconds before the second try; twice as many before each further one."""
PAGES = 50
"""Pages of a hundred comments that are searched for an older one."""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: the token would go along."""

    def redirect_request(self, *_: Any) -> None:
        return None


def asking(token: str) -> Callable[..., Any]:
    """A function of method, address and content that returns the answer's JSON; raises OSError."""
    opener = urllib.request.build_opener(_Stay)

    def ask(method: str, address: str, content: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(
            address, method=method, data=None if content is None else json.dumps(content).encode(),
            headers={"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json",
                     "Content-Type": "application/json", "User-Agent": "lockstep",
                     "X-GitHub-Api-Version": "2022-11-28"},
        )
        with opener.open(request, timeout=LIMIT) as answer:
            return json.load(answer)

    return ask


def fitted(text: str) -> str:
    """The text, or as many of its first lines as a comment may have."""
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rpartition("\n")[0] + "\n\n*The rest is left out here. The job's summary has all of it.*\n"


def comments(answer: Any) -> list[dict[str, Any]]:
    """The comments that an answer holds. Raises ValueError where it holds something else."""
    found = answer if isinstance(answer, list) else [answer]
    if not all(isinstance(one, dict) and {"id", "html_url"} <= one.keys() for one in found):
        raise ValueError("it answered with something else than comments")
    return found


def post(ask: Callable[..., Any], repository: str, pull: int, name: str, text: str) -> str:
    """Post or edit; returns the comment's address. Raises OSError, ValueError and HTTPException.

    One that is there is looked for first: also after a failure, since its answer alone may have been lost.
    """
    marker = f"<!-- lockstep: {name} -->"
    body = {"body": fitted(f"{marker}\n{text}")}
    for page in range(1, PAGES + 1):
        there = comments(ask("GET", f"{repository}/issues/{pull}/comments?per_page=100&page={page}"))
        for one in there:
            if (one.get("body") or "").startswith(marker):
                return str(comments(ask("PATCH", f"{repository}/issues/comments/{one['id']}", body))[0]["html_url"])
        if len(there) < 100:
            break
    return str(comments(ask("POST", f"{repository}/issues/{pull}/comments", body))[0]["html_url"])


def why(error: Exception) -> str:
    """What went wrong, in words."""
    if isinstance(error, urllib.error.HTTPError):
        said = f"the server answered {error.code} {error.reason}"
        if error.code in (401, 403, 404):
            said += "; the job needs `permissions: pull-requests: write`, which one from a fork does not get"
        return said
    return str(getattr(error, "reason", error))


def main() -> int:
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    token, pull, name = (os.environ.get(f"LOCKSTEP_{word}", "") for word in ("TOKEN", "PULL", "NAME"))
    name = name or "report"
    if not re.fullmatch(r"[\w. /-]+", name) or "--" in name:
        print(f"lockstep: LOCKSTEP_NAME is {name!r}: it has letters, digits, blanks and . _ / -", file=sys.stderr)
        return 2
    if not token or not pull.isdecimal():
        print("::warning::Lockstep has not commented: there is no token, or no pull request.")
        return 0
    server = os.environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/")
    repository = f"{server}/repos/{os.environ['GITHUB_REPOSITORY']}"
    for number in range(TRIES):
        try:
            print(f"commented: {post(asking(token), repository, int(pull), name, text)}")
            return 0
        except (OSError, ValueError, http.client.HTTPException) as error:
            told = why(error)
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code < 500 and error.code != 429:
                    break  # what is not allowed now will not be allowed in a moment
        if number + 1 < TRIES:
            time.sleep(PAUSE * 2**number)
    print(f"::warning::Lockstep could not comment on pull request {pull}: {told}. The job's summary has the report.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
