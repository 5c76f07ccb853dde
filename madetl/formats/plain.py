"""Reads plain rows of instructions or responses: JSONL, JSON, CSV or Parquet with named columns."""

from __future__ import annotations

from sqlmodel import SQLModel

from madetl.errors import InputError
from madetl.formats.checking import INSTRUCTION, ReferenceAnswer, Text, checked, filled, read_each, scenario_of
from madetl.formats.reading import FileRow, FileRows
from madetl.records import InstructionRecord, ResponseRecord

_INSTRUCTION = {"instruction": INSTRUCTION, "reference_answer": ("reference_answer", "answer", "output")}
_RESPONSE = {"instruction": INSTRUCTION, "response": ("response", "output")}


class InstructionRow(SQLModel):
    """A row with an instruction under one of its names."""

    instruction: Text
    input: str | None = None
    reference_answer: ReferenceAnswer = None
    language: str | None = None
    scenario: str | None = None


class ResponseRow(InstructionRow):
    """A row with an answer to the instruction, and perhaps the model that gave it."""

    response: str
    model: str | None = None


def read_instructions(rows: FileRows, scenario: str | None = None) -> list[InstructionRecord]:
    """One record per row; `scenario` is for rows that name none. Raises InputError."""

    def read(rows: FileRows, row: FileRow) -> InstructionRecord:
        found = checked(InstructionRow, rows, row, _INSTRUCTION)
        return InstructionRecord(
            scenario=scenario_of(rows, row, found.scenario, scenario),
            instruction=found.instruction,
            input=found.input or "",
            reference_answer=filled(found.reference_answer),
            language=filled(found.language),
            source=f"instructions:{rows.name}",
            line=row.line,
        )

    return read_each(rows, read)


def read_responses(rows: FileRows, scenario: str | None = None, model: str | None = None) -> list[ResponseRecord]:
    """One record per row; `scenario` and `model` are for rows that name none. Raises InputError."""

    def read(rows: FileRows, row: FileRow) -> ResponseRecord:
        found = checked(ResponseRow, rows, row, _RESPONSE)
        name = (found.model or "").strip() or model
        if not name:
            message = "no model here, and none was given. --model NAME names one for all rows without."
            raise InputError(rows.file, message, line=row.line, field="model")
        return ResponseRecord(
            scenario=scenario_of(rows, row, found.scenario, scenario),
            instruction=found.instruction,
            input=found.input or "",
            reference_answer=filled(found.reference_answer),
            language=filled(found.language),
            source=f"responses:{rows.name}",
            line=row.line,
            model=name,
            response=found.response,
        )

    return read_each(rows, read)
