"""How many more judgments it takes: the forecasts in simulated worlds, and the advice on real database files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.stats import norm

from madetl.errors import ParameterError
from madetl.ranking import posterior, votes_so_far
from madetl.ranking.posterior import PairVotes
from madetl.selection.adaptive import advise as advice
from madetl.selection.adaptive import forecasts
from madetl.selection.adaptive.forecasts import Forecast, Plan
from madetl.store.database import transaction
from madetl.store.metrics import ensure_metric
from tests import calibration
from tests.conftest import Study
from tests.support import worlds as w
from tests.support.pool import Pool

MODELS = ["a", "b", "c", "d"]
ITEMS = 40
FEW = 30  # simulations, where the numbers do not matter
WINNER = {"w": "model_a", "l": "model_b", "t": "tie"}


def measured(
    study: Study, models: Sequence[str] = MODELS, scenario: str = "Writing", metrics: Sequence[str] = ("m",)
) -> Pool:
    """All models' answers to forty instructions, measured; in every pair the lower instruction comes first."""
    with transaction(study.db):
        pool = Pool(study)
        for model in models:
            study.model(model)
        for metric in metrics:
            pool.metric_id = ensure_metric(study.db, metric)
            for n in range(ITEMS):
                instruction_id = study.instruction(f"instruction {n}", scenario)
                for x, y in combinations(models, 2):
                    pool.similarity(instruction_id, x, y, n / 100)
    return pool


def judge(pool: Pool, scenario: str = "Writing", **verdicts: str) -> None:
    """`ab="wwlt"`: of the votes on a and b, each on an instruction of its own, a won two, lost one, and tied one."""
    ids = [row[0] for row in pool.db.execute("SELECT id FROM instructions WHERE scenario = ? ORDER BY id", (scenario,))]
    with transaction(pool.db):
        for (x, y), votes in verdicts.items():
            for instruction_id, vote in zip(ids, votes, strict=False):
                pool.study.judgment(pool.response(instruction_id, x), pool.response(instruction_id, y), WINNER[vote])


def advise(pool: Pool, **options) -> advice.Advice:
    return advice.advise(pool.db, **{"simulations": FEW, "cap": 500} | options)


def notes(found: advice.Advice) -> dict[str, str]:
    return {note.kind: note.text for note in found.notes}


@pytest.fixture
def pool(study: Study) -> Pool:
    return measured(study)


@pytest.fixture
def open_study(pool: Pool) -> Pool:
    """a is clearly first, and d clearly last; of b and c it is not clear."""
    first, even = "wwwwwwwwwl", "wwwllltwlw"
    judge(pool, ab=first, ac=first, ad=first * 2, bc=even, bd=first, cd=first)
    return pool


@pytest.fixture
def settled_study(pool: Pool) -> Pool:
    judge(pool, **{x + y: "wwwwl" * 6 for x, y in combinations(MODELS, 2)})
    return pool


# --- the numbers


def test_the_orders_are_as_sure_as_the_posterior_of_the_votes_says(open_study):
    found = advise(open_study)

    now = votes_so_far.read(open_study.db)
    mean, covariance = now.posterior.mean[0], now.posterior.covariance[0]
    order = sorted(range(4), key=lambda model: -mean[model])
    assert [now.names[model] for model in order] == MODELS
    for given, (i, j) in zip(found.orders, pairwise(order), strict=True):
        variance = covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]
        assert (given.higher, given.lower) == (now.names[i], now.names[j])
        assert given.sure == pytest.approx(norm.cdf((mean[i] - mean[j]) / np.sqrt(variance)))
    assert (found.models, found.votes, found.items) == (4, 70, 70)
    assert found.dispersion == pytest.approx(now.posterior.dispersion[0])
    assert found.spread == pytest.approx(400 / np.log(10) / np.sqrt(now.posterior.prior_precision[0]))


def test_what_is_clear_is_settled_and_what_is_not_costs_judgments_of_its_own_models(open_study):
    found = advise(open_study, simulations=100)

    first, middle, last = found.orders
    assert (first.needed.median, first.needed.pairs) == (0, [])
    assert (last.needed.median, last.needed.pairs) == (0, [])
    assert 0.5 <= middle.sure < 0.8
    assert 0 < middle.needed.lower <= middle.needed.median <= middle.needed.upper
    assert (middle.needed.pairs[0].model_a, middle.needed.pairs[0].model_b) == ("b", "c")
    assert middle.needed.pairs[0].share > 0.7
    assert middle.needed.pairs[0].judgments == round(middle.needed.pairs[0].share * middle.needed.median)
    assert sum(pair.share for pair in middle.needed.pairs) == pytest.approx(1)
    assert found.all_orders.median >= middle.needed.median * 0.7
    assert [pair.share for pair in found.all_orders.pairs] == sorted(
        (pair.share for pair in found.all_orders.pairs), reverse=True
    )


def test_the_same_seed_gives_the_same_advice_and_nothing_is_written(open_study):
    before = open_study.db.total_changes

    assert advise(open_study, seed=7) == advise(open_study, seed=7)
    assert open_study.db.total_changes == before


@pytest.mark.slow
def test_to_be_surer_takes_more_judgments(open_study):
    medians = [advise(open_study, simulations=100, target=target).all_orders.median for target in (0.8, 0.9, 0.95)]

    assert 0 < medians[0] < medians[1] < medians[2]


def test_a_scenario_is_advised_on_by_its_own_votes(study):
    pool, other = measured(study), measured(study, scenario="Coding")
    judge(pool, ab="wwwwwwww", bc="wwww")
    judge(other, scenario="Coding", ab="llll")

    assert advise(pool, scenarios=["Writing"]).votes == 12
    coding = advise(pool, scenarios=["Coding"])
    assert (coding.votes, coding.models, coding.orders[0].higher) == (4, 2, "b")
    assert advise(pool).votes == 16


def test_people_alone_count(open_study):
    judge_model = open_study.study.annotator("gpt-judge", "model")
    before = advise(open_study)
    open_study.db.execute(
        "INSERT INTO judgments (annotator_id, response_a_id, response_b_id, winner, source, source_id)"
        " SELECT ?, response_a_id, response_b_id, 'model_b', 'test', 'j' || id FROM judgments",
        (judge_model,),
    )

    assert advise(open_study) == before


# --- the words


def test_the_sentences_say_what_the_numbers_are(open_study):
    found = advise(open_study)

    middle = found.orders[1]
    sentence = advice.order_sentence(middle, found.cap)
    assert sentence.startswith(f"b before c: mostly on b – c ({advice.rounded(middle.needed.pairs[0].judgments)})")
    total = f"{advice.rounded(found.all_orders.median):,}"
    assert advice.all_sentence(found).startswith(
        f"All 3 orders at 95 %: about {total} more judgments, most of them on:"
    )


def test_after_enough_votes_everything_is_settled(settled_study):
    found = advise(settled_study)

    assert [order.needed.median for order in found.orders] == [0, 0, 0]
    assert advice.all_sentence(found) == (
        "All 3 orders at 95 %: settled. More judgments would hardly change the order."
    )
    assert found.command is None
    assert set(notes(found)) <= {"stopping"}


def test_an_order_that_the_cap_does_not_settle_may_be_called_a_tie(pool):
    judge(pool, ab="wl" * 20)

    found = advise(pool, cap=5)

    assert (found.orders[0].needed.median, found.orders[0].needed.upper) == (None, None)
    assert advice.order_sentence(found.orders[0], 5).endswith(
        ": more than 5 judgments would not settle it. Call it a tie?"
    )
    assert advice.all_sentence(found) == "The only order at 95 %: more than 5 more judgments."
    assert found.command is None


def test_the_orders_within_reach_are_asked_about_where_others_are_not(pool):
    even = "wl" * 20
    judge(pool, ab=even, ac="wwwwl" * 2, bc="wwwwl" * 2, cd="wwl", ad="wwwl", bd="wwwl")

    found = advise(pool, cap=100, simulations=100)

    assert found.orders[0].needed.median is None
    assert found.all_orders.median is None
    within = sum(order.needed.median or 0 for order in found.orders)
    assert within > 0
    assert f"--budget {advice.rounded(within)} " in found.command


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.5, "50 %"),
        (0.949999, "94 %"),
        (0.95, "95 %"),
        (0.29, "29 %"),
        (0.9949, "99.4 %"),
        (0.99, "99 %"),
        (1.0, "99.9 %"),
    ],
)
def test_nothing_short_of_a_target_looks_as_if_it_had_reached_it(share, text):
    assert advice.percent(share) == text


@pytest.mark.parametrize(("judgments", "shown"), [(1, 1), (17, 17), (58, 60), (432, 430), (1213, 1200), (1990, 2000)])
def test_a_forecast_has_as_many_figures_as_it_deserves(judgments, shown):
    assert advice.rounded(judgments) == shown


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        ("wl" * 10, "Votes vary as coin flips would (dispersion 1.0"),
        ("wltt" * 5, "less than coin flips would, as votes with ties do (dispersion 0."),
    ],
)
def test_what_votes_say_with_and_without_ties(pool, verdicts, words):
    judge(pool, ab=verdicts)

    assert words in advice.votes_sentence(advise(pool))


def test_votes_on_one_item_that_are_alike_say_less_than_votes_on_items_of_their_own(pool):
    for annotator in ("x", "y", "z"):
        for n, instruction_id in enumerate(row[0] for row in pool.db.execute("SELECT id FROM instructions")):
            pair = pool.response(instruction_id, "a"), pool.response(instruction_id, "b")
            pool.study.judgment(*pair, "model_a" if n % 2 else "model_b", annotator, annotator)

    found = advise(pool)

    assert (found.votes, found.items) == (120, 40)
    assert found.dispersion > 2
    assert "since those on one item are alike (dispersion 2." in advice.votes_sentence(found)
    assert "each says as much as 0." in advice.votes_sentence(found)


# --- what a reader must know


def test_models_without_votes_are_named_with_how_to_place_them(study):
    pool = measured(study, ["a", "b", "c", "d", "e e", "f"])
    judge(pool, ab="wwwww", ac="wwwww", bc="wwwww")

    found = advise(pool)

    assert notes(found)["unjudged"] == (
        "nobody has voted on an answer of d, e e, f, so the order is without: "
        "`madetl select --adaptive --place d --budget N` finds its place."
    )


def test_groups_that_no_votes_connect_are_named(pool):
    judge(pool, ab="wwwwl", cd="wwwwl")

    found = advise(pool)

    assert notes(found)["components"] == (
        "no chain of votes connects these groups, so nothing is known of their order: a, b; c, d."
    )


def test_few_items_are_said_to_be_few(pool):
    judge(pool, ab="ww", ac="w", bc="wl")
    few = notes(advise(pool))
    judge(pool, ad="www", bd="www", cd="wwwwwww")

    assert few["few"] == "5 judged items on 3 pairs of models are few: what models are usually like says much of this."
    assert "few" not in notes(advise(pool))


# --- what cannot be advised on


def test_without_votes_there_is_nothing_to_go_by(pool):
    with pytest.raises(ParameterError, match=r"There are no votes by people to go by\. `madetl select` picks"):
        advise(pool)


def test_a_database_with_one_model_has_nothing_to_go_by(study):
    study.response(study.instruction("one"), "only", "words")

    with pytest.raises(ParameterError, match="There are no votes by people to go by"):
        advice.advise(study.db)


def test_a_scenario_without_votes_points_to_those_of_others(study):
    pool = measured(study)
    measured(study, scenario="Coding")
    judge(pool, ab="w")

    with pytest.raises(
        ParameterError, match=r"no votes by people in scenario Coding to go by.*`madetl advise` without --scen"
    ):
        advise(pool, scenarios=["Coding"])


def test_an_unknown_scenario_lists_those_there_are(open_study):
    with pytest.raises(ParameterError, match=r"There is no scenario 'Wriitng'\. The database has: Writing"):
        advise(open_study, scenarios=["Wriitng"])


@pytest.mark.parametrize("wrong", [{"target": 0.5}, {"target": 1.0}, {"simulations": 0}, {"seed": -1}])
def test_numbers_that_make_no_sense_are_refused(open_study, wrong):
    with pytest.raises(ParameterError, match=f"--{next(iter(wrong))}"):
        advise(open_study, **wrong)


# --- the command


def test_the_command_prints_a_table_the_sentences_and_what_is_next(open_study, madetl):
    done = madetl("advise", "--simulations", FEW, "--target", 0.9)

    found = advise(open_study, target=0.9, cap=2000)
    assert advice.votes_sentence(found) in done.stdout
    assert "more judgments to 90 %" in done.stdout
    assert advice.order_sentence(found.orders[1], found.cap) in done.stdout
    assert advice.middle_half_sentence(found) in done.stdout
    assert advice.all_sentence(found) in done.stdout
    assert done.stdout.rstrip().endswith(f"Next: {found.command}")
    rows = [line.split() for line in done.stdout.splitlines() if " before " in line and ": mostly" not in line]
    assert [row[:3] for row in rows] == [["a", "before", "b"], ["b", "before", "c"], ["c", "before", "d"]]
    assert [row[-1] for row in rows if row[0] != "b"] == ["settled", "settled"]


def test_json_has_the_same_numbers(open_study, madetl):
    given = json.loads(madetl("advise", "--simulations", FEW, "--json").stdout)

    found = advise(open_study, cap=2000)
    assert [order["sure"] for order in given["orders"]] == pytest.approx([order.sure for order in found.orders])
    assert given["orders"][1]["needed"]["median"] == found.orders[1].needed.median
    assert given["all_orders"]["median"] == found.all_orders.median
    assert (given["target"], given["cap"], given["simulations"], given["seed"]) == (0.95, 2000, FEW, 42)
    assert given["command"] == found.command


def test_when_all_is_settled_ranking_is_next(settled_study, madetl, db_file):
    done = madetl("advise", "--simulations", FEW)

    assert "All 3 orders at 95 %: settled." in done.stdout
    assert done.stdout.rstrip().endswith("Next: madetl rank --method bt")
    named = madetl("--db", db_file, "advise", "--simulations", FEW)
    assert named.stdout.rstrip().endswith(f"Next: madetl --db {db_file} rank --method bt")
    assert "call it a tie" not in done.stdout


def test_errors_are_one_line_and_status_one(pool, madetl):
    assert "There are no votes by people to go by" in madetl("advise", status=1).stderr
    assert "The database has: Writing" in madetl("advise", "--scenario", "Wriitng", status=1).stderr
    assert "--target" in madetl("advise", "--target", 1.5, status=2).stderr


def run(madetl, command: str) -> dict:
    program, *arguments = shlex.split(command)
    assert program == "madetl"
    return json.loads(madetl(*arguments, "--json").stdout)


@pytest.mark.parametrize(
    ("metrics", "named"), [(["char-ngram"], ""), (["m", "char-ngram"], "--metric char-ngram "), (["m"], "")]
)
def test_the_command_it_suggests_begins_an_adaptive_selection(study, madetl, metrics, named):
    pool = measured(study, scenario="Creative writing", metrics=metrics)
    judge(pool, "Creative writing", ab="wwl", bc="wlw", cd="wwl")
    found = advise(pool, scenarios=["Creative writing"], target=0.8)

    result = run(madetl, found.command)

    asked = advice.rounded(found.all_orders.median)
    assert found.command == (
        f"madetl select --adaptive --scenario 'Creative writing' {named}--budget {asked} --stop-at 0.8"
    )
    assert (result["pair_policy"], result["budget"]) == ("adaptive", asked)
    assert result["new"] > 0


def test_the_command_it_suggests_extends_the_adaptive_selection_that_there_is(open_study, madetl):
    begin = [
        *("--adaptive", "--budget", "20", "--name", "my own", "--strategy", "evidence"),
        *("--min-words", "5", "--max-length-ratio", "3", "--seed", "9", "--metric", "m"),
    ]
    picked = json.loads(madetl("select", *begin, "--json").stdout)
    rows = open_study.db.execute("SELECT response_a_id, response_b_id FROM selections LIMIT 4").fetchall()
    for a, b in rows:
        open_study.study.judgment(a, b, "tie", "later")
    found = advise(open_study)

    result = run(madetl, found.command)

    asked = advice.rounded(found.all_orders.median)
    assert picked["new"] == 6
    assert "--name 'my own'" in found.command
    assert result["budget"] == max(20, 4 + asked)
    sets = open_study.db.execute("SELECT name, strategy, budget FROM selection_sets").fetchall()
    assert [tuple(row) for row in sets] == [("my own", "evidence", max(20, 4 + asked))]


# --- the forecasts


@pytest.mark.parametrize("dispersion", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("number", [1, 7])
def test_simulated_judgments_vary_as_those_that_were_given(dispersion, number):
    p = np.repeat([0.1, 0.5, 0.8], 100_000)
    votes = PairVotes.none(len(p), 1)

    pair, rng = np.zeros(len(p), dtype=int), np.random.default_rng(4)
    forecasts._vote(votes, pair, number, p, spread=dispersion**0.5, rng=rng)

    residuals = (votes.wins_squared - 2 * p[:, None] * votes.wins_votes + p[:, None] ** 2 * votes.votes_squared)[:, 0]
    for chance in (0.1, 0.5, 0.8):
        rows = p == chance
        variance = dispersion * chance * (1 - chance)
        points = votes.wins[rows, 0]
        assert (votes.votes[rows] == number).all()
        assert points.mean() == pytest.approx(number * chance, abs=4 * np.sqrt(number * variance / rows.sum()))
        assert points.var() == pytest.approx(number * variance, rel=0.03)
        assert residuals[rows].mean() == pytest.approx(number * variance, rel=0.03)


def one_world(seed: int = 3, items: int = 6) -> tuple[w.Worlds, PairVotes, posterior.Posterior]:
    world = w.normal(1, 4, seed=seed)
    votes = world.judged(items)
    return world, votes, w.fitted(world, votes)


def test_quantiles_count_what_the_cap_cut_off_as_infinite():
    found = Forecast(np.array([[1.0, 2.0], [4.0, 4.0], [9.0, 1.0], [5.0, 5.0]]), np.array([True, True, True, False]))

    assert [found.quantile(share) for share in (0.25, 0.5, 0.75, 1.0)] == [8, 10, np.inf, np.inf]


def test_a_forecast_asks_until_each_order_is_sure_and_no_further():
    world, votes, now = one_world()
    sure = now.probability(*now.neighbours())[0]

    each = forecasts.of_each_order(world.pairs, votes, now, Plan(target=0.9, simulations=FEW, cap=50))

    assert [(one.judgments.sum(axis=1) == 0).all() for one in each] == [bool(s >= 0.9) for s in sure]
    for one in each:
        totals = one.judgments.sum(axis=1)
        assert (totals[~one.settled] == 50).all()
        assert (totals <= 50).all()


def test_a_pair_that_nobody_judged_is_not_asked_about_where_every_order_is_sure(pool):
    judge(pool, ab="w" * 12, bc="w" * 12)

    found = advise(pool)

    assert [order.needed.median for order in found.orders] == [0, 0]
    assert found.all_orders.median == 0
    assert found.command is None


def test_the_command_is_about_the_models_of_the_advice(pool):
    judge(pool, ab="wl" * 6)
    pool.similarity(pool.study.instruction("one more"), "a", "newcomer", 0.3)

    command = advise(pool).command

    assert "--models a,b " in command


def test_where_nothing_is_measured_that_comes_first(pool):
    judge(pool, ab="wl" * 6)
    pool.db.execute("DELETE FROM similarities")

    assert advise(pool).command == "madetl similarity"


def test_the_order_of_the_models_ids_does_not_matter_beyond_noise():
    world, votes, now = one_world()
    renamed = tuple(3 - side for side in world.pairs)
    now_renamed = posterior.fit(renamed, votes, 4)
    plan = Plan(simulations=600, target=0.9, cap=500)

    before = forecasts.of_all_orders(world.pairs, votes, now, plan)
    after = forecasts.of_all_orders(renamed, votes, now_renamed, plan)

    assert (3 - now_renamed.order()).tolist() == now.order().tolist()
    for share in (0.25, 0.5):
        assert after.quantile(share) == pytest.approx(before.quantile(share), rel=0.25)
    assert shares(after) == pytest.approx(shares(before), abs=0.05)


def shares(one: Forecast) -> np.ndarray:
    """Which share of its judgments each pair gets, on average over the simulations that ask for any."""
    totals = one.judgments.sum(axis=1, keepdims=True)
    return (one.judgments / np.maximum(totals, 1))[totals[:, 0] > 0].mean(axis=0)


@pytest.mark.slow
def test_what_was_forecast_is_about_what_it_takes(monkeypatch):
    monkeypatch.setattr(calibration, "CAP", 100)

    lower, median, upper = calibration.forecast_and_truth(w.normal(30, 3), 5)

    # of 30 worlds: a share of one half has a standard error of 9 points; the cap on both sides counts as forecast
    assert lower < median < upper
    assert lower == pytest.approx(0.25, abs=0.2)
    assert median == pytest.approx(0.5, abs=0.2)
    assert upper == pytest.approx(0.75, abs=0.2)
