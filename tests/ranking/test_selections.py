"""Votes of a selection: what `--selection` and a repeated `--scenario` count, in ranking and in every command."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from madetl.errors import ParameterError
from madetl.ranking import rank
from madetl.ranking.rank import RankParameters
from madetl.store import database
from tests.conftest import Study

Madetl = Callable[..., CompletedProcess[str]]

LETTERS = {"a": "model_a", "b": "model_b", "t": "tie"}
MODELS = ("x", "y", "z")


@pytest.fixture
def chosen(study: Study) -> Study:
    """In each of three scenarios two items of each pair of models that `first` picked, of which `second` picked one as
    well, and four that nothing picked: x wins what was picked, and loses the rest. 3 × 3 × 6 = 54 votes."""
    db = study.db
    metric = db.execute("INSERT INTO metrics (name, hash, parameters) VALUES ('m', printf('%064d', 1), '{}')").lastrowid
    sets = {}
    with database.transaction(db):
        for name in ("first", "second"):
            sql = """
                INSERT INTO selection_sets (name, metric_id, strategy, top_k, min_words, max_length_ratio, candidates)
                VALUES (?, ?, 'mad', 9, 0, 0, 'all')
            """
            sets[name] = db.execute(sql, (name, metric)).lastrowid
        for model in MODELS:
            study.model(model)
        for scenario in ("Writing", "Coding", "Math"):
            for a, b in combinations(MODELS, 2):
                for number, letter in enumerate("aabbbt"):
                    picked = [name for name, least in (("first", 2), ("second", 1)) if number < least]
                    add(study, (a, b), number, letter, [sets[name] for name in picked], scenario=scenario)
    return study


def add(
    study: Study,
    models: tuple[str, str],
    number: int,
    letter: str,
    sets: Sequence[int] = (),
    *,
    scenario: str = "Writing",
) -> None:
    """An item with one vote, picked by these selections."""
    instruction = study.instruction(f"{models} {number}", scenario)
    answers = [study.response(instruction, model, f"{model} on {number} in {scenario}") for model in models]
    study.judgment(*answers, LETTERS[letter], "ann")
    ids = [study.model(model) for model in models]
    study.db.execute("INSERT OR IGNORE INTO pairs (model_a_id, model_b_id) VALUES (?, ?)", ids)
    pair = study.db.execute("SELECT id FROM pairs WHERE model_a_id = ? AND model_b_id = ?", ids).fetchone()[0]
    for set_id in sets:
        sql = "SELECT 1 + count(*) FROM selections WHERE set_id = ? AND pair_id = ?"
        place = study.db.execute(sql, (set_id, pair)).fetchone()[0]
        study.db.execute(
            "INSERT INTO selections (set_id, pair_id, rank, instruction_id, response_a_id, response_b_id, score, cost)"
            " VALUES (?, ?, ?, ?, ?, ?, 0.5, 0.5)",
            (set_id, pair, place, instruction, *answers),
        )


def battles(db: sqlite3.Connection, **which: Any) -> dict[str, int]:
    boards = rank.rank(db, RankParameters(rounds=20, **which)).leaderboards
    return {board.scenario: board.counts["battles"] for board in boards}


def test_votes_of_a_selection_are_those_on_what_it_picked(chosen: Study, db: sqlite3.Connection) -> None:
    assert battles(db) == {"overall": 54, "Coding": 18, "Math": 18, "Writing": 18}
    assert battles(db, selections=("first",)) == {"overall": 18, "Coding": 6, "Math": 6, "Writing": 6}
    assert battles(db, selections=("second",)) == {"overall": 9, "Coding": 3, "Math": 3, "Writing": 3}
    # what both picked counts once
    assert battles(db, selections=("second", "first")) == {"overall": 18, "Coding": 6, "Math": 6, "Writing": 6}
    everything, picked = (
        rank.rank(db, RankParameters(rounds=20, selections=names)).leaderboards[0] for names in ((), ("first",))
    )
    assert everything.in_order[0].model == "z"
    assert picked.in_order[0].model == "x"
    majority = RankParameters(method="bt", rounds=20, votes="majority", selections=("second",))
    assert rank.rank(db, majority).leaderboards[0].counts["battles"] == 9


def test_it_is_kept_with_the_ranking(chosen: Study, db: sqlite3.Connection) -> None:
    result = rank.rank(db, RankParameters(rounds=20, selections=("second", "first")))
    assert "people's votes on what second, first picked" in result.summary
    assert result.by_selection == {}
    parameters = json.loads(db.execute("SELECT parameters FROM runs WHERE id = ?", (result.run_id,)).fetchone()[0])
    assert parameters["selections"] == ["second", "first"]
    kept = {row["selections"] for row in db.execute("SELECT selections FROM ratings")}
    assert kept == {row["selections"] for row in db.execute("SELECT selections FROM leaderboard")}
    assert kept == {'["first", "second"]'}
    rank.rank(db, RankParameters(rounds=20))
    assert {row["selections"] for row in db.execute("SELECT selections FROM leaderboard")} == {None}


def test_without_it_the_votes_of_each_are_counted(chosen: Study, db: sqlite3.Connection) -> None:
    result = rank.rank(db, RankParameters(rounds=20, scenarios=("Math",)))
    assert result.by_selection == {"first": 6, "second": 3, None: 12}
    db.execute("DELETE FROM judgments WHERE response_a_id NOT IN (SELECT response_a_id FROM selections)")
    assert rank.rank(db, RankParameters(rounds=20)).by_selection == {"first": 18, "second": 9}
    db.execute("DELETE FROM selection_sets WHERE name = 'second'")
    assert rank.rank(db, RankParameters(rounds=20)).by_selection == {}  # all of one: nothing to choose


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ({"selections": ("first", "frist")}, "There is no selection 'frist'. The database has: first, second"),
        ({"selections": ("first",), "judges": True}, "none of judge models' votes on what first picked"),
        ({"scenarios": ("Math", "Maths")}, "no such votes in a scenario 'Maths'. Known scenarios: Coding, Math, Writ"),
    ],
)
def test_a_name_that_nothing_has_is_an_error(
    chosen: Study, db: sqlite3.Connection, which: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        rank.rank(db, RankParameters(rounds=20, **which))


def test_several_scenarios_have_an_overall_of_their_own(chosen: Study, db: sqlite3.Connection) -> None:
    assert battles(db) == {"overall": 54, "Coding": 18, "Math": 18, "Writing": 18}
    latest = db.execute("SELECT max(id) FROM runs").fetchone()[0]
    assert battles(db, scenarios=("Writing", "Math")) == {"overall": 36, "Math": 18, "Writing": 18}
    runs = {row["scenario"]: row["run_id"] for row in db.execute("SELECT scenario, run_id FROM leaderboard")}
    assert runs == {"overall": latest, "Coding": latest, "Math": latest + 1, "Writing": latest + 1}
    # and where there is no other, it is not taken for the overall one
    db.execute("DELETE FROM runs WHERE id = ?", (latest,))
    assert {row[0] for row in db.execute("SELECT scenario FROM leaderboard")} == {"Math", "Writing"}


# --- the commands


def printed(madetl: Madetl, *words: object) -> Any:
    return json.loads(madetl(*words, "--json").stdout)


def test_rank_says_first_what_can_be_believed(chosen: Study, madetl: Madetl) -> None:
    done = madetl("rank", "--rounds", 50)
    for line in done.stdout.splitlines():
        assert "leads" not in line
    [heading, best, settled, *_] = done.stdout.splitlines()
    assert heading.startswith("overall: 54 battles (9 ties, half a win each) on 54 items")
    assert best.startswith("Probably the best model: z ")
    assert settled == "Settled (95 % or more): 0 of 2 steps of the order."
    [head] = [line for line in done.stdout.splitlines() if line.startswith(" rank")][:1]
    assert head.split() == ["rank", "model", "best", ">", "next", "Elo", "Bradley–Terry"]
    assert done.stderr.splitlines()[0] == (
        "Note: all votes count, 18 on what first picked, 9 on what second picked, 36 on what none did: "
        "`madetl rank --selection second` ranks those of one."
    )
    alone = madetl("rank", "--rounds", 50, "--selection", "first")
    assert "ranks those of one" not in alone.stderr
    assert madetl("rank", "--selection", "frist", status=1).stderr == (
        "Error: There is no selection 'frist'. The database has: first, second\n"
    )


def test_the_json_has_the_order_and_both_methods(chosen: Study, madetl: Madetl) -> None:
    found = printed(madetl, "rank", "--rounds", 50, "--scenario", "Math", "--scenario", "Coding")
    assert [board["scenario"] for board in found["leaderboards"]] == ["overall", "Coding", "Math"]
    assert found["votes_by_selection"] == [
        {"selection": "first", "votes": 12},
        {"selection": "second", "votes": 6},
        {"selection": None, "votes": 24},
    ]
    overall = found["leaderboards"][0]
    said = printed(madetl, "advise", "--simulations", 1, "--scenario", "Coding", "--scenario", "Math")
    order = [(step["better"], step["worse"]) for step in overall["order"]]
    assert order == [(step["higher"], step["lower"]) for step in said["orders"]]
    assert [step["probability"] for step in overall["order"]] == pytest.approx([one["sure"] for one in said["orders"]])
    assert sum(line["probability_best"] for line in overall["ratings"]) == pytest.approx(1)
    assert {line["model"] for line in overall["bradley_terry"]} == set(MODELS)
    by_bt = printed(madetl, "rank", "--rounds", 50, "--method", "bt", "--scenario", "Math", "--scenario", "Coding")
    assert by_bt["leaderboards"][0]["ratings"] == overall["bradley_terry"]


def test_ranks_that_intervals_cannot_tell_print_a_dash(study: Study, madetl: Madetl) -> None:
    for models, letter in ((("x", "y"), "a"), (("x", "z"), "a"), (("y", "z"), "t")):
        for model in models:
            study.model(model)
        add(study, models, 1, letter)
    rows = [line.split() for line in madetl("rank", "--rounds", 50).stdout.splitlines() if line.startswith(" –")]
    assert [row[:2] for row in rows] == [["–", "x"], ["–", "y"], ["–", "z"]]


def test_of_many_models_only_what_is_settled_is_printed(study: Study, madetl: Madetl) -> None:
    """Twelve models: one wins all its battles, the others draw."""
    names = [f"m{number:02}" for number in range(12)]
    with database.transaction(study.db):
        for name in names:
            study.model(name)
        for a, b in combinations(names, 2):
            for number in range(6):
                add(study, (a, b), number, "a" if a == "m00" else "ab"[number % 2])
    found = madetl("rank", "--rounds", 50).stdout
    rows = [line.split() for line in found.splitlines() if line.split()[1:2] and line.split()[1] in names]
    assert len(rows) == 12
    steps = {row[1]: row[4:6] for row in rows}
    assert steps.pop("m00")[1] == "%"
    assert all(words[-1:] != ["%"] for words in steps.values())  # then comes Elo's rating
    assert "Probably the best model: m00 99.9 %." in found
    assert "Settled (95 % or more): 1 of 11 steps of the order." in found


@pytest.mark.parametrize(
    ("options", "votes"),
    [
        ([], 54),
        (["--selection", "first"], 18),
        (["--selection", "second", "--selection", "first"], 18),
        (["--scenario", "Math", "--scenario", "Writing"], 36),
        (["--selection", "second", "--scenario", "Math"], 3),
    ],
)
def test_every_command_counts_the_same_votes(
    chosen: Study, madetl: Madetl, tmp_path: Path, options: list[str], votes: int
) -> None:
    assert printed(madetl, "rank", "--rounds", 20, *options)["leaderboards"][0]["battles"] == votes
    assert printed(madetl, "advise", "--simulations", 1, *options)["votes"] == votes
    agreed = printed(madetl, "agreement", "--rounds", 1, *options)["scenarios"]
    assert sum(one["votes"] for one in agreed[0]["annotators"]) == votes
    assert printed(madetl, "export", "arena", *options, "-o", tmp_path / "battles.jsonl")["rows"] == votes
    pytest.importorskip("matplotlib")
    done = madetl("report", *options, "-o", tmp_path / "report.html")
    assert f": {votes} judgments of 3 models" in done.stdout


@pytest.mark.parametrize("command", ["rank", "advise", "agreement", "export arena", "replay", "report"])
def test_every_command_refuses_what_is_no_selection(
    chosen: Study, madetl: Madetl, tmp_path: Path, command: str
) -> None:
    output = ["-o", tmp_path / "x.html"] if command == "report" else ["-o", tmp_path / "x.json"]
    words = output if command in ("report", "export arena") else []
    done = madetl(*command.split(), "--selection", "frist", *words, status=1)
    assert "There is no selection 'frist'. The database has: first, second" in done.stderr
    assert not list(tmp_path.glob("x.*"))


def plain(file: Path) -> str:
    """The report's text without its tags and isolating characters."""
    return re.sub(r"<[^>]+>|[\u2066-\u2069]", "", file.read_text(encoding="utf-8"))


def test_a_report_is_of_the_selection_that_its_ranking_is_of(chosen: Study, madetl: Madetl, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "report.html"
    assert "54 judgments" in madetl("report", "-o", file).stdout
    assert "Only votes on" not in plain(file)
    run = printed(madetl, "rank", "--rounds", 20, "--selection", "first")["run"]
    assert "18 judgments" in madetl("report", "-o", file).stdout
    said = "Only votes on what {} picked are counted."
    assert said.format("first") in plain(file)
    assert "9 judgments" in madetl("report", "--selection", "second", "-o", file).stdout
    assert said.format("second") in plain(file)
    assert "18 judgments" in madetl("report", "--run", run, "-o", file).stdout
    done = madetl("report", "--run", run, "--selection", "second", "-o", file, status=1)
    assert "give --run or --selection" in done.stderr
    # a selection that was deleted is reported no more, and neither is its ranking
    madetl("delete", "selection", "first", "--yes")
    assert "54 judgments" in madetl("report", "-o", file).stdout
    assert "There is no selection 'first'" in madetl("report", "--run", run, "-o", file, status=1).stderr


# --- against a plain script, on the published files


def elo(votes: list[tuple[str, str, str]], rounds: int = 1000) -> dict[str, float]:
    """Medians of Elo (K 4, scale 400, start 1000) over random orders of (model, model, winner's name or 'tie')."""
    draw, played = random.Random(0), []
    for _ in range(rounds):
        rating = dict.fromkeys({name for vote in votes for name in vote[:2]}, 1000.0)
        for a, b, winner in draw.sample(votes, len(votes)):
            expected = 1 / (1 + 10 ** ((rating[b] - rating[a]) / 400))
            gain = 4 * ({a: 1.0, b: 0.0}.get(winner, 0.5) - expected)
            rating[a] += gain
            rating[b] -= gain
        played.append(rating)
    return {name: statistics.median(rating[name] for rating in played) for name in played[0]}


def ratings(madetl: Madetl, selection: str) -> dict[str, float]:
    [board, *_] = printed(madetl, "rank", "--selection", selection, "--resample", "permute")["leaderboards"]
    return {line["model"]: line["rating"] for line in board["ratings"]}


@pytest.mark.slow
def test_the_published_medians(db: sqlite3.Connection, madetl: Madetl, shared: Path) -> None:
    """The 210 judged pairs of the method's authors: imported with their scores, selected, and ranked."""
    file = shared / "mad_eval" / "chatbot_arena-annotation-10-bert.json"
    published = {
        "gpt-4": 1056, "claude-v1": 1038, "gpt-3.5-turbo": 1020, "vicuna-13b": 1002,
        "koala-13b": 967, "alpaca-13b": 964, "chatglm-6b": 954,
    }  # fmt: skip
    madetl("import", "arena", file, "--metric", "bert")
    madetl("select", "--pairs", "judged", "--name", "published", "--min-words", 0, "--max-length-ratio", 0)
    found = ratings(madetl, "published")
    assert found == {model: pytest.approx(rating, abs=1) for model, rating in published.items()}
    rows = json.loads(file.read_text(encoding="utf-8"))
    votes = [(row["model_a"], row["model_b"], row.get(row["winner"], "tie")) for row in rows]
    assert found == {model: pytest.approx(rating, abs=0.5) for model, rating in elo(votes).items()}


@pytest.mark.slow
def test_the_method_on_arenas_files(db: sqlite3.Connection, madetl: Madetl, shared: Path) -> None:
    """The ten judged pairs of each two models that differ most, and the votes on them as the files have them."""
    files = sorted((shared / "mad_eval" / "chatbot_arena").glob("*.jsonl"))
    madetl("import", "mad-eval", *files)
    madetl("similarity", "--pairs", "judged")
    selected = madetl("select", "--pairs", "judged", "--top-k", 10).stdout
    said: Counter[tuple[str, ...]] = Counter()
    for file in files:
        a, b = file.stem.split("-vs-")
        for line in file.read_text(encoding="utf-8").split("\n")[:-1]:
            row = json.loads(line)
            sides = sorted([(a, row["response_1"]), (b, row["response_2"])])
            said[(row["instruction"], *sides[0], *sides[1], row["output"])] += 1
    picked = set()
    for row in db.execute("SELECT instruction, model_a, response_a, model_b, response_b FROM selected_pairs"):
        sides = sorted([(row["model_a"], row["response_a"]), (row["model_b"], row["response_b"])])
        picked.add((row["instruction"], *sides[0], *sides[1]))
    votes = [(key[1], key[3], key[5]) for key, times in said.items() if key[:5] in picked for _ in range(times)]
    assert len(picked) == 60 <= len(votes) < 70
    [name] = [row["name"] for row in db.execute("SELECT name FROM selection_sets")]
    assert f"madetl rank --selection {name}" in selected
    assert ratings(madetl, name) == {model: pytest.approx(rating, abs=0.5) for model, rating in elo(votes).items()}
