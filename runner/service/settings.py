"""What a server was started with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runner import config
from runner.jobs.watched import Serve
from runner.service import database
from runner.storage.index import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where a server keeps what it has, and what it allows."""

    data: Path
    """Folder with `runs`, `site`, `service` and so on, as `config.STATE` has them."""
    database: str
    """URL."""
    serve: Serve = field(default_factory=Serve)
    """Table ``[serve]`` of lockstep.toml."""
    toml: Path | None = None
    """The configuration, for what the site shows; None: there is none."""

    @property
    def own(self) -> Path:
        """Folder of the service itself."""
        return self.data / "service"

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    @property
    def incoming(self) -> Path:
        """Where what is uploaded lies until it is whole: on the disk of `runs`."""
        return self.own / "incoming"

    @property
    def index(self) -> Place:
        """Where the index of the runs is: in PostgreSQL where the database is, else the file that belongs to them."""
        return config.index_file(self.runs) if self.database.startswith("sqlite") else self.database

    @property
    def site(self) -> Path:
        return self.data / "site"


def made(
    data: Path | None, serve: Serve, url: str | None = None, toml: Path | None = None, *, public: bool | None = None,
) -> Settings:
    """Put together what the command line and lockstep.toml say; the command line goes before."""
    data = (data or config.STATE).absolute()
    if public is not None:
        serve = serve.model_copy(update={"public": public})
    return Settings(
        data=data, database=url or serve.database or database.of_file(data / "service" / "service.sqlite"),
        serve=serve, toml=toml,
    )
