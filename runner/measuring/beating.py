"""What a pacemaker's process runs: ``python beating.py CPU SECONDS``. Standard library only.

It writes a line when it is ready. Each line that it reads is a moment of perf_counter's clock in nanoseconds, until
which it wakes every so many seconds and sleeps again. It ends with its parent, which holds the other end of its input.
"""

import os
import sys
import time


def main(cpu: int, period: float) -> None:
    os.sched_setaffinity(0, {cpu})
    sleep, now = time.sleep, time.perf_counter_ns
    print("ready", flush=True)
    for line in sys.stdin:
        until = int(line)
        while now() < until:
            sleep(period)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
