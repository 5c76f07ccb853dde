"""Who gets which item next: deals the pairs of a selection, all of them to a sheet, one by one to the page.

An adaptive selection grows as the page deals: where no pair is free, the next one is picked, and dealt at once.

What is drawn at random (an item's number, which answer stands first, whose turn it is on the page) is drawn once and
stored in `assignments`: nothing of it is kept anywhere else. Queries say which pairs are free; verdicts are the matter
of annotation. Every function that deals is called inside a transaction, so that two people never get the same slot.
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
from madetl.store.database import insert_rows
from madetl.store.sqlfiles import query

SIDES = ("model_a", "model_b")
HOLD = timedelta(minutes=30)
"""How long an item stays reserved for the person who has it on the page; then somebody else may get it as well."""
REPEAT_GAP = 10
"""How many verdicts lie between the two times that somebody sees an item, as long as there are others to deal."""


_LOWEST_NUMBER = 100_000  # so that all have as many digits, and none looks like the how-manieth it is


@dataclass(frozen=True)
class PageStudy:
    """What the page works through: a selection, and how it is dealt.

    Each item gets `overlap` verdicts of different people; of the items that somebody judges, the share `repeat` is
    asked again. `run_id` is the run of `madetl annotate`. `plan` is how an adaptive selection grows as people judge;
    None: the page deals what is selected already.
    """

    set_id: int
    selection: str
    overlap: int
    repeat: float
    seed: int
    run_id: int
    plan: Adaptive | None = None

    def parameters(self, annotator_id: int) -> dict[str, Any]:
        """What the queries of sql/judging share."""
        held_since = datetime.now(UTC) - HOLD
        return {
            "set_id": self.set_id,
            "annotator_id": annotator_id,
            "overlap": self.overlap,
            "held_since": held_since.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }


def person(db: sqlite3.Connection, name: str) -> int:
    """The id of an annotator, a new one where the name is new. Raises ParameterError for a judge model's."""
    if not name.strip():
        raise ParameterError("--annotator is empty; give it a name.")
    db.execute("INSERT INTO annotators (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    row = db.execute("SELECT id, kind FROM annotators WHERE name = ?", (name,)).fetchone()
    if row["kind"] != "person":
        raise ParameterError(f"{name} is a judge model; sheets and the page are for people. Give a person's name.")
    return int(row["id"])


def deal_all(db: sqlite3.Connection, chosen: sqlite3.Row, annotator_id: int | None, seed: str, run_id: int) -> int:
    """Deals the pairs of a selection that this annotator has not; returns how many.

    Which answer is shown first is balanced within each model pair. Items are sorted by their numbers, which are drawn
    from one wide range however often a selection grows: in the order of dealing they would tell which models an item
    compares, a model that came later above all. A seed that names the annotator gives each an order of their own, so
    that what the order does to verdicts evens out.
    """
    rows = db.execute(
        query("judgment/undealt_selections"), {"set_id": chosen["id"], "annotator_id": annotator_id}
    ).fetchall()
    rng = random.Random(seed)
    deals = []
    for _, group in groupby(rows, key=lambda row: row["pair_id"]):
        picks = list(group)
        sides = balanced_sides(len(picks), picks[0]["a_first"], picks[0]["b_first"], rng)
        deals += [(pick["selection_id"], annotator_id, side, run_id) for pick, side in zip(picks, sides, strict=True)]
    numbers = unused_numbers(db, len(deals), rng)
    items = [(number, *deal) for number, deal in zip(numbers, deals, strict=True)]
    return insert_rows(db, "assignments", ("id", "selection_id", "annotator_id", "shown_first", "run_id"), items)


def unused_numbers(db: sqlite3.Connection, count: int, rng: random.Random) -> list[int]:
    """That many item numbers that nobody has, each as likely as any other: they say nothing of when an item was dealt.

    They have six digits, and more once half of those are in use. Call it inside the transaction that uses them.
    """
    wanted = count + db.execute("SELECT count(*) FROM assignments").fetchone()[0]
    beyond = 10 * _LOWEST_NUMBER
    while 2 * wanted > beyond - _LOWEST_NUMBER:
        beyond *= 10
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        number = rng.randrange(_LOWEST_NUMBER, beyond)
        if not db.execute("SELECT 1 FROM assignments WHERE id = ?", (number,)).fetchone():
            drawn[number] = None
    return list(drawn)


def now() -> str:
    """The time in UTC as dealing and deciding store it: with microseconds, since these times say what came first."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def balanced_sides(count: int, a_first: int, b_first: int, rng: random.Random) -> list[str]:
    """Which model is shown first in `count` more items of a pair that has been shown `a_first` and `b_first` times.

    As even as it can be in the end; where one side must have one more, chance decides which, as it does the order.
    """
    sides = []
    for _ in range(count):
        side = rng.choice(SIDES) if a_first == b_first else SIDES[a_first > b_first]
        a_first, b_first = a_first + (side == "model_a"), b_first + (side == "model_b")
        sides.append(side)
    rng.shuffle(sides)
    return sides


def current_item(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> int | None:
    """The number of the item that the annotator has before them; None where nothing is dealt. Changes nothing."""
    row = db.execute(query("judgment/current_item"), study.parameters(annotator_id)).fetchone()
    return None if row is None else int(row["item"])


def deal_next(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> int | None:
    """The number of the annotator's item: the one that is open, or else the one dealt now. None: nothing is left.

    A repeat is dealt as soon as it is due. Of the free pairs those with the fewest verdicts come first; which of them,
    chance decides, so that the order tells nothing about the models. An adaptive selection grows by one pick where no
    pair is free, not before: so the pick is made in view of all votes that are in.
    """
    if (current := current_item(db, study, annotator_id)) is not None:
        return current
    rng = random.Random(_draw_seed(db, study, annotator_id))
    repeats = _due_repeats(db, study, annotator_id, REPEAT_GAP)
    if not repeats and (free := _free(db, study, annotator_id)):
        return _deal(db, study, annotator_id, rng.choice(free), rng, repeat=0)
    repeats = repeats or _due_repeats(db, study, annotator_id, 1)
    return _deal(db, study, annotator_id, rng.choice(repeats), rng, repeat=1) if repeats else None


def deal_again(db: sqlite3.Connection, study: PageStudy, item: int) -> int:
    """Deals a skipped or undone item to its annotator once more, the answers in the order that they saw."""
    [number] = unused_numbers(db, 1, random.Random(f"{study.seed}/{study.selection}/again/{item}"))
    parameters = {"item": item, "number": number, "run_id": study.run_id, "now": now()}
    row = db.execute(query("judgment/deal_again"), parameters).fetchone()
    return int(row["item"])


def _draw_seed(db: sqlite3.Connection, study: PageStudy, annotator_id: int) -> str:
    parameters = {"set_id": study.set_id, "annotator_id": annotator_id}
    dealt = db.execute(query("judgment/dealt_so_far"), parameters).fetchone()
    return f"{study.seed}/{study.selection}/{dealt['annotator']}/{dealt['items']}"


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
    """Deals one pair. An item that a sheet has dealt to the annotator keeps its number and its order."""
    key = {"set_id": study.set_id, "annotator_id": annotator_id, "pair_id": pick["pair_id"]}
    shown = db.execute(query("judgment/sides_shown"), key).fetchone()
    [side] = balanced_sides(1, shown["a_first"], shown["b_first"], rng) if not repeat else [rng.choice(SIDES)]
    values = {
        "selection_id": pick["selection_id"],
        "annotator_id": annotator_id,
        "repeat": repeat,
        "shown_first": side,
        "run_id": study.run_id,
        "number": unused_numbers(db, 1, rng)[0],
        "now": now(),
    }
    return int(db.execute(query("judgment/deal_item"), values).fetchone()["item"])
