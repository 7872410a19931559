"""Several runs of one comparison: the estimates of each benchmark, one a run, become one estimate.

Random effects: a run's estimate is the truth, plus a deviation of the run (another day, another machine of the kind)
with variance τ², plus the error of its blocks with variance se². The spread between two or three runs says next to
nothing of τ²: with t of one degree of freedom no benchmark of a suite could ever be decided. But all benchmarks of a
suite were measured in the same runs, so they lend each other what they know of it, as much as they are alike:

1. One τ² for the suite: that at which the median over the benchmarks of Q / (K - 1) is what it should be, where
   Q = Σ (y - μ)² / (se² + τ²) and K is the number of runs (the equation of Paule and Mandel, with the median for the
   mean, so that a few benchmarks that differ much between runs do not widen the intervals of all).
2. μ = Σ w y / Σ w with w = 1 / (se² + τ²); its variance is q / Σ w (Hartung and Knapp), with q = Q / (K - 1) of the
   benchmark, moderated by the suite's (Smyth): q = (d s² + (K - 1) q) / (d + K - 1), where d and s² are
   estimated from how the logs of q spread over the suite. q is not taken below 1.
3. t with d + K - 1 degrees of freedom, and no more than the blocks give (Satterthwaite).

Where all benchmarks deviate together in a run, the suite knows less than it seems to: d is at most
(K - 1) / (1/B + ρ), with ρ the share of the standardised deviations that B benchmarks have in common. With fewer
than `LEAST_SUITE` benchmarks nothing is lent, and it is the method of Paule and Mandel with the interval of Hartung and
Knapp.

Sources: Paule & Mandel 1982; Hartung & Knapp 2001; Smyth 2004 (moderated variances); Welch 1951 (homogeneity).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri, digamma, fdtrc, polygamma, stdtr

from runner.stats.paired import Array, Estimate

LEAST_SUITE = 10
"""Benchmarks from which on they lend each other what they know of the spread between runs."""
MOST_LENT = 10.0
"""Degrees of freedom that a benchmark takes from the others at most."""
EXACT = 1e-9
"""Standard error, on the log scale, below which an estimate counts as this good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Combined:
    """One benchmark over all runs."""

    estimate: Estimate
    """Natural log of head ÷ base; `n` counts the blocks of all runs."""
    scale: float
    """q above: what the variances se² + τ² were multiplied by."""
    tau: float
    """The suite's τ that was used, on the log scale."""
    own_tau: float
    """Standard deviation between runs of this benchmark by itself (Paule and Mandel), on the log scale; 0 or more."""
    i2: float
    """Share 0..1 of the spread between the runs' estimates that their errors do not explain."""
    p: float
    """p-value of the hypothesis that all runs have one truth; 1 where no estimate has an error and all are equal."""


def combine(suite: Sequence[Sequence[Estimate]]) -> list[Combined]:
    """Combine the runs' estimates of each benchmark of a suite; same order.

    Each benchmark needs two estimates or more, of different runs, which need not be the same runs for all.
    Raises ValueError for fewer.
    """
    if any(len(estimates) < 2 for estimates in suite):
        raise ValueError("a benchmark needs the estimates of two runs or more")
    if not suite:
        return []
    sample = _Sample(suite)
    own = sample.tau_squared()
    if len(suite) < LEAST_SUITE:
        return sample.combined(own, own, _Prior(df=0.0, scale=1.0))
    common = sample.common_tau_squared()
    return sample.combined(np.full(len(suite), common), own, sample.prior(common))


def contradiction(one: Estimate, others: Combined) -> float:
    """p-value of the hypothesis that a run's estimate has the truth of the others, which were combined without it."""
    variance = others.estimate.se**2 + others.scale * (max(one.se, EXACT) ** 2 + others.tau**2)
    distance = abs(one.mean - others.estimate.mean) / math.sqrt(variance)
    return float(2 * stdtr(min(others.estimate.df, one.df), -distance))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prior:
    """What the suite lends to a benchmark: a scale, and the degrees of freedom with which it is known."""

    df: float
    scale: float


class _Sample:
    """The estimates of a suite: a row a benchmark, a column a run; 0 where a run has none."""

    def __init__(self, suite: Sequence[Sequence[Estimate]]) -> None:
        self.suite = suite
        shape = len(suite), max(map(len, suite))
        self.there, self.y = np.zeros(shape), np.zeros(shape)
        self.variance, self.df = np.ones(shape), np.ones(shape)
        for row, estimates in enumerate(suite):
            for run, one in enumerate(estimates):
                self.there[row, run], self.y[row, run] = 1.0, one.mean
                self.variance[row, run], self.df[row, run] = max(one.se, EXACT) ** 2, one.df
        self.freedom = self.there.sum(axis=1) - 1

    def weights(self, tau_squared: Array) -> Array:
        return self.there / (self.variance + tau_squared[:, None])

    def standardised(self, tau_squared: Array) -> Array:
        """Deviations from the weighted means, in units of their standard deviations."""
        w = self.weights(tau_squared)
        means = np.sum(w * self.y, axis=1) / w.sum(axis=1)
        deviations: Array = (self.y - means[:, None]) * np.sqrt(w)
        return deviations

    def q(self, tau_squared: Array) -> Array:
        """Q / (K - 1) of each benchmark."""
        q: Array = np.sum(self.standardised(tau_squared) ** 2, axis=1) / self.freedom
        return q

    def tau_squared(self) -> Array:
        """τ² of each benchmark alone: where its q, which falls as τ² grows, is 1; 0 where it is below that at once."""
        low, high = np.zeros(len(self.y)), self._highest()
        for _ in range(60):
            middle = (low + high) / 2
            above = self.q(middle) > 1
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        own: Array = np.where(self.q(np.zeros(len(self.y))) > 1, high, 0.0)
        return own

    def common_tau_squared(self) -> float:
        """τ² of the suite: where the median of q is what it is of chi squared (averaged where K differs)."""
        from scipy.optimize import brentq  # long to import, and most of what uses this module combines nothing

        target = float(np.mean(chdtri(self.freedom, 0.5) / self.freedom))

        def excess(tau_squared: float) -> float:
            return float(np.median(self.q(np.full(len(self.y), tau_squared)))) - target

        # With the median lower than the mean, the highest τ² of any benchmark alone is no bound.
        high = float(self._highest().max()) / target
        return float(brentq(excess, 0.0, high, xtol=1e-14, rtol=1e-6)) if excess(0.0) > 0 else 0.0

    def _highest(self) -> Array:
        """τ² at which q is below 1 for certain."""
        there = self.there > 0
        reach = np.where(there, self.y, -np.inf).max(axis=1) - np.where(there, self.y, np.inf).min(axis=1)
        highest: Array = (self.freedom + 1) / self.freedom * reach**2 + EXACT**2
        return highest

    def prior(self, tau_squared: float) -> _Prior:
        from scipy.optimize import brentq

        half = self.freedom / 2
        # Two runs may agree by chance to the last digit, and the log of 0 would outweigh all others.
        logs = np.log(np.maximum(self.q(np.full(len(self.y), tau_squared)), 1e-5)) - digamma(half) + np.log(half)
        excess = float(np.var(logs, ddof=1) - np.mean(polygamma(1, half)))
        most = min(MOST_LENT, self._independent(tau_squared))
        df = most
        if excess > polygamma(1, most / 2):
            df = 2 * float(brentq(lambda half: float(polygamma(1, half)) - excess, 1e-6, most / 2))
        return _Prior(df=df, scale=math.exp(float(np.mean(logs)) + float(digamma(df / 2)) - math.log(df / 2)))

    def _independent(self, tau_squared: float) -> float:
        """Degrees of freedom of the suite's q, given what the benchmarks' deviations have in common in each run."""
        whole = self.freedom == self.freedom.max()
        deviations = self.standardised(np.full(len(self.y), tau_squared))[whole]
        count, total = len(deviations), float(np.mean(np.sum(deviations**2, axis=1)))
        rho = 1.0
        if count > 1 and total > 0:
            shared = float(np.sum(deviations.mean(axis=0) ** 2))
            rho = max(0.0, (shared - total / count) / (total * (1 - 1 / count)))
        return float(self.freedom.max()) / (1 / count + rho)

    def combined(self, tau_squared: Array, own: Array, prior: _Prior) -> list[Combined]:
        w, zero = self.weights(tau_squared), np.zeros(len(self.y))
        total = w.sum(axis=1)
        df = prior.df + self.freedom
        scale = np.maximum(1.0, (prior.df * prior.scale + self.freedom * self.q(tau_squared)) / df)
        # Without τ² the errors of the blocks are all there is, and are known with their own degrees of freedom.
        df = np.minimum(df, np.where(tau_squared > 0, np.inf, total**2 / np.sum(w**2 / self.df, axis=1)))
        means, ses, q = np.sum(w * self.y, axis=1) / total, np.sqrt(scale / total), self.q(zero)
        found = []
        for row, estimates in enumerate(self.suite):
            equal = len({estimate.mean for estimate in estimates}) == 1
            sure = equal and all(estimate.se == 0 for estimate in estimates)
            found.append(Combined(
                estimate=Estimate(
                    mean=estimates[0].mean if equal else float(means[row]), se=0.0 if sure else float(ses[row]),
                    df=float(df[row]), n=sum(estimate.n for estimate in estimates)),
                scale=float(scale[row]), tau=math.sqrt(tau_squared[row]), own_tau=math.sqrt(own[row]),
                i2=max(0.0, 1 - 1 / float(q[row])) if q[row] > 0 else 0.0, p=1.0 if equal else _homogeneity(estimates),
            ))
        return found


def _homogeneity(estimates: Sequence[Estimate]) -> float:
    """p of Welch's test of equal means: by Q, but it knows that the errors are estimated."""
    y, w = (np.array([one.mean for one in estimates]), np.array([max(one.se, EXACT) ** -2 for one in estimates]))
    k, share = len(y), w / w.sum()
    loose = float(np.sum((1 - share) ** 2 / np.array([one.df for one in estimates])))
    q = float(np.sum(w * (y - np.sum(share * y)) ** 2)) / (k - 1)
    return float(fdtrc(k - 1, (k * k - 1) / (3 * loose), q / (1 + 2 * (k - 2) / (k * k - 1) * loose)))
