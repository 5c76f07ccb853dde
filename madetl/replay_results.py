"""What a replay tells: each policy at each budget, what that is worth, and the best of them in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from madetl.ranking.votes import FloatArray, IntArray
from madetl.sampling import replaying

MEASURES = ("spearman", "kendall", "exact", "winner")


@dataclass(frozen=True)
class Policy:
    """A way of choosing. The baseline draws from all judged items, those that no filter passes included."""

    strategy: str
    pair_policy: str
    filters: bool = True
    baseline: bool = False

    @property
    def name(self) -> str:
        """What a reader calls it."""
        return "random choice" if self.baseline else f"{self.strategy}, {self.pair_policy}"


@dataclass(frozen=True)
class AtBudget:
    """How well a policy ranks with a number of judgments: means over the replications, each with its standard error.

    `judgments` were really given on average: a pool may run out. `spearman` and `kendall` (tau-b) are correlations with
    gold, `exact` and `winner` the shares with gold's order and with its winner. `worth`: judgments of the baseline with
    the same mean Spearman correlation; None where even `worth_at_least` of them, its whole pool, do not reach it.
    """

    budget: int
    judgments: float
    spearman: float
    spearman_se: float
    kendall: float
    kendall_se: float
    exact: float
    exact_se: float
    winner: float
    winner_se: float
    worth: float | None
    worth_at_least: int | None


@dataclass(frozen=True)
class Replayed:
    """A policy with what came of it at each budget."""

    policy: Policy
    budgets: list[AtBudget]

    @property
    def spearman(self) -> float:
        """On average over the budgets."""
        return float(np.mean([at.spearman for at in self.budgets]))

    @property
    def worth(self) -> str:
        """What its judgments are worth, in words."""
        first, *others = (f"{at.budget:,} judgments" if not n else f"{at.budget:,}" for n, at in enumerate(self.budgets))
        values = [worth_of(at) for at in self.budgets]
        said = [f"{first} are worth {values[0]} of random choice"]
        return ", ".join(said + [f"{budget}: {value}" for budget, value in zip(others, values[1:], strict=True)])


@dataclass(frozen=True)
class Replay:
    """The policies, the baseline first, and what they were played on.

    `gold` and `pool` count the items of each replication, `eligible` those of the pool that are measured and pass the
    filters (on average). `ceiling` is the baseline's whole pool: a half of the votes agrees no better with the other.
    """

    metric: str
    method: str
    replications: int
    models: list[str]
    pairs: int
    votes: int
    items: int
    gold: int
    pool: int
    eligible: float
    ceiling: AtBudget
    replayed: list[Replayed]
    notes: list[str]

    @property
    def best(self) -> Replayed:
        """The policy of the highest Spearman correlation on average over the budgets, the baseline apart."""
        return max(self.replayed[1:], key=lambda one: one.spearman)

    @property
    def summary(self) -> str:
        """The closing line."""
        return f"Best on average over the budgets: {self.best.policy.name}. {self.best.worth}."

    def as_json(self) -> dict[str, object]:
        """The whole, a row per policy."""
        rows = [asdict(one.policy) | {"budgets": [asdict(at) for at in one.budgets]} for one in self.replayed]
        named = {name: value for name, value in asdict(self).items() if name not in ("replayed", "notes")}
        return named | {"policies": rows, "notes": self.notes, "summary": self.summary}


def worth_of(at: AtBudget) -> str:
    """A whole number, or what it exceeds."""
    return f"more than {at.worth_at_least:,}" if at.worth is None else f"{at.worth:,.0f}"


@dataclass(frozen=True)
class Samples:
    """What the replications of one policy came to at one budget: arrays of length R."""

    judgments: IntArray
    measures: Mapping[str, FloatArray]

    @classmethod
    def joined(cls, blocks: Sequence[Samples]) -> Samples:
        """Of several blocks of replications."""
        measures = {name: np.concatenate([block.measures[name] for block in blocks]) for name in MEASURES}
        return cls(np.concatenate([block.judgments for block in blocks]), measures)


@dataclass(frozen=True)
class Curve:
    """The baseline's mean Spearman correlation at ascending budgets, the last of them its whole pool."""

    budgets: IntArray
    spearman: FloatArray

    @classmethod
    def of(cls, samples: Mapping[int, Samples], pool: int) -> Curve:
        budgets = sorted(budget for budget in samples if budget <= pool)
        means = [samples[budget].measures["spearman"].mean() for budget in budgets]
        return cls(np.array(budgets), np.array(means))


def at_budget(budget: int, samples: Samples, baseline: Curve) -> AtBudget:
    """Means, standard errors and worth."""
    size = np.sqrt(len(samples.judgments))
    numbers: dict[str, float] = {}
    for name in MEASURES:
        values = samples.measures[name]
        numbers |= {name: float(values.mean()), f"{name}_se": float(values.std(ddof=1) / size)}
    worth = replaying.worth(numbers["spearman"], baseline.budgets, baseline.spearman)
    at_least = int(baseline.budgets[-1]) if worth is None else None
    return AtBudget(budget, float(samples.judgments.mean()), **numbers, worth=worth, worth_at_least=at_least)


def replayed(policy: Policy, budgets: Sequence[int], samples: Mapping[int, Samples], baseline: Curve) -> Replayed:
    """One policy at all budgets."""
    return Replayed(policy, [at_budget(budget, samples[budget], baseline) for budget in budgets])
