"""The imports of instructions, answers and battles: each file is read and checked as a whole, and then stored.

`madetl.formats` knows what a file looks like; the modules of `madetl.store` store the rows.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from madetl.errors import ParameterError
from madetl.formats import alpaca_eval as alpaca_eval_format
from madetl.formats import arena as arena_format
from madetl.formats import mad_eval as mad_eval_format
from madetl.formats import plain
from madetl.formats.reading import FileRows, read_rows
from madetl.importing import battles
from madetl.importing.each_file import Imported, import_each, tally
from madetl.importing.second_verdicts import VoteRule
from madetl.records import BattleRecord, InstructionRecord, ResponseRecord
from madetl.store import instructions, responses
from madetl.store.database import transaction
from madetl.store.judgments import Again

Progress = Callable[[int, int], None]

_BATCH = 5_000  # rows stored between two reports of progress


@dataclass(frozen=True)
class _Format:
    """How the files of one command are read and stored.

    `store` gets some of the records of a file at a time, with the run's id and the file, as messages name it. `warn` is
    that of `import_each`.
    """

    name: str
    nouns: Sequence[str]
    parameters: dict[str, Any]
    read: Callable[[FileRows], Sequence[Any]]
    store: Callable[[sqlite3.Connection, Sequence[Any], int, str], Counter[str]]
    warn: Callable[[int], Sequence[str]] = lambda run_id: ()


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
    annotator: str | None = None,
    crowds: Sequence[str] = (),
    again: Again = "refuse",
    metric: str | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Imports MAD-Eval's pair files and step-5 files; the scores in them under `metric`, if it is given.

    The votes are `annotator`'s, or those of the only one of `crowds`, whose every row is a vote; without either, of a
    crowd named after the format. `again` says what other verdicts of a person on a response pair are.
    """
    whose = _Whose.named(annotator, crowds, mad_eval_format.CROWDS, again)
    return _import(db, _battles("mad-eval", mad_eval_format.read, scenario, whose, metric), files, progress)


def import_arena(
    db: sqlite3.Connection,
    files: Sequence[str],
    *,
    scenario: str = arena_format.SCENARIO,
    annotator: str | None = None,
    crowds: Sequence[str] = (),
    again: Again = "refuse",
    metric: str | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Imports Chatbot Arena battles in either layout; the scores in them under `metric`, if it is given.

    Whose the votes of battles without a judge are, and `again`, are as in `import_mad_eval`.
    """
    whose = _Whose.named(annotator, crowds, arena_format.CROWDS, again)
    return _import(db, _battles("arena", arena_format.read, scenario, whose, metric), files, progress)


@dataclass(frozen=True)
class _Whose:
    """Whose votes a file holds that does not say, the rule by which votes are taken, and the options that say so."""

    annotator: str
    rule: VoteRule
    given: dict[str, Any]

    @classmethod
    def named(cls, annotator: str | None, crowds: Sequence[str], known: Sequence[str], again: Again) -> _Whose:
        """`known` are crowds of the format, the first of them the default. Raises ParameterError for empty names."""
        for option, name in (("annotator", annotator), *(("crowd", crowd) for crowd in crowds)):
            if name is not None and not name.strip():
                raise ParameterError(f"--{option} is empty; give it a name.")
        alone = crowds[0].strip() if len(crowds) == 1 else known[0]
        named = tuple(crowd.strip() for crowd in crowds)
        rule = VoteRule(again, tuple(dict.fromkeys((*named, *known))), named)
        given = {"annotator": annotator, "crowds": list(crowds)}
        return cls(annotator.strip() if annotator else alone, rule, given)


def _battles(
    name: str,
    read_file: Callable[[FileRows, str, str], list[BattleRecord]],
    scenario: str,
    whose: _Whose,
    metric: str | None,
) -> _Format:
    def read(rows: FileRows) -> list[BattleRecord]:
        return battles.numbered(read_file(rows, scenario, whose.annotator), rows.origin)

    def store(db: sqlite3.Connection, records: Sequence[BattleRecord], run_id: int, file: str) -> Counter[str]:
        return battles.store(db, records, run_id, file, whose.rule, metric=metric)

    parameters = {"scenario": scenario, "metric": metric} | whose.given | whose.rule.parameters
    return _Format(name, ["judgments", "responses", "scores"], parameters, read, store, whose.rule.warnings)


def _store_instructions(
    db: sqlite3.Connection, records: Sequence[InstructionRecord], run_id: int, file: str
) -> Counter[str]:
    return tally("instructions", instructions.store(db, records, run_id))


def _store_responses(db: sqlite3.Connection, records: Sequence[ResponseRecord], run_id: int, file: str) -> Counter[str]:
    asked = instructions.store(db, records, run_id)
    answered = responses.store(db, records, asked.ids, run_id)
    return tally("instructions", asked) + tally("responses", answered)


def _import(db: sqlite3.Connection, what: _Format, files: Sequence[str], progress: Progress | None) -> Imported:
    """One run, and one transaction per file."""
    _check(what.parameters)
    reports = _reports(files, progress)

    def take(file: str, run_id: int) -> Counter[str]:
        return _import_file(db, what, file, run_id, next(reports))

    return import_each(db, what.name, files, what.parameters, take, nouns=what.nouns, warn=what.warn)


def _import_file(
    db: sqlite3.Connection, what: _Format, file: str, run_id: int, report: Callable[[float], None]
) -> Counter[str]:
    rows = read_rows(file)
    records = what.read(rows)
    counts = Counter({"characters replaced": rows.replaced})
    with transaction(db):
        for start in range(0, len(records), _BATCH):
            counts += what.store(db, records[start : start + _BATCH], run_id, rows.file)
            report(min(1.0, (start + _BATCH) / len(records)))
    return counts


def _reports(files: Sequence[str], progress: Progress | None) -> Iterator[Callable[[float], None]]:
    """For each file a function that takes the part of it that is stored, and tells `progress` the kilobytes done."""
    sizes = [Path(file).stat().st_size / 1000 if Path(file).is_file() else 0.0 for file in files]
    for position, size in enumerate(sizes):
        before = sum(sizes[:position])

        def report(part: float, before: float = before, size: float = size) -> None:
            if progress:
                progress(round(before + part * size), round(sum(sizes)))

        yield report


def _check(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        if isinstance(value, str) and not value.strip():
            raise ParameterError(f"--{name} is empty; give it a name.")
    if parameters.get("scenario") == "overall":
        raise ParameterError('A scenario cannot be called "overall": rankings call all of them together so.')
