"""The rows of a file of judgments: of a filled sheet, or of a plain table. Pure: cells in, checked records out.

Faults of single rows are collected, so that a person who typed them hears of all at once. Nothing here knows whether
the numbers, instructions and models are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from madetl.errors import InputError
from madetl.formats.reading import FileRow, FileRows, described
from madetl.formats.sheets import WORDS, item_number, verdict
from madetl.records import Winner
from madetl.text import counted

SHEET_COLUMNS = ("item", "response_1", "response_2", "winner")
SHEET_TEXTS: tuple[str, ...] = ("instruction", "response_1", "response_2")
TABLE_COLUMNS = ("instruction", "model_a", "model_b", "winner")

_MOST_SHOWN = 20
_OTHER_NAMES = {"tstamp": "created_at"}  # as in the view battles


@dataclass
class Problems:
    """What is wrong with the rows of one file."""

    file: str
    found: list[InputError] = field(default_factory=list)

    def add(self, line: int, field: str | None, message: str) -> None:
        """Notes that a row cannot be imported."""
        self.found.append(InputError(self.file, message, line=line, field=field))

    def raise_any(self, advice: str = "") -> None:
        """Raises InputError where anything was found: all of it in one message, with what to do about it."""
        if not self.found:
            return
        if len(self.found) == 1:
            [only] = self.found
            raise InputError(only.file, only.message + advice, line=only.line, field=only.field)
        found = sorted(self.found, key=lambda error: error.line or 0)
        lines = [str(error).removeprefix(f"{self.file}, ") for error in found[:_MOST_SHOWN]]
        more = len(found) - len(lines)
        listed = "".join(f"\n  {line}" for line in lines) + (f"\n  … and {more} more" if more else "")
        raise InputError(self.file, f"{counted(len(found), 'fault')} in its rows.{advice}{listed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """A judged row of a sheet. `winner` is in the sheet's order: model_a is response 1. `texts` by column."""

    line: int
    item: int
    texts: dict[str, str]
    winner: Winner
    comment: str | None
    annotator: str | None
    seconds: float | None = None
    created_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """A judged row of a plain table, in its order. None: the table does not say."""

    line: int
    instruction: str
    input: str | None
    scenario: str | None
    model_a: str
    model_b: str
    response_a: str | None
    response_b: str | None
    winner: Winner
    annotator: str
    created_at: str | None
    comment: str | None


def cells(rows: FileRows) -> list[tuple[int, dict[str, str]]]:
    """(line, text of each cell by its column's name in lower case) of every row that is not empty.

    Every row has every column of the file. Raises InputError where a cell holds a list or an object.
    """
    file = where(rows)
    found = [(row.line, _texts(file, row)) for row in rows.rows]
    empty = {name: "" for _, texts in found for name in texts}
    return [(line, empty | texts) for line, texts in found if any(map(str.strip, texts.values()))]


def where(rows: FileRows) -> str:
    """The file as messages name it."""
    return "standard input" if rows.file == "-" else rows.file


def is_sheet(file: str, columns: Sequence[str]) -> bool:
    """Whether these are the columns of a sheet (True) or of a plain table (False). Raises InputError if of neither."""
    if set(SHEET_COLUMNS) <= set(columns):
        return True
    if set(TABLE_COLUMNS) <= set(columns):
        return False
    raise InputError(
        file,
        f"found the columns {', '.join(columns) or '(none)'}; expected those of a sheet ({', '.join(SHEET_COLUMNS)}) "
        f"or of a table of judgments ({', '.join(TABLE_COLUMNS)}).",
    )


def sheet_rows(rows: Sequence[tuple[int, dict[str, str]]], problems: Problems) -> list[SheetRow]:
    """The rows with a winner; those without one are not judged."""
    found = []
    lines: dict[int, int] = {}
    for line, row in rows:
        if not row["winner"].strip():
            continue
        item, winner = item_number(row["item"]), verdict(row["winner"])
        if item is None:
            problems.add(line, "item", f"{described(row['item'])} is no item number.")
        elif item in lines:
            problems.add(line, "item", f"item {item} stands on line {lines[item]} already.")
        if winner is None:
            expected = "response_1, response_2, tie or both_bad (a sheet is blind: models have no names on it)"
            on_item = f" on item {item}" if item is not None else ""
            problems.add(line, "winner", f"{described(row['winner'])} is no verdict{on_item}; expected {expected}.")
        if item is None or winner is None:
            continue
        lines.setdefault(item, line)
        texts = {name: row[name] for name in SHEET_TEXTS if name in row}
        person = row.get("annotator", "").strip() or None
        comment = _filled(row, "comment")
        found.append(SheetRow(line=line, item=item, texts=texts, winner=winner, comment=comment, annotator=person))
    return found


def table_rows(
    rows: Sequence[tuple[int, dict[str, str]]], annotator: str | None, scenario: str | None, problems: Problems
) -> list[TableRow]:
    """The rows with a winner; those without one are not judged. The defaults count where a row does not say.

    Raises InputError where nobody is named as the annotator.
    """
    defaults = {"annotator": annotator or "", "scenario": scenario or ""}
    found = []
    for line, row in rows:
        if not row["winner"].strip():
            continue
        filled = row | {name: row.get(name, "").strip() or default for name, default in defaults.items()}
        if not filled["annotator"]:
            message = "nobody is named; --annotator NAME says whose verdicts these are."
            raise InputError(problems.file, message, line=line, field="annotator")
        before = len(problems.found)
        checked = _table_row(line, filled, problems)
        if checked is not None and len(problems.found) == before:
            found.append(checked)
    return found


def _table_row(line: int, row: dict[str, str], problems: Problems) -> TableRow | None:
    for name in TABLE_COLUMNS:
        if not row[name].strip():
            problems.add(line, name, "is empty.")
    model_a, model_b = row["model_a"].strip(), row["model_b"].strip()
    if model_a and model_a == model_b:
        problems.add(line, "model_b", f"{described(model_b)} is compared with itself.")
    time = row.get("created_at", "").strip()
    created_at = utc_time(time)
    if time and created_at is None:
        problems.add(line, "created_at", f"{described(time)} is no time; expected one like 2024-05-31T13:45:00Z.")
    winner = verdict(row["winner"], model_a, model_b)
    if winner is None:
        expected = f"{', '.join(WORDS)}, {described(model_a)} or {described(model_b)}"
        problems.add(line, "winner", f"{described(row['winner'])} is no verdict; expected {expected}.")
        return None
    return TableRow(
        line=line,
        instruction=row["instruction"],
        input=row.get("input"),
        scenario=row["scenario"] or None,
        model_a=model_a,
        model_b=model_b,
        response_a=row.get("response_a"),
        response_b=row.get("response_b"),
        winner=winner,
        annotator=row["annotator"],
        created_at=created_at,
        comment=_filled(row, "comment"),
    )


def utc_time(text: str) -> str | None:
    """The time as UTC text in ISO 8601; one without a zone is taken for UTC. None where it is none.

    Seconds since 1970 are a time too, as in Arena's `tstamp`.
    """
    try:
        time = _epoch(text) or datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError, OSError):
        return None
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _epoch(text: str) -> datetime | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return datetime.fromtimestamp(seconds, UTC) if seconds > 1e8 else None  # before 1973: a date like 20240531


def _texts(file: str, row: FileRow) -> dict[str, str]:
    texts = {}
    for name, value in row.fields.items():
        if isinstance(value, list | dict):
            raise InputError(file, f"found {described(value)}; expected text.", line=row.line, field=name)
        key = name.strip().lower()
        texts[_OTHER_NAMES.get(key, key)] = "" if value is None else str(value)
    return texts


def _filled(row: dict[str, str], name: str) -> str | None:
    value = row.get(name, "")
    return value if value.strip() else None
