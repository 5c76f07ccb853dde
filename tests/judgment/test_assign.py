"""Which pairs the page deals to whom, what becomes of a verdict, and what undo and skip leave behind."""

from __future__ import annotations

import sqlite3
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.errors import ParameterError
from madetl.exporting import sheets
from madetl.judgment import annotate, assign
from madetl.judgment.assign import PageStudy
from madetl.store import runs
from madetl.store.database import transaction
from madetl.store.selections import find_set
from tests.conftest import Study as Rows
from tests.support.sheet_study import MODELS, fresh, select, small_study


def begun(db: sqlite3.Connection, **options) -> PageStudy:
    """The page's study on the latest selection, as `madetl annotate` starts it."""
    chosen = find_set(db)
    with runs.run(db, "annotate", {}) as run:
        pass
    defaults = {"overlap": 1, "repeat": 0.0, "seed": 42}
    return PageStudy(set_id=chosen["id"], selection=chosen["name"], run_id=run.id, **(defaults | options))


def people(db: sqlite3.Connection, *names: str) -> list[int]:
    return [assign.person(db, name) for name in names]


def judge_all(db, study: PageStudy, who: int, choice: annotate.Choice = "first") -> list[int]:
    """Judges until nothing is left; the numbers of the assignments in order."""
    assignments = []
    number = annotate.begin(db, study, who)
    while number is not None:
        assert annotate.judge(db, study, who, number, choice)
        assignments.append(number)
        number = assign.current_assignment(db, study, who)
    return assignments


def column(db, sql: str, *values) -> list:
    return [row[0] for row in db.execute(sql, values)]


def age(db, minutes: int) -> None:
    """Moves the time of every deal this many minutes into the past."""
    db.execute(
        "UPDATE assignments SET dealt_at = strftime('%Y-%m-%dT%H:%M:%fZ', dealt_at, ?)", (f"-{minutes} minutes",)
    )


class TestOnePerson:
    def test_everything_is_judged_once_and_then_nothing_is_left(self, db):
        small_study(db, 5)
        study = begun(db)
        [ann] = people(db, "ann")
        assignments = judge_all(db, study, ann)
        assert len(assignments) == len(set(assignments)) == 15
        assert column(db, "SELECT DISTINCT judgments FROM selected_pairs") == [1]
        assert annotate.begin(db, study, ann) is None
        assert annotate.progress(db, study, ann) == annotate.AnnotatorProgress(15, 15, 15, 15)

    def test_an_open_assignment_stays_until_it_is_answered(self, db):
        small_study(db, 2)
        study = begun(db)
        [ann] = people(db, "ann")
        first = annotate.begin(db, study, ann)
        assert annotate.begin(db, study, ann) == first
        assert annotate.begin(db, begun(db, seed=7), ann) == first
        assert column(db, "SELECT count(*) FROM assignments") == [1]

    def test_a_verdict_is_a_row_with_all_that_is_known_of_it(self, db):
        small_study(db, 1, MODELS[:2])
        study = begun(db)
        [ann] = people(db, "ann")
        number = annotate.begin(db, study, ann)
        db.execute("UPDATE assignments SET shown_first = 'model_b'")
        age(db, 1)
        annotate.judge(db, study, ann, number, "first", seconds=12.345, comment="  shorter\0 ")
        [row] = db.execute("SELECT * FROM judgments").fetchall()
        assert (row["winner"], row["shown_first"], row["seconds"], row["comment"]) == (
            "model_b", "model_b", 12.3, "shorter\ufffd",
        )  # fmt: skip
        assert (row["source"], row["source_id"], row["assignment_id"]) == ("page", f"item:{number}", number)
        assert row["run_id"] == study.run_id
        [assignment] = db.execute("SELECT * FROM assignments").fetchall()
        assert (assignment["state"], assignment["decided_at"]) == ("judged", row["created_at"])

    @pytest.mark.parametrize(
        ("shown_first", "choice", "winner"),
        [
            ("model_a", "first", "model_a"),
            ("model_a", "second", "model_b"),
            ("model_b", "first", "model_b"),
            ("model_b", "second", "model_a"),
            ("model_b", "tie", "tie"),
            ("model_b", "both_bad", "both_bad"),
        ],
    )
    def test_choices_are_stored_in_canonical_order(self, db, shown_first, choice, winner):
        small_study(db, 1, MODELS[:2])
        study = begun(db)
        [ann] = people(db, "ann")
        number = annotate.begin(db, study, ann)
        db.execute("UPDATE assignments SET shown_first = ?", (shown_first,))
        annotate.judge(db, study, ann, number, choice)
        assert column(db, "SELECT winner FROM judgments") == [winner]
        assert annotate.last_decision(db, study, ann)["choice"] == choice

    def test_an_assignment_is_answered_once_however_often_the_form_is_sent(self, db):
        small_study(db, 2)
        study = begun(db)
        [ann] = people(db, "ann")
        number = annotate.begin(db, study, ann)
        assert annotate.judge(db, study, ann, number, "first")
        assert not annotate.judge(db, study, ann, number, "second")
        assert not annotate.skip(db, study, ann, number)
        assert column(db, "SELECT count(*) FROM judgments") == [1]

    def test_nobody_answers_an_assignment_that_is_not_theirs(self, db):
        small_study(db, 2)
        study = begun(db)
        ann, bob = people(db, "ann", "bob")
        number = annotate.begin(db, study, ann)
        assert not annotate.judge(db, study, bob, number, "first")
        assert not annotate.judge(db, study, ann, 999, "first")
        assert column(db, "SELECT count(*) FROM judgments") == [0]

    @pytest.mark.parametrize(
        ("seconds", "opened", "stored"),
        [
            (3.04, 5, 3.0),
            (0, 5, 0.0),
            (6, 5, 6.0),
            (8, 5, None),
            (-1, 5, None),
            (float("nan"), 5, None),
            (float("inf"), 5, None),
            (6 * 3600 + 1, 1e6, None),
            (None, 5, None),
        ],
    )
    def test_seconds_that_cannot_be_true_are_unknown(self, seconds, opened, stored):
        assert annotate.plausible(seconds, opened) == stored


class TestBlindOrder:
    def test_each_model_of_a_pair_is_first_equally_often_for_each_person(self, db):
        small_study(db, 10)
        study = begun(db, overlap=2)
        for who in people(db, "ann", "bob"):
            judge_all(db, study, who)
        shown = Counter(tuple(row) for row in db.execute(
            "SELECT a.annotator_id, s.pair_id, a.shown_first FROM assignments AS a"
            " JOIN selections AS s ON s.id = a.selection_id"
        ))  # fmt: skip
        assert set(shown.values()) == {5}
        assert len(shown) == 2 * 3 * 2

    def test_assignments_come_in_an_order_that_tells_no_pair_and_differs_between_people(self, db):
        small_study(db, 10)
        study = begun(db, overlap=2)
        orders = []
        for who in people(db, "ann", "bob"):
            judge_all(db, study, who)
            sql = "SELECT selection_id FROM assignments WHERE annotator_id = ? ORDER BY dealt_at"
            orders.append(column(db, sql, who))
        pairs = [column(db, "SELECT pair_id FROM selections WHERE id = ?", pick)[0] for pick in orders[0]]
        assert sum(a != b for a, b in pairwise(pairs)) > 10  # in order of the pairs it would be 2
        assert orders[0] != sorted(orders[0])
        assert orders[0] != orders[1]
        assert sorted(orders[0]) == sorted(orders[1])

    def test_an_assignments_number_says_nothing_of_when_it_was_dealt(self, db):
        small_study(db, 10)
        numbers = judge_all(db, begun(db), *people(db, "ann"))
        assert sum(later > earlier for earlier, later in pairwise(numbers)) in range(10, 20)  # of 29
        assert {len(str(number)) for number in numbers} == {6}

    def test_there_are_always_numbers_left(self, db, monkeypatch):
        monkeypatch.setattr(assign, "_LOWEST_ID", 1)
        small_study(db, 10)
        numbers = judge_all(db, begun(db), *people(db, "ann"))
        assert len(set(numbers)) == 30
        assert max(numbers) in range(10, 100)

    def test_the_same_seed_deals_the_same(self):
        orders = []
        for seed in (1, 1, 2):
            with fresh() as (db, _):
                small_study(db, 4)
                judge_all(db, begun(db, seed=seed), *people(db, "ann"))
                orders.append([tuple(row) for row in db.execute("SELECT selection_id, shown_first FROM assignments")])
        assert orders[0] == orders[1] != orders[2]


class TestSeveralPeople:
    def test_two_people_never_have_the_same_open_slot(self, db):
        small_study(db, 1)
        study = begun(db)
        who = people(db, "ann", "bob", "cleo", "dan")
        numbers = [annotate.begin(db, study, one) for one in who]
        assert numbers[3] is None
        assert len(set(column(db, "SELECT selection_id FROM assignments"))) == 3

    def test_every_pair_has_a_verdict_before_any_has_two(self, db):
        small_study(db, 4)
        study = begun(db, overlap=2)
        who = people(db, "ann", "bob", "cleo")
        for turn in range(24):
            number = annotate.begin(db, study, who[turn % 3])
            annotate.judge(db, study, who[turn % 3], number, "tie")
            counts = column(db, "SELECT judgments FROM selected_pairs")
            untouched = "SELECT count(*) FROM selections WHERE id NOT IN (SELECT selection_id FROM assignments)"
            assert max(counts) == 1 or column(db, untouched) == [0]
        assert set(counts) == {2}
        assert all(annotate.begin(db, study, one) is None for one in who)

    def test_an_assignment_left_open_goes_to_somebody_else_after_a_while(self, db):
        small_study(db, 1, MODELS[:2])
        study = begun(db)
        ann, bob = people(db, "ann", "bob")
        hers = annotate.begin(db, study, ann)
        assert annotate.begin(db, study, bob) is None
        age(db, 31)
        his = annotate.begin(db, study, bob)
        assert his not in (None, hers)
        # While he has it, it is not hers any more; what she has on her screen still counts.
        assert annotate.begin(db, study, ann) is None
        assert annotate.judge(db, study, ann, hers, "first")
        assert annotate.judge(db, study, bob, his, "first")
        assert column(db, "SELECT count(*) FROM judgments") == [2]

    def test_an_open_assignment_is_taken_up_again_where_nobody_needed_it(self, db):
        small_study(db, 1, MODELS[:2])
        study = begun(db)
        ann, bob = people(db, "ann", "bob")
        hers = annotate.begin(db, study, ann)
        age(db, 600)
        assert annotate.begin(db, study, ann) == hers
        age(db, 600)
        his = annotate.begin(db, study, bob)
        annotate.judge(db, study, bob, his, "tie")
        assert annotate.begin(db, study, ann) is None

    def test_of_several_who_have_a_pair_open_the_first_keeps_it(self, db):
        small_study(db, 1, MODELS[:2])
        ann, bob, cleo = people(db, "ann", "bob", "cleo")
        numbers = [annotate.begin(db, begun(db, overlap=3), who) for who in (ann, bob, cleo)]
        fewer = begun(db, overlap=1)
        assert [assign.current_assignment(db, fewer, who) for who in (ann, bob, cleo)] == [numbers[0], None, None]

    def test_verdicts_from_elsewhere_count_and_are_not_asked_for_again(self, db):
        small_study(db, 2, MODELS[:2])
        rows = Rows(db)
        [first, second] = db.execute("SELECT response_a_id, response_b_id FROM selections ORDER BY id").fetchall()
        rows.annotator("gpt-4", "model")
        rows.judgment(*first, "tie", annotator="ann")
        rows.judgment(*second, "tie", annotator="gpt-4")
        ann, bob = people(db, "ann", "bob")
        assert annotate.progress(db, begun(db), bob).total == 1
        assert len(judge_all(db, begun(db), bob)) == 1
        assert len(judge_all(db, begun(db, overlap=2), ann)) == 1
        assert len(judge_all(db, begun(db, overlap=2), bob)) == 1
        assert column(db, "SELECT judgments FROM selected_pairs ORDER BY selection_id") == [2, 3]

    def test_everybody_sees_their_own_progress_and_that_of_all(self, db):
        small_study(db, 2)
        study = begun(db)
        ann, bob = people(db, "ann", "bob")
        for _ in range(4):
            annotate.judge(db, study, ann, annotate.begin(db, study, ann), "first")
        assert annotate.progress(db, study, ann) == annotate.AnnotatorProgress(4, 6, 4, 6)
        assert annotate.progress(db, study, bob) == annotate.AnnotatorProgress(0, 2, 4, 6)

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["judge", "skip", "undo", "again"])), max_size=40),
        st.integers(1, 3),
    )
    @pytest.mark.slow
    def test_whatever_people_do_no_verdict_is_lost_and_none_is_too_many(self, steps, overlap):
        with fresh() as (db, _):
            small_study(db, 2)
            study = begun(db, overlap=overlap, repeat=0.3)
            who = people(db, "ann", "bob", "cleo")
            stored = 0
            for one, step in steps:
                number = annotate.begin(db, study, who[one])
                last = annotate.last_decision(db, study, who[one])
                if step == "undo":
                    stored -= annotate.undo(db, study, who[one]) and last["choice"] != "skip"
                elif step == "again":
                    annotate.take_up_skipped(db, study, who[one])
                elif number is not None and step == "skip":
                    annotate.skip(db, study, who[one], number)
                elif number is not None:
                    stored += annotate.judge(db, study, who[one], number, "first")
            assert column(db, "SELECT count(*) FROM judgments") == [stored]
            assert column(db, "SELECT count(*) FROM assignments WHERE state = 'judged'") == [stored]
            per_pair = column(
                db,
                "SELECT count(DISTINCT annotator_id) FROM taken_slots GROUP BY selection_id",
            )
            assert max(per_pair, default=0) <= overlap
            for one in who:
                judge_all(db, study, one)
                annotate.take_up_skipped(db, study, one)
                judge_all(db, study, one)
            assert set(column(db, "SELECT judgments > 0 FROM selected_pairs")) == {1}


class TestUndo:
    def test_the_pair_comes_back_as_it_was_and_the_row_stays_as_the_trace(self, db):
        small_study(db, 2)
        study = begun(db)
        [ann] = people(db, "ann")
        number = annotate.begin(db, study, ann)
        before = annotate.current(db, study, ann)
        annotate.judge(db, study, ann, number, "first", comment="oops")
        interrupted = assign.current_assignment(db, study, ann)

        assert annotate.undo(db, study, ann)

        again = annotate.current(db, study, ann)
        assert (again.key, again.response_1, again.response_2) == (before.key, before.response_1, before.response_2)
        assert again.id != number
        assert column(db, "SELECT count(*) FROM judgments") == [0]
        assert annotate.progress(db, study, ann).done == 0
        annotate.judge(db, study, ann, again.id, "second")
        states = (
            "SELECT state FROM assignments"
            " WHERE selection_id = (SELECT selection_id FROM assignments WHERE id = ?) ORDER BY dealt_at"
        )
        assert column(db, states, number) == ["undone", "judged"]
        assert assign.current_assignment(db, study, ann) == interrupted

    def test_it_goes_back_step_by_step(self, db):
        small_study(db, 2)
        study = begun(db)
        [ann] = people(db, "ann")
        for choice in ("first", "tie"):
            annotate.judge(db, study, ann, annotate.begin(db, study, ann), choice)
        keys = []
        while annotate.undo(db, study, ann):
            keys.append(annotate.current(db, study, ann).key)
        assert len(set(keys)) == 2
        states = column(db, "SELECT state FROM assignments ORDER BY dealt_at")
        assert states == ["undone", "undone", "open", "open", "open"]

    def test_a_skip_can_be_taken_back_too_and_is_history_once_judged(self, db):
        small_study(db, 1)
        study = begun(db)
        [ann] = people(db, "ann")
        number = annotate.begin(db, study, ann)
        key = annotate.current(db, study, ann).key
        annotate.skip(db, study, ann, number)
        assert annotate.last_decision(db, study, ann)["choice"] == "skip"
        assert annotate.undo(db, study, ann)
        assert annotate.current(db, study, ann).key == key
        judge_all(db, study, ann)
        while annotate.undo(db, study, ann):
            pass
        assert column(db, "SELECT count(*) FROM assignments WHERE state = 'open'") == [3]

    def test_a_skip_stays_where_somebody_else_has_the_pair_now(self, db):
        small_study(db, 1, MODELS[:2])
        study = begun(db)
        ann, bob = people(db, "ann", "bob")
        annotate.skip(db, study, ann, annotate.begin(db, study, ann))
        his = annotate.begin(db, study, bob)
        assert annotate.last_decision(db, study, ann) is None
        assert not annotate.undo(db, study, ann)
        assert assign.current_assignment(db, study, bob) == his

    def test_it_leaves_others_and_sheets_alone(self, db):
        small_study(db, 1)
        study = begun(db)
        ann, bob = people(db, "ann", "bob")
        annotate.judge(db, study, ann, annotate.begin(db, study, ann), "first")
        assert not annotate.undo(db, study, bob)
        db.execute("UPDATE judgments SET source = 'sheet'")
        assert not annotate.undo(db, study, ann)
        assert column(db, "SELECT count(*) FROM judgments") == [1]


class TestSkip:
    def test_skipped_pairs_come_back_in_their_order_when_asked_for(self, db):
        small_study(db, 2)
        study = begun(db)
        [ann] = people(db, "ann")
        keys = []
        for _ in range(2):
            number = annotate.begin(db, study, ann)
            keys.append(annotate.current(db, study, ann).key)
            annotate.skip(db, study, ann, number)
        assert len(judge_all(db, study, ann)) == 4
        assert len(annotate.skipped(db, study, ann)) == 2
        assert annotate.take_up_skipped(db, study, ann) == 2
        assert annotate.skipped(db, study, ann) == []
        again = []
        while (shown := annotate.current(db, study, ann)) is not None:
            again.append(shown.key)
            annotate.judge(db, study, ann, shown.id, "tie")
        assert again == keys
        states = Counter(column(db, "SELECT state FROM assignments"))
        assert states == {"judged": 6, "skipped": 2}

    def test_somebody_else_judges_what_one_skips(self, db):
        small_study(db, 1, MODELS[:2])
        study = begun(db)
        ann, bob = people(db, "ann", "bob")
        annotate.skip(db, study, ann, annotate.begin(db, study, ann))
        assert annotate.begin(db, study, ann) is None
        assert len(judge_all(db, study, bob)) == 1
        assert annotate.skipped(db, study, ann) == []


class TestOneVote:
    def test_a_verdict_on_the_page_does_not_count_where_the_vote_came_in_meanwhile(self, db):
        """Given a pair on the page, when a table brings the annotator's vote on it first, the page's is a repeat."""
        small_study(db, 1)
        study = begun(db)
        [ann] = people(db, "ann")
        assignment = annotate.begin(db, study, ann)
        pair = db.execute(
            "SELECT response_a_id, response_b_id FROM selections"
            " WHERE id = (SELECT selection_id FROM assignments WHERE id = ?)",
            (assignment,),
        ).fetchone()
        Rows(db).judgment(*pair, "tie", "ann")
        assert annotate.judge(db, study, ann, assignment, "first")
        assert column(db, "SELECT status FROM judgments ORDER BY id") == ["counted", "repeat"]
        assert annotate.undo(db, study, ann)
        assert column(db, "SELECT status FROM judgments ORDER BY id") == ["counted"]

    def test_a_name_written_otherwise_is_the_same_person(self, db):
        assert people(db, "Ann", " ann ", "ANN", "bob") == [1, 1, 1, 2]


class TestRepeats:
    def test_a_share_is_asked_again_later_with_the_order_drawn_anew(self, db):
        small_study(db, 20)
        study = begun(db, repeat=0.25)
        [ann] = people(db, "ann")
        assert annotate.progress(db, study, ann).total == 75
        assignments = judge_all(db, study, ann)
        assert len(assignments) == 60 + 15
        assert annotate.progress(db, study, ann).done == 75
        rows = db.execute("SELECT selection_id, repeat, shown_first FROM assignments ORDER BY dealt_at").fetchall()
        position = {(row["selection_id"], row["repeat"]): n for n, row in enumerate(rows)}
        gaps = [position[key] - position[key[0], 0] for key in position if key[1] == 1]
        assert len(gaps) == 15
        assert min(gaps) > assign.REPEAT_GAP
        side = {(row["selection_id"], row["repeat"]): row["shown_first"] for row in rows}
        assert {side[key] == side[key[0], 0] for key in side if key[1] == 1} == {True, False}

    def test_none_is_asked_twice_in_a_row_even_at_the_end(self, db):
        small_study(db, 2)
        judge_all(db, begun(db, repeat=1.0), *people(db, "ann"))
        picks = column(db, "SELECT selection_id FROM assignments ORDER BY dealt_at")
        assert all(a != b for a, b in pairwise(picks))
        assert max(Counter(picks).values()) == 2

    def test_few_pairs_have_no_repeat(self, db):
        small_study(db, 2)
        assert len(judge_all(db, begun(db, repeat=0.05), *people(db, "ann"))) == 6

    def test_twenty_pairs_have_one_at_five_per_cent(self, db):
        small_study(db, 20, MODELS[:2])
        assert len(judge_all(db, begun(db, repeat=0.05), *people(db, "ann"))) == 21


class TestWithSheets:
    def test_the_page_goes_on_with_a_sheet_in_the_order_dealt(self, db, tmp_path: Path):
        small_study(db, 3)
        sheets.export_sheet(db, tmp_path / "ann.csv", selection="latest", annotator="ann", seed=1)
        before = {row["id"]: row["shown_first"] for row in db.execute("SELECT id, shown_first FROM assignments")}
        ann, bob = people(db, "ann", "bob")
        study = begun(db)
        assert annotate.begin(db, study, bob) is not None  # a sheet keeps nothing from others
        assignments = judge_all(db, study, ann)
        assert len(assignments) == 8
        assert set(assignments) < set(before)
        after = {row["id"]: row["shown_first"] for row in db.execute("SELECT id, shown_first FROM assignments")}
        assert after.items() >= before.items()

    def test_what_was_skipped_on_the_page_stands_on_a_sheet_once(self, db, tmp_path: Path):
        small_study(db, 1)
        study = begun(db)
        [ann] = people(db, "ann")
        annotate.skip(db, study, ann, annotate.begin(db, study, ann))
        annotate.judge(db, study, ann, annotate.begin(db, study, ann), "tie")
        annotate.undo(db, study, ann)
        annotate.judge(db, study, ann, annotate.begin(db, study, ann), "first")
        done = sheets.export_sheet(db, tmp_path / "ann.csv", selection="latest", annotator="ann", seed=1)
        assert done.items == 2
        assert annotate.take_up_skipped(db, study, ann) == 1
        assert len(judge_all(db, study, ann)) == 2

    def test_a_verdict_that_was_deleted_is_asked_for_again(self, db):
        small_study(db, 1)
        study = begun(db)
        [ann] = people(db, "ann")
        judge_all(db, study, ann)
        [number] = column(db, "SELECT assignment_id FROM judgments WHERE id = 2")
        db.execute("DELETE FROM judgments WHERE id = 2")
        assert judge_all(db, study, ann) == [number]

    def test_a_judge_models_name_is_refused(self, db):
        Rows(db).annotator("gpt-4", "model")
        with pytest.raises(ParameterError, match="judge model"):
            assign.person(db, "gpt-4")


def test_pairs_whose_answers_name_a_model_are_marked(db, study):
    instruction = study.instruction("Who are you?")
    study.model("other-9")
    a, b, c = (
        study.response(instruction, model, text)
        for model, text in [("zeta-1", "A model."), ("alpha-2", "Nobody."), ("mid-3", "Not OTHER-9!")]
    )
    select(db, [(a, b), (a, c)])
    assert column(db, "SELECT names_a_model FROM selected_pairs ORDER BY selection_id") == [0, 1]


def test_a_failed_deal_stores_no_verdict(db):
    small_study(db, 1)
    study = begun(db)
    [ann] = people(db, "ann")
    number = annotate.begin(db, study, ann)
    db.execute("CREATE TRIGGER full BEFORE INSERT ON assignments BEGIN SELECT raise(ABORT, 'full'); END")
    with pytest.raises(sqlite3.IntegrityError, match="full"):
        annotate.judge(db, study, ann, number, "first")
    assert column(db, "SELECT count(*) FROM judgments") == [0]
    assert column(db, "SELECT state FROM assignments") == ["open"]
    with transaction(db):  # nothing was left open
        pass
