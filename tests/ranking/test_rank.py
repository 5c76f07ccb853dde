"""The ranking stage on real database files: whose votes, what is drawn, what is stored, what is said."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import sqlite3
import statistics

import numpy as np
import pytest

from madetl.errors import ParameterError
from madetl.ranking import bradley_terry, rank, resampling, votes
from madetl.ranking.rank import RankParameters
from madetl.ranking.votes import Battles, OutcomeCounts
from madetl.store import database, sqlfiles
from tests.conftest import Study
from tests.support.voted_items import WINNERS, by_model, vote, vote_again


@pytest.fixture
def three_models(study: Study) -> Study:
    """x beats y beats z, in two scenarios; 22 battles."""
    vote(study, "x", "y", "aaabtaab")
    vote(study, "y", "z", "aabtaax", scenario="Coding")
    vote(study, "x", "z", "aaabaat")
    return study


def stored(db: sqlite3.Connection, run_id: int) -> list[dict]:
    sql = "SELECT r.*, m.name AS model FROM ratings AS r JOIN models AS m ON m.id = r.model_id WHERE run_id = ?"
    return [dict(row) for row in db.execute(sql, (run_id,))]


# The numbers


def test_published_medians_are_reproduced(db, study, shared):
    """210 battles of MAD-Eval, medians over 1000 random orders."""
    published = {
        "gpt-4": 1056, "claude-v1": 1038, "gpt-3.5-turbo": 1020, "vicuna-13b": 1002,
        "koala-13b": 967, "alpaca-13b": 964, "chatglm-6b": 954,
    }  # fmt: skip
    rows = json.loads((shared / "mad_eval" / "chatbot_arena-annotation-10-bert.json").read_text(encoding="utf-8"))
    with database.transaction(db):
        for number, row in enumerate(rows):
            instruction = study.instruction(row["data"]["instruction"])
            sides = [("model_a", "response_1"), ("model_b", "response_2")]
            sides.sort(key=lambda side: study.model(row[side[0]]))
            answers = [study.response(instruction, row[m], row["data"][r], number) for m, r in sides]
            canonical = {sides[0][0]: "model_a", sides[1][0]: "model_b"}
            study.judgment(*answers, canonical.get(row["winner"], row["winner"]), source_id=str(number))
    board = rank.rank(db, RankParameters(resample="permute")).leaderboards[0]
    assert [line.model for line in board.ratings] == list(published)
    for model, line in by_model(board).items():
        assert abs(line.rating - published[model]) < 1
    spread = rank.rank(db, RankParameters(method="bt", rounds=100)).leaderboards[0].ratings
    assert spread[0].rating - spread[-1].rating == pytest.approx(376, abs=0.5)


def test_elo_is_the_median_over_rounds_of_the_plain_loop(three_models, db):
    """The rounds are drawn here as the stage draws them, and played row by row."""
    result = rank.rank(db, RankParameters(rounds=51, seed=3)).leaderboards[0]
    rows = db.execute("SELECT * FROM battles ORDER BY judgment_id").fetchall()
    pairs = sorted({(row["model_a"], row["model_b"]) for row in rows})
    item = np.array([row["instruction_id"] for row in rows])
    stratum = np.array([pairs.index((row["model_a"], row["model_b"])) for row in rows])
    rounds = []
    for order in resampling.bootstrap_orders(item, stratum, 51, np.random.default_rng(3)):
        rating = dict.fromkeys("xyz", 1000.0)
        for i in order:
            a, b = rows[i]["model_a"], rows[i]["model_b"]
            score = {"model_a": 1, "model_b": 0}.get(rows[i]["winner"], 0.5)
            gain = 4 * (score - 1 / (1 + 10 ** ((rating[b] - rating[a]) / 400)))
            rating[a], rating[b] = rating[a] + gain, rating[b] - gain
        rounds.append(rating)
    for model, line in by_model(result).items():
        assert line.rating == pytest.approx(statistics.median(r[model] for r in rounds), abs=1e-8)
        assert line.lower == pytest.approx(np.percentile([r[model] for r in rounds], 2.5), abs=1e-8)
        assert line.upper == pytest.approx(np.percentile([r[model] for r in rounds], 97.5), abs=1e-8)


def test_bt_of_two_models_is_their_log_odds(study, db):
    """3 wins, 1 loss, 2 ties: 4 points to 2, so 400 log10(2) = 120.4 points apart (but for the prior)."""
    vote(study, "x", "y", "aaabtx")
    lines = by_model(rank.rank(db, RankParameters(method="bt")).leaderboards[0])
    assert lines["x"].rating - lines["y"].rating == pytest.approx(400 * math.log10(2), abs=0.6)
    assert lines["x"].rating + lines["y"].rating == pytest.approx(2000)


@pytest.mark.parametrize("method", ["elo", "bt"])
def test_an_anchor_shifts_the_whole_scale(three_models, db, method):
    plain = by_model(rank.rank(db, RankParameters(method, rounds=100)).leaderboards[0])
    moved = by_model(rank.rank(db, RankParameters(method, rounds=100, anchor=("y", 1234.5))).leaderboards[0])
    shift = 1234.5 - plain["y"].rating
    assert moved["y"].rating == pytest.approx(1234.5)
    for model, line in plain.items():
        assert moved[model].rating == pytest.approx(line.rating + shift)
        assert moved[model].lower == pytest.approx(line.lower + shift)
        assert moved[model].upper == pytest.approx(line.upper + shift)
        assert moved[model].rank == line.rank


@pytest.mark.parametrize("method", ["elo", "bt"])
def test_ranks_count_the_models_that_are_surely_better(study, db, method):
    for pair in (("x", "y"), ("x", "z")):
        vote(study, *pair, "a" * 38 + "bb")
    vote(study, "y", "z", "ab" * 10)
    lines = rank.rank(db, RankParameters(method)).leaderboards[0].ratings
    assert (lines[0].model, lines[0].rank) == ("x", 1)
    for line in lines:
        assert line.lower <= line.rating <= line.upper
        assert line.rank == 1 + sum(other.lower > line.upper for other in lines)
    assert lines[1].rank == lines[2].rank == 2


@pytest.mark.parametrize("method", ["elo", "bt"])
def test_models_whose_intervals_overlap_share_a_rank(study, db, method):
    """x's lower bound is above y's rating, yet below y's upper bound: not surely better."""
    vote(study, "x", "y", "aab" * 9)
    x, y = rank.rank(db, RankParameters(method)).leaderboards[0].ratings
    assert y.rating < x.lower < y.upper
    assert (x.rank, y.rank) == (1, 1)


def test_an_interval_holds_its_rating_even_if_the_rounds_do_not(study, db):
    vote(study, "x", "y", "aabtaab")
    for seed in range(5):
        for line in rank.rank(db, RankParameters("bt", rounds=1, seed=seed)).leaderboards[0].ratings:
            assert line.lower <= line.rating <= line.upper


@pytest.mark.parametrize("method", ["elo", "bt"])
def test_a_seed_gives_the_same_numbers_again_and_another_run(three_models, db, method):
    first, second = (rank.rank(db, RankParameters(method, rounds=50)) for _ in range(2))
    other = rank.rank(db, RankParameters(method, rounds=50, seed=1))
    assert first.run_id != second.run_id
    assert first.leaderboards == second.leaderboards
    assert first.leaderboards != other.leaderboards


def test_a_scenario_alone_gives_what_it_gives_among_others(three_models, db):
    among = rank.rank(db, RankParameters(rounds=50)).leaderboards
    assert [board.scenario for board in among] == ["overall", "Coding", "Writing"]
    alone = rank.rank(db, RankParameters(rounds=50, scenarios=("Writing",))).leaderboards
    assert alone == [among[2]]
    assert set(by_model(among[1])) == {"y", "z"}


def test_votes_on_one_item_are_drawn_together(study, db):
    """8 items with ten alike votes each leave the interval as wide as with one vote each; 80 items make it narrower."""
    vote(study, "x", "y", "aaabbaab")
    one = by_model(rank.rank(db, RankParameters(method="bt")).leaderboards[0])["x"]
    with database.transaction(db):
        for number, letter in enumerate("aaabbaab"):
            vote_again(study, "x", "y", number, letter * 9)
    ten = rank.rank(db, RankParameters(method="bt")).leaderboards[0]
    assert ten.counts == {"battles": 80, "ties": 0, "both_bad": 0, "items": 8, "annotators": 10, "crowds": []}
    line = by_model(ten)["x"]
    assert line.upper - line.lower > 0.8 * (one.upper - one.lower)


def coverage(by_item: bool, studies: int = 200) -> float:
    """How often 95 % intervals hold the true rating: 5 models, 30 items per pair, 4 votes per item that agree often.

    The log-odds of an item vary about those of its pair with a standard deviation of 1.5. The true ratings are what
    Bradley–Terry finds in infinitely many items.
    """
    rng = np.random.default_rng(7)
    a, b = np.array([(i, j) for i in range(5) for j in range(i + 1, 5)]).T
    component, strength = np.zeros(5, dtype=int), np.array([1.0, 0.5, 0.0, -0.5, -1.0])
    offsets = np.random.default_rng(0).normal(0, 1.5, 100_000)
    chance = np.array([(1 / (1 + np.exp(-(d + offsets)))).mean() for d in strength[a] - strength[b]])
    true = bradley_terry.fit(a, b, 1e6 * chance[None], 1e6 * (1 - chance[None]), component)[0]
    held = []
    for _ in range(studies):
        odds = (strength[a] - strength[b])[:, None] + rng.normal(0, 1.5, (10, 30))
        won = rng.binomial(4, 1 / (1 + np.exp(-odds))).reshape(-1)
        votes = 4 if by_item else 1
        if not by_item:
            won = (np.arange(4) < won[:, None]).reshape(-1)
        (pair, won), items = np.unique([np.repeat(np.arange(10), len(won) // 10), won], axis=1, return_counts=True)
        drawn = resampling.bootstrap_counts(pair, np.column_stack([won, votes - won]).astype(float), items, 200, rng)
        rounds = bradley_terry.fit(a, b, drawn[..., 0], drawn[..., 1], component)
        lower, upper = np.percentile(rounds, [2.5, 97.5], axis=0)
        held.append((lower <= true) & (true <= upper))
    return float(np.mean(held))


@pytest.mark.slow
def test_intervals_hold_what_they_claim_where_items_have_several_votes():
    assert 0.90 < coverage(by_item=True) < 0.98


@pytest.mark.slow
def test_drawing_single_votes_would_hold_less():
    assert coverage(by_item=False) < 0.88


# Whose votes


@pytest.fixture
def people_and_judges(study: Study) -> Study:
    vote(study, "x", "y", "aaaaab", annotator="alice")
    vote(study, "x", "y", "bbbbb", annotator="bob", start=100)
    study.annotator("gpt-judge", "model")
    vote(study, "x", "y", "bbbbbbbb", annotator="gpt-judge", start=200)
    return study


@pytest.mark.parametrize(
    ("chosen", "label", "expected"),
    [
        ({}, "people", (11, 2)),
        ({"judges": True}, "judges", (8, 1)),
        ({"annotators": ("alice",)}, '["alice"]', (6, 1)),
        ({"annotators": ("gpt-judge", "alice", "alice")}, '["alice", "gpt-judge"]', (14, 2)),
    ],
)
def test_votes_of_models_are_never_mixed_in_silently(people_and_judges, db, chosen, label, expected):
    ranking = rank.rank(db, RankParameters(rounds=20, **chosen))
    counts = ranking.leaderboards[0].counts
    assert (counts["battles"], counts["annotators"]) == expected
    assert {row["annotators"] for row in stored(db, ranking.run_id)} == {label}


def copied(db, winners):
    """The same instructions and answers in a database of its own, where a crowd gave these verdicts.

    `winners`: (response_a_id, response_b_id, winner), in order.
    """
    other = sqlite3.connect(":memory:", isolation_level=None)
    db.backup(other)
    other.row_factory = sqlite3.Row
    other.execute("DELETE FROM judgments")
    study = Study(other)
    other.execute("UPDATE annotators SET kind = 'crowd' WHERE id = ?", (study.annotator("ann"),))
    for number, (a, b, winner) in enumerate(winners):
        study.judgment(a, b, winner, source_id=str(number))
    return other


def plain_majority(db, kind="person"):
    """Each response pair's verdict with most votes, without repeats, in order of its first vote."""
    votes: dict[tuple[int, int], dict[int, str]] = {}
    sql = "SELECT j.* FROM judgments AS j JOIN annotators AS n ON n.id = j.annotator_id WHERE n.kind = ?"
    sql += " AND j.status = 'counted' ORDER BY j.id"
    for row in db.execute(sql, (kind,)):
        given = votes.setdefault((row["response_a_id"], row["response_b_id"]), {})
        given.setdefault(row["annotator_id"], row["winner"])
    for pair, given in votes.items():
        most = statistics.multimode(given.values())
        yield (*pair, most[0] if len(most) == 1 else "tie")


@pytest.fixture
def several_votes(study: Study) -> Study:
    """x against y and y against z, one to four votes per item, a repeat of one person, a judge."""
    vote(study, "x", "y", "aaabtxab")
    for number, letters in enumerate(["ab", "b", "bb", "bbt", "tx", "xx", "a", "abx"]):
        vote_again(study, "x", "y", number, letters)
    vote(study, "y", "z", "abtb", annotator="p0")
    study.annotator("gpt-judge", "model")
    vote(study, "x", "z", "bb", annotator="gpt-judge")
    answers = [
        row[0] for row in study.db.execute("SELECT id FROM responses WHERE instruction_id = 2 ORDER BY model_id")
    ]
    study.judgment(*answers, "model_b", source_id="again", status="repeat")  # by ann, who has voted model_a there
    return study


def test_the_majority_by_hand(several_votes, db):
    verdicts = [winner for _, _, winner in plain_majority(db)]
    #  items of x and y: a+ab, a+b, a+bb, b+bbt, t+tx, x+xx, a+a, b+abx; then those of y and z
    words = "model_a tie model_b model_b tie both_bad model_a model_b model_a model_b tie model_b"
    assert verdicts == words.split()


@pytest.mark.parametrize("how", [{}, {"resample": "permute"}, {"method": "bt"}])
def test_a_ranking_by_majority_is_that_of_the_majoritys_votes(several_votes, db, how):
    boards = rank.rank(db, RankParameters(rounds=50, votes="majority", **how)).leaderboards
    with_one_vote_each = copied(db, plain_majority(db))
    expected = rank.rank(with_one_vote_each, RankParameters(rounds=50, **how)).leaderboards
    assert [board.ratings for board in boards] == [board.ratings for board in expected]
    assert boards[0].counts == expected[0].counts | {"annotators": 4, "crowds": []}
    assert boards[0].counts["battles"] == boards[0].counts["items"] == 12
    assert (boards[0].counts["ties"], boards[0].counts["both_bad"]) == (3, 1)


def test_sample_answers_have_a_majority_each(study, db):
    """Two answers of one model to one instruction: two response pairs, one item, two battles."""
    instruction = study.instruction("again and again")
    x = [study.response(instruction, "x", f"x says {n}", n) for n in range(2)]
    y = study.response(instruction, "y", "y says")
    for person, letters in (("p", "ab"), ("q", "ab"), ("r", "bb")):
        for answer, letter in zip(x, letters, strict=True):
            study.judgment(answer, y, WINNERS[letter], person)
    board = rank.rank(db, RankParameters(rounds=20, votes="majority")).leaderboards[0]
    assert (board.counts["battles"], board.counts["items"]) == (2, 1)


@pytest.mark.parametrize("votes", ["all", "majority"])
@pytest.mark.parametrize("method", ["elo", "bt"])
def test_leaving_somebody_out_is_as_if_they_had_never_voted(several_votes, db, votes, method):
    parameters = RankParameters(method, rounds=50, votes=votes)
    without = rank.rank(db, dataclasses.replace(parameters, without=("p0", "ann"))).leaderboards
    db.execute("DELETE FROM annotators WHERE name IN ('p0', 'ann')")
    assert without == rank.rank(db, parameters).leaderboards


def test_leaving_somebody_out_of_the_judges(people_and_judges, db):
    people_and_judges.annotator("other-judge", "model")
    vote(people_and_judges, "x", "y", "aa", annotator="other-judge", start=300)
    counts = rank.rank(db, RankParameters(rounds=20, judges=True, without=("gpt-judge",))).leaderboards[0].counts
    assert (counts["battles"], counts["annotators"]) == (2, 1)


@pytest.mark.parametrize(
    ("chosen", "label", "words"),
    [
        ({"votes": "majority"}, "people (majority)", "the majority of people's votes"),
        ({"without": ("bob",)}, 'people except ["bob"]', "people's votes without bob"),
        (
            {"judges": True, "without": ("bob",), "votes": "majority"},
            'judges except ["bob"] (majority)',
            "the majority of judge models' votes without bob",
        ),
        ({"annotators": ("bob",), "votes": "majority"}, '["bob"] (majority)', "the majority of votes of bob"),
    ],
)
def test_whose_votes_and_how_they_count_is_stored_and_said(people_and_judges, db, chosen, label, words):
    ranking = rank.rank(db, RankParameters(rounds=20, **chosen))
    assert {row["annotators"] for row in stored(db, ranking.run_id)} == {label}
    assert f", {words}: " in ranking.summary
    assert ranking.voters == label


def test_outcomes_of_items_are_the_same_in_numpy_and_in_sql(several_votes, db):
    bindings = RankParameters().counted
    in_order = np.array([tuple(row) for row in db.execute(sqlfiles.query("ranking/battles_in_order"), bindings)]).T
    outcomes = [tuple(row) for row in db.execute(sqlfiles.query("ranking/item_outcomes"), bindings)]
    assert [tuple(row) for row in votes.item_outcomes(*in_order).T] == outcomes


def test_the_view_leaderboard_shows_the_latest_of_peoples_votes_by_elo(people_and_judges, db):
    shown = rank.rank(db, RankParameters(rounds=20)).run_id
    rank.rank(db, RankParameters(rounds=20, judges=True))
    rank.rank(db, RankParameters(rounds=20, votes="majority"))
    rank.rank(db, RankParameters(rounds=20, without=("bob",)))
    rank.rank(db, RankParameters(method="bt", rounds=20))
    assert {row["run_id"] for row in db.execute("SELECT * FROM leaderboard")} == {shown}


def test_what_is_stored_is_what_is_returned(three_models, db):
    parameters = RankParameters(method="bt", rounds=30, seed=9, anchor=("x", 1100))
    ranking = rank.rank(db, parameters)
    rows = stored(db, ranking.run_id)
    lines = [(board.scenario, line) for board in ranking.leaderboards for line in board.ratings]
    assert len(rows) == len(lines) == 3 + 2 + 3
    for row in rows:
        (line,) = [line for scenario, line in lines if (scenario, line.model) == (row["scenario"], row["model"])]
        for name in ("rank", "rating", "lower", "upper", "battles", "component", "remark"):
            assert row[name] == getattr(line, name)
    run = db.execute("SELECT * FROM runs WHERE id = ?", (ranking.run_id,)).fetchone()
    assert (run["command"], run["seed"], run["outcome"], run["summary"]) == ("rank", 9, "ok", ranking.summary)
    assert json.loads(run["parameters"])["anchor"] == ["x", 1100]


@pytest.mark.parametrize("method", ["elo", "bt"])
def test_progress_goes_to_the_end(three_models, db, method):
    seen = []
    rank.rank(db, RankParameters(method, rounds=20), lambda done, total: seen.append((done, total)))
    assert seen[-1] == (60, 60)
    assert seen == sorted(seen)


def test_counts_and_order_come_out_of_sql(three_models, db):
    vote_again(three_models, "x", "y", 0, "ab")
    overall = rank.read_votes(db, RankParameters())[0]
    assert overall.models == ["x", "y", "z"]
    assert isinstance(overall.outcomes, OutcomeCounts)
    assert isinstance(overall.battles, Battles)
    # x against y: one item with three votes (2 points to 1), then four wins, two losses and a tie
    xy = overall.outcomes.pair == 0
    found = zip(overall.outcomes.wins[xy].tolist(), overall.outcomes.items[xy].tolist(), strict=True)
    assert sorted(found) == [([0, 1], 2), ([0.5, 0.5], 1), ([1, 0], 4), ([2, 1], 1)]
    assert overall.battles.score.tolist() == [
        *(1, 1, 1, 0, 0.5, 1, 1, 0), *(1, 1, 0, 0.5, 1, 1, 0.5), *(1, 1, 1, 0, 1, 1, 0.5), *(1, 0),
    ]  # fmt: skip
    assert len({*zip(overall.battles.pair.tolist(), overall.battles.instruction.tolist(), strict=True)}) == 22


# What a reader must be told


def noted(board):
    return {note.kind for note in board.notes}


def text(board, kind):
    return next(note.text for note in board.notes if note.kind == kind)


def test_a_model_that_won_everything_is_finite_and_remarked_on(study, db):
    vote(study, "x", "y", "aaaaaaaa")
    vote(study, "y", "z", "aabbtaab")
    board = rank.rank(db, RankParameters(method="bt", rounds=200)).leaderboards[0]
    lines = by_model(board)
    assert lines["x"].remark == "won every battle: no true upper bound"
    assert lines["y"].remark is lines["z"].remark is None
    assert all(math.isfinite(value) for line in lines.values() for value in (line.rating, line.lower, line.upper))
    assert "(x) > (y, z)" in text(board, "one-way")
    board = rank.rank(db, RankParameters(rounds=20)).leaderboards[0]
    assert by_model(board)["x"].remark == "won every battle"
    assert "one-way" not in noted(board)


def test_groups_that_only_ever_lose_to_one_another_are_named(study, db):
    vote(study, "u", "v", "ab")
    vote(study, "v", "x", "aaa")
    vote(study, "x", "y", "abt")
    board = rank.rank(db, RankParameters(method="bt", rounds=100)).leaderboards[0]
    assert "(u, v) > (x, y)" in text(board, "one-way")
    assert not any(line.remark for line in board.ratings)


@pytest.mark.parametrize("method", ["elo", "bt"])
def test_components_are_ranked_each_on_its_own(study, db, method):
    vote(study, "a", "b", "ab" * 8)
    vote(study, "x", "y", "aab" * 5)
    vote(study, "y", "z", "aab" * 5)
    vote(study, "x", "z", "aab" * 5)
    board = rank.rank(db, RankParameters(method, anchor=("a", 2000))).leaderboards[0]
    lines = by_model(board)
    assert [line.component for line in board.ratings] == [1, 1, 1, 2, 2]
    assert board.ratings[0].rank == board.ratings[3].rank == 1
    assert statistics.mean(lines[m].rating for m in "xyz") == pytest.approx(1000, abs=2)
    assert lines["a"].rating == pytest.approx(2000)
    assert abs(lines["b"].rating - 2000) < 10
    assert "x, y, z; a, b" in text(board, "components")
    assert "own component" in text(board, "anchor")


def test_elo_far_from_converged_says_so_and_by_how_much(three_models, db, study):
    board = rank.rank(db, RankParameters(rounds=50)).leaderboards[0]
    assert "with K-factor 4 and 14 to 15 battles per model" in text(board, "elo")
    bt = by_model(rank.rank(db, RankParameters(method="bt", rounds=10)).leaderboards[0])
    assert f"Bradley–Terry on the same votes: {bt['x'].rating - bt['z'].rating:.0f}" in text(board, "elo")
    with_large_k = rank.rank(db, RankParameters(rounds=50, k_factor=200)).leaderboards[0]
    assert "elo" not in noted(with_large_k)


def test_what_an_interval_cannot_tell_is_said(study, db):
    vote(study, "x", "y", "aab")
    few_items = rank.rank(db, RankParameters(rounds=200)).leaderboards[0]
    assert "1 of 1 model pair has fewer than 5 judged items (the fewest: 3)" in text(few_items, "items")
    permuted = rank.rank(db, RankParameters(rounds=50, resample="permute")).leaderboards[0]
    assert "not how sure the ranking is" in text(permuted, "order")
    assert "rounds" in noted(permuted)
    assert "rounds" not in noted(few_items)


def test_an_anchor_that_a_scenario_lacks_is_noted_there(three_models, db):
    overall, coding, _ = rank.rank(db, RankParameters(rounds=20, anchor=("x", 1500))).leaderboards
    assert "no battles here" in text(coding, "anchor")
    assert "anchor" not in noted(overall)


# Errors


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"annotators": ("carol",)}, "There is no annotator carol. Known annotators: gpt-judge, alice, bob."),
        ({"without": ("bob", "carol")}, "There is no annotator carol. Known annotators: gpt-judge, alice, bob."),
        ({"without": ("bob", "alice")}, "No votes are left without alice, bob."),
        ({"scenarios": ("Cooking",)}, "no such votes in a scenario 'Cooking'. Known scenarios: Writing."),
        ({"scenarios": ("overall",)}, "no such votes in a scenario 'overall'"),
        ({"anchor": ("gpt-9", 1000)}, "The anchor 'gpt-9' has no battles. Known models: x, y."),
    ],
)
def test_unknown_names_are_told_with_the_known_ones(people_and_judges, db, parameters, message):
    with pytest.raises(ParameterError, match=message.replace(".", r"\.")):
        rank.rank(db, RankParameters(**parameters))
    assert not db.in_transaction
    assert db.execute("SELECT count(*) FROM runs").fetchone()[0] == 0


def test_nothing_to_rank_names_the_next_command(study, db):
    with pytest.raises(ParameterError, match="madetl import judgments"):
        rank.rank(db, RankParameters())
    study.annotator("alice")
    study.annotator("gpt-judge", "model")
    vote(study, "x", "y", "aab", annotator="gpt-judge")
    with pytest.raises(
        ParameterError, match=r"No votes by people\. There are 3 by judge models: `madetl rank --judges`"
    ):
        rank.rank(db, RankParameters())
    with pytest.raises(ParameterError, match="No votes by alice"):
        rank.rank(db, RankParameters(annotators=("alice",)))
    study.db.execute("UPDATE annotators SET kind = 'person'")
    with pytest.raises(ParameterError, match=r"No votes by judge models\. There are 3 by people"):
        rank.rank(db, RankParameters(judges=True))
    study.db.execute("DELETE FROM judgments WHERE id > (SELECT min(id) FROM judgments)")
    with pytest.raises(ParameterError, match=r"No votes by judge models\. There is 1 by people"):
        rank.rank(db, RankParameters(judges=True))


@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "bt", "resample": "permute"},
        {"method": "bt", "k_factor": 8},
        {"rounds": 0},
        {"rounds": 1_000_000},
        {"k_factor": 0},
        {"k_factor": math.nan},
        {"seed": -1},
        {"anchor": ("x", math.inf)},
        {"judges": True, "annotators": ("alice",)},
        {"without": ("bob",), "annotators": ("alice",)},
    ],
)
def test_parameters_that_do_not_fit_are_refused(parameters):
    with pytest.raises(ParameterError):
        RankParameters(**parameters)


# The command


def test_the_command_prints_one_leaderboard_where_overall_says_it_all(study, db, madetl):
    vote(study, "x", "y", "aabtax")
    done = madetl("rank", "--rounds", 100)
    assert "overall: 6 battles (1 tie and 1 both bad, half a win each) on 6 items" in done.stdout
    assert "All votes are of one scenario, Writing: its leaderboard is the same." in done.stdout
    assert done.stdout.count("95 % interval") == 1
    assert "people's votes" in done.stdout
    assert "Note: with K-factor 4" in done.stderr
    assert {row["scenario"] for row in stored(db, 1)} == {"overall", "Writing"}


def test_the_command_as_json(three_models, db, madetl):
    done = json.loads(madetl("rank", "--json", "--method", "bt", "--anchor", "x=1200", "--rounds", 100).stdout)
    assert (done["run"], done["votes"], done["parameters"]["anchor"]) == (1, "people", ["x", 1200])
    assert [board["scenario"] for board in done["leaderboards"]] == ["overall", "Coding", "Writing"]
    first = done["leaderboards"][0]
    assert (first["battles"], first["items"], first["ties"], first["both_bad"]) == (22, 22, 3, 1)
    assert first["ratings"][0]["model"] == "x"
    assert first["ratings"][0]["rating"] == 1200


def test_numbers_do_not_depend_on_the_number_of_threads(three_models, db, madetl, monkeypatch):
    results = []
    for threads in ("1", str(os.cpu_count() or 2)):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", threads)
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        done = [json.loads(madetl("rank", "--json", "--rounds", 50, "--method", m).stdout) for m in ("elo", "bt")]
        results.append([ranking["leaderboards"] for ranking in done])
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--method", "bt", "--resample", "permute"], 2, "permute is for elo only"),
        (["--anchor", "x"], 2, "is not MODEL=RATING"),
        (["--anchor", "x=high"], 2, "is not MODEL=RATING"),
        (["--annotator", "nobody"], 1, "There is no annotator nobody. Known annotators: ann."),
    ],
)
def test_errors_of_the_command(three_models, madetl, arguments, status, message):
    assert message in madetl("rank", *arguments, status=status).stderr


def test_ranking_a_database_that_is_not_there_makes_none(db_file, madetl):
    assert "there is no such database" in madetl("rank", status=1).stderr
    assert not db_file.exists()
