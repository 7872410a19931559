"""What is to be delivered and was: a folder on disk, so that a crash loses nothing and nothing goes out twice.

``waiting/`` has a letter for each message and channel that it is still to reach, ``sent/`` a receipt for each that it
has reached, ``dropped/`` the letters that were given up. All are written whole and moved into place. A message goes to
a channel once: where there is a receipt, a letter is not written, and one that is there is not delivered.

A crash between a delivery and its receipt leaves the letter, and it is delivered again. What then keeps one thing from
being two is each channel's own: see `alerts` and `client`.

Format history
--------------
lockstep.letter/1  The first. A letter is a `Letter`, a receipt a `Receipt`. Times are in seconds since the epoch.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from runner.errors import MachineError
from runner.owned import attempt
from runner.storage import store

SCHEMA = "lockstep.letter/1"
WAITING, SENT, DROPPED = "waiting", "sent", "dropped"
FIRST = 5.0
"""Seconds from a first failure to the second try; each further pause is twice as long."""
LONGEST = 6 * 3600.0
"""Seconds of the longest pause, below the day between two nights."""
REFUSED = 3600.0
"""Seconds after a refusal: somebody has to do something first."""
GIVEN_UP = 30 * 86_400.0
"""Seconds after which a letter is given up: nobody wants to read it any more."""


class Content(Protocol):
    """What a letter carries."""

    @property
    def key(self) -> str:
        """Tells it from all others, for ever: it alone decides whether it was delivered."""

    @property
    def thread(self) -> str:
        """What it is about. Of one thread, letters go out one after the other, oldest first."""

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def created(self) -> float:
        """Seconds since the epoch; orders the letters of a thread."""


T = TypeVar("T", bound=Content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter(Generic[T]):
    """A message that is to reach a channel."""

    schema: str = SCHEMA
    channel: str
    """Its name: letters, digits, dots and dashes."""
    message: T
    since: float
    """When it was written."""
    tries: int = 0
    """Tries so far, one that a crash cut off included."""
    next: float = 0.0
    """It is not tried before."""
    problem: str = ""
    """Why the last try failed; empty where there was none, or a crash cut it off."""

    @property
    def name(self) -> str:
        """Of its file, and of its receipt."""
        return f"{digest(self.message.thread)[:12]}-{digest(self.message.key)[:20]}.{self.channel}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A message that has reached a channel."""

    schema: str = SCHEMA
    channel: str
    key: str
    """Of the message."""
    thread: str
    title: str
    place: str
    """What the channel said of it: where it is, or who took it."""
    when: float
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue(Generic[T]):
    """What waits."""

    letters: tuple[Letter[T], ...] = ()
    """Those tried least first, then by age: one that always fails holds up no other."""
    dropped: int = 0
    """Letters that were given up, ever."""
    problems: tuple[str, ...] = ()
    """Files that cannot be read."""


_receipt = TypeAdapter(Receipt)


class Spool(Generic[T]):
    """The folder."""

    def __init__(self, folder: Path, letters: TypeAdapter[Letter[T]]) -> None:
        """`letters` reads and writes a letter of what this spool holds."""
        self._folder, self._letters = folder, letters

    def put(self, channel: str, message: T, now: float, *, again: bool = False) -> bool:
        """Have a message reach a channel; False: it has, it is to already, or it was given up. `again`: whether or not,
        as if nothing had ever been tried. Raises MachineError."""
        letter = Letter(channel=channel, message=message, since=now)
        if again:
            self._forget(letter.name)
        elif any((self._folder / kind / letter.name).exists() for kind in (SENT, DROPPED, WAITING)):
            return False
        self._keep(WAITING, letter)
        return True

    def begun(self, letter: Letter[T], now: float) -> Letter[T] | None:
        """Take note that a letter is being tried, before it is: a disk that takes no note would not take the receipt.

        Returns the letter as it is now; None: it has been delivered. Raises MachineError.
        """
        if (self._folder / SENT / letter.name).exists():
            self._remove(WAITING, letter.name)
            return None
        return self._again(replace(letter, tries=letter.tries + 1, problem=""), now + pause(letter.tries + 1))

    def delivered(self, letter: Letter[T], place: str, now: float) -> None:
        """Write the receipt, then forget the letter. Raises MachineError."""
        receipt = Receipt(
            channel=letter.channel, key=letter.message.key, thread=letter.message.thread, title=letter.message.title,
            place=place, when=now, tries=letter.tries,
        )
        self._write(SENT, letter.name, _receipt.dump_json(receipt, indent=1))
        self._remove(WAITING, letter.name)

    def failed(self, letter: Letter[T], problem: str, next: float) -> Letter[T]:
        """Keep the letter for another try. Raises MachineError."""
        return self._again(replace(letter, problem=problem), next)

    def drop(self, letter: Letter[T]) -> None:
        """Give a letter up. Raises MachineError."""
        self._keep(DROPPED, letter)
        self._remove(WAITING, letter.name)

    def place(self, channel: str, thread: str) -> str:
        """Where the channel has the thread, as its newest receipt says; empty where there is none."""
        found = [_receipt_of(path) for path in (self._folder / SENT).glob(f"{digest(thread)[:12]}-*.json")]
        ours = [one for one in found if one is not None and one.channel == channel and one.thread == thread]
        return max(ours, key=lambda one: one.when).place if ours else ""

    def knows(self, channel: str, thread: str) -> bool:
        """Whether anything of a thread was sent to a channel, or waits for it."""
        paths = (path for kind in (SENT, WAITING)
                 for path in (self._folder / kind).glob(f"{digest(thread)[:12]}-*.json"))
        return any(path.name.partition(".")[2] == f"{channel}.json" for path in paths)

    def queue(self) -> Queue[T]:
        """What waits, without what was delivered and only not forgotten yet."""
        letters: list[Letter[T]] = []
        problems: list[str] = []
        for path in sorted((self._folder / WAITING).glob("*.json")):
            if (self._folder / SENT / path.name).exists():
                continue
            try:
                letters.append(self._letters.validate_json(path.read_bytes()))
            except FileNotFoundError:
                continue  # delivered by another process just now
            except (ValidationError, OSError) as error:
                problems.append(f"{path} cannot be read ({type(error).__name__}), and is not delivered; remove it")
        letters.sort(key=lambda one: (one.tries, one.since, one.message.created, one.name))
        dropped = sum(1 for _ in (self._folder / DROPPED).glob("*.json"))
        return Queue(letters=tuple(letters), dropped=dropped, problems=tuple(problems))

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Hold the spool: nobody else delivers meanwhile. False: somebody does. Raises MachineError."""
        self._make(self._folder)
        with attempt(self._folder) as free:
            yield free

    def _again(self, letter: Letter[T], next: float) -> Letter[T]:
        letter = replace(letter, next=next)
        self._keep(WAITING, letter)
        return letter

    def _keep(self, kind: str, letter: Letter[T]) -> None:
        self._write(kind, letter.name, self._letters.dump_json(letter, indent=1))

    def _write(self, kind: str, name: str, content: bytes) -> None:
        self._make(self._folder / kind)
        store.write_whole(self._folder / kind / name, content.decode() + "\n")

    def _remove(self, kind: str, name: str) -> None:
        # What stays behind has a receipt, which decides.
        with contextlib.suppress(OSError):
            (self._folder / kind / name).unlink(missing_ok=True)

    def _forget(self, name: str) -> None:
        try:
            for kind in (SENT, DROPPED):
                (self._folder / kind / name).unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(f"cannot remove {error.filename}: {error.strerror or error}.") from error

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MachineError(f"cannot make {folder}: {error.strerror or error}.") from error


def digest(text: str) -> str:
    """32 hexadecimal digits of a hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def pause(tries: int) -> float:
    """Seconds until the next try after so many."""
    return float(min(FIRST * 2 ** min(tries - 1, 30), LONGEST))


def _receipt_of(path: Path) -> Receipt | None:
    try:
        return _receipt.validate_json(path.read_bytes())
    except (ValidationError, OSError):
        return None  # that it is there says that it was sent; where to, the channel can look up
