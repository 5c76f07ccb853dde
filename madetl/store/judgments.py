"""Stores judgments by one rule: a person, or a judge model, has one vote per response pair; a crowd has one per row.

An annotator's second verdict on a response pair is known where it is the same as the first one; otherwise whoever
stores it says whether it revises the first one or repeats it, and a verdict of which nobody says so contradicts.
Verdicts come in with the ids of their responses, in canonical order, and counts go out. The caller holds the
transaction, and has stored the responses.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from madetl.records import Winner
from madetl.store import annotators, sqlfiles
from madetl.store.annotators import Annotators
from madetl.store.database import insert_rows
from madetl.text import text_hash

Side = Literal["model_a", "model_b"]
Again = Literal["refuse", "revise", "repeat"]
"""What another verdict of an annotator on a response pair is: an error, what counts from now on, or a repeat."""
Status = Literal["counted", "revised", "repeat"]

_COLUMNS = (
    "annotator_id", "response_a_id", "response_b_id", "winner", "shown_first", "seconds", "comment", "assignment_id",
    "source", "source_id", "created_at", "run_id", "status",
)  # fmt: skip
_REVISION = ":again:"  # stands before the number of a further judgment of one source id
_Key = tuple[int, int, int]  # ids of the annotator and of the two responses
_OTHER_SIDE: dict[Winner, Winner] = {"model_a": "model_b", "model_b": "model_a"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A judgment to be stored. Responses, `winner` and `shown_first` are in canonical order.

    `repeat_of` is set where the annotator was asked again: the id of the selected pair and the number of the repeat.
    """

    annotator: str
    response_a_id: int
    response_b_id: int
    winner: Winner
    shown_first: Side | None
    source: str
    source_id: str
    seconds: float | None = None
    comment: str | None = None
    assignment_id: int | None = None
    created_at: str | None = None
    repeat_of: tuple[int, int] | None = None


@dataclass(frozen=True)
class Contradiction:
    """A verdict (its `index` among those given) unlike the one before it: of `run_id`, or of the index `before`."""

    index: int
    winner: Winner
    run_id: int | None
    before: int | None


@dataclass(frozen=True)
class Sorted:
    """What is to be done with verdicts, in the database that `sort_out` saw.

    `new` holds those to be stored, by their index, with the status that each gets; `replaced` the ids of the judgments
    that do not count from then on.
    """

    annotators: Annotators
    new: dict[int, tuple[Verdict, Status]] = field(default_factory=dict)
    replaced: list[int] = field(default_factory=list)
    contradictions: list[Contradiction] = field(default_factory=list)
    known: int = 0


@dataclass(frozen=True)
class StoredJudgments:
    """`new` + `known` + `revised` + `repeats` is the number of verdicts.

    `revised`: those that replace a stored one, or that a later one of the file replaces. `elsewhere`: of the stored
    ones, those that another source had brought already.
    """

    new: int
    known: int
    revised: int
    repeats: int
    elsewhere: int


def turned(winner: Winner) -> Winner:
    """The winner with the two sides exchanged."""
    return _OTHER_SIDE.get(winner, winner)


def content_id(content: Sequence[object], seen: Counter[str], file: str | None = None) -> str:
    """The source id of a row whose file gives it none: a hash of the row's content, and its count among equal rows.

    `content` is what JSON can hold, `seen` counts the rows of one file. With `file`, its name and its folder's, equal
    rows of different files are different votes; without, they are the same one.
    """
    digest = text_hash(json.dumps(content, ensure_ascii=False))[:16]
    seen[digest] += 1
    return ":".join([*([file] if file else []), digest, str(seen[digest])])


def sort_out(
    db: sqlite3.Connection, verdicts: Sequence[Verdict], again: Again = "refuse", crowds: Collection[str] = ()
) -> Sorted:
    """Tells new verdicts from known ones, revisions, repeats and contradictions; makes rows for new annotators.

    Later verdicts of the same annotator and response pair come after earlier ones. `crowds` are the names that stand
    for many people. Nothing is stored where there is a contradiction. Call it inside a transaction.
    """
    who = annotators.ensure(db, (verdict.annotator for verdict in verdicts), crowds)
    keys = [(who.ids[v.annotator], v.response_a_id, v.response_b_id) for v in verdicts]
    stored = _stored(db, keys)
    found = Sorted(who)
    groups: dict[_Key, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    known = 0
    for key, indices in groups.items():
        one = _ResponsePair(found, [_Told.of(row) for row in stored[key]], again)
        crowd = who.kinds[verdicts[indices[0]].annotator] == "crowd"
        taken = {index: verdicts[index] for index in indices}
        if again == "revise" and not crowd:
            known += one.take_revised(taken)
        known += sum(not one.take(index, verdict, crowd) for index, verdict in taken.items())
    return replace(found, known=known, new=dict(sorted(found.new.items())))


def insert(db: sqlite3.Connection, found: Sorted, run_id: int | None) -> StoredJudgments:
    """Stores what `sort_out` found to be new, in the same transaction."""
    db.executemany(
        "UPDATE judgments SET status = 'revised' WHERE id = ?", [(judgment_id,) for judgment_id in found.replaced]
    )
    last_id = db.execute("SELECT ifnull(max(id), 0) FROM judgments").fetchone()[0]
    values = [
        _values(found.annotators.ids[verdict.annotator], verdict, status, run_id)
        for verdict, status in found.new.values()
    ]
    insert_rows(db, "judgments", _COLUMNS, values)
    known = db.execute(sqlfiles.query("store/battles_known_elsewhere"), {"after": last_id}) if values else None
    elsewhere = known.fetchone()[0] if known else 0
    repeats = sum(status == "repeat" for _, status in found.new.values())
    revised = len(found.replaced) + sum(status == "revised" for _, status in found.new.values())
    return StoredJudgments(len(found.new) - revised - repeats, found.known, revised, repeats, elsewhere)


@dataclass
class _Told:
    """A verdict that an annotator gave before on the response pair, stored (`id`) or earlier in the file (`index`)."""

    winner: Winner
    status: Status
    source: str
    source_id: str
    repeat_of: tuple[int, int] | None
    id: int | None = None
    run_id: int | None = None
    index: int | None = None

    @property
    def row(self) -> str:
        """The source's own id of the row, without what tells its revisions apart."""
        return self.source_id.partition(_REVISION)[0]

    @classmethod
    def of(cls, row: sqlite3.Row) -> _Told:
        repeat_of = (row["selection_id"], row["repeat"]) if row["repeat"] else None
        names = ("winner", "status", "source", "source_id", "id", "run_id")
        return cls(repeat_of=repeat_of, **{name: row[name] for name in names})


class _ResponsePair:
    """What one annotator says about one response pair: the rule of this module, a verdict at a time."""

    def __init__(self, found: Sorted, told: list[_Told], again: Again) -> None:
        self.found, self.told, self.again = found, told, again

    def take(self, index: int, verdict: Verdict, crowd: bool) -> bool:
        """Notes what becomes of the verdict; returns whether it is anything but known."""
        if crowd:
            before = self._last(lambda told: told.row == verdict.source_id and told.status == "counted")
        elif verdict.repeat_of:
            before = self._last(lambda told: told.repeat_of == verdict.repeat_of and told.status == "repeat")
        else:
            before = self._last(lambda told: told.status == "counted")
            if before is not None and self.again == "repeat":
                return self._repeat(index, verdict)
        status: Status = "repeat" if verdict.repeat_of else "counted"
        if before is None:
            self._new(index, verdict, status)
        elif before.winner == verdict.winner:
            return False
        elif self.again == "revise":
            self._revise(before, index, verdict, status)
        else:
            contradiction = Contradiction(index, before.winner, before.run_id, before.index)
            self.found.contradictions.append(contradiction)
        return True

    def take_revised(self, verdicts: dict[int, Verdict]) -> int:
        """Takes out of one file's verdicts those that its last word revises; returns how many of them are known."""
        own = {index: verdict for index, verdict in verdicts.items() if not verdict.repeat_of}
        last_word = next(reversed(own.values())).winner if own else None
        known = 0
        for index, verdict in own.items():
            if verdict.winner != last_word:
                del verdicts[index]
                if any((told.row, told.winner) == (verdict.source_id, verdict.winner) for told in self.told):
                    known += 1
                else:
                    self._new(index, verdict, "revised")
        return known

    def _last(self, fits: Callable[[_Told], bool]) -> _Told | None:
        return next((told for told in reversed(self.told) if fits(told)), None)

    def _repeat(self, index: int, verdict: Verdict) -> bool:
        """A second verdict of a file of repeats: known where that very file brought it before, as a vote or repeat."""
        repeat_id = f"repeat:{verdict.source}:{verdict.source_id}"
        for told in self.told:
            same_row = told.row == repeat_id or (told.source, told.row) == (verdict.source, verdict.source_id)
            if same_row and told.winner == verdict.winner and told.index is None:
                return False
        self._new(index, replace(verdict, source_id=repeat_id), "repeat")
        return True

    def _revise(self, before: _Told, index: int, verdict: Verdict, status: Status) -> None:
        if before.id is not None:
            self.found.replaced.append(before.id)
        elif before.index is not None:
            self.found.new[before.index] = (self.found.new[before.index][0], "revised")
        before.status = "revised"
        self._new(index, verdict, status)

    def _new(self, index: int, verdict: Verdict, status: Status) -> None:
        taken = {told.source_id for told in self.told}
        source_id, number = verdict.source_id, 1
        while source_id in taken:
            number += 1
            source_id = f"{verdict.source_id}{_REVISION}{number}"
        verdict = replace(verdict, source_id=source_id)
        self.found.new[index] = (verdict, status)
        self.told.append(_Told(verdict.winner, status, verdict.source, source_id, verdict.repeat_of, index=index))


def _stored(db: sqlite3.Connection, keys: Sequence[_Key]) -> dict[_Key, list[sqlite3.Row]]:
    stored: dict[_Key, list[sqlite3.Row]] = defaultdict(list)
    for row in db.execute(sqlfiles.query("store/known_judgments"), {"keys": json.dumps(sorted(set(keys)))}):
        stored[row["annotator_id"], row["response_a_id"], row["response_b_id"]].append(row)
    return stored


def _values(annotator_id: int, verdict: Verdict, status: Status, run_id: int | None) -> tuple[Any, ...]:
    return (
        annotator_id, verdict.response_a_id, verdict.response_b_id, verdict.winner, verdict.shown_first,
        verdict.seconds, verdict.comment, verdict.assignment_id, verdict.source, verdict.source_id, verdict.created_at,
        run_id, status,
    )  # fmt: skip
