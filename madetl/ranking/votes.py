"""What a leaderboard rests on: the parameters of a ranking, the votes as arrays, and what plain counts say of them.

Pure: `rank` fills these from the database, `leaderboards` ranks them, `notes` says what a reader must know.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from madetl.errors import ParameterError
from madetl.ranking import components, elo
from madetl.store.scope import names_json
from madetl.text import counted

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.float64]

MAX_ROUNDS = 100_000


@dataclass(frozen=True)
class RankParameters:
    """How to rank. `annotators` (names) and `judges` choose whose votes count; without either, people's.

    `without` names those of them who are left out. `scenarios` and `selections` are names (none: all): votes count in
    these scenarios, on what these selections picked. `votes`: with 'all' each is a battle; with 'majority' each
    response pair is one battle, as most of its annotators judged it. `anchor` is a model and the rating that it shall
    have: the scale of its component is shifted. Raises ParameterError.
    """

    method: Literal["elo", "bt"] = "elo"
    rounds: int = 1000
    resample: Literal["bootstrap", "permute"] = "bootstrap"
    seed: int = 42
    scenarios: tuple[str, ...] = ()
    selections: tuple[str, ...] = ()
    annotators: tuple[str, ...] = ()
    judges: bool = False
    without: tuple[str, ...] = ()
    votes: Literal["all", "majority"] = "all"
    anchor: tuple[str, float] | None = None
    k_factor: float = elo.K_FACTOR

    @property
    def counted(self) -> dict[str, str | None]:
        """Which votes count, as parameters of sql/ranking/counted_votes.sql."""
        return {
            "scenarios": names_json(self.scenarios),
            "selections": names_json(self.selections),
            "kind": None if self.annotators else "model" if self.judges else "person",
            "names": json.dumps(self.annotators),
            "without": json.dumps(self.without),
        }

    @property
    def by_bradley_terry(self) -> RankParameters:
        """The same by Bradley–Terry."""
        return replace(self, method="bt", resample="bootstrap", k_factor=elo.K_FACTOR)

    def __post_init__(self) -> None:
        if self.method == "bt" and self.resample == "permute":
            raise ParameterError("Bradley–Terry does not depend on the order of battles: permute is for elo only.")
        if self.method == "bt" and self.k_factor != elo.K_FACTOR:
            raise ParameterError("Bradley–Terry has no K-factor: --k-factor is for elo only.")
        if self.judges and self.annotators:
            raise ParameterError("Give either --judges (all judge models) or --annotator NAME, not both.")
        if self.without and self.annotators:
            raise ParameterError(
                "Give either --annotator NAME (only these) or --without NAME (all but these), not both."
            )
        if not 1 <= self.rounds <= MAX_ROUNDS:
            raise ParameterError(f"{self.rounds} rounds: give from 1 to {MAX_ROUNDS:,}.")
        if not (math.isfinite(self.k_factor) and self.k_factor > 0):
            raise ParameterError(f"The K-factor is {self.k_factor:g}: give a number above 0.")
        if self.seed < 0:
            raise ParameterError(f"The seed is {self.seed}: give 0 or a number above it.")
        if self.anchor and not math.isfinite(self.anchor[1]):
            raise ParameterError(f"The anchor's rating is {self.anchor[1]}: give a finite number.")


def in_words(individuals: int, noun: str, crowds: Sequence[str], plural: str | None = None) -> str:
    """Who voted: '2 annotators and a crowd named arena'. Nobody knows how many people a crowd is."""
    one = counted(individuals, noun, plural)
    many = f"{'a crowd' if len(crowds) == 1 else f'{len(crowds)} crowds'} named {', '.join(crowds)}"
    return " and ".join([one] * bool(individuals or not crowds) + [many] * bool(crowds))


def numbered(*columns: IntArray) -> tuple[IntArray, IntArray]:
    """The distinct rows of these columns in ascending order, as columns, and for each row the number of its own."""
    distinct, number = np.unique(np.stack(columns), axis=1, return_inverse=True)
    return distinct, number.reshape(-1)


@dataclass(frozen=True)
class OutcomeCounts:
    """How many items of each model pair had the same outcome: arrays of one length, one entry per pair and outcome."""

    pair: IntArray
    wins: FloatArray  # (outcomes, 2): points of model_a and of model_b over the item's votes, ties as halves
    items: IntArray


def item_outcomes(instruction: IntArray, a: IntArray, b: IntArray, half_points: IntArray) -> IntArray:
    """Counts in single votes what item_outcomes.sql counts in the database; the columns and their order are the same.

    All arguments are of one length, an entry per vote; the models may be numbered in any way. The rows of the result
    are model_a, model_b, votes, half points and items, with one column per model pair and outcome.
    """
    items, item = numbered(a, b, instruction)
    points = np.bincount(item, half_points).astype(np.int64)
    outcomes, number = numbered(items[0], items[1], np.bincount(item), points)
    return np.vstack([outcomes, np.bincount(number)])


@dataclass(frozen=True)
class Battles:
    """Every vote, in the order in which they were stored: arrays of one length. Pair and instruction make the item."""

    pair: IntArray
    instruction: IntArray
    score: FloatArray  # model_a's: 1, 0.5, 0


@dataclass(frozen=True)
class Votes:
    """What one leaderboard rests on. Models are numbered as in `models`, pairs as in `model_a` and `model_b`."""

    scenario: str
    models: list[str]
    model_ids: list[int]
    model_a: IntArray
    model_b: IntArray
    outcomes: OutcomeCounts
    battles: Battles | None  # None: the method does not ask for the order
    counts: dict[str, Any]  # battles, ties, both_bad, items, annotators, and the names of crowds

    @classmethod
    def from_columns(
        cls,
        scenario: str,
        names: Mapping[int, str],
        counts: dict[str, Any],
        outcomes: IntArray,
        battles: IntArray | None = None,
    ) -> Votes:
        """Numbers the models and their pairs in the order of their ids; `names` are the models' by id.

        `outcomes` are the columns of item_outcomes.sql, `battles` those of battles_in_order.sql (None: not needed).
        """
        a, b, votes, half_points, items = outcomes
        pairs, pair = numbered(a, b)
        ids = np.unique(pairs)
        return cls(
            scenario=scenario,
            models=[names[i] for i in ids.tolist()],
            model_ids=ids.tolist(),
            model_a=np.searchsorted(ids, pairs[0]),
            model_b=np.searchsorted(ids, pairs[1]),
            outcomes=OutcomeCounts(pair, np.column_stack([half_points, 2 * votes - half_points]) / 2, items),
            battles=None if battles is None else _battles(pairs, *battles),
            counts=counts,
        )


def _battles(pairs: IntArray, instruction: IntArray, a: IntArray, b: IntArray, half_points: IntArray) -> Battles:
    # The pairs are in ascending order, so their keys ascend too and can be searched.
    width = int(pairs.max()) + 1
    return Battles(np.searchsorted(pairs[0] * width + pairs[1], a * width + b), instruction, half_points / 2)


@dataclass(frozen=True)
class Summary:
    """What the plain counts say: points per pair, and of each model battles, points, component and group."""

    pair_wins: FloatArray  # (pairs, 2): points of model_a and of model_b, ties as halves
    battles: IntArray
    points: FloatArray
    component: IntArray
    strong_component: IntArray

    @classmethod
    def of(cls, votes: Votes) -> Summary:
        a, b, models = votes.model_a, votes.model_b, len(votes.models)
        wins = np.zeros((len(a), 2))
        np.add.at(wins, votes.outcomes.pair, votes.outcomes.wins * votes.outcomes.items[:, None])
        points, battles = np.zeros(models), np.zeros(models)
        for side in (0, 1):
            np.add.at(points, (a, b)[side], wins[:, side])
            np.add.at(battles, (a, b)[side], wins.sum(axis=1))
        return cls(
            pair_wins=wins,
            battles=np.rint(battles).astype(np.int64),
            points=points,
            component=_by_size(components.connected(a, b, models), battles),
            strong_component=components.strong(a, b, wins[:, 0], wins[:, 1], models),
        )

    @property
    def components(self) -> int:
        return int(self.component.max()) + 1


def _by_size(component: IntArray, battles: FloatArray) -> IntArray:
    """Renumbers the components: 0 has the most models; of equal ones, the one with the most battles."""
    sizes = [(-np.sum(component == i), -battles[component == i].sum(), i) for i in range(int(component.max()) + 1)]
    position = {i: number for number, (_, _, i) in enumerate(sorted(sizes))}
    return np.array([position[i] for i in component.tolist()])
