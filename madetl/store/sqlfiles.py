"""Finds the files of schema/ and sql/ and the example: inside the package (a wheel) or beside it (a checkout).

A query is known by its folder and name: `query("selection/mad_picks")` reads `sql/selection/mad_picks.sql`.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from textwrap import indent

_PACKAGE = Path(__file__).parents[1]
_INCLUDE = re.compile(r"^(?P<indent> *)-- include (?P<name>[\w/]+)$", re.MULTILINE)
_NOT_CODE = re.compile(r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]""", re.DOTALL)


def folder(name: str) -> Path:
    """The folder `name` ('schema' or 'sql'), from the wheel or from the checkout."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def example() -> Path:
    """The example database, from the wheel or from the checkout. To be copied, never to be written to."""
    inside = _PACKAGE / "mad.db.example"
    return inside if inside.is_file() else _PACKAGE.parent / "mad.db.example"


def migrations() -> list[tuple[int, str]]:
    """(version, SQL) of every file of schema/, in order; the version is the number that the file's name begins with."""
    files = sorted(folder("schema").glob("[0-9]*_*.sql"))
    return [(int(file.name.split("_")[0]), file.read_text(encoding="utf-8")) for file in files]


def query_files() -> dict[str, Path]:
    """Every query of sql/ as folder/name; DuckDB queries keep `.duckdb` in their names. No bare name occurs twice."""
    files = sorted(folder("sql").glob("*/*.sql"))
    return {f"{file.parent.name}/{file.name.removesuffix('.sql')}": file for file in files}


@cache
def query(name: str) -> str:
    """The statement of one query, `folder/name`, whole. Raises KeyError where there is none of that name.

    A line `-- include folder/name` stands for the statement of that file, so that what several queries build on is
    written once.
    """
    text = query_files()[name].read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda line: indent(_bare(query(line["name"])), line["indent"]), text)


def _bare(sql: str) -> str:
    """A statement without the comment above it and the semicolon: what can stand in parentheses."""
    return re.sub(r"\A(--[^\n]*\n)+", "", sql).rstrip().removesuffix(";")


def query_parameters(sql: str) -> list[str]:
    """The `:named` parameters of a statement in order of appearance; those in comments and strings do not count."""
    bare = _NOT_CODE.sub(" ", sql)
    return list(dict.fromkeys(re.findall(r"(?<![:\w]):([A-Za-z_]\w*)", bare)))
