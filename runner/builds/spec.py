"""The text that names a build: parsed once, here, into a `BuildSpec`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from runner import paths
from runner.errors import UsageError


class Origin(Enum):
    """Where a build's source comes from; the value is the prefix in the spec."""

    RELEASE = "cpython@"
    GIT = "git:"
    DIRECTORY = "dir:"
    TARBALL = "tar:"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """A build as the user asked for it."""

    text: str
    """What the user typed."""
    origin: Origin
    place: str
    """A version, a repository's folder or URL, a source tree, or a tarball."""
    ref: str = ""
    """Branch, tag or commit; git only."""
    edits: tuple[str, ...] = ()
    """Names of variants and paths of patches, in order."""
    pgo: bool = False
    lto: bool = False
    debug: bool = False
    configure: tuple[str, ...] = ()
    """Further arguments for configure: flags, or ``CC=clang`` and the like."""
    layout: int | None = None
    """Seed of a link order to be used instead of make's own."""

    @property
    def trained(self) -> bool:
        """Whether its build runs the interpreter to see what to optimise (PGO, BOLT)."""
        return self.pgo or _asks(self.configure, "--enable-bolt")

    @property
    def options(self) -> str:
        """What its build is made with, as it stands behind the question mark: ``pgo&lto``; without the layout."""
        words = [word for word in ("pgo", "lto", "debug") if getattr(self, word)]
        return "&".join([*words, *(f"configure={argument}" for argument in self.configure)])

    @property
    def written(self) -> str:
        """It in the one way to write it, without the layout."""
        place = f"{self.place}@{self.ref}" if self.ref else self.place
        return with_options("".join([self.origin.value, place, *(f"+{edit}" for edit in self.edits)]), self.options)

    def unedited(self) -> BuildSpec:
        """The same source and options without the edits: what a variant's build starts from."""
        bare = replace(self, edits=(), layout=None)
        return replace(bare, text=bare.written)


PGO = "--enable-optimizations"
_TARBALL = re.compile(r"\.(?:tar\.\w+|tar|tgz|txz|tbz2?)(?=$|[+?])")
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")
# A ref has none of "@:+" but in main@{upstream}, so that `git@host:a/b.git@main+fix.patch` splits where a reader does.
_GIT = re.compile(r"(?P<place>.+?)@(?P<ref>(?:[^@:+\s]|@\{[^}]*\})+)(?P<edits>(?:\+.*)?)")


def _exists(path: str) -> bool:
    return os.path.exists(paths.expanded(path))


def _asks(configure: Sequence[str], option: str) -> bool:
    """Whether configure is asked for an option, such as ``--enable-bolt``: as the last word on it has it."""
    words = [word for word in configure if word.partition("=")[0] in _both(option)]
    return bool(words) and words[-1].startswith(option) and words[-1].partition("=")[2] != "no"


def _both(option: str) -> tuple[str, str]:
    return option, option.replace("--enable-", "--disable-")


def parse(text: str, *, exists: Callable[[str], bool] = _exists) -> BuildSpec | None:
    """Read a build spec; None: it names a path or a command, not a build.

    A path that exists is a path whatever it looks like, except a tarball, which can only be built.
    `exists` also settles where a path that contains ``+`` ends and the edits begin: the longest
    path that exists wins.

    Raises UsageError for a spec that starts like a build and does not go on like one.
    """
    origin = next((origin for origin in Origin if text.startswith(origin.value)), None)
    if exists(text) and (origin is not None or not _TARBALL.search(text)):
        return None
    if origin is None:
        if not _TARBALL.search(text):
            return None
        origin, body = Origin.TARBALL, text
    else:
        body = text.removeprefix(origin.value)
    body, query = _split_query(body)
    ref = ""
    if origin is Origin.GIT:
        match = _GIT.fullmatch(body)
        if match is None:
            raise UsageError(f"{text}: a git build needs a commit, branch or tag: git:DIR_OR_URL@REF")
        place, ref, edits = match["place"], match["ref"], _words(text, match["edits"])
    elif origin is Origin.RELEASE:
        place, _, rest = body.partition("+")
        edits = _words(text, body[len(place):])
        if not _VERSION.fullmatch(place):
            raise UsageError(f"{text}: {place!r} is not a release of CPython; write it like cpython@3.13.5")
    else:
        place, rest = _longest(body, exists)
        edits = _words(text, rest)
        if not place:
            raise UsageError(f"{text}: nothing follows {origin.value}")
    return _configured(BuildSpec(text=text, origin=origin, place=place, ref=ref, edits=edits), query)


def of_commit(repository: str | Path, ref: str, *, edits: Sequence[str] = (), options: str = "") -> str:
    """The spec of the build of a commit, branch or tag of a repository (a folder or a URL); `options` as below."""
    words = "".join(f"+{edit}" for edit in edits)
    return with_options(f"{Origin.GIT.value}{repository}@{ref}{words}", options)


def with_options(spec: str, options: str) -> str:
    """A spec without build options with these, as they stand behind the question mark: ``pgo&lto``, or none."""
    return f"{spec}?{options}" if options else spec


def _split_query(body: str) -> tuple[str, str]:
    head, mark, query = body.rpartition("?")
    return (head, query) if mark else (body, "")


def _words(text: str, tail: str) -> tuple[str, ...]:
    if not tail:
        return ()
    words = tuple(tail[1:].split("+"))
    if "" in words:
        raise UsageError(f"{text}: a + with no variant or patch behind it (a patch's name must not have a +)")
    return words


def _longest(body: str, exists: Callable[[str], bool]) -> tuple[str, str]:
    ends = [match.start() for match in re.finditer(r"\+", body)] + [len(body)]
    end = next((end for end in reversed(ends) if exists(body[:end])), ends[0])
    return body[:end], body[end:]


def _configured(spec: BuildSpec, query: str) -> BuildSpec:
    switches: set[str] = set()
    configure: list[str] = []
    layout = None
    for word in filter(None, query.split("&")):
        if word in ("pgo", "lto", "debug"):
            switches.add(word)
        elif word.startswith("configure=") and len(word) > len("configure="):
            configure.append(word.removeprefix("configure="))
        elif re.fullmatch(r"layout=\d{1,9}", word):
            layout = int(word.removeprefix("layout="))
        else:
            raise UsageError(
                f"{spec.text}: {word!r} is not a build option; there are pgo, lto, debug, configure=--flag and"
                " layout=NUMBER"
            )
    if _asks(configure, PGO):  # the same build, by the word that asks for all of it
        switches.add("pgo")
        configure = [word for word in configure if word.partition("=")[0] not in _both(PGO)]
    return replace(
        spec, pgo="pgo" in switches, lto="lto" in switches, debug="debug" in switches,
        configure=tuple(configure), layout=layout,
    )
