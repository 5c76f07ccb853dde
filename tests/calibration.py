"""How far the probabilities of `ranking.posterior` can be trusted: tables over simulated worlds whose truth is known.

`python -m tests.calibration [TABLE …]`, or `make calibrate`; a few minutes for all of them. The worlds are those of
`support.worlds`; where nothing else is said, 7 models with strengths of standard deviation 0.8, luck of the single
answer, and 27 % ties. What must hold is asserted in test_posterior.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from madetl.ranking import bradley_terry, posterior, resampling
from madetl.ranking.posterior import PairVotes, Posterior
from madetl.replay import accuracy
from madetl.selection.adaptive import forecasts, pair_policies
from madetl.selection.adaptive.forecasts import Plan
from madetl.selection.adaptive.simulate import State, play
from tests.support import worlds as w
from tests.support.worlds import Worlds

LABEL = 44
TARGET, CAP = 0.95, 1000  # how sure to be, and after how many votes to give up
LOOKS = (10, 20, 30, 40, 60, 100, 150, 200)


def fixed_numbers() -> None:
    """1. Of the orders called so sure, per cent right (how many orders); votes spread evenly over the pairs"""
    head("")
    cases = [(f"7 models, {items} items per pair", w.normal(1000, 7), items, 1) for items in (2, 5, 10, 15)]
    for models, items, worlds in ((2, 30, 4000), (3, 15, 3000), (4, 10, 2000), (20, 5, 300), (20, 10, 300)):
        cases.append((f"{models} models, {items} items per pair", w.normal(worlds, models), items, 1))
    cases += [
        ("7 models, 10 items, 3 votes on each", w.normal(1000, 7), 10, 3),
        ("7 models, 5 items, 3 votes, luck 1.5", w.normal(1000, 7, answer_sd=1.5), 5, 3),
        ("7 models, 10 items, no ties", w.normal(1000, 7, ties=0.0), 10, 1),
    ]
    cases += [(f"7 models, 10 items, spread {sd}", w.normal(1000, 7, sd), 10, 1) for sd in (0.3, 2.0)]
    cases += [(f"7 models, {items} items, evenly spaced", w.even(1000, 7), items, 1) for items in (5, 10, 15)]
    for label, worlds, items, overlap in cases:
        row(label, *w.sure_and_right(worlds, w.fitted(worlds, worlds.judged(items, overlap))))


def chosen_numbers() -> None:
    """2. The same at a fixed number of votes on pairs that a policy chose"""
    head("")
    for sd in (0.8, 0.4):
        for policy in ("uniform", "adaptive"):
            worlds = w.normal(1000, 7, sd)
            for votes, given in at_votes(policy, worlds, (105, 210, 420)):
                row(f"spread {sd}, {policy}, {votes} votes", *w.sure_and_right(worlds, w.fitted(worlds, given)))


def stopping() -> None:
    """3. Adaptive choice that stops as soon as the orders that matter are called 95 % sure, 1,000 votes at most"""
    print(
        f"{'':{LABEL}s}{'stopped':>9s}{'called':>9s}{'right':>9s}{'all right':>11s}{'votes: median':>15s}{'mean':>7s}"
    )
    makers = {"spread 0.8": w.normal, "spread 0.4": lambda *shape: w.normal(*shape, sd=0.4), "evenly spaced": w.even}
    for kind, make in makers.items():
        for orders, stop in (("all orders", stopped_all), ("one order", stopped_one)):
            for batch in (1, 21):
                stop_row(
                    f"{kind}, {orders}, every {batch} votes".replace(" 1 votes", " vote"), *stop(make(500, 7), batch)
                )


def intervals() -> None:
    """4. rank --method bt: how many of the 95 % intervals hold the truth, in per cent (mean width in points)"""
    print(f"{'':{LABEL}s}{'ratings':>16s}{'differences: all':>20s}{'of neighbours':>18s}")
    for policy in ("uniform", "adaptive"):
        worlds = w.normal(300, 7)
        for votes, given in at_votes(policy, worlds, (105, 210, 420)):
            cells = (f"{100 * hit.mean():.1f} ({width.mean():.0f})" for hit, width in coverage(worlds, given))
            print(f"{f'{policy}, {votes} votes':{LABEL}s}", "".join(f"{cell:>18s}" for cell in cells), flush=True)


def placing() -> None:
    """5. A 21st model beside 20 with 10 items per pair: per cent of worlds in which its place is right within 1"""
    print(f"{'':{LABEL}s}" + "".join(f"{f'{votes} votes':>12s}" for votes in LOOKS))
    makers = {"spread 0.8": w.normal, "evenly spaced": w.even}
    for kind, make in makers.items():
        for policy in ("adaptive", "uniform"):
            off = placed(policy, make(400, 21))
            print(
                f"{f'{kind}, {policy}':{LABEL}s}" + "".join(f"{100 * (at <= 1).mean():>10.0f} %" for at in off),
                flush=True,
            )


def forecasting() -> None:
    """6. Forecasts for the least sure order: per cent of 150 worlds where it took no more judgments than forecast"""
    print(f"{'':{LABEL}s}{'lower quartile':>18s}{'median':>10s}{'upper quartile':>18s}")
    for items in (2, 5):
        inside = forecast_and_truth(w.normal(150, 7), items)
        print(
            f"{f'{items} items per pair, then adaptive':{LABEL}s}"
            + "".join(f"{100 * share:>15.0f} %" for share in inside)
        )


def policies() -> None:
    """7. Policies compared: Spearman correlation with the true order, exact order and winner, per cent; 1,000 worlds"""
    for name, worlds, budgets in (
        ("7 models, spread 0.8", partial(w.normal, 1000, 7), (63, 105, 210, 315)),
        ("7 models, evenly spaced", partial(w.even, 1000, 7), (63, 105, 210, 315)),
        ("20 models, spread 0.8", partial(w.normal, 200, 20), (190, 400, 800, 1600)),
        ("20 models, evenly spaced", partial(w.even, 200, 20), (190, 400, 800, 1600)),
    ):
        print(f"{name:{LABEL}s}" + "".join(f"{f'{budget} votes':>20s}" for budget in budgets))
        for policy in pair_policies.POLICIES:
            cells = [
                f"{spearman:.3f} {100 * exact:3.0f} % {100 * winner:3.0f} %"
                for spearman, exact, winner in found_orders(policy, worlds(), budgets)
            ]
            print(f"  {policy:{LABEL - 2}s}" + "".join(f"{cell:>20s}" for cell in cells), flush=True)


# --- what the tables are made of


def at_votes(policy: str, worlds: Worlds, numbers: tuple[int, ...]) -> Iterator[tuple[int, PairVotes]]:
    """The votes on pairs that `policy` chose, one at a time, once there are so many."""
    rng = np.random.default_rng(2)
    for state in play(policy, worlds, worlds.pairs, models=worlds.models, judgments=max(numbers), rng=rng):
        if state.judgments in numbers:
            yield state.judgments, state.votes


def found_orders(policy: str, worlds: Worlds, budgets: tuple[int, ...]) -> Iterator[tuple[float, ...]]:
    """At each budget, of Bradley–Terry's rankings: mean Spearman correlation with the truth, right orders, winners."""
    for _, votes in at_votes(policy, worlds, budgets):
        lost = votes.votes - votes.wins
        ratings = bradley_terry.fit(*worlds.pairs, votes.wins, lost, np.zeros(worlds.models, dtype=int))
        found = accuracy.accuracy(ratings, worlds.strength)
        yield float(found.spearman.mean()), float(found.exact.mean()), float(found.winner.mean())


def stopped_all(worlds: Worlds, batch: int) -> tuple[np.ndarray, ...]:
    """Adaptive choice until every order of neighbours is sure: what `until_sure` says."""
    states = play(
        "adaptive", worlds, worlds.pairs, models=worlds.models, judgments=CAP, rng=np.random.default_rng(2), batch=batch
    )
    floor = len(worlds.pairs[0])
    return until_sure(states, lambda now: w.sure_and_right(worlds, now), floor)


def stopped_one(
    worlds: Worlds, batch: int, votes: PairVotes | None = None, explore: float = pair_policies.EXPLORE
) -> tuple[np.ndarray, ...]:
    """The same of the one order of neighbours that is least sure by `votes` (two items of each pair), either way."""
    votes = worlds.judged(2) if votes is None else votes
    higher, lower = least_sure(w.fitted(worlds, votes))
    rounds = np.arange(len(higher))[:, None]
    true = worlds.strength[rounds, higher] > worlds.strength[rounds, lower]

    def look(now: Posterior) -> tuple[np.ndarray, np.ndarray]:
        says = now.probability(higher, lower)
        return np.maximum(says, 1 - says), (says > 0.5) == true

    states = play(
        "adaptive", worlds, worlds.pairs, models=worlds.models, judgments=CAP, rng=np.random.default_rng(2),
        batch=batch, votes=votes, targets=lambda _: (higher, lower), explore=explore,
    )  # fmt: skip
    return until_sure(states, look, 0)


def until_sure(
    states: Iterator[State], look: Callable[[Posterior], tuple[np.ndarray, np.ndarray]], floor: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each world: the votes at the stop (infinite: never), how sure each order was then, and whether it is right."""
    votes = None
    for state in states:
        sure, right = look(state.posterior)
        if votes is None:
            votes, called, kept = np.full(len(sure), np.inf), sure, right
        going = np.isinf(votes)
        called, kept = (np.where(going[:, None], new, old) for new, old in ((sure, called), (right, kept)))
        votes[going & (sure >= TARGET).all(axis=1) & (state.judgments >= floor)] = state.judgments
    return votes, called, kept


def least_sure(found: Posterior) -> tuple[np.ndarray, np.ndarray]:
    """The order of neighbours that is least sure: its higher and lower model, each (R, 1)."""
    higher, lower = found.neighbours()
    at = found.probability(higher, lower).argmin(axis=1)[:, None]
    return np.take_along_axis(higher, at, 1), np.take_along_axis(lower, at, 1)


def forecast_and_truth(worlds: Worlds, items: int) -> list[np.float64]:
    """The shares of worlds that needed no more judgments than the forecast's quartiles."""
    votes = worlds.judged(items)
    found = w.fitted(worlds, votes)
    at = found.probability(*found.neighbours()).argmin(axis=1)
    quartiles = np.empty((len(at), 3))
    for world, order in enumerate(at):
        plan = Plan(cap=CAP, simulations=100, seed=world)
        each = forecasts.of_each_order(
            worlds.pairs, *(forecasts.rounds_of(part, [world]) for part in (votes, found)), plan
        )
        quartiles[world] = [each[order].quantile(share) for share in (0.25, 0.5, 0.75)]
    took, *_ = stopped_one(worlds, 1, votes, explore=0.0)
    return list((took[:, None] <= quartiles).mean(axis=0))


def coverage(worlds: Worlds, votes: PairVotes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Whether intervals hold the truth, and their widths in points: of ratings, all differences, and true neighbours'.

    The truth is where Bradley–Terry would settle with endless votes, evenly spread over the pairs.
    """
    a, b = worlds.pairs
    component = np.zeros(worlds.models, dtype=int)
    rates = worlds.rates() * 1e7
    truth = bradley_terry.fit(a, b, rates, 1e7 - rates, component)
    rounds = np.stack([bootstrap(worlds, votes, world) for world in range(len(truth))])
    order = np.argsort(-truth, axis=1)
    here = np.arange(len(truth))[:, None]
    yield inside(truth, rounds)
    yield inside(truth[:, a] - truth[:, b], rounds[:, :, a] - rounds[:, :, b])
    high, low = order[:, :-1], order[:, 1:]
    beside = rounds[here, :, high] - rounds[here, :, low]  # (worlds, neighbours, rounds)
    yield inside(truth[here, high] - truth[here, low], beside.swapaxes(1, 2))


def bootstrap(worlds: Worlds, votes: PairVotes, world: int, rounds: int = 200) -> np.ndarray:
    """(rounds, M): the ratings that `rank --method bt` takes its intervals from; every item has one vote."""
    wins, squares, number = (part[world] for part in (votes.wins, votes.wins_squared, votes.votes))
    tied = 4 * (wins - squares)
    won = wins - tied / 2
    outcomes = np.rint(np.stack([won, tied, number - won - tied])).astype(int)
    kind, pair = np.nonzero(outcomes)
    points = np.array([1, 0.5, 0])[kind]
    value = np.stack([points, 1 - points], axis=1)
    rng = np.random.default_rng([3, world])
    drawn = resampling.bootstrap_counts(pair, value, outcomes[kind, pair], rounds, rng)
    return bradley_terry.fit(*worlds.pairs, drawn[..., 0], drawn[..., 1], np.zeros(worlds.models, dtype=int))


def inside(truth: np.ndarray, rounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.percentile(rounds, [2.5, 97.5], axis=1)
    return (low <= truth) & (truth <= high), high - low


def placed(policy: str, worlds: Worlds) -> Iterator[np.ndarray]:
    """How many places the last model is off after each of `LOOKS` votes on pairs of its own, in each world."""
    new = worlds.models - 1
    own = (worlds.pairs[0] == new) | (worlds.pairs[1] == new)
    given = worlds.judged(10)
    for sums in vars(given).values():
        sums[:, own] = 0
    worlds.closed = ~own
    true = (worlds.strength > worlds.strength[:, [new]]).sum(axis=1)
    states = play(
        policy, worlds, worlds.pairs, models=worlds.models, judgments=max(LOOKS), rng=np.random.default_rng(2), floor=0,
        votes=given, targets=lambda now: beside(now, new),
    )  # fmt: skip
    for state in states:
        if state.judgments in LOOKS:
            now = posterior.fit(worlds.pairs, state.votes, worlds.models, start=state.posterior)
            yield np.abs((now.mean > now.mean[:, [new]]).sum(axis=1) - true)


def beside(now: Posterior, model: int) -> tuple[np.ndarray, np.ndarray]:
    """The orders of a model and its neighbours; at an end of the order, its one neighbour stands there twice."""
    order = now.order()
    position = np.argmax(order == model, axis=1)
    first = np.stack([np.maximum(position - 1, 0), np.minimum(position, order.shape[1] - 2)], axis=1)
    return np.take_along_axis(order, first, 1), np.take_along_axis(order, first + 1, 1)


# --- how they look


def head(label: str) -> None:
    names = (f"{100 * low:.0f} to {100 * high:.0f} %" for low, high in zip(w.BINS, w.BINS[1:], strict=False))
    print(f"{label:{LABEL}s}" + "".join(f"{name:>14s}" for name in names))


def row(label: str, sure: np.ndarray, right: np.ndarray) -> None:
    cells = (f"{100 * share:.1f} ({count:,})" if count else "-" for count, _, share in w.calibration(sure, right))
    print(f"{label:{LABEL}s}" + "".join(f"{cell:>14s}" for cell in cells), flush=True)


def stop_row(label: str, votes: np.ndarray, called: np.ndarray, right: np.ndarray) -> None:
    """Shares among the worlds that stopped; votes among all, those that never stopped at the cap."""
    stopped = np.isfinite(votes)
    numbers = [share[stopped].mean() for share in (called, right, right.all(axis=1))]
    cells = "".join(
        f"{100 * share:{width}.1f} %" for share, width in zip((stopped.mean(), *numbers), (7, 7, 7, 9), strict=True)
    )
    at = np.minimum(votes, CAP)
    rest = f"  never stopped: {100 * right[~stopped].mean():.1f} % right" if (~stopped).any() else ""
    print(f"{label:{LABEL}s}{cells}{np.median(at):>15.0f}{at.mean():>7.0f}{rest}", flush=True)


TABLES = {
    table.__name__: table
    for table in (fixed_numbers, chosen_numbers, stopping, intervals, placing, forecasting, policies)
}

if __name__ == "__main__":
    for name in sys.argv[1:] or TABLES:
        print(f"\n{TABLES[name].__doc__}\n")
        TABLES[name]()
