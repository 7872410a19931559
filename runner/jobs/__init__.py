"""The order of steps of each job. No step's own work is done here."""

from __future__ import annotations

from runner.jobs.ab import AbRequest, Finished, View, ab, report_of, resume, save

__all__ = ["AbRequest", "Finished", "View", "ab", "report_of", "resume", "save"]
