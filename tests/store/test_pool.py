"""The pool: what it holds is what a plain count in Python says, and its words say what it holds."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.errors import ParameterError
from madetl.store import pool, sqlfiles
from tests.conftest import Study

SCENARIOS = ["Writing", "Coding", 'The "new" one', "{", "a\\b", "$.x"]
WORDS = ["evolved", "seeds", "all", "0", "1", "2", "7"]

rows = st.lists(st.tuples(st.sampled_from(SCENARIOS), st.integers(0, 3)), min_size=1, max_size=12)
generations = st.one_of(
    st.none(), st.sampled_from(WORDS), st.dictionaries(st.sampled_from(SCENARIOS), st.sampled_from(WORDS), max_size=6)
)


def plainly(found: list[tuple[int, str, int]], scenarios: list[str] | None, generation: Any) -> set[int]:
    """The ids of the pool of these (id, scenario, generation)."""
    evolved = {scenario for _, scenario, number in found if number}

    def is_in(scenario: str, number: int) -> bool:
        word = generation.get(scenario) if isinstance(generation, dict) else generation
        word = word or ("evolved" if scenario in evolved else "seeds")
        return {"all": True, "seeds": number == 0, "evolved": number > 0}.get(word, str(number) == word)

    return {key for key, scenario, number in found if scenario in (scenarios or [scenario]) and is_in(scenario, number)}


@settings(deadline=None)
@given(made=rows, scenarios=st.none() | st.lists(st.sampled_from(SCENARIOS), min_size=1), generation=generations)
def test_the_statement_says_what_a_plain_count_says(
    made: list[tuple[str, int]], scenarios: list[str] | None, generation: Any
) -> None:
    db = sqlite3.connect(":memory:")
    for _, script in sqlfiles.migrations():
        db.executescript(script)
    for number, (scenario, generation_of_row) in enumerate(made):
        values = (scenario, str(number), f"{number:064}", generation_of_row)
        db.execute("INSERT INTO instructions (scenario, instruction, hash, generation) VALUES (?, ?, ?, ?)", values)
    found = db.execute("SELECT id, scenario, generation FROM instructions").fetchall()
    word = json.dumps(generation, ensure_ascii=False) if isinstance(generation, dict) else generation
    parameters = {"scenarios": scenarios and json.dumps(scenarios, ensure_ascii=False), "generation": word}
    expected = plainly(found, scenarios, generation)
    assert {row[0] for row in db.execute(sqlfiles.query("store/pool"), parameters)} == expected
    assert bool(db.execute(sqlfiles.query("store/pool_has_any"), parameters).fetchone()[0]) == bool(expected)
    sizes = db.execute(sqlfiles.query("store/pool_sizes"), parameters).fetchall()
    assert sum(row[1] + row[2] for row in sizes) == len(expected)
    assert {row[0] for row in db.execute("SELECT id FROM pool")} == plainly(found, None, None)
    evolved = {scenario for _, scenario, number in found if number}
    words = {scenario: "evolved" if scenario in evolved else "seeds" for _, scenario, _ in found}
    assert pool.by_default(db, None) == words
    db.close()


@pytest.mark.parametrize(
    ("text", "word"),
    [("evolved", "evolved"), ("all", "all"), ("0", "seeds"), ("02", "2"), (3, "3"), (" seeds ", "seeds")],
)
def test_how_a_generation_may_be_written(text: str | int, word: str) -> None:
    assert pool.parsed(text) == word


@pytest.mark.parametrize("text", ["", "-1", "1.5", "new", "²", "ALL", '{"Writing": "all"}'])
def test_what_is_no_generation(text: str) -> None:
    with pytest.raises(ParameterError, match="give evolved, seeds, all, or a number"):
        pool.parsed(text)


@pytest.fixture
def evolved(study: Study) -> Study:
    """Writing: three seeds, two of them with a rewriting, one of these with one more; Coding: one seed."""
    seeds = [study.instruction(f"seed {number}") for number in range(3)]
    first = [study.rewriting(seed, f"rewriting of {seed}") for seed in seeds[:2]]
    study.rewriting(first[0], "the second round")
    study.instruction("a function", "Coding")
    return study


@pytest.mark.parametrize(
    ("scenarios", "generation", "limit", "words"),
    [
        ([], None, None, "1 instruction in Coding; 3 rewritings of 2 seeds in Writing"),
        (["Writing"], "evolved", None, "3 rewritings of 2 seeds in Writing"),
        (["Writing"], "2", None, "1 rewriting of 1 seed, round 2, in Writing"),
        (["Writing"], "seeds", None, "3 seeds in Writing"),
        (["Writing"], "all", None, "3 seeds and 3 rewritings in Writing"),
        ([], "evolved", None, "3 rewritings of 2 seeds in Writing"),
        (["Coding"], "evolved", None, "no instruction"),
        ([], None, 2, "the first 2 of 4: 1 instruction in Coding; 3 rewritings of 2 seeds in Writing"),
        (["Writing"], None, 2, "the first 2 of 3 rewritings of 2 seeds in Writing"),
        ([], None, 4, "1 instruction in Coding; 3 rewritings of 2 seeds in Writing"),
    ],
)
def test_the_pool_in_words(
    evolved: Study, scenarios: list[str], generation: str | None, limit: int | None, words: str
) -> None:
    assert pool.described(evolved.db, pool.bindings(scenarios, generation), limit) == words


def test_many_scenarios_are_counted(evolved: Study) -> None:
    for number in range(5):
        evolved.instruction("i", f"Subject {number}")
    evolved.rewriting(evolved.instruction("j", "Other"), "j, rewritten")
    words = "6 instructions in 6 scenarios; 4 rewritings of 3 seeds in 2 scenarios"
    assert pool.described(evolved.db, pool.bindings([], None)) == words


def test_a_generation_without_an_instruction_is_refused_with_what_there_is(evolved: Study) -> None:
    with pytest.raises(ParameterError) as error:
        pool.check(evolved.db, pool.bindings(["Writing"], "5"))
    assert str(error.value) == "No instruction is of --generation 5. There are 3 seeds and 3 rewritings in Writing."
    pool.check(evolved.db, pool.bindings(["Writing"], None))


def test_an_empty_database_has_no_pool(db: sqlite3.Connection) -> None:
    pool.check(db, pool.bindings([], "evolved"))
    assert pool.described(db, pool.bindings([], None)) == "no instruction"
