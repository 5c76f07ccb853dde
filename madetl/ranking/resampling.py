"""Draws at random: orders of battles, and counts of a bootstrap. Pure numpy.

What the bootstrap draws is the item: an instruction with all its votes for one model pair. Votes on one item are alike,
and drawing them singly would take them for independent ones and give intervals that are too narrow. Items are drawn
with replacement within their stratum, the model pair, so that every round has as many items of each pair as the data.
Everything is drawn round by round from one generator, so nothing depends on how the work is cut into pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer[Any]]


def permutations(battles: int, rounds: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Rounds that hold every battle once, in random order."""
    for _ in range(rounds):
        yield rng.permutation(battles)


def bootstrap_orders(
    item: IntArray, stratum: IntArray, rounds: int, rng: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Rounds of items drawn with replacement within their stratum, all votes of a drawn item in, in random order.

    `item[i]` and `stratum[i]` tell which item and stratum battle i belongs to, as numbers of any kind; an item lies in
    one stratum. The votes of the drawn items are shuffled together.
    """
    by_item = np.lexsort((item, stratum))
    keys = np.column_stack([stratum, item])[by_item]
    new_item = np.ones(len(keys), dtype=bool)
    new_item[1:] = (keys[1:] != keys[:-1]).any(axis=1)
    starts = np.flatnonzero(new_item)
    votes = np.diff(np.append(starts, len(keys)))
    _, low, size = np.unique(keys[starts, 0], return_index=True, return_counts=True)
    low, size = np.repeat(low, size), np.repeat(size, size)
    for _ in range(rounds):
        drawn = low + (rng.random(len(starts)) * size).astype(np.intp)
        order = by_item[_spans(starts[drawn], votes[drawn])]
        rng.shuffle(order)
        yield order


def bootstrap_counts(
    stratum: IntArray, value: NDArray[np.float64], items: IntArray, rounds: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """The sums of the items' values in each round, of shape (rounds, strata, values).

    Items of one stratum that agree in all values are one row: `items[t]` of them lie in `stratum[t]` (0, 1, …) and each
    brings `value[t]`. To draw items with replacement is to draw how many of each kind come: a multinomial.
    """
    strata = int(stratum.max()) + 1
    sums = np.empty((rounds, strata, value.shape[1]))
    for s in range(strata):
        rows = np.flatnonzero(stratum == s)
        total = items[rows].sum()
        sums[:, s] = rng.multinomial(total, items[rows] / total, size=rounds) @ value[rows]
    return sums


def _spans(starts: NDArray[np.intp], lengths: NDArray[np.intp]) -> NDArray[np.intp]:
    """start, start + 1, … of each span, one span after the other."""
    ends = np.cumsum(lengths)
    return np.arange(ends[-1]) + np.repeat(starts - ends + lengths, lengths)
