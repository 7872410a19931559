"""The order of steps of each job. No step's own work is done here.

A job is imported when it is first asked for: what publishing needs takes longer to import than `lockstep show` to run.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
_HOMES = {name: home for home, names in {
    "ab": ("AbRequest", "Finished", "View", "ab", "report_of", "resume", "save"),
    "calibrate": ("CalibrateRequest", "Calibrated", "calibrate", "calibrated"),
    "combine": ("combined",),
    "explain": ("ExplainFinished", "ExplainRequest", "explain"),
    "publish": ("PublishRequest", "Published", "publish"),
}.items() for name in names}
"""The module that each name is in."""


class _Jobs(ModuleType):
    """This package. Some jobs are called as their modules are: `jobs.publish` is the job, imported or not."""

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        setattr(self, name, found)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Jobs
