"""Questions of a user's own: SQL, or the name of a query in sql/, of a table or of a view.

Statements come in as text, rows go out, and the database stays as it is: the connection is read-only, and an authorizer
lets nothing but reading through (no ATTACH, no VACUUM INTO, no PRAGMA that sets anything).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from madetl.errors import ParameterError
from madetl.store import sqlfiles

Value = int | float | str | None

_INTEGER = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?([0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))([eE][+-]?[0-9]+)?")
_QUOTED = re.compile(r"""(["']).*\1""", re.DOTALL)
_CHANGES = re.compile(r"^\s*(INSERT|UPDATE|DELETE|REPLACE)\b|\b(INSERT|REPLACE)\s+INTO\b", re.MULTILINE)
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: some milliseconds
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_READING_PRAGMAS = {
    "application_id", "collation_list", "compile_options", "database_list", "encoding", "foreign_key_check",
    "foreign_key_list", "freelist_count", "function_list", "index_info", "index_list", "index_xinfo",
    "integrity_check", "page_count", "page_size", "pragma_list", "quick_check", "table_info", "table_list",
    "table_xinfo", "user_version",
}  # fmt: skip
_PRAGMAS_THAT_TAKE_A_NAME = re.compile(r"(table|index|foreign_key)_|(integrity|quick)_check")


def find(db: sqlite3.Connection, text: str) -> str:
    """The statement that a person means: SQL as it is, a query of sql/ by name, or all rows of a table or view.

    Raises ParameterError for a single word that is none of these.
    """
    word = text.strip().rstrip(";")
    if not re.fullmatch(r"\w[\w.]*", word):
        return text
    if (query := _by_bare_name().get(word)) is not None:
        if word.endswith(".duckdb"):
            raise ParameterError(f"The query {word} is in DuckDB's dialect: it is for files, not for the database.")
        return sqlfiles.query(query)
    if db.execute("SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?", (word,)).fetchone():
        return f"SELECT * FROM {word}"
    raise ParameterError(f"No query, table or view is called {word!r}. `madetl query --list` lists the queries.")


def listing() -> list[dict[str, str]]:
    """The queries of sql/ that read the database: name, the first sentence of what each returns, parameters."""
    return [
        {
            "query": name,
            "what": _first_sentence(sqlfiles.query(query)),
            "parameters": ", ".join(sqlfiles.query_parameters(sqlfiles.query(query))),
        }
        for name, query in sorted(_by_bare_name().items())
        if not name.endswith(".duckdb") and not _CHANGES.search(sqlfiles.query(query))
    ]


def _by_bare_name() -> dict[str, str]:
    """The queries of sql/ by the names that people type: those of the files, without the folder."""
    return {query.partition("/")[2]: query for query in sqlfiles.query_files()}


def typed(text: str) -> Value:
    """The value of a parameter as typed on the command line: 7 and 0.5 are numbers, null is NULL, the rest is text.

    Quotes make text of anything: '"7"' is the text 7.
    """
    if _INTEGER.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text):
        return float(text)
    if text.lower() == "null":
        return None
    return text[1:-1] if _QUOTED.fullmatch(text) else text


@contextmanager
def executed(db: sqlite3.Connection, sql: str, parameters: Mapping[str, Value]) -> Iterator[sqlite3.Cursor]:
    """The cursor of one statement that reads; its rows come as they are fetched, as plain tuples.

    Raises ParameterError, in one line, for parameters that are missing or unknown, for a statement that does more than
    read, and for whatever SQLite says about it; KeyboardInterrupt if the user stops it.
    """
    _check_parameters(sql, parameters)
    db.set_authorizer(_authorize)
    db.set_progress_handler(lambda: 0, _STEPS_BETWEEN_LOOKS)  # lets Python see a Ctrl-C while SQLite works
    try:
        cursor = db.cursor()
        cursor.row_factory = None
        cursor.execute(sql, parameters)
        if cursor.description is None:
            raise ParameterError("There is no statement to execute. Give a SELECT, or the name of a query.")
        yield cursor
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
        if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
            raise KeyboardInterrupt from error
        raise ParameterError(_explained(error)) from error
    finally:
        db.set_progress_handler(None, 0)
        db.set_authorizer(None)


def column_names(cursor: sqlite3.Cursor) -> list[str]:
    """The names of a result's columns, those that occur again numbered: id, id_2."""
    names: list[str] = []
    for column in cursor.description:
        name, count = column[0], 1
        while name in names:
            count += 1
            name = f"{column[0]}_{count}"
        names.append(name)
    return names


def readable(row: Sequence[Any]) -> list[Any]:
    """A row's values with each blob replaced by its size."""
    return [f"<{len(value)} bytes>" if isinstance(value, bytes) else value for value in row]


def _check_parameters(sql: str, parameters: Mapping[str, Value]) -> None:
    needed = sqlfiles.query_parameters(sql)
    if missing := [name for name in needed if name not in parameters]:
        raise ParameterError(f"The query needs {_named(missing)}. Give each as -p NAME=VALUE.")
    if unknown := [name for name in parameters if name not in needed]:
        takes = f"takes {_named(needed)}" if needed else "takes no parameters"
        raise ParameterError(f"The query knows no {_named(unknown)}; it {takes}.")


def _named(names: Sequence[str]) -> str:
    return ", ".join(f":{name}" for name in names)


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action in _READING and second != "load_extension":
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        return (
            sqlite3.SQLITE_OK
        )  # SQLite asks this when json_each and its like are used; query_only refuses a real change
    if action == sqlite3.SQLITE_PRAGMA and first in _READING_PRAGMAS:
        allowed = second is None or _PRAGMAS_THAT_TAKE_A_NAME.match(first)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_DENY


def _explained(error: Exception) -> str:
    message = " ".join(str(error).split())
    if getattr(error, "sqlite_errorname", "") in ("SQLITE_AUTH", "SQLITE_READONLY"):
        return "`madetl query` only reads, and this statement does more. Use sqlite3 or Python to change the file."
    if "one statement at a time" in message:
        return "Give one statement at a time."
    if "binding" in message.lower():
        return "Write parameters as :name, and give each as -p NAME=VALUE."
    return f"SQLite says: {message}."


def _first_sentence(sql: str) -> str:
    comment = re.match(r"(?:--[^\n]*\n)+", sql)
    text = " ".join(line.lstrip("- ") for line in (comment.group() if comment else "").splitlines())
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
