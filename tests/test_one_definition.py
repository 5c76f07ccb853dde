"""What is a vote, an item, eligible: all who ask get the same answer, that of a plain count in Python.

The database has repeats, second and undone verdicts, several answers of one model, people, a crowd and a judge model.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madetl.exporting import exports
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
    RankParameters(scenarios=("Writing",)),
    RankParameters(scenarios=("Writing", "Reasoning")),
    RankParameters(selections=("first",)),
    RankParameters(selections=("first", "second")),
    RankParameters(selections=("second", "first"), scenarios=("Writing",)),
]
ALL = RankParameters()
FILTERS = [(0, 0.0), (20, 4.0), (20, 0.0), (0, 4.0), (29, 1.5)]
PAIRS = ["all", "judged", "unjudged"]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    versions.make(tmp_path / "mad.db", 2)
    with database.writing(tmp_path / "mad.db") as connection:
        select(connection)
        yield connection


def select(db: sqlite3.Connection) -> None:
    """Two selections of judged response pairs: one of every second pair, one of every third; some are in both."""
    judged = db.execute("SELECT DISTINCT response_a_id, response_b_id FROM judgments ORDER BY 1, 2").fetchall()
    for name, every in (("first", 2), ("second", 3)):
        sql = """
            INSERT INTO selection_sets
                (name, metric_id, strategy, top_k, diversity, min_words, max_length_ratio, candidates, seed)
            VALUES (?, 1, 'mad', 9, 0, 0, 0, 'all', 1)
        """
        set_id = db.execute(sql, (name,)).lastrowid
        for rank, (a, b) in enumerate(judged[::every], 1):
            sql = """
                INSERT INTO selections
                    (set_id, pair_id, rank, instruction_id, response_a_id, response_b_id, score, cost)
                SELECT ?, p.id, ?, ra.instruction_id, ra.id, rb.id, 0.5, 0.5
                FROM responses AS ra
                JOIN responses AS rb ON rb.id = ?
                JOIN pairs AS p ON p.model_a_id = ra.model_id AND p.model_b_id = rb.model_id
                WHERE ra.id = ?
                ON CONFLICT DO NOTHING
            """
            db.execute(sql, (set_id, rank, b, a))


def table(db: sqlite3.Connection, name: str) -> dict[int, dict[str, Any]]:
    return {row["id"]: dict(row) for row in db.execute(f"SELECT * FROM {name}")}


def plain_votes(db: sqlite3.Connection, parameters: RankParameters) -> list[dict[str, Any]]:
    """The judgments that count, in order, each with its scenario and its item: counted without a JOIN.

    A person and a judge model have one per response pair, the first one that answers no repeat; a crowd one per row.
    """
    firsts = {judgment["id"] for judgment in first_verdicts(db).values()}
    annotators, responses, instructions = (table(db, name) for name in ("annotators", "responses", "instructions"))
    sets = {key for key, row in table(db, "selection_sets").items() if row["name"] in parameters.selections}
    rows = [row for row in table(db, "selections").values() if row["set_id"] in sets]
    picked = {(row["response_a_id"], row["response_b_id"]) for row in rows}
    found = []
    for judgment in table(db, "judgments").values():
        if parameters.selections and (judgment["response_a_id"], judgment["response_b_id"]) not in picked:
            continue
        who = annotators[judgment["annotator_id"]]
        a, b = responses[judgment["response_a_id"]], responses[judgment["response_b_id"]]
        scenario = instructions[a["instruction_id"]]["scenario"]
        counts = judgment["id"] in firsts or who["kind"] == "crowd"
        if parameters.annotators:
            counts = counts and who["name"] in parameters.annotators
        else:
            counts = counts and (who["kind"] == "model") == parameters.judges
        if counts and who["name"] not in parameters.without and scenario in (parameters.scenarios or (scenario,)):
            item = (a["instruction_id"], a["model_id"], b["model_id"])
            found.append(judgment | {"scenario": scenario, "item": item, "annotator": who["name"]})
    return found


def scope(parameters: RankParameters) -> dict[str, tuple[str, ...]]:
    """On which votes, whoever gave them."""
    return {"scenarios": parameters.scenarios, "selections": parameters.selections}


def ask(db: sqlite3.Connection, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a query; parameters that it does not take are left out."""
    sql = sqlfiles.query(query)
    return [dict(row) for row in db.execute(sql, {key: parameters[key] for key in sqlfiles.query_parameters(sql)})]


@pytest.mark.parametrize("parameters", VOTERS, ids=lambda one: json.dumps(one.counted))
def test_whoever_counts_votes_counts_the_same(db: sqlite3.Connection, parameters: RankParameters) -> None:
    expected = plain_votes(db, parameters)
    items = {vote["item"] for vote in expected}
    bindings = parameters.counted
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


@pytest.mark.parametrize("parameters", [one for one in VOTERS if not one.annotators], ids=str)
def test_what_reads_votes_reads_the_same(db: sqlite3.Connection, parameters: RankParameters, tmp_path: Path) -> None:
    expected = plain_votes(db, parameters)
    replayed = ask(db, "replay/votes_to_replay", metric_id=1, model_ids=None, **parameters.counted)
    assert len(replayed) == len(expected)
    assert exports.arena(db, tmp_path / "battles.jsonl", parameters).rows == len(expected)
    assert exports.mad_eval(db, tmp_path / "pairs", parameters).rows == len(expected)
    if not parameters.judges and not parameters.without:
        so_far = votes_so_far.read(db, parameters.scenarios, parameters.selections)
        assert so_far.items.sum() == len({vote["item"] for vote in expected})


@pytest.mark.parametrize("scenario", [None, "Writing", "Reasoning"])
def test_the_views_read_the_same(db: sqlite3.Connection, scenario: str | None) -> None:
    expected = plain_votes(db, RankParameters(scenarios=(scenario,) if scenario else ()))
    wins = db.execute("SELECT sum(battles) FROM win_rates WHERE scenario = ?", (scenario or "overall",)).fetchone()[0]
    assert wins == 2 * len(expected)
    shown = db.execute("SELECT scenario FROM battles WHERE annotator_kind <> 'model'").fetchall()
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


@pytest.mark.parametrize(
    "parameters", [one for one in VOTERS if one == dataclasses.replace(ALL, **scope(one))], ids=str
)
def test_whoever_compares_annotators_takes_the_vote_of_each(db: sqlite3.Connection, parameters: RankParameters) -> None:
    annotators = table(db, "annotators")
    whose = [parameters, dataclasses.replace(parameters, judges=True)]
    in_scope = {vote["id"] for one in whose for vote in plain_votes(db, one)}
    expected = {
        key: one
        for key, one in first_verdicts(db).items()
        if annotators[key[0]]["kind"] != "crowd" and one["id"] in in_scope
    }
    # agreement, its two users, and the majority that may be ranked
    both = [(a, b) for a in expected for b in expected if a[1:] == b[1:] and a[0] < b[0]]
    same = sum(expected[a]["winner"] == expected[b]["winner"] for a, b in both)
    common = ask(db, "report/verdicts_in_common", **parameters.counted)
    assert (sum(row["response_pairs"] for row in common), sum(row["agreed"] for row in common)) == (len(both), same)
    [overall, *_] = agreement.report(db, rounds=1, **scope(parameters)).scenarios
    assert sum(one.response_pairs for one in overall.pairs) == len(both)
    by_persons = {key[1:] for key in expected if annotators[key[0]]["kind"] == "person"}
    assert overall.response_pairs == len(by_persons)
    by_people = {(one["response_a_id"], one["response_b_id"]) for one in plain_votes(db, parameters)}
    assert len(ask(db, "ranking/majority_verdicts", **parameters.counted)) == len(by_people)


def test_whoever_says_how_many_have_voted_says_the_same(db: sqlite3.Connection) -> None:
    votes = Counter(one["annotator"] for one in plain_votes(db, RankParameters()))
    votes += Counter(one["annotator"] for one in plain_votes(db, RankParameters(judges=True)))
    assert {row["name"]: row["votes"] for row in ask(db, "ranking/votes_per_annotator")} == votes
    assert {row["annotator"]: row["votes"] for row in ask(db, "status/status_annotators")} == votes
    figures = ask(db, "report/annotator_figures", **ALL.counted)
    assert {row["annotator"]: row["votes"] for row in figures} == votes
    assert {one.annotator: one.votes for one in agreement.report(db, rounds=1).scenarios[0].annotators} == votes
    assert ask(db, "status/status_ranking")[0]["votes"] == len(plain_votes(db, RankParameters()))
    sides = Counter(row["model"] for row in ask(db, "store/model_list") for _ in range(row["judgments"]))
    assert sides.total() == 2 * votes.total()


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
    given = {"metric_id": 1, "pairs": pairs, "model_ids": None, "set_id": None, "width": 0.1, "generation": "all"}
    given |= {"scenario": scenario, "scenarios": scenario and json.dumps([scenario])}
    given |= {"min_words": min_words, "max_length_ratio": max_length_ratio, "top_k": 99, "pair_policy": "uniform"}

    def passes(row: dict[str, Any]) -> bool:
        by = judged.get((row["response_a_id"], row["response_b_id"]), set())
        return (
            row["length_ratio"] > 0
            and scenario in (None, instructions[row["instruction_id"]]["scenario"])
            and (min_words == 0 or row["shorter_words"] > min_words)
            and (max_length_ratio == 0 or row["length_ratio"] < max_length_ratio)
            and {"all": True, "judged": bool(by), "unjudged": not by - {"model"}}[pairs]
        )

    expected = {key: row for key, row in table(db, "similarities").items() if passes(row)}
    per_pair = Counter(row["pair_id"] for row in expected.values())
    assert {row["similarity_id"] for row in ask(db, "selection/eligible_response_pairs", **given)} == set(expected)
    counted = {row["pair_id"]: row["eligible"] for row in ask(db, "selection/filter_counts", **given)}
    assert {pair: number for pair, number in counted.items() if number} == per_pair
    levels = {row["pair_id"]: row["eligible"] for row in ask(db, "report/similarity_levels", **given)}
    assert levels == per_pair
    heights = Counter[int]()
    for row in ask(db, "report/similarity_histogram", **given):
        heights[row["pair_id"]] += row["response_pairs"]
    assert heights == per_pair
    picked = {(row["pair_id"], row["instruction_id"]) for row in ask(db, "selection/mad_picks", **given)}
    assert picked == {(row["pair_id"], row["instruction_id"]) for row in expected.values()}
    open_pairs = {row["pair_id"] for row in ask(db, "selection/growing_pairs", **given) if row["open"]}
    assert open_pairs == set(per_pair)
    assert ask(db, "status/new_model_pairs", **given) == [{"new_model_pairs": len(per_pair)}]


def test_the_report_reads_the_ranking_that_leaves_somebody_out(db: sqlite3.Connection) -> None:
    db.execute("UPDATE runs SET parameters = ? WHERE id = 5", (json.dumps({"method": "elo", "without": ["bob"]}),))
    data = report.read(db)
    assert {row["annotator"] for row in data.votes.rows} == {"ann", "arena", "mad-eval"}
