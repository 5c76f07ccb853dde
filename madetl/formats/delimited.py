"""The rows of delimited text: CSV as Python, R, pandas, databases and spreadsheets write it.

The delimiter is found by the header and the rows below it, as Python's csv reads them. csv.Sniffer and DuckDB's sniffer
go by the whole text and are led astray by prose: one splits a column of words at the letter o, the other a line of tabs
at the commas between them. Pure.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any

from madetl.errors import InputError
from madetl.text import counted

_DELIMITERS = ",;\t|"
_NO_DELIMITER = "\ud800"  # for a file of one column: a sign that no decoded text has
_DECLARED = re.compile(r'"?sep=([^\w\s"]|\t)"?\1*[ \t]*(?:\r\n|\r|\n)', re.IGNORECASE)
_STRAY_MARK = 'not valid CSV: text follows a quotation mark (") that closes a cell; inside a cell it is written twice'
_SAMPLE = 100_000  # characters
_CELL_LIMIT = 2**31 - 1  # characters; Python's own limit of 131,072 is below real answers


def rows(file: str, text: str, *, short_rows: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line that the row begins on, its cells by the header's names in lower case) of every row that is not empty.

    A first line such as `sep=;` names the delimiter, as spreadsheets have it. A first column without a name, which R
    and pandas write for the numbers of the rows, is left out. `short_rows`: a row may lack its last cells. Raises
    InputError for a header or a row that does not fit.
    """
    csv.field_size_limit(_CELL_LIMIT)
    declared = _DECLARED.match(text)
    body = text[declared.end() :] if declared else text
    lines = _records(file, body, declared[1] if declared else _delimiter(body), 2 if declared else 1)
    start, names = next(lines, (1, []))
    header = _without_last_blanks([name.strip().lower() for name in names], 0)
    numbered = len(header) > 1 and header[0] == ""
    _check_header(file, start, header, numbered)
    for line, cells in lines:
        if not any(map(str.strip, cells)):
            continue
        found = _without_last_blanks(cells, len(header))
        if len(found) > len(header) or (len(found) < len(header) and not short_rows):
            raise InputError(file, f"found {counted(len(found), 'cell')}; the header has {len(header)}.", line=line)
        yield line, dict(list(zip(header, found, strict=False))[numbered:])


def _delimiter(text: str) -> str:
    """The sign that splits the header, and best the rows below it as well."""
    best = max(_DELIMITERS, key=lambda sign: _fit(text, sign))
    return best if _fit(text, best)[0] > 0 else _NO_DELIMITER


def _fit(text: str, delimiter: str) -> tuple[float, int]:
    """How well a delimiter fits: the share of the first rows that are as long as the header, and the header's length.

    (0, 1) where it does not split the header. Quotation marks in unexpected positions are no fault here.
    """
    found = list(csv.reader(io.StringIO(text[:_SAMPLE], newline=""), delimiter=delimiter))
    if len(text) > _SAMPLE and len(found) > 2:
        del found[-1]  # cut off
    header, *below = [cells for cells in found if any(map(str.strip, cells))] or [[]]
    columns = len(_without_last_blanks(header, 0))
    if len(header) < 2:
        return 0, 1
    alike = sum(len(_without_last_blanks(cells, columns)) == columns for cells in below)
    return (1 + alike) / (1 + len(below)), columns


def _records(file: str, text: str, delimiter: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """(line that the record begins on, cells) of every record that is not a blank line; the text begins on `line`."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = line
    try:
        for cells in reader:
            if cells:
                yield line, cells
            line = before + reader.line_num
    except csv.Error as error:
        unclosed = "unexpected end of data" in str(error)
        message = 'a quotation mark (") is opened here and never closed' if unclosed else _STRAY_MARK
        raise InputError(file, f"{message}.", line=line) from error


def _without_last_blanks(cells: list[str], keep: int) -> list[str]:
    """The cells without the blank ones after the first `keep`: spreadsheets write columns that nobody filled."""
    end = len(cells)
    while end > keep and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def _check_header(file: str, line: int, header: list[str], numbered: bool) -> None:
    names = header[numbered:]
    if "" in names:
        column = names.index("") + 1 + numbered
        raise InputError(file, f"column {column} of the header has no name.", line=line)
    refuse_twice(file, line, names)


def refuse_twice(file: str, line: int | None, names: Sequence[str]) -> None:
    """Raises InputError where two columns have one name, up to letter case and the blanks around it."""
    plain = [name.strip().lower() for name in names]
    twice = next((name for name in plain if plain.count(name) > 1), None)
    if twice is not None:
        raise InputError(file, "this column is there twice (letter case does not count).", line=line, field=twice)
