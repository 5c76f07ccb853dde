"""Picks response pairs by a selection's strategy, with or without diversity. Nothing is written here.

Each function takes what a selection holds already and returns what comes next, per model pair in the order of picking.
The orders themselves stand in `orders` and `diversity`, which know no database.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from madetl.selection.sets import SelectionRequest
from madetl.store import sqlfiles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Known = Mapping[int, Mapping[int, int]]
"""pair_id → rank → instruction_id: what a selection holds."""


@dataclass(frozen=True)
class Pick:
    """A measured response pair that was picked; cost is what the greedy minimised, None: drawn at random.

    `probability`: with which an adaptive selection drew its model pair; None: the selection is not adaptive.
    """

    pair_id: int
    instruction_id: int
    response_a_id: int
    response_b_id: int
    score: float
    cost: float | None
    probability: float | None = None


def next_picks(db: sqlite3.Connection, request: SelectionRequest, known: Known) -> list[Pick]:
    """What the selection's strategy picks next, until each model pair has K picks or no candidate is left."""
    if request.columns["diversity"]:
        return diverse_picks(db, request, known)
    if request.columns["strategy"] == "mad":
        return lowest_scores(db, request)
    return ordered_picks(db, request, known)


def lowest_scores(db: sqlite3.Connection, request: SelectionRequest) -> list[Pick]:
    """`mad` without diversity: one statement that walks an index."""
    parameters = {**request.scope, "set_id": request.set_id, "top_k": request.target_k}
    rows = db.execute(sqlfiles.query("selection/mad_picks"), parameters)
    return [_pick(row, row["score"]) for row in rows]


def ordered_picks(db: sqlite3.Connection, request: SelectionRequest, known: Known) -> list[Pick]:
    """The other strategies without diversity: all candidates are read, and put in order for each model pair."""
    import numpy as np

    from madetl.selection.orders import DRAWN, costs, pick_order

    strategy = request.columns["strategy"]
    rows = candidates(db, request)
    chosen: list[tuple[int, float | None]] = []
    key_of = _Keys(db, request.columns["seed"]) if strategy in DRAWN else None
    for of_pair in np.split(rows, np.flatnonzero(np.diff(rows["pair"])) + 1) if len(rows) else ():
        pair = int(of_pair["pair"][0])
        before = known.get(pair, {})
        if len(before) >= request.target_k:
            continue
        keys = key_of.of(pair, of_pair["instruction"]) if key_of else np.zeros(len(of_pair), dtype=np.uint64)
        order = pick_order(strategy, of_pair["instruction"], of_pair["score"], of_pair["words"], keys)
        order = order[~np.isin(of_pair["instruction"][order], list(before.values()))][: request.target_k - len(before)]
        cost = costs(strategy, of_pair["score"][order], of_pair["words"][order]).tolist()
        picked = of_pair["similarity"][order].tolist()
        chosen += zip(picked, [None] * len(picked) if key_of else cost, strict=True)
    return _measured(db, chosen)


def diverse_picks(db: sqlite3.Connection, request: SelectionRequest, known: Known) -> list[Pick]:
    """The greedy with lambda > 0: SQL gives the candidates, numpy does the rounds."""
    import numpy as np

    from madetl.selection import diversity, instruction_vectors
    from madetl.selection.orders import costs

    rows = candidates(db, request)
    pairs = [int(pair) for pair in np.unique(rows["pair"]) if len(known.get(int(pair), {})) < request.target_k]
    rows = rows[np.isin(rows["pair"], pairs)]
    if not len(rows):
        return []
    rows["score"] = costs(request.columns["strategy"], rows["score"], rows["words"])
    rows = rows[np.lexsort((rows["score"], rows["pair"]))]
    before = [[instruction for _, instruction in sorted(known.get(pair, {}).items())] for pair in pairs]
    ids = np.unique([*rows["instruction"], *(instruction for picked in before for instruction in picked)])
    scores, similarities = _by_pair_and_instruction(rows, pairs, ids)
    vectors = instruction_vectors.load(db, request.columns["instruction_metric_id"], ids.tolist())
    picked = diversity.greedy(
        scores,
        vectors,
        request.columns["diversity"],
        [np.searchsorted(ids, picked).tolist() for picked in before],
        request.target_k,
    )
    return _measured(
        db, [(int(similarities[row, index]), cost) for row, new in enumerate(picked) for index, cost in new]
    )


class _Keys:
    """Random numbers by which instructions are drawn: hashes of the seed, the two models' names and the instruction.

    They depend neither on the other model pairs nor on K, so that an extended selection goes on with the same
    permutation; and not on ids, so that another database with the same models draws the same instructions.
    """

    def __init__(self, db: sqlite3.Connection, seed: int) -> None:
        self._seed = seed
        instructions = db.execute("SELECT id, scenario, hash FROM instructions")
        self._texts = {row["id"]: f"{row['scenario']}\0{row['hash']}" for row in instructions}
        pairs = db.execute(sqlfiles.query("selection/pair_names"))
        self._names = {row["id"]: f"{row['first']}\0{row['second']}" for row in pairs}

    def of(self, pair: int, instructions: NDArray[np.int64]) -> NDArray[np.uint64]:
        """A number for each of these instructions of a model pair."""
        import numpy as np

        prefix = f"{self._seed}\0{self._names[pair]}\0"
        keys = (_key(prefix + self._texts[instruction]) for instruction in instructions.tolist())
        return np.fromiter(keys, dtype=np.uint64, count=len(instructions))


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def candidates(db: sqlite3.Connection, request: SelectionRequest) -> Any:
    """The rows of eligible_response_pairs.sql as a structured array: pair, instruction, similarity, score, words."""
    import numpy as np

    fields = [("pair", "i8"), ("instruction", "i8"), ("similarity", "i8"), ("score", "f8"), ("words", "f8")]
    cursor = db.cursor()
    cursor.row_factory = None  # plain tuples: there may be a million
    return np.fromiter(cursor.execute(sqlfiles.query("selection/eligible_response_pairs"), request.scope), dtype=fields)


def _by_pair_and_instruction(rows: Any, pairs: Sequence[int], ids: Any) -> tuple[Any, Any]:
    """(pairs, instructions) arrays of scores, infinite where there is no candidate, and of similarities' ids."""
    import numpy as np

    scores = np.full((len(pairs), len(ids)), np.inf)
    similarities = np.zeros(scores.shape, dtype=np.int64)
    cells = np.searchsorted(pairs, rows["pair"]) * len(ids) + np.searchsorted(ids, rows["instruction"])
    # Of an instruction's response pairs the first one stands for it; return_index gives just that one.
    cells, first = np.unique(cells, return_index=True)
    scores.flat[cells] = rows["score"][first]
    similarities.flat[cells] = rows["similarity"][first]
    return scores, similarities


def _measured(db: sqlite3.Connection, picked: Sequence[tuple[int, float | None]]) -> list[Pick]:
    """The picks of some similarities' ids, in their order."""
    ids = json.dumps([similarity for similarity, _ in picked])
    rows = db.execute(sqlfiles.query("selection/picked_similarities"), {"ids": ids})
    found = {row["id"]: row for row in rows}
    return [_pick(found[similarity], cost) for similarity, cost in picked]


def _pick(row: sqlite3.Row, cost: float | None) -> Pick:
    return Pick(row["pair_id"], row["instruction_id"], row["response_a_id"], row["response_b_id"], row["score"], cost)
