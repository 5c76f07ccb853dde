"""The blind sheet: what stands on it, what it gives away, and what becomes of its cells."""

from __future__ import annotations

import json
import random
from collections import Counter
from itertools import pairwise

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madetl.errors import ParameterError
from madetl.formats.sheets import item_number, protected, same_text, unprotected, verdict
from madetl.formats.verdicts import utc_time
from madetl.judgment import assign
from madetl.store import database
from tests.conftest import Study
from tests.support.sheet_study import MODELS, export, filled, read, select, small_study, take, write


class TestExport:
    def test_the_sheet_holds_what_a_person_needs_and_nothing_else(self, db, study, tmp_path):
        instruction = study.instruction("Say hello.", input="in French")
        a, b = (
            study.response(instruction, "zeta-1", "Bonjour !"),
            study.response(instruction, "alpha-2", "Salut, « toi »"),
        )
        select(db, [(a, b)])

        done = export(db, tmp_path / "sheet.csv")

        assert (done.items, done.selection) == (1, "pilot")
        assert (tmp_path / "sheet.csv").read_bytes().startswith(b"\xef\xbb\xbfitem,instruction,response_1,response_2,")
        (row,) = read(tmp_path / "sheet.csv")
        first = db.execute("SELECT id, shown_first FROM assignments").fetchone()
        texts = ["Bonjour !", "Salut, « toi »"]
        assert list(row) == ["item", "instruction", "response_1", "response_2", "winner", "comment"]
        assert row["item"] == str(first["id"])
        assert row["instruction"] == "Say hello.\n\nin French"
        assert [row["response_1"], row["response_2"]] == (texts if first["shown_first"] == "model_a" else texts[::-1])
        assert (row["winner"], row["comment"]) == ("", "")

    def test_reference_answers_have_a_column_where_there_are_any(self, db, tmp_path):
        small_study(db, 2)
        db.execute("UPDATE instructions SET reference_answer = '=1' WHERE id = 1")
        export(db, tmp_path / "sheet.csv")
        rows = read(tmp_path / "sheet.csv")
        assert list(rows[0])[:3] == ["item", "instruction", "reference_answer"]
        assert {row["reference_answer"] for row in rows} == {"'=1", ""}

    def test_no_name_of_a_model_stands_on_it(self, db, tmp_path):
        small_study(db)
        export(db, tmp_path / "sheet.csv")
        text = (tmp_path / "sheet.csv").read_text(encoding="utf-8-sig")
        assert not any(model in text for model in MODELS)

    def test_numbers_are_handed_out_across_the_pairs(self, db, tmp_path):
        small_study(db)
        export(db, tmp_path / "sheet.csv")
        pairs = [row[0] for row in db.execute(
            "SELECT s.pair_id FROM assignments AS a JOIN selections AS s ON s.id = a.selection_id ORDER BY a.id"
        )]  # fmt: skip
        picks = [row[0] for row in db.execute("SELECT selection_id FROM assignments ORDER BY id")]
        assert pairs != sorted(pairs)
        assert picks != sorted(picks)
        # Ten items of each of three pairs: in order of the pairs, two neighbours would differ only twice.
        assert sum(a != b for a, b in pairwise(pairs)) > 10

    def test_each_model_of_a_pair_is_shown_first_equally_often(self, db, tmp_path):
        small_study(db, 10)
        export(db, tmp_path / "sheet.csv")
        shown = Counter(tuple(row) for row in db.execute(
            "SELECT s.pair_id, a.shown_first FROM assignments AS a JOIN selections AS s ON s.id = a.selection_id"
        ))  # fmt: skip
        assert set(shown.values()) == {5}

    def test_a_second_export_is_the_same_file(self, db, tmp_path):
        small_study(db)
        export(db, tmp_path / "one.csv")
        done = export(db, tmp_path / "two.csv", seed=7)
        assert done.dealt == 0
        assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()

    def test_the_same_seed_deals_the_same_sheet_and_another_another(self, tmp_path):
        contents = []
        for number, seed in enumerate((1, 1, 2)):
            with database.writing(tmp_path / f"{number}.db") as db:
                small_study(db)
                export(db, tmp_path / f"{number}.csv", seed=seed)
            contents.append((tmp_path / f"{number}.csv").read_bytes())
        assert contents[0] == contents[1] != contents[2]

    def test_an_extended_selection_adds_items_and_keeps_the_old_ones(self, db, tmp_path):
        small_study(db, 5, MODELS[:2])
        export(db, tmp_path / "one.csv")
        before = read(tmp_path / "one.csv")
        study = Study(db)
        for number in range(5):
            ids = [
                row[0]
                for row in db.execute("SELECT id FROM responses WHERE instruction_id = ? ORDER BY id", (number + 1,))
            ]
            new = study.response(number + 1, "new-4", f"Something new about place {number}.")
            select(db, [(old, new) for old in ids], start=900 + number * 10)

        done = export(db, tmp_path / "two.csv")

        after = read(tmp_path / "two.csv")
        assert (done.dealt, done.items) == (10, 15)
        assert [row for row in after if row in before] == before
        assert [int(row["item"]) for row in after] == sorted(int(row["item"]) for row in after)

    @pytest.mark.parametrize("seed", range(5))
    def test_neither_place_nor_number_tells_a_model_that_came_later(self, db, tmp_path, seed):
        small_study(db, 20, MODELS[:2])
        export(db, tmp_path / "one.csv", seed=seed)
        study = Study(db)
        for number in range(1, 21):
            old = db.execute("SELECT min(id) FROM responses WHERE instruction_id = ?", (number,)).fetchone()[0]
            select(db, [(old, study.response(number, "new-4", f"New {number}."))], start=900 + number)
        export(db, tmp_path / "two.csv", seed=seed)
        new = ["New " in row["response_1"] + row["response_2"] for row in read(tmp_path / "two.csv")]
        # Of 20 new items 10 ± 1.6 stand in the first half if chance puts them there, and none if they came last.
        assert sum(new) == 20
        assert sum(new[:20]) in range(5, 16)
        assert {len(row["item"]) for row in read(tmp_path / "two.csv")} == {6}

    def test_balance_is_kept_over_the_extension(self):
        rng = random.Random(5)
        for count, a, b in [(3, 4, 1), (5, 0, 0), (4, 2, 3), (1, 0, 5)]:
            sides = Counter(assign.balanced_sides(count, a, b, rng))
            total_a, total_b = a + sides["model_a"], b + sides["model_b"]
            assert abs(total_a - total_b) == max(abs(a - b) - count, (a + b + count) % 2)

    def test_an_annotator_has_a_sheet_of_their_own_without_what_they_judged(self, db, tmp_path):
        small_study(db, 4)
        export(db, tmp_path / "ann.csv", annotator="ann")
        export(db, tmp_path / "bob.csv", annotator="bob")
        items = [row["item"] for row in read(tmp_path / "ann.csv")]
        take(db, str(filled(tmp_path / "ann.csv", {items[0]: "tie", items[5]: "response_1"})))

        done = export(db, tmp_path / "rest.csv", annotator="ann")

        assert done.items == 10
        assert [row["item"] for row in read(tmp_path / "rest.csv")] == items[1:5] + items[6:]
        assert export(db, tmp_path / "bob2.csv", annotator="bob").items == 12
        orders = [[row["response_1"] for row in read(tmp_path / f"{name}.csv")] for name in ("ann", "bob")]
        assert orders[0] != orders[1]

    def test_nothing_left_writes_no_file(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "ann.csv", annotator="ann")
        take(db, str(filled(tmp_path / "ann.csv", {"*": "tie"})))
        assert export(db, tmp_path / "rest.csv", annotator="ann").items == 0
        assert not (tmp_path / "rest.csv").exists()

    def test_an_item_whose_verdict_was_deleted_is_open_again(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "ann.csv", annotator="ann")
        take(db, str(filled(tmp_path / "ann.csv", {"*": "tie"})))
        db.execute("DELETE FROM runs WHERE command = 'import judgments'")
        assert export(db, tmp_path / "again.csv", annotator="ann").items == 6

    def test_verdicts_on_a_sheet_are_not_overwritten(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "sheet.csv")
        write(tmp_path / "sheet.csv", [row | {"winner": "tie"} for row in read(tmp_path / "sheet.csv")])
        typed = (tmp_path / "sheet.csv").read_bytes()
        with pytest.raises(ParameterError, match="there may be verdicts in it"):
            export(db, tmp_path / "sheet.csv")
        assert (tmp_path / "sheet.csv").read_bytes() == typed
        export(db, tmp_path / "sheet.csv", force=True)
        assert {row["winner"] for row in read(tmp_path / "sheet.csv")} == {""}

    def test_a_sheet_that_cannot_be_written_deals_nothing(self, db, tmp_path):
        small_study(db, 2)
        (tmp_path / "sheet.csv").write_text("mine")
        with pytest.raises(ParameterError):
            export(db, tmp_path / "sheet.csv")
        assert db.execute("SELECT count(*) FROM assignments").fetchone()[0] == 0
        assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []

    @pytest.mark.parametrize(
        ("options", "name", "message"),
        [
            ({"annotator": " "}, "sheet.csv", "--annotator is empty"),
            ({"annotator": "judge"}, "sheet.csv", "judge is a judge model"),
            ({"selection": "nope"}, "sheet.csv", "No selection is called 'nope'"),
            ({}, "sheet.xlsx", "ends in .csv, .jsonl or .parquet"),
            ({}, "no/sheet.csv", "the folder .* does not exist"),
        ],
    )
    def test_what_cannot_be_done_is_said(self, db, tmp_path, options, name, message):
        small_study(db, 1)
        Study(db).annotator("judge", "model")
        with pytest.raises(ParameterError, match=message):
            export(db, tmp_path / name, **options)
        assert list(tmp_path.glob("*sheet*")) == []
        assert db.execute("SELECT count(*) FROM assignments").fetchone()[0] == 0

    def test_jsonl_and_parquet_hold_the_texts_as_they_are(self, db, study, tmp_path):
        instruction = study.instruction("=1+1")
        select(db, [(study.response(instruction, "zeta-1", "- one"), study.response(instruction, "alpha-2", "@two"))])
        export(db, tmp_path / "sheet.jsonl")
        export(db, tmp_path / "sheet.parquet")
        (row,) = [json.loads(line) for line in (tmp_path / "sheet.jsonl").read_text("utf-8").splitlines()]
        assert row["instruction"] == "=1+1"
        assert {row["response_1"], row["response_2"]} == {"- one", "@two"}
        assert duckdb.read_parquet(str(tmp_path / "sheet.parquet")).fetchall() == [tuple(row.values())]

    def test_long_cells_and_answers_that_name_their_model_are_told_of(self, db, study, tmp_path):
        instruction = study.instruction("Who are you?")
        long, named, plain = "x" * 32_768, "I am Mid-3, pleased to meet you.", "Nobody, not even amid-3."
        ids = [study.response(instruction, m, t) for m, t in zip(MODELS, (long, plain, named), strict=True)]
        select(db, [(ids[0], ids[1]), (ids[1], ids[2])])
        done = export(db, tmp_path / "sheet.csv")
        by_text = {row["item"]: row for row in read(tmp_path / "sheet.csv")}
        assert [long in by_text[str(item)].values() for item in done.too_long] == [True]
        assert [named in by_text[str(item)].values() for item in done.names_itself] == [True]


class TestCells:
    @given(st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("'=+-@\t\r\n 1aＴ＝"), max_size=30))
    def test_protection_is_reversible_and_leaves_no_formula(self, text):
        cell = protected(text)
        assert unprotected(cell) == text
        assert not cell.lstrip().startswith(("=", "+", "-", "@"))
        assert not cell.startswith(("\t", "\r"))
        assert same_text(cell, text)

    @pytest.mark.parametrize(
        "text", ["=1", "+1", "-1", "@SUM", " =1", "\n=1", "\tx", "\rx", "＝1", "42", "'42", "1/2", "Jan 5"]
    )
    def test_what_a_spreadsheet_would_run_or_change_has_an_apostrophe(self, text):
        assert protected(text) == f"'{text}"

    @pytest.mark.parametrize(
        "text", ["", "'", "Paris", "true love", "A=1", "In 1999, the war ended.", "日本語のテキスト"]
    )
    def test_other_texts_are_left_alone(self, text):
        assert protected(text) == text

    def test_texts_are_the_same_whatever_a_spreadsheet_does_to_white_space(self):
        assert same_text("a\r\nb", "a\nb")
        assert same_text("=1", "=1")
        assert not same_text("ab", "a b")
        assert not same_text("a" * 30_000, "a" * 30_001)
        assert same_text("a" * 32_767, "a" * 40_000)
        assert not same_text("b" + "a" * 32_766, "a" * 40_000)

    @pytest.mark.parametrize(
        ("cell", "number"),
        [("12", 12), (" 12 ", 12), ("12.0", 12), ("12,00", 12), ("'12", 12), ("12.5", None), ("x", None), ("", None)],
    )
    def test_item_numbers(self, cell, number):
        assert item_number(cell) == number

    @pytest.mark.parametrize(
        ("cell", "expected"),
        [
            ("response_1", "model_a"),
            (" Response 2 ", "model_b"),
            ("MODEL_A", "model_a"),
            ("both bad", "both_bad"),
            ("Tie", "tie"),
            ("gpt", "model_b"),
            ("GPT", None),
            ("1", None),
        ],
    )
    def test_verdicts(self, cell, expected):
        assert verdict(cell, "koala", "gpt") == expected

    def test_a_word_that_is_also_the_other_models_name_is_no_verdict(self):
        assert verdict("model_a", "model_b", "model_a") is None
        assert verdict("tie", "tie", "x") is None

    def test_times(self):
        assert utc_time("2024-05-31T13:45:00+02:00") == "2024-05-31T11:45:00.000Z"
        assert utc_time("2024-05-31 13:45") == "2024-05-31T13:45:00.000Z"
        assert utc_time("1706513835.227227") == "2024-01-29T07:37:15.227Z"
        assert utc_time("yesterday") is None
