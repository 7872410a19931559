"""lockstep.toml: what is watched, how it is measured, and where what is found goes.

Format, version 1: the keys are the fields of the models below; `EXAMPLE` has them all. A path is relative to the file.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from runner import amounts, builds, config, paths, suites
from runner.alerts.settings import Base, Channels, GitHub, Mail, Variable, Webhook
from runner.builds import history
from runner.builds.spec import Origin
from runner.errors import UsageError
from runner.jobs.requesting import Hook, Repository

EXAMPLE = """\
# What Lockstep watches. `lockstep config --check` reads this file without measuring anything.
# Paths are relative to the file.

[[watch]]                                   # one of these for each branch
name = "main"                               # in addresses and file names
repository = "https://github.com/python/cpython"    # or the folder of a clone, which is read as it is
branch = "main"
anchor = "cpython@3.13.5"                   # what every night is compared with: a release, or a tag or commit
configurations = ["", "pgo&lto"]            # build options, as behind the ? of a build; "" is for none
suites = [{ place = "bytesio" }]            # folders of asv benchmarks; { place = "...", select = "REGEX" } for some
margin = "1%"                               # the smallest change that matters to you
budget = "1h"                               # of a night, building included
# blocks = 12                               # of every benchmark in the history; by default by the budget
# edits = ["fix.patch"]                     # variants and patches that every commit of the branch gets

[retention]
days = 90                                   # of the blocks of these watches' runs; what they said is kept for ever

[site]
# out = "site"                              # by default `site` beside the runs
commit_url = "https://github.com/python/cpython/commit/{hash}"

[machine]
memory_limit = "4GiB"                       # of a benchmark

[serve]                                     # of `lockstep serve`
public = false                              # true: all may read; writing needs a token always
address = "https://lockstep.example.org"
# database = "postgresql://lockstep@/lockstep"    # by default a SQLite file beside the runs
repositories = ["https://github.com/python/cpython"]    # what requests may build beside releases; by default none
largest_upload = "256MiB"
memory_limit = "2GiB"                       # that looking at one upload may take; two are looked at at one time
rate = 50                                   # requests a second of one token; four times as many of one address; 0: any
proxies = ["127.0.0.1", "::1"]              # who is believed when it says for whom it asks: the proxy with TLS

[serve.github]                              # comments there that say: @lockstep compare BASE HEAD
secret_from = "LOCKSTEP_GITHUB_SECRET"      # the variable with the webhook's secret
repositories = ["python/cpython"]           # whose comments count
allow = ["ada"]                             # who may ask; by default nobody
# token_from = "LOCKSTEP_GITHUB_TOKEN"      # the variable with the token that looks pull requests up, and answers
# address = "https://api.github.com"

# [server]                                  # where each night's runs go, too; see docs/uploading.md
# address = "https://lockstep.example.org"
# token_from = "LOCKSTEP_TOKEN"             # the environment variable that holds it; this one by default
"""


def _margin(value: object) -> float:
    return amounts.margin(str(value))


def _seconds(value: object) -> float:
    return amounts.seconds(str(value))


def _size(value: object) -> int:
    return amounts.size(str(value))


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Suite(_Table):
    """A suite, or some of it."""

    place: str = "bytesio"
    """A folder of asv benchmarks, ``bytesio``, ``consumers``, or another suite as ``--suite`` takes it."""
    select: str | None = None
    """Regular expression that the keys of benchmarks match; None: all."""

    @field_validator("place")
    @classmethod
    def _is_there(cls, place: str, info: ValidationInfo) -> str:
        found = suites.beside(_folder(info), place)
        try:
            suites.open(found)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return found

    @field_validator("select")
    @classmethod
    def _is_pattern(cls, select: str | None) -> str | None:
        try:
            re.compile(select or "")
        except re.error as error:
            raise ValueError(f"{select!r} is no regular expression: {error}") from error
        return select


class Watch(_Table):
    """A branch that is watched."""

    name: str
    repository: str
    """A URL, or a folder, absolute."""
    branch: str
    anchor: str
    """A build that is pinned, such as ``cpython@3.13.5``; or a tag or commit of the repository."""
    configurations: tuple[str, ...] = ("",)
    """Build options as in a spec, without the question mark."""
    suites: tuple[Suite, ...] = (Suite(),)
    margin: Annotated[float, BeforeValidator(_margin)] = 0.01
    """As a fraction."""
    budget: Annotated[float, BeforeValidator(_seconds)] = 3600.0
    """Seconds of a night, building included."""
    blocks: Annotated[int, Field(ge=6, le=160)] | None = None
    """Of every benchmark in the history; None: as many as the budget is good for."""
    edits: tuple[str, ...] = ()
    """Variants, and paths of patches, that every commit of the repository gets."""

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", name):
            raise ValueError(f"{name!r} becomes a part of file names: write 1 to 40 letters, digits, dots and dashes, "
                             "a letter or digit first")
        return name

    @field_validator("repository")
    @classmethod
    def _is_place(cls, repository: str, info: ValidationInfo) -> str:
        if history.is_url(repository):
            return repository
        return str((_folder(info) / paths.expanded(repository)).resolve())

    @field_validator("branch")
    @classmethod
    def _is_branch(cls, branch: str) -> str:
        if not branch or branch.startswith(("-", "refs/")) or re.search(r"[\s~^:?*\[\\]|\.\.|@\{", branch):
            raise ValueError(f"{branch!r} is no branch's name; write it as git branch lists it, such as main")
        return branch

    @field_validator("anchor")
    @classmethod
    def _is_pinned(cls, anchor: str) -> str:
        if "?" in anchor:
            raise ValueError(f"{anchor!r} has options; it gets those of each of the configurations")
        spec = _parsed(anchor)
        if spec is not None and spec.origin is Origin.DIRECTORY:
            raise ValueError(f"{anchor!r} is a folder, whose content changes; name a release, a tag or a commit")
        if spec is None and ("/" in anchor or not anchor or anchor.startswith("-")):
            raise ValueError(f"{anchor!r} is neither a build such as cpython@3.13.5 nor a tag or commit")
        return anchor

    @field_validator("configurations")
    @classmethod
    def _are_options(cls, configurations: tuple[str, ...]) -> tuple[str, ...]:
        for options in configurations:
            _parsed(f"cpython@3.13.5?{options}")
        if not configurations or len(set(configurations)) < len(configurations):
            raise ValueError('it has each configuration once, and one at least; "" is the one without options')
        return configurations

    @field_validator("suites")
    @classmethod
    def _have_names(cls, found: tuple[Suite, ...]) -> tuple[Suite, ...]:
        if not found:
            raise ValueError("it needs one at least")
        folders = {suites.open(one.place).place for one in found}
        if len({Path(folder).name for folder in folders}) < len(folders):
            raise ValueError("two are folders of one name, and their histories could not be told apart")
        return found

    @field_validator("edits")
    @classmethod
    def _are_edits(cls, edits: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        folder = _folder(info)
        found = tuple(str(folder / edit) if (folder / edit).is_file() else edit for edit in edits)
        for edit in found:
            try:
                builds.changes(edit)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return found

    def spec(self, commit: str, configuration: str) -> str:
        """The build of a commit of the repository."""
        return builds.of_commit(self.repository, commit, edits=self.edits, options=configuration)

    def pinned(self, repository: Path, configuration: str) -> str:
        """The build that every night is compared with; `repository` is where the commits are read.

        Raises UsageError for a commit that is not there.
        """
        if builds.parse(self.anchor) is not None:
            return builds.with_options(self.anchor, configuration)
        return self.spec(history.named(repository, self.anchor), configuration)


def _parsed(text: str) -> Any:
    try:
        return builds.parse(text)
    except UsageError as error:
        raise ValueError(str(error)) from error


class Retention(_Table):
    """What is kept for how long."""

    days: Annotated[int, Field(ge=1)] = 90
    """Of the blocks of runs: at the end of a night older ones go, statistics are kept for ever."""


class Site(_Table):
    """The pages."""

    out: Path | None = None
    commit_url: str = ""
    """Address of a commit, with ``{hash}`` in it; empty: there is none."""

    @field_validator("out")
    @classmethod
    def _is_folder(cls, out: Path | None, info: ValidationInfo) -> Path | None:
        return None if out is None else _folder(info) / paths.expanded(out)

    @field_validator("commit_url")
    @classmethod
    def _has_hash(cls, commit_url: str) -> str:
        if commit_url and "{hash}" not in commit_url:
            raise ValueError(f"{commit_url!r} lacks {{hash}}, in whose place a commit's hash is put")
        return commit_url


class Machine(_Table):
    """How measured processes run."""

    memory_limit: Annotated[int, BeforeValidator(_size)] | None = None
    """Bytes that a benchmark may use; None: a third of what there is."""


class Serve(_Table):
    """What `lockstep serve` allows, and where it is reached."""

    public: bool = False
    """Whether all may read, or only whoever has a token."""
    address: str = ""
    """Where people find it, such as https://lockstep.example.org; empty: not known."""
    database: str = ""
    """URL of a PostgreSQL database; empty: a SQLite file beside the runs."""
    repositories: tuple[Repository, ...] = ()
    """URLs of the git repositories that requests may build; none by default."""
    github: Hook | None = None
    """Who may ask by a comment there; None: nobody."""
    largest_upload: Annotated[int, BeforeValidator(_size)] = 256 << 20
    """Bytes."""
    memory_limit: Annotated[int, BeforeValidator(_size)] = 2 << 30
    """Bytes that looking at one upload may take; a run of 80 000 blocks takes 0.1 GiB."""
    rate: Annotated[int, Field(ge=0, le=100_000)] = 50
    """Requests a second of one token, and a quarter of those of one address; 0: as many as they like."""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses and networks of proxies, whose word is taken for who asks, and whether by https."""

    @field_validator("proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for one in proxies:
            try:
                ipaddress.ip_network(one)
            except ValueError as error:
                raise ValueError(f"{one!r} is no address or network, such as 172.16.0.0/12") from error
        return proxies


class Server(_Table):
    """The server that gets each night's runs, too."""

    address: Base
    """Where its pages are."""
    token_from: Variable = "LOCKSTEP_TOKEN"
    """The environment variable with the token."""


class Service(_Table):
    """All that lockstep.toml says but what is watched: where things are, for how long, and who is told of them."""

    state: Path = Field(default_factory=lambda: config.STATE)
    """Folder of what was measured, and of the nights."""
    asv: Path | None = None
    """asv.conf.json of the store that the nights are added to; None: to none."""
    retention: Retention = Retention()
    site: Site = Site()
    machine: Machine = Machine()
    channels: Channels = Channels()
    """How people are told of events."""
    serve: Serve = Serve()
    server: Server | None = None
    """Where runs are uploaded to; None: nowhere."""

    @field_validator("state", "asv")
    @classmethod
    def _is_path(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        return None if path is None else _folder(info) / paths.expanded(path)

    @property
    def runs(self) -> Path:
        return self.state / "runs"

    @property
    def nights(self) -> Path:
        return self.state / "nights"


class Nightly(Service):
    """All that lockstep.toml says."""

    watch: tuple[Watch, ...]

    @field_validator("watch")
    @classmethod
    def _have_names(cls, watch: tuple[Watch, ...]) -> tuple[Watch, ...]:
        if not watch:
            raise ValueError("it needs one at least")
        names = [one.name for one in watch]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two are named {twice!r}, and their nights could not be told apart")
        return watch

    def find(self, name: str | None) -> tuple[Watch, ...]:
        """The watches of a name, or all. Raises UsageError where there is none."""
        found = tuple(one for one in self.watch if name in (None, one.name))
        if not found:
            raise UsageError(f"nothing is watched by the name {name}; there are: "
                             f"{', '.join(one.name for one in self.watch)}")
        return found


def _folder(info: ValidationInfo) -> Path:
    return Path(info.context["folder"]) if info.context else Path.cwd()


_TABLES: Mapping[str, type[BaseModel]] = {
    "": Nightly, "watch": Watch, "suites": Suite, "retention": Retention, "site": Site, "machine": Machine,
    "serve": Serve, "serve.github": Hook, "server": Server, "channels": Channels, "github": GitHub, "webhook": Webhook,
    "mail": Mail,
}
_Model = TypeVar("_Model", bound=Service)


def read(path: Path) -> Nightly:
    """Read a configuration. Raises UsageError with a line for each thing that is wrong: file, line, key and reason.

    No value of a channel's key is repeated: it may be a secret in the wrong place.
    """
    return _read(path, Nightly)


def service(path: Path | None) -> Service:
    """What a configuration says, but for what is watched: that may be missing, or be right on another machine only.

    None: the configuration of the folder where we are, or what holds without one. Raises UsageError as `read` does.
    """
    if path is None and not Path(config.FILE).is_file():
        return Service()
    return _read(path or Path(config.FILE), Service)


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(
            f"{path} cannot be read ({why}). `lockstep config --example > {config.FILE}` makes one.") from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+)", str(error))
        raise UsageError(f"{path}:{at[1] if at else len(text.splitlines())}: it is not TOML: {error}") from error
    # What only others ask for is left to them; what nobody asks for is a mistake.
    asked = {key: said for key, said in data.items() if key in model.model_fields or key not in Nightly.model_fields}
    try:
        return model.model_validate(asked, context={"folder": path.resolve().parent})
    except ValidationError as error:
        places = lines(text)
        found = [(_line(places, problem["loc"]), *_told(problem)) for problem in error.errors()]
        raise UsageError("\n".join(f"{path}:{line}: {key}: {why}" for line, key, why in sorted(found))) from None


def _told(problem: Any) -> tuple[str, str]:
    """The key, and what is wrong with it."""
    loc: tuple[str | int, ...] = problem["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).lstrip(".")
    if problem["type"] == "missing":
        return key, "it is missing"
    if problem["type"] == "extra_forbidden":
        tables = [part for part in loc[:-1] if isinstance(part, str)]
        there = _TABLES.get(".".join(tables)) or _TABLES.get(tables[-1] if tables else "")
        names = ", ".join(there.model_fields) if there is not None else "none"
        return key, f"there is no such key; there are: {names}"
    return key, str(problem["msg"]).removeprefix("Value error, ")


def lines(text: str) -> dict[tuple[str | int, ...], int]:
    """The line of each table and key of a TOML text, by its path: ``("watch", 0, "margin")``. Lines count from 1.

    Keys inside of inline tables and of arrays of several lines have none: the key before them has.
    """
    found: dict[tuple[str | int, ...], int] = {}
    count: dict[tuple[str | int, ...], int] = {}
    table: tuple[str | int, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.\"'-]+)\s*\]", line):
            table = ()
            *above, last = [name.strip("\"'") for name in header[2].split(".")]
            for name in above:
                table = (*table, name)
                table = (*table, count[table] - 1) if table in count else table
            table = (*table, last)
            if header[1] == "[[":
                count[table] = count.get(table, 0) + 1
                table = (*table, count[table] - 1)
            found[table] = number
        elif key := re.match(r"\s*([\w-]+|\"[^\"]*\"|'[^']*')\s*=", line):
            found.setdefault((*table, key[1].strip("\"'")), number)
    return found


def _line(places: Mapping[tuple[str | int, ...], int], loc: Sequence[str | int]) -> int:
    return next((places[tuple(loc[:end])] for end in range(len(loc), 0, -1) if tuple(loc[:end]) in places), 1)
