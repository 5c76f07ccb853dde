"""Ranking: 7,471 synthetic battles of 7 models, as far apart as the published ratings say, 27 % of them ties.

The plain way is the published notebook's: a dict of ratings, a loop over the rows of a pandas frame, for each round.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from madetl.ranking import bradley_terry, components, elo, rank, resampling
from madetl.ranking.leaderboards import leaderboard
from madetl.ranking.rank import RankParameters
from madetl.store import database
from tests.benchmarks import Figure, median_seconds

BATTLES, ROUNDS, PLAIN_ROUNDS = 7471, 1000, 10
# The published medians, stretched to the 376 points that lie between first and last once Elo has converged.
MODELS = {
    name: 1000 + (published - 1000) * 376 / 102
    for name, published in {
        "gpt-4": 1056, "claude-v1": 1038, "gpt-3.5-turbo": 1020, "vicuna-13b": 1002,
        "koala-13b": 967, "alpaca-13b": 964, "chatglm-6b": 954,
    }.items()
}  # fmt: skip


def battles() -> pd.DataFrame:
    """model_a, model_b, winner: model pairs drawn evenly, ties first, else the stronger as Bradley–Terry has it."""
    rng = np.random.default_rng(0)
    names, strength = np.array(list(MODELS)), np.array(list(MODELS.values()))
    pairs = np.array([(i, j) for i in range(len(names)) for j in range(i + 1, len(names))])
    a, b = pairs[rng.integers(0, len(pairs), BATTLES)].T
    won = rng.random(BATTLES) < 1 / (1 + 10 ** ((strength[b] - strength[a]) / 400))
    winner = np.where(rng.random(BATTLES) < 0.27, "tie", np.where(won, "model_a", "model_b"))
    return pd.DataFrame({"model_a": names[a], "model_b": names[b], "winner": winner})


def plain_elo(frame: pd.DataFrame, k: float = 4, scale: float = 400, base: float = 10, start: float = 1000):
    rating = defaultdict(lambda: start)
    for _, model_a, model_b, winner in frame[["model_a", "model_b", "winner"]].itertuples():
        a, b = rating[model_a], rating[model_b]
        expected_a = 1 / (1 + base ** ((b - a) / scale))
        expected_b = 1 / (1 + base ** ((a - b) / scale))
        score = 1 if winner == "model_a" else 0 if winner == "model_b" else 0.5
        rating[model_a] += k * (score - expected_a)
        rating[model_b] += k * (1 - score - expected_b)
    return rating


def plain_rounds(frame: pd.DataFrame) -> pd.DataFrame:
    rounds = [plain_elo(frame.sample(frac=1.0, replace=True, random_state=r)) for r in range(PLAIN_ROUNDS)]
    return pd.DataFrame(rounds).quantile([0.025, 0.5, 0.975])


def figures() -> Iterator[Figure]:
    frame = battles()
    yield from _elo_figures(frame)
    yield _bradley_terry_figure(frame)
    yield _stage_figure(frame)


def _elo_figures(frame: pd.DataFrame) -> Iterator[Figure]:
    names = list(MODELS)
    a, b = (frame[side].map(names.index).to_numpy() for side in ("model_a", "model_b"))
    score = frame["winner"].map({"model_a": 1.0, "model_b": 0.0}).fillna(0.5).to_numpy()
    plain = median_seconds(lambda: plain_rounds(frame)) * ROUNDS / PLAIN_ROUNDS

    def orders(resample: str, rng: np.random.Generator) -> Iterator[np.ndarray]:
        if resample == "permute":
            return resampling.permutations(BATTLES, ROUNDS, rng)
        return resampling.bootstrap_orders(np.arange(BATTLES), a * len(names) + b, ROUNDS, rng)

    for resample in ("bootstrap", "permute"):
        seconds = median_seconds(
            lambda resample=resample: np.percentile(
                elo.ratings(a, b, score, len(names), orders(resample, np.random.default_rng(42))), [2.5, 50, 97.5], 0
            )
        )
        yield Figure(
            work=f"{ROUNDS} Elo rounds over {BATTLES:,} battles, {resample}",
            seconds=seconds,
            target="25 times as fast",
            reached=plain >= 25 * seconds,
            plain_seconds=plain,
            plain=f"row by row over a pandas frame, {PLAIN_ROUNDS} rounds measured and scaled",
        )


def _bradley_terry_figure(frame: pd.DataFrame) -> Figure:
    names = list(MODELS)
    counts = frame.assign(half=frame["winner"].map({"model_a": 2, "model_b": 0}).fillna(1))
    counts = counts.groupby(["model_a", "model_b", "half"]).size().reset_index(name="items")
    pairs, pair = np.unique(
        [counts["model_a"].map(names.index), counts["model_b"].map(names.index)], axis=1, return_inverse=True
    )
    value = np.column_stack([counts["half"], 2 - counts["half"]]) / 2
    items = counts["items"].to_numpy()
    component = components.connected(pairs[0], pairs[1], len(names))

    def bootstrap() -> np.ndarray:
        drawn = resampling.bootstrap_counts(pair.reshape(-1), value, items, ROUNDS, np.random.default_rng(42))
        fitted = bradley_terry.fit(pairs[0], pairs[1], drawn[..., 0], drawn[..., 1], component)
        return np.percentile(fitted, [2.5, 97.5], axis=0)

    seconds = median_seconds(bootstrap, repeat=7)
    return Figure(
        work=f"{ROUNDS} Bradley–Terry bootstrap rounds of the same",
        seconds=seconds,
        target="0.03 s",
        reached=seconds <= 0.03,
        plain_seconds=median_seconds(lambda: plain_bradley_terry(frame)) * ROUNDS / PLAIN_ROUNDS,
        plain=f"scikit-learn's logistic regression on a row per battle, {PLAIN_ROUNDS} rounds measured and scaled",
        note="from the counts: drawing, fitting, percentiles",
    )


def plain_bradley_terry(frame: pd.DataFrame) -> np.ndarray:
    """The published way: each round resamples the rows, doubles them so that a tie can be half a win, and regresses."""
    from sklearn.linear_model import LogisticRegression

    index = {name: i for i, name in enumerate(MODELS)}
    rounds = []
    for r in range(PLAIN_ROUNDS):
        drawn = frame.sample(frac=1.0, replace=True, random_state=r)
        rows = np.arange(len(drawn))
        x = np.zeros((len(drawn), len(index)))
        x[rows, drawn["model_a"].map(index)] = np.log(10)
        x[rows, drawn["model_b"].map(index)] = -np.log(10)
        tie = (drawn["winner"] == "tie").to_numpy()
        first, second = (drawn["winner"] == "model_a").to_numpy(), (drawn["winner"] == "model_a").to_numpy() | tie
        model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-6)
        model.fit(np.concatenate([x, x]), np.concatenate([first, second]))
        rounds.append(400 * model.coef_[0] + 1000)
    return np.percentile(rounds, [2.5, 97.5], axis=0)


def _stage_figure(frame: pd.DataFrame) -> Figure:
    with tempfile.TemporaryDirectory() as folder, database.writing(Path(folder) / "mad.db") as db:
        _fill(db, frame)
        parameters = RankParameters()
        read = median_seconds(lambda: rank.read_votes(db, parameters))
        votes = rank.read_votes(db, parameters)[0]
        ranked = median_seconds(lambda: leaderboard(votes, parameters))
        whole = median_seconds(lambda: rank.rank(db, parameters))
    return Figure(
        work="the whole stage, Elo: read, rank overall and the one scenario, store",
        seconds=whole,
        target="-",
        reached=True,
        note=f"reading both {read:.3f} s, one leaderboard {ranked:.3f} s",
    )


def _fill(db: sqlite3.Connection, frame: pd.DataFrame) -> None:
    ids = {name: i for i, name in enumerate(MODELS, 1)}
    n, a, b = range(1, len(frame) + 1), frame["model_a"].map(ids), frame["model_b"].map(ids)
    answers = [(2 * i - 1, i, x) for i, x in zip(n, a, strict=True)] + [
        (2 * i, i, y) for i, y in zip(n, b, strict=True)
    ]
    with database.transaction(db):
        database.insert_rows(db, "models", ("id", "name"), [(i, name) for name, i in ids.items()])
        database.insert_rows(
            db, "instructions", ("id", "scenario", "instruction", "hash"), [(i, "Arena", f"{i}", f"{i:064}") for i in n]
        )
        database.insert_rows(
            db,
            "responses",
            ("id", "instruction_id", "model_id", "response", "hash", "words", "characters"),
            [(*row, "an answer", "0" * 64, 2, 9) for row in answers],
        )
        db.execute("INSERT INTO annotators (id, name) VALUES (1, 'ann')")
        database.insert_rows(
            db,
            "judgments",
            ("annotator_id", "response_a_id", "response_b_id", "winner", "source", "source_id"),
            [(1, 2 * i - 1, 2 * i, winner, "bench", "1") for i, winner in zip(n, frame["winner"], strict=True)],
        )
