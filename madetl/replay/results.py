"""What a replay tells: each policy at each budget, what that is worth, and the best of them in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from madetl.ranking.votes import FloatArray, IntArray
from madetl.replay import play
from madetl.text import counted

_ROUNDS = 500  # of resampling the replications

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
    `worth_low` and `worth_high` are the middle 95 % of resampled replications; None: more than the pool.
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
    worth_low: float | None
    worth_high: float | None


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
        first, *others = self.budgets
        are = "is" if first.budget == 1 else "are"
        parts = [f"{counted(first.budget, 'judgment')} {are} worth {worth_of(first)} of random choice"]
        return ", ".join(parts + [f"{at.budget:,}: {worth_of(at)}" for at in others])


@dataclass(frozen=True)
class Replay:
    """The policies, the baseline first, and what they were played on.

    `gold` and `pool` count the items of each replication, `eligible` those of the pool that are measured and pass the
    filters of each strategy (on average). `ceiling` is the baseline with its whole pool: what one half of the votes
    says of the other.
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
    eligible: dict[str, float]
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
        """The samples of several blocks of replications as one."""
        measures = {name: np.concatenate([block.measures[name] for block in blocks]) for name in MEASURES}
        return cls(np.concatenate([block.judgments for block in blocks]), measures)


class Baseline:
    """What worth is measured against: the baseline's mean Spearman correlation at ascending budgets, up to its pool.

    Means are taken over all replications first, and then over replications drawn with replacement, `_ROUNDS` times.
    """

    def __init__(self, samples: Mapping[int, Samples], pool: int, seed: int) -> None:
        budgets = sorted(budget for budget in samples if budget <= pool)
        self.budgets = np.array(budgets)
        size = len(samples[pool].judgments)
        drawn = np.random.default_rng([seed, size]).multinomial(size, np.full(size, 1 / size), _ROUNDS)
        self._weights = np.concatenate([np.ones((1, size)), drawn]) / size
        spearman = np.stack([samples[budget].measures["spearman"] for budget in budgets], axis=1)
        self._rising = play.rising(self._weights @ spearman)

    def worth(self, spearman: Sequence[FloatArray]) -> FloatArray:
        """(1 + rounds, policies): what each is worth by the correlations of its replications; infinite: no budget."""
        means = self._weights @ np.stack(spearman, axis=1)
        rows = zip(means, self._rising, strict=True)
        return np.stack([play.worth(mean, self.budgets, baseline) for mean, baseline in rows])


def replayed(policy: Policy, budgets: Sequence[int], samples: Mapping[int, Samples], baseline: Baseline) -> Replayed:
    """One policy at all budgets: means, standard errors and worth."""
    worth = baseline.worth([samples[budget].measures["spearman"] for budget in budgets])
    if policy.baseline:  # it is worth its own budgets; its smoothed curve would differ a little
        worth[:] = np.minimum(budgets, baseline.budgets[-1])
    at = [_at_budget(budget, samples[budget], worth[:, n], baseline) for n, budget in enumerate(budgets)]
    return Replayed(policy, at)


def _at_budget(budget: int, samples: Samples, worth: FloatArray, baseline: Baseline) -> AtBudget:
    size = np.sqrt(len(samples.judgments))
    numbers: dict[str, float] = {}
    for name in MEASURES:
        values = samples.measures[name]
        numbers |= {name: float(values.mean()), f"{name}_se": float(values.std(ddof=1) / size)}
    low, high = np.quantile(worth[1:], [0.025, 0.975], method="nearest")
    return AtBudget(
        budget=budget,
        judgments=float(samples.judgments.mean()),
        **numbers,
        worth=_finite(worth[0]),
        worth_at_least=None if np.isfinite(worth[0]) else int(baseline.budgets[-1]),
        worth_low=_finite(low),
        worth_high=_finite(high),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
