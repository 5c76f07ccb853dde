"""What a reader must know to read a leaderboard, in words: each function looks at one thing. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from madetl.ranking import bradley_terry, elo
from madetl.ranking.votes import FloatArray, RankParameters, Summary, Votes
from madetl.text import Note, agreeing, counted

ENOUGH_ROUNDS = 100  # below, fewer than three rounds lie beyond either end of an interval
ENOUGH_ITEMS = 5  # below, the bootstrap varies a pair's items by less than 4/5 of what it should
CONVERGED = 0.9  # the share of the way after which Elo is no longer called far from converged


def notes(votes: Votes, summary: Summary, rating: FloatArray, parameters: RankParameters) -> list[Note]:
    notes = [
        _order_note(parameters),
        _component_note(votes, summary),
        _one_way_note(votes, summary, rating) if parameters.method == "bt" else None,
        _elo_note(votes, summary, rating, parameters) if parameters.method == "elo" else None,
        _items_note(votes, parameters),
        _rounds_note(parameters),
        _anchor_note(votes, summary, parameters),
    ]
    return [note for note in notes if note]


def _order_note(parameters: RankParameters) -> Note | None:
    if parameters.resample != "permute":
        return None
    return Note(
        "order",
        "permute plays the same battles in random orders: the bands show how much the order matters, "
        "not how sure the ranking is. --resample bootstrap gives 95 % intervals.",
    )


def _component_note(votes: Votes, summary: Summary) -> Note | None:
    if summary.components == 1:
        return None
    named = "; ".join(_named(votes, summary.component == i) for i in range(summary.components))
    return Note(
        "components",
        f"no chain of battles connects these {summary.components} groups of models, so each is centred and ranked "
        f"on its own, and ratings do not compare across them: {named}.",
    )


def _one_way_note(votes: Votes, summary: Summary, rating: FloatArray) -> Note | None:
    """Names the strong components of a component that has several: by votes alone, they are infinitely far apart."""
    texts = []
    for component in range(summary.components):
        inside = summary.component == component
        groups = {
            int(g): rating[inside & (summary.strong_component == g)].mean() for g in summary.strong_component[inside]
        }
        ordered = sorted(groups, key=lambda g: -groups[g])
        if len(ordered) > 1:
            texts.append(" > ".join(f"({_named(votes, inside & (summary.strong_component == g))})" for g in ordered))
    if not texts:
        return None
    return Note(
        "one-way",
        f"between these groups not one point went the other way, so that their distance, and its interval, are set by "
        f"the weak prior (standard deviation {bradley_terry.PRIOR_SD * bradley_terry.POINTS:,.0f} points), not by "
        f"votes: {'; '.join(texts)}.",
    )


def _elo_note(votes: Votes, summary: Summary, rating: FloatArray, parameters: RankParameters) -> Note | None:
    few, many = int(summary.battles.min()), int(summary.battles.max())
    models = len(votes.models)
    least, most = (elo.share_of_the_way(battles, models, parameters.k_factor) for battles in (few, many))
    if least >= CONVERGED:
        return None
    battles = counted(few, "battle") if few == many else f"{few:,} to {many:,} battles"
    share = " to ".join(dict.fromkeys(f"{100 * part:.0f}" for part in (least, most)))
    text = (
        f"with K-factor {parameters.k_factor:g} and {battles} per model, Elo has gone about {share} % "
        "of the way from 1000 to where it would settle, and its intervals are about that point"
    )
    if summary.components == 1 and not summary.strong_component.any():
        wins_a, wins_b = summary.pair_wins.T[:, None]
        bt = bradley_terry.fit(votes.model_a, votes.model_b, wins_a, wins_b, summary.component)
        text += f" (from first to last {np.ptp(rating):.0f} points; Bradley–Terry on the same votes: {np.ptp(bt):.0f})"
    return Note("elo", f"{text}. For differences use --method bt.")


def _items_note(votes: Votes, parameters: RankParameters) -> Note | None:
    items = np.bincount(votes.outcomes.pair, votes.outcomes.items)
    few = int((items < ENOUGH_ITEMS).sum())
    if parameters.resample != "bootstrap" or not few:
        return None
    return Note(
        "items",
        f"{few} of {counted(len(items), 'model pair')} {agreeing(few)['have']} fewer than {ENOUGH_ITEMS} judged items "
        f"(the fewest: {int(items.min())}); the bootstrap draws within a pair, so the intervals are too narrow there.",
    )


def _rounds_note(parameters: RankParameters) -> Note | None:
    if parameters.rounds >= ENOUGH_ROUNDS:
        return None
    return Note(
        "rounds", f"too few for the ends of an interval: {counted(parameters.rounds, 'round')}; take 1000 of them."
    )


def _anchor_note(votes: Votes, summary: Summary, parameters: RankParameters) -> Note | None:
    if parameters.anchor is None:
        return None
    name = parameters.anchor[0]
    if name not in votes.models:
        return Note("anchor", f"the anchor {name} has no battles here, so this scale is centred on 1000.")
    if summary.components > 1:
        return Note("anchor", f"the anchor {name} shifts only the models of its own component.")
    return None


def _named(votes: Votes, which: NDArray[np.bool_]) -> str:
    return ", ".join(np.array(votes.models)[which].tolist())
