"""A language model as an annotator, against a real HTTP server: both orders, flips, and what a crash costs."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madetl.asking import model_settings, prompts
from madetl.asking.ask import AskingError, AskOptions
from madetl.asking.model_settings import ModelOptions
from madetl.errors import ParameterError
from madetl.judgment import verdicts
from madetl.judgment.judge import Judged, Judging, VerdictsToAsk
from madetl.judgment.verdicts import OrderedVerdict
from madetl.selection import select as selection
from madetl.similarity.measure import measure
from madetl.similarity.named import metric_named
from madetl.store import database
from madetl.store.database import transaction
from tests.conftest import Study
from tests.support import children
from tests.support.provider_bodies import ReceivedRequest
from tests.support.provider_server import ProviderServer
from tests.support.soak import several

NAME = "gpt-4.1"
_ANSWERS = re.compile(r"<first_answer>\n(\w+).*<second_answer>\n(\w+)", re.DOTALL)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        running.behaviour.answer = by_name
        yield running


@pytest.fixture
def selected(study: Study) -> Study:
    """Three models, four instructions, all twelve response pairs selected."""
    return select(study, 4)


def select(study: Study, instructions: int) -> Study:
    """Selects the answers to so many instructions; those that are not there yet are made."""
    there = study.db.execute("SELECT count(*) FROM instructions").fetchone()[0]
    with transaction(study.db):
        for i in range(there, instructions):
            instruction = study.instruction(f"instruction {i}")
            for name in ("alpha", "beta", "gamma"):
                words = " ".join(f"{name[0]}{k * i % 7}" for k in range(30))
                study.response(instruction, name, f"{name} on {i}: {words}")
    measure(study.db, metric_named(study.db, "char-ngram"))
    selection.select(study.db, selection.SelectionParameters(top_k=instructions))
    return study


def verdict(word: str, reason: str = "because") -> str:
    return json.dumps({"reason": reason, "verdict": word})


def shown(received: ReceivedRequest) -> tuple[str, str]:
    """Whose answers were shown, first and second: their first words say it."""
    found = _ANSWERS.search(received.prompt)
    return found[1], found[2]


def by_name(received: ReceivedRequest) -> str:
    """A judge that has a firm opinion: the earlier the name in the alphabet, the better."""
    first, second = shown(received)
    return verdict("first" if first < second else "second", f"{min(first, second)} is better")


def judge(db: sqlite3.Connection, server: ProviderServer, asking: AskOptions | None = None, **settings) -> Judged:
    model = model_settings.find(
        db, settings.pop("model", NAME), ModelOptions(provider="openai", base_url=f"{server.url}/v1")
    )
    judging = Judging(
        model,
        **{name: settings.pop(name) for name in ("selection", "annotator", "prompt") if name in settings},
        overrides=settings,
    )
    return VerdictsToAsk(db, judging).run(asking)


def judged(db: sqlite3.Connection) -> list[tuple]:
    """(winner, comment) of each judgment."""
    return [tuple(row) for row in db.execute("SELECT winner, comment FROM judgments ORDER BY id")]


# Both orders


def test_agreeing_verdicts_count(db, selected, server):
    done = judge(db, server)
    # then every pair was shown in both orders, and has one judgment in canonical order
    orders = [shown(received) for received in server.requests]
    assert len(orders) == 24
    assert all(orders.count(pair) == orders.count(pair[::-1]) == 4 for pair in orders)
    rows = db.execute(
        "SELECT winner_model, model_a, model_b, annotator, annotator_kind, order_known, source, comment FROM battles"
    ).fetchall()
    assert len(rows) == 12
    assert all(row["winner_model"] == min(row["model_a"], row["model_b"]) for row in rows)
    assert all(row["comment"] == f"{row['winner_model']} is better" for row in rows)
    assert {tuple(row)[3:7] for row in rows} == {(NAME, "model", 0, "judge")}
    assert (
        db.execute("SELECT count(*) FROM judgments WHERE created_at LIKE '20__-%' AND shown_first IS NULL").fetchone()[
            0
        ]
        == 12
    )
    assert db.execute("SELECT count(*) FROM assignments").fetchone()[0] == 0
    # and it is said how often the order decided
    assert done.summary == "gpt-4.1 on all-char-ngram: 12 verdicts (0 known)"
    assert done.flipping == "0 of 12 verdicts (0.0%) flip with the order and count as ties."
    # and the books are kept
    assert tuple(db.execute("SELECT stage, model, calls FROM spend").fetchone()) == ("judgment", NAME, 24)
    kept = json.loads(db.execute("SELECT parameters FROM runs ORDER BY id DESC LIMIT 1").fetchone()[0])
    assert (kept["prompt"], kept["selection"]) == (prompts.packaged("judge").text, "all-char-ngram")


@pytest.mark.parametrize(("word", "flip"), [("first", verdicts.FIRST), ("second", verdicts.SECOND)])
def test_a_judge_that_goes_by_the_place_has_ties_alone(db, selected, server, word, flip):
    server.behaviour.answer = lambda _: verdict(word)
    done = judge(db, server)
    assert judged(db) == [("tie", flip)] * 12
    assert (done.flips, done.first, done.second) == (12, 12 * (word == "first"), 12 * (word == "second"))
    assert done.flipping == (
        "12 of 12 verdicts (100.0%) flip with the order and count as ties: "
        f"{done.first} for the answer that stood first, {done.second} for the one that stood second, "
        "0 with a tie in one order."
    )


def test_a_tie_in_one_order_is_a_tie_with_a_remark(db, selected, server):
    server.behaviour.answer = lambda received: (
        verdict("tie") if shown(received) == tuple(sorted(shown(received))) else by_name(received)
    )
    done = judge(db, server)
    assert judged(db) == [("tie", verdicts.TIE_ONCE)] * 12
    assert "12 with a tie in one order" in done.flipping


def test_ties_in_both_orders_agree(db, selected, server):
    server.behaviour.answer = lambda _: verdict("tie", "no difference")
    assert judge(db, server).flips == 0
    assert judged(db) == [("tie", "no difference")] * 12


@pytest.mark.parametrize(
    ("plan", "order"), [([], ["alpha", "beta"]), (["500"], ["alpha", "beta", "alpha"])], ids=["as asked", "turned"]
)
def test_the_reason_kept_is_the_one_of_the_same_order_whichever_came_first(study, server, plan, order):
    # given one pair, and a server that may fail on its first order at first
    server.behaviour.answer = lambda received: verdict("tie", f"with {shown(received)[0]} first")
    select(study, 1)
    study.db.execute("DELETE FROM selections WHERE id > 1")
    server.behaviour.plan.extend(plan)
    judge(study.db, server, AskOptions(concurrency=1))
    assert [shown(received)[0] for received in server.requests] == order
    assert judged(study.db) == [("tie", "with alpha first")]


@given(a=st.sampled_from(["first", "second", "tie"]), b=st.sampled_from(["first", "second", "tie"]))
def test_two_opinions_come_to_the_same_whichever_came_first(a, b):
    sides = {"model_a": {"first": "model_a", "second": "model_b"}, "model_b": {"first": "model_b", "second": "model_a"}}
    one = OrderedVerdict("model_a", sides["model_a"].get(a, "tie"), "one")
    other = OrderedVerdict("model_b", sides["model_b"].get(b, "tie"), "other")
    winner, comment = verdicts.together(one, other)
    assert (winner, comment in verdicts.FLIPS) == (
        verdicts.together(other, one)[0], verdicts.together(other, one)[1] in verdicts.FLIPS
    )  # fmt: skip
    assert (comment in verdicts.FLIPS) == (one.winner != other.winner)
    assert winner == (one.winner if one.winner == other.winner else "tie")


def test_the_question_holds_what_a_reader_needs_and_no_name(db, study, server):
    instruction = study.instruction("Solve it.", input="1 + 1")
    db.execute("UPDATE instructions SET reference_answer = 'It is 2.'")
    for name, answer in (("famous-model", "two"), ("other-model", "three")):
        study.response(instruction, name, answer + " and" * 30)
    measure(db, metric_named(db, "char-ngram"))
    selection.select(db, selection.SelectionParameters())
    judge(db, server)
    for received in server.requests:
        assert "Solve it.\n\n1 + 1" in received.prompt
        assert "<reference_answer>\nIt is 2.\n</reference_answer>" in received.prompt
        assert "model" not in received.prompt
        assert received.schema["properties"]["verdict"]["enum"] == ["first", "second", "tie"]


def test_people_and_models_are_told_apart(db, selected, server):
    a, b = db.execute("SELECT response_a_id, response_b_id FROM selections ORDER BY id").fetchone()
    selected.judgment(a, b, "model_b", annotator="alice")
    judge(db, server)
    assert db.execute("SELECT count(*) FROM win_rates WHERE battles > 1").fetchone()[0] == 0
    # what a model judged still waits for a person
    again = selection.select(db, selection.SelectionParameters(top_k=4))
    assert (again.selected, again.judged) == (12, 1)


# Never twice, nothing lost


def test_the_second_run_asks_nothing_and_a_larger_selection_only_the_rest(db, study, server):
    select(study, 4)
    judge(db, server)
    assert judge(db, server).summary == "gpt-4.1 on all-char-ngram: nothing to do (12 verdicts)"
    assert len(server.requests) == 24
    select(study, 6)
    assert judge(db, server).summary == "gpt-4.1 on all-char-ngram: 6 verdicts (12 known)"
    assert len(server.requests) == 36


def test_a_pair_on_which_the_judges_vote_came_in_otherwise_is_not_asked(db, study, server):
    select(study, 2)
    study.annotator(NAME, "model")
    first, second = db.execute("SELECT response_a_id, response_b_id FROM selections ORDER BY id").fetchone()
    study.judgment(first, second, "tie", NAME)
    judge(db, server)
    assert len(server.requests) == 2 * 5
    counted = db.execute("SELECT count(*), count(DISTINCT response_a_id || ' ' || response_b_id) FROM votes").fetchone()
    assert tuple(counted) == (6, 6)
    judge(db, server)
    assert len(server.requests) == 2 * 5


def test_a_pair_with_one_answer_of_two_waits_and_that_answer_is_not_asked_for_again(db, selected, server):
    # given a server that fails on one order of each pair
    def moody(received: ReceivedRequest) -> str:
        first, second = shown(received)
        return by_name(received) if first < second else "I cannot say."

    server.behaviour.answer = moody
    done = judge(db, server)
    assert (judged(db), done.report.failed, done.verdicts) == ([], {"invalid": 12}, 0)
    assert done.summary == "gpt-4.1 on all-char-ngram: 0 verdicts (0 known), 12 pairs are left"
    assert len(server.requests) == 12 + 2 * 12
    # when it is better and is asked again
    server.behaviour.answer = by_name
    done = judge(db, server, AskOptions(retry_failed=True))
    assert (done.new, done.report.requests, done.report.reused) == (12, 12, 12)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.parametrize("enough", several([61], range(40, 170, 3)))
def test_a_run_that_was_stopped_asks_only_what_is_missing(db_file: Path, how: signal.Signals, enough: int):
    with database.writing(db_file) as db:
        select(Study(db), 30)
    with ProviderServer(latency_median=0.05) as server:
        server.behaviour.answer = by_name
        command = ("judge", "--model", "gpt-4.1", "--base-url", f"{server.url}/v1", "--concurrency", 7)
        with children.madetl(db_file, *command) as child:
            child.until(lambda: server.answered >= enough)
            child.send_signal(how)
            child.wait()
        with database.writing(db_file) as db:
            before = len(judged(db))
            assert 0 < before < 90
            done = judge(db, server)
            assert (done.verdicts, done.new) == (90, 90 - before)
            assert server.answered <= 180 + 7
            assert db.execute("SELECT count(*) FROM calls WHERE outcome = 'ok'").fetchone()[0] == 180


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("The first.", "it is not JSON"),
        (verdict("A"), "'verdict' is 'A', and should be one of first, second, tie"),
        (verdict("First"), "should be one of first, second, tie"),
        (json.dumps({"verdict": "first"}), "it has no 'reason'"),
        (json.dumps({"reason": "because", "verdict": ["first"]}), "should be one of"),
        (json.dumps({"reason": None, "verdict": "first"}), "'reason' is no text"),
    ],
)
def test_a_verdict_that_cannot_be_read_is_asked_again_with_its_fault_and_then_failed(
    db, selected, server, answer, fault
):
    server.behaviour.answer = lambda _: answer
    done = judge(db, server)
    assert (done.report.failed, judged(db)) == ({"invalid": 24}, [])
    assert len(server.requests) == 48
    assert fault in server.requests[-1].prompt
    assert db.execute("SELECT count(*) FROM calls WHERE outcome = 'invalid'").fetchone()[0] == 48


@pytest.mark.parametrize(
    ("mode", "outcome"), [("empty", "empty"), ("refusal", "refused"), ("blocked", "blocked"), ("cut", "invalid")]
)
def test_what_is_no_verdict_is_a_row_with_its_reason(db, selected, server, mode, outcome):
    server.behaviour.mode = mode
    assert judge(db, server).report.failed == {outcome: 24}
    assert judged(db) == []


def test_a_wrong_key_stops_the_run(db, selected, server):
    server.behaviour.mode = "401"
    with pytest.raises(AskingError, match="Incorrect API key"):
        judge(db, server, AskOptions(concurrency=1))
    assert len(server.requests) == 1


# Who judges, and how


class TestAnnotators:
    def test_a_name_of_ones_own(self, db, selected, server):
        judge(db, server)
        own = prompts.Prompt(
            "mine", "{instruction} {first} {second} <first_answer>\n{first}<second_answer>\n{second} ?"
        )
        judge(db, server, annotator="strict", prompt=own, temperature=1.0)
        assert db.execute("SELECT count(DISTINCT annotator_id) FROM judgments").fetchone()[0] == 2
        # and it goes on as it began
        select(selected, 5)
        judge(db, server, annotator="strict")
        assert server.requests[-1].body["temperature"] == 1.0
        assert server.requests[-1].prompt.endswith(" ?")

    def test_another_manner_needs_another_name(self, db, selected, server):
        judge(db, server)
        with pytest.raises(
            ParameterError, match=r"gpt-4\.1 has judged with temperature 0.0, not 0.7. .* --annotator NAME"
        ):
            judge(db, server, temperature=0.7)
        with pytest.raises(ParameterError, match="has judged with another prompt"):
            judge(db, server, prompt=prompts.Prompt("mine", "{instruction}{first}{second}"))
        with pytest.raises(ParameterError, match=r"has judged with model_id gpt-4\.1, not gpt-5"):
            judge(db, server, model="gpt-5", annotator=NAME)
        assert judge(db, server, max_tokens=4096).new == 0

    def test_stops_and_penalties_are_kept_with_the_judge(self, db, selected, server):
        judge(db, server, stop=["END"], presence_penalty=0.5)
        select(selected, 5)
        judge(db, server)
        asked = {(tuple(received.body["stop"]), received.body["presence_penalty"]) for received in server.requests}
        assert asked == {(("END",), 0.5)}
        with pytest.raises(ParameterError, match="has judged with frequency_penalty None, not 1"):
            judge(db, server, frequency_penalty=1)
        assert judge(db, server, annotator="plain").new == 15
        assert "stop" not in server.requests[-1].body

    def test_a_persons_name_is_refused(self, db, selected, server):
        selected.annotator(NAME)
        with pytest.raises(ParameterError, match=r"gpt-4\.1 is a person among the annotators"):
            judge(db, server)

    def test_its_own_answers_are_counted(self, db, selected, server):
        assert judge(db, server, model="alpha").own_answers == 8

    def test_without_a_selection_there_is_nothing_to_judge(self, db, server):
        with pytest.raises(ParameterError, match="There is no selection yet"):
            judge(db, server)


class TestTheCommand:
    @pytest.fixture
    def where(self, server) -> tuple[str, str]:
        return "--base-url", f"{server.url}/v1"

    @pytest.fixture
    def study_file(self, db_file) -> Path:
        with database.writing(db_file) as db:
            select(Study(db), 4)
        return db_file

    def test_judges_and_ranks(self, madetl, study_file, where):
        done = madetl("judge", "--model", NAME, *where)
        assert done.stdout == (
            "gpt-4.1 on all-char-ngram: 12 verdicts (0 known)\nNext: madetl rank --annotator gpt-4.1\n"
        )
        assert "0 of 12 verdicts (0.0%) flip" in done.stderr
        again = madetl("--db", study_file, "judge", "--model", NAME, *where)
        assert again.stdout.endswith(f"\nNext: madetl --db {study_file} rank --annotator gpt-4.1\n")
        for whose in (("--annotator", NAME), ("--judges",)):
            table = madetl("rank", *whose).stdout
            assert table.index("alpha") < table.index("beta") < table.index("gamma")
        assert "people" in madetl("rank", status=1).stderr

    def test_a_dry_run_asks_nobody(self, madetl, study_file, where, server):
        before = study_file.read_bytes()
        shown = madetl("judge", "--model", NAME, "--dry-run", *where).stdout
        assert re.search(r"requests +24\b", shown)
        assert re.search(r"response pairs to judge +12\b", shown)
        assert not server.requests
        assert study_file.read_bytes() == before

    def test_what_is_left_undone_is_exit_status_1(self, madetl, study_file, where, server):
        server.behaviour.mode = "refusal"
        done = madetl("judge", "--model", NAME, *where, status=1)
        assert "12 pairs are left" in done.stdout
        assert "24 failed: refused" in done.stderr

    def test_json(self, madetl, study_file, where, server):
        server.behaviour.answer = lambda _: verdict("first")
        printed: dict = json.loads(madetl("judge", "--model", NAME, "--json", *where).stdout)
        assert (printed["new"], printed["flips"], printed["first"], printed["undone"]) == (12, 12, 12, 0)

    def test_bad_input_is_one_line(self, madetl, study_file, tmp_path):
        assert (
            "No selection is called 'nope'" in madetl("judge", "--model", NAME, "--selection", "nope", status=1).stderr
        )
        assert "Who is to be asked for 'nobody'?" in madetl("judge", "--model", "nobody", status=1).stderr
        prompt = tmp_path / "prompt.txt"
        prompt.write_text("Which one?")
        error = madetl("judge", "--model", NAME, "--prompt", prompt, status=1).stderr
        assert "needs {instruction}, {first}, {second}" in error
        assert "--model" in madetl("judge", status=2).stderr
