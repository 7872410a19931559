"""How much error each of a stream of tests may make, such that of all that is ever claimed few claims are false.

Tests come one after another, without end, and what is claimed cannot be taken back; so the families of `stats.claims`,
which need all p-values at once, cannot hold the false discovery rate here. LORD++ does: it starts with a wealth, spends
a part of it on each test, and gets some back for each claim. With γ a sequence of shares that add up to 1, and τ₁ < τ₂
… the tests that claimed something, test t has the level

    w₀ γ(t) + (α - w₀) γ(t - τ₁) + α Σ γ(t - τⱼ) over j ≥ 2

It needs of the p-values that each, where nothing is to be found, is below u with probability u at most, whatever
happened before. That is what a fresh measurement gives: its seeds and blocks are its own, so that it does not matter
that the histories which suggested the tests share nights, machines and each other's luck. Only tests of one batch (one
night, maybe one session) may depend on each other. So a claim gives wealth back after its whole batch, as if the last
test of it had made it; the level then depends on nothing that the test could depend on, and the procedure holds as it
stands (Zrnic, Ramdas & Jordan: asynchronous testing, where a batch is the set of conflicts). What is held is the
marginal rate: expected false claims ÷ expected claims (at least 1) is at most α, at any time.

SAFFRON spends less on tests that look hopeless, and gains little where almost every claim has a p-value far below its
level, as here. e-LOND holds under any dependence, which we do not have, and for that finds less.

Sources: Javanmard & Montanari 2018 (LORD); Ramdas, Yang, Wainwright & Jordan 2017 (LORD++, `GAI++`); Zrnic, Ramdas &
Jordan 2021 (batches); Ramdas, Zrnic, Wainwright & Jordan 2018 (SAFFRON); Xu & Ramdas 2024 (e-LOND).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import zeta

ALPHA = 0.001
"""Of the claims that are made, at most this share is false, in expectation. Fresh blocks are cheap: at 0.01, which
takes half as many of them, suites in which much changes had more than one false event in 300 series-years."""
START = ALPHA / 2
"""w₀: the wealth at the beginning."""
DECAY = 1.3
"""γ(t) falls as t to this power: slowly, because quiet months should leave something for the change that comes then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One of the tests that were made."""

    batch: str
    """Tests of one batch may depend on each other."""
    claimed: bool


def level(past: Sequence[Trial], batch: str, *, ahead: int = 0) -> float:
    """The error that the next test may make, which belongs to `batch`; `past` are all that were made before, in order.

    `ahead` tests of the same batch are still to come before it: none of them can change the level.
    """
    number = len(past) + 1 + ahead
    last = {test.batch: place for place, test in enumerate(past, start=1)}
    back = sorted(last[test.batch] for test in past if test.claimed and test.batch != batch)
    shares = [ALPHA - START, *[ALPHA] * len(back)]
    return START * _share(number) + sum(
        share * _share(number - claim) for share, claim in zip(shares, back, strict=False))


def _share(place: int) -> float:
    """γ of 1, 2, …; all of them add up to 1."""
    return float(place**-DECAY / zeta(DECAY))
