"""Which instructions a selection picks from: those that it was begun with, whatever is written later."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from madetl.errors import ParameterError
from madetl.selection.select import Adaptive, SelectionParameters, SelectionResult, grow, select
from madetl.similarity.measure import measure
from madetl.similarity.named import metric_named
from madetl.status import status
from tests.conftest import Study
from tests.support.pool import Pool

SEEDS = 4


@pytest.fixture
def pool(study: Study) -> Pool:
    """Four seeds in Writing and one in Coding, all measured."""
    pool = Pool(study)
    pool.scores("a", "b", [0.5 + n / 10 for n in range(SEEDS)])
    pool.scores("a", "b", [0.45], "Coding")
    return pool


def evolve(pool: Pool) -> list[int]:
    """A rewriting of each seed in Writing, measured, less alike than the seed."""
    seeds = [row[0] for row in pool.db.execute("SELECT id FROM instructions WHERE scenario = 'Writing' ORDER BY id")]
    children = [pool.study.rewriting(seed, f"rewriting of {seed}") for seed in seeds]
    for number, child in enumerate(children):
        pool.similarity(child, "a", "b", 0.1 + number / 10)
    return children


def choose(pool: Pool, **parameters: Any) -> SelectionResult:
    return select(pool.db, SelectionParameters(**parameters))


def picked(db: sqlite3.Connection, name: str) -> list[tuple[str, int]]:
    """(scenario, generation) of the picks, in their order."""
    rows = db.execute(
        "SELECT i.scenario, i.generation FROM selections AS s JOIN selection_sets AS t ON t.id = s.set_id"
        " JOIN instructions AS i ON i.id = s.instruction_id WHERE t.name = ? ORDER BY s.rank",
        [name],
    )
    return [tuple(row) for row in rows]


def stored(db: sqlite3.Connection, name: str) -> str:
    return str(db.execute("SELECT generation FROM selection_sets WHERE name = ?", [name]).fetchone()[0])


def test_rewritings_are_picked_where_there_are_any_and_seeds_elsewhere(pool: Pool) -> None:
    evolve(pool)
    result = choose(pool, top_k=9)
    assert sorted(picked(pool.db, "all-m")) == [("Coding", 0), *[("Writing", 1)] * 4]
    assert result.pool == "1 instruction in Coding; 4 rewritings of 4 seeds in Writing"
    assert json.loads(stored(pool.db, "all-m")) == {"Coding": "seeds", "Writing": "evolved"}


@pytest.mark.parametrize(
    ("generation", "generations"), [("evolved", {1}), ("seeds", {0}), ("all", {0, 1}), ("1", {1}), ("0", {0})]
)
@pytest.mark.parametrize("more", [{}, {"diversity": 0.5}, {"strategy": "random"}, {"strategy": "evidence"}])
def test_every_strategy_keeps_to_the_generation(
    pool: Pool, generation: str, generations: set[int], more: dict[str, Any]
) -> None:
    evolve(pool)
    choose(pool, top_k=99, generation=generation, scenarios=["Writing"], name="x", **more)
    assert {number for _, number in picked(pool.db, "x")} == generations
    assert len(picked(pool.db, "x")) == SEEDS * len(generations)


def test_a_selection_goes_on_with_what_it_was_begun_with(pool: Pool) -> None:
    choose(pool, top_k=2)
    evolve(pool)
    # when K grows, then seeds are added, and it says that there are rewritings
    result = choose(pool, top_k=9)
    assert {number for _, number in picked(pool.db, "all-m")} == {0}
    assert result.pool == "1 instruction in Coding; 4 seeds in Writing"
    assert any("Writing: there are rewritings since all-m was begun" in warning for warning in result.warnings)
    # when a model comes later, then its seeds are picked
    pool.similarity(1, "a", "c", 0.3)
    choose(pool, top_k=9)
    assert {number for _, number in picked(pool.db, "all-m")} == {0}
    # and another name begins one with the rewritings
    other = choose(pool, top_k=9, name="new")
    assert set(picked(pool.db, "new")) == {("Writing", 1), ("Coding", 0)}
    assert not [warning for warning in other.warnings if "since" in warning]


def test_a_scenario_that_comes_later_is_taken_as_it_is_then(pool: Pool) -> None:
    choose(pool, top_k=9)
    later = Pool(pool.study)
    ids = later.scores("a", "b", [0.4], "Reasoning")
    later.similarity(pool.study.rewriting(ids[0], "reasoned anew"), "a", "b", 0.2)
    choose(pool, top_k=9)
    assert json.loads(stored(pool.db, "all-m")) == dict.fromkeys(["Coding", "Writing"], "seeds") | {
        "Reasoning": "evolved"
    }
    assert ("Reasoning", 1) in picked(pool.db, "all-m")
    assert ("Reasoning", 0) not in picked(pool.db, "all-m")


@pytest.mark.parametrize(
    ("begun", "asked", "shown"),
    [
        (None, "evolved", "--generation seeds (now evolved)"),
        ("evolved", "seeds", "--generation evolved (now seeds)"),
        ("all", "1", "--generation all (now 1)"),
    ],
)
def test_a_contradicting_generation_is_refused(pool: Pool, begun: str | None, asked: str, shown: str) -> None:
    if begun:
        evolve(pool)
    choose(pool, top_k=1, generation=begun)
    with pytest.raises(ParameterError) as error:
        choose(pool, top_k=2, generation=asked)
    assert str(error.value).startswith(f"The selection 'all-m' was made with {shown}. Give the same again")


@pytest.mark.parametrize("begun", ["evolved", "seeds", "all", "1"])
def test_the_same_generation_and_none_extend_it(pool: Pool, begun: str) -> None:
    evolve(pool)
    choose(pool, top_k=1, generation=begun)
    assert choose(pool, top_k=2).top_k == 2
    assert choose(pool, top_k=3, generation=begun).top_k == 3
    assert stored(pool.db, "all-m") == begun


def test_what_the_default_took_may_be_named(pool: Pool) -> None:
    choose(pool, top_k=1, scenarios=["Writing"])
    assert choose(pool, top_k=2, scenarios=["Writing"], generation="seeds").new == 1


def test_a_selection_of_several_scenarios(pool: Pool) -> None:
    later = Pool(pool.study)
    for scenario in ("Reasoning", "Law", "Art"):
        later.scores("a", "b", [0.2], scenario)
    result = choose(pool, top_k=9, scenarios=["Writing", "Coding"])
    assert result.name == "coding+writing-m"
    assert {scenario for scenario, _ in picked(pool.db, result.name)} == {"Coding", "Writing"}
    # in any order they are the same
    assert choose(pool, top_k=9, scenarios=["Coding", "Writing"]).new == 0
    assert choose(pool, top_k=9, scenarios=["Writing", "Coding", "Law", "Art"]).name == "art+coding+2-more-m"
    # status extends each of them
    for step in status(pool.db).next:
        assert "--scenario" not in step.command or "--scenario Coding --scenario Writing" in step.command
    with pytest.raises(ParameterError, match="made with --scenario Coding, Writing \\(now Law\\)"):
        choose(pool, top_k=9, scenarios=["Law"], name="coding+writing-m")


def test_an_adaptive_selection_grows_by_what_it_was_begun_with(pool: Pool) -> None:
    plan = Adaptive(budget=4, batch=1)
    choose(pool, adaptive=plan, name="growing")
    evolve(pool)
    pool.db.execute("INSERT INTO runs (command, version) VALUES ('annotate', '1')")
    pool.db.execute("BEGIN IMMEDIATE")
    assert grow(pool.db, "growing", plan, 1) == 1
    pool.db.execute("COMMIT")
    assert {number for _, number in picked(pool.db, "growing")} == {0}


def test_what_is_to_be_measured_is_named_with_its_generation(study: Study) -> None:
    pool = Pool(study, "vectors")
    pool.scores("a", "b", [0.5, 0.6])
    pool.embed({1: [1.0, 0.0]})
    choose(pool, top_k=1)
    evolve(pool)
    study.response(study.instruction("unmeasured"), "a", "an answer")
    study.response(study.instruction("unmeasured"), "b", "another answer")
    [warning] = [one for one in choose(pool, top_k=2).warnings if "not measured" in one]
    assert "`madetl similarity --metric vectors --generation seeds` measures them." in warning
    [warning] = [one for one in choose(pool, generation="all", name="x").warnings if "not measured" in one]
    assert "--generation all` measures them" in warning


def test_similarity_measures_the_pool(study: Study) -> None:
    seeds = [study.instruction(f"seed {number}") for number in range(3)]
    children = [study.rewriting(seed, f"child of {seed}") for seed in seeds[:2]]
    for one in (*seeds, *children):
        study.response(one, "a", f"one answer to {one}")
        study.response(one, "b", f"another answer to {one}")
    done = measure(study.db, metric_named(study.db, "char-ngram"))
    assert (done.measured, done.pool) == (2, "2 rewritings of 2 seeds in Writing")
    assert {row[0] for row in study.db.execute("SELECT instruction_id FROM similarities")} == set(children)
    done = measure(study.db, metric_named(study.db, "char-ngram"), generation="all")
    assert (done.measured, done.known) == (3, 2)
    with pytest.raises(ParameterError, match="No instruction is of --generation 2"):
        measure(study.db, metric_named(study.db, "char-ngram"), generation="2")


def test_status_and_progress_are_about_the_pool(study: Study) -> None:
    seed = study.instruction("seed")
    for model in ("a", "b"):
        study.response(seed, model, f"{model} answers")
    measure(study.db, metric_named(study.db, "char-ngram"))
    study.db.execute("INSERT INTO calls (stage, model_id, request_hash, outcome) VALUES ('inference', 1, ?, 'ok')", ["0" * 64])  # fmt: skip  # noqa: E501
    assert not [step for step in status(study.db).next if step.stage == "inference"]
    # when it gets a rewriting, then that is what there is to answer
    study.rewriting(seed, "rewritten")
    found = status(study.db)
    assert found.scenarios == [
        {"scenario": "Writing", "instructions": 2, "pool": 1, "generation": "evolved", "models": 2, "responses": 2,
         "empty": 0}
    ]  # fmt: skip
    assert [step.command for step in found.next if step.stage == "inference"] == ["infer --model a"]
    assert [row["pending"] for row in found.similarities] == [0]
    rows = study.db.execute("SELECT stage, done, pending FROM progress").fetchall()
    assert [tuple(row) for row in rows] == [("inference", 0, 1), ("inference", 0, 1), ("similarity", 0, 0)]
    child = study.db.execute("SELECT id FROM pool").fetchone()[0]
    for model in ("a", "b"):
        study.response(child, model, f"{model} answers anew")
    rows = study.db.execute("SELECT stage, name, done, pending FROM progress ORDER BY stage, name").fetchall()
    assert [tuple(row) for row in rows] == [
        ("inference", "a", 1, 0),
        ("inference", "b", 1, 0),
        ("similarity", "char-ngram", 0, 1),
    ]
    assert [row["pending"] for row in status(study.db).similarities] == [1]
