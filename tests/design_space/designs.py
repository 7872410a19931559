"""The designs that are compared: builds of one release, each with a variant of io.BytesIO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runner.builds import edits, planning

RELEASE = "cpython@3.13.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One way that io.BytesIO may be."""

    name: str
    variant: str | None
    """In data/variants; None: the source as it is."""
    does: str
    """For the page: what it does, beginning with a verb."""
    thread: str
    """For the page: where bpo-22003 has it."""

    @property
    def spec(self) -> str:
        return RELEASE if self.variant is None else f"{RELEASE}+{self.variant}"

    @property
    def digest(self) -> str:
        """Of the source that it makes: what was measured of another one is not of this design."""
        return edits.digest(edits.load_all([self.variant] if self.variant else [], planning.DATA / "variants"))


NOCOW = Design(name="nocow", variant="nocow", does="copies whatever it is made from, and whatever it gives out",
               thread="before it: CPython 3.4")
TODAY = Design(name="bytes-only", variant=None, does="shares `bytes`, and copies all else",
               thread="cow5 and cow6: CPython since 3.5")
WEIGHED = (
    Design(name="share-any-buffer", variant="share-any-buffer", thread="cow2",
           does="shares also what lends a buffer that is marked read-only"),
    Design(name="ask-writable-first", variant="ask-writable-first", thread="cow4",
           does="shares also what refuses to lend a writable buffer"),
    Design(name="hash-as-test", variant="hash-as-test", thread="proposed",
           does="shares also what lends a buffer and has a hash"),
    Design(name="memoryview-of-bytes", variant="memoryview-of-bytes", thread="proposed",
           does="shares also a `memoryview` whose base is `bytes`"),
    Design(name="lent", variant="lent", thread="what the four above stand on",
           does="could read what another object lends, and never does: the price of being able to"),
    Design(name="slack-10", variant="slack-10", thread="proposed",
           does="gives every buffer that writing makes or enlarges a tenth more room (today: an eighth where it "
                "grows by less than that, one byte else, and none where sharing ends)"),
    Design(name="slack-25", variant="slack-25", thread="proposed", does="gives it a quarter more"),
    Design(name="shrink-without-realloc", variant="shrink-without-realloc", thread="proposed",
           does="shortens the buffer in `getvalue()` without giving the memory back"),
)
EVERY = (NOCOW, TODAY, *WEIGHED)
SUITES = {"bytesio": "bytesio", "consumers": "consumers", "fresh-views": str(Path(__file__).with_name("fresh_views"))}
"""By what the page calls it, each suite as ``--suite`` takes it. The third: the first makes streams from the same views
again and again, so that `hash-as-test` finds each hash ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A comparison to be made: base is `against`, head is `design`."""

    design: Design
    against: Design
    suite: str


def pairs() -> Iterator[Pair]:
    """All comparisons, those that tell most first."""
    for against, designs in ((TODAY, WEIGHED), (NOCOW, (TODAY, *WEIGHED))):
        for suite in SUITES:
            for design in designs:
                yield Pair(design=design, against=against, suite=suite)
