"""Which generation of instructions a stage works on: how it is named, whether it has any, and what it is in words.

The rows themselves are those of sql/store/pool.sql, which takes `scenarios` and `generation` as they are made here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from madetl.errors import ParameterError
from madetl.store import sqlfiles
from madetl.store.scope import names_json
from madetl.text import counted

EVOLVED, SEEDS, ALL = "evolved", "seeds", "all"

_MOST_NAMED = 4  # scenarios; more are counted

Bindings = Mapping[str, Any]
"""Parameters of queries; here `scenarios` and `generation` are read."""


@dataclass(frozen=True)
class ScenarioPool:
    """What the pool has of one scenario. `rewritten_seeds`: seeds that its rewritings come from, in the pool or not.

    `evolved`: whether the scenario has rewritings, in the pool or not.
    """

    scenario: str
    seeds: int
    rewritings: int
    rewritten_seeds: int
    evolved: bool


def parsed(text: str | int) -> str:
    """A generation as queries take it: 'evolved', 'seeds', 'all', or a number from 1. Raises ParameterError."""
    word = str(text).strip()
    if word.isascii() and word.isdigit():
        return str(int(word)) if int(word) else SEEDS
    if word not in (EVOLVED, SEEDS, ALL):
        raise ParameterError(f"{text!r} is no generation: give evolved, seeds, all, or a number such as 2.")
    return word


def bindings(scenarios: Iterable[str] | None, generation: str | int | None) -> dict[str, str | None]:
    """The parameters of pool.sql. `generation` None: of each scenario the rewritings, or its seeds where it has none.

    Raises ParameterError where there is no such generation.
    """
    return {
        "scenarios": names_json(scenarios),
        "generation": None if generation is None else parsed(generation),
    }


def sizes(db: sqlite3.Connection, pool: Bindings) -> list[ScenarioPool]:
    """What the pool has, scenario by scenario in the order of their names; one that it has nothing of is left out."""
    rows = db.execute(sqlfiles.query("store/pool_sizes"), _of_pool(pool))
    return [ScenarioPool(**{**dict(row), "evolved": bool(row["evolved"])}) for row in rows]


def size(db: sqlite3.Connection, pool: Bindings) -> int:
    """How many instructions the pool has."""
    return sum(each.seeds + each.rewritings for each in sizes(db, pool))


def by_default(db: sqlite3.Connection, scenarios: str | None) -> dict[str, str]:
    """Scenario → the generation that holds now where nobody says which. `scenarios`: a JSON array; None: all."""
    deepest = db.execute("SELECT scenario, max(generation) FROM instructions GROUP BY scenario")
    words = {scenario: EVOLVED if generation else SEEDS for scenario, generation in deepest}
    return words if scenarios is None else {name: words[name] for name in json.loads(scenarios) if name in words}


def check(db: sqlite3.Connection, pool: Bindings) -> None:
    """Raises ParameterError where there are instructions, but none of this generation."""
    if db.execute(sqlfiles.query("store/pool_has_any"), _of_pool(pool)).fetchone()[0]:
        return
    if there := sizes(db, {**pool, "generation": ALL}):
        raise ParameterError(f"No instruction is of --generation {pool['generation']}. There are {_listed(there)}.")


def described(db: sqlite3.Connection, pool: Bindings, limit: int | None = None) -> str:
    """The pool in words, such as '24 rewritings of 12 seeds in Writing; 30 instructions in Coding'.

    `limit`: only the first so many instructions count.
    """
    found = sizes(db, pool)
    everything = sum(each.seeds + each.rewritings for each in found)
    number = pool["generation"] if str(pool["generation"]).isdigit() else None
    first = ""
    if limit is not None and limit < everything:
        first = f"the first {limit:,} of " + (f"{everything:,}: " if len(found) > 1 else "")
    return first + _listed(found, number) if found else "no instruction"


def _of_pool(pool: Bindings) -> dict[str, Any]:
    return {name: pool[name] for name in ("scenarios", "generation")}


def _listed(found: Sequence[ScenarioPool], number: str | None = None) -> str:
    """Scenario by scenario; where there are many, those that are told of in the same way together."""
    if len(found) <= _MOST_NAMED:
        return "; ".join(f"{_counts(each, number)} in {each.scenario}" for each in found)
    alike: dict[tuple[bool, ...], list[ScenarioPool]] = {}
    for each in found:
        alike.setdefault((each.evolved, each.seeds > 0, each.rewritings > 0), []).append(each)
    return "; ".join(
        f"{_counts(_together(group), number)} in {counted(len(group), 'scenario')}" for group in alike.values()
    )


def _together(group: Sequence[ScenarioPool]) -> ScenarioPool:
    totals = {name: sum(getattr(each, name) for each in group) for name in ("seeds", "rewritings", "rewritten_seeds")}
    return ScenarioPool("", **totals, evolved=group[0].evolved)


def _counts(part: ScenarioPool, number: str | None) -> str:
    if not part.evolved:
        return counted(part.seeds, "instruction")
    if not part.rewritings:
        return counted(part.seeds, "seed")
    rewritings = counted(part.rewritings, "rewriting")
    if part.seeds:
        return f"{counted(part.seeds, 'seed')} and {rewritings}"
    if part.rewritten_seeds:
        rewritings += f" of {counted(part.rewritten_seeds, 'seed')}"
    return f"{rewritings}, round {number}," if number else rewritings
