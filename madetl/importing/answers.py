"""Imports files: each is read and checked as a whole, and stored in one transaction or not at all.

One run per command. What a file looks like is known in formats/; the rows go to the modules of their tables.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from madetl import instructions, responses, runs
from madetl.database import transaction
from madetl.errors import InputError, ParameterError
from madetl.formats import alpaca_eval as alpaca_eval_format
from madetl.formats import arena as arena_format
from madetl.formats import mad_eval as mad_eval_format
from madetl.formats import plain
from madetl.formats.files import FileRows, read_rows
from madetl.formats.records import BattleRecord, InstructionRecord, ResponseRecord
from madetl.importing import battles
from madetl.text import storable

Progress = Callable[[int, int], None]

_BATCH = 5_000  # rows stored between two reports of progress


@dataclass(frozen=True)
class Imported:
    """The closing line of an import, what its reader should know beside it, and the counts behind both."""

    summary: str
    warnings: list[str]
    counts: Counter[str]


@dataclass(frozen=True)
class _Format:
    """How the files of one command are read and stored. `store` gets some of the records of a file at a time."""

    name: str
    nouns: Sequence[str]
    parameters: dict[str, Any]
    read: Callable[[FileRows], Sequence[Any]]
    store: Callable[[sqlite3.Connection, Sequence[Any], int], Counter[str]]


def import_instructions(
    db: sqlite3.Connection, files: Sequence[str], scenario: str | None = None, progress: Progress | None = None
) -> Imported:
    """Imports plain rows of instructions. `scenario` is for rows that name none."""

    def read(rows: FileRows) -> list[InstructionRecord]:
        return plain.read_instructions(rows, scenario)

    what = _Format("instructions", ["instructions"], {"scenario": scenario}, read, _store_instructions)
    return _import(db, what, files, progress)


def import_responses(
    db: sqlite3.Connection,
    files: Sequence[str],
    scenario: str | None = None,
    model: str | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Imports plain rows of responses. `scenario` and `model` are for rows that name none."""

    def read(rows: FileRows) -> list[ResponseRecord]:
        return plain.read_responses(rows, scenario, model)

    parameters = {"scenario": scenario, "model": model}
    return _import(db, _Format("responses", ["responses"], parameters, read, _store_responses), files, progress)


def import_alpaca_eval(
    db: sqlite3.Connection,
    files: Sequence[str],
    scenario: str = alpaca_eval_format.SCENARIO,
    progress: Progress | None = None,
) -> Imported:
    """Imports AlpacaEval's model_outputs.json."""

    def read(rows: FileRows) -> list[ResponseRecord]:
        return alpaca_eval_format.read(rows, scenario)

    what = _Format("alpaca-eval", ["responses"], {"scenario": scenario}, read, _store_responses)
    return _import(db, what, files, progress)


def import_mad_eval(
    db: sqlite3.Connection,
    files: Sequence[str],
    *,
    scenario: str = mad_eval_format.SCENARIO,
    annotator: str = mad_eval_format.ANNOTATOR,
    metric: str | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Imports MAD-Eval's pair files and step-5 files; the scores in them under `metric`, if it is given."""

    def read(rows: FileRows) -> list[BattleRecord]:
        return battles.numbered(mad_eval_format.read(rows, scenario, annotator), rows.name)

    what = _battles("mad-eval", read, scenario, annotator, metric)
    return _import(db, what, files, progress)


def import_arena(
    db: sqlite3.Connection,
    files: Sequence[str],
    *,
    scenario: str = arena_format.SCENARIO,
    annotator: str = arena_format.ANNOTATOR,
    metric: str | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Imports Chatbot Arena battles in either layout; the scores in them under `metric`, if it is given."""

    def read(rows: FileRows) -> list[BattleRecord]:
        return battles.numbered(arena_format.read(rows, scenario, annotator), rows.name)

    what = _battles("arena", read, scenario, annotator, metric)
    return _import(db, what, files, progress)


def _battles(
    name: str, read: Callable[[FileRows], list[BattleRecord]], scenario: str, annotator: str, metric: str | None
) -> _Format:
    def store(db: sqlite3.Connection, records: Sequence[BattleRecord], run_id: int) -> Counter[str]:
        return battles.store(db, records, run_id, metric)

    parameters = {"scenario": scenario, "annotator": annotator, "metric": metric}
    return _Format(name, ["judgments", "responses", "scores"], parameters, read, store)


def _store_instructions(db: sqlite3.Connection, records: Sequence[InstructionRecord], run_id: int) -> Counter[str]:
    return battles.tally("instructions", instructions.store(db, records, run_id))


def _store_responses(db: sqlite3.Connection, records: Sequence[ResponseRecord], run_id: int) -> Counter[str]:
    asked = instructions.store(db, records, run_id)
    answered = responses.store(db, records, asked.ids, run_id)
    return battles.tally("instructions", asked) + battles.tally("responses", answered)


def _import(db: sqlite3.Connection, what: _Format, files: Sequence[str], progress: Progress | None) -> Imported:
    """One run, and one transaction per file. Files before one that fails stay, and the error says so."""
    _check(what.parameters)
    given = [storable(file)[0] for file in files]
    report = _reporter(files, progress)
    counts: Counter[str] = Counter()
    with runs.run(db, f"import {what.name}", {"files": given} | what.parameters) as run:
        for position, file in enumerate(files):
            try:
                counts += _import_file(db, what, file, run.id, partial(report, position))
            except InputError as error:
                raise _with_earlier(error, given[:position]) from error
        done = Imported(_summary(what, counts), _warnings(what, counts, run.id), counts)
        run.summary = "\n".join([done.summary, *done.warnings])
    return done


def _import_file(
    db: sqlite3.Connection, what: _Format, file: str, run_id: int, report: Callable[[float], None]
) -> Counter[str]:
    rows = read_rows(file)
    records = what.read(rows)
    counts = Counter({"characters replaced": rows.replaced})
    with transaction(db):
        for start in range(0, len(records), _BATCH):
            counts += what.store(db, records[start : start + _BATCH], run_id)
            report(min(1.0, (start + _BATCH) / len(records)))
    return counts


def _reporter(files: Sequence[str], progress: Progress | None) -> Callable[[int, float], None]:
    """Tells `progress` the kilobytes that are done, from a file's position and the part of it that is stored."""
    sizes = [Path(file).stat().st_size / 1000 if Path(file).is_file() else 0.0 for file in files]

    def report(position: int, part: float) -> None:
        if progress:
            progress(round(sum(sizes[:position]) + part * sizes[position]), round(sum(sizes)))

    return report


def _check(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        if value is not None and not value.strip():
            raise ParameterError(f"--{name} is empty; give it a name.")
    if parameters.get("scenario") == "overall":
        raise ParameterError('A scenario cannot be called "overall": rankings call all of them together so.')


def _with_earlier(error: InputError, earlier: Sequence[str]) -> InputError:
    """The error with what became of the files: of this one nothing is stored."""
    nothing = "" if error.line is None else " Nothing of this file was imported."
    stays = f" Imported before it: {', '.join(earlier)}." if earlier else ""
    message = f"{error.message}{nothing}{stays}"
    return InputError(error.file, message, line=error.line, field=error.field)


def _summary(what: _Format, counts: Counter[str]) -> str:
    """The closing line: how many of each thing the files hold, and how many were new and known."""
    parts = [_part(noun, counts) for noun in what.nouns if noun == what.nouns[0] or _total(noun, counts)]
    if counts["battles not judged"]:
        parts.append(f"{counts['battles not judged']} not judged")
    return f"{what.name}: {'; '.join(parts)}"


def _part(noun: str, counts: Counter[str]) -> str:
    total = _total(noun, counts)
    kinds = ["new", "known", "empty"] if noun == "responses" else ["new", "known"]
    details = [f"{counts[f'{noun} {kind}']} {kind}" for kind in kinds]
    return f"{total} {noun if total != 1 else noun[:-1]} ({', '.join(details)})"


def _total(noun: str, counts: Counter[str]) -> int:
    return sum(counts[f"{noun} {kind}"] for kind in ("new", "known", "empty"))


_WARNINGS = {
    "characters replaced": "{} characters that cannot be stored (NUL, lone surrogates) were replaced by U+FFFD.",
    "instructions differing": "{} reference answers differ from the first one given for their instruction, which"
    " stands.",
    "judgments elsewhere": "{} of the new judgments another file or source had brought already (the same answers and"
    " winner). They are stored beside those and count twice if they are the same votes; `madetl delete run {run}` takes"
    " this import out again.",
    "scores left out": "{} similarity scores were left out; with --metric NAME they are stored under that name.",
    "scores differing": "{} scores differ from the first one given for their pair of answers, which stands.",
}


def _warnings(what: _Format, counts: Counter[str], run_id: int) -> list[str]:
    warnings = [text.format(counts[name], run=run_id) for name, text in _WARNINGS.items() if counts[name]]
    metric = what.parameters.get("metric")
    if metric and not _total("scores", counts):
        warnings.append(f"there were no scores to store under the metric {metric}.")
    return warnings
