"""The report: its numbers against numbers computed by other means, what it says of what is missing, and the file."""

from __future__ import annotations

import csv
import json
import math
import random
import re
import shlex
import shutil
import sqlite3
import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from madetl.cli.report import command_line
from madetl.errors import ParameterError
from madetl.judgment import agreement
from madetl.ranking import rank
from madetl.ranking.leaderboards import Leaderboard
from madetl.ranking.order import SETTLED, Neighbours, posterior_of
from madetl.ranking.votes import RankParameters
from madetl.rendering.markdown import render
from madetl.report import page, resilience, rows
from madetl.report.boards import ModelOrder, boards
from madetl.report.content import BlockGroup, Code, Plot, Section, SideBySide, Table, WinsAndLosses
from madetl.report.plots import series, svg
from madetl.report.scripts import script_of
from madetl.report.sections import answer, stability
from madetl.report.tallies import bt_ratings, positions, spearman, votes_of
from madetl.selection import select
from madetl.selection.adaptive import advise
from madetl.selection.sets import SelectionParameters
from madetl.similarity import measure
from madetl.similarity.named import metric_named
from madetl.store import database
from madetl.study import demo
from tests.conftest import Study
from tests.support import report_study
from tests.support.measured_study import build as measured_answers
from tests.support.measured_study import judge_on_page

Madetl = Callable[..., subprocess.CompletedProcess[str]]


# --- what a report consists of, without HTML


def every(blocks: Any, kind: type) -> Iterator[Any]:
    """All blocks of a kind, however deep."""
    for block in blocks:
        if isinstance(block, kind):
            yield block
        if isinstance(block, BlockGroup | SideBySide | Section):
            yield from every(block.blocks, kind)
        if isinstance(block, Plot):
            yield from every([block.table], kind)


def sections(db: sqlite3.Connection, scenario: str | None = None, run_id: int | None = None) -> dict[str, Section]:
    """The sections by their keys; those of a database that is only read are made once."""
    if not db.execute("PRAGMA query_only").fetchone()[0]:
        return _sections(db, scenario, run_id)
    file = Path(db.execute("SELECT file FROM pragma_database_list").fetchone()[0])
    key = (file, file.stat().st_mtime_ns, scenario, run_id)
    if key not in _MADE:
        _MADE[key] = _sections(db, scenario, run_id)
    return _MADE[key]


_MADE: dict[tuple[object, ...], dict[str, Section]] = {}


def _sections(db: sqlite3.Connection, scenario: str | None, run_id: int | None) -> dict[str, Section]:
    found = rows.read(db, [scenario] if scenario else [], run_id=run_id)
    made = page.sections(found, boards(found), lambda *_: None)
    return {section.key: section for section in made}


def table(section: Section, title: str) -> list[dict[str, str]]:
    """The rows of the table whose title begins so, as texts."""
    [found, *_] = [one for one in every([section], Table) if one.title.startswith(title)]
    return [dict(zip(found.head, map(str, row), strict=True)) for row in found.rows]


def written(db: sqlite3.Connection, path: Path, **options: Any) -> str:
    page.write(db, path, title="study", program="madetl", command_line=lambda *_: None, **options)
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """What a browser would make of a page: tags with their attributes, ids, text outside of style sheets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1][0] != "style":
            self.texts.append(data)


@pytest.fixture(scope="module")
def study_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight models, 140 picks, 180 verdicts of three people, ranked."""
    path = tmp_path_factory.mktemp("report") / "study.db"
    report_study.build(path)
    with database.writing(path) as db:
        rank.rank(db, RankParameters(rounds=200))
    return path


@pytest.fixture
def studied(study_file: Path) -> Iterator[sqlite3.Connection]:
    with database.reading(study_file) as db:
        yield db


def battles(db: sqlite3.Connection) -> list[sqlite3.Row]:
    return db.execute("SELECT * FROM battles").fetchall()


# --- the votes as arrays


def test_votes_from_rows_are_those_that_rank_reads(studied: sqlite3.Connection) -> None:
    found = rows.read(studied)
    [expected, *scenarios] = rank.read_votes(studied, RankParameters())
    for one in (expected, *scenarios):
        part = [row for row in found.votes.rows if one.scenario in ("overall", row["scenario"])]
        got = votes_of(part, found.names, one.scenario)
        assert (got.models, got.model_ids, got.counts) == (one.models, one.model_ids, one.counts)
        assert got.battles is not None
        assert one.battles is not None
        for name in ("pair", "instruction", "score"):
            np.testing.assert_array_equal(getattr(got.battles, name), getattr(one.battles, name))
        for name in ("pair", "wins", "items"):
            np.testing.assert_array_equal(getattr(got.outcomes, name), getattr(one.outcomes, name))


def test_both_methods_give_what_rank_gives(studied: sqlite3.Connection) -> None:
    found = boards(rows.read(studied))
    assert found is not None
    assert found.stored
    parameters = {method: RankParameters(method=method, rounds=200) for method in ("elo", "bt")}
    for method, got in (("elo", found.first), ("bt", found.other)):
        expected = rank.compute(rank.read_votes(studied, parameters[method]), parameters[method])
        assert [board.scenario for board in got] == [board.scenario for board in expected]
        for one, other in zip(got, expected, strict=True):
            assert [vars(line) for line in one.ratings] == [vars(line) for line in other.ratings]
            assert one.notes == other.notes


# --- 1, 2: the answer and the leaderboards


def test_the_answer_is_the_order_of_advise_with_the_ratings_of_the_database(studied: sqlite3.Connection) -> None:
    leaderboard = {row["model"]: row for row in studied.execute("SELECT * FROM leaderboard WHERE scenario = 'overall'")}
    orders = advise.advise(studied, simulations=1).orders
    answer = sections(studied)["answer"]
    shown = table(answer, "The order")
    assert [row["model"] for row in shown] == [orders[0].higher, *(order.lower for order in orders)]
    assert [row["better than the next"] for row in shown] == [*(advise.percent(order.sure) for order in orders), ""]
    for row in shown:
        rating, lower, upper = (leaderboard[row["model"]][name] for name in ("rating", "lower", "upper"))
        assert row["Elo"] == f"{rating:,.0f} ({lower:,.0f} to {upper:,.0f})"
    assert [int(row["judgments"]) for row in shown] == [leaderboard[row["model"]]["battles"] for row in shown]
    best = [float(row["probability of being best"].strip("<% ")) for row in shown]
    assert best[0] == max(best)
    assert 97 <= sum(value for value, row in zip(best, shown, strict=True) if "<" not in row[_BEST]) <= 100


_BEST = "probability of being best"


def test_no_sentence_of_the_answer_is_built_on_a_rating(studied: sqlite3.Connection) -> None:
    answer = sections(studied)["answer"]
    [lead] = [block.text for block in answer.blocks if getattr(block, "lead", False)]
    [first, *_] = table(answer, "The order")
    assert first["model"] in lead
    assert first[_BEST] in lead
    texts = [page_text(section) for section in sections(studied).values()]
    assert not [text for text in texts if re.search("leads,? with|with Elo|with Bradley", text)]


def order_of(*probabilities: float) -> ModelOrder:
    """Models m0, m1, … whose order has these probabilities, step by step."""
    names = [f"m{n}" for n in range(len(probabilities) + 1)]
    steps = [Neighbours(a, b, p, p >= SETTLED) for (a, b), p in zip(pairwise(names), probabilities, strict=True)]
    return ModelOrder(names, dict.fromkeys(names, 1), dict.fromkeys(names, 0.01) | {"m0": 0.6, "m1": 0.39}, steps, [])


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (order_of(0.6), "m0 is the best of 2 models with a probability of 60 %, m1 with 39 %. That is not settled."),
        (
            order_of(0.6, 0.7),
            "of 3 models with a probability of 60 %, m1 with 39 %. No step of their order is settled.",
        ),
        (order_of(0.96, 0.99), "Their order is settled."),
        (order_of(0.6, 0.99, 0.9), "Their order is settled but for m0 before m1 (60 %) and m2 before m3 (90 %)."),
        (order_of(0.6, 0.7, 0.8, 0.99), "Of the 4 steps of their order, 1 is settled: m3 before m4 (99 %)."),
        (order_of(*[0.6] * 10, 0.96), "Of the 11 steps of their order, 1 is settled: m10 before m11 (96 %)."),
        (order_of(*[0.96] * 10, 0.6), "Of the 11 steps of their order, 10 are settled."),
    ],
)
def test_the_first_sentence_says_what_is_settled(order: ModelOrder, words: str) -> None:
    board = Leaderboard("overall", [], {}, [])
    assert answer.first_sentence(board, order).endswith(words)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=80))
@settings(max_examples=60, deadline=None)
def test_no_two_models_of_a_range_are_told_apart(drawn: list[tuple[int, int, int]]) -> None:
    """And every model that could stand in a range, between all that are told apart from none, stands in one."""
    votes = [(min(a, b), max(a, b), points) for a, b, points in drawn if a != b]
    assume(votes)
    made = [
        {
            "instruction_id": n,
            "model_a_id": a,
            "model_b_id": b,
            "half_points": points,
            "winner": "",
            "annotator": "x",
            "kind": "person",
        }
        for n, (a, b, points) in enumerate(votes)
    ]
    names = {n: f"model {n}" for n in range(6)}
    all_votes = votes_of(made, names, "overall")
    order = ModelOrder.of(all_votes, seed=1)
    found = posterior_of(all_votes)
    number = {name: n for n, name in enumerate(all_votes.models)}

    def together(first: int, last: int) -> bool:
        models = [number[name] for name in order.models[first : last + 1]]
        pairs = np.array(list(combinations(models, 2))).T
        one = len({order.component[name] for name in order.models[first : last + 1]}) == 1
        return one and bool((found.probability(pairs[0][None], pairs[1][None]) < SETTLED).all())

    spans = list(combinations(range(len(order.models)), 2))
    possible = [span for span in spans if together(*span)]
    longest = [(a, b) for a, b in possible if not any(c <= a and b <= d and (c, d) != (a, b) for c, d in possible)]
    assert list(order.alike) == longest


def test_ranges_are_said_with_their_models(db: sqlite3.Connection, study: Study) -> None:
    for number in range(40):
        instruction = study.instruction(f"Question {number}?")
        answers = [study.response(instruction, model, f"{model} {number}") for model in "abcd"]
        study.judgment(answers[0], answers[1], ["model_a", "model_b"][number % 2])
        study.judgment(answers[1], answers[2], "model_a")
        study.judgment(answers[2], answers[3], ["model_a", "model_b"][number % 2])
    text = page_text(sections(db)["answer"])
    assert re.search(r"order is settled but for .* before .* \(\d\d %\) and .* before .* \(\d\d %\)\.", text)
    assert re.search(
        r"each model from every other one of its range: 1–2 \([ab] and [ab]\); 3–4 \([cd] and [cd]\)\.", text
    )


def test_both_ratings_stand_in_the_order_of_the_answer(studied: sqlite3.Connection) -> None:
    order = [row["model"] for row in table(sections(studied)["answer"], "The order")]
    assert [row["model"] for row in table(sections(studied)["leaderboard"], "Both ratings, overall")] == order
    [plot, *_] = every([sections(studied)["leaderboard"]], Plot)
    places = [plot.svg.index(f">{label.splitlines()[-1]}<") for label in svg.labels(order)]
    assert places == sorted(places)
    assert "Elo rating" in plot.svg
    assert "Bradley–Terry rating" in plot.svg


def test_what_an_answer_of_a_model_costs_stands_in_the_answer(db: sqlite3.Connection, study: Study) -> None:
    instruction = study.instruction("Why?")
    study.judgment(study.response(instruction, "a", "So."), study.response(instruction, "b", "No."), "model_a")
    assert "USD per answer" not in table(sections(db)["answer"], "The order")[0]
    for number, cost in enumerate((0.5, 0.25)):
        db.execute(
            "INSERT INTO calls (stage, model_id, request_hash, outcome, tokens_in, tokens_out, cost)"
            " VALUES ('inference', ?, ?, 'ok', 1000, 200, ?)",
            (study.model("a"), f"{number:064}", cost),
        )
    assert [row["USD per answer"] for row in table(sections(db)["answer"], "The order")] == ["0.3750", "–"]


def test_the_answer_counts_judgments_people_and_items(studied: sqlite3.Connection) -> None:
    votes = battles(studied)
    items = {(row["instruction_id"], *sorted((row["model_a"], row["model_b"]))) for row in votes}
    text = page_text(sections(studied)["answer"])
    assert f"{len(votes)} judgments by {len({row['annotator'] for row in votes})} people" in text
    assert f"on {len(items)} items" in text
    neither = sum(row["winner"] in ("tie", "both_bad") for row in votes)
    assert f"{neither} judgments ({100 * neither / len(votes):.0f} %) chose neither" in text


def page_text(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if hasattr(block, "text"))


def test_it_does_not_say_sure_on_the_strength_of_one_vote(db: sqlite3.Connection, study: Study) -> None:
    instruction = study.instruction("Why?")
    study.judgment(study.response(instruction, "a", "So."), study.response(instruction, "b", "No."), "model_a")
    lead = page_text(sections(db)["answer"])
    assert "a is the best of 2 models with a probability of " in lead
    assert "That is not settled." in lead
    assert "1 judged item on 1 pair of models is few" in lead


@pytest.mark.slow
def test_a_ranking_that_misses_votes_is_computed_anew(study_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "stale.db"
    path.write_bytes(study_file.read_bytes())
    with database.writing(path) as db:
        db.execute("DELETE FROM judgments WHERE id > 100")
        run = db.execute("SELECT max(run_id) FROM ratings").fetchone()[0]
        found = boards(rows.read(db))
        assert found is not None
        assert not found.stored
        expected = rank.compute(rank.read_votes(db, RankParameters(rounds=200)), RankParameters(rounds=200))
        assert [vars(a) for a in found.first[0].ratings] == [vars(b) for b in expected[0].ratings]
        text = written(db, tmp_path / "stale.html")
        assert f"run {run}, counts 180 votes. There are 100, ranked here" in text
        asked = boards(rows.read(db, run_id=run))
        assert asked is not None
        assert asked.stored
        assert f"Run {run} counts 180 votes; there are 100 now" in written(db, tmp_path / "asked.html", run_id=run)


@pytest.mark.slow
def test_a_run_with_other_voters_is_told_by_their_votes(study_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "voters.db"
    path.write_bytes(study_file.read_bytes())
    with database.writing(path) as db:
        ranking = rank.rank(db, RankParameters(method="bt", annotators=("person 2",), rounds=50))
        answer = sections(db, run_id=ranking.run_id)["answer"]
        votes = db.execute("SELECT count(*) FROM battles WHERE annotator = 'person 2'").fetchone()[0]
        assert f"{votes} judgments by 1 annotator (person 2)" in page_text(answer)


def test_of_many_rankings_it_takes_the_one_of_the_view_leaderboard(study_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.db"
    path.write_bytes(study_file.read_bytes())
    with database.writing(path) as db:
        for parameters in (RankParameters(method="bt", rounds=5), RankParameters(annotators=("person 1",), rounds=5)):
            rank.rank(db, parameters)
        found = rows.read(db)
        assert found.ranking is not None
        assert {row["run_id"] for row in db.execute("SELECT run_id FROM leaderboard")} == {found.ranking["run_id"]}
        assert len(found.votes.rows) == 180


def test_unknown_runs_and_scenarios_are_named(studied: sqlite3.Connection) -> None:
    with pytest.raises(ParameterError, match=r"Run 99 holds no ranking.*: 3"):
        rows.read(studied, run_id=99)
    with pytest.raises(ParameterError, match="Coding, Reasoning, Writing"):
        rows.read(studied, ["Poetry"])


def test_one_scenario_has_only_its_own_votes(studied: sqlite3.Connection) -> None:
    made = sections(studied, "Coding")
    votes = [row for row in battles(studied) if row["scenario"] == "Coding"]
    assert f"{len(votes)} judgments by" in page_text(made["answer"])
    assert sum(int(row["judgments"]) for row in table(made["win-rates"], "Wins")) == len(votes)
    shown = {row["model"]: row["Elo"].partition(" ")[0] for row in table(made["answer"], "The order")}
    stored = studied.execute("SELECT model, rating FROM leaderboard WHERE scenario = 'Coding'")
    assert shown == {row["model"]: f"{row['rating']:,.0f}" for row in stored}


# --- 3: win rates


def test_win_rates_are_those_of_the_battles(studied: sqlite3.Connection) -> None:
    counts: dict[frozenset[str], Counter[str]] = defaultdict(Counter)
    for row in battles(studied):
        counts[frozenset((row["model_a"], row["model_b"]))][row["winner_model"] or row["winner"]] += 1
    for row in table(sections(studied)["win-rates"], "Wins"):
        mine = counts.pop(frozenset((row["model"], row["opponent"])))
        expected = [mine[row["model"]], mine[row["opponent"]], mine["tie"], mine["both_bad"]]
        assert [int(row[name]) for name in ("wins", "losses", "ties", "both bad")] == expected
        rate = (expected[0] + (expected[2] + expected[3]) / 2) / sum(expected)
        assert row["win rate"] == f"{100 * rate:.0f} %"
    assert not counts


def test_predictions_follow_the_ratings(studied: sqlite3.Connection) -> None:
    parameters = RankParameters(method="bt", rounds=200)
    board = rank.compute(rank.read_votes(studied, parameters), parameters)[0]
    rating = {one.model: one.rating for one in board.ratings}
    every_pair = table(sections(studied)["win-rates"], "Every pair")
    for row in every_pair:
        share = 1 / (1 + 10 ** ((rating[row["opponent"]] - rating[row["model"]]) / 400))
        assert row["by Bradley–Terry"] == f"{100 * share:.0f} %"
    off = [abs(float(row["standard errors off"].replace("−", "-"))) for row in every_pair]
    assert off == sorted(off, reverse=True)
    assert len(every_pair) == 28


# --- 4: stability


def test_places_end_where_the_final_ranking_is(studied: sqlite3.Connection) -> None:
    votes = votes_of(rows.read(studied).votes.rows, rows.read(studied).names, "overall")
    grown = resilience.growth(votes, seed=1, rounds=7, steps=5)
    assert grown.sizes.tolist() == [36, 72, 108, 144, 180]
    final = resilience.final_positions(votes)
    assert sorted(final.tolist()) == list(range(1, 9))
    np.testing.assert_array_equal(grown.positions[:, -1], np.tile(final, (7, 1)))
    np.testing.assert_allclose(grown.correlation[:, -1], 1)
    again = resilience.growth(votes, seed=1, rounds=7, steps=5)
    np.testing.assert_array_equal(grown.positions, again.positions)


def test_the_ranking_by_k_is_that_of_the_first_picks(studied: sqlite3.Connection) -> None:
    found = rows.read(studied)
    ranks = {(row["response_a_id"], row["response_b_id"]): row["rank"] for row in found.selections[0].picks.rows}
    pick = [ranks[row["response_a_id"], row["response_b_id"]] for row in found.votes.rows]
    votes = votes_of(found.votes.rows, found.names, "overall")
    steps, by_k, correlation = resilience.by_k(votes, pick)
    assert steps == [1, 2, 3, 4, 5]
    for k, row in zip(steps, by_k, strict=True):
        fewer = [vote for vote, rank in zip(found.votes.rows, pick, strict=True) if rank <= k]
        np.testing.assert_array_equal(row, resilience.final_positions(votes_of(fewer, found.names, "overall")))
    assert correlation[-1] == pytest.approx(1)


def test_spearman_and_places_agree_with_scipy() -> None:
    from scipy import stats

    rng = np.random.default_rng(4)
    drawn = rng.integers(0, 5, (40, 9)).astype(float)
    final = rng.permutation(9).astype(float)
    ranks = positions(drawn)
    for row, mine in zip(drawn, ranks, strict=True):
        np.testing.assert_array_equal(mine, stats.rankdata(-row))
    expected = [stats.spearmanr(row, final).statistic for row in ranks]
    np.testing.assert_allclose(spearman(ranks, positions(-final[None])[0]), expected)


def vote_rows(verdicts: list[tuple[int, int, int, str]]) -> list[dict[str, Any]]:
    """Rows as votes_to_report gives them: (instruction, model a, model b, winner)."""
    half = {"model_a": 2, "model_b": 0}
    return [
        {"judgment_id": n, "scenario": "s", "instruction_id": i, "model_a_id": a, "model_b_id": b, "response_a_id": n,
         "response_b_id": n, "annotator": "ann", "kind": "person", "winner": winner,
         "half_points": half.get(winner, 1), "comment": None,
         "opening": "?"}
        for n, (i, a, b, winner) in enumerate(verdicts, 1)
    ]  # fmt: skip


def test_the_fewest_verdicts_by_hand() -> None:
    # 1 beat 2 six times and lost four times: without three of the wins, 2 is ahead; without two they are equal.
    verdicts = [(n, 1, 2, "model_a") for n in range(6)] + [(n, 1, 2, "model_b") for n in range(6, 10)]
    votes = votes_of(vote_rows(verdicts), {1: "a", 2: "b"}, "overall")
    removal = resilience.smallest_removal(votes)
    assert removal is not None
    assert (removal.leader, removal.rival, len(removal.votes)) == (0, 1, 3)
    assert set(removal.votes) < set(range(6))


def test_no_removal_is_made_up() -> None:
    votes = votes_of(vote_rows([(n, 1, 2, "model_a") for n in range(12)]), {1: "a", 2: "b"}, "overall")
    assert resilience.smallest_removal(votes) is None


@pytest.mark.parametrize("seed", range(25))
def test_a_removal_changes_the_first_place_and_needs_each_of_its_verdicts(seed: int) -> None:
    draw = random.Random(seed)
    models = draw.randint(3, 6)
    strength = [draw.gauss(0, 0.7) for _ in range(models)]
    verdicts = []
    for n in range(draw.randint(15, 120)):
        a, b = sorted(draw.sample(range(models), 2))
        won = "model_a" if draw.random() < 1 / (1 + math.exp(strength[b] - strength[a])) else "model_b"
        verdicts.append((n, a, b, "tie" if draw.random() < 0.15 else won))
    votes = votes_of(vote_rows(verdicts), {n: f"model {n}" for n in range(models)}, "overall")
    removal = resilience.smallest_removal(votes)
    assert removal is not None
    assert votes.battles is not None

    def first(without: list[int]) -> tuple[int, float]:
        score = votes.battles.score.copy()  # type: ignore[union-attr]
        score[without] = np.nan
        rating = bt_ratings(votes, score[None])[0]
        return int(rating.argmax()), float(rating.max() - rating[removal.leader])  # type: ignore[union-attr]

    winner, ahead = first(removal.votes)
    assert winner == removal.rival != removal.leader
    assert ahead > 0
    for vote in removal.votes:
        assert first([v for v in removal.votes if v != vote])[1] == pytest.approx(0, abs=1e-6)


def test_the_verdicts_that_carry_the_first_place_are_listed(studied: sqlite3.Connection) -> None:
    stability = sections(studied)["stability"]
    text = " ".join(page_text(group) for group in every([stability], BlockGroup))  # type: ignore[arg-type]
    match = re.search(r"Without (\d+) verdicts? of 180 .*, (\S+) would be first instead of (\S+)\.", text)
    assert match is not None
    listed = [int(row["judgment"]) for row in table(stability, "The verdicts")]
    assert len(listed) == int(match[1])
    parameters = RankParameters(method="bt", rounds=1)
    [before, *_] = rank.compute(rank.read_votes(studied, parameters), parameters)
    copy = sqlite3.connect(":memory:", isolation_level=None)
    copy.row_factory = sqlite3.Row
    studied.backup(copy)
    copy.execute(f"DELETE FROM judgments WHERE id IN ({', '.join(map(str, listed))})")
    [after, *_] = rank.compute(rank.read_votes(copy, parameters), parameters)
    copy.close()
    best = [max(board.ratings, key=lambda one: one.rating).model for board in (before, after)]
    assert best == [match[3], match[2]]
    assert "upper bound" in text


# --- 5: what was selected


def test_similarities_filters_and_pool_are_those_of_the_tables(studied: sqlite3.Connection) -> None:
    selected = sections(studied)["selected"]
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in studied.execute(
        "SELECT a.name, b.name, s.score FROM similarities AS s JOIN pairs AS p ON p.id = s.pair_id"
        " JOIN models AS a ON a.id = p.model_a_id JOIN models AS b ON b.id = p.model_b_id"
        " WHERE s.shorter_words > 20 AND s.length_ratio > 0 AND s.length_ratio < 4"
    ):
        scores[row[0], row[1]].append(row[2])
    shown = table(selected, "Similarity of each")
    assert len(shown) == len(scores) == 28
    for row in shown:
        own = sorted(scores[row["model"], row["opponent"]])
        assert int(row["eligible"]) == len(own)
        assert row["median"] == f"{np.median(own):.2f}"
        assert (row["lowest"], row["highest"]) == (f"{own[0]:.2f}", f"{own[-1]:.2f}")
        assert (row["picks from"], row["to"]) == (f"{own[0]:.2f}", f"{own[4]:.2f}")
    counts = {row["pairs of answers"]: int(row["number"]) for row in table(selected, "What the filters")}
    assert counts["measured"] == studied.execute("SELECT count(*) FROM similarities").fetchone()[0]
    assert counts["eligible"] == sum(map(len, scores.values()))
    picked = {row[0] for row in studied.execute("SELECT instruction_id FROM selections")}
    lengths = table(selected, "Words of the instruction")
    assert sum(int(row["selected"]) for row in lengths) == len(picked)
    assert sum(int(row["pool"]) for row in lengths) == 60


@pytest.mark.slow
def test_an_adaptive_selection_has_a_budget_and_no_k(study_file: Path, tmp_path: Path) -> None:
    copy = shutil.copy(study_file, tmp_path / "copy.db")
    with database.writing(copy) as db:
        before = table(sections(db)["selected"], "What the filters")
        db.execute("UPDATE selection_sets SET pair_policy = 'adaptive', budget = 200, candidates = 'unjudged'")
        html = Page(written(db, tmp_path / "report.html")).text
        # what nobody had judged when it was picked has been judged since
        assert table(sections(db)["selected"], "What the filters") == before
    assert "picked adaptively, with a budget of 200" in html
    assert "was picked adaptively: it has no K" in html


def test_the_histogram_counts_every_eligible_pair_once(studied: sqlite3.Connection) -> None:
    [one] = rows.read(studied).selections
    assert sum(row["response_pairs"] for row in one.histogram.rows) == sum(row["eligible"] for row in one.levels.rows)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Why is the sky blue?", "Latin"), ("Pourquoi ça ?", "Latin"), ("为什么天空是蓝色的?", "Han"),
        ("空はなぜ青いのか", "Japanese"), ("Почему небо синее", "Cyrillic"), ("لماذا السماء زرقاء", "Arabic"),
        ("आकाश नीला क्यों है", "Devanagari"), ("하늘은 왜 파란가", "Hangul"), ("2 + 2 = ?", "none"), ("…", "none"),
        ("ውሃ ለምን", "another"), ("Translate 你好 into English", "Latin"),
    ],
)  # fmt: skip
def test_scripts(text: str, script: str) -> None:
    assert script_of(text) == script


# --- 6: strengths and weaknesses


def test_strengths_are_the_win_rates_of_the_scenarios(studied: sqlite3.Connection) -> None:
    points: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in battles(studied):
        for model in (row["model_a"], row["model_b"]):
            points[row["scenario"], model].append(0.5 if row["winner_model"] is None else row["winner_model"] == model)
    for row in table(sections(studied)["strengths"], "Each model in each"):
        own = points.pop((row["scenario"], row["model"]))
        assert int(row["judgments"]) == len(own)
        assert row["win rate"] == f"{100 * sum(own) / len(own):.0f} %"
    assert not points


def test_wins_and_losses_are_the_clearest_ones(studied: sqlite3.Connection) -> None:
    margins: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
    for row in battles(studied):
        for model, opponent in ((row["model_a"], row["model_b"]), (row["model_b"], row["model_a"])):
            won = row["winner_model"]
            margins[model][row["instruction_id"], opponent] += 0 if won is None else (1 if won == opponent else -1)
    shown: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in table(sections(studied)["strengths"], "All of these wins and losses"):
        shown[row["model"], row["outcome"]].append(abs(int(row["votes against"]) - int(row["votes for"])))
    assert len(shown) == 16
    for (model, outcome), mine in shown.items():
        lost = [margin if outcome == "lost" else -margin for margin in margins[model].values()]
        assert mine == sorted(lost, reverse=True)[:3]


@pytest.mark.slow
def test_comments_and_both_answers_are_shown(studied: sqlite3.Connection, tmp_path: Path) -> None:
    text = Page(written(studied, tmp_path / "r.html")).text
    for row in rows.read(studied).clearest.rows:
        assert " ".join(row["own_response"].split()) in text
        assert " ".join(row["other_response"].split()) in text
    assert "“Better reasons.”" in text


def test_answers_stand_as_annotators_saw_them(db: sqlite3.Connection, study: Study, tmp_path: Path) -> None:
    """The one that was shown first comes first, and Markdown is what it is on the page for judging."""
    instruction = study.instruction("Show **bold**\nand a list.", input="The input.")
    db.execute("UPDATE instructions SET reference_answer = 'A *reference*.'")
    answers = [study.response(instruction, model, f"# {model}\n\n- one\n- **two** by {model}\n") for model in "ab"]
    for who in ("ann", "bob"):
        study.judgment(*answers, "model_a", annotator=who)
    db.execute("UPDATE judgments SET shown_first = iif(annotator_id = 1, 'model_b', 'model_a')")
    [won, lost] = [
        one for block in every([sections(db)["strengths"]], WinsAndLosses) for one in (*block.won, *block.lost)
    ]
    for one in (won, lost):
        assert (one.first[0], one.second[0]) == ("b", "a")
        assert one.verdicts == ["ann: a", "bob: a (saw the other answer first)"]
    html = written(db, tmp_path / "r.html")
    assert str(render("# b\n\n- one\n- **two** by b\n")) in html
    assert (
        html.index("Answer 1: <bdi>b</bdi>")
        < html.index("<strong>two</strong> by b")
        < html.index("Answer 2: <bdi>a</bdi>")
    )
    assert "Show **bold**\nand a list." in html
    assert '<div class="text plain" dir="auto">The input.</div>' in html
    assert "<em>reference</em>" in html


# --- 7: people and cost


def test_people_are_counted_as_the_judgments_say(studied: sqlite3.Connection) -> None:
    people = sections(studied)["people"]
    for row in table(people, "Everybody"):
        own = studied.execute(
            "SELECT j.* FROM judgments AS j JOIN annotators AS n ON n.id = j.annotator_id WHERE n.name = ?",
            (row["annotator"],),
        ).fetchall()
        decided = [one for one in own if one["status"] == "counted" and one["winner"] in ("model_a", "model_b")]
        first = sum(one["winner"] == one["shown_first"] for one in decided)
        counted = [one for one in own if one["status"] == "counted"]
        assert (int(row["votes"]), int(row["repeats"])) == (len(counted), len(own) - len(counted))
        assert row["ties"].startswith(f"{sum(one['winner'] == 'tie' for one in counted)} (")
        assert row["first won"] == f"{first} ({100 * first / len(decided):.0f} %)"
        assert row["median seconds"] == f"{np.median([one['seconds'] for one in own]):.0f}"
        assert row["hours"] == f"{sum(one['seconds'] for one in own) / 3600:.1f}"


def test_agreement_is_counted_response_pair_by_response_pair(studied: sqlite3.Connection) -> None:
    given: dict[tuple[int, int], dict[str, str]] = defaultdict(dict)
    for row in studied.execute(
        "SELECT n.name, j.response_a_id AS a, j.response_b_id AS b, j.winner FROM judgments AS j"
        " JOIN annotators AS n ON n.id = j.annotator_id ORDER BY j.id"
    ):
        given[row["a"], row["b"]].setdefault(row["name"], row["winner"])
    both = [list(votes.values()) for votes in given.values() if len(votes) == 2]
    same = sum(a == b for a, b in both)
    text = " ".join(page_text(group) for group in every([sections(studied)["people"]], BlockGroup))  # type: ignore[arg-type]
    assert f"said the same in {same} of {len(both)} cases" in text
    assert len(both) == 40


def test_alpha_is_that_of_the_stage_agreement(studied: sqlite3.Connection) -> None:
    found = rows.read(studied).alpha
    [overall, *_] = agreement.report(studied).scenarios
    assert found is not None
    assert (found.alpha, found.shared) == (overall.alpha_unordered.alpha, overall.shared)


def test_of_several_verdicts_of_one_annotator_the_vote_counts(db: sqlite3.Connection, study: Study) -> None:
    instruction = study.instruction("Why?")
    a, b = study.response(instruction, "a", "So."), study.response(instruction, "b", "No.")
    study.judgment(a, b, "model_a", "ann", "1")
    study.judgment(a, b, "model_a", "bob", "1")
    study.judgment(a, b, "model_b", "ann", "2", status="repeat")
    study.judgment(a, b, "model_b", "ann", "3", status="revised")
    [row] = table(sections(db)["people"], "Who agrees")
    assert (row["pairs of answers in common"], row["said the same"], row["agreement"]) == ("1", "1", "100 %")


def test_a_crowd_is_no_person_and_what_nothing_picked_was_not_picked(
    db: sqlite3.Connection, study: Study, tmp_path: Path
) -> None:
    study.annotator("arena", "crowd")
    for number in range(2):
        instruction = study.instruction(f"Why {number}?")
        a, b = study.response(instruction, "a", "So."), study.response(instruction, "b", "No.")
        for row in range(3):
            study.judgment(a, b, "model_a", "arena", str(row))
    found = {key: str(one) for key, one in sections(db).items()}
    everything = " ".join(found.values())
    assert "by a crowd named arena, on 2 items" in everything
    assert "1 person" not in everything
    assert "were picked because" not in everything
    assert "Only a crowd has judged" in found["people"]
    measure.measure(db, metric_named(db, "char-ngram"))
    select.select(db, SelectionParameters(top_k=1, min_words=0, max_length_ratio=0))
    text = page_text(sections(db)["win-rates"])
    assert "3 of the 6 votes are on pairs that were picked because the answers differ" in text
    assert "Answers that differ most were picked" not in written(db, tmp_path / "report.html")


def test_a_single_vote_is_told_in_the_singular(db: sqlite3.Connection, study: Study) -> None:
    instruction = study.instruction("Why?")
    a, b = study.response(instruction, "a", "So."), study.response(instruction, "b", "No.")
    study.judgment(a, b, "model_a", "ann", "1")
    found = {key: str(one) for key, one in sections(db).items()}
    assert "This rests on 1 judgment by 1 person, on 1 item" in found["answer"]
    assert "Each chose one of the answers." in found["answer"]
    assert "there is 1, and 10 are needed" in found["stability"]
    assert "the numbers go from the worst fit to the best" in found["win-rates"]
    assert "People’s time: not known." in found["people"]


@pytest.mark.parametrize(
    ("low", "words"),
    [
        ([0.5, 0.95, 0.8, 0.9, 1.0], "From about 40 of the 50 judgments on"),  # it was enough at 20, and then not
        ([0.95, 0.9, 0.9, 0.9, 1.0], "From about 10 of the 50 judgments on"),
        ([0.95, 0.8, 0.8, 0.8, 1.0], "Until about all of the 50 judgments are in"),
        ([0.0, 0.0, 0.0, 0.0, 0.0], "put the models level"),
    ],
)
def test_enough_judgments_are_those_from_which_on_it_stays_so(low: list[float], words: str) -> None:
    path = series.Path("all", low, low, low)
    assert words in stability.enough_judgments(path, [10, 20, 30, 40, 50])


def test_of_groups_of_one_size_none_is_called_the_largest(db: sqlite3.Connection, study: Study) -> None:
    for first, second in ("ab", "cd"):
        instruction = study.instruction(f"Why {first}?")
        a, b = study.response(instruction, first, "So."), study.response(instruction, second, "No.")
        study.judgment(a, b, "model_a", "ann", "1")
    text = page_text(sections(db)["answer"])
    assert "best of 2 models of the first of 2 equally large groups that battles connect" in text


def test_cost_is_the_sum_of_the_calls(db: sqlite3.Connection, study: Study) -> None:
    model = study.model("asked")
    for number, (cost, latency) in enumerate([(0.5, 1800.0), (0.25, 1800.0)]):
        db.execute(
            "INSERT INTO calls (stage, model_id, request_hash, outcome, tokens_in, tokens_out, cost, latency)"
            " VALUES ('infer', ?, ?, 'ok', 1000, 200, ?, ?)",
            (model, f"{number:064}", cost, latency),
        )
    people = sections(db)["people"]
    [row] = table(people, "Calls")
    assert row == {
        "stage": "infer", "model": "asked", "calls": "2", "answered": "2", "tokens in": "2000", "tokens out": "400",
        "USD": "0.7500", "hours of answering": "1.00",
    }  # fmt: skip


# --- 8: how it was made


def test_every_run_is_there_with_its_parameters(studied: sqlite3.Connection) -> None:
    stored = studied.execute("SELECT id, command, parameters FROM runs ORDER BY id").fetchall()
    shown = table(sections(studied)["making"], "Runs")
    assert [(int(row["run"]), row["command"]) for row in shown] == [(row["id"], row["command"]) for row in stored]
    for row, run in zip(shown, stored, strict=True):
        for name, value in json.loads(run["parameters"]).items():
            assert value is None or f"{name} = " in row["parameters"]


def test_no_absolute_path_of_the_machine_stands_in_a_report(madetl: Madetl, tmp_path: Path) -> None:
    """Neither that of the database, nor those of the files that were read and written, nor a model's folder."""
    words = " ".join(f"word{n}" for n in range(30))
    answers = [f"Say hello,{model},{model} {words}" for model in ("hare", "tortoise")]
    folder = tmp_path / "my files"
    folder.mkdir()
    (folder / "answers.csv").write_text("\n".join(["instruction,model,response", *answers]), encoding="utf-8")
    database_file, sheet = folder / "study.db", folder / "sheet.csv"
    for line in (
        ["import", "responses", folder / "answers.csv", "--scenario", "Greeting"],
        ["similarity"],
        ["select"],
        ["export", "annotations", "-o", sheet],
        ["models", "add", "tortoise", "--provider", "vllm", "--model-id", "/srv/models/tortoise-7b"],
        ["report", "-o", folder / "report.html", "--title", "Which one says hello?"],
    ):
        madetl("--db", database_file, *line)
    html = (folder / "report.html").read_text(encoding="utf-8")
    for path in (str(folder), str(tmp_path), "/srv/models"):
        assert path not in html
    found = Page(html).text
    for name in ("madetl --db study.db", "import responses answers.csv", "sheet.csv: 1 item", "tortoise-7b"):
        assert name in found
    assert "<title>Which one says hello?</title>" in html
    assert "<h1>Which one says hello?</h1>" in html


def test_the_title_names_the_database_where_none_is_given(madetl: Madetl, study_file: Path, tmp_path: Path) -> None:
    madetl("--db", study_file, "report", "-o", tmp_path / "r.html")
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"<h1>{study_file.stem}: which model do people prefer?</h1>" in html


def test_prompts_are_shown_in_full(db: sqlite3.Connection, tmp_path: Path) -> None:
    prompt = "Rewrite the instruction.\n" + "Make it harder. " * 40
    db.execute("INSERT INTO runs (command, parameters, version) VALUES ('evolve', ?, '1')", [json.dumps({"p": prompt})])
    assert prompt in written(db, tmp_path / "r.html")


@pytest.mark.parametrize(
    ("command", "parameters", "line"),
    [
        ("import alpaca-eval", {"files": ["a b.json", "c.json"], "scenario": "AlpacaEval"},
         "madetl import alpaca-eval 'a b.json' c.json"),
        ("import judgments", {"files": ["s.csv"], "annotator": "ann", "scenario": None},
         "madetl import judgments s.csv --annotator ann"),
        ("select", {"metric": "char-ngram", "top_k": 7, "diversity": 0.5, "models": ["a", "b"], "name": "x"},
         "madetl select --metric char-ngram --top-k 7 --diversity 0.5 --models a,b --name x"),
        ("select", {"adaptive": True, "budget": 60, "batch": None, "floor": 1, "stop_at": 0.95, "place": "a b"},
         "madetl select --adaptive --budget 60 --stop-at 0.95 --place 'a b'"),
        ("rank", {"method": "bt", "annotators": ["ana", "ben"], "judges": False, "anchor": ["gpt-4", 1200.0]},
         "madetl rank --method bt --annotator ana --annotator ben --anchor gpt-4=1200"),
        ("rank", {"method": "elo", "judges": True}, "madetl rank --judges"),
        ("no such", {"a": 1}, None),
        ("export", {}, None),
    ],
)  # fmt: skip
def test_commands_are_told_from_parameters(command: str, parameters: dict[str, Any], line: str | None) -> None:
    assert command_line("madetl", command, parameters) == line


def test_what_failed_is_not_repeated(db: sqlite3.Connection) -> None:
    for outcome, command in (("failed", "rank"), ("ok", "similarity"), ("interrupted", "rank"), (None, "rank")):
        db.execute("INSERT INTO runs (command, version, outcome) VALUES (?, '1', ?)", (command, outcome))
    found = rows.read(db)
    made = page.sections(found, boards(found), lambda command, _: f"madetl {command}")[-1]
    [script] = [code.text for code in every([made], Code) if not code.folded]
    assert script.splitlines()[1:] == ["madetl similarity"]


# --- the SQL beside each table


def test_every_table_and_plot_names_its_sql(studied: sqlite3.Connection) -> None:
    for key, section in sections(studied).items():
        for one in every([section], Table):
            assert one.sources, f"{key}: {one.title}"
        for plot in every([section], Plot):
            assert plot.table.rows
            assert plot.caption


def test_the_commands_beside_the_sql_give_the_same_rows(
    studied: sqlite3.Connection, study_file: Path, madetl: Madetl
) -> None:
    found = rows.read(studied, ["Coding"])
    for result in (found.ratings, found.votes, found.selections[0].levels):
        _, *words = shlex.split(page.asking("madetl", result.source))
        assert len(list(csv.reader(madetl("--db", study_file, *words).stdout.splitlines()))) == len(result.rows) + 1


# --- one file, escaped, deterministic, whole or not at all


NASTY = [
    "<script>alert(1)</script>", "</style><script>alert(1)</script>", "\"><img src=x onerror=alert(1)>",
    "javascript:alert(1)", "{{ 7 * 7 }} {% raw %}", "نموذج \u202e عكس", "$x^2$ & <b>", "模型 #010110",
]  # fmt: skip


@pytest.fixture
def nasty(db: sqlite3.Connection, study: Study) -> sqlite3.Connection:
    """A study in which every text would like to be something else."""
    for number, text in enumerate(NASTY):
        instruction = study.instruction(f"{text} {number}", scenario=NASTY[number % 3], input=text)
        answers = [study.response(instruction, model, f"{text} {model} " + "word " * 30) for model in NASTY[:4]]
        for a in range(4):
            for b in range(a + 1, 4):
                winner = ["model_a", "model_b", "tie"][(a + b + number) % 3]
                study.judgment(answers[a], answers[b], winner, annotator=NASTY[(a + number) % 8])
    db.execute("UPDATE judgments SET comment = ?, shown_first = 'model_a', seconds = 3", [NASTY[1]])
    db.execute(
        "INSERT INTO runs (command, parameters, version, outcome, summary) VALUES (?, ?, ?, 'ok', ?)",
        (NASTY[0], json.dumps({NASTY[2]: NASTY[0], "prompt": NASTY[1] * 20}), NASTY[2], NASTY[0]),
    )
    measure.measure(db, metric_named(db, "char-ngram"))
    select.select(db, SelectionParameters(top_k=3, name=NASTY[2]))
    return db


@pytest.mark.slow
def test_nothing_in_a_text_becomes_part_of_the_page(nasty: sqlite3.Connection, tmp_path: Path) -> None:
    html = written(nasty, tmp_path / "r.html")
    found = Page(html)
    tags = {tag for tag, _ in found.tags}
    assert not tags & {"script", "img", "iframe", "object", "embed", "form", "b"}
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    links = [attributes["href"] for tag, attributes in found.tags if tag == "a"]
    assert set(links) - {"https://arxiv.org/abs/2404.08008"} == {f"#{key}" for key in sections(nasty)}
    assert html.count("<style>") == html.count("</style>") == 1
    for text in NASTY[:4]:
        assert text in found.text
    assert "{{ 7 * 7 }}" in found.text
    assert "#010110" in found.text


@pytest.mark.slow
def test_it_asks_nobody_for_anything(studied: sqlite3.Connection, tmp_path: Path) -> None:
    html = written(studied, tmp_path / "r.html")
    found = Page(html)
    for tag, attributes in found.tags:
        assert tag not in ("script", "img", "iframe", "base", "video", "audio", "source")
        assert "src" not in attributes
        for name in ("href", "xlink:href"):
            address = attributes.get(name)
            assert address is None or address.startswith("#") or tag in ("a", "link")
    assert [a["href"] for tag, a in found.tags if tag == "link"] == ["data:,"]
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.slow
def test_ids_are_unique_and_what_refers_to_them_finds_them(studied: sqlite3.Connection, tmp_path: Path) -> None:
    html = written(studied, tmp_path / "r.html")
    ids = [attributes["id"] for _, attributes in Page(html).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    referred = set(re.findall(r'(?:url\(|href=")#([\w-]+)', html))
    assert referred <= set(ids)


@pytest.mark.slow
def test_plots_take_their_colours_from_the_page(studied: sqlite3.Connection) -> None:
    for section in sections(studied).values():
        for plot in every([section], Plot):
            colours = re.findall(r"(?:fill|stroke|stop-color): (#\w+|rgb[^;]*)", plot.svg)
            assert not colours
            assert "http" not in plot.svg
            assert set(re.findall(r"var\(--(\w+)\)", plot.svg)) <= set(svg.COLOUR)


@pytest.mark.slow
def test_the_same_database_gives_the_same_bytes(studied: sqlite3.Connection, tmp_path: Path) -> None:
    assert written(studied, tmp_path / "a.html") == written(studied, tmp_path / "b.html")


def test_a_failure_leaves_the_old_file_alone(studied: sqlite3.Connection, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("before")
    with pytest.raises(ParameterError):
        written(studied, path, run_id=99)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_who_has_the_old_report_open_reads_it_to_its_end(studied: sqlite3.Connection, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("before")
    with path.open() as old:
        assert written(studied, path).startswith("<!DOCTYPE html>")
        assert old.read() == "before"


def test_labels_hold_the_whole_name_in_short_lines() -> None:
    names = [*report_study.model_names(34), "x" * 90, "模" * 50]
    for name, label in zip(names, svg.labels(names), strict=True):
        assert "".join(label.split("\n")) == name
        assert max(map(len, label.split("\n"))) <= svg.LINE


def test_very_long_names_stay_different() -> None:
    twins = [f"{'x' * 60}{letter}{'x' * 60}" for letter in "yz"]  # the same without their middles
    short = svg.shortened([*twins, "short"])
    assert len(set(short)) == 3
    assert max(map(len, short)) <= svg.LONGEST
    assert all("…" in name for name in short[:2])


def test_names_that_mathematics_would_change_stand_as_they_are(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    def paint(figure: Figure) -> None:
        svg.axes(figure, 90, 5, 5, 25).set_yticks([0, 1], ["$x^2$ <b>", "模型"])

    drawn = svg.draw("key", "a <title>", (200, 100), paint)
    assert ">$x^2$ &lt;b&gt;</text>" in drawn
    assert ">模型</text>" in drawn
    assert 'aria-label="a &lt;title&gt;"' in drawn


# --- what is missing


def test_an_empty_database_says_what_comes_first(madetl: Madetl, tmp_path: Path) -> None:
    madetl("init")
    done = madetl("report", "-o", tmp_path / "r.html")
    assert "0 judgments of 0 models" in done.stdout
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "nobody has judged anything" in text
    assert "madetl import responses answers.jsonl" in text


def test_a_study_that_nobody_judged_names_the_next_step(db: sqlite3.Connection, study: Study, tmp_path: Path) -> None:
    for n in range(3):
        instruction = study.instruction(f"Question {n}?")
        for model in ("a", "b"):
            study.response(instruction, model, f"{model} says {n} " + "word " * 25)
    assert "madetl similarity" in written(db, tmp_path / "1.html")
    measure.measure(db, metric_named(db, "char-ngram"))
    assert "madetl select --top-k 10" in written(db, tmp_path / "2.html")
    select.select(db, SelectionParameters(top_k=2))
    text = Page(written(db, tmp_path / "3.html")).text
    assert "There are 3 instructions, answers of 2 models, and 2 selected pairs" in text
    assert "madetl export annotations --selection all-char-ngram -o sheet.csv" in text
    assert "How alike the answers are" in text


@pytest.mark.slow
def test_votes_without_a_selection_are_enough(tmp_path: Path) -> None:
    path = demo.copy_example(tmp_path / "demo.db")
    with database.reading(path) as db:
        made = sections(db)
        text = Page(written(db, tmp_path / "r.html")).text
    assert "180 judgments by 3 people" in page_text(made["answer"])
    assert "This ranking is computed for the report, with the defaults, and not stored yet." in text
    assert "There is no selection whose picks are judged" in text


@pytest.mark.parametrize("winners", [["tie"] * 12, ["both_bad"], ["model_a"] * 11, ["model_a"], ["model_b", "tie"] * 6])
def test_odd_sets_of_votes_make_a_report(
    db: sqlite3.Connection, study: Study, tmp_path: Path, winners: list[str]
) -> None:
    for n, winner in enumerate(winners):
        instruction = study.instruction(f"Question {n}?")
        a, b = (study.response(instruction, model, f"{model} says {n}") for model in ("a", "b"))
        study.judgment(a, b, winner)
    assert f"{len(winners)} judgment" in Page(written(db, tmp_path / "r.html")).text


def test_groups_that_never_met_are_told_apart(db: sqlite3.Connection, study: Study, tmp_path: Path) -> None:
    for n in range(12):
        instruction = study.instruction(f"Question {n}?")
        a, b, c, d = (study.response(instruction, model, f"{model} says {n}") for model in "abcd")
        study.judgment(a, b, ["model_a", "model_b", "tie"][n % 3])
        study.judgment(c, d, "model_a" if n % 4 else "model_b")
    text = Page(written(db, tmp_path / "r.html")).text
    assert "No chain of battles connects these 2 groups of models" in text
    assert "12 votes are of others" in text


def test_nothing_in_the_database_changes(study_file: Path, tmp_path: Path, madetl: Madetl) -> None:
    before = study_file.read_bytes()
    done = madetl("--db", study_file, "report", "-o", tmp_path / "r.html")
    assert "180 judgments of 8 models" in done.stdout
    assert study_file.read_bytes() == before
    assert [file.name for file in study_file.parent.iterdir()] == [study_file.name]


def test_bad_arguments_are_said_in_one_line(madetl: Madetl, study_file: Path, tmp_path: Path) -> None:
    where = ("--db", study_file, "report", "-o")
    assert "ends in .html" in madetl(*where, tmp_path / "r.pdf", status=1).stderr
    assert "does not exist" in madetl(*where, tmp_path / "no" / "r.html", status=1).stderr
    assert "holds no ranking" in madetl(*where, tmp_path / "r.html", "--run", 1, status=1).stderr
    assert "no scenario 'X'" in madetl(*where, tmp_path / "r.html", "--scenario", "X", status=1).stderr
    assert madetl("--db", study_file, "report", status=2).stderr
    assert not list(tmp_path.iterdir())


# --- size and time


@pytest.mark.slow
def test_thirty_models_stay_small_and_quick(tmp_path: Path) -> None:
    path = tmp_path / "big.db"
    report_study.build(path, models=30, instructions=40, top_k=2, people=5, repeated=0)
    with database.writing(path) as db:
        rank.rank(db, RankParameters(rounds=100))
        start = time.perf_counter()
        html = written(db, tmp_path / "r.html")
        seconds = time.perf_counter() - start
    assert len(html) < 5_000_000
    assert seconds < 60  # a guard against what grows too fast; the benchmark measures


# --- selections that are not K picks of every pair


@pytest.mark.parametrize("verdicts", [0, 9])
def test_a_selection_that_grew_on_the_page_is_told_in_words(
    db: sqlite3.Connection, madetl: Madetl, tmp_path: Path, verdicts: int
) -> None:
    measured_answers(db)
    judge_on_page(db, verdicts, budget=20)
    if verdicts:
        rank.rank(db, RankParameters(rounds=20))
    madetl("report", "-o", tmp_path / "r.html")
    told = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert "picked adaptively, with a budget of 20" in told
    assert f"{verdicts + 1} pair" in told
    assert f"{verdicts} of the pairs are judged" in told


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("evidence", "the 2 pairs of answers of each two models that show most of a difference, by char-ngram"),
        (
            "band",
            "2 pairs of answers of each two models of the middle third of similarity by char-ngram, drawn at random",
        ),
        ("random", "2 pairs of answers of each two models drawn at random (seed 42)"),
    ],
)
def test_what_a_strategy_picks_is_told_in_words(
    db: sqlite3.Connection, tmp_path: Path, strategy: Any, words: str
) -> None:
    measured_answers(db)
    select.select(db, SelectionParameters(strategy=strategy, top_k=2))
    told = Page(written(db, tmp_path / "r.html")).text
    assert f"It holds {words}" in told
    assert "0 of the pairs are judged." in told


def test_a_selection_of_the_page_that_has_no_pick_yet(db: sqlite3.Connection, tmp_path: Path) -> None:
    measured_answers(db)
    judge_on_page(db, 0, budget=20)
    db.execute("DELETE FROM selections")
    assert "20" in written(db, tmp_path / "r.html")
