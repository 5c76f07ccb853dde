"""How well annotators agree: reads judgments and makes a report for each scenario. Nothing is stored.

Between annotators, the vote of each on a response pair counts; repeats tell how far an annotator agrees with
themselves; habits (ties, position) rest on the votes. A crowd is many people, nobody knows how many: its votes are no
one person's, and take part in habits and in the majority that judge models are held against. `reliability` and SQL
compute the numbers.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from madetl.errors import ParameterError
from madetl.judgment.reliability import (
    Alpha,
    Share,
    cohen_kappa,
    confusion,
    krippendorff_alpha,
    observed_agreement,
    share,
)
from madetl.store.scope import check_scenarios, check_selections, names_json
from madetl.store.sqlfiles import query
from madetl.text import Note, counted

CATEGORIES = ("model_a", "model_b", "tie", "both_bad")
OVERALL = "overall"
LOPSIDED = 0.05  # between alpha and unordered alpha; a smaller difference is not reported
FEW = 20  # with fewer shared pairs alpha's interval says more about the draw than about the people


@dataclass(frozen=True)
class TwoVerdicts:
    """Two verdicts on each of some response pairs: how many there are and agree, and Cohen's kappa (None: no meaning).

    `kappa_unordered` does not depend on which of two models is called the first.
    """

    response_pairs: int
    agreed: int
    agreement: float
    kappa: float | None
    kappa_unordered: float | None


@dataclass(frozen=True)
class PairOfAnnotators(TwoVerdicts):
    """Two annotators on the response pairs that both judged."""

    annotator_a: str
    kind_a: str
    annotator_b: str
    kind_b: str


@dataclass(frozen=True)
class Judge(TwoVerdicts):
    """A judge model beside the verdict of most people on a response pair (a tie where no verdict has most)."""

    judge: str


@dataclass(frozen=True)
class Habits:
    """How an annotator judges. `annotator` is None for all annotators of the kind together.

    `first_wins`: the share of first-shown answers among the wins whose order is known. `seconds` is a median, None
    where no time is known. `repeats`: verdicts on what they had judged; `again`: those that were the same as the vote.
    `revised`: verdicts that another one of the same annotator replaced.
    """

    annotator: str | None
    kind: str
    annotators: int
    votes: int
    response_pairs: int
    repeats: int
    revised: int
    ties: Share | None
    both_bad: int
    first_wins: Share | None
    seconds: float | None
    again: Share | None
    again_kappa: float | None
    again_kappa_unordered: float | None


@dataclass(frozen=True)
class ScenarioAgreement:
    """Everything about one scenario ('overall': all of them).

    `shared`: response pairs with verdicts of two people or more. `same`: alpha's observed agreement, the share of equal
    ones among all pairs of people's verdicts on a response pair, where each verdict has the same weight. `alpha` is of
    model_a, model_b, tie and both_bad in canonical order; `alpha_unordered` does not depend on which of two models is
    called the first.
    """

    scenario: str
    people: int
    votes: int
    response_pairs: int
    shared: int
    same: float | None
    alpha: Alpha
    alpha_unordered: Alpha
    everybody: list[Habits]
    annotators: list[Habits]
    pairs: list[PairOfAnnotators]
    judges: list[Judge]


@dataclass(frozen=True)
class Report:
    """The scenarios, 'overall' first (unless one scenario was asked for), and notes for the reader."""

    scenarios: list[ScenarioAgreement]
    notes: list[Note] = field(default_factory=list)


def report(
    db: sqlite3.Connection,
    *,
    scenarios: Sequence[str] = (),
    selections: Sequence[str] = (),
    rounds: int = 1000,
    seed: int = 42,
) -> Report:
    """How well annotators agree in these scenarios and on what these selections picked (none: all).

    Overall and per scenario. `rounds` and `seed` are those of alpha's bootstrap. Raises ParameterError where a scenario
    or a selection is unknown, or nobody has judged anything.
    """
    if rounds < 1:
        raise ParameterError(f"{rounds} rounds: give 1 or more.")
    check_scenarios(db, scenarios)
    check_selections(db, selections)
    db.execute("BEGIN")  # all queries see one moment of the database, though others may be storing verdicts
    try:
        found = _Rows.read(db, {"scenarios": names_json(scenarios), "selections": names_json(selections)})
    finally:
        db.rollback()
    if not found.habits:
        where = f" in scenario {', '.join(scenarios)}" if scenarios else ""
        where += f" of what {', '.join(selections)} picked" if selections else ""
        raise ParameterError(
            f"Nobody has judged anything{where} yet. `madetl annotate` opens a page to judge on; "
            "`madetl export annotations -o sheet.csv` makes a sheet."
        )
    names = list(dict.fromkeys(row["scenario"] for row in found.habits))
    if len(scenarios) == 1:  # it is overall, too
        names.remove(OVERALL)
    boards = [_scenario(name, found, rounds, seed) for name in names]
    return Report(boards, notes(boards))


@dataclass(frozen=True)
class _Rows:
    """The results of the queries, all of one moment."""

    counts: Sequence[sqlite3.Row]
    habits: Sequence[sqlite3.Row]
    repeats: Sequence[sqlite3.Row]
    judges: Sequence[sqlite3.Row]
    pairs: Sequence[sqlite3.Row]

    @classmethod
    def read(cls, db: sqlite3.Connection, scope: Mapping[str, str | None]) -> _Rows:
        queries = (
            "judgment/verdict_counts",
            "judgment/verdict_habits",
            "judgment/repeated_verdicts",
            "judgment/judges_and_people",
            "judgment/pairs_of_annotators",
        )
        return cls(*(db.execute(query(name), scope).fetchall() for name in queries))


def _scenario(name: str, found: _Rows, rounds: int, seed: int) -> ScenarioAgreement:
    counts = list(_in_scenario(found.counts, name))
    table = np.array([[row[category] for category in CATEGORIES] for row in counts], dtype=np.int64)
    response_pairs = np.array([row["response_pairs"] for row in counts], dtype=np.int64)
    table = table.reshape(-1, len(CATEGORIES))
    repeats = list(_in_scenario(found.repeats, name))
    habits = [_habits(row, repeats) for row in found.habits if row["scenario"] == name]
    people = next((one for one in habits if one.annotator is None and one.kind == "person"), None)
    return ScenarioAgreement(
        scenario=name,
        people=people.annotators if people else 0,
        votes=people.votes if people else 0,
        response_pairs=int(response_pairs.sum()),
        shared=int(response_pairs[table.sum(axis=1) >= 2].sum()),
        same=observed_agreement(table, response_pairs),
        alpha=krippendorff_alpha(table, response_pairs, rounds=rounds, seed=seed),
        alpha_unordered=krippendorff_alpha(table, response_pairs, unordered=True, rounds=rounds, seed=seed),
        everybody=[one for one in habits if one.annotator is None],
        annotators=[one for one in habits if one.annotator is not None],
        pairs=_pairs(_in_scenario(found.pairs, name)),
        judges=_judges(_in_scenario(found.judges, name)),
    )


def _in_scenario(rows: Iterable[sqlite3.Row], scenario: str) -> Iterable[sqlite3.Row]:
    """The rows of a scenario; 'overall' has all of them."""
    return (row for row in rows if scenario in (OVERALL, row["scenario"]))


def _habits(row: sqlite3.Row, repeats: Sequence[sqlite3.Row]) -> Habits:
    own = [one for one in repeats if one["kind"] == row["kind"] and row["annotator"] in (None, one["annotator"])]
    table = confusion([(one["first"], one["again"], one["repeats"]) for one in own], CATEGORIES)
    return Habits(
        **{
            name: row[name]
            for name in ("annotator", "kind", "annotators", "votes", "response_pairs", "repeats", "revised", "both_bad")
        },
        ties=share(row["ties"], row["votes"]),
        first_wins=share(row["first_won"] or 0, row["decided"]),
        seconds=row["seconds"],
        again=share(int(np.trace(table)), int(table.sum())),
        again_kappa=cohen_kappa(table),
        again_kappa_unordered=cohen_kappa(table, unordered=True),
    )


def _pairs(rows: Iterable[sqlite3.Row]) -> list[PairOfAnnotators]:
    """Those of one kind first, people before judge models; of these, those with most in common first."""

    def who(row: sqlite3.Row) -> tuple[str, ...]:
        return tuple(row[name] for name in ("annotator_a", "kind_a", "annotator_b", "kind_b"))

    found = [
        PairOfAnnotators(*_equal([(row["winner_a"], row["winner_b"], row["response_pairs"]) for row in group]), *names)
        for names, group in groupby(sorted(rows, key=who), key=who)
    ]
    return sorted(found, key=lambda one: (one.kind_a != one.kind_b, one.kind_a != "person", -one.response_pairs))


def _judges(rows: Iterable[sqlite3.Row]) -> list[Judge]:
    def name(row: sqlite3.Row) -> Any:
        return row["judge"]

    return [
        Judge(*_equal([(row["judged"], row["people"], row["response_pairs"]) for row in group]), judge)
        for judge, group in groupby(sorted(rows, key=name), key=name)
    ]


def _equal(rows: Sequence[tuple[str, str, int]]) -> tuple[int, int, float, float | None, float | None]:
    """The numbers of `TwoVerdicts`, out of rows (one's verdict, the other's, on how many response pairs)."""
    table = confusion(rows, CATEGORIES)
    agreed, both = int(np.trace(table)), int(table.sum())
    return both, agreed, agreed / both, cohen_kappa(table), cohen_kappa(table, unordered=True)


# The notes: each function looks at one thing that a reader must know


def notes(scenarios: Sequence[ScenarioAgreement]) -> list[Note]:
    """The notes on the first of the scenarios, which holds all verdicts that the report is about."""
    first = scenarios[0]
    about_all = (_overlap, _crowds, _alike, _lopsided, _revised, _order, _time, _repeats)
    found = [_few(scenarios), *(about(first) for about in about_all)]
    return [note for note in found if note]


def _overlap(found: ScenarioAgreement) -> Note | None:
    """Where people's agreement is unknown: why, and which command changes that."""
    if found.shared:
        return None
    crowd = any(one.kind == "crowd" for one in found.everybody)
    none = "Only a crowd has judged" if crowd else "No person has judged anything"
    one = "Only one person has judged, beside a crowd" if crowd else "Only one person has judged"
    why = {0: none, 1: one}.get(found.people, "No pair of answers was judged by two people")
    return Note(
        "overlap",
        f"{why}, so how well people agree is unknown. `madetl annotate --overlap 2` deals every pair of "
        "answers to two people; or give two people a copy of one sheet (`madetl export annotations -o sheet.csv`), and "
        "import each with `--annotator NAME`.",
    )


def _alike(found: ScenarioAgreement) -> Note | None:
    if not found.shared or found.alpha.alpha is not None:
        return None
    return Note(
        "alike",
        "all shared pairs of answers have one and the same verdict, as chance alone would give them: no alpha.",
    )


def _few(scenarios: Sequence[ScenarioAgreement]) -> Note | None:
    few = [found for found in scenarios if 0 < found.shared < FEW]
    if not few:
        return None
    named = ", ".join(f"{found.scenario} ({found.shared})" for found in few)
    return Note(
        "few", f"fewer than {FEW} pairs of answers were judged by two people or more in {named}: rough figures."
    )


def _lopsided(found: ScenarioAgreement) -> Note | None:
    ordered, unordered = found.alpha.alpha, found.alpha_unordered.alpha
    if ordered is None or unordered is None or unordered - ordered < LOPSIDED:
        return None
    return Note(
        "lopsided",
        "alpha and kappa name the model that was imported first model_a. Here one of the two sides wins most, so that "
        "much of the agreement looks like chance; the unordered figures do not depend on the order of models.",
    )


def _crowds(found: ScenarioAgreement) -> Note | None:
    crowds = [one for one in found.annotators if one.kind == "crowd"]
    if not crowds:
        return None
    named = ", ".join(f"{one.annotator} ({one.votes:,} vote{'s' if one.votes != 1 else ''})" for one in crowds)
    return Note(
        "crowds",
        f"{named}: many people under one name. Which of these votes are one person's is unknown, so they are in no "
        "alpha and in no kappa of two annotators.",
    )


def _revised(found: ScenarioAgreement) -> Note | None:
    revised = sum(one.revised for one in found.everybody)
    if not revised:
        return None
    verdicts = f"{counted(revised, 'verdict')} of annotators {'was' if revised == 1 else 'were'} revised"
    return Note(
        "revised",
        f"{verdicts}: what came after counts. `madetl query verdicts` has them, with the status revised.",
    )


def _order(found: ScenarioAgreement) -> Note | None:
    if any(one.first_wins for one in found.everybody):
        return None
    return Note("order", "no vote tells which answer was shown first, so a bias for a position cannot be seen.")


def _time(found: ScenarioAgreement) -> Note | None:
    if any(one.seconds is not None for one in found.everybody):
        return None
    return Note("time", "no vote tells how long it took.")


def _repeats(found: ScenarioAgreement) -> Note | None:
    if any(one.again for one in found.everybody):
        return None
    return Note(
        "repeats",
        "nobody was asked the same twice, so how far annotators agree with themselves is unknown. "
        "`madetl annotate --repeat 0.05` asks a part of the pairs again.",
    )
