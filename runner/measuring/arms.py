"""Which executables run in a block: the interpreters themselves, linked anew, or byte copies; and the canary's pair."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner import builds
from runner.measuring.copies import Copies
from runner.model import Arm, BlockKind, BlockSpec, Interpreter


class Arms:
    """Both arms of a session, as each block runs them."""

    def __init__(
        self, base: Interpreter, head: Interpreter, folder: Path, *, layouts: builds.Layouts | None, copies: bool
    ) -> None:
        """`layouts` links both anew (scope ``source``); with `copies`, each round has new byte copies, in `folder`."""
        self._arms = {Arm.BASE: base, Arm.HEAD: head}
        self._layouts, self._copied = layouts, copies
        self._copies = Copies(self._arms, folder)

    def of_block(self, spec: BlockSpec) -> dict[Arm, Interpreter]:
        """What runs in each arm. Raises UsageError for a copy that does not run, BuildError for a link that fails."""
        arms = dict(self._arms)
        if self._layouts is not None and spec.layout is not None:
            arms = self._layouts.arms(spec.layout, spec.extensions)
        elif self._copied:
            arms = self._copies.of_round(spec.round, spec.first)
        if spec.kind is BlockKind.CANARY:
            arms[Arm.HEAD] = self._copies.of_canary(arms[Arm.BASE])
        return arms

    @property
    def linked(self) -> bool:
        """Whether both arms are linked anew."""
        return self._layouts is not None

    def uncovered(self, extensions: Sequence[str]) -> tuple[str, ...]:
        """Those of these extension modules that stay as they are while the rest is linked anew."""
        return tuple(self._layouts.uncovered(extensions)) if self._layouts is not None else ()
