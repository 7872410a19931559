"""git, run so that its answer depends on the repository and the words alone.

A hook, an alias or a shell may have set variables that lead git to another repository, index or configuration: none of
them is passed on. The user's configuration stays, since it says how servers are reached and which repositories are
trusted; those of its settings that would change a result are overruled.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from runner import shell

_REACHING = re.compile(r"GIT_(SSH\w*|SSL_\w+|HTTP_\w+|ASKPASS|PROXY_\w+|ALLOW_PROTOCOL|EXEC_PATH)")
"""Variables for git that say how a server is reached, or where git is."""
_SETTINGS: Mapping[str, str] = {
    # What is taken out of a repository is what was put in.
    "core.autocrlf": "false", "core.eol": "lf", "core.attributesFile": os.devnull, "tar.umask": "0002",
    # Nothing else is run, and nothing is written into a repository that is only read.
    "core.fsmonitor": "false", "core.hooksPath": os.devnull, "gc.auto": "0", "maintenance.auto": "false",
    "commit.gpgSign": "false", "tag.gpgSign": "false", "fetch.recurseSubmodules": "false",
    "color.ui": "false", "core.warnAmbiguousRefs": "true",
}


def run(repository: Path, *words: str, env: Mapping[str, str] | None = None) -> shell.Result:
    """Run git in a folder; what it says on standard error is kept apart, in English. `env` has further variables.

    Raises MachineError where there is no git.
    """
    settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
    return shell.run(["git", *settings, "-C", repository, *words], env=environment() | dict(env or {}), apart=True)


def environment() -> dict[str, str]:
    """The environment for git: this process's, without what would lead it elsewhere."""
    kept = {
        name: value for name, value in os.environ.items()
        if not name.startswith("GIT_") or _REACHING.fullmatch(name)
    }
    return kept | {
        "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_ATTR_NOSYSTEM": "1",
        # An object is what its hash says, whatever the repository would put in its place.
        "GIT_NO_REPLACE_OBJECTS": "1",
    }


def reason(repository: Path, result: shell.Result) -> str:
    """Why git failed in a repository, in one line that helps."""
    said = result.errors.strip() or result.output.strip() or f"git ended with exit code {result.code}"
    if "dubious ownership" in said:
        trusted = re.search(r"--add safe\.directory (.+)", said)
        folder = trusted[1].strip() if trusted else shlex.quote(str(repository))
        return (f"{repository} belongs to another user, and git does not read it. If you trust that user: "
                f"git config --global --add safe.directory {folder}")
    moved = re.search(r"not a git repository: (.+)/worktrees/", said)
    if moved:
        return (f"{repository} is a worktree of a repository that is no longer at {moved[1]}. Where that is now: "
                f"git worktree repair {shlex.quote(str(repository))}")
    if "not a git repository" in said:
        return f"{repository} is no git repository"
    lines = [line for line in said.splitlines() if not line.startswith("hint:")]
    return " ".join(line.removeprefix("fatal: ").removeprefix("error: ").strip() for line in lines)
