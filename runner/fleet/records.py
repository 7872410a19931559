"""What the two sides of a fleet say to each other: JSON of these records, as text, and never objects of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter

from runner.jobs.ab import AbRequest
from runner.model import Arm, Block, BlockSpec
from runner.storage.store import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A machine is ready for a comparison."""

    session: str
    """Under this name it is asked for blocks."""
    manifest: Manifest
    """That of a run of its own, had it begun one: what it found, and what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A block that a machine is to measure."""

    session: str
    lane: int
    """Which of the hands that the machine has at a time it belongs to: those of a lane share copies and caches."""
    spec: BlockSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A block, and where the hot functions are in its layout: by arm and name, where it is linked anew."""

    block: Block
    addresses: Mapping[Arm, Mapping[str, int]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What comes back: a record as JSON, or why there is none."""

    text: str = ""
    problem: str = ""
    """In words for the user; empty: there is none."""
    exit_code: int = 0
    """Of the problem, as in `errors`."""
    closed: bool = False
    """The machine has no such session: its agent was started anew, or works for somebody else."""


request = TypeAdapter(AbRequest)
opened = TypeAdapter(Opened)
wanted = TypeAdapter(Wanted)
measured = TypeAdapter(Measured)
answer = TypeAdapter(Answer)
