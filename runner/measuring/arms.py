"""Which executables run in a block: the interpreters themselves, linked anew, or byte copies; and the canary's pair."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner import builds
from runner.machine import sched
from runner.measuring.copies import Copies
from runner.model import Arm, BlockKind, BlockSpec, Interpreter


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coming:
    """A layout that is being linked."""

    layout: int
    extensions: tuple[str, ...]
    done: Future[dict[Arm, Interpreter]]


class Arms:
    """Both arms of a session, as each block runs them."""

    def __init__(
        self, base: Interpreter, head: Interpreter, folder: Path, *, layouts: builds.Layouts | None, copies: bool,
        beside: int | None = None,
    ) -> None:
        """`layouts` links both anew (scope ``source``); with `copies`, each round has new byte copies, in `folder`.

        `beside`: the CPU on which the next layout is linked while something else is measured; None: it is not.
        """
        self._arms = {Arm.BASE: base, Arm.HEAD: head}
        self._layouts, self._copied = layouts, copies
        self._copies = Copies(self._arms, folder)
        self._linked: dict[int, set[str]] = {}
        """Layouts that are linked, with their extension modules."""
        self._tried: set[int] = set()
        """Layouts that were to be linked beside something else."""
        self._beside = beside
        self._linker = ThreadPoolExecutor(1, initializer=None if beside is None else partial(
            sched.move_thread, 0, {beside}))
        self._coming: _Coming | None = None

    def of_block(self, spec: BlockSpec) -> dict[Arm, Interpreter]:
        """What runs in each arm. Raises UsageError for a copy that does not run, BuildError for a link that fails."""
        arms = dict(self._arms)
        if self._layouts is not None and spec.layout is not None:
            self._take_in(wait=self._coming is not None and self._coming.layout == spec.layout)
            arms = self._layouts.arms(spec.layout, spec.extensions)
            self._linked.setdefault(spec.layout, set()).update(spec.extensions)
        elif self._copied:
            arms = self._copies.of_round(spec.round, spec.first)
        if spec.kind is BlockKind.CANARY:
            arms = self._copies.of_canary(arms[Arm.BASE])
        return arms

    def ready(self, spec: BlockSpec) -> bool:
        """Whether nothing has to be linked for a block."""
        if self._layouts is None or spec.layout is None:
            return True
        self._take_in(wait=False)
        return spec.layout in self._linked and self._linked[spec.layout] >= set(spec.extensions)

    def link(self, layout: int | None) -> None:
        """Begin to link a layout, with all that others have, and do not wait for it."""
        if (
            self._layouts is None or self._beside is None or layout is None or self._coming is not None
            or layout in self._tried or layout in self._linked
        ):
            return
        self._tried.add(layout)
        extensions = tuple(sorted(set().union(*self._linked.values())))
        done = self._linker.submit(self._layouts.arms, layout, extensions)
        self._coming = _Coming(layout=layout, extensions=extensions, done=done)

    def wait(self) -> None:
        """Wait for what is being linked."""
        self._take_in(wait=True)

    def close(self) -> None:
        """Wait for what is being linked; nothing is linked beside anything from then on."""
        self._beside = None
        self._linker.shutdown()

    @property
    def linked(self) -> bool:
        """Whether both arms are linked anew."""
        return self._layouts is not None

    def uncovered(self, extensions: Sequence[str]) -> tuple[str, ...]:
        """Those of these extension modules that stay as they are while the rest is linked anew."""
        return tuple(self._layouts.uncovered(extensions)) if self._layouts is not None else ()

    def _take_in(self, *, wait: bool) -> None:
        """See whether the layout that was begun is linked. What has failed is for the block that needs it to say."""
        coming = self._coming
        if coming is None or not (wait or coming.done.done()):
            return
        self._coming = None
        if coming.done.exception() is None:
            self._linked.setdefault(coming.layout, set()).update(coming.extensions)
