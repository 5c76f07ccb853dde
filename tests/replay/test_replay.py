"""Replays: the measures against scipy, halves by hand, the order of a live selection, a whole run by a plain loop."""

from __future__ import annotations

import json
import sqlite3
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from madetl.errors import ParameterError
from madetl.metrics import char_ngram
from madetl.replay import play, replay
from madetl.replay.accuracy import accuracy
from madetl.replay.replay import ReplayParameters
from madetl.selection import select, strategies
from madetl.selection.adaptive import pair_policies
from madetl.selection.adaptive.simulate import play as simulate
from madetl.selection.select import SelectionParameters
from madetl.store.metrics import ensure_metric
from tests.conftest import Study

PAIRS = (np.array([0, 0, 1]), np.array([1, 2, 2]))  # of three models


# --- the measures


@given(st.lists(st.lists(st.integers(0, 3), min_size=8, max_size=8), min_size=1, max_size=8))
def test_the_measures_are_scipys_and_the_plain_words(rows):
    ratings, gold = (np.array(rows, dtype=float)[:, side] for side in (slice(0, 4), slice(4, 8)))
    found = accuracy(ratings, gold)
    for n, (one, other) in enumerate(zip(ratings.tolist(), gold.tolist(), strict=True)):
        flat = len(set(one)) == 1 or len(set(other)) == 1
        spearman, kendall = (0, 0) if flat else (stats.spearmanr(one, other)[0], stats.kendalltau(one, other)[0])
        assert (found.spearman[n], found.kendall[n]) == pytest.approx((spearman, kendall), abs=1e-12)
        order = sorted(range(4), key=lambda m: one[m])
        assert found.exact[n] == (
            len(set(one)) == len(set(other)) == 4 and order == sorted(order, key=other.__getitem__)
        )
        tops = [[m for m in range(4) if values[m] == max(values)] for values in (one, other)]
        assert found.winner[n] == (len(tops[0]) == len(tops[1]) == 1 and tops[0] == tops[1])


def test_worth_by_hand():
    # Given a baseline that falls from 3/4 to 5/8 between 20 and 30 judgments: made to rise, it has 11/16 at both
    budgets, baseline = np.array([10, 20, 30, 50]), play.rising(np.array([[0.5, 0.75, 0.625, 0.875]]))[0]
    found = play.worth(np.array([0.4, 0.5, 0.59375, 0.6875, 0.78125, 0.875, 0.9]), budgets, baseline)
    assert found == pytest.approx([10, 10, 15, 20, 40, 50, np.inf])


# --- ratings


def plain_bradley_terry(battles, models):
    """The same likelihood and prior, by a general minimiser."""

    def loss(strength):
        total = (strength**2).sum() / 200
        for kind in battles:
            a, b = PAIRS[0][kind // 3], PAIRS[1][kind // 3]
            won = (kind % 3) / 2
            total += won * np.log1p(np.exp(strength[b] - strength[a]))
            total += (1 - won) * np.log1p(np.exp(strength[a] - strength[b]))
        return total

    return optimize.minimize(loss, np.zeros(models), tol=1e-12).x * 400 / np.log(10)


def test_ratings_are_those_of_a_plain_fit_whatever_is_missing():
    # Given two replications of different lengths: kind 3 p + h is pair p with h half points for its first model
    battles = np.array([[2, 2, 0, 5, 4, 8, 8, 7], [1, 3, 6, -1, -1, -1, -1, -1]])
    found = play.rate("bt", battles, PAIRS, 3, np.random.default_rng(0))
    for row, codes in zip(found, battles, strict=True):
        expected = plain_bradley_terry(codes[codes >= 0], 3)
        assert row - row.mean() == pytest.approx(expected - expected.mean(), abs=1e-2)


def test_equal_records_give_equal_ratings():
    battles = np.array([[0, 3, 5, 0, 6, 8, 2, 3, 2, 5]])  # each pair won as often as lost, in a queer order
    assert len(set(play.rate("bt", battles, PAIRS, 3, np.random.default_rng(0))[0])) == 1


def test_elo_is_the_plain_update_where_the_order_cannot_matter():
    found = play.rate("elo", np.array([[2, 2, 2], [1, -1, -1]]), PAIRS, 3, np.random.default_rng(0))
    a, b = 1000.0, 1000.0
    for _ in range(3):
        gain = 4 * (1 - 1 / (1 + 10 ** ((b - a) / 400)))
        a, b = a + gain, b - gain
    assert found == pytest.approx(np.array([[a, b, 1000], [1000, 1000, 1000]]), abs=1e-6)


# --- the halves


def ballots_of(items: list[list[list[int]]]) -> play.Ballots:
    """One list per item: its ballots, each a list of half points; items belong to pairs 0, 1, 2 in turn."""
    pair = np.sort(np.arange(len(items)) % 3)
    item = [n for n, ballots in enumerate(items) for _ in ballots]
    votes = [votes for ballots in items for votes in ballots]
    ballot = [n for n, of_ballot in enumerate(votes) for _ in of_ballot]
    return play.Ballots(3, PAIRS, pair, np.array(item), np.array(ballot), np.concatenate(votes))


@given(
    st.lists(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=2), min_size=3),
    st.integers(0, 99),
)
def test_the_items_of_each_pair_are_halved_and_a_ballot_answers_with_a_vote_of_its_own(items, seed):
    ballots = ballots_of(items)
    chance = play.split(ballots, seed, range(4))
    assert (chance.pool.sum(axis=1) == (len(items) + 1) // 2).all()
    for pair in range(3):
        of_pair = ballots.pair == pair
        assert (np.abs(2 * chance.pool[:, of_pair].sum(axis=1) - of_pair.sum()) <= 1).all()
    assert (ballots.ballot[chance.vote] == np.arange(len(ballots.item))).all()
    # A replication depends on nothing but the seed and its number
    alone = play.split(ballots, seed, range(2, 3))
    assert (alone.pool[0] == chance.pool[2]).all()
    assert (alone.vote[0] == chance.vote[2]).all()
    assert (alone.keys[0] == chance.keys[2]).all()
    # Gold has every vote of the other half
    gold = play.gold_battles(ballots, chance.pool)
    for row, pool in zip(gold, chance.pool, strict=True):
        expected = [
            3 * int(ballots.pair[n]) + vote
            for n, of_item in enumerate(items)
            if not pool[n]
            for votes in of_item
            for vote in votes
        ]
        assert sorted(row[row >= 0]) == sorted(expected)


@pytest.mark.parametrize("policy", ["uniform", "adaptive"])
def test_a_smaller_budget_is_the_beginning_of_a_larger_one_also_within_a_batch(policy):
    ballots = ballots_of([[[n % 3]] for n in range(40)])
    chance = play.split(ballots, 1, range(5))
    rows = np.arange(40)
    which = play.candidates(ballots, rows, rows / 40, rows)
    order = play.orders("mad", which, chance, 99)

    def battles(judgments):
        source = play.known_votes(ballots, order, chance.vote)
        rng = np.random.default_rng(3)
        return play.battles_of(policy, source, ballots, judgments, rng, floor=1, batch=4)

    whole = battles(30)
    assert ((whole >= 0).sum(axis=1) == 20).all()  # the pool runs out
    for budget in (1, 4, 6, 11, 20):
        assert (battles(budget) == whole[:, :budget]).all()
    # And the counts are those of the play that a live study follows
    source = play.known_votes(ballots, order, chance.vote)
    states = simulate(policy, source, PAIRS, models=3, judgments=8, rng=np.random.default_rng(3), batch=4)
    for state in states:
        seen = whole[:, : state.judgments]
        counts = np.stack([(seen // 3 == pair).sum(axis=1) for pair in range(3)], axis=1)
        assert (state.votes.votes == counts).all()
    assert state.judgments == 8


# --- the order of a live selection


class Judged:
    """A study of three models whose response pairs are measured, and judged by people."""

    def __init__(self, db: sqlite3.Connection, instructions: int = 24, seed: int = 0) -> None:
        self.db, self.study, self.rng = db, Study(db), np.random.default_rng(seed)
        self.metric = ensure_metric(db, char_ngram.NAME, char_ngram.PARAMETERS)
        self.models = [self.study.model(name) for name in ("high", "middle", "low")]
        db.execute("BEGIN")
        for number in range(instructions):
            self.instruction(number)
        db.execute("COMMIT")

    def instruction(self, number: int) -> None:
        """Each model answers, the first one sometimes twice; few scores, so that many are equal."""
        topic = ("the sea", "prime numbers", "old trains")[number % 3]
        instruction = self.study.instruction(f"Write about {topic}, part {number}", ("Writing", "Maths")[number % 2])
        answers = {model: [self.answer(instruction, model)] for model in ("high", "middle", "low")}
        if number % 4 == 0:
            answers["high"].append(self.answer(instruction, "high", 1))
        for a, b in combinations(answers, 2):
            for left in answers[a]:
                for right in answers[b]:
                    self.measured(instruction, (a, b), left, right)
                    self.judged(left, right)

    def answer(self, instruction: int, model: str, sample: int = 0) -> int:
        return self.study.response(instruction, model, f"{model} {sample} on {instruction}", sample)

    def measured(self, instruction: int, models: tuple[str, str], left: int, right: int) -> None:
        a, b = (self.study.model(name) for name in models)
        self.db.execute("INSERT OR IGNORE INTO pairs (model_a_id, model_b_id) VALUES (?, ?)", (a, b))
        values = self.rng.choice([0.1, 0.2, 0.3, 0.5]), int(self.rng.choice([10, 30, 60, 200])), self.rng.uniform(1, 5)
        self.db.execute(
            "INSERT INTO similarities (metric_id, pair_id, instruction_id, response_a_id, response_b_id, score,"
            " shorter_words, length_ratio) SELECT ?, id, ?, ?, ?, ?, ?, ? FROM pairs WHERE (model_a_id, model_b_id) ="
            " (?, ?)",
            (self.metric, instruction, left, right, *values, a, b),
        )

    def judged(self, left: int, right: int) -> None:
        winner = str(self.rng.choice(["model_a", "model_b", "tie"], p=[0.6, 0.2, 0.2]))
        self.study.judgment(left, right, winner)


@pytest.fixture
def judged(db: sqlite3.Connection) -> Judged:
    return Judged(db)


def whole_pool(db, strategy, diversity):
    """The order in which a replay picks, were all items in the pool: response pairs per pair of models, by its ids."""
    parameters = ReplayParameters(strategies=[strategy], diversity=diversity)
    material = replay._read(db, parameters)
    live = SelectionParameters(pairs="judged", strategy=strategy)
    keys = np.zeros((1, len(material.ballots.pair)), dtype=np.uint64)
    rows = db.execute(
        "SELECT DISTINCT p.id AS pair, r.instruction_id, j.response_a_id AS a, j.response_b_id AS b FROM judgments AS j"
        " JOIN responses AS r ON r.id = j.response_a_id JOIN responses AS q ON q.id = j.response_b_id"
        " JOIN pairs AS p ON (p.model_a_id, p.model_b_id) = (r.model_id, q.model_id)"
        " ORDER BY r.model_id, q.model_id, r.instruction_id, a, b"
    ).fetchall()
    key_of = strategies._Keys(db, live.seed)
    for row, item in zip(rows, material.ballots.item, strict=True):
        keys[0, item] = key_of.of(row["pair"], np.array([row["instruction_id"]]))[0]
    chance = play.Split(np.ones(keys.shape, dtype=bool), np.zeros((1, len(rows)), dtype=np.int64), keys)
    choice = material.filtered[strategy]
    order = play.orders(strategy, choice.candidates, chance, 999, choice.diverse)[0]
    return [[(rows[b]["a"], rows[b]["b"]) for b in of_pair if b >= 0] for of_pair in order]


@pytest.mark.parametrize(
    ("strategy", "diversity"),
    [("mad", 0), ("mad", 0.7), ("evidence", 0), ("evidence", 0.7), ("band", 0), ("random", 0)],
)
def test_a_replay_picks_in_the_order_of_a_live_selection(judged, strategy, diversity):
    # Given a live selection of everything that is judged, by this strategy
    parameters = SelectionParameters(pairs="judged", strategy=strategy, diversity=diversity, top_k=99, name="live")
    select.select(judged.db, parameters)
    rows = judged.db.execute("SELECT pair_id, response_a_id, response_b_id FROM selections ORDER BY pair_id, rank")
    live: dict[int, list[tuple[int, int]]] = {}
    for pair, a, b in rows:
        live.setdefault(pair, []).append((a, b))
    # Then the replay takes the same response pairs in the same order, filters and several answers included
    assert whole_pool(judged.db, strategy, diversity) == list(live.values())
    assert (strategy == "evidence") == ([len(picks) for picks in live.values()] == [24, 24, 24])  # no filters


def test_a_replay_goes_on_whatever_selections_there_are(judged):
    select.select(judged.db, SelectionParameters(min_words=0))  # has the default name
    assert replay.replay(judged.db, ReplayParameters(replications=2, strategies=["mad"])).replayed


# --- whole runs


def plain_replay(db, parameters, each):
    """Mean Spearman correlation of `mad`, pairs in turn, with `each` judgments per pair, read off the tables."""
    material = replay._read(db, parameters)
    ballots = material.ballots
    chance = play.split(ballots, parameters.seed, range(parameters.replications))
    found = []
    for pool, vote in zip(chance.pool, chance.vote, strict=True):
        chosen: list[int] = []
        for of_pair in material.filtered["mad"].candidates:
            rows = sorted(
                (score, item, ballot)
                for ballot, item, score in zip(of_pair.ballot, of_pair.item, of_pair.score, strict=True)
                if pool[item]
            )
            first = {item: ballot for _, item, ballot in reversed(rows)}
            in_order = dict.fromkeys(item for _, item, _ in rows)
            chosen += [vote[first[item]] for item in list(in_order)[:each]]
        sides = [
            plain_bradley_terry(ballots.battles(np.array(votes)), 3)
            for votes in (chosen, [n for n in range(len(ballots.ballot)) if not pool[ballots.item[ballots.ballot[n]]]])
        ]
        rounded = [np.round(side, 2) for side in sides]
        flat = any(len(set(side)) == 1 for side in rounded)
        found.append(0 if flat else stats.spearmanr(*rounded)[0])
    return np.array(found)


def test_a_run_is_what_a_plain_loop_gives(judged):
    parameters = ReplayParameters(strategies=["mad"], pair_policies=["uniform"], budgets=[9], replications=12)
    found = replay.replay(judged.db, parameters).replayed[1].budgets[0]
    expected = plain_replay(judged.db, parameters, 3)
    assert found.judgments == 9
    assert found.spearman == pytest.approx(expected.mean())
    assert found.spearman_se == pytest.approx(stats.sem(expected))


def test_the_rows_their_budgets_and_where_the_pool_ends(judged):
    parameters = ReplayParameters(strategies=["mad", "band"], budgets=[3, 12, 500], replications=20)
    found = replay.replay(judged.db, parameters)
    named = [(one.policy.name, one.policy.baseline, one.policy.filters) for one in found.replayed]
    assert named == [
        ("random choice", True, False),
        ("mad, uniform", False, True),
        ("mad, adaptive", False, True),
        ("band, uniform", False, True),
        ("band, adaptive", False, True),
    ]
    assert (found.items, found.gold, found.pool, found.pairs, found.votes) == (72, 36, 36, 3, 84)
    assert found.models == ["high", "middle", "low"]
    baseline, mad, *_ = found.replayed
    assert [at.judgments for at in baseline.budgets] == [3, 12, 36]
    assert [at.worth for at in baseline.budgets] == [3, 12, 36]
    assert baseline.budgets[2].spearman == found.ceiling.spearman
    assert mad.budgets[2].judgments == pytest.approx(found.eligible["mad"])
    assert found.eligible["mad"] < 36
    assert "36 items" in found.notes[0]
    for one in found.replayed:
        for at in one.budgets:
            assert (at.worth is None) == (at.worth_at_least is not None)
            assert -1 <= at.kendall <= at.exact_se + 1
    assert found == replay.replay(judged.db, parameters)  # the same seed, the same numbers


def test_what_is_not_measured_is_open_to_random_choice_alone(judged):
    judged.db.execute("DELETE FROM similarities WHERE id % 2 = 0")
    found = replay.replay(judged.db, ReplayParameters(strategies=["random"], budgets=[99], replications=5))
    assert found.replayed[0].budgets[0].judgments == 36
    assert found.replayed[1].budgets[0].judgments < 18
    assert "42 judged response pairs are not measured with char-ngram" in found.notes[0]
    assert "`madetl similarity --pairs judged`" in found.notes[0]


def test_the_verdicts_of_judge_models_are_neither_gold_nor_answers(judged):
    before = replay.replay(judged.db, ReplayParameters(strategies=["mad"], replications=5))
    judged.study.annotator("a-judge", "model")
    sql = "SELECT response_a_id, response_b_id FROM judgments"
    for left, right in judged.db.execute(sql).fetchall():
        judged.study.judgment(left, right, "model_b", "a-judge")
    assert replay.replay(judged.db, ReplayParameters(strategies=["mad"], replications=5)) == before


def test_blocks_of_replications_share_their_halves(judged, monkeypatch):
    parameters = ReplayParameters(strategies=["mad"], pair_policies=["uniform"], budgets=[9], replications=7)
    whole = replay.replay(judged.db, parameters)
    monkeypatch.setattr(replay, "_MAX_ENTRIES", 3 * 84)
    assert replay.replay(judged.db, parameters).replayed[1].budgets[0].spearman == whole.replayed[1].budgets[0].spearman


@pytest.mark.parametrize("policy", list(pair_policies.POLICIES))
def test_every_policy_and_elo_and_diversity_play(judged, policy):
    parameters = ReplayParameters(
        strategies=["evidence"], pair_policies=[policy], replications=3, method="elo", diversity=0.5, batch=5, floor=2
    )
    done = []
    found = replay.replay(judged.db, parameters, lambda *progress: done.append(progress))
    assert done[-1][0] == done[-1][1]
    assert all(at.judgments == at.budget for at in found.replayed[1].budgets[:1])


# --- what goes wrong


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"strategies": ["best"]}, "no strategy 'best'. There are: mad, evidence, band, random"),
        ({"pair_policies": ["best"]}, "no pair policy 'best'. There are: uniform, adaptive, closest, arena, d-optimal"),
        ({"strategies": []}, "Name at least one strategy"),
        ({"replications": 1}, "give 2 or more"),
        ({"budgets": [0]}, "1 or more"),
        ({"metric": "bleu"}, "No metric is called 'bleu'"),
        ({"metric": "empty"}, "No response pair that people judged is measured with empty"),
        ({"scenarios": ["Cooking"]}, "There is no scenario 'Cooking'"),
        ({"selections": ["pilt"]}, "There is no selection 'pilt'"),
        ({"models": ["high", "low"]}, "on 2 models"),
        ({"min_words": 999}, "passes the filters"),
    ],
)
def test_errors_say_what_to_do(judged, parameters, message):
    ensure_metric(judged.db, "empty")
    with pytest.raises(ParameterError) as error:
        replay.replay(judged.db, ReplayParameters(**parameters))
    assert message in str(error.value)


def test_without_votes_or_links_there_is_nothing_to_replay(judged, db):
    db.execute("DELETE FROM judgments WHERE response_a_id IN (SELECT id FROM responses WHERE model_id = 1)")
    with pytest.raises(ParameterError, match="on 2 models"):
        replay.replay(db, ReplayParameters())
    left, right = db.execute("SELECT response_a_id, response_b_id FROM similarities WHERE pair_id = 1").fetchone()
    judged.study.judgment(left, right, "tie")  # one item: it cannot be on both sides
    with pytest.raises(ParameterError, match=r"The parts are: high \| middle, low"):
        replay.replay(db, ReplayParameters())
    db.execute("DELETE FROM judgments")
    with pytest.raises(ParameterError, match="judged nothing yet"):
        replay.replay(db, ReplayParameters())


# --- the command


def test_the_command_prints_every_measure_and_draws(judged, madetl, tmp_path):
    words = ("replay", "--strategy", "mad,random", "--budgets", "6,12", "--replications", "20")
    done = madetl(*words, "--plot", tmp_path / "replay.svg")
    for title in ("Spearman", "Kendall", "gold's order", "gold's winner", "Worth so many"):
        assert title in done.stdout
    assert done.stdout.count("mad, adaptive ") >= 5
    assert "Best on average over the budgets: " in done.stdout.splitlines()[-1]
    assert "Drawn in" in done.stderr
    assert "<svg" in (tmp_path / "replay.svg").read_text()
    found = json.loads(madetl(*words, "--json").stdout)
    assert [row["strategy"] for row in found["policies"]] == ["random", "mad", "mad", "random", "random"]
    assert found["policies"][0]["baseline"]
    assert [at["budget"] for at in found["policies"][1]["budgets"]] == [6, 12]
    assert found["summary"] == done.stdout.splitlines()[-1]


def test_one_is_said_in_the_singular(judged, madetl):
    done = madetl("replay", "--strategy", "random", "--budgets", "1", "--replications", "2")
    assert "1 judgment is worth" in done.stdout
    assert "1 judgments" not in done.stdout


def test_usage_and_errors_of_the_command(judged, madetl):
    madetl("replay", "--plot", "replay.gif", status=2)
    assert "no folder" in madetl("replay", "--plot", "nowhere/replay.png", status=2).stderr
    madetl("replay", "--budgets", "many", status=2)
    madetl("replay", "--replications", "1", status=2)
    assert "There are: " in madetl("replay", "--strategy", "best", status=1).stderr


def test_on_real_votes_what_there_is_to_read_and_where_tells_more_than_chance(shared, madetl):
    files = sorted((shared / "mad_eval" / "chatbot_arena").glob("*.jsonl"))
    madetl("import", "mad-eval", *files, "--scenario", "arena")
    madetl("similarity", "--pairs", "judged")
    done = madetl("replay", "--strategy", "evidence", "--budgets", "30,60", "--replications", "100", "--json")
    chance, uniform, adaptive = (row["budgets"][1] for row in json.loads(done.stdout)["policies"])
    assert adaptive["spearman"] > chance["spearman"] + 0.02
    assert adaptive["spearman"] >= uniform["spearman"]
    assert adaptive["exact"] > max(chance["exact"] + 0.1, uniform["exact"])
    assert adaptive["worth"] > 120
