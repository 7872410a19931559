"""The client of a Lockstep server, for programs of others: ``from lockstep_ab.client import Client``."""

from runner.client import Beat, Build, Claim, Client, Point, Refused, Request, Run, Segment, Uploaded, Wanted
from runner.sending import Failed

__all__ = [
    "Beat", "Build", "Claim", "Client", "Failed", "Point", "Refused", "Request", "Run", "Segment", "Uploaded", "Wanted",
]
