"""Reads battles of Chatbot Arena: two models, two conversations, the winner as model_a, model_b, tie or both_bad.

Two layouts: Chatbot Arena's own (conversation_a, conversation_b) and MAD-Eval's, where data holds the instruction,
response_1 of the row's model_a and response_2 of its model_b. model_a is the answer that the annotator saw first.
"""

from __future__ import annotations

from typing import Annotated, Any

from sqlmodel import Field, SQLModel

from madetl.errors import InputError
from madetl.formats.checking import (
    FromCell,
    GivenOrNaN,
    Name,
    Number,
    ReferenceAnswer,
    Text,
    checked,
    filled,
    finite,
    from_cell,
    read_each,
    scenario_of,
)
from madetl.formats.reading import FileRow, FileRows, described
from madetl.formats.verdicts import utc_time
from madetl.records import BattleRecord, Winner

SCENARIO = "Arena"
ANNOTATOR = "arena"
CROWDS = (ANNOTATOR, "arena_user")
"""Names that stand for many people: whoever judged where nobody is named, and Arena's own word for any visitor."""

_WINNERS: dict[str, Winner] = {
    "model_a": "model_a",
    "model_b": "model_b",
    "modedl_b": "model_b",  # so spelled in some published files
    "tie": "tie",
    "tie (bothbad)": "both_bad",
    "both_bad": "both_bad",
}
_TURNS = ("user", "assistant")
_MOST_TURNS = 1_000_000


class Turn(SQLModel):
    """One message of a conversation."""

    role: str
    content: str


class MadData(SQLModel):
    """What MAD-Eval's layout keeps in data."""

    instruction: Text
    input: str | None = None
    response_1: str
    response_2: str
    reference_answer: ReferenceAnswer = None
    answer: ReferenceAnswer = None
    score: Number = None
    explanation: str | None = None


class ArenaRow(SQLModel):
    """One battle, in either layout. `turn`: how many turns its conversation has; `anony`: the names were hidden."""

    model_a: Name
    model_b: Name
    winner: str
    scenario: str | None = None
    comment: str | None = None
    turn: Annotated[int | None, GivenOrNaN, FromCell] = Field(default=None, ge=1, le=_MOST_TURNS)
    anony: Annotated[bool | None, GivenOrNaN, FromCell] = None
    language: Annotated[str | None, GivenOrNaN] = None
    conversation_a: Annotated[list[Turn] | None, FromCell] = None
    conversation_b: Annotated[list[Turn] | None, FromCell] = None
    data: Annotated[MadData | None, FromCell] = None


def read(rows: FileRows, scenario: str = SCENARIO, annotator: str = ANNOTATOR) -> list[BattleRecord]:
    """One record per battle; `scenario` and `annotator` are for battles without a scenario or judge. Raises InputError.

    The turns of a longer conversation are kept in one text: all of the user's as the instruction, all of a model's as
    its response, each turn under a heading with its number.
    """

    def read_row(rows: FileRows, row: FileRow) -> BattleRecord:
        found = checked(ArenaRow, rows, row)
        if found.model_a == found.model_b:
            message = f"found {described(found.model_a)} on both sides; a battle is between two models."
            raise InputError(rows.file, message, line=row.line, field="model_b")
        return BattleRecord(
            scenario=scenario_of(rows, row, found.scenario, scenario),
            source=f"arena:{rows.origin}",
            line=row.line,
            model_a=found.model_a,
            model_b=found.model_b,
            winner=_winner(rows, row, found.winner),
            order_known=True,
            annotator=_judge(row) or annotator,
            comment=filled(found.comment),
            created_at=_time(rows, row),
            source_id=_own_id(row),
            turn=found.turn or _turns(found),
            anony=found.anony,
            language=filled(found.language),
            **(_from_data(rows, row, found.data) if found.data else _from_conversations(rows, row, found)),
        )

    return read_each(rows, read_row)


def _turns(found: ArenaRow) -> int | None:
    """How many turns the conversation has, where the file has it and does not say."""
    return sum(turn.role == "user" for turn in found.conversation_a or ()) or None


def _from_data(rows: FileRows, row: FileRow, data: MadData) -> dict[str, Any]:
    return {
        "instruction": data.instruction,
        "input": data.input or "",
        "reference_answer": filled(data.reference_answer or data.answer),
        "response_a": data.response_1,
        "response_b": data.response_2,
        "score": finite(rows, row, "data.score", data.score),
        "explanation": filled(data.explanation),
    }


def _from_conversations(rows: FileRows, row: FileRow, found: ArenaRow) -> dict[str, Any]:
    if not (found.conversation_a and found.conversation_b):
        message = "no turns here, and no data either; expected conversation_a and conversation_b, or data."
        field = "conversation_b" if found.conversation_a else "conversation_a"
        raise InputError(rows.file, message, line=row.line, field=field)
    asked_a, response_a = _split(rows, row, "conversation_a", found.conversation_a)
    asked_b, response_b = _split(rows, row, "conversation_b", found.conversation_b)
    if asked_a != asked_b:
        message = "the user's turns differ from those of conversation_a; a battle is about one instruction."
        raise InputError(rows.file, message, line=row.line, field="conversation_b")
    return {"instruction": asked_a, "response_a": response_a, "response_b": response_b}


def _split(rows: FileRows, row: FileRow, field: str, turns: list[Turn]) -> tuple[str, str]:
    """What was asked and what was answered."""
    wrong = next((turn.role for turn in turns if turn.role not in {*_TURNS, "system"}), None)
    if wrong is not None:
        message = f"found the role {described(wrong)}; expected user, assistant or system."
        raise InputError(rows.file, message, line=row.line, field=field)
    asked = _joined([turn.content for turn in turns if turn.role == "user"])
    answered = _joined([turn.content for turn in turns if turn.role == "assistant"])
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system" and turn.content)
    if not asked:
        raise InputError(rows.file, "empty; expected something that the user asked.", line=row.line, field=field)
    return (f"[System]\n{system}\n\n[User]\n{asked}" if system else asked), answered


def _joined(turns: list[str]) -> str:
    if len(turns) < 2:
        return "".join(turns)
    return "\n\n".join(f"[Turn {number}]\n{turn}" for number, turn in enumerate(turns, start=1))


def _winner(rows: FileRows, row: FileRow, word: str) -> Winner:
    winner = _WINNERS.get(word.strip().lower())
    if winner is None:
        message = f"found {described(word)}; expected model_a, model_b, tie, tie (bothbad) or both_bad."
        raise InputError(rows.file, message, line=row.line, field="winner")
    return winner


def _judge(row: FileRow) -> str | None:
    """Who judged: the field judge, or one like judge_hash. A list of names (a model and its prompt) is one name."""
    for field in sorted(field for field in row.fields if field == "judge" or field.startswith("judge_")):
        value = from_cell(row.fields[field])
        name = " ".join(map(str, value)) if isinstance(value, list) else str(value or "")
        if name.strip():
            return name.strip()
    return None


def _own_id(row: FileRow) -> str | None:
    value = next((row.fields[field] for field in ("question_id", "id") if row.fields.get(field) is not None), None)
    return None if value is None or isinstance(value, list | dict) else str(value).strip() or None


def _time(rows: FileRows, row: FileRow) -> str | None:
    """When the verdict was given, from seconds since 1970 or ISO 8601 (without a zone: UTC)."""
    field = "tstamp" if "tstamp" in row.fields else "timestamp"
    value = row.fields.get(field)
    if value is None or value == "":
        return None
    time = utc_time(str(value))
    if time is None:
        message = f"found {described(value)}; expected seconds since 1970, or a time like 2024-05-31T13:45:00Z."
        raise InputError(rows.file, message, line=row.line, field=field)
    return time
