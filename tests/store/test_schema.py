"""schema/ and tables.py say the same, and the DDL keeps what the design promises."""

from __future__ import annotations

import re
import sqlite3
import types
import typing
from pathlib import Path

import pydantic
import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import sqlite
from sqlmodel import SQLModel

from madetl.store import sqlfiles, tables
from tests.conftest import Study

CLASSES = {kind.__tablename__: kind for kind in tables.Row.__subclasses__()}
STRICT_TYPES = {"INTEGER": "INTEGER", "VARCHAR": "TEXT", "FLOAT": "REAL", "BLOB": "BLOB"}


def table_names(db: sqlite3.Connection) -> set[str]:
    return {row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def mirror(name: str) -> Table:
    return SQLModel.metadata.tables[name]


def test_every_table_has_its_class(db: sqlite3.Connection) -> None:
    assert table_names(db) == set(CLASSES)


@pytest.mark.parametrize("name", CLASSES)
def test_columns_are_the_same_in_order_type_and_nullability(db: sqlite3.Connection, name: str) -> None:
    ours = [
        (
            column.name,
            STRICT_TYPES[re.sub(r"\W.*", "", column.type.compile(sqlite.dialect()))],
            bool(column.nullable),
            bool(column.primary_key),
        )
        for column in mirror(name).columns
    ]
    theirs = [
        (row["name"], row["type"], not row["notnull"] and not row["pk"], row["pk"] > 0)
        for row in db.execute("SELECT * FROM pragma_table_info(?)", (name,))
    ]
    assert ours == theirs


@pytest.mark.parametrize("name", CLASSES)
def test_foreign_keys_are_the_same(db: sqlite3.Connection, name: str) -> None:
    ours = {
        (key.parent.name, key.column.table.name, key.column.name, key.ondelete) for key in mirror(name).foreign_keys
    }
    theirs = {
        (row["from"], row["table"], row["to"], row["on_delete"])
        for row in db.execute("SELECT * FROM pragma_foreign_key_list(?)", (name,))
    }
    assert ours == theirs


@pytest.mark.parametrize("name", CLASSES)
def test_defaults_are_the_same(db: sqlite3.Connection, name: str) -> None:
    for row in db.execute("SELECT name, dflt_value FROM pragma_table_info(?)", (name,)):
        field = CLASSES[name].model_fields[row["name"]]
        value = row["dflt_value"]
        if value is None or "strftime" in value:
            assert field.default is None or field.is_required()
        else:
            assert str(field.default) == value.strip("'")


@pytest.mark.parametrize("name", CLASSES)
def test_allowed_words_are_the_same(db: sqlite3.Connection, name: str) -> None:
    ddl = db.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()[0]
    for column, words in literals(CLASSES[name]).items():
        listed = ", ".join(f"'{word}'" for word in words)
        assert f"CHECK ({column} IN ({listed}))" in " ".join(ddl.split()).replace("( ", "("), column


def literals(kind: type[tables.Row]) -> dict[str, tuple[str, ...]]:
    found = {}
    for name, hint in typing.get_type_hints(kind).items():
        options = typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_args(hint) else (hint,)
        for option in (hint, *options):
            if typing.get_origin(option) is typing.Literal:
                found[name] = typing.get_args(option)
    return found


def test_create_all_is_never_called() -> None:
    package = Path(tables.__file__).parents[1]
    assert [file for file in package.rglob("*.py") if "create_all(" in file.read_text(encoding="utf-8")] == []


def test_fetch_types_rows_and_refuses_wrong_ones(db: sqlite3.Connection, study: Study) -> None:
    study.model("m")
    [model] = tables.fetch(db, tables.Model, "SELECT * FROM models WHERE name = :name", {"name": "m"})
    assert (model.id, model.name, model.settings) == (1, "m", "{}")
    with pytest.raises(pydantic.ValidationError, match="winner"):
        list(tables.fetch(db, tables.Judgment, "SELECT 1 AS id, 'nobody' AS winner"))


# --- what the design promises of the DDL


def test_every_table_is_strict_and_states_its_grain(db: sqlite3.Connection) -> None:
    strict = {row["name"]: row["strict"] for row in db.execute("SELECT name, strict FROM pragma_table_list")}
    assert all(strict[name] for name in table_names(db))
    ddl = "\n".join(script for _, script in sqlfiles.migrations())
    for kind, name in db.execute("SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view')"):
        above = ddl.split(f"\nCREATE {kind.upper()} {name} ")[0].rsplit("\n\n", 1)[-1]
        assert "One row per" in above, name


def test_every_foreign_key_has_an_index_that_begins_with_it(db: sqlite3.Connection) -> None:
    for name in table_names(db):
        leading = {
            row[0]
            for row in db.execute(
                "SELECT c.name FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS c WHERE c.seqno = 0",
                (name,),
            )
        }
        keys = {row[0] for row in db.execute('SELECT "from" FROM pragma_foreign_key_list(?)', (name,))}
        assert keys <= leading, name


def test_migrations_are_numbered_one_after_another() -> None:
    versions = [version for version, _ in sqlfiles.migrations()]
    assert versions == list(range(1, len(versions) + 1))


def test_a_judgment_must_be_in_canonical_order(db: sqlite3.Connection, study: Study) -> None:
    instruction, other = study.instruction("i"), study.instruction("j")
    a, b, elsewhere = study.response(instruction, "a", "x"), study.response(instruction, "b", "y"), 0
    elsewhere = study.response(other, "b", "z")
    study.judgment(a, b, "model_a")
    for first, second in ((b, a), (a, a), (a, elsewhere)):
        with pytest.raises(sqlite3.IntegrityError, match="lower id"):
            study.judgment(first, second, "tie", source_id="2")


def test_the_views_are_empty_on_an_empty_database_and_none_fails(db: sqlite3.Connection) -> None:
    views = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")]
    assert set(views) >= {
        "battles", "selected_pairs", "win_rates", "leaderboard", "progress", "spend", "verdicts", "votes", "agreement",
    }  # fmt: skip
    for view in views:
        assert db.execute(f"SELECT * FROM {view}").fetchall() == []


def test_battles_show_the_order_in_which_the_answers_were_shown(db: sqlite3.Connection, study: Study) -> None:
    instruction = study.instruction("i")
    a, b = study.response(instruction, "a", "x"), study.response(instruction, "b", "y")
    for n, (winner, first) in enumerate(
        [("model_a", None), ("model_a", "model_a"), ("model_a", "model_b"), ("model_b", "model_b"), ("tie", "model_b")]
    ):
        judgment = study.judgment(a, b, winner, annotator=f"ann{n}", source_id=str(n))
        db.execute("UPDATE judgments SET shown_first = ? WHERE id = ?", (first, judgment))
    rows = db.execute("SELECT model_a, model_b, winner, response_a, winner_model, order_known FROM battles").fetchall()
    assert [tuple(row) for row in rows] == [
        ("a", "b", "model_a", "x", "a", 0),
        ("a", "b", "model_a", "x", "a", 1),
        ("b", "a", "model_b", "y", "a", 1),
        ("b", "a", "model_a", "y", "b", 1),
        ("b", "a", "tie", "y", None, 1),
    ]


def test_win_rates_count_ties_half_and_leave_models_verdicts_out(db: sqlite3.Connection, study: Study) -> None:
    instruction = study.instruction("i", "Coding")
    a, b = study.response(instruction, "a", "x"), study.response(instruction, "b", "y")
    for n, winner in enumerate(["model_a", "model_a", "model_b", "tie", "both_bad"]):
        study.judgment(a, b, winner, annotator=f"ann{n}", source_id=str(n))
    study.annotator("judge", "model")
    study.judgment(a, b, "model_b", annotator="judge")
    rows = db.execute("SELECT * FROM win_rates WHERE scenario = 'Coding' ORDER BY model").fetchall()
    assert [tuple(row) for row in rows] == [
        ("Coding", "a", "b", 2, 1, 1, 1, 5, pytest.approx(3 / 5)),
        ("Coding", "b", "a", 1, 2, 1, 1, 5, pytest.approx(2 / 5)),
    ]
    assert db.execute("SELECT count(*) FROM win_rates WHERE scenario = 'overall'").fetchone()[0] == 2
