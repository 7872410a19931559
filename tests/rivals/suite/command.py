"""Do one kind of work a number of times, for tools that measure whole commands: ``command.py time_loop 100``."""

import sys

import work

function = getattr(work, sys.argv[1])
for _ in range(int(sys.argv[2])):
    function()
