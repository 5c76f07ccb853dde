"""Reads JSONL, JSON, CSV and Parquet files as rows, each with the line that it begins on.

Which columns a row needs is the business of the format that reads it. Texts come out storable: without NUL characters
and lone surrogates. A file that is not what it should be raises InputError.
"""

from __future__ import annotations

import glob
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from madetl.errors import InputError
from madetl.formats import delimited
from madetl.formats.duck import connected
from madetl.formats.opening import STANDARD_INPUT, decoded, read_bytes, unpacked_name
from madetl.text import storable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_STANDARD_INPUT_NAME = "standard input"
_DEEPEST = 100  # lists and objects in one another: more than any file has, and less than Python's own limit
_SPACE = re.compile(r"[ \t\r\n]*")


class _KeyTwiceError(ValueError):
    """An object of JSON has a key twice; the message is that key."""


class _TooDeepError(ValueError):
    """A value has lists and objects in one another beyond what is read."""

    def __init__(self) -> None:
        super().__init__(f"lists and objects stand in one another, more than {_DEEPEST} deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _KeyTwiceError(next(name for name in names if names.count(name) > 1))
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


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
    """The rows of a file, or of standard input for '-', in any of the formats, packed or not, in UTF-8 or UTF-16.

    .csv, .tsv and .parquet files are known by their name, others by their first character. `short_rows`: a row of a
    CSV file may lack its last cells, as spreadsheets leave empty ones out. Empty rows of a CSV file are left out. The
    names of columns are taken in lower case, without the blanks around them. Raises InputError where the file cannot
    be read, is not of its format, has a column twice, or has no rows.
    """
    name = _STANDARD_INPUT_NAME if file == STANDARD_INPUT else file
    data = read_bytes(file, name)
    rows, replaced = [], 0
    for line, value in _values(name, file, data, short_rows):
        fields, count = _storable_object(name, line, value)
        rows.append(FileRow(line, _in_lower_case(name, line, fields)))
        replaced += count
    if not rows:
        raise InputError(name, "there are no rows in it.")
    if len(rows) == 1 and _is_columns(rows[0].fields):
        message = 'one JSON object of columns, as pandas\' to_json() writes; expected rows: to_json(orient="records").'
        raise InputError(name, message, line=rows[0].line)
    return FileRows(name, rows, replaced)


def _is_columns(fields: dict[str, Any]) -> bool:
    """Whether an object is a table by columns, each an object of the rows' numbers."""
    columns = list(fields.values())
    return len(columns) > 1 and all(
        isinstance(column, dict) and column and all(map(str.isdecimal, column)) for column in columns
    )


def _values(name: str, file: str, data: bytes, short_rows: bool) -> Iterator[tuple[int, Any]]:
    """(line, value) of every record, by the reader for this kind of file."""
    suffix = Path(unpacked_name(file)).suffix.lower()
    if data.startswith(b"PAR1") or suffix == ".parquet":
        return _from_parquet(name, Path(file), data)
    text = decoded(name, data)
    reader = _text_reader(suffix, text)
    return reader(name, text) if reader else delimited.rows(name, text, short_rows=short_rows)


def _text_reader(suffix: str, text: str) -> Callable[[str, str], Iterator[tuple[int, Any]]] | None:
    """The reader of a JSON file; None: the text is CSV."""
    start = _end_of_space(text, 0)
    first = text[start : start + 1]
    if suffix in {".csv", ".tsv"} or (first not in {"[", "{"} and not suffix.startswith(".json")):
        return None
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
        if isinstance(error, _KeyTwiceError):
            raise InputError(file, f"an object has the key {described(str(error))} twice.", line=where) from error
        fault = _TooDeepError() if isinstance(error, RecursionError) else error
        raise InputError(file, f"JSON that cannot be read: {fault}.", line=where) from error


def _from_parquet(name: str, path: Path, data: bytes) -> Iterator[tuple[int, Any]]:
    """The records of a Parquet file, with the types that it gives them."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder, connected() as duck:
        if not path.is_file() or path.stat().st_size != len(data):  # it came through a pipe, or packed
            path = Path(folder) / "input.parquet"
            path.write_bytes(data)
        try:
            file = {"file": glob.escape(str(path))}
            names = _parquet_columns(duck, file)
            delimited.refuse_twice(name, None, names)
            # hive_partitioning: a folder called a=b adds no column
            found = duck.execute("SELECT * FROM read_parquet($file, hive_partitioning = false)", file)
            yield from ((line, dict(zip(names, row, strict=True))) for line, row in enumerate(found.fetchall(), 1))
        except duckdb.Error as error:
            raise InputError(name, f"not a Parquet file: {str(error).splitlines()[0]}.") from error


def _parquet_columns(duck: DuckDBPyConnection, file: dict[str, str]) -> list[str]:
    """The names of a file's columns as they are: DuckDB numbers those that differ in letter case alone."""
    schema = duck.execute("SELECT name, coalesce(num_children, 0) FROM parquet_schema($file)", file).fetchall()
    columns, left = [], iter(schema[1:])  # the first is the whole; a column is followed by what stands in it
    for name, inside in left:
        columns.append(name)
        unread = inside
        while unread:
            unread += next(left)[1] - 1
    return columns


def _end_of_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _storable_object(file: str, line: int, value: Any) -> tuple[dict[str, Any], int]:
    """The fields of a record with every text in them storable, and how many characters were replaced."""
    if not isinstance(value, dict):
        raise InputError(file, f"found {described(value)}; expected an object with named fields.", line=line)
    try:
        fields, count = _storable(value)
    except _TooDeepError as error:
        raise InputError(file, f"JSON that cannot be read: {error}.", line=line) from error
    return fields, count


def _in_lower_case(file: str, line: int, fields: dict[str, Any]) -> dict[str, Any]:
    found = {name.strip().lower(): value for name, value in fields.items()}
    if len(found) < len(fields):
        delimited.refuse_twice(file, line, list(fields))
    return found


def _storable(value: Any, depth: int = 0) -> tuple[Any, int]:
    """The value with every text in it storable, and how many characters were replaced."""
    if isinstance(value, str):
        return storable(value)
    if depth > _DEEPEST:
        raise _TooDeepError
    if isinstance(value, dict):
        pairs = {storable(str(key))[0]: _storable(item, depth + 1) for key, item in value.items()}
        return {key: item for key, (item, _) in pairs.items()}, sum(count for _, count in pairs.values())
    if isinstance(value, list):
        items = [_storable(item, depth + 1) for item in value]
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
