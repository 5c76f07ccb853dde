"""What an adaptive selection picks next: model pairs by how little the votes say of their order, instructions as ever.

A replay uses the same posterior and draws a pair in the same way (`pair_policies`). The instruction within the pair is
what the selection's strategy would pick next. Nothing is written here.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from madetl.errors import ParameterError
from madetl.ranking import votes_so_far
from madetl.ranking.votes import FloatArray, IntArray
from madetl.ranking.votes_so_far import VotesSoFar
from madetl.selection import strategies
from madetl.selection.adaptive import pair_policies
from madetl.selection.adaptive.pair_policies import Board
from madetl.selection.sets import Adaptive, Ending, SelectionRequest
from madetl.selection.strategies import Known, Pick
from madetl.store import sqlfiles


def next_picks(db: sqlite3.Connection, request: SelectionRequest, known: Known, most: int | None = None) -> list[Pick]:
    """The picks that fill the batch, as far as the budget goes; with `most`, so many, whatever waits for a vote."""
    growth = _Growth(db, request, known)
    return growth.picks(growth.room if most is None else min(most, growth.budget_left))


def stopped(db: sqlite3.Connection, request: SelectionRequest) -> str | None:
    """Why the selection picks no more for now, in words; None: it could."""
    return _Growth(db, request, {}).stopped


def ending(db: sqlite3.Connection, request: SelectionRequest) -> Ending | None:
    """Why the selection picks no more, whatever waits for a vote; None: it could."""
    return _Growth(db, request, {}).ending


class _Growth:
    """One look at the votes, and the picks that follow from it."""

    def __init__(self, db: sqlite3.Connection, request: SelectionRequest, known: Known) -> None:
        assert request.adaptive is not None
        self._db, self._request, self._known = db, request, known
        self._plan: Adaptive = request.adaptive
        rows = db.execute(
            sqlfiles.query("selection/growing_pairs"), {**request.scope, "set_id": request.set_id}
        ).fetchall()
        self._sides = {row["pair_id"]: (row["model_a_id"], row["model_b_id"]) for row in rows}
        models = {model for pair in self._sides.values() for model in pair}
        scenarios = json.loads(request.columns["scenarios"] or "[]")
        self._votes: VotesSoFar = votes_so_far.read(db, scenarios, others=models)
        self._pair_ids = {self._votes.pair(*pair): pair_id for pair_id, pair in self._sides.items()}
        self._place = self._placed()
        self._pending = self._spread({row["pair_id"]: row["pending"] for row in rows})
        self._left = self._spread({row["pair_id"]: row["open"] for row in rows}) * self._allowed()  # 1: some are left
        self._picks = sum(row["picks"] for row in rows)
        self._batch = self._plan.batch or max(1, int(np.count_nonzero(self._left + self._pending)))

    @property
    def budget_left(self) -> int:
        """How many more picks the budget allows; 0 where every order is sure enough already."""
        assert self._request.budget is not None
        return 0 if self._settled() else self._request.budget - self._picks

    @property
    def room(self) -> int:
        """How many more picks fill the batch, as far as the budget goes."""
        return min(self.budget_left, self._batch - int(self._pending.sum()))

    @property
    def stopped(self) -> str | None:
        """Why nothing more is picked for now, in words; None: something could be."""
        pending = int(self._pending.sum())
        if (ending := self.ending) is not None:
            return self._plan.why(ending)
        if pending >= self._batch:
            return f"{pending:,} picks wait for a vote, and the next ones depend on these"
        return None

    @property
    def ending(self) -> Ending | None:
        """Why nothing more is picked, whatever waits for a vote; None: something could be."""
        if self._settled():
            return "settled"
        if self.budget_left <= 0:
            return "budget"
        return None if self._left.any() else "candidates"

    def picks(self, number: int) -> list[Pick]:
        """The next `number` picks, or as many as there are candidates for."""
        rng = np.random.default_rng([self._request.columns["seed"], self._picks])
        picked: list[Pick] = []
        while len(picked) < number and self._left.any():
            drawn = self._draw(number - len(picked), rng)
            picked += self._instructions(drawn)
        return picked

    def _draw(self, number: int, rng: np.random.Generator) -> list[tuple[int, float]]:
        """The pairs of the next picks with their probabilities, each drawn in view of those before."""
        drawn: list[tuple[int, float]] = []
        while len(drawn) < number and self._left.any():
            items = self._votes.items + self._pending
            board = Board(self._votes.posterior, items, self._pending, self._left, self._targets())
            draw = pair_policies.draw("adaptive", board, rng, self._plan.floor)
            pair = int(draw.pair[0])
            self._pending[0, pair] += 1
            drawn.append((pair, float(draw.probability[0])))
        return drawn

    def _instructions(self, drawn: list[tuple[int, float]]) -> list[Pick]:
        """What the strategy picks for the pairs drawn, in that order; a pair without candidates is out from now on."""
        queues = {pair: iter(self._of_pair(pair, count)) for pair, count in Counter(pair for pair, _ in drawn).items()}
        picked = []
        for pair, probability in drawn:
            pick = next(queues[pair], None)
            if pick is None:
                self._left[0, pair] = 0
                self._pending[0, pair] -= 1
            else:
                picked.append(replace(pick, probability=probability))
        self._known = _with(self._known, picked)
        return picked

    def _of_pair(self, pair: int, count: int) -> list[Pick]:
        pair_id = self._pair_ids[pair]
        known = self._known.get(pair_id, {})
        request = replace(self._request, model_ids=json.dumps(self._sides[pair_id]), top_k=len(known) + count)
        picks = strategies.next_picks(self._db, request, self._known)
        return [pick for pick in picks if pick.instruction_id not in known.values()][:count]

    def _placed(self) -> int | None:
        """The number of the model that is to be placed, if any."""
        if self._plan.place is None:
            return None
        if self._plan.place not in self._votes.names:
            known = ", ".join(self._votes.names)
            raise ParameterError(f"No measured answers of a model {self._plan.place!r} to place. There are: {known}")
        return self._votes.names.index(self._plan.place)

    def _allowed(self) -> FloatArray:
        """(1, pairs): 1 for the pairs that may be asked about."""
        allowed = np.ones((1, len(self._votes.model_a)))
        if self._place is not None:
            sides = self._votes.model_a, self._votes.model_b
            allowed[0] = np.logical_or(*(side == self._place for side in sides))
        return allowed

    def _targets(self) -> tuple[IntArray, IntArray] | None:
        """The orders that matter: of the placed model and its neighbours, or of all neighbours (None)."""
        if self._place is None:
            return None
        higher, lower = self._votes.posterior.neighbours()
        beside = (higher[0] == self._place) | (lower[0] == self._place)
        return higher[:, beside], lower[:, beside]

    def _settled(self) -> bool:
        """Whether every order that matters is as sure as it shall be, by the votes that are in."""
        if self._plan.stop_at is None:
            return False
        short = (self._votes.items < self._plan.floor) & (self._left + self._pending > 0)
        targets = self._targets()
        orders = self._votes.posterior
        probability = orders.probability(*(targets or orders.neighbours()))
        return not short.any() and bool((probability >= self._plan.stop_at).all())

    def _spread(self, values: Mapping[int, Any]) -> FloatArray:
        """(1, pairs): a number per pair id, put where its pair stands."""
        spread = np.zeros((1, len(self._votes.model_a)))
        for pair_id, value in values.items():
            spread[0, self._votes.pair(*self._sides[pair_id])] = value
        return spread


def _with(known: Known, picks: list[Pick]) -> Known:
    more = {pair: dict(ranks) for pair, ranks in known.items()}
    for pick in picks:
        ranks = more.setdefault(pick.pair_id, {})
        ranks[max(ranks, default=0) + 1] = pick.instruction_id
    return more
