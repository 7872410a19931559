"""The geometric mean over the benchmarks of a suite, as a log: an estimate and its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from runner.stats.claims import TOTAL
from runner.stats.decide import ALPHAS, LAYOUTS, LOOKS, at_look
from runner.stats.paired import Array, Estimate, interval


def mean_of(ds: Sequence[Array], layouts: int = LAYOUTS) -> Estimate | None:
    """Mean over benchmarks of their log ratios, from the blocks that all of them have; `n` is how many those are.

    `ds` has each benchmark's log ratios up to the look at which it was judged, in measured order. Each block's index
    gives one value, the mean over the benchmarks, and the values are judged as a benchmark's are (`layouts` as there).
    So what all benchmarks have in common in a round is in the spread of the values, and not one block counts that is
    there because of what others had shown. The suite is fixed: how much its benchmarks differ is no error, and is not
    in it.
    None without a benchmark. Raises ValueError for one that is below the first look.
    """
    if not ds:
        return None
    shared = min(d.size for d in ds)
    if shared < LOOKS[0]:
        raise ValueError(f"a mean needs benchmarks of {LOOKS[0]} blocks or more, not {shared}")
    look = max(look for look in LOOKS if look <= shared)
    return at_look(np.mean([d[:look] for d in ds], axis=0), look, layouts)


def mean_interval(mean: Estimate) -> tuple[float, float]:
    """95 % interval of what `mean_of` returns.

    The first look's blocks are always there. That all benchmarks went on to a later one is something that they have
    shown, and so the mean has that look's error there, as a benchmark has.
    """
    return interval(mean, TOTAL if mean.n == LOOKS[0] else ALPHAS[LOOKS.index(mean.n)])
