"""Stores battles: two answers to an instruction with, where there are any, a verdict and a similarity.

Records come in checked (formats/), counts go out. The caller holds the transaction.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from madetl.importing import scores as file_scores
from madetl.importing import second_verdicts
from madetl.importing.each_file import tally
from madetl.importing.scores import Score
from madetl.importing.second_verdicts import ReadVerdict, VoteRule
from madetl.records import BattleRecord, InstructionRecord, ResponseRecord
from madetl.store import instructions, judgments, responses
from madetl.store.database import ids_by_name
from madetl.store.judgments import Verdict

_T = TypeVar("_T")
_WORLDWIDE = 16  # characters from which a file's own id is taken to be unique beyond the file, as hashes and UUIDs are
_SHARED_FIELDS = [field.name for field in fields(InstructionRecord)]


@dataclass(frozen=True, slots=True)
class _Sides:
    """The ids of a stored battle, a and b in the order of its file."""

    instruction_id: int
    model_ids: tuple[int, int]
    response_ids: tuple[int, int]

    @property
    def turned(self) -> bool:
        """Whether the canonical order is the other one."""
        return self.model_ids[0] > self.model_ids[1]

    def canonical(self, sides: tuple[_T, _T]) -> tuple[_T, _T]:
        return (sides[1], sides[0]) if self.turned else sides


def numbered(records: Sequence[BattleRecord], origin: str) -> list[BattleRecord]:
    """The battles of one file, `origin` being its folder's and its own name, each with a source id of its own."""
    seen: Counter[str] = Counter()
    return [replace(record, source_id=_source_id(record, seen, origin)) for record in records]


def store(
    db: sqlite3.Connection,
    records: Sequence[BattleRecord],
    run_id: int | None,
    file: str,
    rule: VoteRule,
    *,
    metric: str | None = None,
) -> Counter[str]:
    """Stores `numbered` battles of a file, their scores only under a `metric`. Returns counts ('judgments new', …).

    Raises InputError where a verdict contradicts an earlier one. Call it inside a transaction.
    """
    asked = instructions.store(db, records, run_id)
    both = [side for record in records for side in _responses(record)]
    answered = responses.store(db, both, [asked_id for asked_id in asked.ids for _ in range(2)], run_id)
    sides = _sides(records, asked.ids, answered.ids, ids_by_name(db, "models", (side.model for side in both)))
    battles = [(record, side) for record, side in zip(records, sides, strict=True) if record.winner]
    verdicts = [
        ReadVerdict(_verdict(record, side), record.line, side.canonical((record.model_a, record.model_b)))
        for record, side in battles
    ]
    judged = second_verdicts.store(db, verdicts, run_id, rule, file)
    counts = tally("instructions", asked) + tally("responses", answered) + judged
    counts["battles not judged"] = len(records) - len(verdicts)
    scores = _scores(records, sides)
    if metric is None:
        counts["scores left out"] = len(scores)
        return counts
    return counts + tally("scores", file_scores.store(db, scores, metric, run_id))


def _sides(
    records: Sequence[BattleRecord], asked: Sequence[int], answered: Sequence[int], models: Mapping[str, int]
) -> list[_Sides]:
    """`asked` has one id per record, `answered` two."""
    return [
        _Sides(instruction_id, (models[record.model_a], models[record.model_b]), (response_a, response_b))
        for record, instruction_id, response_a, response_b in zip(
            records, asked, answered[::2], answered[1::2], strict=True
        )
    ]


def _responses(record: BattleRecord) -> tuple[ResponseRecord, ResponseRecord]:
    shared = {name: getattr(record, name) for name in _SHARED_FIELDS}
    return (
        ResponseRecord(**shared, model=record.model_a, response=record.response_a),
        ResponseRecord(**shared, model=record.model_b, response=record.response_b),
    )


def _verdict(record: BattleRecord, side: _Sides) -> Verdict:
    winner = record.winner or "tie"
    response_a_id, response_b_id = side.canonical(side.response_ids)
    return Verdict(
        annotator=record.annotator,
        response_a_id=response_a_id,
        response_b_id=response_b_id,
        winner=judgments.turned(winner) if side.turned else winner,
        shown_first=("model_b" if side.turned else "model_a") if record.order_known else None,
        source=record.source or "",
        source_id=record.source_id or "",
        seconds=record.seconds,
        comment=record.comment,
        created_at=record.created_at,
    )


def _source_id(record: BattleRecord, seen: Counter[str], origin: str) -> str:
    """The file's own id of a battle where it is unique in the world, else one made of the file and the row's content.

    A short id (1, 2, …) means nothing outside its file, and is part of the content. Some files give one long id to all
    battles about an instruction: a count tells those of the same annotator and answers apart.
    """
    battle: list[object] = [record.annotator, record.model_a, record.response_a, record.model_b, record.response_b]
    own = record.source_id or ""
    if len(own) < _WORLDWIDE:
        asked = [record.scenario, record.instruction, record.input]
        given: list[object] = [record.winner, record.order_known, record.seconds, record.created_at, record.comment]
        return judgments.content_id([own, *battle, *asked, *given], seen, origin)
    key = repr([own, *battle])
    seen[key] += 1
    return own if seen[key] == 1 else f"{own}:{seen[key]}"


def _scores(records: Sequence[BattleRecord], sides: Sequence[_Sides]) -> list[Score]:
    return [
        Score(
            side.instruction_id,
            side.canonical(side.model_ids),
            side.canonical(side.response_ids),
            record.score,
            record.explanation,
        )
        for record, side in zip(records, sides, strict=True)
        if record.score is not None
    ]
