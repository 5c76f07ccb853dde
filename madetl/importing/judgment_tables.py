"""Takes in a plain table of judgments: each row's instruction and answers are looked up among the stored ones.

Only verdicts are stored. The caller holds the transaction; faults of single rows are collected in `Problems`.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from madetl.formats.sheets import plain, same_text, unprotected, whole_instruction
from madetl.formats.verdicts import Problems, TableRow
from madetl.importing.second_verdicts import ReadVerdict
from madetl.store.judgments import Verdict, content_id, turned
from madetl.store.sqlfiles import query
from madetl.text import name_key

_Name = Literal["response_a", "response_b"]


class _MissingError(Exception):
    """Why a row names no two responses: the field and what to say of it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def verdicts(db: sqlite3.Connection, rows: Sequence[TableRow], name: str, problems: Problems) -> list[ReadVerdict]:
    """The verdicts of the table of that name."""
    models = {row["name"]: row["id"] for row in db.execute("SELECT id, name FROM models")}
    instructions = _instructions(db, rows)
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        try:
            _check_models(row, models)
            responses = _responses(db, row, _candidates(row, instructions))
        except _MissingError as missing:
            problems.add(row.line, missing.field, str(missing))
            continue
        verdict = _verdict(row, responses, models, f"judgments:{name}", seen)
        sides = (row.model_a, row.model_b)
        found.append(ReadVerdict(verdict, row.line, sides if models[sides[0]] < models[sides[1]] else sides[::-1]))
    return found


def _verdict(row: TableRow, ids: tuple[int, int], models: dict[str, int], source: str, seen: Counter[str]) -> Verdict:
    """In canonical order. The order that people saw the answers in is not known from a table."""
    (response_a_id, response_b_id), winner = ids, row.winner
    if models[row.model_a] > models[row.model_b]:
        response_a_id, response_b_id, winner = response_b_id, response_a_id, turned(winner)
    return Verdict(
        annotator=row.annotator,
        response_a_id=response_a_id,
        response_b_id=response_b_id,
        winner=winner,
        shown_first=None,
        source=source,
        # Without the file's name: a file that was renamed and extended must not count twice.
        source_id=content_id([row.annotator, response_a_id, response_b_id, winner, row.created_at], seen),
        comment=row.comment,
        created_at=row.created_at,
    )


def _instructions(db: sqlite3.Connection, rows: Sequence[TableRow]) -> dict[str, list[sqlite3.Row]]:
    """The stored instructions that the table may mean, by their text with white space made plain."""
    texts = {plain(text) for row in rows for text in (row.instruction, unprotected(row.instruction))}
    found = defaultdict(list)
    for row in db.execute("SELECT id, scenario, instruction, input FROM instructions ORDER BY id"):
        for key in {plain(row["instruction"]), plain(whole_instruction(row["instruction"], row["input"]))} & texts:
            found[key].append(row)
    return found


def _check_models(row: TableRow, models: dict[str, int]) -> None:
    for field, model in (("model_a", row.model_a), ("model_b", row.model_b)):
        if model not in models:
            same = next((f"{known!r} is. " for known in models if name_key(known) == name_key(model)), "")
            message = f"no model is called {model!r} in this database. {same}`madetl status` lists them."
            raise _MissingError(field, message)


def _responses(db: sqlite3.Connection, row: TableRow, candidates: Sequence[sqlite3.Row]) -> tuple[int, int]:
    """The ids of the two responses, in the table's order."""
    answers = _answers(db, row, [candidate["id"] for candidate in candidates])
    both = [c for c in candidates if answers["response_a"].get(c["id"]) and answers["response_b"].get(c["id"])]
    if not both:
        raise _no_answer(row, answers)
    if len(both) > 1:
        raise _MissingError("instruction", f"it is stored more than once: {_whereabouts(both)}. {_WHICH}")
    only = both[0]["id"]
    return _single(row, "response_a", answers, only), _single(row, "response_b", answers, only)


_WHICH = "Say which in the columns scenario and input, or with --scenario."


def _candidates(row: TableRow, instructions: dict[str, list[sqlite3.Row]]) -> list[sqlite3.Row]:
    texts = dict.fromkeys((plain(row.instruction), plain(unprotected(row.instruction))))
    named = [found for text in texts for found in instructions.get(text, [])]
    if not named:
        raise _MissingError("instruction", "this instruction is not in the database.")
    kept = [found for found in named if row.scenario in (None, found["scenario"])]
    if row.input is not None:
        kept = [found for found in kept if same_text(row.input, found["input"])]
    if not kept:
        raise _MissingError("instruction", f"it is stored only elsewhere: {_whereabouts(named)}. {_WHICH}")
    # The same text may stand in one instruction, and in another with an input; as it is written counts first.
    exact = [found for found in kept if plain(found["instruction"]) in texts and found["input"] == (row.input or "")]
    return exact or kept


def _answers(db: sqlite3.Connection, row: TableRow, ids: list[int]) -> dict[str, dict[int, list[int]]]:
    """The ids of each side's responses by instruction: those with the row's text, or all where it gives none."""
    answers: dict[str, dict[int, list[int]]] = {"response_a": defaultdict(list), "response_b": defaultdict(list)}
    parameters = {"instructions": json.dumps(ids), "model_a": row.model_a, "model_b": row.model_b}
    for found in db.execute(query("importing/answered_instructions"), parameters):
        side, text = ("response_a", row.response_a) if found["model"] == row.model_a else ("response_b", row.response_b)
        if text is None or same_text(text, found["response"]):
            answers[side][found["instruction_id"]].append(found["id"])
    return answers


def _no_answer(row: TableRow, answers: dict[str, dict[int, list[int]]]) -> _MissingError:
    for side, model, text in (("response_a", row.model_a, row.response_a), ("response_b", row.model_b, row.response_b)):
        if not answers[side]:
            if text is None:
                return _MissingError(
                    f"model_{side[-1]}", f"{model} has no response to this instruction in the database."
                )
            return _MissingError(side, f"this is none of {model}'s stored responses to the instruction.")
    return _MissingError("instruction", "the two models have no response to the same one of these instructions.")


def _single(row: TableRow, side: _Name, answers: dict[str, dict[int, list[int]]], instruction_id: int) -> int:
    ids = answers[side][instruction_id]
    model = row.model_a if side == "response_a" else row.model_b
    if len(ids) > 1:
        message = f"{model} has {len(ids)} responses to this instruction; say which in a column {side}."
        raise _MissingError(side, message)
    return ids[0]


def _whereabouts(instructions: Sequence[sqlite3.Row]) -> str:
    return ", ".join(f"{row['scenario']} with an input" if row["input"] else row["scenario"] for row in instructions)
