"""`madetl run`: a study out of one file, from seeds to a leaderboard, stopped and started again."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from madetl.errors import InputError, MadetlError
from madetl.store import database
from madetl.study import file as study_file
from madetl.study.forecast import forecast
from tests.support import children
from tests.support.provider_server import ProviderServer
from tests.support.soak import several

Madetl = Callable[..., CompletedProcess[str]]
TOPICS = ("the sea", "old clocks", "a long winter", "bread", "mountains at dawn", "trains")

STUDY = """
scenarios = ["Writing"]
generation = "all"

[[seeds]]
file = "seeds.jsonl"

[evolve]
models = ["a"]
limit = 2
duplicate_above = 1

[[models]]
name = "a"
base_url = "{url}/v1"
price_in = 1.0
price_out = 1.0

[[models]]
name = "b"
base_url = "{url}/v1"
price_in = 1.0
price_out = 1.0

[select]
top_k = 3
min_words = 3
"""


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with six seeds."""
    rows = [{"instruction": f"Write some lines about {topic}, please.", "scenario": "Writing"} for topic in TOPICS]
    (tmp_path / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def write(folder: Path, text: str, **values: Any) -> Path:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


def count(db_file: Path, table: str) -> int:
    with database.reading(db_file) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def judge(db_file: Path, madetl: Madetl, rows: int) -> None:
    """A person fills in so many rows of the sheet of the selection."""
    sheet = db_file.with_name(f"sheet-{rows}.csv")
    madetl("export", "annotations", "--selection", "writing-char-ngram", "-o", sheet)
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, found[0])
        writer.writeheader()
        writer.writerows(row | {"winner": "response_1"} for row in found[:rows])
    madetl("import", "judgments", sheet, "--annotator", "alice")


# From seeds to a leaderboard


def test_it_stops_where_people_are_needed_and_takes_the_votes_there_are(server, folder, db_file, madetl: Madetl):
    # given a study, when it is run
    file = write(folder, STUDY, url=server.url)
    done = madetl("run", file)
    # then six seeds and two rewritten ones are answered by two models, three pairs are picked, and people are asked for
    assert [count(db_file, table) for table in ("instructions", "responses", "similarities", "selections")] == [
        8,
        16,
        8,
        3,
    ]
    assert "3 judgments needed:\n  madetl export annotations --selection writing-char-ngram" in done.stdout
    assert "leaderboard" not in done.stdout
    asked = len(server.requests)
    # when it is run again, then nobody is asked anything
    assert "3 judgments needed" in madetl("run", file).stdout
    assert len(server.requests) == asked == 2 + 16
    # when a person has judged two of the three, then these are ranked, and one is needed
    judge(db_file, madetl, 2)
    done = madetl("run", file)
    assert "overall: 2 battles on 2 items" in done.stdout
    assert "1 judgments needed" in done.stdout
    assert count(db_file, "leaderboard") > 0
    # and with all of them there is nothing left
    judge(db_file, madetl, 3)
    found = json.loads(madetl("run", file, "--json").stdout)
    assert found["judgments_needed"] == []
    assert found["leaderboards"]["people"]["ratings"][0]["battles"] >= 3


def test_embeddings_a_chat_model_as_the_metric_and_a_judge(server, folder, db_file, madetl: Madetl):
    more = """
[[models]]
name = "helper"
answers = false
base_url = "{url}/v1"

[[metrics]]
name = "char-ngram"

[[metrics]]
name = "embedder"
as = "embedding"

[[metrics]]
name = "helper"
as = "llm"
prefilter = "char-ngram:4"

[[models]]
name = "embedder"
answers = false
base_url = "{url}/v1"

[judge]
models = ["helper"]
"""
    text = STUDY.replace("[select]", '[select]\nmetric = "helper"') + more
    done = madetl("run", write(folder, text, url=server.url))
    with database.reading(db_file) as db:
        sql = "SELECT m.name, count(*) FROM similarities AS s JOIN metrics AS m ON m.id = s.metric_id GROUP BY m.id"
        assert dict(db.execute(sql).fetchall()) == {"char-ngram": 8, "embedder": 8, "helper": 4}
        votes = (
            "SELECT count(*) FROM judgments AS j JOIN annotators AS n ON n.id = j.annotator_id WHERE n.kind = 'model'"
        )
        assert db.execute(votes).fetchone()[0] == 3
        # only the two that answer have answers
        assert db.execute("SELECT count(DISTINCT model_id) FROM responses").fetchone()[0] == 2
    assert "flip with the order" in done.stderr
    assert "judge models' votes" in done.stdout


def test_each_scenario_has_a_selection_of_its_own(server, folder, db_file, madetl: Madetl):
    with (folder / "seeds.jsonl").open("a") as file:
        for topic in TOPICS:
            file.write(json.dumps({"instruction": f"Sort a list of {topic} in Python.", "scenario": "Coding"}) + "\n")
    text = STUDY.replace('["Writing"]', '["Writing", "Coding"]').replace("[evolve]", '[evolve]\nscenarios = ["Coding"]')
    assert "6 judgments needed" in madetl("run", write(folder, text, url=server.url)).stdout
    with database.reading(db_file) as db:
        picks = "SELECT selection, count(*) FROM selected_pairs GROUP BY selection ORDER BY selection"
        assert [tuple(row) for row in db.execute(picks)] == [("coding-char-ngram", 3), ("writing-char-ngram", 3)]
        assert [row[0] for row in db.execute("SELECT scenario FROM instructions WHERE generation = 1")] == [
            "Coding"
        ] * 2


# Stopped and started again


@pytest.mark.soak
def test_killed_at_any_point_it_goes_on(server, folder, db_file, madetl: Madetl):
    # given a server that takes its time
    server.behaviour.latency_median = 0.15
    file = write(folder, STUDY + "\n[asking]\nconcurrency = 2\n", url=server.url)
    # when it is killed again and again until the answers are there
    kills = several((3, 9, 16), range(1, 18))
    for enough in kills:
        with children.madetl(db_file, "run", file) as child:
            child.until(lambda enough=enough: server.answered >= enough)
    server.behaviour.latency_median = 0.0
    assert "3 judgments needed" in madetl("run", file).stdout
    # then nothing is there twice, and what was paid for twice was in flight
    assert [count(db_file, table) for table in ("instructions", "responses", "similarities", "selections")] == [
        8,
        16,
        8,
        3,
    ]
    assert server.answered <= 18 + len(kills) * 2


def test_it_does_not_select_from_answers_that_starting_again_would_complete(server, folder, db_file, madetl: Madetl):
    # given a server that is down for the last answers
    server.behaviour.plan.extend(["ok"] * 10 + ["500"] * 200)
    text = STUDY + "\n[asking]\nmax_attempts = 1\nconcurrency = 1\n"
    done = madetl("run", write(folder, text, url=server.url), status=1)
    assert "failed: server_error" in done.stderr
    assert "Start it again to go on" in done.stderr
    assert count(db_file, "selections") == 0
    # when it is up again
    server.behaviour.plan.clear()
    assert "3 judgments needed" in madetl("run", write(folder, text, url=server.url)).stdout


def test_it_goes_on_past_what_failed_for_good_and_says_so(server, folder, db_file, madetl: Madetl):
    with (folder / "seeds.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "<<refusal>> this one", "scenario": "Writing"}) + "\n")
    done = madetl("run", write(folder, STUDY, url=server.url), status=1)
    assert "1 failed: refused" in done.stderr
    assert "3 judgments needed" in done.stdout


def test_the_limit_of_cost_is_the_whole_study_s(server, folder, db_file, madetl: Madetl):
    # given a limit that leaves room for what one answer can cost at most, 2048 tokens and the prompt, and a little more
    text = re.sub(r"\[evolve\].*?\n\n", "", STUDY, flags=re.DOTALL)
    file = write(folder, text + "\n[asking]\nmax_cost = 0.0022\nconcurrency = 1\n", url=server.url)
    # when the study is run twice, then the second run has no more to spend than the first one left
    for _ in range(2):
        done = madetl("run", file, status=1)
        assert "--max-cost is reached" in done.stderr
    with database.reading(db_file) as db:
        assert 0 < db.execute("SELECT sum(cost) FROM calls").fetchone()[0] <= 0.0022
    assert 0 < count(db_file, "responses") < 12


def test_a_setting_that_its_answers_hang_on_is_an_error(server, folder, db_file, madetl: Madetl):
    madetl("run", write(folder, STUDY, url=server.url))
    text = STUDY.replace('name = "b"', 'name = "b"\ntemperature = 0.9')
    before = len(server.requests)
    assert "another name" in madetl("run", write(folder, text, url=server.url), status=1).stderr
    assert len(server.requests) == before


# Before paying


def test_dry_run_counts_requests_and_judgments_and_leaves_nothing(server, folder, db_file, madetl: Madetl):
    file = write(folder, STUDY, url=server.url)
    found = forecast(study_file.read(file), db_file)
    assert [(step.step.split(" --scenario")[0], step.requests) for step in found.steps] == [
        ("evolve --model a", 2),
        ("infer --model a", 8),
        ("infer --model b", 8),
    ]
    assert found.judgments == 3
    # eight answers cost what six would in proportion
    assert found.steps[1].cost == pytest.approx((found.steps[1].tokens_in + found.steps[1].tokens_out) / 1e6, rel=0.01)
    shown = madetl("run", file, "--dry-run").stdout
    assert "18 requests" in shown
    assert "3 judgments of people" in shown
    assert not db_file.exists()
    assert len(server.requests) == 0
    # and of what is there already, nothing counts
    madetl("run", file)
    assert sum(step.requests for step in forecast(study_file.read(file), db_file).steps) == 0


def test_eight_models_and_k_10_ask_for_280_judgments(folder, db_file):
    rows = [{"instruction": f"Task {number}: {TOPICS[number % 6]}", "scenario": "Writing"} for number in range(1000)]
    (folder / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    models = "".join(f'[[models]]\nname = "gpt-{number}"\n' for number in range(8))
    text = f"""
[[seeds]]
file = "seeds.jsonl"
{models}
[[metrics]]
name = "text-embedding-3-small"
[[metrics]]
name = "gpt-4.1"
[select]
metric = "gpt-4.1"
[judge]
models = ["gpt-4.1"]
"""
    found = forecast(study_file.read(write(folder, text)), db_file)
    requests = {step.step: step.requests for step in found.steps}
    assert found.judgments == 280
    assert requests["infer --model gpt-0"] == 1000
    assert requests["similarity --metric gpt-4.1"] == 28_000
    assert requests["similarity --metric text-embedding-3-small"] < 8000
    assert requests["judge --model gpt-4.1"] == 560


# What stands in the file


def test_the_example_of_the_documents_is_a_study(folder):
    text = (Path(__file__).parents[2] / "docs" / "study.md").read_text(encoding="utf-8")
    [example] = re.findall(r"^```toml\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    study = study_file.read(write(folder, example))
    assert [model["name"] for model in study.models] == ["gpt-4.1", "gemini-2.5-pro", "qwen"]
    # six seeds and one round: six rewritings, each in three pairs
    assert forecast(study, folder / "none.db").judgments == 18


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scenarios = 3", "field scenarios: found 3, expected a name, or a list of names"),
        ("scenario = ['Writing']", "field scenario: there is no such key. Known: scenarios, generation, seeds"),
        ("generation = 'new'", 'field generation: found \'new\', expected "evolved" or "seeds" or "all" or a number'),
        ("[models]\nname = 'a'", "field models: expected a table [[models]] for each"),
        ("[[models]]\nprovider = 'openai'", "field [[models]] 1 name: is missing"),
        ("[[models]]\nname = 'a'\n[[models]]\nname = 'b'\ntemperature = 3", "field [[models]] 2 temperature: found 3"),
        ("[[models]]\nname = 'a'\nmax_tokens = 2.5", "expected a whole number from 1"),
        ("[[models]]\nname = 'a'\napi_key = 'x'", "[[models]] 1 api_key: there is no such key"),
        ("[[models]]\nname = 'a'\n[[models]]\nname = 'a'", "a stands there twice"),
        ("[[models]]\nname = 'a'\ntrust_remote_code = 'yes'", "expected true or false"),
        ("[[models]]\nname = 'a'\nprovider = 'other'", 'expected "openai" or "gemini" or "vllm"'),
        ("[select]\ntop_k = 0", "field [select] top_k: found 0, expected a whole number from 1"),
        ("[select]\ntop_k = true", "found True"),
        ("[select]\ndiversity = nan", "found nan"),
        ("select = 3", "field [select]: expected a table, found 3"),
        ("[evolve]\nrounds = 2", "field [evolve] models: is missing; expected a list of names"),
        ("[[seeds]]\nfile = 'absent.jsonl'", "there is no file"),
        ("[[metrics]]\nname = 'a'\n[[metrics]]\nname = 'b'", 'name the one to select by: "a" or "b"'),
        ("scenarios = ['a', 'b']\n[select]\nname = 'x'", "each scenario has a selection of its own"),
        ("scenarios = [", "is not TOML"),
    ],
)
def test_errors_name_the_file_the_table_and_the_key(folder, text, words):
    with pytest.raises(InputError, match=re.escape(words)) as error:
        study_file.read(write(folder, text))
    assert str(error.value).startswith(f"{folder / 'study.toml'}")


def test_a_file_that_is_not_there_is_one_line(madetl: Madetl, db_file, tmp_path):
    assert "absent.toml" in madetl("run", "absent.toml", status=2).stderr
    assert not db_file.exists()
    write(tmp_path, "[[models]]\nname = 'nobody'")
    assert "Who is to be asked for 'nobody'" in madetl("run", tmp_path / "study.toml", status=1).stderr


def test_files_are_looked_for_beside_the_study(folder, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    found = study_file.read(write(folder, "[[seeds]]\nfile = 'seeds.jsonl'"))
    assert found.seeds[0]["file"] == str(folder / "seeds.jsonl")
    assert issubclass(InputError, MadetlError)


def test_a_key_is_named_and_never_kept(server, folder, db_file, madetl: Madetl, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-very-secret-key")
    madetl("run", write(folder, STUDY.replace("name = ", "key_env = 'MY_KEY'\nname = "), url=server.url))
    assert {received.secret for received in server.requests} == {"sk-very-secret-key"}
    dump = "\n".join(sqlite3.connect(db_file).iterdump())
    assert "very-secret" not in dump
