"""What the tests of rankings share: items with votes, a letter for each, and the lines of a leaderboard by model."""

from __future__ import annotations

from madetl.ranking.leaderboards import Leaderboard, LeaderboardLine
from tests.conftest import Study

WINNERS = {"a": "model_a", "b": "model_b", "t": "tie", "x": "both_bad"}


def vote(study: Study, a: str, b: str, winners: str, *, scenario="Writing", annotator="ann", start=0) -> None:
    """One item per letter of `winners`, one vote each: a, b, t(ie), x (both bad). `a` must be the older model."""
    study.model(a), study.model(b)
    for number, letter in enumerate(winners, start):
        instruction = study.instruction(f"{a} against {b}, {number}", scenario)
        answers = [study.response(instruction, model, f"{model} says {number}") for model in (a, b)]
        study.judgment(*answers, WINNERS[letter], annotator)


def vote_again(study: Study, a: str, b: str, number: int, winners: str) -> None:
    """More votes on an item that `vote` made, each by another person."""
    instruction = study.instruction(f"{a} against {b}, {number}")
    sql = "SELECT id FROM responses WHERE instruction_id = ? ORDER BY model_id"
    answers = [row[0] for row in study.db.execute(sql, (instruction,))]
    for person, letter in enumerate(winners):
        study.annotator(f"p{person}")
        study.judgment(*answers, WINNERS[letter], f"p{person}")


def by_model(board: Leaderboard) -> dict[str, LeaderboardLine]:
    return {line.model: line for line in board.ratings}
