"""Each migration on a database with rows in every table, as the version before it made them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import ClassVar

import pytest

from madetl.store import database, sqlfiles
from tests.support import versions

Rows = list[dict[str, object]]
ADDED_INDICES = [("instructions_generation",)]  # by version 3
LATEST = max(number for number, _ in sqlfiles.migrations())


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return tmp_path / "old.db"


def old(file: Path, version: int) -> Path:
    versions.make(file, version)
    return file


def migrate(file: Path, version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brings the file to this version, by a madetl that knows no later one."""
    known = [(number, script) for number, script in sqlfiles.migrations() if number <= version]
    with monkeypatch.context() as patch:
        patch.setattr(sqlfiles, "migrations", lambda: known)
        with database.writing(file):
            pass


def tables(file: Path) -> list[str]:
    db = sqlite3.connect(file)
    names = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    db.close()
    return names


def rows(file: Path, name: str) -> Rows:
    """All rows of a table or view, in one order."""
    db = sqlite3.connect(file)
    db.row_factory = sqlite3.Row
    found = [dict(row) for row in db.execute(f"SELECT * FROM {name}")]
    db.close()
    return found


def with_columns(found: Rows, columns: dict[str, object]) -> Rows:
    return [row | columns for row in found]


@pytest.mark.parametrize("version", range(1, LATEST))
class TestEveryMigration:
    def test_every_table_of_the_old_database_holds_rows(self, made: Path, version: int) -> None:
        assert [name for name in tables(old(made, version)) if not rows(made, name)] == []

    def test_foreign_keys_and_rules_hold_after_it(self, made: Path, version: int) -> None:
        with database.writing(old(made, version)) as db:
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            for wrong in ("UPDATE ratings SET component = 0", "UPDATE annotators SET kind = 'nobody'"):
                with pytest.raises(sqlite3.IntegrityError):
                    db.execute(wrong)

    def test_indices_stay(self, made: Path, version: int) -> None:
        index = "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        db = sqlite3.connect(old(made, version))
        before = db.execute(index).fetchall()
        db.close()
        with database.writing(made) as migrated:
            now = [tuple(row) for row in migrated.execute(index)]
        assert [row for row in now if row not in ADDED_INDICES] == before


class TestVotesAndComponents:
    """Version 2: one view of votes; components by their name."""

    RENAMED: ClassVar = {
        "ratings": {"island": "component"},
        "leaderboard": {"island": "component"},
        "agreement": {"items": "response_pairs"},
    }
    VIEWS = ("battles", "selected_pairs", "taken_slots", "win_rates", "leaderboard", "agreement", "progress", "spend")

    def renamed(self, name: str, found: Rows) -> Rows:
        new = self.RENAMED.get(name, {})
        return [{new.get(key, key): value for key, value in row.items()} for row in found]

    def test_the_rows_stay(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = {name: self.renamed(name, rows(made, name)) for name in tables(old(made, 1))}
        migrate(made, 2, monkeypatch)
        assert {name: rows(made, name) for name in tables(made)} == before

    def test_the_views_say_what_they_said(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = {name: sorted(self.renamed(name, rows(old_file, name)), key=str) for old_file in [old(made, 1)]
                  for name in self.VIEWS}  # fmt: skip
        firsts = rows(made, "first_verdicts")
        migrate(made, 2, monkeypatch)
        assert all(before.values())
        assert {name: sorted(rows(made, name), key=str) for name in self.VIEWS} == before
        kept = [{key: row[key] for key in firsts[0]} for row in rows(made, "first_verdicts")]
        assert sorted(kept, key=str) == sorted(firsts, key=str)


class TestWhatIsRanked:
    """Version 3: crowds, verdicts that count, ranks that may be missing."""

    NEW: ClassVar = {
        "judgments": {"status": "counted", "turn": None, "anony": None},
        "instructions": {"language": None},
        "ratings": {"selections": None, "probability_best": None},
        "selection_sets": {"generation": "all"},
    }

    def test_the_rows_stay(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = {name: with_columns(rows(made, name), self.NEW.get(name, {})) for name in tables(old(made, 2))}
        migrate(made, 3, monkeypatch)
        for row in before["ratings"]:
            row["rank"] = row["rank"] if row["lower"] != row["upper"] else None
        for row in before["selection_sets"]:
            row["scenarios"] = None if (scenario := row.pop("scenario")) is None else json.dumps([scenario])
        repeats = {1, 4, 13}  # asked again, and the second verdicts of a person and of a judge model
        for row in before["judgments"]:
            row["status"] = "repeat" if row["id"] in repeats else "counted"
        for row in before["annotators"]:
            row["kind"] = "crowd" if row["name"] == "arena" else row["kind"]
        assert {name: rows(made, name) for name in tables(made)} == before

    def test_what_counts_is_each_ones_first_verdict_and_all_that_a_crowd_said(
        self, made: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = rows(old(made, 2), "first_verdicts")
        migrate(made, 3, monkeypatch)
        after = {row["judgment_id"] for row in rows(made, "votes")}
        assert after == {row["judgment_id"] for row in before} | {11}

    def test_a_second_vote_is_refused_whoever_writes_it(self, made: Path) -> None:
        columns = "annotator_id, response_a_id, response_b_id, winner, source, source_id"
        with database.writing(old(made, 2)) as db:
            for annotator, pair in ((1, (21, 22)), (3, (11, 13))):
                with pytest.raises(sqlite3.IntegrityError, match="counted judgment of these two responses"):
                    db.execute(
                        f"INSERT INTO judgments ({columns}) VALUES (?, ?, ?, 'tie', 'x', 'x')", (annotator, *pair)
                    )
            db.execute(f"INSERT INTO judgments ({columns}) VALUES (4, 41, 42, 'tie', 'x', 'x')")
            for change in ("status = 'counted' WHERE id = 1", "annotator_id = 1 WHERE id = 5"):
                with pytest.raises(sqlite3.IntegrityError, match="counted judgment of these two responses"):
                    db.execute(f"UPDATE judgments SET {change}")

    def test_an_interval_without_width_gives_no_rank(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        assert any(row["lower"] == row["upper"] for row in rows(old(made, 2), "ratings"))
        migrate(made, 3, monkeypatch)
        assert {row["rank"] is None for row in rows(made, "ratings") if row["lower"] == row["upper"]} == {True}
        assert any(row["rank"] for row in rows(made, "ratings"))

    def test_a_selection_keeps_its_scenario_and_all_generations(
        self, made: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert [row["scenario"] for row in rows(old(made, 2), "selection_sets")] == [None, 'The "new" one']
        migrate(made, 3, monkeypatch)
        found = [(row["scenarios"], row["generation"]) for row in rows(made, "selection_sets")]
        assert found == [(None, "all"), (json.dumps(['The "new" one']), "all")]
        assert "scenario" not in rows(made, "selection_sets")[0]

    def test_the_pool_has_the_rewritings_where_there_are_any(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        instructions = rows(old(made, 2), "instructions")
        assert {(row["scenario"], row["generation"]) for row in instructions} == {
            ("Writing", 0), ("Writing", 1), ("Reasoning", 0),
        }  # fmt: skip
        migrate(made, 3, monkeypatch)
        pool = {(row["scenario"], row["generation"]) for row in rows(made, "pool")}
        assert pool == {("Writing", 1), ("Reasoning", 0)}
        inference = {
            (row["name"], row["scenario"]): (row["done"], row["pending"])
            for row in rows(made, "progress")
            if row["stage"] == "inference"
        }
        assert inference == {
            ("a", "Writing"): (1, 0), ("b", "Writing"): (1, 0), ("c", "Writing"): (0, 1),
            ("a", "Reasoning"): (1, 0), ("b", "Reasoning"): (1, 0),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("generation", "fits"),
        [
            ("evolved", True),
            ("3", True),
            ('{"Writing": "seeds"}', True),
            ("newest", False),
            ("[1]", False),
            ("", False),
        ],
    )
    def test_what_a_generation_may_be(self, made: Path, generation: str, fits: bool) -> None:
        with database.writing(old(made, 2)) as db:
            statement = "UPDATE selection_sets SET generation = ?"
            if fits:
                db.execute(statement, (generation,))
            else:
                with pytest.raises(sqlite3.IntegrityError):
                    db.execute(statement, (generation,))
