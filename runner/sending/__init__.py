"""What goes out to others: one request with a limit, a spool on disk, and each thing delivered once.

Nothing here knows what is sent, or to whom: `alerts` tells people, `client` talks to a server of Lockstep's.
"""

from __future__ import annotations


class Failed(Exception):
    """Something could not be delivered: why, in words that name no secret."""

    def __init__(self, why: str, *, wait: float = 0.0, refused: bool = False) -> None:
        """`wait`: seconds for which it must not be tried again, where that was said. `refused`: it was understood and
        not allowed, so that trying again at once is of no use."""
        super().__init__(why)
        self.wait, self.refused = wait, refused
