"""Writes what is stored as other projects' files: Arena battles, MAD-Eval pair files, AlpacaEval outputs, Parquet.

Rows come out of sql/exporting, files appear whole or not at all; nothing in the database changes. The blind sheets are
in `madetl.exporting.sheets`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from madetl.errors import ParameterError
from madetl.formats import writing
from madetl.ranking.rank import of_stored_names
from madetl.ranking.votes import RankParameters
from madetl.store.metrics import find_metric, metric_label
from madetl.store.scope import check_scenarios, check_selections, names_json
from madetl.store.selections import find_set
from madetl.store.sqlfiles import query


@dataclass
class ExportedFile:
    """What was written: rows, files, and notes for the reader."""

    rows: int
    files: int = 1
    notes: list[str] = field(default_factory=list)


def arena(db: sqlite3.Connection, output: Path, votes: RankParameters) -> ExportedFile:
    """One record per vote that `votes` count, in the order shown, that Arena's notebooks and `import arena` read.

    The kind of file is that of its suffix: .json, .jsonl or .parquet. Raises ParameterError where there is nothing.
    """
    suffix = output.suffix.lower()
    if suffix not in {".json", ".jsonl", ".parquet"}:
        raise ParameterError(f"{output}: a name for battles ends in .json, .jsonl or .parquet.")
    with _snapshot(db):
        votes = _known(db, votes)
        rows = db.execute(query("exporting/arena_battles"), votes.counted)
        battles = [_battle(row) for row in rows]
    if not battles:
        raise ParameterError(_no_votes(votes))
    with writing.whole_file(output) as path:
        if suffix == ".json":
            writing.write_json(path, map(_nested, battles))
        elif suffix == ".jsonl":
            writing.write_jsonl(path, map(_nested, battles))
        else:
            types = {name: _ARENA_TYPES.get(name, "TEXT") for name in battles[0]}
            writing.write_parquet(
                path, types, (list(b.values()) for b in battles), query("exporting/arena_battles.duckdb")
            )
    return ExportedFile(len(battles))


def mad_eval(
    db: sqlite3.Connection,
    folder: Path,
    votes: RankParameters,
    selection: str | None = None,
    *,
    metric: str | None = None,
) -> ExportedFile:
    """One file `X-vs-Y.jsonl` per model pair, one record per vote: of a selection's pairs, or of all judged ones.

    The pairs of a selection that nobody judged have an empty `output`. The score is that of the selection's metric, of
    `metric`, or of the only metric there is. Raises ParameterError where there is nothing, and for a metric beside a
    selection, which has its own.
    """
    if selection is not None and metric is not None:
        raise ParameterError("A selection's pairs have the scores of its own metric: give --selection or --metric.")
    with _snapshot(db):
        votes = _known(db, votes)
        metrics = _metrics(db, metric) if selection is None else []
        rows = _pair_rows(db, votes, selection, metrics)
    if not rows:
        raise ParameterError(_no_votes(votes))
    pairs = {key: list(group) for key, group in groupby(rows, key=lambda row: (row["model_a"], row["model_b"]))}
    labels = {key: f"{key[0]}-vs-{key[1]}" for key in pairs}
    names = writing.file_names(labels.values())
    with writing.whole_folder(folder) as path:
        for key, group in pairs.items():
            label = labels[key]
            records = (_pair_record(row, label if names[label] != label else None) for row in group)
            writing.write_jsonl(path / f"{names[label]}.jsonl", records)
    return ExportedFile(len(rows), len(pairs), _renamed(names) + _both_bad(rows) + _no_scores(db, metrics))


def alpaca_eval(
    db: sqlite3.Connection, folder: Path, scenarios: Sequence[str] = (), models: Sequence[str] | None = None
) -> ExportedFile:
    """One file `MODEL.json` per model with all its answers. Raises ParameterError where there are none."""
    parameters = {
        "scenarios": names_json(scenarios),
        "models": json.dumps(models, ensure_ascii=False) if models else None,
    }
    with _snapshot(db):
        _check_known(db, "models", "model", models or ())
        names = writing.file_names(row[0] for row in db.execute("SELECT name FROM models ORDER BY id"))
        rows = db.execute(query("exporting/alpaca_eval_outputs"), parameters)
        counts = {"rows": 0, "files": 0, "samples": 0}
        with writing.whole_folder(folder) as path:
            for model, group in groupby(rows, key=lambda row: row["generator"]):
                answers = list(group)
                writing.write_json(path / f"{names[model]}.json", map(_alpaca_record, answers))
                counts["rows"] += len(answers)
                counts["files"] += 1
                counts["samples"] += sum(answer["sample"] > 0 for answer in answers)
            if not counts["rows"]:
                raise ParameterError(f"There are no responses{_in(scenarios)} to export. `madetl import` brings some.")
    notes = [f"further answers of a model to the same instruction among them: {counts['samples']}"]
    return ExportedFile(counts["rows"], counts["files"], notes if counts["samples"] else [])


def parquet(db: sqlite3.Connection, folder: Path) -> ExportedFile:
    """Every table as `TABLE.parquet`, each column with the type it has here; memory does not grow with the rows."""
    written = ExportedFile(0, 0)
    with _snapshot(db), writing.whole_folder(folder) as path:
        for table in _tables(db):
            columns = {row["name"]: row["type"] for row in db.execute(f"PRAGMA table_info({table})")}
            listed = ", ".join(f'"{name}"' for name in columns)
            rows = db.execute(f"SELECT {listed} FROM {table} ORDER BY 1")
            writing.write_parquet(path / f"{table}.parquet", columns, rows)
            written.rows += db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            written.files += 1
    return written


_ARENA_TYPES = {"turn": "INTEGER", "anony": "INTEGER", "tstamp": "REAL"}


def _battle(row: sqlite3.Row) -> dict[str, Any]:
    """A battle as one flat record. How many turns it had and in which language is not stored: both are None."""
    return {
        "model_a": row["model_a"],
        "model_b": row["model_b"],
        "winner": row["winner"],
        "judge": row["judge"],
        "turn": None,
        "anony": True,
        "language": None,
        "tstamp": _epoch(row["tstamp"]),
        "source": f"{row['model_a']}-vs-{row['model_b']}.jsonl",
        "scenario": row["scenario"],
        "comment": row["comment"],
        "instruction": row["instruction"],
        "input": row["input"],
        "output": row["winner_model"] or "tie",
        "response_1": row["response_1"],
        "response_2": row["response_2"],
        "reference_answer": row["reference_answer"],
    }


def _nested(battle: dict[str, Any]) -> dict[str, Any]:
    texts = ("instruction", "input", "output", "response_1", "response_2", "reference_answer")
    head = {name: value for name, value in battle.items() if name not in texts}
    return head | {"data": {name: battle[name] for name in texts}}


def _epoch(created_at: str | None) -> float | None:
    """Seconds since 1970, as Arena's `tstamp`; None where the time is unknown or no time."""
    try:
        return None if created_at is None else datetime.fromisoformat(created_at).timestamp()
    except ValueError:
        return None


def _metrics(db: sqlite3.Connection, metric: str | None) -> list[int]:
    """The ids of the metrics whose scores to write: the one that is named, or all that have scores."""
    if metric is not None:
        return [find_metric(db, metric)]
    scored = "SELECT id FROM metrics AS m WHERE EXISTS (SELECT 1 FROM similarities WHERE metric_id = m.id) ORDER BY id"
    return [row["id"] for row in db.execute(scored)]


def _no_scores(db: sqlite3.Connection, metrics: Sequence[int]) -> list[str]:
    if len(metrics) < 2:
        return []
    names = ", ".join(metric_label(db, metric_id) for metric_id in metrics)
    return [f"scores were left out, since there are those of {names}; --metric says which"]


def _pair_rows(
    db: sqlite3.Connection, votes: RankParameters, selection: str | None, metrics: Sequence[int]
) -> list[sqlite3.Row]:
    parameters = votes.counted
    if selection is not None:
        set_id = find_set(db, selection)["id"]
        return db.execute(query("exporting/mad_eval_selected"), parameters | {"set_id": set_id}).fetchall()
    metric_id = metrics[0] if len(metrics) == 1 else None
    return db.execute(query("exporting/mad_eval_judged"), parameters | {"metric_id": metric_id}).fetchall()


def _pair_record(row: sqlite3.Row, source: str | None) -> dict[str, Any]:
    """A row as a record of a pair file; `source` names the two models where the file's name cannot."""
    winner = {"model_a": row["model_a"], "model_b": row["model_b"], None: ""}.get(row["winner"], "tie")
    record = {
        "instruction": row["instruction"],
        "input": row["input"],
        "output": winner,
        "response_1": row["response_1"],
        "response_2": row["response_2"],
    }
    optional = {
        "answer": row["reference_answer"],
        "score": row["score"],
        "explanation": row["explanation"],
        "source": source and f"{source}.jsonl",
    }
    return record | {name: value for name, value in optional.items() if value is not None}


def _alpaca_record(row: sqlite3.Row) -> dict[str, Any]:
    record = {
        "dataset": _dataset(row["source"], row["scenario"]),
        "instruction": row["instruction"],
        "input": row["input"] or None,
        "output": row["output"],
        "generator": row["generator"],
    }
    return {name: value for name, value in record.items() if value is not None}


def _dataset(source: str | None, scenario: str) -> str | None:
    """The data set that an AlpacaEval file named (None: none), or where the instruction is from otherwise."""
    if source is not None and source.startswith("alpaca-eval"):
        return source.removeprefix("alpaca-eval").removeprefix(":") or None
    return source or scenario


def _renamed(names: dict[str, str]) -> list[str]:
    changed = sum(name != file for name, file in names.items())
    return (
        [f"{changed} of the file names differ from the models' names, which not every system takes"] if changed else []
    )


def _both_bad(rows: Sequence[sqlite3.Row]) -> list[str]:
    count = sum(row["winner"] == "both_bad" for row in rows)
    return [f"verdicts both_bad written as tie, for which MAD-Eval has no word: {count}"] if count else []


def _tables(db: sqlite3.Connection) -> list[str]:
    names = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return [row["name"] for row in names]


@contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """All queries of the block see the database as it was at the first, whoever writes meanwhile."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.rollback()


def _known(db: sqlite3.Connection, votes: RankParameters) -> RankParameters:
    """The same with annotators' names as they are stored. Raises ParameterError where a name is unknown."""
    votes = of_stored_names(db, votes)
    _check_known(db, "annotators", "annotator", votes.annotators)
    check_scenarios(db, votes.scenarios)
    check_selections(db, votes.selections)
    return votes


def _check_known(db: sqlite3.Connection, table: str, word: str, names: Sequence[str]) -> None:
    known = [row["name"] for row in db.execute(f"SELECT name FROM {table} ORDER BY id")]
    for name in names:
        if name not in known:
            there = f"There are: {', '.join(known[:20])}." if known else "There is none yet."
            raise ParameterError(f"No {word} is called {name!r}. {there}")


def _no_votes(votes: RankParameters) -> str:
    whose = ", ".join(votes.annotators) or ("judge models" if votes.judges else "people")
    hint = "" if votes.annotators or votes.judges else " --judges exports those of judge models."
    on = f" on what {', '.join(votes.selections)} picked" if votes.selections else ""
    return f"There are no votes of {whose}{_in(votes.scenarios)}{on} to export.{hint}"


def _in(scenarios: Sequence[str]) -> str:
    return f" in scenario {', '.join(scenarios)}" if scenarios else ""
