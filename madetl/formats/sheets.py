"""The blind annotation sheet, and the words that people write into it. Pure: texts in, texts out.

A sheet travels through spreadsheet programs, so its cells must not run as formulas, and what comes back may have other
line ends. Neither the database nor models are known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from madetl.records import Winner

CELL_LIMIT = 32_767
"""What a cell of a spreadsheet holds, in UTF-16 units; the rest of a longer text is lost there."""

_VERDICTS: dict[str, Winner] = {
    "model_a": "model_a",
    "model_b": "model_b",
    "response_1": "model_a",
    "response_2": "model_b",
    "tie": "tie",
    "both_bad": "both_bad",
}
WORDS = tuple(_VERDICTS)
"""The verdicts that every file of judgments may hold."""

# What a spreadsheet may run as a formula: the signs, their full-width forms (a Japanese Excel takes them for the same),
# and a tab or line end before anything. And what it would turn into a number, a date or a truth value: digits and signs
# with at most one word among them, true, false. Apostrophes before them are counted in, so that taking one off is
# always right.
_NUMERIC = r"[\d\s.,:/%$€£()+-]{0,20}"
_CHANGED = re.compile(
    r"'*(?!')(?:\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r]"
    rf"|(?=.{{0,50}}\d){_NUMERIC}[a-z]{{0,9}}\.?{_NUMERIC}\Z|(?:true|false)\Z)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SheetAssignment:
    """An assignment as one row of a sheet: `number` is its id, the responses come in the order drawn for it."""

    number: int
    instruction: str
    reference_answer: str | None
    response_1: str
    response_2: str


def protected(text: str) -> str:
    """The text as a cell that no spreadsheet runs or changes: with an apostrophe before it where one would.

    Reversible: `unprotected(protected(text)) == text` for every text. Source: OWASP, CSV injection.
    """
    return f"'{text}" if _CHANGED.match(text) else text


def unprotected(cell: str) -> str:
    """What `protected` made the cell from."""
    return cell[1:] if cell.startswith("'") and _CHANGED.match(cell) else cell


def same_text(cell: str, text: str) -> bool:
    """Whether a cell that came back holds the text, as far as a spreadsheet can keep it.

    White space and line ends may have changed, the apostrophe may have been taken off, and a text over the limit may
    have been cut.
    """
    found, expected = {plain(cell), plain(unprotected(cell))}, plain(text)
    if expected in found:
        return True
    return is_too_long(text) and len(cell) > CELL_LIMIT // 4 and any(expected.startswith(start) for start in found)


def is_too_long(text: str) -> bool:
    """Whether the text is over the limit of a spreadsheet's cell."""
    text = protected(text)
    return len(text) > CELL_LIMIT // 2 and len(text.encode("utf-16-le")) // 2 > CELL_LIMIT


def whole_instruction(instruction: str, input: str) -> str:
    """The instruction with its input after it, as a person reads it."""
    return f"{instruction}\n\n{input}" if input else instruction


def sheet_columns(assignments: Iterable[SheetAssignment]) -> list[str]:
    """The columns of a sheet. Reference answers have one only where there are any."""
    reference = ["reference_answer"] if any(one.reference_answer for one in assignments) else []
    return ["item", "instruction", *reference, "response_1", "response_2", "winner", "comment"]


def sheet_records(assignments: Sequence[SheetAssignment]) -> list[dict[str, Any]]:
    """The rows of a sheet by column, the texts as they are, winner and comment empty."""
    columns = sheet_columns(assignments)
    records = []
    for one in assignments:
        texts = {
            "instruction": one.instruction,
            "reference_answer": one.reference_answer or "",
            "response_1": one.response_1,
            "response_2": one.response_2,
        }
        record = {"item": one.number} | texts | {"winner": "", "comment": ""}
        records.append({column: record[column] for column in columns})
    return records


def csv_rows(assignments: Sequence[SheetAssignment]) -> list[list[Any]]:
    """The rows of a sheet with every text protected."""
    return [
        [protected(value) if isinstance(value, str) else value for value in record.values()]
        for record in sheet_records(assignments)
    ]


def too_long(assignments: Iterable[SheetAssignment]) -> list[int]:
    """The numbers of the assignments with a cell over the limit."""
    return [
        one.number for one in assignments if any(map(is_too_long, (one.instruction, one.response_1, one.response_2)))
    ]


def item_number(cell: str) -> int | None:
    """The number in a cell of the column item (spreadsheets may write 12 as 12.0), or None."""
    match = re.fullmatch(r"'?(\d{1,18})(?:[.,]0*)?", cell.strip())
    return int(match[1]) if match else None


def verdict(cell: str, model_a: str = "", model_b: str = "") -> Winner | None:
    """The verdict in a winner's cell: model_a, model_b, tie or both_bad; None where the cell holds none of them.

    model_a is the first of the two models, whatever its name. Where the models' names are given, a name counts too.
    Letter case, blanks and hyphens in the fixed words do not matter; a name has to be exact. A cell that means one
    verdict as a fixed word and another as a name holds none.
    """
    word = re.sub(r"[\s_-]+", "_", cell.strip().casefold())
    by_word = _VERDICTS.get(word)
    names: dict[str, Winner] = {model_b: "model_b", model_a: "model_a"}
    by_name = names.get(cell.strip()) if cell.strip() else None
    if by_word and by_name and by_word != by_name:
        return None
    return by_word or by_name


def plain(text: str) -> str:
    """The text with every run of white space made one blank."""
    return " ".join(text.split())
