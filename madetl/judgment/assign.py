"""Who judges what: deals the pairs of a selection as assignments, all of them to a sheet, one by one to the page.

An adaptive selection grows as the page deals: where no pair is free, the selection picks the next one, which is dealt
at once.

What is drawn at random (an assignment's id, which answer is shown first, which pair comes next on the page) is drawn
once and stored in `assignments` alone. Queries say which pairs are free; `annotate` stores the verdicts. Every function
that deals is called inside a transaction, so that two people never get the same pair at the same time.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from madetl.errors import ParameterError
from madetl.selection import select
from madetl.selection.sets import Adaptive, Ending
from madetl.store import annotators
from madetl.store.database import insert_rows
from madetl.store.sqlfiles import query

SIDES = ("model_a", "model_b")
HOLD = timedelta(minutes=30)
"""How long a pair stays reserved for the person who has it on the page; then somebody else may get it as well."""
REPEAT_GAP = 10
"""How many verdicts lie between the two times that somebody sees a pair, as long as there are others to deal."""


_LOWEST_ID = 100_000  # so that all ids have as many digits, and none looks like a position


@dataclass(frozen=True)
class PageStudy:
    """What the page works through: a selection, and how its pairs are dealt.

    Each selected pair gets `overlap` verdicts of different people; of the pairs that somebody judges, the share
    `repeat` is asked again. `run_id` is the run of `madetl annotate`. `plan` is how an adaptive selection grows as
    people judge; None: the page deals what is selected already.
    """

    set_id: int
    selection: str
    overlap: int
    repeat: float
    seed: int
    run_id: int
    plan: Adaptive | None = None

    def parameters(self, annotator_id: int) -> dict[str, Any]:
        """The parameters that the queries of sql/judgment share."""
        held_since = datetime.now(UTC) - HOLD
        return {
            "set_id": self.set_id,
            "annotator_id": annotator_id,
            "overlap": self.overlap,
            "held_since": held_since.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }


def person(db: sqlite3.Connection, name: str) -> int:
    """The id of a person, a new one where the name is new. Raises ParameterError for a judge model or a crowd."""
    if not name.strip():
        raise ParameterError("--annotator is empty; give it a name.")
    found = annotators.ensure(db, [name.strip()])
    [kind], [annotator_id] = found.kinds.values(), found.ids.values()
    if kind != "person":
        what = {"model": "a judge model", "crowd": "a crowd, many people under one name"}[kind]
        raise ParameterError(f"{name} is {what}; sheets and the page are for people. Give a person's name.")
    return annotator_id


def deal_all(db: sqlite3.Connection, chosen: sqlite3.Row, annotator_id: int | None, seed: str, run_id: int) -> int:
    """Deals the pairs of a selection that are not assigned to this annotator yet; returns how many.

    Which answer is shown first is balanced within each model pair. A sheet is sorted by the ids of its assignments,
    which are drawn from one wide range however often a selection grows: ids that count up would tell which models are
    compared, a model that came later above all. A seed that names the annotator gives each annotator an order of their
    own, so that what the order does to verdicts evens out.
    """
    rows = db.execute(
        query("judgment/unassigned_pairs"), {"set_id": chosen["id"], "annotator_id": annotator_id}
    ).fetchall()
    rng = random.Random(seed)
    drawn = []
    for _, group in groupby(rows, key=lambda row: row["pair_id"]):
        picks = list(group)
        sides = balanced_sides(len(picks), picks[0]["a_first"], picks[0]["b_first"], rng)
        drawn += [(pick["selection_id"], annotator_id, side, run_id) for pick, side in zip(picks, sides, strict=True)]
    ids = unused_ids(db, len(drawn), rng)
    assignments = [(new_id, *values) for new_id, values in zip(ids, drawn, strict=True)]
    return insert_rows(db, "assignments", ("id", "selection_id", "annotator_id", "shown_first", "run_id"), assignments)


def unused_ids(db: sqlite3.Connection, count: int, rng: random.Random) -> list[int]:
    """`count` ids that no assignment has, each as likely as any other: an id does not tell when a pair was dealt.

    Ids have six digits, and more once half of those are in use. Call it inside the transaction that uses them.
    """
    needed = count + db.execute("SELECT count(*) FROM assignments").fetchone()[0]
    beyond = 10 * _LOWEST_ID
    while 2 * needed > beyond - _LOWEST_ID:
        beyond *= 10
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        candidate = rng.randrange(_LOWEST_ID, beyond)
        if not db.execute("SELECT 1 FROM assignments WHERE id = ?", (candidate,)).fetchone():
            drawn[candidate] = None
    return list(drawn)


def now() -> str:
    """The time in UTC, as `dealt_at` and `decided_at` hold it: with microseconds, since these times give an order."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def balanced_sides(count: int, a_first: int, b_first: int, rng: random.Random) -> list[str]:
    """Which model is shown first in `count` more assignments of two models.

    `a_first` and `b_first` say how often either was shown first so far. In the end the two counts are as even as they
    can be; chance decides which side has one more where one must, and in which order the sides come.
    """
    sides = []
    for _ in range(count):
        side = rng.choice(SIDES) if a_first == b_first else SIDES[a_first > b_first]
        a_first, b_first = a_first + (side == "model_a"), b_first + (side == "model_b")
        sides.append(side)
    rng.shuffle(sides)
    return sides


def current_assignment(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> int | None:
    """The id of the assignment that the annotator has before them; None where they have none. Changes nothing."""
    row = db.execute(query("judgment/current_assignment"), study.parameters(annotator_id)).fetchone()
    return None if row is None else int(row["assignment_id"])


def deal_next(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> int | None:
    """The id of the annotator's assignment: the one that is open, or else one that is dealt now. None: nothing is left.

    A repeat is dealt as soon as it is due. Of the free pairs those with the fewest verdicts come first; among these
    chance decides, so that the order tells nothing about the models. An adaptive selection grows by one pick where no
    pair is free, not before: so the pick is made in view of all votes that are in.
    """
    if (current := current_assignment(db, study, annotator_id)) is not None:
        return current
    rng = random.Random(_draw_seed(db, study, annotator_id))
    repeats = _due_repeats(db, study, annotator_id, REPEAT_GAP)
    if not repeats and (free := _free(db, study, annotator_id)):
        return _deal(db, study, annotator_id, rng.choice(free), rng, repeat=0)
    repeats = repeats or _due_repeats(db, study, annotator_id, 1)
    return _deal(db, study, annotator_id, rng.choice(repeats), rng, repeat=1) if repeats else None


def deal_again(db: sqlite3.Connection, study: PageStudy, assignment_id: int) -> int:
    """Deals the pair of a skipped or undone assignment to its annotator once more, the answers in the order they saw.

    Returns the id of the open assignment.
    """
    [new_id] = unused_ids(db, 1, random.Random(f"{study.seed}/{study.selection}/again/{assignment_id}"))
    parameters = {"assignment_id": assignment_id, "new_id": new_id, "run_id": study.run_id, "now": now()}
    row = db.execute(query("judgment/deal_again"), parameters).fetchone()
    return int(row["assignment_id"])


def _draw_seed(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> str:
    parameters = {"set_id": study.set_id, "annotator_id": annotator_id}
    row = db.execute(query("judgment/assigned_so_far"), parameters).fetchone()
    return f"{study.seed}/{study.selection}/{row['annotator']}/{row['assignments']}"


def ending(db: sqlite3.Connection, study: PageStudy) -> Ending | None:
    """Why the study's selection picks no more, by the votes that are in; None: it could, or it does not grow at all."""
    return None if study.plan is None else select.ending(db, study.selection, study.plan)


def _free(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> Sequence[sqlite3.Row]:
    """The pairs to choose from; where there is none, and the selection grows, the pick that is added to it now."""
    free = _fewest_verdicts(db, study, annotator_id)
    if free or study.plan is None or not select.grow(db, study.selection, study.plan, study.run_id):
        return free
    return _fewest_verdicts(db, study, annotator_id)


def _fewest_verdicts(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> Sequence[sqlite3.Row]:
    free = db.execute(query("judgment/open_slots"), study.parameters(annotator_id)).fetchall()
    fewest = min((row["taken"] for row in free), default=0)
    return [row for row in free if row["taken"] == fewest]


def _due_repeats(db: sqlite3.Connection, study: PageStudy, annotator_id: int, gap: int) -> Sequence[sqlite3.Row]:
    parameters = {"set_id": study.set_id, "annotator_id": annotator_id, "share": study.repeat, "gap": gap}
    return db.execute(query("judgment/due_repeats"), parameters).fetchall()


def _deal(
    db: sqlite3.Connection, study: PageStudy, annotator_id: int, pick: sqlite3.Row, rng: random.Random, *, repeat: int
) -> int:
    """Deals one pair; returns the assignment's id. An assignment that a sheet has made keeps its id and its order."""
    key = {"set_id": study.set_id, "annotator_id": annotator_id, "pair_id": pick["pair_id"]}
    shown = db.execute(query("judgment/sides_shown"), key).fetchone()
    [side] = balanced_sides(1, shown["a_first"], shown["b_first"], rng) if not repeat else [rng.choice(SIDES)]
    values = {
        "selection_id": pick["selection_id"],
        "annotator_id": annotator_id,
        "repeat": repeat,
        "shown_first": side,
        "run_id": study.run_id,
        "new_id": unused_ids(db, 1, rng)[0],
        "now": now(),
    }
    return int(db.execute(query("judgment/deal_assignment"), values).fetchone()["assignment_id"])
