"""What one package hands to another: a record per instruction, response or battle of a file.

The reader of a file has checked everything that its records hold: texts are text without NUL and lone surrogates, names
are not blank, a winner is one of the four words. Whoever stores records need not look again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Winner = Literal["model_a", "model_b", "tie", "both_bad"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructionRecord:
    """An instruction of a scenario. `line` is where it stands in its file, from 1; 0: nowhere.

    `language` is what the file calls it, such as English.
    """

    scenario: str
    instruction: str
    input: str = ""
    reference_answer: str | None = None
    language: str | None = None
    source: str | None = None
    line: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRecord(InstructionRecord):
    """One model's answer to the instruction; it may be empty."""

    model: str
    response: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BattleRecord(InstructionRecord):
    """Two models' answers to the instruction and what somebody thought of them.

    a and b stand in the order of the file; `order_known` says that a is what the annotator saw first. `winner` is in
    that order too; None: not judged. `score` is the similarity of the answers, `seconds` the time that the verdict
    took, `created_at` UTC text in ISO 8601, `source_id` the file's own id of the battle. `turn` is how many turns the
    conversation has, `anony` whether the models' names were hidden.
    """

    model_a: str
    response_a: str
    model_b: str
    response_b: str
    winner: Winner | None
    order_known: bool
    annotator: str
    score: float | None = None
    explanation: str | None = None
    comment: str | None = None
    seconds: float | None = None
    created_at: str | None = None
    source_id: str | None = None
    turn: int | None = None
    anony: bool | None = None
