"""Reads JSONL, JSON, CSV and Parquet files as rows, each with the line that it begins on.

Which columns a row needs is the business of the format that reads it. Texts come out storable: without NUL characters
and lone surrogates. A file that is not what it should be raises InputError.
"""

from __future__ import annotations

import csv
import glob
import io
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madetl.errors import InputError
from madetl.text import counted, storable

STANDARD_INPUT = "-"
_STANDARD_INPUT_NAME = "standard input"

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()
_CELL_LIMIT = 2**31 - 1  # characters; Python's own limit of 131,072 is below real answers


@dataclass(frozen=True, slots=True)
class FileRow:
    """One record of a file. `line` is the line that it begins on, from 1 (in Parquet, the number of the record)."""

    line: int
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FileRows:
    """The rows of one file, `file` as messages call it.

    `replaced` counts the characters that cannot be stored and were replaced by U+FFFD.
    """

    file: str
    rows: list[FileRow]
    replaced: int = 0

    @property
    def name(self) -> str:
        """The name without its folder."""
        return "stdin" if self.file == _STANDARD_INPUT_NAME else Path(self.file).name

    @property
    def origin(self) -> str:
        """The file's name after its folder's, whatever the working directory; '-' for standard input and pipes."""
        path = Path(self.file)
        if self.file == _STANDARD_INPUT_NAME or path.is_fifo():
            return STANDARD_INPUT
        path = path.resolve()
        return storable(f"{path.parent.name}/{path.name}")[0]


def read_rows(file: str, *, short_rows: bool = False) -> FileRows:
    """The rows of a file, or of standard input for '-', in any of the formats.

    .csv, .tsv and .parquet files are known by their name, others by their first character. `short_rows`: a row of a
    CSV file may lack its last cells, as spreadsheets leave empty ones out. Empty rows of a CSV file are left out, and
    the names in its header are taken in lower case. Raises InputError where the file cannot be read, is not of its
    format, or has no rows.
    """
    data = _read_bytes(file)
    name = _STANDARD_INPUT_NAME if file == STANDARD_INPUT else file
    if data.startswith(b"PAR1") or file.lower().endswith(".parquet"):
        found = _from_parquet(name, file, data)
    else:
        text = _decoded(name, data)
        reader = _text_reader(file, text)
        found = _from_csv(name, text, short_rows) if reader is _from_csv else reader(name, text)
    rows, replaced = [], 0
    for line, value in found:
        fields, count = _storable(_as_object(name, line, value))
        rows.append(FileRow(line, fields))
        replaced += count
    if not rows:
        raise InputError(name, "there are no rows in it.")
    return FileRows(name, rows, replaced)


def _read_bytes(file: str) -> bytes:
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    path = Path(file)
    if path.is_dir():
        raise InputError(file, "this is a folder; name the files in it.")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(file, "there is no such file.") from error
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror or error}.") from error


def _decoded(file: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        found = "this looks like UTF-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "this is not UTF-8"
        message = f"{found} (byte 0x{error.object[error.start]:02x}). Save the file as UTF-8."
        raise InputError(file, message, line=line) from error


def _text_reader(file: str, text: str) -> Callable[[str, str], Iterator[tuple[int, Any]]]:
    suffix = Path(file).suffix.lower()
    start = _end_of_space(text, 0)
    first = text[start : start + 1]
    if suffix in {".csv", ".tsv"} or (first not in {"[", "{"} and not suffix.startswith(".json")):
        return _from_csv
    return _from_list if first == "[" else _from_lines


def _from_list(file: str, text: str) -> Iterator[tuple[int, Any]]:
    """The values of a JSON list, decoded one by one so that each knows its line."""
    position = _end_of_space(text, _end_of_space(text, 0) + 1)
    line, counted = 1, 0
    closed = text[position : position + 1] == "]"
    while not closed:
        line, counted = line + text.count("\n", counted, position), position
        value, position = _decode(file, text, position)
        yield line, value
        position = _end_of_space(text, position)
        closed = text[position : position + 1] == "]"
        if not closed and text[position : position + 1] != ",":
            raise InputError(file, "not valid JSON: expected , or ] here.", line=text.count("\n", 0, position) + 1)
        position = position if closed else _end_of_space(text, position + 1)
    rest = _end_of_space(text, position + 1)
    if rest < len(text):
        raise InputError(file, "not valid JSON: the list has ended before.", line=text.count("\n", 0, rest) + 1)


def _from_lines(file: str, text: str) -> Iterator[tuple[int, Any]]:
    """One JSON value per line that is not blank, split at \\n alone: U+2028 and its like are part of strings."""
    for line, content in enumerate(text.split("\n"), start=1):
        start = _end_of_space(content, 0)
        if start == len(content):
            continue
        try:
            value, end = _decode(file, content, start, line)
        except InputError as error:
            raise _one_object(file, text) or error from error
        if _end_of_space(content, end) < len(content):
            raise InputError(file, f"not valid JSON: more after the value, in column {end + 1}.", line=line)
        yield line, value


def _one_object(file: str, text: str) -> InputError | None:
    """What to say of a file that holds one JSON object over several lines."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return None
    return InputError(file, "one JSON object; expected a list of objects, or an object on each line.")


def _decode(file: str, text: str, position: int, line: int | None = None) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg}, in column {error.colno}."
        raise InputError(file, message, line=line or error.lineno) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets in brackets in brackets
        where = line or text.count("\n", 0, position) + 1
        raise InputError(file, f"JSON that cannot be read: {error}.", line=where) from error


def _from_csv(file: str, text: str, short_rows: bool = False) -> Iterator[tuple[int, Any]]:
    """The rows under the header by its names. The delimiter is the one of , ; and tab that makes the most columns."""
    csv.field_size_limit(_CELL_LIMIT)
    delimiter = max(",;\t", key=lambda sign: len(next(_csv_lines(file, text, sign), (0, []))[1]))
    lines = _csv_lines(file, text, delimiter)
    start, names = next(lines, (1, []))
    header = _without_last_blanks([name.strip().lower() for name in names], 0)
    _check_header(file, start, header)
    for line, cells in lines:
        if not any(map(str.strip, cells)):
            continue
        found = _without_last_blanks(cells, len(header))
        if len(found) > len(header) or (len(found) < len(header) and not short_rows):
            raise InputError(file, f"found {counted(len(found), 'cell')}; the header has {len(header)}.", line=line)
        yield line, dict(zip(header, found, strict=False))


def _without_last_blanks(cells: list[str], keep: int) -> list[str]:
    """The cells without the blank ones after the first `keep`: spreadsheets write columns that nobody filled."""
    end = len(cells)
    while end > keep and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def _csv_lines(file: str, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line that the record begins on, cells) of every record that is not a blank line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        unclosed = "unexpected end of data" in str(error)
        message = 'a quotation mark (") is opened here and never closed' if unclosed else f"not valid CSV: {error}"
        raise InputError(file, f"{message}.", line=line) from error


def _check_header(file: str, line: int, header: list[str]) -> None:
    if "" in header:
        raise InputError(file, f"column {header.index('') + 1} of the header has no name.", line=line)
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise InputError(
            file, "the header has this column twice (letter case does not count).", line=line, field=twice[0]
        )


def _from_parquet(name: str, file: str, data: bytes) -> Iterator[tuple[int, Any]]:
    """The records of a Parquet file, with the types that it gives them."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder, duckdb.connect(":memory:") as duck:
        path = Path(file)
        if file == STANDARD_INPUT:
            path = Path(folder) / "input.parquet"
            path.write_bytes(data)
        try:
            # hive_partitioning: a folder called a=b adds no column
            found = duck.execute(
                "SELECT * FROM read_parquet($file, hive_partitioning = false)", {"file": glob.escape(str(path))}
            )
            names = [column[0] for column in found.description or []]
            yield from ((line, dict(zip(names, row, strict=True))) for line, row in enumerate(found.fetchall(), 1))
        except duckdb.Error as error:
            raise InputError(name, f"not a Parquet file: {str(error).splitlines()[0]}.") from error


def _end_of_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _as_object(file: str, line: int, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(file, f"found {described(value)}; expected an object with named fields.", line=line)
    return value


def _storable(value: Any) -> tuple[Any, int]:
    """The value with every text in it storable, and how many characters were replaced."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        pairs = {key: _storable(item) for key, item in value.items()}
        return {storable(key)[0]: item for key, (item, _) in pairs.items()}, sum(count for _, count in pairs.values())
    if isinstance(value, list):
        items = [_storable(item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    return value, 0


def described(value: Any) -> str:
    """What was found, in a few words for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"{value}".lower()
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
