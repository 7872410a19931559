"""What makes the kernel change between two arms that share a CPU many times in each tick of its clock.

Of two busy processes on one CPU, Linux runs one until its timer ticks, whatever slice was asked for: for 4 ms at 250
ticks a second. A machine's speed changes within that time, so that the arms see different machines. A third process
that wakes every quarter of a millisecond and sleeps at once has the scheduler choose anew each time; it takes the arm
that has had less. Measured in docs/decisions/0025.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

from runner.machine.sched import SHORTEST, set_slice

SCRIPT = Path(__file__).with_name("beating.py")


class Pacemaker:
    """The process, from `with` to the end of the block. It takes about 6 % of the CPU while it beats."""

    def __init__(self, cpu: int | None, period: float) -> None:
        """`period`: seconds between two beats; 0, or `cpu` None (nothing is pinned): there are none."""
        self._cpu, self._period = cpu, period
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Pacemaker:
        """Start it, without waiting for it."""
        if self._cpu is not None and self._period > 0:
            words = [sys.executable, "-I", "-S", str(SCRIPT), str(self._cpu), str(self._period)]
            # Ctrl-C at the terminal is not for it: it ends when its input does.
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True)
            set_slice(self._process.pid, SHORTEST)  # who asks for little is soon let in
        return self

    def wait(self) -> None:
        """Wait until it is ready to beat, or cannot be: then there are no beats, and what is measured scatters more."""
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.readline()

    def beat(self, until: int) -> None:
        """Have it beat from now on until a moment of perf_counter's clock, in nanoseconds."""
        if self._process is not None and self._process.stdin is not None and self._process.poll() is None:
            self._process.stdin.write(b"%d\n" % until)
            self._process.stdin.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
