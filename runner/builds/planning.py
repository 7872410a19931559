"""What a build is to be: its source, edits, flags and toolchain, looked up once, before anything is made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from runner.builds import compiling, edits, history, releases, sources, toolchain, trees
from runner.builds.cache import Progress
from runner.builds.edits import Edit
from runner.builds.sources import Source
from runner.builds.spec import BuildSpec
from runner.model import Commit

FORMAT = 2
"""Part of every key: raised when the way of building changes, so that old and new builds do not mix."""
DATA = Path(__file__).parents[2] / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that decides what a build is."""

    spec: BuildSpec
    source: Source
    edits: tuple[Edit, ...]
    edits_hash: str
    """Of what the edits do; empty for none."""
    flags: tuple[str, ...]
    toolchain: Mapping[str, str]
    """See `toolchain.describe`."""
    commit: Commit | None = None
    """What the source is taken from; of no bearing on what the build is."""

    @property
    def key(self) -> str:
        """Hash of all that decides; names the folder in the cache."""
        parts = [FORMAT, self.source.hash, self.edits_hash, self.flags, sorted(self.toolchain.items())]
        if self.spec.trained and not self.spec.pgo:
            parts.append("trained")  # older builds with BOLT were not
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    @property
    def label(self) -> str:
        """The build for people: what the user typed."""
        return self.spec.text

    def unedited(self) -> Plan:
        """The same without edits."""
        return replace(self, spec=self.spec.unedited(), edits=(), edits_hash="")


def plan(spec: BuildSpec, progress: Progress, data: Path = DATA) -> Plan:
    """Look up all that a spec names. Raises UsageError, MachineError, BuildError."""
    loaded = edits.load_all(spec.edits, data / "variants")
    flags = compiling.flags(spec)
    source = sources.find(spec, data / "sources.toml", progress)
    commit = None
    if isinstance(source, sources.Commit):
        commit = history.describe(source.repository, source.commit, place=spec.place, branch=source.branch)
        catalogue = releases.read(data / "sources.toml")
        known = trees.recall(source.tree, catalogue, data / "variants")
        if known is not None:
            release, before = known
            source, loaded = sources.ReleaseSource(release=release, catalogue=catalogue), (*before, *loaded)
    return Plan(
        spec=spec, source=source, edits=loaded, edits_hash=edits.digest(loaded), flags=flags,
        toolchain=toolchain.describe(flags), commit=commit,
    )
