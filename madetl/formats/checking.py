"""Checks the fields of rows against a format; an error names file, line and field, what was found, what was expected.

A format declares its row as an SQLModel class of these types; `checked` fills it. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, StringConstraints, ValidationError
from sqlmodel import SQLModel

from madetl.errors import InputError
from madetl.formats.reading import FileRow, FileRows, described

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""A model's, annotator's or scenario's name, without the blanks around it."""
Text = Annotated[str, StringConstraints(min_length=1)]
"""A text that may not be empty, exactly as it is."""


def _scalar_text(value: Any) -> Any:
    """Numbers and truth values as JSON writes them; anything else as it is."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return json.dumps(value) if isinstance(value, bool | int | float) else value


ReferenceAnswer = Annotated[str | None, BeforeValidator(_scalar_text)]
"""An optional text that files also give as a number or a truth value; some files write NaN where there is none."""


def _absent_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


GivenOrNaN = BeforeValidator(_absent_if_nan)
"""Of an optional field that some files write NaN for where there is none."""


def from_cell(value: Any) -> Any:
    """What the cell of a table holds: JSON where a list or an object is written in it, nothing where it is blank."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    if value.lstrip()[0] not in "[{":
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value  # the text that was found, for the message


FromCell = BeforeValidator(from_cell)
"""For an optional field that is no text: tables have it as JSON in a cell, and blank where there is none."""
Number = Annotated[float | None, FromCell]
"""An optional number."""

INSTRUCTION = ("instruction", "question", "prompt", "text")
"""The names that files use for an instruction, the best first."""

_LISTED = 10  # bad rows that a message names
_EXPECTED = {
    "string_type": "text",
    "float_type": "a number",
    "float_parsing": "a number",
    "list_type": "a list",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
}

SomeRow = TypeVar("SomeRow", bound=SQLModel)
Record = TypeVar("Record")


def read_each(rows: FileRows, read: Callable[[FileRows, FileRow], Record]) -> list[Record]:
    """What `read` makes of every row. Raises one InputError that names the bad rows, if there are any."""
    records, errors = [], []
    for row in rows.rows:
        try:
            records.append(read(rows, row))
        except InputError as error:
            errors.append(error)
    if errors:
        raise together(errors)
    return records


def checked(
    kind: type[SomeRow], rows: FileRows, row: FileRow, aliases: Mapping[str, Sequence[str]] | None = None
) -> SomeRow:
    """The row as `kind`. `aliases` gives, for a field, the names that a file may have it under, the best first."""
    fields = dict(row.fields)
    called = {}
    for field, names in (aliases or {}).items():
        called[field] = next((name for name in names if name in row.fields), names[0])
        fields[field] = fields.get(called[field])
        if called[field] not in row.fields:
            del fields[field]
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        problem: Any = error.errors()[0]
        first = str(problem["loc"][0])
        field = ".".join([called.get(first, first), *(str(part) for part in problem["loc"][1:])])
        message = _message(problem, row, (aliases or {}).get(first, ()))
        raise InputError(rows.file, message, line=row.line, field=field) from error


def filled(value: str | None) -> str | None:
    """An optional text, None where it is empty: a CSV file cannot tell the two apart."""
    return value or None


def finite(rows: FileRows, row: FileRow, field: str, value: float | None) -> float | None:
    """An optional number. Raises InputError for NaN and the infinite, which JSON files written by Python may hold."""
    if value is not None and not math.isfinite(value):
        raise InputError(rows.file, f"found {value}; expected a number.", line=row.line, field=field)
    return value


def scenario_of(rows: FileRows, row: FileRow, value: str | None, default: str | None) -> str:
    """The scenario that the row names, else the one given for the file."""
    scenario = (value or "").strip() or default
    if not scenario:
        message = "no scenario here, and none was given. --scenario NAME names one for all rows without."
        raise InputError(rows.file, message, line=row.line, field="scenario")
    if scenario == "overall":
        message = 'found "overall", which is what rankings call all scenarios together; use another name.'
        raise InputError(rows.file, message, line=row.line, field="scenario")
    return scenario


def _message(problem: Mapping[str, Any], row: FileRow, names: Sequence[str]) -> str:
    if problem["type"] == "missing":
        also = f" ({' or '.join(names[1:])} would do)" if len(names) > 1 else ""
        return f"missing{also}; the row has {_listed(list(row.fields))}."
    if problem["type"] == "string_too_short":
        return "empty; expected text."
    expected = _EXPECTED.get(problem["type"]) or str(problem["msg"]).removeprefix("Input should be ")
    return f"found {described(problem['input'])}; expected {expected}."


def _listed(names: Sequence[str]) -> str:
    shown = [name if len(name) <= 40 else f"{name[:37]}…" for name in names[:_LISTED]]
    return ", ".join(shown + ["…"] * (len(names) > _LISTED)) or "no fields"


def together(errors: Sequence[InputError]) -> InputError:
    """The first error, with the lines of the others after it."""
    first, others = errors[0], errors[1:]
    if not others:
        return first
    lines = [f"line {error.line}" + (f" ({error.field})" if error.field else "") for error in others[: _LISTED - 1]]
    more = f", and {len(others) - len(lines):,} more" if len(others) > len(lines) else ""
    message = f"{first.message} Bad too: {', '.join(lines)}{more}."
    return InputError(first.file, message, line=first.line, field=first.field)
