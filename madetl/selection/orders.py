"""In which order a strategy picks the candidates of one pair of models, diversity apart. Pure numpy, no database.

The selection and the replay both call this. `mad` without diversity has a statement of its own (mad_picks.sql), which
walks an index and gives the same order.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Strategy = Literal["mad", "evidence", "band", "random"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
DRAWN = ("band", "random")  # strategies that draw by key, and that diversity does not go with

MIN_WORDS, MAX_LENGTH_RATIO = 20, 4.0  # the filters that keep mad from answers too short to tell anything
_WORDS = 200  # of both answers at which evidence weighs a difference as mad does

IntArray = NDArray[np.integer[Any]]


def usual_filters(strategy: str) -> tuple[int, float]:
    """The words that both answers have more of, and the ratio of lengths that they stay below; 0: off.

    `evidence` weighs what there is to read by itself, so that short answers come last.
    """
    return (0, 0.0) if strategy == "evidence" else (MIN_WORDS, MAX_LENGTH_RATIO)


def costs(strategy: str, scores: NDArray[np.float64], words: NDArray[np.float64]) -> NDArray[np.float64]:
    """M of the greedy, to be minimised: the similarity itself or, for `evidence`, 1 - (1 - similarity) * sqrt(w / 200).

    w are the words of both answers. What a person reads of two answers is a sample of what tells the models apart, and
    the signal in a sum of samples grows with the square root of their number over the noise: two short answers may
    differ in every word and still tell little.
    """
    return 1 - (1 - scores) * np.sqrt(words / _WORDS) if strategy == "evidence" else scores


def pick_order(
    strategy: str,
    instruction: IntArray,
    scores: NDArray[np.float64],
    words: NDArray[np.float64],
    keys: NDArray[np.uint64],
) -> NDArray[np.intp]:
    """The rows in the order of picking, one per instruction.

    All arguments are of one length, a row per response pair, sorted by score and, among equal ones, as a tie is to be
    broken. `keys` are random numbers, one per instruction: what `random` and `band` draw by; the others do without.
    """
    if strategy not in DRAWN:
        rows = np.argsort(costs(strategy, scores, words), kind="stable")
        return rows[np.sort(np.unique(instruction[rows], return_index=True)[1])]
    rows = _one_per_instruction(instruction, keys)
    if strategy == "band":
        rows = _middle_third(rows, scores)
    return rows[np.lexsort((instruction[rows], keys[rows]))]


def _one_per_instruction(instruction: IntArray, keys: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Of an instruction's response pairs one at random, so that it is drawn as often as another that has one."""
    rows = np.argsort(instruction, kind="stable")
    _, starts, counts = np.unique(instruction[rows], return_index=True, return_counts=True)
    return np.asarray(rows[starts + (keys[rows[starts]] % counts.astype(np.uint64)).astype(np.intp)])


def _middle_third(rows: NDArray[np.intp], scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Neither the most different, where an answer has often missed the point, nor those that say the same."""
    ranked = rows[np.lexsort((rows, scores[rows]))]
    return ranked[len(ranked) // 3 : len(ranked) - len(ranked) // 3]
