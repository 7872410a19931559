"""An estimate that stopping has not picked: what a history is made of.

Sampling stops where a benchmark is settled, and what settles it is, more often than not, an estimate that is further
from 0 than the truth. A verdict allows for that; a series of such estimates would be made of the lucky ones. So a
point of a history rests on a number of blocks that was known before the first of them.
"""

from __future__ import annotations

from runner.stats.decide import LAYOUTS, LOOKS, by_layout
from runner.stats.paired import Array, Estimate


def unselected(d: Array, planned: int | None, *, exact: bool = False, layouts: int = LAYOUTS) -> Estimate | None:
    """The estimate of the log ratios `d`, in measured order, on blocks whose number does not depend on their values.

    `planned`: the number that was fixed beforehand; where measuring ended sooner, what there is (what ended it had not
    seen the values either). None: sampling stopped by what it saw, and only the first look was taken in any case. That
    many are wanted, except of what is `exact`, which any number of blocks tells alike. None comes back where there are
    too few. Beyond `layouts`, the blocks of a layout are one value, as where a benchmark is judged.

    Raises ValueError for values that are not finite.
    """
    least = LOOKS[0] if planned is None and not exact else 2
    used = d[: LOOKS[0] if planned is None else planned]
    return None if used.size < least else by_layout(used, layouts)
