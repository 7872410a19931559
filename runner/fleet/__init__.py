"""One comparison on many machines, by Dask distributed: docs/fleet.md.

`session` is the side that asks and keeps what comes back, `bench` the side of one machine, `link` what is between
them; `records` is what they say to each other. Where a suite is cut, and who measures what next, is `measuring.deal`.
"""

from runner.fleet.link import Door, door, serve_blocks

__all__ = ["Door", "door", "serve_blocks"]
