"""The order of steps of each job. No step's own work is done here."""

from __future__ import annotations

from runner.jobs.ab import AbRequest, Finished, View, ab, report_of, resume, save
from runner.jobs.calibrate import Calibrated, CalibrateRequest, calibrate, calibrated
from runner.jobs.combine import combined
from runner.jobs.explain import ExplainFinished, ExplainRequest, explain
from runner.jobs.publish import Published, PublishRequest, publish

__all__ = [
    "AbRequest", "CalibrateRequest", "Calibrated", "ExplainFinished", "ExplainRequest", "Finished", "PublishRequest",
    "Published", "View", "ab", "calibrate", "calibrated", "combined", "explain", "publish", "report_of", "resume",
    "save",
]
