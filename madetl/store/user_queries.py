"""Questions of a user's own: SQL, or the name of a query in sql/, of a table or of a view.

Statements come in as text, rows go out, and the database stays as it is: the connection is read-only, and an authorizer
lets nothing but reading through (no ATTACH, no VACUUM INTO, no PRAGMA that sets anything).
"""

from __future__ import annotations

import re
import sqlite3
import time
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
_VIEW = re.compile(r"^DROP VIEW (?P<dropped>\w+)|(?P<comment>(?:^--[^\n]*\n)+)CREATE VIEW (?P<name>\w+)", re.MULTILINE)
_STEPS_BETWEEN_LOOKS = 100_000  # of SQLite's machine: some milliseconds
_ABOUT_THE_FILE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_BUSY", "SQLITE_CANTOPEN")
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
_READING_PRAGMAS = {
    "application_id", "collation_list", "compile_options", "database_list", "encoding", "foreign_key_check",
    "foreign_key_list", "freelist_count", "function_list", "index_info", "index_list", "index_xinfo",
    "integrity_check", "page_count", "page_size", "pragma_list", "quick_check", "table_info", "table_list",
    "table_xinfo", "user_version",
}  # fmt: skip
_PRAGMAS_THAT_TAKE_A_NAME = re.compile(r"(table|index|foreign_key)_|(integrity|quick)_check")


def find(db: sqlite3.Connection, text: str) -> str:
    """The statement that a person means: SQL as it is, all rows of a table or view, or a query of sql/ by name.

    Raises ParameterError for a single word that is none of these.
    """
    word = text.strip().rstrip(";")
    if not re.fullmatch(r"\w[\w.]*", word):
        return text
    if db.execute("SELECT 1 FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?", (word,)).fetchone():
        return f"SELECT * FROM {word}"
    if (query := _by_bare_name().get(word)) is not None:
        if word.endswith(".duckdb"):
            raise ParameterError(f"The query {word} is in DuckDB's dialect: it is for files, not for the database.")
        return sqlfiles.query(query)
    raise ParameterError(f"No query, table or view is called {word!r}. `madetl query --list` lists them.")


def listing(*, everything: bool = False) -> list[dict[str, str]]:
    """What can be asked by name: group, name, the first sentence of what it returns, parameters.

    The views first, then the queries that readers want, by the stage that they are about; with `everything` the other
    queries of sql/ that read the database after them, by folder.
    """
    views = [("views", name, _first_sentence(comment), "") for name, comment in _views().items()]
    chosen = [(group, _by_bare_name()[name]) for group, names in _FOR_READERS.items() for name in names]
    others = [(query.partition("/")[0], query) for query in _by_bare_name().values()] if everything else []
    known = {query for _, query in chosen}
    asked = [*chosen, *((folder, query) for folder, query in others if query not in known and _reads(query))]
    return [dict(zip(_LISTED, row, strict=True)) for row in (*views, *(_described(*one) for one in asked))]


_LISTED = ("group", "query", "what", "parameters")
_FOR_READERS = {
    "instructions and answers (steps 1 and 2)": ("status_scenarios", "model_list", "money_and_tokens"),
    "similarity (step 3)": ("status_similarities", "metrics_to_report"),
    "selection (step 4)": ("selections_so_far", "picks_to_report"),
    "judgment (step 5)": ("status_annotators", "verdict_habits", "judges_and_people"),
    "ranking (step 6)": ("ranking_runs", "clearest_wins_and_losses"),
}
_BEST_VIEWS = ("leaderboard", "win_rates", "battles", "selected_pairs", "agreement", "progress", "spend")


def _described(group: str, query: str) -> tuple[str, str, str, str]:
    sql = sqlfiles.query(query)
    name, parameters = query.partition("/")[2], ", ".join(sqlfiles.query_parameters(sql))
    return group, name, _first_sentence(sql), parameters


def _reads(query: str) -> bool:
    return not query.endswith(".duckdb") and not _CHANGES.search(sqlfiles.query(query))


def _views() -> dict[str, str]:
    """The comment above each view of the schema, as it was made last: those that readers want most come first."""
    found: dict[str, str] = {}
    for _, script in sqlfiles.migrations():
        for view in _VIEW.finditer(script):
            if view["dropped"]:
                found.pop(view["dropped"], None)
            else:
                found[view["name"]] = view["comment"]
    return {name: found[name] for name in (*_BEST_VIEWS, *sorted(found.keys() - set(_BEST_VIEWS)))}


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


class QueryRows:
    """The rows of a statement as plain tuples, each fetched when it is asked for.

    `columns`: their names, those that occur again numbered (id, id_2); `headings`: as they are.
    """

    def __init__(self, cursor: sqlite3.Cursor, clock: _Clock) -> None:
        self._cursor, self._clock = cursor, clock
        self.headings = [str(column[0]) for column in cursor.description]
        self.columns = _numbered(self.headings)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        self._clock.start()
        row: tuple[Any, ...] = next(self._cursor)
        self._clock.stop()
        return row


class _Clock:
    """The time that SQLite itself works at a statement: what a reader takes over the rows does not count."""

    def __init__(self, limit: float) -> None:
        self.limit, self.over = limit, False
        self._spent, self._began = 0.0, 0.0

    def start(self) -> None:
        self._began = time.monotonic()

    def stop(self) -> None:
        self._spent += time.monotonic() - self._began

    def look(self) -> bool:
        """Whether the limit is passed: True ends the statement. It lets Python see a Ctrl-C while SQLite works, too."""
        self.over = bool(self.limit) and self._spent + time.monotonic() - self._began > self.limit
        return self.over


@contextmanager
def executed(
    db: sqlite3.Connection, sql: str, parameters: Mapping[str, Value], *, timeout: float = 0
) -> Iterator[QueryRows]:
    """The result of one statement that reads.

    `timeout`: the seconds that SQLite may work at it; 0: no limit. Raises ParameterError, in one line, for parameters
    that are missing or unknown, for a statement that does more than read or takes longer, and for whatever SQLite says
    about it; KeyboardInterrupt if the user stops it. What SQLite says about the file itself is left to its opener.
    """
    _check_parameters(sql, parameters)
    clock = _Clock(timeout)
    db.set_authorizer(_authorize)
    db.set_progress_handler(clock.look, _STEPS_BETWEEN_LOOKS)
    cursor = db.cursor()
    cursor.row_factory = None
    try:
        clock.start()
        cursor.execute(sql, parameters)
        clock.stop()
        if cursor.description is None:
            raise ParameterError("There is no statement to execute. Give a SELECT, or the name of a query.")
        yield QueryRows(cursor, clock)
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
        name = str(getattr(error, "sqlite_errorname", ""))
        if clock.over:
            raise ParameterError(_took_too_long(timeout)) from error
        if name == "SQLITE_INTERRUPT":
            raise KeyboardInterrupt from error
        if name.startswith(_ABOUT_THE_FILE):
            raise
        raise ParameterError(_explained(error)) from error
    finally:
        cursor.close()  # a statement that is left open keeps the database open, and its log beside it
        db.set_progress_handler(None, 0)
        db.set_authorizer(None)


def _took_too_long(timeout: float) -> str:
    return (
        f"The query was ended after {timeout:g} s. --timeout SECONDS gives it longer, --timeout 0 as long as it takes;"
        " does a recursive query have an end?"
    )


def _numbered(headings: Sequence[str]) -> list[str]:
    names: list[str] = []
    for heading in headings:
        name, count = heading, 1
        while name in names:
            count += 1
            name = f"{heading}_{count}"
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
