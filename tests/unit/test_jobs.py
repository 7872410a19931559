"""Jobs are imported when they are asked for, and are found under their names whatever was imported before."""

from __future__ import annotations

import importlib

import pytest

from runner import jobs


def test_every_name_is_the_job_and_not_its_module() -> None:
    assert set(jobs.__all__) == set(jobs._HOMES)
    for name, home in jobs._HOMES.items():
        module = importlib.import_module(f"runner.jobs.{home}")
        assert getattr(jobs, name) is getattr(module, name) is not module
    with pytest.raises(AttributeError, match=r"'runner\.jobs' has no attribute 'no_such'"):
        _ = jobs.no_such  # type: ignore[attr-defined]
