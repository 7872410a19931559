"""One sitting: the kills, the rows of nights and the searches, as far as there is time; each is stored as it ends."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nights import commits, judging, kills, records, stages, watching
from nights.commits import Expected, Made
from nights.judging import SEARCHED, Had
from nights.records import Row, Study
from nights.stages import Part, Stage
from nights.watching import Watching
from runner import machine
from runner.errors import MachineError, UsageError
from runner.owned import owned
from runner.storage.nights import Night, Outcome

BUILDING = 200.0
"""Seconds that must be left to build a commit ahead."""
SAME = ("fingerprint", "kernel")
"""Facts of the machine without which nights are of another history."""
WAITED = "waiting for another Lockstep run"
"""What a command says that had not the machine for itself from its start on."""
ATTEMPTS = 3
"""Times that a night is gone on with in one sitting, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the user asks of a sitting."""

    data: Path
    folder: Path
    """Where repository and states are kept between sittings."""
    seconds: float
    """For the whole sitting, builds included."""
    repeats: int
    kills: int
    budget: float
    """Seconds of a night."""
    duel: float
    """Seconds of each duel of a search."""
    parts: Sequence[Part] = tuple(Part)
    seed: int = 0


def digest(budget: float, duel: float) -> str:
    """Of all that decides what the nights are of."""
    parts = [commits.digest(), watching.CONFIGURATION, str(watching.BLOCKS), str(budget), str(duel)]
    parts += [path.read_text() for path in sorted(watching.SUITE.glob("*.py"))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


class Session:
    """What is known so far, and the rest of it to be had; `say` gets one line for each thing that is done.

    Raises UsageError where what is stored is of other commits, another suite or configuration, or another machine.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings, self.say = settings, say
        self.end = time.monotonic() + settings.seconds
        here, now = machine.describe(), digest(settings.budget, settings.duel)
        self.study = records.read(settings.data) or Study(
            machine=here, digest=now, budget=settings.budget, built={})
        anew = f"To begin anew, remove {settings.data} and {settings.folder}."
        if self.study.digest != now:
            raise UsageError(f"{settings.data} is of nights with other commits, another suite or another "
                             f"configuration. {anew}")
        if any(self.study.machine.get(name) != here.get(name) for name in SAME):
            raise UsageError(f"{settings.data} was measured on another machine or kernel, whose history goes on there "
                             f"alone: {self.study.machine.get('cpu')}, {self.study.machine.get('kernel')}. {anew}")
        self._made: Made | None = None

    @property
    def lacking(self) -> list[Stage]:
        return stages.lacking(self.study, repeats=self.settings.repeats, kills=self.settings.kills,
                              parts=self.settings.parts)

    def run(self) -> bool:
        """Have what is not stored, as long as there is time; returns whether all that was asked for is there now.

        Raises KeyboardInterrupt where it is interrupted, MachineError where a night or a search cannot go on, and as
        `commits.make` does. What was had is stored.
        """
        while left := self.lacking:
            stage = left[0]
            rest = sum(stages.seconds(one, self.study) for one in left)
            self.say(f"{_told(stage)}; all will take about {rest / 60:.0f} minutes more, this sitting has "
                     f"{self._left() / 60:.0f}")
            if self._left() < stages.room(stage, self.study):
                self._build_ahead()
                self.say(f"time is used up before {_told(stage)}")
                return False
            {Part.KILLS: self._kill, Part.NIGHTS: self._night, Part.SEARCHES: self._search}[stage.part](stage)
        return True

    def build(self) -> None:
        """Build all commits that can be built, and measure nothing: nights find them in the cache."""
        self._build_ahead(always=True)

    def _left(self) -> float:
        return self.end - time.monotonic()

    def _history(self) -> Made:
        if self._made is None:
            self._made = commits.make(self.settings.folder / f"source-{commits.digest()}", self.say)
        return self._made

    def _kill(self, stage: Stage) -> None:
        """Kills, until there are as many as asked for or the time is used up."""
        with owned("nights-kills-") as place:
            template = kills.stand_in(place / "template")
            alone = kills.alone(template, place / "alone")
            self.say(f"left alone, the night takes {alone.wall:.0f} s")
            while self.study.kills < self.settings.kills and self._left() > stages.room(stage, self.study):
                number = len(self.study.trials)
                folder = place / f"killed-{number}"
                trial = kills.trial(template, folder, alone, self.settings.seed + number,
                                    self.settings.kills - self.study.kills, self.say)
                self._store(trials=(*self.study.trials, trial))
                shutil.rmtree(folder, ignore_errors=True)
                self.say(f"{self.study.kills} kills so far. {'; '.join(trial.wrong)}")
                if trial.wrong and not trial.kills:
                    raise MachineError("a night of the small project does not end, killed or not: see above")

    def _night(self, stage: Stage) -> None:
        made = self._history()
        expected = commits.expected(made)[stage.number]
        rows = self._repeat(stage)
        one = watching.watching(
            self.settings.folder / f"repeat-{stage.repeat + 1}", made, budget=self.settings.budget)
        commits.move(made, expected.commit)
        builds = stage.repeat == 0 and expected.state == "done"
        ahead = self.study.built.get(expected.commit, 0.0) if builds else 0.0
        had = have(one, expected, [id for row in rows for id in row.nights], ahead, self.say)
        row = judging.row(had, expected, made, watching.benchmarks())
        repeats = list(self.study.repeats)
        repeats[stage.repeat : stage.repeat + 1] = [(*rows, row)]
        self._store(repeats=tuple(repeats))
        self.say(f"{row.subject}: {row.state}, {len(row.slower)} slower, {row.wall:.0f} s. {'; '.join(row.wrong)}")

    def _search(self, stage: Stage) -> None:
        made, benchmark = self._history(), list(SEARCHED)[stage.number]
        out = self.settings.folder / "searches" / benchmark
        done = watching.search(made, benchmark, out, budget=self.settings.duel)
        found = judging.searched(benchmark, done, made)
        self._store(searches=(*self.study.searches, found))
        self.say(f"{benchmark}: {'; '.join(found.found) or 'nothing'}, {found.wall:.0f} s. {'; '.join(found.wrong)}")

    def _build_ahead(self, *, always: bool = False) -> None:
        """Build the next commits of the row, as far as there is time: then their nights need not."""
        if Part.NIGHTS not in self.settings.parts:
            return
        made = self._history()
        rows = len(self.study.repeats[0]) if self.study.repeats else 0
        for expected in commits.expected(made)[rows:]:
            if expected.state != "done" or expected.commit in self.study.built:
                continue
            if not always and self._left() < BUILDING:
                return
            self.say(f"building ahead: {expected.subject}")
            self.settings.folder.mkdir(parents=True, exist_ok=True)
            said = watching.build(made, expected.commit, self.settings.folder / "builds")
            if said.code:
                raise MachineError(f"{expected.subject} does not build:\n{said.text[-2000:]}")
            self._store(built={**self.study.built, expected.commit: said.seconds})
            self.say(f"built in {said.seconds:.0f} s")

    def _repeat(self, stage: Stage) -> tuple[Row, ...]:
        return self.study.repeats[stage.repeat] if stage.repeat < len(self.study.repeats) else ()

    def _store(self, **changes: object) -> None:
        self.study = replace(self.study, **changes)
        records.write(self.settings.data, self.study)


def have(
    one: Watching, expected: Expected, known: Sequence[str], ahead: float, say: Callable[[str], None]
) -> Had:
    """Have the night of a commit in which the branch ends now; go on with it where it was begun; or find that it was
    had while nobody looked. `known` are the nights before it.

    Raises MachineError for a night that fails or does not end, which the next start has once more; and as `own` does.
    """
    found = own(one.nights(), known, expected)
    whole, text, wall = not found, "", 0.0
    if found and not _is_over(found):
        say(f"night {found[-1].id} was {found[-1].state}: going on")
    for _ in range(ATTEMPTS):
        if _is_over(found):
            break
        said = one.night()
        whole = whole and not text and WAITED not in said.text
        text, wall = text + said.text, said.seconds
        found = own(one.nights(), known, expected)
        if found and found[-1].state == Outcome.FAILED.value:
            break
    if not _is_over(found):
        raise MachineError(f"the night of {expected.subject!r} came to nothing. Mend the cause, and start again: it is "
                           f"had once more. It said ({one.log}):\n{text[-3000:]}")
    return Had(nights=found, text=text, wall=wall if whole else None, ahead=ahead)


def _is_over(found: Sequence[Night]) -> bool:
    return bool(found) and found[-1].state not in ("unfinished", Outcome.FAILED.value)


def own(nights: Sequence[Night], known: Sequence[str], expected: Expected) -> list[Night]:
    """The nights that are not known yet: those of one commit, and those that failed before they had one.

    Raises UsageError where others are there, or known ones are not.
    """
    found = list(nights[len(known):])
    strange = [night.id for night in found if night.commit is not None and night.commit.hash != expected.commit]
    if [night.id for night in nights[:len(known)]] != list(known) or strange:
        raise UsageError(
            f"the nights on disk are not those that are stored ({', '.join(strange) or 'some are gone'}). To begin "
            "anew, remove both, the data and the folder.")
    return found


def _told(stage: Stage) -> str:
    if stage.part is Part.KILLS:
        return f"{stage.number} kills"
    if stage.part is Part.SEARCHES:
        return f"search {stage.number + 1} of {len(SEARCHED)}"
    return f"repeat {stage.repeat + 1}, night {stage.number + 1} of {commits.NIGHTS}"
