"""Reads the answers of a model in the layout of AlpacaEval's model_outputs.json.

Source: https://github.com/tatsu-lab/alpaca_eval: a list of objects with instruction, output, generator and dataset.
"""

from __future__ import annotations

from sqlmodel import SQLModel

from madetl.formats.checking import Name, Text, checked, read_each
from madetl.formats.reading import FileRow, FileRows
from madetl.records import ResponseRecord

SCENARIO = "AlpacaEval"


class AlpacaEvalRow(SQLModel):
    """One answer. `dataset` is the part of the benchmark that the instruction is from."""

    instruction: Text
    input: str | None = None
    output: str
    generator: Name
    dataset: str | None = None


def read(rows: FileRows, scenario: str = SCENARIO) -> list[ResponseRecord]:
    """One record per answer; the data set becomes part of its source. Raises InputError."""

    def read_row(rows: FileRows, row: FileRow) -> ResponseRecord:
        found = checked(AlpacaEvalRow, rows, row)
        return ResponseRecord(
            scenario=scenario,
            instruction=found.instruction,
            input=found.input or "",
            source=f"alpaca-eval:{found.dataset}" if found.dataset else "alpaca-eval",
            line=row.line,
            model=found.generator,
            response=found.output,
        )

    return read_each(rows, read_row)
