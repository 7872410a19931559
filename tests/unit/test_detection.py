"""The study of simulated years: its truth, its scores, and how it asks the other rules."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from detection import others, page, records, simulate, worlds
from detection.records import Found, Job, Other, Outcome, Study
from detection.worlds import WORLDS, Change


@pytest.mark.parametrize("world", WORLDS)
def test_nights_deviate_by_about_as_much_as_is_said(world: str) -> None:
    rng = np.random.default_rng(1)
    spread = np.sqrt(np.mean([worlds.nights(world, rng) ** 2 for _ in range(60)]))
    assert 0.7 < spread < 2.5


def test_every_series_has_one_planted_change() -> None:
    planted = worlds.planted(np.random.default_rng(1))
    assert sorted(row for change in planted for row in change.series) == list(range(worlds.SERIES))
    assert {round(abs(math.expm1(change.size)), 4) for change in planted} <= set(worlds.SIZES)


def test_a_suite_is_lived_through() -> None:
    change = Change(night=50, series=(2, 3), size=math.log1p(0.03))
    rng = np.random.default_rng(1)
    year = worlds.year(["independent"] * 6, rng, [change])
    entries, blocks = simulate.live(year, rng, range(46, 54))
    events = [entry for entry in entries if entry.outcome == "confirmed"]
    assert blocks > 0
    assert not any(simulate.is_false(year, event) for event in events)
    assert all(one.delay in (0, 1, 2) and one.size == 0.03 for one in simulate.found_steps(year, events))


def test_a_year_is_the_same_whenever_it_is_made() -> None:
    job = Job(world="heavy tails", scene="steps", number=3)
    assert (simulate.make(job)[0].log_ratios == simulate.make(job)[0].log_ratios).all()


def test_creeping_adds_up_to_five_percent() -> None:
    year, _ = simulate.make(Job(world="mixed", scene="creeping", number=0))
    assert np.expm1(year.truth[:, -1]) == pytest.approx(0.05, abs=0.002)
    assert not year.truth[:, worlds.EARLIEST - 1].any()


def test_the_other_rules_see_a_jump_and_a_calm() -> None:
    rng = np.random.default_rng(1)
    calm, jump = rng.normal(0, 0.003, (2, 80))
    jump[60:] += 0.06
    for rule in (others.rustc, others.asv(0.01)):
        quiet, seen = rule([calm, jump])
        assert len(quiet) <= 2
        assert any(abs(place - 60) <= 1 for place in seen)


def outcome(world: str, scene: str, **changes: object) -> Outcome:
    facts = {
        "job": Job(world=world, scene=scene, number=0), "series": 100, "nights": 365, "nominations": 40, "innocent": 20,
        "confirmed": 15, "false": 0, "blocks": 36_500, "suspects": 60, "seconds": 1.0,
        "found": tuple(Found(size=0.02, delay=delay, commits=1) for delay in (0, 1, 4)),
    }
    return Outcome(**(facts | changes))


def test_the_page_says_what_was_found(tmp_path: Path) -> None:
    study = Study(
        day="2026-01-01", versions={"numpy": "2"}, missing={"apache-otava": "no such package"},
        outcomes=(outcome("independent", "steps"), outcome("mixed", "quiet", found=(), confirmed=0, false=0),
                  outcome("mixed", "creeping")),
        others=(Other(rule="rustc", world="independent", years=100, false=250, soon=2, later=3, of=4),))
    records.write(tmp_path / "study.json", study)
    assert records.read(tmp_path / "study.json") == study
    text = page.render(study)
    assert "| independent | 3 | 100 | 15 | 0 | 0.00 | 40 | 20 | 0.11 | 100 |" in text
    assert "67 % [9, 99] of 3" in text
    assert "| rustc | 2.50 | – | – | – | – | 50 % [7, 93] of 4 | 75 % [19, 99] of 4 |" in text
    assert "apache-otava could not be tried: no such package" in text
    placed = page.place_into(f"# A page\n\n{page.BEGIN}\nold\n{page.END}\nend\n", text)
    assert "old" not in placed
    assert placed.startswith("# A page") and placed.endswith("end\n")
    with pytest.raises(ValueError, match="lacks its marks"):
        page.place_into("# A page", text)


def test_the_page_of_the_docs_has_the_marks() -> None:
    text = (Path(__file__).parents[2] / "docs/detection.md").read_text()
    assert page.BEGIN in text and page.END in text
