"""The models of a study: what each has, and one name for a model that files of different origin name differently.

A merge gives one model's rows to another as if they had been imported under that name. Canonical order is by model id,
so that a row may have to change sides: its winner and the order shown change with it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from madetl.errors import ParameterError
from madetl.store import sqlfiles
from madetl.store.database import transaction
from madetl.store.judgments import Side, turned
from madetl.text import counted

_OTHER: dict[Side, Side] = {"model_a": "model_b", "model_b": "model_a"}


@dataclass(frozen=True)
class Renamed:
    """`new` is the model's name now. `merged`: rows per table that the other model took over. `dropped`: rows that it
    had already, or that would compare it with itself. Both are None where the name was free. `repeats`: votes that are
    repeats now, since their annotator has judged the same two answers under both names."""

    new: str
    merged: dict[str, int] | None = None
    dropped: dict[str, int] | None = None
    repeats: int = 0


def listing(db: sqlite3.Connection) -> list[dict[str, Any]]:
    """One row per model: its name, provider, counts of responses and judgments, latest overall rating and rank."""
    return [dict(row) for row in db.execute(sqlfiles.query("store/model_list"))]


def rename(db: sqlite3.Connection, old: str, new: str, *, merge: bool = False) -> Renamed:
    """Renames a model; where `new` exists and `merge` is set, gives it all that `old` has, and `old` goes.

    Raises ParameterError for an unknown or empty name, a name that is taken (without `merge`), and models that
    were judged against each other.
    """
    with transaction(db):
        old_id = _model_id(db, old)
        if old_id is None:
            raise ParameterError(f"No model is called {old!r}. `madetl models` lists them.")
        new = new.strip()
        if not new:
            raise ParameterError("The new name is empty. Give a name.")
        new_id = _model_id(db, new)
        if new_id is None:
            db.execute("UPDATE models SET name = ? WHERE id = ?", (new, old_id))
            return Renamed(new)
        if new_id == old_id:
            raise ParameterError(f"The model is called {old!r} already.")
        if not merge:
            raise ParameterError(f"There is a model {new!r} already. --merge gives it all that {old!r} has.")
        return _Merge(db, old_id, new_id).run(old, new)


def _model_id(db: sqlite3.Connection, name: str) -> int | None:
    names = (name, name.strip())  # as it is stored; else as imports store names
    row = db.execute("SELECT id FROM models WHERE name IN (?, ?) ORDER BY name <> ?", (*names, name)).fetchone()
    return None if row is None else int(row["id"])


@dataclass(frozen=True)
class _Ends:
    """The two responses of a row as they will be, in canonical order."""

    response_a_id: int
    response_b_id: int
    model_a_id: int
    model_b_id: int
    flipped: bool


class _Merge:
    """One merge in progress, inside the caller's transaction. The responses move last: until then their model tells
    which rows have to follow."""

    def __init__(self, db: sqlite3.Connection, old_id: int, new_id: int) -> None:
        self.db, self.old_id, self.new_id = db, old_id, new_id
        self.ids = {"old_id": old_id, "new_id": new_id}
        # Old response -> the one that it becomes: itself, or the one of the same text that is there already.
        self.becomes = {row[0]: row[1] for row in db.execute(sqlfiles.query("store/merge_targets"), self.ids)}
        self.merged: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.repeats = 0

    def run(self, old: str, new: str) -> Renamed:
        battles = self.db.execute(sqlfiles.query("store/battles_between"), self.ids).fetchone()[0]
        if battles:
            raise ParameterError(
                f"{old!r} and {new!r} were judged against each other {counted(battles, 'time')}, so they cannot be one "
                "model."
            )
        self._drop_own_pair()
        self._move_judgments()
        self._move_similarities()
        self._move_selections()
        self._move_responses()
        self._move_the_rest()
        self.db.execute("DELETE FROM models WHERE id = :old_id", self.ids)
        return Renamed(new, dict(self.merged), dict(self.dropped), self.repeats)

    def _drop_own_pair(self) -> None:
        """Drops the comparisons of the two models with each other: a model is not compared with itself."""
        pair = {"a": min(self.old_id, self.new_id), "b": max(self.old_id, self.new_id)}
        where = "pair_id IN (SELECT id FROM pairs WHERE model_a_id = :a AND model_b_id = :b)"
        assigned = f"SELECT count(*) FROM assignments WHERE selection_id IN (SELECT id FROM selections WHERE {where})"
        self.dropped["assignments"] += self.db.execute(assigned, pair).fetchone()[0]
        for table in ("selections", "similarities"):
            self.dropped[table] += self.db.execute(f"DELETE FROM {table} WHERE {where}", pair).rowcount

    def _rows(self, table: str) -> Iterator[tuple[sqlite3.Row, _Ends]]:
        """The rows of a table that compare a response of the old model, in order of id, with their new ends."""
        rows = self.db.execute(
            f"SELECT t.*, ra.model_id AS model_a_id, rb.model_id AS model_b_id FROM {table} AS t"
            " JOIN responses AS ra ON ra.id = t.response_a_id JOIN responses AS rb ON rb.id = t.response_b_id"
            " WHERE t.response_a_id IN (SELECT id FROM responses WHERE model_id = :old_id)"
            " OR t.response_b_id IN (SELECT id FROM responses WHERE model_id = :old_id) ORDER BY t.id",
            self.ids,
        ).fetchall()
        for row in rows:
            yield row, self._ends(row)

    def _ends(self, row: sqlite3.Row) -> _Ends:
        a, b = (
            (self.new_id if row[f"model_{side}_id"] == self.old_id else row[f"model_{side}_id"],
             self.becomes.get(row[f"response_{side}_id"], row[f"response_{side}_id"]))
            for side in "ab"
        )  # fmt: skip
        flipped = a[0] > b[0]
        if flipped:
            a, b = b, a
        return _Ends(a[1], b[1], a[0], b[0], flipped)

    def _pair_id(self, ends: _Ends) -> int:
        models = (ends.model_a_id, ends.model_b_id)
        self.db.execute("INSERT OR IGNORE INTO pairs (model_a_id, model_b_id) VALUES (?, ?)", models)
        row = self.db.execute("SELECT id FROM pairs WHERE model_a_id = ? AND model_b_id = ?", models).fetchone()
        return int(row["id"])

    def _move_judgments(self) -> None:
        for row, ends in self._rows("judgments"):
            winner = turned(row["winner"]) if ends.flipped else row["winner"]
            shown_first = _OTHER.get(row["shown_first"]) if ends.flipped else row["shown_first"]
            there = self.db.execute(
                "SELECT winner, shown_first FROM judgments WHERE annotator_id = ? AND response_a_id = ?"
                " AND response_b_id = ? AND source_id = ? AND id <> ?",
                (row["annotator_id"], ends.response_a_id, ends.response_b_id, row["source_id"], row["id"]),
            ).fetchone()
            if there is not None and tuple(there) == (winner, shown_first):
                self._drop("judgments", row["id"])
                continue
            self._keep_one_vote(row, ends)
            # The same id of another verdict: two verdicts all the same, and none may be lost.
            source_id = row["source_id"] if there is None else f"{row['source_id']}:merged:{row['id']}"
            self.db.execute(
                "UPDATE judgments SET response_a_id = ?, response_b_id = ?, winner = ?, shown_first = ?, source_id = ?"
                " WHERE id = ?",
                (ends.response_a_id, ends.response_b_id, winner, shown_first, source_id, row["id"]),
            )
            self.merged["judgments"] += 1

    def _keep_one_vote(self, row: sqlite3.Row, ends: _Ends) -> None:
        """Where an annotator has judged the same two answers under both names, their first verdict stays their vote.

        Nobody told them that it was the same question: the other verdict is a repeat.
        """
        ids = {name: row[name] for name in ("id", "annotator_id")}
        ids |= {"response_a_id": ends.response_a_id, "response_b_id": ends.response_b_id}
        self.repeats += self.db.execute(sqlfiles.query("store/second_vote_repeats"), ids).rowcount

    def _move_similarities(self) -> None:
        for row, ends in self._rows("similarities"):
            moved = self.db.execute(
                "UPDATE OR IGNORE similarities SET pair_id = ?, response_a_id = ?, response_b_id = ? WHERE id = ?",
                (self._pair_id(ends), ends.response_a_id, ends.response_b_id, row["id"]),
            ).rowcount
            if moved:
                self.merged["similarities"] += 1
            else:
                self._drop("similarities", row["id"])

    def _move_selections(self) -> None:
        for row, ends in self._rows("selections"):
            pair_id = self._pair_id(ends)
            there = self.db.execute(
                "SELECT id, response_a_id, response_b_id FROM selections"
                " WHERE set_id = ? AND pair_id = ? AND instruction_id = ? AND id <> ?",
                (row["set_id"], pair_id, row["instruction_id"], row["id"]),
            ).fetchone()
            if ends.flipped:
                self.db.execute(sqlfiles.query("store/flip_assignments"), {"selection_id": row["id"]})
            if there is not None:
                if tuple(there)[1:] == (ends.response_a_id, ends.response_b_id):
                    self._move_assignments(row["id"], there["id"])
                left = "SELECT count(*) FROM assignments WHERE selection_id = ?"
                self.dropped["assignments"] += self.db.execute(left, (row["id"],)).fetchone()[0]
                self._drop("selections", row["id"])
                continue
            self.db.execute(
                sqlfiles.query("store/repoint_selection"),
                {"id": row["id"], "set_id": row["set_id"], "rank": row["rank"], "pair_id": pair_id,
                 "response_a_id": ends.response_a_id, "response_b_id": ends.response_b_id},
            )  # fmt: skip
            self.merged["selections"] += 1

    def _move_assignments(self, selection_id: int, twin_id: int) -> None:
        """Moves assignments to the pick of the same answers, but for annotators to whom that one was dealt too."""
        moved = "UPDATE OR IGNORE assignments SET selection_id = ? WHERE selection_id = ?"
        self.merged["assignments"] += self.db.execute(moved, (twin_id, selection_id)).rowcount

    def _move_responses(self) -> None:
        """Responses with a new text take the next sample numbers; the others are deleted, as no row needs them now."""
        for response_id, target in self.becomes.items():
            if response_id != target:
                self._drop("responses", response_id)
            else:
                self.db.execute(sqlfiles.query("store/give_response"), {"id": response_id, "new_id": self.new_id})
                self.merged["responses"] += 1

    def _move_the_rest(self) -> None:
        self.merged["calls"] += self.db.execute(sqlfiles.query("store/give_calls"), self.ids).rowcount
        self.db.execute("UPDATE metrics SET model_id = :new_id WHERE model_id = :old_id", self.ids)
        self.db.execute(sqlfiles.query("store/inherit_provider"), self.ids)
        # A run that rated both keeps the rating of the one that stays.
        given = "UPDATE OR IGNORE ratings SET model_id = :new_id WHERE model_id = :old_id"
        self.merged["ratings"] += self.db.execute(given, self.ids).rowcount
        self.dropped["ratings"] += self.db.execute("DELETE FROM ratings WHERE model_id = :old_id", self.ids).rowcount

    def _drop(self, table: str, row_id: int) -> None:
        self.db.execute(f"DELETE FROM {table} WHERE id = ?", (row_id,))
        self.dropped[table] += 1
