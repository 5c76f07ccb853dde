"""Reads pairs of answers in the layout of MAD-Eval: instruction, response_1, response_2, the winner's name in output.

The file's name X-vs-Y.jsonl says that X gave response_1 and Y response_2. Files that hold all pairs (those of the
method's step 5) say it in each row's source. They do not say which answer the annotator saw first.
"""

from __future__ import annotations

import re

from sqlmodel import SQLModel

from madetl.errors import InputError
from madetl.formats.checking import Number, ReferenceAnswer, Text, checked, filled, finite, read_each
from madetl.formats.opening import unpacked_name
from madetl.formats.reading import FileRow, FileRows, described
from madetl.records import BattleRecord, Winner

SCENARIO = "MAD-Eval"
ANNOTATOR = "mad-eval"
CROWDS = (ANNOTATOR,)
"""Names that stand for many people: whoever judged where nobody is named."""

_FIELDS = {"reference_answer": ("reference_answer", "answer")}
_UNDECIDED: dict[str, Winner] = {"tie": "tie", "both_bad": "both_bad", "tie (bothbad)": "both_bad"}
_SUFFIX = re.compile(r"\.(jsonl|json|csv|tsv|parquet)$", re.IGNORECASE)
_EXAMPLE = "koala-13b-vs-gpt-4.jsonl"


class MadEvalRow(SQLModel):
    """Two answers and, where somebody judged them, the winner's name or tie."""

    instruction: Text
    input: str | None = None
    output: str | None = None
    response_1: str
    response_2: str
    reference_answer: ReferenceAnswer = None
    score: Number = None
    explanation: str | None = None
    source: str | None = None


def read(rows: FileRows, scenario: str = SCENARIO, annotator: str = ANNOTATOR) -> list[BattleRecord]:
    """One record per row, response_1 as a. Raises InputError."""

    def read_row(rows: FileRows, row: FileRow) -> BattleRecord:
        found = checked(MadEvalRow, rows, row, _FIELDS)
        model_a, model_b = _models(rows, row, found.source)
        return BattleRecord(
            scenario=scenario,
            instruction=found.instruction,
            input=found.input or "",
            reference_answer=filled(found.reference_answer),
            source=f"mad-eval:{rows.origin}",
            line=row.line,
            model_a=model_a,
            response_a=found.response_1,
            model_b=model_b,
            response_b=found.response_2,
            winner=_winner(rows, row, found.output, model_a, model_b),
            order_known=False,
            annotator=annotator,
            score=finite(rows, row, "score", found.score),
            explanation=filled(found.explanation),
        )

    return read_each(rows, read_row)


def _models(rows: FileRows, row: FileRow, source: str | None) -> tuple[str, str]:
    """The models of a row: its own source says which, else the name of the file."""
    if source:
        pair, line, field, whose = source, row.line, "source", ""
    else:
        pair, line, field, whose = rows.name, row.line, "source", "missing, and the file's name "
    names = [name.strip() for name in _SUFFIX.sub("", unpacked_name(pair)).split("-vs-")]
    if len(names) != 2 or not all(names) or names[0] == names[1]:
        message = f"{whose}{described(pair)} does not name two models; expected one like {_EXAMPLE}"
        message += "." if source else ", or such a name in the field source."
        raise InputError(rows.file, message, line=line, field=field)
    return names[0], names[1]


def _winner(rows: FileRows, row: FileRow, output: str | None, model_a: str, model_b: str) -> Winner | None:
    word = (output or "").strip()
    if not word:
        return None
    sides: dict[str, Winner] = {model_a: "model_a", model_b: "model_b"}
    winner = sides.get(word) or _UNDECIDED.get(word.lower())
    if winner is None:
        message = f"found {described(word)}; expected {model_a}, {model_b}, tie, or nothing."
        raise InputError(rows.file, message, line=row.line, field="output")
    return winner
