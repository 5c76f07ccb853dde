"""Stage 1 against a real server: what comes of the pool, round by round."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from madetl.asking import prompts, structured
from madetl.asking.ask import AskOptions, Unusable
from madetl.asking.model_settings import ModelOptions
from madetl.errors import InputError, ParameterError
from madetl.evolution.evolve import Evolution, Evolved, dry_run, evolve, prompt_for
from madetl.providers.base import ChatAnswer, ChatRequest
from tests.conftest import Study
from tests.support import children
from tests.support.provider_bodies import ReceivedRequest
from tests.support.provider_server import ProviderServer

Madetl = Callable[..., CompletedProcess[str]]
WORDS = ["amber", "basalt", "cedar", "dune", "ember", "fjord", "glacier", "harbour", "island", "jasmine", "kelp",
         "lagoon", "meadow", "nettle", "orchard"]  # fmt: skip
PARENT = re.compile(r"<instruction>\n(.*?)\n</instruction>", re.DOTALL)


def rewritten(received: ReceivedRequest) -> str:
    """A new instruction that shares little with the others: three words that follow from model and parent."""
    parent = PARENT.search(received.prompt)
    seed = sum(map(ord, f"{received.model}{parent[1] if parent else received.prompt}"))
    text = " ".join(WORDS[(seed * factor) % len(WORDS)] * 2 for factor in (3, 7, 11)) + f" {seed}"
    value = {"instruction": text} | (
        {"answer": f"so {seed}"} if "answer" in (received.schema or {})["required"] else {}
    )
    return json.dumps(value)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(answer=rewritten) as running:
        yield running


def run(db: sqlite3.Connection, server: ProviderServer, model: str = "m", **evolution: Any) -> Evolved:
    options = AskOptions(**{"max_attempts": 3, **evolution.pop("options", {})})
    return evolve(db, Evolution(model, **evolution), ModelOptions(base_url=f"{server.url}/v1"), options)


def pool(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """(generation, parent, source) of every instruction, in order."""
    return [tuple(row) for row in db.execute("SELECT generation, parent_id, source FROM instructions ORDER BY id")]


def replies(server: ProviderServer, *texts: str) -> None:
    """The server's next answers, and its last one for all that follow."""
    left = list(texts)
    server.behaviour.answer = lambda _: left.pop(0) if len(left) > 1 else left[0]


def new(text: str, **more: str) -> str:
    return json.dumps({"instruction": text, **more})


# Descent


def test_children_know_their_parent_their_generation_and_who_wrote_them(db, study: Study, server):
    # given one seed, when a model rewrites it
    seed = study.instruction("Write a poem about the sea.")
    result = run(db, server, scenarios=["Writing"])
    # then its child has the text that came back, and the request that brought it
    child = dict(db.execute("SELECT * FROM instructions WHERE id <> ?", (seed,)).fetchone())
    call = db.execute("SELECT * FROM calls").fetchone()
    assert child["instruction"] == json.loads(call["answer"])["instruction"]
    assert (child["scenario"], child["parent_id"], child["generation"]) == ("Writing", seed, 1)
    assert (child["source"], child["call_id"], child["reference_answer"]) == ("m", call["id"], None)
    assert (call["stage"], call["outcome"]) == ("evolution", "ok")
    assert child["run_id"] == db.execute("SELECT id FROM runs").fetchone()["id"]
    assert result.summary == "m: 1 new instruction (0 known)"


def test_parents_of_each_round_are_the_children_of_the_one_before(db, study: Study, server):
    for text in ("one", "two"):
        study.instruction(text)
    run(db, server, rounds=3)
    assert pool(db)[2:] == [(1, 1, "m"), (1, 2, "m"), (2, 3, "m"), (2, 4, "m"), (3, 5, "m"), (3, 6, "m")]


def test_a_second_run_asks_nothing_and_a_higher_number_of_rounds_adds(db, study: Study, server):
    study.instruction("one")
    run(db, server)
    assert run(db, server).summary == "m: nothing to do (1 known)"
    assert len(server.requests) == 1
    run(db, server, rounds=2)
    assert [generation for generation, _, _ in pool(db)] == [0, 1, 2]
    assert len(server.requests) == 2


def test_several_models_evolve_one_pool(db, study: Study, server):
    study.instruction("one")
    run(db, server, "m")
    run(db, server, "n")
    assert pool(db)[1:] == [(1, 1, "m"), (1, 1, "n")]
    # and the next round rewrites what either of them wrote
    run(db, server, "n", rounds=2)
    assert pool(db)[3:] == [(2, 2, "n"), (2, 3, "n")]


def test_per_seed_and_limit(db, study: Study, server):
    for text in ("one", "two", "three"):
        study.instruction(text)
    texts = [" ".join([word] * 6) for word in WORDS]
    replies(server, *map(new, texts))
    run(db, server, per_seed=2, limit=2)
    assert sorted(parent for _, parent, _ in pool(db)[3:]) == [1, 1, 2, 2]
    assert sorted(row[0] for row in db.execute("SELECT sample FROM calls")) == [0, 0, 1, 1]


def test_each_scenario_is_evolved_where_none_is_named(db, study: Study, server):
    study.instruction("w", "Writing")
    study.instruction("c", "Coding")
    result = run(db, server)
    assert [(each.scenario, each.new) for each in result.rounds] == [("Coding", 1), ("Writing", 1)]


# Prompts and schemas


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        ("Writing", "new topic"),
        ("Reasoning", "grade-school"),
        ("Understanding", 'the same first word, "Which"'),
        ("Coding", "exactly two constraints"),
        ("coding", "exactly two constraints"),
        ("Law", "of the same kind"),
    ],
)
def test_each_scenario_has_its_prompt_which_is_kept_with_the_run(db, study: Study, server, scenario, words):
    study.instruction("Which {format} is {instruction}?", scenario)
    run(db, server)
    [received] = server.requests
    assert words in received.prompt
    assert "\nWhich {format} is {instruction}?\n" in received.prompt
    assert 'Reply with a JSON object and nothing else: {"instruction"' in received.prompt
    assert (received.body["temperature"], received.body["top_p"], received.body["max_tokens"]) == (0.7, 0.9, 2048)
    kept = json.loads(db.execute("SELECT parameters FROM runs").fetchone()[0])["prompts"][scenario]
    assert kept == prompt_for(scenario).kept


def test_every_packaged_prompt_takes_the_instruction():
    for file in sorted(Path(prompts.__file__).parent.glob("*.txt")):
        text = prompts.packaged(file.stem).text
        assert (
            "{instruction}" in text or file.stem.startswith("format_") or not file.stem.startswith(("evolve", "infer"))
        )


def test_a_prompt_of_one_s_own(db, study: Study, server, tmp_path):
    (tmp_path / "mine.txt").write_text("Say it otherwise: {instruction}")
    study.instruction("one")
    run(db, server, prompt=prompts.from_file(tmp_path / "mine.txt", "instruction"))
    assert server.requests[0].prompt.startswith("Say it otherwise: one\n\nReply with a JSON object")
    kept = json.loads(db.execute("SELECT parameters FROM runs").fetchone()[0])["prompts"]["Writing"]
    assert (kept["name"], kept["text"]) == ("mine.txt", "Say it otherwise: {instruction}")
    (tmp_path / "none.txt").write_text("Say it otherwise.")
    with pytest.raises(InputError, match=r"none\.txt: a prompt of this kind needs \{instruction\}"):
        prompts.from_file(tmp_path / "none.txt", "instruction")


@pytest.mark.parametrize(("scenario", "reference"), [("Reasoning", None), ("Law", "yes")])
def test_new_instructions_have_answers_where_the_scenario_has(db, study: Study, server, scenario, reference):
    seed = study.instruction("one", scenario)
    db.execute("UPDATE instructions SET reference_answer = ? WHERE id = ?", (reference, seed))
    run(db, server)
    assert server.requests[0].schema["required"] == ["instruction", "answer"]
    assert db.execute("SELECT reference_answer FROM instructions WHERE generation = 1").fetchone()[0].startswith("so ")


# Answers that cannot be used


def test_an_invalid_answer_is_repaired_once_with_its_fault_named(db, study: Study, server):
    study.instruction("one", "Reasoning")
    replies(server, new("no answer in it"), new("Two cats?", answer="Eight legs."))
    result = run(db, server)
    first, second = server.requests
    assert second.prompt.startswith(first.prompt)
    assert "no answer in it" in second.prompt
    assert "it has no 'answer'" in second.prompt
    assert [tuple(row) for row in db.execute("SELECT outcome, error FROM calls")] == [
        ("invalid", "it has no 'answer'"),
        ("ok", None),
    ]
    assert pool(db)[1:] == [(1, 1, "m")]
    assert result.report.undone == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("I'd rather not.", "it is not JSON"),
        ('["a list"]', "it is not a JSON object"),
        ('{"instruction": ""}', "'instruction' is no text"),
        ('{"instruction": 7}', "'instruction' is no text"),
        ('{"text": "a"}', "it has no 'instruction'"),
    ],
)
def test_what_stays_invalid_is_a_failure_and_no_instruction(db, study: Study, server, text, fault):
    study.instruction("one")
    replies(server, text)
    result = run(db, server)
    assert len(pool(db)) == 1
    assert dict(result.report.failed) == {"invalid": 1}
    assert fault in result.report.examples["invalid"]
    assert len(server.requests) == 2  # and a second run does not pay for it again
    assert dict(run(db, server).report.left) == {"invalid": 1}
    assert len(server.requests) == 2


def test_a_cut_off_answer_says_what_helps(db, study: Study, server):
    study.instruction("one")
    server.behaviour.mode = "cut"
    assert "larger --max-tokens" in run(db, server).report.examples["invalid"]


def test_json_in_a_fence_is_read(db, study: Study, server):
    study.instruction("one")
    replies(server, f"Here it is:\n```json\n{new('two cats')}\n```")
    assert run(db, server).rounds[0].new == 1


def test_characters_that_no_database_stores_are_replaced(db, study: Study, server):
    study.instruction("one")
    replies(server, '{"instruction": " a\\u0000b\\ud800 "}')
    run(db, server)
    assert db.execute("SELECT instruction FROM instructions WHERE generation = 1").fetchone()[0] == "a\ufffdb\ufffd"


def test_structured_numbers_and_choices_are_checked():
    schema = structured.object_schema(
        score={"type": "number", "minimum": 0, "maximum": 1}, verdict={"type": "string", "enum": ["a", "b"]}
    )

    def read(text: str) -> dict[str, Any]:
        return structured.read(ChatAnswer(text, "ok", None, None, None, None, 0.0), schema)

    assert read('{"score": 1, "verdict": "b"}') == {"score": 1, "verdict": "b"}
    for text, fault in (
        ('{"score": 1.1, "verdict": "b"}', "from 0 to 1"),
        ('{"score": NaN, "verdict": "b"}', "from 0 to 1"),
        ('{"score": true, "verdict": "b"}', "no number"),
        ('{"score": "1", "verdict": "b"}', "no number"),
        ('{"score": 0, "verdict": "c"}', "one of a, b"),
    ):
        with pytest.raises(ValueError, match=fault):
            read(text)
    request = ChatRequest("?", schema=schema)
    with pytest.raises(Unusable) as verdict:
        structured.checked(ChatAnswer("no", "ok", None, None, None, None, 0.0), request, repair=False)
    assert verdict.value.repair is None


# Duplicates


def test_duplicates_and_near_duplicates_are_dropped_and_counted(db, study: Study, server):
    # given a seed, and a model that comes back with the seed itself, with other numbers, and with something new
    seed = "Tom has 5 apples and gives 2 to Ann. How many apples does he have left?"
    study.instruction(seed)
    replies(server, new(seed), new(seed.replace("5", "7").replace("2", "3")), new("Write an ode to a kettle."))
    result = run(db, server, per_seed=3, options={"concurrency": 1})
    # then only the last one joins the pool
    assert [(each.new, each.exact, each.near) for each in result.rounds] == [(1, 1, 1)]
    assert result.summary == "m: 1 new instruction (0 known), 2 dropped (1 duplicate, 1 near-duplicate)"
    assert [row[0] for row in db.execute("SELECT instruction FROM instructions")] == [seed, "Write an ode to a kettle."]
    # and a second run drops them again without paying
    assert (
        run(db, server, per_seed=3).summary == "m: nothing to do (1 known), 2 dropped (1 duplicate, 1 near-duplicate)"
    )
    assert len(server.requests) == 3


def test_children_are_compared_with_one_another(db, study: Study, server):
    study.instruction("one")
    study.instruction("two")
    replies(server, new("Write an ode to a kettle, please."), new("Write an ode to a kettle, please!"))
    assert [(each.new, each.near) for each in run(db, server, threshold=0.9).rounds] == [(1, 1)]


def test_a_task_with_added_constraints_may_be_near_its_own_parent_but_to_no_other(db, study: Study, server):
    parent = "Write a Python function that finds all pairs of numbers in a list whose sum is a given number. " * 3
    study.instruction(parent, "Coding")
    study.instruction("Reverse a string.", "Coding")
    replies(server, new(f"{parent} Use numpy, in 10 lines."))
    # the same child of the second task is a duplicate, a little changed it would be near the first one's
    result = run(db, server, "m", limit=1)
    assert result.rounds[0].new == 1
    replies(server, new(f"{parent} Use numpy, in 20 lines."))
    result = run(db, server, "m")
    assert (result.rounds[0].new, result.rounds[0].near) == (0, 1)


def test_the_threshold_is_the_user_s(db, study: Study, server):
    study.instruction("Write a short story about a dragon who is afraid of fire.")
    replies(server, new("Write a short story about a robot who is afraid of water."))
    assert run(db, server, threshold=0.7).rounds[0].near == 1
    assert run(db, server, threshold=0.95).rounds[0].new == 1


# Stopped and gone on


def test_dry_run_counts_the_rounds_to_come(db, study: Study, server):
    for text in ("one", "two", "six"):
        study.instruction(text)
    model_options = ModelOptions(base_url=f"{server.url}/v1", price_in=1.0, price_out=1.0)
    found = dry_run(db, Evolution("m", rounds=2, per_seed=2), model_options)
    assert found.requests == 6 + 12
    one = dry_run(db, Evolution("m", per_seed=2), model_options)
    assert (found.tokens_in, found.tokens_out) == (3 * one.tokens_in, 3 * one.tokens_out)
    assert found.cost == pytest.approx(3 * one.cost)
    assert dry_run(db, Evolution("m", rounds=2, limit=2), model_options).requests == 2 + 2
    assert len(server.requests) == 0


def test_a_run_that_is_stopped_begins_no_further_round(db, study: Study, server):
    for text in ("one", "two"):
        study.instruction(text)
    server.behaviour.plan.extend(["ok", "404"])
    with pytest.raises(Exception, match="does not exist"):
        run(db, server, rounds=2, options={"concurrency": 1})
    assert pool(db)[2:] == [(1, 1, "m")]
    run(db, server, rounds=2)
    assert [generation for generation, _, _ in pool(db)] == [0, 0, 1, 1, 2, 2]


def test_killed_and_run_again_nothing_is_asked_twice(db, db_file, study: Study, madetl: Madetl):
    for number in range(120):
        study.instruction(f"{WORDS[number % 15]} {number * number} {WORDS[number // 15]}")
    with ProviderServer(answer=rewritten, latency_median=0.1) as server:
        command = ("evolve", "--model", "m", "--base-url", f"{server.url}/v1",
                   "--concurrency", "10", "--duplicate-above", "1")  # fmt: skip
        stored = "SELECT count(*) FROM instructions WHERE generation = 1"
        with children.madetl(db_file, *command) as child:
            child.until(lambda: db.execute(stored).fetchone()[0] >= 30)
        madetl(*command)
        assert server.answered <= 120 + 10
    twice = "SELECT parent_id FROM instructions WHERE generation = 1 GROUP BY parent_id HAVING count(*) > 1"
    assert db.execute(twice).fetchall() == []
    answers = "SELECT count(DISTINCT request_hash) FROM calls WHERE outcome = 'ok'"
    assert db.execute(answers).fetchone()[0] == 120


# The command


def test_the_command_prints_counts_and_fails_where_something_is_missing(db, study: Study, server, madetl: Madetl):
    study.instruction("one")
    study.instruction("<<refusal>> two")
    arguments = ("evolve", "--scenario", "Writing", "--model", "m", "--base-url", f"{server.url}/v1")
    assert "requests" in madetl(*arguments, "--dry-run").stdout
    done = madetl(*arguments, "--rounds", 2, status=1)
    assert done.stdout.endswith("m: 2 new instructions (0 known), 1 missing\n")
    assert "1 failed: refused" in done.stderr
    found = json.loads(madetl(*arguments, "--rounds", 2, "--json", status=1).stdout)
    assert [(each["generation"], each["known"]) for each in found["rounds"]] == [(1, 1), (2, 1)]


def test_nothing_to_rewrite(db, server, madetl: Madetl):
    with pytest.raises(ParameterError, match="madetl import instructions"):
        run(db, server)
    assert "no scenario 'Writing'" in madetl("evolve", "--scenario", "Writing", "--model", "gpt-4.1", status=1).stderr
