"""Imports files one after the other: one run for all, each file whole or not at all, one closing line.

The modules that call this one know what a file holds and how to store it; this one has what they share.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from madetl.errors import InputError
from madetl.store import runs
from madetl.store.model_names import warning_of_same
from madetl.text import agreeing, counted, storable


@dataclass(frozen=True)
class Imported:
    """The closing line of an import, its warnings, and the counts behind both."""

    summary: str
    warnings: list[str]
    counts: Counter[str]


def import_each(
    db: sqlite3.Connection,
    what: str,
    files: Sequence[str],
    parameters: Mapping[str, Any],
    take: Callable[[str, int], Counter[str]],
    *,
    nouns: Sequence[str] = ("judgments",),
    warn: Callable[[int], Sequence[str]] = lambda run_id: (),
) -> Imported:
    """Calls `take` for one file after the other, under one run `import WHAT`, and sums up their counts.

    `take` gets the file and the run's id, stores all of the file or nothing, and returns counts by name. `nouns` are
    the things that the summary names, the first of them even where there were none; `warn` gives what else is to be
    told, for the run's id, once the files are in. Raises InputError where a file
    cannot be imported: the files before it stay, and the error says so.
    """
    counts: Counter[str] = Counter()
    given = {"files": [storable(file)[0] for file in files]} | dict(parameters)
    known = set(_models(db))
    with runs.run(db, f"import {what}", given) as run:
        for position, file in enumerate(files):
            try:
                counts += take(file, run.id)
            except InputError as error:
                raise _with_earlier(error, given["files"][:position]) from error
        warnings = [
            *_warnings(counts, parameters.get("metric"), run.id),
            *warn(run.id),
            *filter(None, (warning_of_same(db, name) for name in _models(db) if name not in known)),
        ]
        done = Imported(_summary(what, nouns, counts), warnings, counts)
        run.summary = "\n".join([done.summary, *done.warnings])
    return done


def _models(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT name FROM models ORDER BY id")]


def tally(noun: str, stored: object) -> Counter[str]:
    """The counts of what was stored, by names like 'responses new'."""
    return Counter({f"{noun} {name}": value for name, value in vars(stored).items() if isinstance(value, int)})


def _with_earlier(error: InputError, earlier: Sequence[str]) -> InputError:
    """The error with a sentence on which files were imported; the list of faults, if there is one, stays at its end."""
    head, newline, faults = error.message.partition("\n")
    stays = f" Imported before it: {', '.join(earlier)}." if earlier else ""
    nothing = " Nothing of this file was imported." if newline or error.line is not None else ""
    message = f"{head}{nothing}{stays}{newline}{faults}"
    return InputError(error.file, message, line=error.line, field=error.field)


def _summary(what: str, nouns: Sequence[str], counts: Counter[str]) -> str:
    """The closing line: how many of each thing the files hold, and how many were new and known."""
    parts = [_part(noun, counts) for noun in nouns if noun == nouns[0] or total(noun, counts)]
    if counts["battles not judged"]:
        parts.append(f"{counts['battles not judged']:,} not judged")
    if counts["items left empty"]:
        parts.append(f"{counted(counts['items left empty'], 'item')} left empty")
    if counts["items skipped"]:
        parts.append(f"{counts['items skipped']:,} skipped")
    return f"{what}: {'; '.join(parts)}"


_STATES = ("new", "known", "empty", "revised", "repeats")  # the last three are named where there are any


def _part(noun: str, counts: Counter[str]) -> str:
    more = [state for state in _STATES[2:] if counts[f"{noun} {state}"] or (noun, state) == ("responses", "empty")]
    details = [_state(counts[f"{noun} {state}"], state) for state in (*_STATES[:2], *more)]
    return f"{counted(total(noun, counts), noun[:-1])} ({', '.join(details)})"


def _state(number: int, state: str) -> str:
    return counted(number, "repeat") if state == "repeats" else f"{number:,} {state}"


def total(noun: str, counts: Counter[str]) -> int:
    """How many of a thing the files hold."""
    return sum(counts[f"{noun} {state}"] for state in _STATES)


_WARNINGS = {
    "instructions differing": "{reference answer} {differ} from the first one given for {their} instruction, which is"
    " kept.",
    "comments left out": "{comment} {have} no winner beside {them} and {were} left out.",
    "ground truths": "{annotation} {are} marked as ground truth and {were} left out.",
    "annotators without name": "{annotator} {are} known by Label Studio's number alone (label-studio:ID); --annotator"
    " ID=NAME names {them}. Use the same names whenever this file is imported.",
    "judgments elsewhere": "{number} of the new judgments {are} like one that another file or source brought before"
    " (the same answers and winner). What is the same vote counts twice; `madetl delete run {run}` takes this import"
    " out again.",
    "scores left out": "{similarity score} {were} left out; with --metric NAME {they} {are} stored under that name.",
    "scores differing": "{score} {differ} from the first one given for {their} pair of answers, which is kept.",
    "characters replaced": "{character} that cannot be stored (NUL, lone surrogates) {were} replaced by U+FFFD.",
}
"""By the name of a count, its sentence; a noun in braces becomes the count with that noun."""


class _Words(dict[str, object]):
    """The words of one sentence: what is not among them is the noun that is counted."""

    def __missing__(self, noun: str) -> str:
        return counted(int(str(self["number"])), noun)


def _warnings(counts: Counter[str], metric: str | None, run_id: int) -> list[str]:
    warnings = [
        text.format_map(_Words(agreeing(counts[name]), number=counts[name], run=run_id))
        for name, text in _WARNINGS.items()
        if counts[name]
    ]
    if metric and not total("scores", counts):
        warnings.append(f"there were no scores to store under the metric {metric}.")
    return warnings
