"""How the terminal shows long work. Nothing is drawn while a slice runs: only between blocks."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.status import Status
from rich.text import Text

from runner import config
from runner.cli.printing import output
from runner.measuring.plan import Standing
from runner.measuring.progress import Progress
from runner.report.printable import printable

EVERY = 15.0
"""Seconds between two lines where the output is no terminal."""
LARGEST = 700.0
"""The natural log of about the largest number that a float holds."""


class Terminal:
    """A spinner with elapsed time for phases, one line that is redrawn for measuring; plain lines in a log."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty() and not config.dumb()
        self._console = Console(stderr=True, force_terminal=self._live, no_color=not output.colored(sys.stderr))
        self._status: Status | None = None
        self._text = ""
        self._since = self._told = time.monotonic()
        self._line: Live | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()

    def phase(self, text: str) -> None:
        """What is being done now. Told again whenever it changes."""
        now = time.monotonic()
        stage = text.partition(":")[0]
        if stage != self._text.partition(":")[0]:
            self._since = now
            self._told = -math.inf
        self._text = text
        if not self._live:
            if now - self._told >= EVERY:
                self._told = now
                self.say(f"{text} ({now - self._since:.0f} s)" if now - self._since > 1 else text)
            return
        if self._status is None:
            self._status = self._console.status("", spinner="dots" if _speaks_unicode() else "line")
            self._status.start()
        self._status.update(_Elapsed(text, self._since))

    def say(self, text: str) -> None:
        """A line that stays."""
        line = _line(text)
        if self._live:
            self._console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)
        else:
            output.problem(line)

    def measured(self, plan: Standing, progress: Progress) -> None:
        """A block was measured: where the whole stands, and this benchmark."""
        now = time.monotonic()
        if self._status is not None:
            self._stop()
        if now - self._told < (0.1 if self._live else EVERY):
            return
        self._told = now
        line = measuring(plan, progress)
        if not self._live:
            self.say(line)
            return
        if self._line is None:
            # auto_refresh would draw from a thread of its own in the middle of a slice.
            self._line = Live(console=self._console, auto_refresh=False, transient=True)
            self._line.start()
        self._line.update(Text(_line(line), no_wrap=True, overflow="ellipsis"), refresh=True)

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._line is not None:
            self._line.stop()
            self._line = None


class _Elapsed:
    def __init__(self, text: str, since: float) -> None:
        self._text, self._since = text, since

    def __rich__(self) -> Text:
        return Text(f"{_line(self._text)} ({time.monotonic() - self._since:.0f} s)")


def _line(text: str) -> str:
    """Text of others on one line, so that none of it looks like a line of ours."""
    return printable(" ".join(text.split()))


def _speaks_unicode() -> bool:
    return (sys.stderr.encoding or "").lower().replace("-", "").startswith("utf")


def measuring(plan: Standing, progress: Progress) -> str:
    """Benchmarks settled of all, time left, what the budget is good for, and the interval of the one just measured."""
    total = len(plan.progress)
    settled = sum(one.settled for one in plan.progress.values())
    judgement = progress.judgement
    if progress.failed:
        state = "skipped" if progress.skipped else "failed"
    elif judgement is None or judgement.look is None or judgement.low is None or judgement.high is None:
        state = "calibrating" if not progress.blocks else f"{len(progress.blocks)} blocks"
    else:
        # A few blocks that are far apart can have an interval wider than the numbers that a computer has.
        low, high = math.exp(max(judgement.low, -LARGEST)), math.exp(min(judgement.high, LARGEST))
        state = f"{len(progress.blocks)} blocks, head/base {low:.3g}-{high:.3g}" if high > 1.5 or low < 0.67 else (
            f"{len(progress.blocks)} blocks, {(low - 1) * 100:+.2f} % to {(high - 1) * 100:+.2f} %")
    outlook = plan.outlook()
    short = "" if outlook is None or outlook.within == total else (
        f", enough for about {outlook.within}; all would take about {_clock(outlook.whole)}")
    left = f"{settled} of {total} settled, about {_clock(plan.seconds_left())} left{short}"
    return f"{left} · {progress.benchmark.key}: {state}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
