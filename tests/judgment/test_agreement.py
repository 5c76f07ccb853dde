"""How well annotators agree: the numbers against published ones and plain loops, the report on real database files."""

from __future__ import annotations

import json
import math
import random
import statistics
import warnings
from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from madetl.errors import ParameterError
from madetl.judgment import agreement
from madetl.judgment.agreement import CATEGORIES
from madetl.judgment.reliability import cohen_kappa, confusion, krippendorff_alpha, observed_agreement, share
from madetl.store import sqlfiles
from tests.conftest import Study
from tests.support.sheet_study import fresh, small_study

WINNERS = {"a": "model_a", "b": "model_b", "t": "tie", "x": "both_bad"}


# --- the numbers


def counts(units, categories):
    return np.array([[unit.count(category) for category in categories] for unit in units])


@pytest.mark.parametrize(
    ("units", "published"),
    [
        ("01 11 01 00 00 01 00 00 10 00", 0.095),  # section A: binary, two observers
        ("ab aa bb bb db cc cc cc ee dd dd ad", 0.692),  # section B: nominal, two observers
        ("11.1 2232 3333 3333 2222 1234 4444 1121 2222 .555 ..11 ..3.", 0.743),  # section C: four, values missing
    ],
)
def test_alpha_is_krippendorffs_in_his_examples(units, published):
    """Computing Krippendorff's Alpha-Reliability, 2011; each word holds the values of one unit."""
    table = counts(units.split(), sorted(set(units) - set(" .")))
    assert krippendorff_alpha(table).alpha == pytest.approx(published, abs=5e-4)


def plain_alpha(units):
    """1 - D_o / D_e pair by pair: within units, weighted by 1 / (m - 1), and over all pairable values."""
    units = [unit for unit in units if len(unit) >= 2]
    values = [value for unit in units for value in unit]
    within = sum(sum(a != b for a, b in combinations(unit, 2)) * 2 / (len(unit) - 1) for unit in units) / len(values)
    across = sum(a != b for a, b in combinations(values, 2)) / math.comb(len(values), 2)
    return 1 - within / across if across else None


UNITS = st.lists(st.text("abtx", max_size=5), min_size=1, max_size=30)


@given(UNITS)
def test_alpha_is_the_plain_sum_over_pairs(units):
    expected = plain_alpha(units) if any(len(unit) >= 2 for unit in units) else None
    found = krippendorff_alpha(counts(units, "abtx")).alpha
    assert found == (None if expected is None else pytest.approx(expected))


@given(UNITS, st.lists(st.booleans(), min_size=30, max_size=30))
def test_unordered_figures_do_not_depend_on_which_model_is_called_the_first(units, flips):
    flipped = [unit.translate(str.maketrans("ab", "ba")) if f else unit for unit, f in zip(units, flips, strict=False)]
    alphas = [krippendorff_alpha(counts(some, "abtx"), unordered=True).alpha for some in (units, flipped)]
    assert alphas[0] == (None if alphas[1] is None else pytest.approx(alphas[1]))
    tables = [confusion([(unit[0], unit[1], 1) for unit in some if len(unit) > 1], "abtx") for some in (units, flipped)]
    kappas = [cohen_kappa(table, unordered=True) for table in tables]
    assert kappas[0] == (None if kappas[1] is None else pytest.approx(kappas[1]))


def test_unordered_alpha_is_what_random_orders_give_on_average():
    rng = random.Random(1)
    units = ["aa"] * 300 + ["ab"] * 60 + ["at"] * 20 + ["tt"] * 20 + ["bb"] * 10
    drawn = []
    for _ in range(300):
        flipped = [unit.translate(str.maketrans("ab", "ba")) if rng.random() < 0.5 else unit for unit in units]
        drawn.append(krippendorff_alpha(counts(flipped, "abtx")).alpha)
    table = counts(units, "abtx")
    unordered = krippendorff_alpha(table, unordered=True).alpha
    assert unordered == pytest.approx(statistics.mean(drawn), abs=2e-3)
    assert krippendorff_alpha(table).alpha < unordered - 0.2


def test_alphas_interval_is_the_middle_of_resampled_items():
    units = counts(["aaa", "aab", "abb", "bbb", "tta", "ab", "bb", "tt", "a"] * 6, "abtx")
    found = krippendorff_alpha(units, rounds=5000, seed=5)
    rng = np.random.default_rng(0)
    pairable = units[units.sum(axis=1) > 1]
    rounds = [pairable[rng.integers(0, len(pairable), len(pairable))] for _ in range(5000)]
    drawn = [krippendorff_alpha(one).alpha for one in rounds]
    lower, upper = np.percentile(drawn, [2.5, 97.5])
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=0.015)
    assert found == krippendorff_alpha(units, rounds=5000, seed=5)


@pytest.mark.parametrize("units", [[], ["a", "b"], ["aa", "aaa"]])
def test_alpha_of_nothing_to_compare_is_none(units):
    found = krippendorff_alpha(counts(units, "abtx").reshape(-1, 4), rounds=10)
    assert (found.alpha, found.lower, found.upper) == (None, None, None)


@pytest.mark.parametrize(
    ("table", "published"),
    [
        ([[20, 5], [10, 15]], 0.4),  # 50 grant proposals, two readers: the usual textbook example
        ([[45, 15], [25, 15]], 0.1304),  # the same raw agreement of 60 %, other marginals
        ([[25, 35], [5, 35]], 0.2593),
    ],
)
def test_kappa_in_textbook_examples(table, published):
    assert cohen_kappa(np.array(table)) == pytest.approx(published, abs=5e-5)


@given(st.lists(st.tuples(st.sampled_from("abtx"), st.sampled_from("abtx")), min_size=1, max_size=50))
def test_kappa_is_scikit_learns(verdicts):
    one, other = zip(*verdicts, strict=True)
    found = cohen_kappa(confusion([(*pair, 1) for pair in verdicts], "abtx"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn divides by zero where there is no kappa
        expected = cohen_kappa_score(one, other, labels=list("abtx"))
    assert found == (None if math.isnan(expected) else pytest.approx(expected))


@pytest.mark.parametrize(
    ("count", "whole", "lower", "upper"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_in_newcombes_examples(count, whole, lower, upper):
    """Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I."""
    found = share(count, whole)
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=5e-5)
    turned = share(whole - count, whole)
    assert (1 - turned.upper, 1 - turned.lower) == pytest.approx((found.lower, found.upper))


def test_a_share_of_nothing_is_none():
    assert share(0, 0) is None


def test_observed_agreement_by_hand():
    """2 of 2 equal, 2 of 6 ordered pairs equal among three: (2 + 2 / 2) / (2 + 3)."""
    assert observed_agreement(counts(["aa", "aab", "t"], "abtx"), np.array([1, 1, 9])) == pytest.approx(3 / 5)


# --- the report


def item(study: Study, number: int, scenario: str = "Writing") -> tuple[int, int]:
    instruction = study.instruction(f"Describe {number}.", scenario)
    sql = "SELECT id FROM responses WHERE instruction_id = ? ORDER BY model_id"
    known = [row[0] for row in study.db.execute(sql, (instruction,))]
    return tuple(known or [study.response(instruction, m, f"{m} on {number}") for m in ("x", "y")])


def vote(
    study: Study,
    annotator: str,
    winners: str,
    *,
    scenario: str = "Writing",
    start: int = 0,
    source_id: str = "1",
    status: str = "counted",
):
    """One verdict per letter, on items start, start + 1, …; '.' leaves one out."""
    for number, letter in enumerate(winners, start):
        if letter != ".":
            study.judgment(*item(study, number, scenario), WINNERS[letter], annotator, source_id, status=status)


@pytest.fixture
def three(study: Study) -> Study:
    """ann and bob share six items, a judge has five of them; cat judges alone."""
    vote(study, "ann", "aabbtx")
    vote(study, "bob", "aabatt")
    vote(study, "cat", "ab", scenario="Coding", start=50)
    study.annotator("gpt-judge", "model")
    vote(study, "gpt-judge", "aabaa")
    return study


def by_name(found):
    return {one.annotator: one for one in found.annotators}


def test_the_report_by_hand(three, db):
    overall, coding, writing = agreement.report(db).scenarios
    assert [one.scenario for one in (overall, coding, writing)] == ["overall", "Coding", "Writing"]
    assert (overall.people, overall.votes, overall.response_pairs, overall.shared) == (3, 14, 8, 6)
    assert (writing.people, writing.response_pairs, writing.shared) == (2, 6, 6)
    assert overall.same == writing.same == pytest.approx(4 / 6)
    assert overall.alpha == writing.alpha
    assert overall.alpha.alpha == pytest.approx(plain_alpha(["aa", "aa", "bb", "ba", "tt", "xt", "a", "b"]))
    assert (coding.alpha.alpha, coding.shared, coding.same) == (None, 0, None)
    pair = overall.pairs[0]
    assert (pair.annotator_a, pair.annotator_b, pair.response_pairs, pair.agreed) == ("ann", "bob", 6, 4)
    assert pair.agreement == pytest.approx(4 / 6)
    assert pair.kappa == pytest.approx(cohen_kappa_score(list("aabbtx"), list("aabatt")))
    with_judge = [one for one in overall.pairs if one.kind_b == "model" or one.kind_a == "model"]
    assert [(one.annotator_a, one.annotator_b, one.response_pairs, one.agreed) for one in with_judge] == [
        ("ann", "gpt-judge", 5, 3), ("bob", "gpt-judge", 5, 4),
    ]  # fmt: skip
    # most people: a, a, b, tie (one each way), tie
    (judge,) = overall.judges
    assert (judge.judge, judge.response_pairs, judge.agreed) == ("gpt-judge", 5, 3)
    assert judge.kappa == pytest.approx(cohen_kappa_score(list("aabaa"), list("aabtt")))


def test_the_verdicts_of_judges_are_not_in_peoples_alpha(three, db):
    before = agreement.report(db).scenarios[0]
    vote(three, "gpt-judge", "bbbbb", source_id="2", status="repeat")
    three.annotator("other-judge", "model")
    vote(three, "other-judge", "bbbbbb")
    after = agreement.report(db).scenarios[0]
    assert (after.alpha, after.same, after.shared) == (before.alpha, before.same, before.shared)


def test_one_scenario_alone_is_what_it_is_among_others(three, db):
    among = agreement.report(db).scenarios
    alone = agreement.report(db, scenarios=["Writing"]).scenarios
    assert alone == [among[2]]


def test_habits_by_hand(study, db):
    vote(study, "ann", "aabbtx")
    rows = [("model_a", 10), ("model_b", None), ("model_b", 40), (None, 20), ("model_a", 30), ("model_a", 1)]
    for number, (first, seconds) in enumerate(rows, 1):
        db.execute("UPDATE judgments SET shown_first = ?, seconds = ? WHERE id = ?", (first, seconds, number))
    ann = by_name(agreement.report(db).scenarios[0])["ann"]
    assert (ann.ties.count, ann.ties.of, ann.both_bad) == (1, 6, 1)
    # decided with a known order: a (a first), a (b first), b (b first)
    assert (ann.first_wins.count, ann.first_wins.of) == (2, 3)
    assert ann.seconds == statistics.median([10, 40, 20, 30, 1])
    db.execute("UPDATE judgments SET seconds = NULL WHERE id = 6")
    assert by_name(agreement.report(db).scenarios[0])["ann"].seconds == statistics.median([10, 40, 20, 30])


def test_the_vote_counts_between_annotators_and_what_was_revised_is_told_of(three, db):
    before = agreement.report(db)
    vote(three, "ann", "bbb", source_id="2", status="revised")
    after = agreement.report(db)
    assert after.scenarios[0].pairs == before.scenarios[0].pairs
    assert after.scenarios[0].alpha == before.scenarios[0].alpha
    ann = by_name(after.scenarios[0])["ann"]
    assert (ann.votes, ann.revised, ann.repeats) == (6, 3, 0)
    assert "3 verdicts of annotators were revised" in next(note.text for note in after.notes if note.kind == "revised")
    assert "revised" not in {note.kind for note in before.notes}


def test_a_crowd_agrees_with_nobody_and_counts_among_most_people(three, db):
    before = agreement.report(db).scenarios[0]
    three.annotator("arena", "crowd")
    for number in range(3):
        vote(three, "arena", "bbbbbb", source_id=str(number))
    report = agreement.report(db)
    after = report.scenarios[0]
    assert (after.people, after.alpha, after.pairs) == (before.people, before.alpha, before.pairs)
    assert by_name(after)["arena"].votes == 18
    assert "arena (18 votes)" in next(note.text for note in report.notes if note.kind == "crowds")
    # most people say b now; the judge said a, a, b, a, a
    assert [(judge.response_pairs, judge.agreed) for judge in after.judges] == [(5, 1)]


def test_a_crowd_alone_is_no_person(study, db):
    study.annotator("arena", "crowd")
    vote(study, "arena", "aab")
    report = agreement.report(db)
    assert report.scenarios[0].people == 0
    assert "Only a crowd has judged" in next(note.text for note in report.notes if note.kind == "overlap")


def repeat(db, annotator: str, selection: int, first: str, *again: str) -> None:
    """A pair judged on its first assignment, and again as repeats 1, 2, …; canonical order, shown in any."""
    who = Study(db).annotator(annotator)
    a, b = db.execute("SELECT response_a_id, response_b_id FROM selections WHERE id = ?", (selection,)).fetchone()
    # The repeats are stored first, as where a first verdict was undone and given anew.
    for number, letter in sorted(enumerate((first, *again)), reverse=True):
        status = "repeat" if number else "counted"
        side = ("model_a", "model_b")[number % 2]
        assignment = db.execute(
            "INSERT INTO assignments (selection_id, annotator_id, repeat, shown_first, state)"
            " VALUES (?, ?, ?, ?, 'judged')",
            (selection, who, number, side),
        ).lastrowid
        db.execute(
            "INSERT INTO judgments (annotator_id, response_a_id, response_b_id, winner, shown_first, assignment_id,"
            " source, source_id, status) VALUES (?, ?, ?, ?, ?, ?, 'page', ?, ?)",
            (who, a, b, WINNERS[letter], side, assignment, f"item:{assignment}", status),
        )


def test_repeats_tell_how_far_one_agrees_with_oneself_and_nothing_else(db):
    small_study(db, 6)
    repeat(db, "ann", 1, "a", "a")
    repeat(db, "ann", 2, "b", "a", "a")
    repeat(db, "ann", 3, "t", "t")
    repeat(db, "bob", 1, "b", "b")
    repeat(db, "bob", 2, "b")
    overall = agreement.report(db).scenarios[0]
    ann, bob = by_name(overall)["ann"], by_name(overall)["bob"]
    assert (ann.again.count, ann.again.of) == (2, 4)
    assert ann.again_kappa == pytest.approx(cohen_kappa_score(list("abbt"), list("aaat")))
    assert (bob.again.count, bob.again.of, bob.again_kappa) == (1, 1, None)
    (pair,) = overall.pairs
    assert (pair.response_pairs, pair.agreed) == (2, 1)  # ann's first verdict on the second item was b
    assert (ann.response_pairs, ann.votes, ann.repeats) == (3, 3, 4)
    everybody = next(one for one in overall.everybody if one.kind == "person")
    assert (everybody.again.count, everybody.again.of, everybody.repeats) == (3, 5, 5)


def test_an_item_dealt_again_after_an_undo_has_one_vote(db):
    small_study(db, 2)
    repeat(db, "ann", 1, "a", "a")
    db.execute(
        "INSERT INTO assignments (selection_id, annotator_id, repeat, shown_first, state)"
        " VALUES (1, (SELECT id FROM annotators), 0, 'model_a', 'undone')"
    )
    assert by_name(agreement.report(db).scenarios[0])["ann"].again.of == 1


VERDICTS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from("pqrs"), st.sampled_from("abtx")), min_size=1, max_size=40
)


@settings(max_examples=25, deadline=None)
@given(VERDICTS)
def test_the_views_are_a_plain_loop_over_the_rows(verdicts):
    with fresh() as (db, _):
        study = Study(db)
        first: dict[str, dict[int, str]] = defaultdict(dict)
        seen: Counter = Counter()
        for name in "pqrs":
            study.annotator(name)
        for number, annotator, letter in verdicts:
            seen[number, annotator] += 1
            source_id = str(seen[number, annotator])
            status = "counted" if source_id == "1" else "repeat"
            vote(study, annotator, letter, start=number, source_id=source_id, status=status)
            first[annotator].setdefault(number, letter)
        rows = db.execute("SELECT * FROM agreement WHERE scenario = 'overall'").fetchall()
        expected = {}
        for a, b in combinations("pqrs", 2):
            both = sorted(first[a].keys() & first[b].keys())
            if both:
                one, other = [first[a][n] for n in both], [first[b][n] for n in both]
                table = confusion([(*pair, 1) for pair in zip(one, other, strict=True)], "abtx")
                expected[a, b] = (
                    len(both), int(np.trace(table)), cohen_kappa(table), cohen_kappa(table, unordered=True),
                )  # fmt: skip
        found = {
            (r["annotator_a"], r["annotator_b"]): (r["response_pairs"], r["agreed"], r["kappa"], r["kappa_unordered"])
            for r in rows
        }
        assert found.keys() == expected.keys()
        for key, (items, agreed, *kappas) in expected.items():
            assert found[key][:2] == (items, agreed)
            assert list(found[key][2:]) == [None if k is None else pytest.approx(k, abs=1e-12) for k in kappas]


# --- what a reader is told


def note_kinds(report):
    return {note.kind for note in report.notes}


def test_no_overlap_says_so_and_which_command_gives_it(study, db):
    vote(study, "ann", "aab")
    report = agreement.report(db)
    assert report.scenarios[0].alpha.alpha is None
    text = next(note.text for note in report.notes if note.kind == "overlap")
    assert "Only one person has judged" in text
    assert "madetl annotate --overlap 2" in text
    assert "madetl export annotations" in text
    vote(study, "bob", "aab", start=10)
    text = next(note.text for note in agreement.report(db).notes if note.kind == "overlap")
    assert "No pair of answers was judged by two people" in text


def test_judges_alone_are_reported_without_people(study, db):
    for name in ("j1", "j2"):
        study.annotator(name, "model")
        vote(study, name, "aabt")
    overall = agreement.report(db).scenarios[0]
    assert (overall.people, len(overall.pairs), overall.judges) == (0, 1, [])
    assert overall.pairs[0].agreement == 1


def test_notes_come_where_they_are_due(three, db):
    assert note_kinds(agreement.report(db)) == {"few", "order", "time", "repeats"}
    db.execute("UPDATE judgments SET shown_first = 'model_a', seconds = 5")
    assert note_kinds(agreement.report(db)) == {"few", "repeats"}
    for person in ("ann", "bob"):
        vote(three, person, "a" * 100, start=100)
    vote(three, "ann", "b" * 10, start=200)
    vote(three, "bob", "a" * 10, start=200)
    assert note_kinds(agreement.report(db)) == {"lopsided", "repeats"}


def test_everybody_always_the_same_has_no_alpha(study, db):
    for person in ("ann", "bob"):
        vote(study, person, "a" * 30)
    report = agreement.report(db)
    assert (report.scenarios[0].alpha.alpha, report.scenarios[0].pairs[0].kappa) == (None, None)
    assert report.scenarios[0].same == 1
    assert "alike" in note_kinds(report)


def test_errors_say_what_there_is(study, db):
    with pytest.raises(ParameterError, match="Nobody has judged anything yet"):
        agreement.report(db)
    vote(study, "ann", "a")
    item(study, 1, "Coding")
    with pytest.raises(ParameterError, match="Nobody has judged anything in scenario Coding yet"):
        agreement.report(db, scenarios=["Coding"])
    with pytest.raises(ParameterError, match="There is no scenario 'Cooking'"):
        agreement.report(db, scenarios=["Cooking"])
    with pytest.raises(ParameterError, match="0 rounds"):
        agreement.report(db, rounds=0)
    assert not db.in_transaction


def test_the_table_of_people_fits_80_columns(madetl):
    shown = madetl("--db", sqlfiles.example(), "agreement").stdout.splitlines()
    header = next(line for line in shown if "unordered alpha" in line)
    assert header.split() == ["scenario", "people", "pairs", "2+", "same", "alpha", "unordered", "alpha"]
    assert max(map(len, shown[: shown.index(header) + 7])) <= 80


def test_the_command_prints_tables_and_json(three, db, madetl):
    done = madetl("agreement")
    assert "unordered alpha" in done.stdout
    assert "gpt-judge (judge model)" in done.stdout
    assert "first-shown wins" not in done.stdout  # nothing is known of it
    assert "Note: no vote tells which answer was shown first" in done.stderr
    found = json.loads(madetl("agreement", "--scenario", "Writing", "--json").stdout)
    assert found["scenarios"][0]["alpha"]["alpha"] == pytest.approx(agreement.report(db).scenarios[2].alpha.alpha)
    assert CATEGORIES == ("model_a", "model_b", "tie", "both_bad")
