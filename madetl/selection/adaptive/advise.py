"""When to stop: how sure people's votes are of each order of neighbours, and how many more judgments would settle it.

Reads votes by way of `ranking.votes_so_far`; nothing is written. The numbers are made in `forecasts`: Bradley–Terry's
posterior, and judgments simulated from it. The sentences that people read are made here, for the command line and
whoever else shows advice.
"""

from __future__ import annotations

import math
import shlex
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from madetl.errors import ParameterError
from madetl.ranking import bradley_terry, components, votes_so_far
from madetl.ranking.order import neighbours
from madetl.ranking.votes_so_far import VotesSoFar
from madetl.selection import sets
from madetl.selection.adaptive import forecasts
from madetl.selection.adaptive.forecasts import Forecast, Plan
from madetl.selection.sets import NGRAMS
from madetl.store import sqlfiles
from madetl.store.scope import check_scenarios, check_selections, names_json
from madetl.text import Note, agreeing, counted

FEW_ITEMS = 3  # judged ones per pair of models; below, what models are usually like says more than the votes
_MOST_PAIRS = 3  # that one sentence names
_ALIKE = 0.1  # a dispersion so near 1 is called that of coin flips

# Measured by `python -m tests.calibration`, tables 1 to 3.
STOPPING = (
    "in simulated studies that stopped the moment an order was called 95 % sure, it was right in 95 to 96 %, and in "
    "97 to 98 % with a look after every 21 votes alone. Where models stand very close, it is called too sure."
)


@dataclass(frozen=True)
class PairShare:
    """A pair of models, and which share of the judgments it would get: about `judgments` (None: nobody can say)."""

    model_a: str
    model_b: str
    share: float
    judgments: int | None


@dataclass(frozen=True)
class Needed:
    """How many more judgments: the median of the simulations and their middle half; None: more than the cap.

    A median of 0: settled as it is. `pairs`: where they would go, most of them first.
    """

    median: int | None
    lower: int | None
    upper: int | None
    pairs: list[PairShare]


@dataclass(frozen=True)
class Order:
    """Two models next to each other, and how sure it is that `higher` is the stronger one."""

    higher: str
    lower: str
    sure: float
    needed: Needed


@dataclass(frozen=True)
class Advice:
    """The orders from the top down, each by itself, and all of them together. `spread` of the models is in points.

    By votes in these scenarios and on what these selections picked (none: all).
    """

    scenarios: list[str]
    selections: list[str]
    target: float
    cap: int
    simulations: int
    seed: int
    models: int
    votes: int
    items: int
    dispersion: float
    spread: float
    orders: list[Order]
    all_orders: Needed
    command: str | None
    notes: list[Note]


def advise(
    db: sqlite3.Connection,
    *,
    scenarios: Sequence[str] = (),
    selections: Sequence[str] = (),
    target: float = 0.95,
    simulations: int = 200,
    seed: int = 42,
    cap: int = 2000,
) -> Advice:
    """Advice on people's votes in these scenarios and on what these selections picked (none: all).

    No more than `cap` judgments are simulated at a time. Raises ParameterError where there is no vote, a scenario or a
    selection is unknown, or a number makes no sense.
    """
    if not 0.5 < target < 1:
        raise ParameterError(f"--target is how sure to be, above 0.5 and below 1, not {target}.")
    if simulations < 1 or seed < 0:
        raise ParameterError("--simulations must be 1 or more, and --seed 0 or more.")
    check_scenarios(db, scenarios)
    check_selections(db, selections)
    found = votes_so_far.read(db, scenarios, selections)
    if len(found.names) < 2:
        raise ParameterError(_no_votes(db, scenarios, selections))
    plan = Plan(target, cap, simulations, seed)
    orders = _orders(found, plan)
    together = _needed(found, forecasts.of_all_orders(_pairs(found), found.votes, found.posterior, plan))
    scope = {"scenarios": names_json(scenarios), "selections": names_json(selections)}
    unjudged = [row["name"] for row in db.execute(sqlfiles.query("selection/models_without_votes"), scope)]
    return Advice(
        list(scenarios), list(selections), target, cap, simulations, seed, len(found.names),
        votes=int(found.votes.votes.sum()),
        items=int(found.items.sum()),
        dispersion=float(found.posterior.dispersion[0]),
        spread=float(found.posterior.prior_precision[0] ** -0.5 * bradley_terry.POINTS),
        orders=orders,
        all_orders=together,
        command=_command(
            db, scenarios, target, rounded(_within_reach(orders, together)), found.names if unjudged else None
        ),
        notes=_notes(found, unjudged),
    )  # fmt: skip


def _orders(found: VotesSoFar, plan: Plan) -> list[Order]:
    each = forecasts.of_each_order(_pairs(found), found.votes, found.posterior, plan)
    steps = neighbours(found.posterior, found.names)
    return [
        Order(step.better, step.worse, step.probability, _needed(found, forecast))
        for step, forecast in zip(steps, each, strict=True)
    ]


def _pairs(found: VotesSoFar) -> tuple[Any, Any]:
    return found.model_a, found.model_b


def _needed(found: VotesSoFar, forecast: Forecast) -> Needed:
    lower, median, upper = (_whole(forecast.quantile(share)) for share in (0.25, 0.5, 0.75))
    if median == 0:
        return Needed(median, lower, upper, [])
    totals = forecast.judgments.sum(axis=1, keepdims=True)
    asked = totals[:, 0] > 0
    share = (forecast.judgments[asked] / totals[asked]).mean(axis=0)
    pairs = [
        PairShare(
            *_stronger_first(found, pair), float(share[pair]), None if median is None else round(share[pair] * median)
        )
        for pair in np.argsort(-share, kind="stable").tolist()
        if share[pair] > 0
    ]
    return Needed(median, lower, upper, pairs)


def _stronger_first(found: VotesSoFar, pair: int) -> tuple[str, str]:
    sides = [int(found.model_a[pair]), int(found.model_b[pair])]
    first, second = sorted(sides, key=lambda model: -float(found.posterior.mean[0, model]))
    return found.names[first], found.names[second]


def _whole(judgments: float) -> int | None:
    return None if math.isinf(judgments) else int(judgments)


def _within_reach(orders: Sequence[Order], together: Needed) -> int:
    """How many judgments to ask for next: for all orders, or else for those that can be settled; 0: for none."""
    if together.median is not None:
        return together.median
    return sum(order.needed.median or 0 for order in orders)


# --- the words


def middle_half_sentence(advice: Advice) -> str:
    """What the numbers of judgments are, and what their middle half is."""
    return (
        f"Judgments: the median of {counted(advice.simulations, 'simulation')}. Middle half: a quarter of them needed "
        "fewer than its first number, a quarter more than its last."
    )


def order_sentence(order: Order, cap: int) -> str:
    """Where the judgments on an open order would go: 'gpt-4 before claude-v1: mostly on gpt-4 – claude-v1 (28).'"""
    begin = f"{order.higher} before {order.lower}"
    if order.needed.median is None:
        return f"{begin}: more than {cap:,} judgments would not settle it. Call it a tie?"
    return f"{begin}: mostly on {_mostly(order.needed.pairs)}."


def all_sentence(advice: Advice) -> str:
    """'All 6 orders at 95 %: about 180 more judgments, on: koala – alpaca 80, …'"""
    needed, number = advice.all_orders, len(advice.orders)
    begin = f"{'The only order' if number == 1 else f'All {number} orders'} at {percent(advice.target)}"
    if needed.median == 0:
        return f"{begin}: settled. More judgments would hardly change the order."
    if needed.median is None:
        return f"{begin}: more than {advice.cap:,} more judgments."
    named = ", ".join(
        f"{_named(pair)} {rounded(pair.judgments or 0):,}" for pair in _most(needed.pairs, 2 * _MOST_PAIRS)
    )
    return f"{begin}: about {_judgments(needed.median)}, most of them on: {named}."


def votes_sentence(advice: Advice) -> str:
    """What the advice rests on, and what the dispersion means."""
    on = (
        f"Rests on {counted(advice.votes, 'vote of a person', 'votes of people')} on {counted(advice.items, 'item')}, "
        f"{advice.models} models"
    )
    if abs(advice.dispersion - 1) < _ALIKE:
        return f"{on}. Votes vary as coin flips would (dispersion {advice.dispersion:.2f})."
    each = f"each says as much as {1 / advice.dispersion:.2g} votes"
    if advice.dispersion < 1:
        how, what = "less than coin flips would, as votes with ties do", "without ties"
    else:
        how, what = "more than coin flips would, since those on one item are alike", "on items of their own"
    return f"{on}. Votes vary {how} (dispersion {advice.dispersion:.2f}): {each} {what}."


def percent(share: float) -> str:
    """Rounded down, so that nothing short of a target looks as if it had reached it: 0.949 is '94 %'."""
    share = min(share, 0.999) + 1e-9
    return f"{math.floor(1000 * share) / 10:g} %" if share >= 0.99 else f"{math.floor(100 * share)} %"


def rounded(judgments: int) -> int:
    """A forecast in as many figures as it deserves: 17, 60, 430, 1,200."""
    unit = 1 if judgments < 20 else 5 if judgments < 100 else 10 if judgments < 500 else 50
    return unit * round(judgments / unit)


def _judgments(number: int) -> str:
    return counted(rounded(number), "more judgment")


def _mostly(pairs: Sequence[PairShare]) -> str:
    *first, last = [f"{_named(pair)} ({rounded(pair.judgments or 0):,})" for pair in _most(pairs, _MOST_PAIRS)]
    return f"{', '.join(first)} and {last}" if first else last


def _most(pairs: Sequence[PairShare], number: int) -> Sequence[PairShare]:
    """The pairs that together get two thirds of the judgments, `number` of them at most."""
    before = np.cumsum([0.0] + [pair.share for pair in pairs])
    return [pair for pair, so_far in zip(pairs, before, strict=False) if so_far < 2 / 3 and pair.judgments][
        :number
    ] or pairs[:1]


def _named(pair: PairShare) -> str:
    return f"{pair.model_a} – {pair.model_b}"


# --- what a reader must know, and what to do next


def _no_votes(db: sqlite3.Connection, scenarios: Sequence[str], selections: Sequence[str]) -> str:
    where = f" in scenario {', '.join(scenarios)}" if scenarios else ""
    where += f" on what {', '.join(selections)} picked" if selections else ""
    options = " and ".join(["--scenario"] * bool(scenarios) + ["--selection"] * bool(selections))
    elsewhere = options and votes_so_far.read(db).names
    others = f" `madetl advise` without {options} takes all votes." if elsewhere else ""
    return (
        f"There are no votes by people{where} to go by.{others} `madetl select` picks what to judge, and "
        "`madetl annotate` opens a page to judge on."
    )


def _notes(found: VotesSoFar, unjudged: Sequence[str]) -> list[Note]:
    notes = [
        _components(found),
        few(int(found.items.sum()), len(found.model_a)),
        _unjudged(unjudged),
        Note("stopping", STOPPING),
    ]
    return [note for note in notes if note]


def _components(found: VotesSoFar) -> Note | None:
    met = found.items[0] > 0
    component = components.connected(found.model_a[met], found.model_b[met], len(found.names))
    groups = [
        [name for name, part in zip(found.names, component, strict=True) if part == i]
        for i in range(max(component) + 1)
    ]
    if len(groups) == 1:
        return None
    named = "; ".join(", ".join(group) for group in groups)
    return Note("components", f"no chain of votes connects these groups, so nothing is known of their order: {named}.")


def few(items: int, pairs: int) -> Note | None:
    """Whether so many judged items on so many pairs of models are few for a probability; None: they are not."""
    if items >= FEW_ITEMS * pairs:
        return None
    return Note(
        "few",
        f"{counted(items, 'judged item')} on {counted(pairs, 'pair')} of models {agreeing(items)['are']} few: what "
        "models are usually like says much of this.",
    )


def _unjudged(names: Sequence[str]) -> Note | None:
    if not names:
        return None
    named = ", ".join(names[:_MOST_PAIRS]) + (
        f" and {len(names) - _MOST_PAIRS} more" if len(names) > _MOST_PAIRS else ""
    )
    command = f"`madetl select --adaptive --place {shlex.quote(names[0])} --budget N`"
    return Note(
        "unjudged", f"nobody has voted on an answer of {named}, so the order is without: {command} finds its place."
    )


def _command(
    db: sqlite3.Connection, scenarios: Sequence[str], target: float, judgments: int, models: Sequence[str] | None
) -> str | None:
    """The selection that asks for so many more judgments: the adaptive one that there is, or a new one.

    `models` are those that the advice is about; None: there are no others. Where nothing is measured, that comes first.
    """
    if not judgments:
        return None
    metric = db.execute(sqlfiles.query("selection/metric_to_select_by"), {"usual": NGRAMS}).fetchone()
    if metric is None:
        return "madetl similarity"
    names = names_json(scenarios)
    rows = db.execute(sqlfiles.query("selection/selections_so_far"))
    known = [dict(row) for row in rows if (row["pair_policy"], row["scenarios"]) == ("adaptive", names)]
    row = known[-1] if known else {"pair_policy": "adaptive", "scenarios": names, "metric_id": metric["id"]}
    budget = max(row["budget"], row["judged"] + judgments) if known else judgments
    only = f" --models {shlex.quote(','.join(models))}" if models else ""
    return f"madetl select{sets.options(db, row)}{only} --budget {budget} --stop-at {target:g}"
