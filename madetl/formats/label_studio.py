"""Label Studio's files: tasks and a labelling configuration out, its JSON export in. Pure: no database is known here.

A task shows what a row of a sheet shows, under the same item number, and gives no model away. The annotations that come
back become rows of a sheet, so that a verdict is the same wherever it was given. Source: Label Studio's documentation,
its task format and the tags Choices, Choice, Text and TextArea.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

from madetl.errors import InputError
from madetl.formats.reading import FileRow, FileRows, described
from madetl.formats.sheets import SheetAssignment, item_number, sheet_records, verdict
from madetl.formats.verdicts import SHEET_TEXTS, Problems, SheetRow, utc_time, where
from madetl.records import Winner

WINNER, COMMENT = "winner", "comment"
"""The names of the two controls that an annotator fills."""

_CHOICES = {
    "response_1": ("Answer 1 is better", "1"),
    "tie": ("Tie", "2"),
    "response_2": ("Answer 2 is better", "3"),
    "both_bad": ("Both are bad", "4"),
}
"""For each choice the word that is stored (its alias), the words that are shown, and its key."""
_STORED = {shown: stored for stored, (shown, _) in _CHOICES.items()}


@dataclass(frozen=True)
class Skip:
    """A task that somebody saw and cancelled, without a verdict; `item` is the number in it."""

    item: int
    annotator: str
    at: str | None


@dataclass
class Annotations:
    """What a file brings: verdicts as rows of a sheet, skipped tasks, and counts of what was left out."""

    judged: list[SheetRow] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Location:
    """Where an annotation is in its file, as messages name it: all of an export is often one line."""

    line: int
    task: Any
    annotation: Any
    problems: Problems

    def fault(self, name: str, message: str) -> None:
        self.problems.add(self.line, name, f"task {self.task}, annotation {self.annotation}: {message}")


def tasks(assignments: Sequence[SheetAssignment]) -> list[dict[str, Any]]:
    """One task per assignment, the texts as they are."""
    shown = ("item", "instruction", "reference_answer", "response_1", "response_2")
    return [{"data": {name: record[name] for name in shown if name in record}} for record in sheet_records(assignments)]


def labelling_config(assignments: Sequence[SheetAssignment], *, both_bad: bool) -> str:
    """The XML of a project that judges these tasks: two answers side by side, one choice, an optional comment.

    `both_bad` adds the fourth choice. Texts are shown as plain text, so that nothing in an answer can run.
    """
    view = ET.Element("View")
    _text(view, "Instruction", "instruction")
    if any(one.reference_answer for one in assignments):
        _text(view, "Reference answer", "reference_answer")
    columns = ET.SubElement(view, "View", style="display: flex; gap: 2em")
    for number in (1, 2):
        column = ET.SubElement(columns, "View", style="flex: 1; min-width: 0")
        _text(column, f"Answer {number}", f"response_{number}")
    choices = ET.SubElement(
        view, "Choices", name=WINNER, toName="response_1", choice="single-radio", showInline="true", required="true"
    )
    for stored, (shown, key) in _CHOICES.items():
        if stored != "both_bad" or both_bad:
            ET.SubElement(choices, "Choice", value=shown, alias=stored, hotkey=key)
    ET.SubElement(
        view, "TextArea", name=COMMENT, toName="response_1", placeholder="Comment (optional)", maxSubmissions="1"
    )
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def read(rows: FileRows, names: Mapping[str, str], everybody: str | None, problems: Problems) -> Annotations:
    """The annotations of an export. Faults of single annotations are added to `problems`.

    `names` gives the annotator for an e-mail address or an id of Label Studio's, `everybody` one name for all of them.
    Annotators without either are called by their address, or label-studio:ID. Predictions and drafts are no verdicts.
    Raises InputError where the file is no such export, or where `everybody` would be several people.
    """
    _check_kind(rows)
    found = Annotations()
    people: dict[str, None] = {}
    for row in rows.rows:
        item = _item(row, problems)
        for annotation in _annotations(row, problems):
            location = _Location(
                row.line, row.fields.get("id", "without id"), annotation.get("id", "without id"), problems
            )
            if annotation.get("ground_truth") is True:
                found.counts["ground truths"] += 1
                continue
            called = _called(annotation.get("completed_by"))
            people[called[0] if called else ""] = None
            who = everybody or _name(called, names, location)
            if item is not None and who is not None:
                _take(found, row, annotation, location, item=item, who=who)
    _check_people(where(rows), list(people), everybody)
    found.judged = _once(found.judged, problems)
    return found


def unknown_names(rows: FileRows, names: Mapping[str, str]) -> list[str]:
    """The keys of `names` that no annotation of the file is by."""
    by = {
        called
        for row in rows.rows
        for annotation in _dicts(row.fields.get("annotations"))
        for called in _called(annotation.get("completed_by"))
    }
    return [name for name in names if name not in by]


def _text(parent: ET.Element, heading: str, name: str) -> None:
    ET.SubElement(parent, "Header", value=heading)
    ET.SubElement(parent, "Text", name=name, value=f"${name}", valueType="text")


def _check_kind(rows: FileRows) -> None:
    first = rows.rows[0].fields
    if "annotations" in first:
        return
    if "annotation_id" in first:
        found = "this is Label Studio's JSON-MIN"
    elif "data" in first:
        found = "these are tasks without annotations"
    else:
        found = f"found the fields {', '.join(list(first)[:10]) or '(none)'}"
    raise InputError(where(rows), f'{found}; expected its export of the kind "JSON", with annotations.')


def _check_people(file: str, people: Sequence[str], everybody: str | None) -> None:
    if everybody is not None and len(people) > 1:
        named = ", ".join(name or "(nobody)" for name in people)
        raise InputError(
            file, f"{len(people)} people judged in it: {named}. --annotator WHO=NAME, once for each, says who they are."
        )


def _item(row: FileRow, problems: Problems) -> int | None:
    data = row.fields.get("data")
    task = row.fields.get("id", "without id")
    value = data.get("item") if isinstance(data, dict) else None
    item = item_number(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if item is None:
        what = "missing" if value is None else f"{described(value)} is no item number"
        message = f"task {task}: {what}; expected the number that `madetl export label-studio` wrote."
        problems.add(row.line, "data.item", message)
    return item


def _annotations(row: FileRow, problems: Problems) -> list[dict[str, Any]]:
    value = row.fields.get("annotations")
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return value
    task = row.fields.get("id", "without id")
    problems.add(row.line, "annotations", f"task {task}: found {described(value)}; expected a list of objects.")
    return []


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _called(completed_by: Any) -> tuple[str, ...]:
    """How Label Studio names an annotator, the best first: an address, an id; empty where it names nobody."""
    person = completed_by if isinstance(completed_by, dict) else {"id": completed_by}
    email, number = person.get("email"), person.get("id")
    found = [email.strip()] if isinstance(email, str) and email.strip() else []
    if isinstance(number, int | str) and not isinstance(number, bool) and str(number).strip():
        found.append(str(number).strip())
    return tuple(found)


def _name(called: tuple[str, ...], names: Mapping[str, str], location: _Location) -> str | None:
    if not called:
        location.fault("completed_by", "nobody is named; --annotator NAME says whose verdicts these are.")
        return None
    known = next((names[one] for one in called if one in names), None)
    return known or (called[0] if "@" in called[0] else f"label-studio:{called[0]}")


def _take(
    found: Annotations, row: FileRow, annotation: Mapping[str, Any], location: _Location, *, item: int, who: str
) -> None:
    """Adds one annotation, of the task with number `item` and by the annotator `who`, to what was found."""
    at = _time(annotation, location)
    if annotation.get("was_cancelled") is True:
        found.skipped.append(Skip(item, who, at))
        return
    result = annotation.get("result")
    if not isinstance(result, list):
        location.fault("result", f"found {described(result)}; expected a list.")
        return
    if not result:
        found.counts["items left empty"] += 1
        return
    winner, seconds = _winner(list(_dicts(result)), location), _seconds(annotation.get("lead_time"), location)
    if winner is None:
        return
    found.judged.append(
        SheetRow(
            line=row.line,
            item=item,
            texts={name: str(row.fields["data"][name]) for name in SHEET_TEXTS if name in row.fields["data"]},
            winner=winner,
            comment=_comment(result),
            annotator=who,
            seconds=seconds,
            created_at=at,
        )
    )


def _winner(result: Sequence[Mapping[str, Any]], location: _Location) -> Winner | None:
    """The choice, in the order shown; None where there is none, which is a fault."""
    chosen = [one for one in result if one.get("from_name") == WINNER]
    if not chosen:
        location.fault(
            "result", f"no {WINNER} is chosen in it; expected one, as the configuration of madetl's asks for."
        )
        return None
    value = chosen[0].get("value")
    words = value.get("choices") if isinstance(value, dict) else None
    if len(chosen) > 1 or not isinstance(words, list) or len(words) != 1 or not isinstance(words[0], str):
        location.fault("result", f"found {described(words)} as the {WINNER}; expected a list of one choice.")
        return None
    winner = verdict(_STORED.get(words[0], words[0]))
    if winner is None:
        location.fault("result", f"{described(words[0])} is no verdict; expected {', '.join(_CHOICES)}.")
    return winner


def _comment(result: Sequence[Any]) -> str | None:
    texts: list[Any] = []
    for one in _dicts(list(result)):
        value = one.get("value")
        written = value.get("text") if one.get("from_name") == COMMENT and isinstance(value, dict) else None
        texts += written if isinstance(written, list) else [written]
    return "\n".join(text for text in texts if isinstance(text, str) and text.strip()) or None


def _seconds(value: Any, location: _Location) -> float | None:
    """The lead time in seconds."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        location.fault("lead_time", f"found {described(value)}; expected seconds.")
        return None
    return float(value)


def _time(annotation: Mapping[str, Any], location: _Location) -> str | None:
    value = annotation.get("created_at") or annotation.get("updated_at")
    time = utc_time(value) if isinstance(value, str) else None
    if value is not None and time is None:
        location.fault("created_at", f"{described(value)} is no time; expected one like 2024-05-31T13:45:00Z.")
    return time


def _once(rows: Sequence[SheetRow], problems: Problems) -> list[SheetRow]:
    """Each annotator's verdict on a task once. Two that differ are a fault: nobody can tell which one is meant."""
    kept: dict[tuple[int, str | None], SheetRow] = {}
    for row in rows:
        first = kept.setdefault((row.item, row.annotator), row)
        if first.winner != row.winner:
            message = f"{row.annotator} has two annotations of item {row.item} that differ; delete one of them."
            problems.add(row.line, "annotations", message)
    return list(kept.values())
