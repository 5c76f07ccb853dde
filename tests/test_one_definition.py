"""What is a vote, a first verdict, an item, eligible: all who ask get the same answer, that of a plain count in Python.

The database has repeats, second and undone verdicts, several answers of one model, people and a judge model.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madetl.judgment import agreement
from madetl.ranking import votes_so_far
from madetl.ranking.rank import read_votes
from madetl.ranking.votes import RankParameters
from madetl.report import rows as report
from madetl.report.tallies import votes_of
from madetl.store import database, sqlfiles
from tests.support import versions

VOTERS = [
    RankParameters(),
    RankParameters(judges=True),
    RankParameters(annotators=("ann",)),
    RankParameters(without=("bob",)),
    RankParameters(scenario="Writing"),
]
FILTERS = [(0, 0.0), (20, 4.0), (20, 0.0), (0, 4.0), (29, 1.5)]
PAIRS = ["all", "judged", "unjudged"]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    versions.make(tmp_path / "mad.db", 2)
    with database.writing(tmp_path / "mad.db") as connection:
        yield connection


def table(db: sqlite3.Connection, name: str) -> dict[int, dict[str, Any]]:
    return {row["id"]: dict(row) for row in db.execute(f"SELECT * FROM {name}")}


def plain_votes(db: sqlite3.Connection, parameters: RankParameters) -> list[dict[str, Any]]:
    """The judgments that count, in order, each with its scenario and its item: counted without a JOIN."""
    annotators, responses, instructions = (table(db, name) for name in ("annotators", "responses", "instructions"))
    found = []
    for judgment in table(db, "judgments").values():
        who = annotators[judgment["annotator_id"]]
        a, b = responses[judgment["response_a_id"]], responses[judgment["response_b_id"]]
        scenario = instructions[a["instruction_id"]]["scenario"]
        kind = "model" if parameters.judges else "person"
        counts = who["name"] in parameters.annotators if parameters.annotators else who["kind"] == kind
        if counts and who["name"] not in parameters.without and parameters.scenario in (None, scenario):
            item = (a["instruction_id"], a["model_id"], b["model_id"])
            found.append(judgment | {"scenario": scenario, "item": item, "annotator": who["name"]})
    return found


def ask(db: sqlite3.Connection, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a query; parameters that it does not take are left out."""
    sql = sqlfiles.query(query)
    return [dict(row) for row in db.execute(sql, {key: parameters[key] for key in sqlfiles.query_parameters(sql)})]


@pytest.mark.parametrize("parameters", VOTERS, ids=lambda one: json.dumps(one.whose) + str(one.scenario))
def test_whoever_counts_votes_counts_the_same(db: sqlite3.Connection, parameters: RankParameters) -> None:
    expected = plain_votes(db, parameters)
    items = {vote["item"] for vote in expected}
    bindings = parameters.whose | {"scenario": parameters.scenario}
    assert expected
    # rank, by counts and in order
    [by_counts, *_] = read_votes(db, parameters)
    ranked = (by_counts.counts["battles"], by_counts.counts["items"], int(by_counts.outcomes.items.sum()))
    assert ranked == (len(expected), len(items), len(items))
    assert len(ask(db, "ranking/battles_in_order", **bindings)) == len(expected)
    assert sum(row["votes"] * row["items"] for row in ask(db, "ranking/item_outcomes", **bindings)) == len(expected)
    # the report
    reported = ask(db, "report/votes_to_report", **bindings)
    assert [row["judgment_id"] for row in reported] == [vote["id"] for vote in expected]
    names = dict(db.execute("SELECT id, name FROM models").fetchall())
    assert votes_of(reported, names, by_counts.scenario).counts == by_counts.counts
    records = ask(db, "report/pair_records", **bindings)
    assert (sum(row["battles"] for row in records), sum(row["items"] for row in records)) == (len(expected), len(items))
    sides = Counter(row["scenario"] for row in expected)
    found = ask(db, "report/scenario_records", **bindings)
    assert {name: sum(row["battles"] for row in found if row["scenario"] == name) for name in sides} == {
        name: 2 * number for name, number in sides.items()
    }


@pytest.mark.parametrize("scenario", [None, "Writing", "Reasoning"])
def test_what_reads_peoples_votes_reads_the_same(db: sqlite3.Connection, scenario: str | None) -> None:
    expected = plain_votes(db, RankParameters(scenario=scenario))
    so_far = votes_so_far.read(db, scenario)
    assert so_far.items.sum() == len({vote["item"] for vote in expected})
    replayed = ask(db, "replay/votes_to_replay", metric_id=1, scenario=scenario, model_ids=None)
    assert len(replayed) == len(expected)
    wins = db.execute("SELECT sum(battles) FROM win_rates WHERE scenario = ?", (scenario or "overall",)).fetchone()[0]
    assert wins == 2 * len(expected)
    shown = db.execute("SELECT scenario FROM battles WHERE annotator_kind = 'person'").fetchall()
    assert sum(scenario in (None, row["scenario"]) for row in shown) == len(expected)


def first_verdicts(db: sqlite3.Connection) -> dict[tuple[int, int, int], dict[str, Any]]:
    """Each annotator's first verdict on each response pair: repeats come after what they repeat, then by id."""
    assignments = table(db, "assignments")

    def order(judgment: dict[str, Any]) -> tuple[int, int]:
        return (assignments.get(judgment["assignment_id"] or 0, {"repeat": 0})["repeat"], judgment["id"])

    found: dict[tuple[int, int, int], dict[str, Any]] = {}
    for judgment in sorted(table(db, "judgments").values(), key=order):
        found.setdefault(tuple(judgment[key] for key in ("annotator_id", "response_a_id", "response_b_id")), judgment)
    return found


def test_whoever_takes_first_verdicts_takes_the_same(db: sqlite3.Connection) -> None:
    expected = first_verdicts(db)
    annotators = table(db, "annotators")
    assert {row["judgment_id"] for row in db.execute("SELECT judgment_id FROM first_verdicts")} == {
        judgment["id"] for judgment in expected.values()
    }
    # agreement, its two users, and the majority that may be ranked
    both = [(a, b) for a in expected for b in expected if a[1:] == b[1:] and a[0] < b[0]]
    same = sum(expected[a]["winner"] == expected[b]["winner"] for a, b in both)
    common = ask(db, "report/verdicts_in_common", scenario=None)
    assert (sum(row["response_pairs"] for row in common), sum(row["agreed"] for row in common)) == (len(both), same)
    [overall, *_] = agreement.report(db, rounds=1).scenarios
    assert sum(one.response_pairs for one in overall.pairs) == len(both)
    by_people = {key[1:] for key in expected if annotators[key[0]]["kind"] == "person"}
    assert overall.response_pairs == len(by_people)
    assert len(ask(db, "ranking/majority_verdicts", scenario=None, **RankParameters().whose)) == len(by_people)


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize(("min_words", "max_length_ratio"), FILTERS)
@pytest.mark.parametrize("scenario", [None, "Writing"])
def test_whoever_asks_what_is_eligible_gets_the_same(
    db: sqlite3.Connection, scenario: str | None, min_words: int, max_length_ratio: float, pairs: str
) -> None:
    instructions, annotators = table(db, "instructions"), table(db, "annotators")
    judged: dict[tuple[int, int], set[str]] = {}
    for one in table(db, "judgments").values():
        whose = judged.setdefault((one["response_a_id"], one["response_b_id"]), set())
        whose.add(annotators[one["annotator_id"]]["kind"])
    scope = {"metric_id": 1, "scenario": scenario, "pairs": pairs, "model_ids": None, "set_id": None, "width": 0.1}
    scope |= {"min_words": min_words, "max_length_ratio": max_length_ratio, "top_k": 99, "pair_policy": "uniform"}

    def passes(row: dict[str, Any]) -> bool:
        by = judged.get((row["response_a_id"], row["response_b_id"]), set())
        return (
            row["length_ratio"] > 0
            and scenario in (None, instructions[row["instruction_id"]]["scenario"])
            and (min_words == 0 or row["shorter_words"] > min_words)
            and (max_length_ratio == 0 or row["length_ratio"] < max_length_ratio)
            and {"all": True, "judged": bool(by), "unjudged": "person" not in by}[pairs]
        )

    expected = {key: row for key, row in table(db, "similarities").items() if passes(row)}
    per_pair = Counter(row["pair_id"] for row in expected.values())
    assert {row["similarity_id"] for row in ask(db, "selection/eligible_response_pairs", **scope)} == set(expected)
    counted = {row["pair_id"]: row["eligible"] for row in ask(db, "selection/filter_counts", **scope)}
    assert {pair: number for pair, number in counted.items() if number} == per_pair
    levels = {row["pair_id"]: row["eligible"] for row in ask(db, "report/similarity_levels", **scope)}
    assert levels == per_pair
    heights = Counter[int]()
    for row in ask(db, "report/similarity_histogram", **scope):
        heights[row["pair_id"]] += row["response_pairs"]
    assert heights == per_pair
    picked = {(row["pair_id"], row["instruction_id"]) for row in ask(db, "selection/mad_picks", **scope)}
    assert picked == {(row["pair_id"], row["instruction_id"]) for row in expected.values()}
    open_pairs = {row["pair_id"] for row in ask(db, "selection/growing_pairs", **scope) if row["open"]}
    assert open_pairs == set(per_pair)
    assert ask(db, "status/new_model_pairs", **scope) == [{"new_model_pairs": len(per_pair)}]


def test_the_report_reads_the_ranking_that_leaves_somebody_out(db: sqlite3.Connection) -> None:
    db.execute("UPDATE runs SET parameters = ? WHERE id = 5", (json.dumps({"method": "elo", "without": ["bob"]}),))
    data = report.read(db)
    assert {row["annotator"] for row in data.votes.rows} == {"ann"}
