"""The study → the part of docs/detection.md between its two marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.stats import beta
from studies import inserted, numbers

from detection.others import SOON
from detection.records import Found, Other, Outcome, Study
from detection.simulate import CREEPS
from detection.worlds import NIGHTS, SIZES, WORLDS

BEGIN, END = "<!-- make detection: begin -->", "<!-- make detection: end -->"
OURS = "Lockstep"
HISTORY = "Lockstep's histories alone"


def render(study: Study) -> str:
    """The tables, with what they were made with."""
    versions = ", ".join(f"{name} {version}" for name, version in study.versions.items())
    parts = [f"Simulated {study.day} ({versions}).", ""]
    steps = [one for one in study.outcomes if one.job.scene == "steps"]
    quiet = [one for one in study.outcomes if one.job.scene == "quiet"]
    creeping = [one for one in study.outcomes if one.job.scene == "creeping"]
    parts += ["**Events, after confirmation**", "", *_events([*steps, *quiet]), ""]
    parts += ["**Planted changes that were named within two nights, by their size**", "", *_named(steps), ""]
    if creeping:
        parts += ["**Slow changes**", "", *_creeps(creeping), ""]
    if study.others:
        parts += ["**Beside other rules, on the same series**", "", *_beside(steps, study.others), ""]
    parts += [f"{rule} could not be tried: {reason}" for rule, reason in study.missing.items()]
    return "\n".join(parts).rstrip() + "\n"


def place_into(page: str, section: str) -> str:
    """The page with the section between its marks. Raises ValueError where it lacks them."""
    return inserted(page, section, BEGIN, END)


def _events(outcomes: Sequence[Outcome]) -> list[str]:
    rows = []
    for world in (*WORLDS, "mixed"):
        own = [one for one in outcomes if one.job.world == world]
        if own:
            planted = "none" if own[0].job.scene == "quiet" else str(sum(len(one.found) for one in own))
            rows.append([world, planted, *_counts(own)])
    rows.append(["all", str(sum(len(one.found) for one in outcomes)), *_counts(outcomes)])
    head = ["nights", "planted", "series-years", "events", "false", "false in 300 series-years", "nominations",
            "innocent", "a night", "blocks a night"]
    return numbers(head, rows)


def _counts(own: Sequence[Outcome]) -> list[str]:
    years, nights = sum(_years(one) for one in own), sum(one.nights for one in own)
    false = sum(one.false for one in own)
    nominations = sum(one.nominations for one in own)
    return [
        f"{years:.0f}", str(sum(one.confirmed for one in own)), str(false), f"{false / years * 300:.2f}",
        str(nominations), str(sum(one.innocent for one in own)), f"{nominations / nights:.2f}",
        f"{sum(one.blocks for one in own) / nights:.0f}",
    ]


def _years(one: Outcome) -> float:
    return one.series * one.nights / NIGHTS


def _named(steps: Sequence[Outcome]) -> list[str]:
    head = ["nights", *(f"{size:.1%}".replace("%", " %").replace(".0", "") for size in SIZES), "2 % in the first night",
            "2 % ever", "one commit left"]
    rows = []
    for world in (*WORLDS, "all"):
        found = [one for outcome in steps if world in (outcome.job.world, "all") for one in outcome.found]
        of = {size: [one for one in found if one.size == size] for size in SIZES}
        two = of[0.02]
        exact = [one.commits == 1 for one in found if one.commits is not None]
        rows.append([
            world, *(_share([_soon(one) for one in of[size]]) for size in SIZES),
            _share([one.delay == 0 for one in two]), _share([one.delay is not None for one in two]), _share(exact),
        ])
    return numbers(head, rows)


def _soon(one: Found) -> bool:
    return one.delay is not None and one.delay <= SOON


def _creeps(outcomes: Sequence[Outcome]) -> list[str]:
    rows = []
    for number, name in enumerate(CREEPS):
        own = [one for outcome in outcomes for one in outcome.found[number :: len(CREEPS)]]
        named = [one for one in own if one.delay is not None]
        sizes = [one.size for one in named]
        rows.append([name, _share([one.delay is not None for one in own]),
                     f"{np.median(sizes) * 100:.1f} %" if sizes else "–",
                     f"{np.quantile(sizes, 0.9) * 100:.1f} %" if sizes else "–"])
    return numbers(["5 % in all, as", "named in the year", "had come together then (median)", "90 of 100 by"], rows)


def _beside(steps: Sequence[Outcome], others: Sequence[Other]) -> list[str]:
    rows = [
        [OURS, *(_per_year(sum(one.false for one in own), sum(_years(one) for one in own)) for own in _by_world(steps)),
         _share([_soon(one) for one in _twos(steps)]),
         _share([one.delay is not None and one.delay < 14 for one in _twos(steps)])],
        [HISTORY, *(_per_year(sum(one.innocent for one in own), sum(_years(one) for one in own))
                    for own in _by_world(steps)), "", ""],
    ]
    for rule in dict.fromkeys(one.rule for one in others):
        own = [one for one in others if one.rule == rule]
        of_world = {one.world: one for one in own}
        of = sum(one.of for one in own)
        rows.append([
            rule, *(_per_year(of_world[world].false, of_world[world].years) if world in of_world else "–"
                    for world in WORLDS),
            _rate(sum(one.soon for one in own), of), _rate(sum(one.later for one in own), of),
        ])
    head = ["rule", *(f"false a series-year: {world}" for world in WORLDS), "2 % within two nights", "within two weeks"]
    return numbers(head, rows)


def _by_world(steps: Sequence[Outcome]) -> Iterable[list[Outcome]]:
    return ([one for one in steps if one.job.world == world] for world in WORLDS)


def _twos(steps: Sequence[Outcome]) -> list[Found]:
    return [one for outcome in steps for one in outcome.found if one.size == 0.02]


def _per_year(count: int, years: float) -> str:
    return f"{count / years:.3f}" if years and count / years < 0.1 else f"{count / years:.2f}" if years else "–"


def _share(flags: Sequence[bool]) -> str:
    return _rate(sum(flags), len(flags))


def _rate(count: int, of: int) -> str:
    """A rate in percent, with its exact 95 % interval and the number of cases."""
    if of == 0:
        return "–"
    low = 0.0 if count == 0 else float(beta.ppf(0.025, count, of - count + 1))
    high = 1.0 if count == of else float(beta.ppf(0.975, count + 1, of - count))
    return f"{count / of * 100:.0f} % [{low * 100:.0f}, {high * 100:.0f}] of {of}"

