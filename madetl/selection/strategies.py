"""Three ways to pick response pairs: lowest scores, the greedy with diversity, random draws. Nothing is written here.

Each takes what a selection holds already and returns what comes next, per model pair in the order of picking.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from madetl import resources
from madetl.selection.sets import Request

Known = Mapping[int, Mapping[int, int]]
"""pair_id → rank → instruction_id: what a selection holds."""


@dataclass(frozen=True)
class Pick:
    """A measured response pair that was picked; cost is what the greedy minimised, None: drawn at random."""

    pair_id: int
    instruction_id: int
    response_a_id: int
    response_b_id: int
    score: float
    cost: float | None


def next_picks(db: sqlite3.Connection, request: Request, known: Known) -> list[Pick]:
    """What the selection's strategy picks next, until each model pair has K picks or no candidate is left."""
    if request.columns["strategy"] == "random":
        return random_draws(db, request, known)
    if request.columns["diversity"]:
        return diverse_picks(db, request, known)
    return lowest_scores(db, request)


def lowest_scores(db: sqlite3.Connection, request: Request) -> list[Pick]:
    """Without diversity: one statement that walks an index."""
    parameters = {**request.scope, "set_id": request.set_id, "top_k": request.wanted_k}
    rows = db.execute(resources.query("mad_picks"), parameters)
    return [_pick(row, row["score"]) for row in rows]


def diverse_picks(db: sqlite3.Connection, request: Request, known: Known) -> list[Pick]:
    """The greedy with lambda > 0: SQL gives the candidates, numpy does the rounds."""
    import numpy as np

    from madetl.selection import diversity, instruction_vectors

    fields = [("pair", "i8"), ("instruction", "i8"), ("similarity", "i8"), ("score", "f8")]
    rows = np.fromiter(_eligible(db, request), dtype=fields)
    pairs = [int(pair) for pair in np.unique(rows["pair"]) if len(known.get(int(pair), {})) < request.wanted_k]
    rows = rows[np.isin(rows["pair"], pairs)]
    if not len(rows):
        return []
    before = [[instruction for _, instruction in sorted(known.get(pair, {}).items())] for pair in pairs]
    ids = np.unique([*rows["instruction"], *(instruction for picked in before for instruction in picked)])
    scores, similarities = _by_pair_and_instruction(rows, pairs, ids)
    vectors = instruction_vectors.load(db, request.columns["instruction_metric_id"], ids.tolist())
    picked = diversity.greedy(
        scores,
        vectors,
        request.columns["diversity"],
        [np.searchsorted(ids, picked).tolist() for picked in before],
        request.wanted_k,
    )
    return _measured(
        db, [(int(similarities[row, index]), cost) for row, new in enumerate(picked) for index, cost in new]
    )


def random_draws(db: sqlite3.Connection, request: Request, known: Known) -> list[Pick]:
    """A draw without replacement per model pair: the instructions with the lowest keys.

    A key is a hash of the seed, the two models' names and the instruction: it depends neither on the other model pairs
    nor on K, so that an extended selection goes on with the same permutation.
    """
    texts = {row["id"]: f"{row['scenario']}\0{row['hash']}" for row in db.execute(_INSTRUCTIONS)}
    names = {row["id"]: f"{row['a']}\0{row['b']}" for row in db.execute(_PAIR_NAMES)}
    drawn: list[tuple[int, float | None]] = []
    for pair, rows in groupby(_eligible(db, request), key=lambda row: row[0]):
        candidates = _by_instruction(rows, set(known.get(pair, {}).values()))
        prefix = f"{request.columns['seed']}\0{names[pair]}\0"
        keys = ((_key(prefix + texts[instruction]), instruction) for instruction in candidates)
        for key, instruction in heapq.nsmallest(request.wanted_k - len(known.get(pair, {})), keys):
            choice = candidates[instruction]
            drawn.append((choice[key % len(choice)], None))
    return _measured(db, drawn)


_INSTRUCTIONS = "SELECT id, scenario, hash FROM instructions"
# By name, not by id: the same models in another database draw the same instructions.
_PAIR_NAMES = """
    SELECT p.id, min(a.name, b.name) AS a, max(a.name, b.name) AS b
    FROM pairs AS p
    JOIN models AS a ON a.id = p.model_a_id
    JOIN models AS b ON b.id = p.model_b_id
"""


def _key(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")


def _by_instruction(rows: Iterable[Sequence[Any]], without: set[int]) -> dict[int, list[int]]:
    """instruction_id → its similarities' ids."""
    found: dict[int, list[int]] = {}
    for _, instruction, similarity, _ in rows:
        if instruction not in without:
            found.setdefault(instruction, []).append(similarity)
    return found


def _eligible(db: sqlite3.Connection, request: Request) -> Iterator[tuple[int, int, int, float]]:
    cursor = db.cursor()
    cursor.row_factory = None  # plain tuples: there may be a million
    return cursor.execute(resources.query("eligible_response_pairs"), request.scope)


def _by_pair_and_instruction(rows: Any, pairs: Sequence[int], ids: Any) -> tuple[Any, Any]:
    """(pairs, instructions) arrays of scores, infinite where there is no candidate, and of similarities' ids."""
    import numpy as np

    scores = np.full((len(pairs), len(ids)), np.inf)
    similarities = np.zeros(scores.shape, dtype=np.int64)
    places = np.searchsorted(pairs, rows["pair"]) * len(ids) + np.searchsorted(ids, rows["instruction"])
    # Of an instruction's response pairs the first one stands for it; return_index gives just that one.
    places, first = np.unique(places, return_index=True)
    scores.flat[places] = rows["score"][first]
    similarities.flat[places] = rows["similarity"][first]
    return scores, similarities


def _measured(db: sqlite3.Connection, picked: Sequence[tuple[int, float | None]]) -> list[Pick]:
    """The picks of some similarities' ids, in their order."""
    rows = db.execute(_PICKED, (json.dumps([similarity for similarity, _ in picked]),))
    found = {row["id"]: row for row in rows}
    return [_pick(found[similarity], cost) for similarity, cost in picked]


def _pick(row: sqlite3.Row, cost: float | None) -> Pick:
    return Pick(row["pair_id"], row["instruction_id"], row["response_a_id"], row["response_b_id"], row["score"], cost)


_PICKED = """
    SELECT id, pair_id, instruction_id, response_a_id, response_b_id, score
    FROM similarities
    WHERE id IN (SELECT value FROM json_each(?))
"""
