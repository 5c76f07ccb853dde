"""How reliable verdicts are: Krippendorff's alpha, Cohen's kappa, Wilson's interval. Pure.

Counts come in, numbers go out. What is judged is called a unit, as in the literature; here it is a response pair. A
number is None where it has no meaning: no unit was judged twice, or all verdicts are equal, so that chance alone would
give full agreement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from madetl.ranking import resampling

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.float64]

_Z = 1.959963984540054  # of the normal distribution, for 95 %


@dataclass(frozen=True)
class Alpha:
    """Krippendorff's alpha, and the middle 95 % of it over rounds in which units were drawn with replacement."""

    alpha: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Share:
    """`count` of `of` (at least one), with Wilson's 95 % interval."""

    count: int
    of: int
    share: float
    lower: float
    upper: float


def krippendorff_alpha(
    counts: IntArray, units: IntArray | None = None, *, unordered: bool = False, rounds: int = 0, seed: int = 42
) -> Alpha:
    """Nominal alpha of verdicts; `counts[t]` says how often each of the categories was given to a unit of type t.

    `counts` is of shape (types, categories), `units[t]` the number of units of that type (None: one each). Units with
    fewer than two verdicts take no part. `unordered`: as if each unit's first two categories, its two answers, had
    been exchanged with probability 1/2, so that it does not matter which is called the first. Without `rounds` there
    is no interval. Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C.
    """
    units = np.ones(len(counts), dtype=np.int64) if units is None else units
    paired = counts.sum(axis=1) >= 2
    counts, units = counts[paired], units[paired]
    if not len(counts):
        return Alpha(None, None, None)
    sums = _coincidences(counts)
    if unordered:
        sums[:, 1:3] = sums[:, 1:3].mean(axis=1, keepdims=True)
    alpha = float(_alpha((sums * units[:, None]).sum(axis=0)))
    if math.isnan(alpha):
        return Alpha(None, None, None)
    drawn = resampling.bootstrap_counts(
        np.zeros(len(counts), dtype=np.int64), sums, units, rounds, np.random.default_rng(seed)
    )
    found = _alpha(drawn[:, 0])
    found = found[~np.isnan(found)]  # rounds that drew only units with equal verdicts
    if not len(found):
        return Alpha(alpha, None, None)
    lower, upper = np.percentile(found, [2.5, 97.5])
    return Alpha(alpha, min(float(lower), alpha), max(float(upper), alpha))


def observed_agreement(counts: IntArray, units: IntArray) -> float | None:
    """The share of equal verdicts that alpha sets against chance: 1 - D_o; None where no unit has two verdicts."""
    paired = counts.sum(axis=1) >= 2
    sums = (_coincidences(counts[paired]) * units[paired, None]).sum(axis=0)
    return float(sums[0] / sums[1:].sum()) if paired.any() else None


def cohen_kappa(table: IntArray, *, unordered: bool = False) -> float | None:
    """Kappa of two annotators; `table[c, k]` counts the units that the one gave category c and the other k.

    `unordered` as in `krippendorff_alpha`. Source: Cohen, A Coefficient of Agreement for Nominal Scales (1960).
    """
    if unordered:
        exchanged = [1, 0, *range(2, len(table))]
        table = table + table[np.ix_(exchanged, exchanged)]
    units = int(table.sum())
    by_chance = int((table.sum(axis=0) * table.sum(axis=1)).sum())  # times units²
    if units == 0 or by_chance == units**2:
        return None
    return float((units * np.trace(table) - by_chance) / (units**2 - by_chance))


def share(count: int, whole: int) -> Share | None:
    """The share of `count` in `whole`, with Wilson's 95 % interval; None where `whole` is 0.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference (1927).
    """
    if whole == 0:
        return None
    p, spread = count / whole, _Z**2 / whole
    middle = (p + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(p * (1 - p) / whole + spread / (4 * whole))
    # The bounds of none and of all are 0 and 1, but for rounding.
    lower = 0.0 if count == 0 else middle - half
    return Share(count, whole, p, lower, 1.0 if count == whole else middle + half)


def confusion(rows: Sequence[tuple[str, str, int]], categories: Sequence[str]) -> IntArray:
    """The table for `cohen_kappa` out of rows (one's verdict, the other's, how many units)."""
    table = np.zeros((len(categories), len(categories)), dtype=np.int64)
    for one, other, units in rows:
        table[categories.index(one), categories.index(other)] += units
    return table


def _coincidences(counts: IntArray) -> FloatArray:
    """What a unit of each type adds to the coincidence matrix: to its diagonal, then to the total of each category."""
    verdicts = counts.sum(axis=1)
    agreeing = (counts * (counts - 1)).sum(axis=1) / (verdicts - 1)
    return np.column_stack([agreeing, counts])


def _alpha(sums: FloatArray) -> FloatArray:
    """alpha = 1 - D_o / D_e of summed coincidences, along the last axis; NaN where nothing differs by chance."""
    agreeing, totals = sums[..., 0], sums[..., 1:]
    n = totals.sum(axis=-1)
    observed = n - agreeing
    expected = (n**2 - (totals**2).sum(axis=-1)) / (n - 1)
    alike = expected == 0
    return np.where(alike, np.nan, 1 - observed / np.where(alike, 1, expected))
