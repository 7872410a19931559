"""Time one kind of work at several shares, call by call in alternation, in this one process; print nanoseconds as JSON.

``alternate.py time_loop CYCLES SEED SHARE...`` prints a list with one list of calls for each share. The order is drawn
anew for every cycle.
"""

import json
import random
import sys
import time

import work

function = getattr(work, sys.argv[1])
cycles = int(sys.argv[2])
random.seed(int(sys.argv[3]))
portions = [work.times(float(share)) for share in sys.argv[4:]]
taken = [[] for _ in portions]
order = list(range(len(portions)))
for cycle in range(-20, cycles):
    random.shuffle(order)
    for index in order:
        work.TIMES = portions[index]
        start = time.perf_counter_ns()
        function()
        end = time.perf_counter_ns()
        if cycle >= 0:  # those before are warm-up
            taken[index].append(end - start)
print(json.dumps(taken))
