"""What the steps of a night work on: its configuration, what is on record of it, and the interpreters that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runner import builds, config
from runner.jobs.ab import View
from runner.jobs.watched import Nightly, Watch
from runner.model import Interpreter
from runner.storage import nights
from runner.storage.nights import Confirmation, Night


@dataclass(slots=True, kw_only=True)
class Work:
    """A night under way. What is on record of it changes by `keep` alone."""

    settings: Nightly
    watch: Watch
    night: Night
    earlier: Sequence[Night]
    """The nights of this watch and configuration before this one, newest first."""
    view: View
    wait: bool = True
    """Wait for another run on this machine to end, or refuse."""
    _made: dict[str, Interpreter] = field(default_factory=dict)

    def keep(self, **changes: Any) -> None:
        """Change what is on record of the night, and put it on disk. Raises MachineError."""
        self.night = replace(self.night, **changes)
        nights.write(self.settings.nights, self.night)

    def note(self, text: str) -> None:
        """Put on record what a reader should know, once. Raises as `keep` does."""
        if text not in self.night.notes:
            self.keep(notes=(*self.night.notes, text))

    def put(self, place: int, one: Confirmation) -> None:
        """Put another confirmation in the place of one. Raises as `keep` does."""
        known = self.night.confirmations or ()
        self.keep(confirmations=(*known[:place], one, *known[place + 1:]))

    def interpreter(self, spec: str) -> Interpreter:
        """A build, which is made where it is not in the cache. Raises as `builds.resolve` does."""
        if spec not in self._made:
            found = builds.resolve(spec, progress=self.view.phase, environment=config.environment())
            if found.commit is not None and found.commit.repository == self.watch.repository:
                found = replace(found, commit=replace(found.commit, branch=self.watch.branch))
            self._made[spec] = found
        return self._made[spec]

    def commit(self, hash: str) -> Interpreter:
        """The build of a commit of the repository, in this configuration. Raises as `interpreter` does."""
        return self.interpreter(self.watch.spec(hash, self.night.configuration))
