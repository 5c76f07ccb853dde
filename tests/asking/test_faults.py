"""Every stage that asks models, with a fault at every moment: no row stays open, and no answer is paid for again."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from madetl import providers
from madetl.asking import model_settings
from madetl.asking.ask import AskingError, AskOptions, AskReport, Task
from madetl.asking.model_settings import AskedModel, ModelOptions
from madetl.asking.prices import Price
from madetl.asking.structured import prompt_settings
from madetl.evolution.evolve import Evolution, evolve
from madetl.inference.infer import AnswersToAsk, Inference
from madetl.judgment.judge import Judging, VerdictsToAsk
from madetl.providers.base import ChatAnswer, ChatRequest, ProviderError
from madetl.selection import select
from madetl.similarity.ask import ChatMetric, ScoresToAsk
from madetl.similarity.embed import AnswersToEmbed
from madetl.similarity.measure import measure, scope_of
from madetl.similarity.named import metric_named
from madetl.store import database
from madetl.store.database import transaction
from tests.conftest import Study
from tests.support import faults
from tests.support.ask_questions import ask, model, questions, save
from tests.support.faults import InjectedError, ProgramError
from tests.support.provider_bodies import ReceivedRequest, answer_text
from tests.support.provider_server import Counts, ProviderServer

OPTIONS = AskOptions(concurrency=3)
WORDS = ["amber", "basalt", "cedar", "dune", "ember", "fjord", "glacier", "harbour", "island", "jasmine", "kelp",
         "lagoon", "meadow", "nettle"]  # fmt: skip

Work = Callable[[sqlite3.Connection, ProviderServer], AskReport]


@dataclass(frozen=True)
class Stage:
    """A stage on a small pool: how it is run, and the query of what it stores."""

    work: Work
    stored: str
    answers: int  # that it takes


def address(server: ProviderServer) -> ModelOptions:
    return ModelOptions(provider="openai", base_url=f"{server.url}/v1")


def asked(db: sqlite3.Connection, server: ProviderServer, name: str = "judge") -> AskedModel:
    return model_settings.find(db, name, address(server))


def infer(db: sqlite3.Connection, server: ProviderServer) -> AskReport:
    return AnswersToAsk(db, Inference("new"), address(server)).run(OPTIONS).report


def similarity(db: sqlite3.Connection, server: ProviderServer) -> AskReport:
    metric = ChatMetric(asked(db, server), prompt_settings("similarity", {}), scope_of(db, (), None, None, "all"))
    return ScoresToAsk(db, metric).run(OPTIONS).report


def embed(db: sqlite3.Connection, server: ProviderServer) -> AskReport:
    return AnswersToEmbed(db, asked(db, server), scope_of(db, (), None, None, "all")).run(OPTIONS).report


def judge(db: sqlite3.Connection, server: ProviderServer) -> AskReport:
    return VerdictsToAsk(db, Judging(asked(db, server))).run(OPTIONS).report


def rewrite(db: sqlite3.Connection, server: ProviderServer) -> AskReport:
    return evolve(db, Evolution("new", rounds=2), address(server), OPTIONS).report


STAGES = {
    "infer": Stage(infer, "SELECT instruction_id, response FROM responses", 4),
    "similarity": Stage(similarity, "SELECT response_a_id, response_b_id, score, explanation FROM similarities", 12),
    "embed": Stage(embed, "SELECT hash, dimensions FROM embeddings", 3),
    "judge": Stage(judge, "SELECT response_a_id, response_b_id, winner, comment FROM judgments", 16),
    "evolve": Stage(rewrite, "SELECT instruction, generation FROM instructions", 8),
}


def answer(received: ReceivedRequest) -> str:
    """The usual answer; a rewriting that no other one resembles."""
    if "instruction" not in (received.schema or {}).get("properties", {}):
        return answer_text(received)
    seed = sum(position * ord(letter) for position, letter in enumerate(received.prompt))
    return json.dumps({"instruction": " ".join(WORDS[seed // 14**power % 14] * 3 for power in range(4)) + f" {seed}"})


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer(answer=answer) as running:
        yield running


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four instructions, three models' answers to each, and a selection of all twelve pairs."""
    file = tmp_path_factory.mktemp("pool") / "mad.db"
    with database.writing(file) as db:
        study = Study(db)
        with transaction(db):
            for i, name in itertools.product(range(4), ("alpha", "beta", "gamma")):
                words = " ".join(f"{name[0]}{k * i % 7}" for k in range(30))
                more = "x" * 12_000 if i < 2 and name == "alpha" else ""  # so long that it is embedded alone
                text = f"{name} on {i}: {words} {more}"
                study.response(study.instruction(f"instruction {i}: {WORDS[i] * 4}"), name, text)
        measure(db, metric_named(db, "char-ngram"))
        select.select(db, select.SelectionParameters(top_k=4))
    return file


@dataclass
class Trial:
    """One stage on one copy of the pool, run again and again."""

    stage: Stage
    file: Path
    server: ProviderServer

    def begin(self, pool: Path) -> None:
        for file in self.file.parent.glob(f"{self.file.name}*"):
            file.unlink()
        shutil.copyfile(pool, self.file)
        self.server.counts = Counts()
        self.server.behaviour.plan.clear()

    def run(self) -> AskReport:
        with database.writing(self.file) as db:
            return self.stage.work(db, self.server)

    def rows(self) -> list[tuple[Any, ...]]:
        with database.reading(self.file) as db:
            return sorted(map(tuple, db.execute(self.stage.stored)), key=repr)

    def calls(self) -> list[tuple[str | None, str | None]]:
        """(outcome, error) of each."""
        with database.reading(self.file) as db:
            return [tuple(row) for row in db.execute("SELECT outcome, error FROM calls ORDER BY id")]

    def answered(self) -> tuple[int, int]:
        """How many answers the server gave, and how many different ones."""
        return self.server.counts.answered, len(self.server.counts.answers)

    def is_whole(self, expected: list[tuple[Any, ...]], lost: int = 0) -> None:
        """After another run all is stored, and only so many answers were paid for twice."""
        assert None not in [outcome for outcome, _ in self.calls()]
        assert self.run().undone == 0
        assert self.rows() == expected
        assert self.answered() == (self.stage.answers + lost, self.stage.answers)
        assert list(self.file.parent.glob("*-run-*")) == []


def moments(few: tuple[int, ...], *, every: bool) -> Iterator[int]:
    return itertools.count(1) if every else iter(few)


EVERY = [
    pytest.param(False, id="some"),
    pytest.param(True, id="every", marks=pytest.mark.slow),
]


@pytest.fixture(params=list(STAGES))
def trial(request: pytest.FixtureRequest, pool: Path, server: ProviderServer, tmp_path: Path) -> Trial:
    return Trial(STAGES[request.param], tmp_path / "mad.db", server)


@pytest.fixture
def expected(trial: Trial, pool: Path) -> list[tuple[Any, ...]]:
    """What a run without a fault stores."""
    trial.begin(pool)
    assert trial.run().undone == 0
    assert trial.answered() == (trial.stage.answers,) * 2
    return trial.rows()


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("gives_up", [False, True], ids=["stays", "rolls-back"])
def test_a_write_that_fails_costs_nothing(trial: Trial, pool: Path, expected, every: bool, gives_up: bool):
    """Given the i-th write fails, i = 1, 2, …, until none does: the error is told, and what was answered is kept."""
    for i in moments((3, 8, 12), every=every):
        trial.begin(pool)
        with faults.writing(trial.file) as db:
            db.fail_at(i, gives_up=gives_up)
            with suppress(InjectedError):
                trial.stage.work(db, trial.server)
            writes = db.writes
        trial.is_whole(expected)
        if writes < i:
            assert i > 10
            return


@pytest.mark.parametrize("every", EVERY)
def test_an_answer_that_breaks_the_program_costs_itself(trial: Trial, pool: Path, expected, every: bool):
    """Given code that raises at the i-th answer: those in flight are stored, and the next run asks for the one."""
    for i in moments((1, 2), every=every):
        trial.begin(pool)
        failed = True
        with faults.failing_provider(i), suppress(ProgramError):
            trial.run()
            failed = False
        trial.is_whole(expected, lost=int(failed))
        if not failed:
            assert i == trial.stage.answers + 1
            return


@pytest.mark.parametrize("every", EVERY)
def test_an_odd_answer_is_asked_for_again_and_nothing_else_is(trial: Trial, pool: Path, expected, every: bool):
    """Given an i-th answer that names its model by a list: the run goes on, and has all in the end."""
    trial.server.behaviour.odd = lambda _, good: {**good, "model": [1]}
    for i in moments((1, 2), every=every):
        trial.begin(pool)
        trial.server.behaviour.plan.extend(["ok"] * (i - 1) + ["odd"])
        assert trial.run().undone == 0
        came = i <= trial.stage.answers
        reasons = [error for outcome, error in trial.calls() if outcome == "invalid"]
        assert (
            reasons == ["the answer does not fit its format: model: input should be a valid string, found [1]"] * came
        )
        trial.is_whole(expected, lost=int(came))
        if not came:
            return


# What one call raises


def unstored(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM calls WHERE outcome IS NULL").fetchone()[0])


@pytest.mark.slow
def test_those_in_flight_are_awaited_and_stored_before_the_error_is_raised(db, server):
    # given eight questions at once, of which the quick one breaks the program while the others take three seconds
    server.behaviour.slow_seconds = 3.0
    tasks = [Task(ChatRequest(f"<<{'ok' if i == 5 else 'slow'}>> {i}", max_tokens=9), subject=i) for i in range(20)]
    with faults.failing_provider(1), pytest.raises(ProgramError):
        ask(db, server.url, iter(tasks), concurrency=8)
    # then the seven are answered and stored, nothing was sent after the fault, and the one row says what became of it
    stored = {row[0] for row in db.execute("SELECT subject FROM got")}
    assert len(stored) == 7
    assert stored < set(range(8))
    closed = db.execute("SELECT error FROM calls WHERE outcome = 'interrupted'").fetchall()
    assert [row[0] for row in closed] == ["madetl failed: ProgramError"]
    assert unstored(db) == 0


def test_a_stage_that_cannot_save_one_answer_keeps_the_others(db, server):
    def fail(connection, task, answer, call_id):
        if task.subject == 2:
            raise ProgramError
        save(connection, task, answer, call_id)

    with pytest.raises(ProgramError):
        ask(db, server.url, questions(6), save=fail, concurrency=6)
    # then the others are with the stage, and the one is in the ledger
    assert [row[0] for row in db.execute("SELECT subject FROM got ORDER BY subject")] == [0, 1, 3, 4, 5]
    assert [row[0] for row in db.execute("SELECT DISTINCT outcome FROM calls")] == ["ok"]
    before = server.counts.requests
    assert ask(db, server.url, questions(6)).reused == 6
    assert server.counts.requests == before


@pytest.mark.parametrize("faulty", ["progress", "tasks"])
def test_whatever_else_raises_leaves_no_row_open(db, server, faulty):
    def failing_tasks() -> Iterator[Task]:
        yield from questions(300)
        raise ProgramError

    def failing_progress(_: object) -> None:
        raise ProgramError

    tasks = failing_tasks() if faulty == "tasks" else questions(300)
    progress = failing_progress if faulty == "progress" else lambda _: None
    with pytest.raises(ProgramError):
        ask(db, server.url, tasks, progress=progress)
    assert unstored(db) == 0
    assert {row[0] for row in db.execute("SELECT outcome FROM calls")} == {"ok"}
    known = db.execute("SELECT count(*) FROM calls").fetchone()[0]
    assert ask(db, server.url, questions(300)).requests == 300 - known


def test_a_provider_that_cannot_be_opened_again_leaves_no_row_open(db, server):
    # given a model that takes no temperature, so that the provider is opened again without it
    server.behaviour.mode, opened = "refused-temperature", []

    def once(endpoint):
        opened.append(endpoint)
        if len(opened) > 1:
            raise ProgramError
        return providers.open_provider(endpoint)

    try:
        with pytest.raises(ProgramError):
            ask(db, server.url, questions(30, temperature=0.5), concurrency=4, open_provider=once)
    finally:
        server.behaviour.mode = "ok"
    assert unstored(db) == 0


class Odd:
    """Counts tokens in a number that no database stores: an input that the network's providers refuse."""

    async def chat(self, request: ChatRequest) -> ChatAnswer:
        return ChatAnswer("an answer", "ok", "stop", "1", 10**30, 1, 0.1)

    async def close(self) -> None:
        pass


def test_what_no_row_can_hold_is_closed_without_it(db):
    with pytest.raises(OverflowError):
        ask(db, "http://x", questions(3), open_provider=lambda _: Odd())
    errors = [tuple(row) for row in db.execute("SELECT DISTINCT outcome, error FROM calls")]
    assert errors == [("interrupted", "madetl failed: the answer could not be stored")]


def test_texts_that_no_database_stores_are_replaced_everywhere(db):
    class Surrogates(Odd):
        async def chat(self, request: ChatRequest) -> ChatAnswer:
            return ChatAnswer("a\ud800", "ok", "s\ud800", "v\ud800", 1, 1, 0.1)

    assert ask(db, "http://x", questions(1), open_provider=lambda _: Surrogates()).done == 1
    row = db.execute("SELECT answer, finish_reason, model_version FROM calls").fetchone()
    assert tuple(row) == ("a\ufffd", "s\ufffd", "v\ufffd")


def test_a_database_that_stays_broken_is_mended_by_the_next_run(db_file, empty, server):
    # given every write fails from some moment on, those that close rows among them
    left_open = []
    for moment in range(6, 18, 2):
        shutil.copyfile(empty, db_file)
        asked_before = server.counts.requests
        with faults.writing(db_file) as db:
            model(db)
            db.fail_at(moment, lasts=True)
            with suppress(InjectedError):
                ask(db, server.url, questions(6), concurrency=3)
        # then the next run closes them, and has what is missing
        with database.writing(db_file) as db:
            left_open.append(unstored(db))
            report = ask(db, server.url, questions(6))
            assert (report.done + report.reused, unstored(db)) == (6, 0)
        assert server.counts.requests - asked_before <= 6 + 3
    assert max(left_open) == 3


# Odd answers


def odd_model(received: ReceivedRequest, good: dict[str, Any]) -> dict[str, Any]:
    return {**good, "model": {"name": received.model}}


def test_an_odd_answer_is_invalid_its_tokens_are_paid_and_the_run_goes_on(db, server):
    # given one of nine questions that is always answered by a model without a name
    server.behaviour.odd = odd_model
    marks = ["<<odd>>" if i == 4 else "" for i in range(9)]
    tasks = [Task(ChatRequest(f"{mark} question {i}", max_tokens=100), subject=i) for i, mark in enumerate(marks)]
    report = ask(db, server.url, iter(tasks), Price(1.0, 1.0), concurrency=3)
    assert (report.done, report.failed, report.undone) == (8, {"invalid": 1}, 1)
    rows = db.execute("SELECT attempt, tokens_in, tokens_out, answer FROM calls WHERE outcome = 'invalid'").fetchall()
    assert [tuple(row) for row in rows] == [(1, 3, 5, None), (2, 3, 5, None)]
    paid = db.execute("SELECT sum(cost), sum(tokens_in + tokens_out) / 1e6 FROM calls").fetchone()
    assert paid[0] == pytest.approx(paid[1]) == report.cost
    assert "model: input should be a valid string, found {'name': 'm'}" in report.examples["invalid"]
    # and the next run lists it and asks nobody; --retry-failed asks
    again = ask(db, server.url, iter(tasks))
    assert (again.reused, again.left, again.requests) == (8, {"invalid": 1}, 0)
    server.behaviour.odd = lambda _, good: good
    assert ask(db, server.url, iter(tasks), retry_failed=True).done == 1


def test_a_server_whose_every_answer_is_odd_is_not_paid_to_the_end(db, server):
    server.behaviour.odd = odd_model
    tasks = (Task(ChatRequest(f"<<odd>> question {i}", max_tokens=100), subject=i) for i in range(500))
    with pytest.raises(AskingError, match="None of the latest answers could be read") as caught:
        ask(db, server.url, tasks, concurrency=4)
    assert caught.value.report.requests < 40
    assert caught.value.report.undone == 500


def test_max_cost_counts_odd_answers_as_the_most_that_they_can_cost(db, server):
    # given answers of at most 100 tokens at 0.01 USD each, whose counts cannot be read
    server.behaviour.odd = lambda _, good: {**good, "usage": {"prompt_tokens": [], "completion_tokens": 10**30}}
    tasks = (Task(ChatRequest(f"<<odd>> question {i}", max_tokens=100), subject=i) for i in range(500))
    report = ask(db, server.url, tasks, Price(0.0, 10_000.0), concurrency=2, max_cost=3.5)
    assert (report.stopped, report.requests, report.unpriced, report.cost) == ("max_cost", 3, 3, None)


# Models in this process


class InThisProcess:
    """Answers as many questions as it is told to."""

    def __init__(self, answers: int | None = None, error: Exception | None = None) -> None:
        self._answers, self._error = answers, error

    def chat_many(self, requests: Sequence[ChatRequest]) -> list[ChatAnswer | ProviderError]:
        if self._error is not None:
            raise self._error
        return [ChatAnswer("an answer", "ok", "stop", "1", 1, 1, 0.1) for _ in requests[: self._answers]]

    def close(self) -> None:
        pass


def test_a_chunk_with_another_number_of_answers_is_invalid(db):
    report = ask(db, "", questions(4), chunk=4, open_provider=lambda _: InThisProcess(3))
    assert (report.done, report.failed) == (0, {"invalid": 4})
    assert report.examples["invalid"] == "3 answers came for 4 questions"


def test_a_chunk_that_raises_leaves_no_row_open(db):
    with pytest.raises(ProgramError):
        ask(db, "", questions(4), chunk=2, open_provider=lambda _: InThisProcess(error=ProgramError()))
    assert [tuple(row) for row in db.execute("SELECT outcome, count(*) FROM calls")] == [("interrupted", 2)]


def test_a_chunk_of_which_one_answer_cannot_be_saved_keeps_the_others(db):
    def fail(connection, task, answer, call_id):
        if task.subject == 2:
            raise ProgramError
        save(connection, task, answer, call_id)

    with pytest.raises(ProgramError):
        ask(db, "", questions(4), chunk=4, save=fail, open_provider=lambda _: InThisProcess())
    assert [row[0] for row in db.execute("SELECT subject FROM got ORDER BY subject")] == [0, 1, 3]
    assert ask(db, "", questions(4), open_provider=lambda _: InThisProcess()).reused == 4


# The command


def test_infer_keeps_what_is_sound_and_says_what_is_odd(db, study, server, madetl):
    """Given a gateway that names its model by an object in every third answer, and drips another."""
    server.behaviour.odd = odd_model
    for i in range(9):
        study.instruction(f"{'<<odd>>' if i % 3 == 0 else '<<drip>>' if i == 4 else ''} instruction {i}")
    options = ("--base-url", f"{server.url}/v1", "--concurrency", 2, "--timeout", 1, "--max-attempts", 1)
    done = madetl("infer", "--model", "m", *options, status=1)
    assert "5 answers stored" in done.stdout
    assert "3 failed: invalid (the answer does not fit its format: model: input should be a valid" in done.stderr
    assert "1 failed: timeout" in done.stderr
    assert unstored(db) == 0
    assert db.execute("SELECT count(*) FROM responses").fetchone()[0] == 5
