"""All that is drawn at random in a run. Pure: a seed and the numbers of what is drawn for determine every answer.

So nothing that is drawn depends on what else was measured, or when.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from runner.machine import addresses
from runner.model import Arm, BlockKind

ORDER_LENGTH = 40
"""Cycles for which an order is drawn; longer blocks read it again from the start."""
ROUND, LAYOUT, HANDS = 0, 3, 8
BLOCK = {BlockKind.SCORED: (1, 2), BlockKind.CANARY: (4, 6), BlockKind.CALIBRATION: (5, 7)}
"""Numbers of the random streams; of each kind of block two: what is drawn for it, and which arm starts first."""


class Drawn(TypedDict):
    """What is random in a `BlockSpec`; its fields say what they are."""

    first: Arm
    order: str
    hash_seed: int
    padding: int
    directory: str
    address: int


def of_block(seed: int, benchmark: int, kind: BlockKind, index: int) -> Drawn:
    """What is drawn for a block: the benchmark is told by its number in the run.

    Which arm starts first is balanced within the blocks 0 and 1, 2 and 3, and so on; which of the two it is, is random.
    """
    blocks, coins = BLOCK[kind]
    rng = np.random.default_rng([seed, blocks, benchmark, index + 1])
    coin = int(np.random.default_rng([seed, coins, benchmark, (index + 2) // 2]).integers(2))
    letters = np.array(["b", "h"] * (ORDER_LENGTH // 2))
    return Drawn(
        first=Arm.BASE if (index + coin) % 2 == 0 else Arm.HEAD, order="".join(_balanced(rng, letters)),
        hash_seed=int(rng.integers(1, 2**32)), padding=int(rng.integers(4096)),
        directory="w" * int(rng.integers(1, 64)), address=int(rng.integers(addresses.DRAWS)),
    )


def layout(seed: int, number: int) -> int:
    """Seed of the link order of a run's layout, which has a number."""
    return int(np.random.default_rng([seed, LAYOUT, number]).integers(2**32))


def order(seed: int, round: int, count: int) -> list[int]:
    """The numbers of a run's benchmarks in the order in which a round visits them."""
    return [int(number) for number in np.random.default_rng([seed, ROUND, round]).permutation(count)]


def shuffled(seed: int, count: int) -> list[int]:
    """The numbers of so many things in the order in which they are dealt to the hands of a fleet."""
    return [int(number) for number in np.random.default_rng([seed, HANDS]).permutation(count)]


def _balanced(rng: np.random.Generator, letters: np.ndarray) -> list[str]:
    """Random order, balanced within every four cycles, so that any even number of them is nearly balanced."""
    quads = [rng.permutation(letters[:4]) for _ in range(len(letters) // 4)]
    return [str(letter) for letter in np.concatenate(quads)]
