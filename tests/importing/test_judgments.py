"""What comes back: filled sheets, whose verdicts go to the right models, and plain tables of judgments."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from madetl.errors import InputError
from madetl.store import deletion
from tests.conftest import Study
from tests.support.sheet_study import MODELS, export, filled, fresh, read, select, small_study, take, winners, write


class TestImport:
    def test_each_verdict_goes_to_the_answer_that_was_shown(self, db, tmp_path):
        small_study(db, 3)
        export(db, tmp_path / "sheet.csv")
        rows = read(tmp_path / "sheet.csv")
        # Zeta wins where it is shown; otherwise it is a tie.
        for row in rows:
            sides = [name for name in ("response_1", "response_2") if "Answer Z" in row[name]]
            row["winner"], row["comment"] = (sides or ["tie"])[0], f"on {row['item']}"
        write(tmp_path / "filled.csv", rows)

        done = take(db, str(tmp_path / "filled.csv"), annotator="ann")

        assert (done.new, done.known, done.empty) == (9, 0, 0)
        stored = db.execute("SELECT * FROM battles AS b JOIN judgments AS j ON j.id = b.judgment_id").fetchall()
        assert Counter(row["winner_model"] for row in stored) == {"zeta-1": 6, None: 3}
        shown = {row["item"]: row for row in rows}
        for row in stored:
            item = shown[row["source_id"].removeprefix("item:")]
            assert (item["response_1"], item["response_2"]) == (row["response_a"], row["response_b"])
            assert row["order_known"] == 1
            assert row["comment"] == f"on {item['item']}"
            assert row["source"] == "sheet:filled.csv"
        own = db.execute(
            "SELECT n.name, a.state, a.decided_at IS NULL"
            " FROM assignments AS a JOIN annotators AS n ON n.id = a.annotator_id"
        )
        assert {tuple(row) for row in own} == {("ann", "judged", 0)}

    def test_a_second_import_adds_nothing_and_a_fuller_sheet_only_the_rest(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "sheet.csv")
        one, two, *_ = (row["item"] for row in read(tmp_path / "sheet.csv"))
        half = filled(tmp_path / "sheet.csv", {one: "tie", two: "response_1"})
        whole = filled(tmp_path / "sheet.csv", {one: "tie", two: "response_1", "*": "both_bad"}, "whole.csv")
        counts = []
        for path in (half, half, whole):
            done = take(db, str(path), annotator="ann")
            counts.append((done.new, done.known, done.empty))
        assert counts == [(2, 0, 4), (0, 2, 4), (4, 2, 0)]
        assert done.summary == "judgments: 6 judgments (4 new, 2 known)"

    def test_two_people_judge_one_sheet(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "sheet.csv")
        for name, word in (("ann", "response_1"), ("bob", "response_2")):
            path = filled(tmp_path / "sheet.csv", {"*": word})
            assert take(db, str(path), annotator=name).new == 6
        assert Counter(name for name, _ in winners(db)) == {"ann": 6, "bob": 6}

    def test_a_changed_verdict_is_an_error_that_says_what_to_do(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "sheet.csv")
        third, fourth = (row["item"] for row in read(tmp_path / "sheet.csv")[2:4])
        take(db, str(filled(tmp_path / "sheet.csv", {third: "response_2"})), annotator="ann")
        changed = filled(tmp_path / "sheet.csv", {third: "response_1", fourth: "tie"})
        with pytest.raises(InputError) as caught:
            take(db, str(changed), annotator="ann")
        assert (caught.value.line, caught.value.field) == (4, "winner")
        run = db.execute("SELECT run_id FROM judgments").fetchone()[0]
        both = f"ann judged item {third} already (run {run}): response_2 then, response_1 now."
        assert both in str(caught.value)
        assert "--revise" in str(caught.value)
        assert "--as-repeat" in str(caught.value)
        assert "--crowd" not in str(caught.value)
        assert len(winners(db)) == 1

    def test_a_persons_own_sheet_needs_no_name_and_takes_no_other(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "ann.csv", annotator="ann")
        path = str(filled(tmp_path / "ann.csv", {"*": "tie"}))
        with pytest.raises(InputError, match="was dealt to ann, not to bob"):
            take(db, path, annotator="bob")
        assert take(db, path).new == 6
        assert {name for name, _ in winners(db)} == {"ann"}

    def test_a_sheet_of_nobodys_needs_a_name(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "sheet.csv")
        with pytest.raises(InputError, match="--annotator NAME"):
            take(db, str(filled(tmp_path / "sheet.csv", {"*": "tie"})))

    def test_the_same_pair_on_two_sheets_of_one_person_is_judged_once(self, db, tmp_path):
        """Given a sheet of nobody's and one of ann's own with other orders, when both come back, one verdict stands."""
        small_study(db, 4)
        export(db, tmp_path / "sheet.csv")
        export(db, tmp_path / "ann.csv", annotator="ann")
        for name in ("sheet.csv", "ann.csv"):
            rows = read(tmp_path / name)
            for row in rows:
                row["winner"] = "response_1" if row["response_1"] > row["response_2"] else "response_2"
            write(tmp_path / name, rows)
        assert take(db, str(tmp_path / "sheet.csv"), annotator="ann").new == 12
        assert take(db, str(tmp_path / "ann.csv"), annotator="ann").known == 12
        assert all(name in {"zeta-1", "mid-3"} for _, name in winners(db))

    def test_all_faults_are_told_at_once_and_nothing_stays(self, db, tmp_path):
        small_study(db, 3)
        export(db, tmp_path / "sheet.csv")
        rows = [row | {"winner": "tie"} for row in read(tmp_path / "sheet.csv")]
        rows[0]["winner"] = "zeta-1"
        rows[2]["item"] = "three"
        rows[3]["response_2"] = "Something else"
        rows[4] = rows[5]
        with pytest.raises(InputError) as caught:
            take(db, str(write(tmp_path / "bad.csv", rows)), annotator="ann")
        lines = str(caught.value).splitlines()
        assert lines[0].endswith("bad.csv: 4 faults in its rows. Nothing of this file was imported.")
        text = str(caught.value)
        assert '  line 2, field winner: "zeta-1" is no verdict' in text
        assert '  line 4, field item: "three" is no item number.' in text
        assert f"  line 5, field response_2: the text is not that of item {rows[3]['item']}" in text
        assert f"  line 7, field item: item {rows[5]['item']} stands on line 6 already." in text
        assert winners(db) == []

    def test_a_sheet_with_an_item_that_was_removed_since_fails_as_a_whole(self, db, tmp_path):
        """Given a sheet of three models, when one is deleted before it comes back, each row of it is named."""
        small_study(db, 2)
        export(db, tmp_path / "sheet.csv")
        path = str(filled(tmp_path / "sheet.csv", {"*": "tie"}))
        deletion.delete(db, "model", MODELS[0])
        with pytest.raises(InputError) as caught:
            take(db, path, annotator="ann")
        text = str(caught.value)
        assert "4 faults in its rows. Nothing of this file was imported." in text
        assert len(re.findall(r"line \d, field item: this database has no item \d{6}\.", text)) == 4
        assert winners(db) == []

    def test_only_the_first_twenty_faults_are_listed(self, db, tmp_path):
        small_study(db, 10)
        export(db, tmp_path / "sheet.csv")
        with pytest.raises(InputError) as caught:
            take(db, str(filled(tmp_path / "sheet.csv", {"*": "yes"})), annotator="ann")
        lines = str(caught.value).splitlines()
        assert len(lines) == 22
        assert lines[-1] == "  … and 10 more"

    def test_the_file_is_read_as_spreadsheets_leave_it(self, db, study, tmp_path):
        """Given texts with line breaks, saved with semicolons, CRLF inside cells, 12.0, and blank columns and rows."""
        instruction = study.instruction("Line one\nline two; with a semicolon")
        ids = [study.response(instruction, m, f'"Quoted"\n- {m}, item\n') for m in MODELS]
        select(db, [(ids[0], ids[1]), (ids[0], ids[2])])
        export(db, tmp_path / "sheet.csv")
        buffer = io.StringIO()
        writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
        rows = read(tmp_path / "sheet.csv")
        writer.writerow([*rows[0], "", ""])
        for row in rows:
            row |= {"item": f"{row['item']}.0", "winner": "Response_1 "}
            writer.writerow([*(text.replace("\n", "\r\n") for text in row.values()), "", ""])
        writer.writerow([""] * 8)
        writer.writerow(["", "", "", "", ""])  # Excel leaves out the last cells of rows where they are empty
        (tmp_path / "excel.csv").write_bytes(b"\xef\xbb\xbf" + buffer.getvalue().encode())

        done = take(db, str(tmp_path / "excel.csv"), annotator="ann")

        assert (done.new, done.empty) == (2, 0)

    def test_another_encoding_is_an_error_that_says_so(self, db, study, tmp_path):
        instruction = study.instruction("Café?")
        select(db, [(study.response(instruction, "a", "naïve"), study.response(instruction, "b", "déjà"))])
        export(db, tmp_path / "sheet.csv")
        rows = [row | {"winner": "tie"} for row in read(tmp_path / "sheet.csv")]
        with pytest.raises(InputError, match="Save the file as UTF-8"):
            take(db, str(write(tmp_path / "ansi.csv", rows, encoding="cp1252")), annotator="ann")

    @pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
    def test_other_kinds_of_sheets_come_back(self, db, tmp_path, suffix):
        small_study(db, 2)
        export(db, tmp_path / f"sheet.{suffix}")
        path = tmp_path / f"filled.{suffix}"
        if suffix == "jsonl":
            rows = [json.loads(line) for line in (tmp_path / "sheet.jsonl").read_text("utf-8").splitlines()]
            path.write_text("".join(json.dumps(row | {"winner": "tie"}) + "\n" for row in rows), "utf-8")
        else:
            given = duckdb.read_parquet(str(tmp_path / "sheet.parquet"))
            given.project("* REPLACE ('tie' AS winner)").write_parquet(str(path))
        assert take(db, str(path), annotator="ann").new == 6

    def test_comments_without_a_verdict_are_told_of(self, db, tmp_path):
        small_study(db, 2)
        export(db, tmp_path / "sheet.csv")
        rows = [row | {"comment": "hm"} for row in read(tmp_path / "sheet.csv")]
        rows[0]["winner"] = "tie"
        done = take(db, str(write(tmp_path / "filled.csv", rows)), annotator="ann")
        assert done.warnings == ["5 comments have no winner beside them and were left out."]

    def test_a_file_of_neither_kind_says_what_was_expected(self, db, tmp_path):
        (tmp_path / "x.csv").write_text("item,answer\n1,2\n")
        with pytest.raises(InputError, match="expected those of a sheet") as caught:
            take(db, str(tmp_path / "x.csv"))
        assert "found the columns item, answer" in str(caught.value)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data())
    def test_sheet_out_and_in_gives_each_verdict_to_its_model(self, data):
        texts = st.text(
            alphabet=st.characters(codec="utf-8", exclude_characters="\0") | st.sampled_from("'\"=+-@\t\r\n,;日本")
        )
        answers = data.draw(
            st.lists(st.tuples(texts.filter(bool), texts, texts), min_size=1, max_size=6, unique_by=lambda t: t[0])
        )
        words = data.draw(st.lists(st.sampled_from(["first", "second", "tie", "both_bad"]), min_size=6, max_size=6))
        seed = data.draw(st.integers(0, 9))
        with fresh() as (db, folder):
            study = Study(db)
            expected = {}
            for (text, a, b), word in zip(answers, words, strict=False):
                instruction = study.instruction(text)
                ids = study.response(instruction, "first", a), study.response(instruction, "second", b)
                select(db, [ids], start=len(expected) + 1)
                expected[ids] = word
            export(db, folder / "sheet.csv", seed=seed)
            rows = read(folder / "sheet.csv")
            for row in rows:
                found = db.execute(
                    "SELECT s.response_a_id, s.response_b_id, a.shown_first FROM assignments AS a"
                    " JOIN selections AS s ON s.id = a.selection_id WHERE a.id = ?",
                    (row["item"],),
                ).fetchone()
                word = expected[found[0], found[1]]
                order = ["first", "second"] if found[2] == "model_a" else ["second", "first"]
                row["winner"] = f"response_{order.index(word) + 1}" if word in order else word
            write(folder / "sheet.csv", rows, delimiter=data.draw(st.sampled_from(",;\t")))

            take(db, str(folder / "sheet.csv"), annotator="ann")

            models = {"model_a": "first", "model_b": "second"}
            stored = {
                (row["response_a_id"], row["response_b_id"]): models.get(row["winner"], row["winner"])
                for row in db.execute("SELECT * FROM judgments")
            }  # fmt: skip
            assert stored == expected


class TestTable:
    """A plain table of judgments."""

    @pytest.fixture
    def filled_db(self, db, study):
        for scenario in ("Writing", "Coding"):
            instruction = study.instruction("Twice there", scenario)
            for model in ("koala", "gpt"):
                study.response(instruction, model, f"{model} on {scenario}")
        once = study.instruction("Once\nthere")
        for model in ("koala", "gpt"):
            study.response(once, model, f"{model}, once")
        study.response(once, "gpt", "gpt, again", sample=1)
        other = study.instruction("=Sum it up", input="1 2")
        for model in ("koala", "gpt"):
            study.response(other, model, f"{model}, sum")
        return db

    def table(self, tmp_path: Path, *lines: str, name: str = "votes.csv") -> str:
        (tmp_path / name).write_text("\n".join(lines) + "\n", "utf-8")
        return str(tmp_path / name)

    def test_winners_are_names_or_words_and_stored_in_canonical_order(self, filled_db, tmp_path):
        path = self.table(
            tmp_path,
            "instruction,model_a,model_b,winner,annotator,created_at,comment,scenario",
            "Twice there,gpt,koala,koala,kim,2024-05-31T13:45:00+02:00,good,Writing",
            "Twice there,gpt,koala,model_a,kim,,,Coding",
            "'=Sum it up,koala,gpt,response_2,lee,,,",
            "=Sum it up,koala,gpt,both_bad,kim,,,Writing",
        )
        done = take(filled_db, path)
        assert (done.new, done.known) == (4, 0)
        stored = filled_db.execute(
            "SELECT annotator, scenario, model_a, winner, winner_model, tstamp, order_known, comment, source"
            " FROM battles"
        )
        assert [tuple(row) for row in stored] == [
            (
                "kim",
                "Writing",
                "koala",
                "model_a",
                "koala",
                "2024-05-31T11:45:00.000Z",
                0,
                "good",
                "judgments:votes.csv",
            ),
            ("kim", "Coding", "koala", "model_b", "gpt", None, 0, None, "judgments:votes.csv"),
            ("lee", "Writing", "koala", "model_b", "gpt", None, 0, None, "judgments:votes.csv"),
            ("kim", "Writing", "koala", "both_bad", None, None, 0, None, "judgments:votes.csv"),
        ]

    def test_identical_rows_are_one_vote_of_a_person_and_several_of_a_crowd(self, filled_db, tmp_path):
        head, row = "instruction;model_a;model_b;winner", "=Sum it up;koala;gpt;tie"
        first = self.table(tmp_path, head, row, row)
        longer = self.table(tmp_path, head, row, row, row, "=Sum it up;koala;gpt;gpt", name="later.csv")
        counts = [
            (done.new, done.known) for done in (take(filled_db, path, annotator="kim") for path in (first, first))
        ]
        assert counts == [(1, 1), (0, 2)]
        with pytest.raises(
            InputError, match=r"line 5, .*: kim judged .* already \(run 1\): tie then, gpt now.*--crowd"
        ):
            take(filled_db, longer, annotator="kim")
        counts = []
        for path in (first, first, longer):
            done = take(filled_db, path, crowds=["passers-by"])
            counts.append((done.new, done.known))
        assert counts == [(2, 0), (0, 2), (2, 2)]

    @pytest.mark.parametrize(
        ("row", "field", "message"),
        [
            ("Nowhere,koala,gpt,tie,", "instruction", "is not in the database"),
            ("Twice there,koala,gpt,tie,", "instruction", "stored more than once: Writing, Coding"),
            ("Once there,koala,gpt,tie,", "response_b", "gpt has 2 responses"),
            ("Once there,koala,vicuna,tie,", "model_b", "no model is called 'vicuna'"),
            ("Once there,koala,koala,tie,", "model_b", "compared with itself"),
            ("Once there,koala,,tie,", "model_b", "is empty"),
            ("Once there,koala,gpt,maybe,", "winner", '"maybe" is no verdict'),
            ("=Sum it up,koala,gpt,tie,soon", "created_at", '"soon" is no time'),
        ],
    )
    def test_bad_rows(self, filled_db, tmp_path, row, field, message):
        path = self.table(tmp_path, "instruction,model_a,model_b,winner,created_at", row)
        with pytest.raises(InputError, match=message) as caught:
            take(filled_db, path, annotator="kim")
        assert (caught.value.line, caught.value.field) == (2, field)
        assert filled_db.execute("SELECT count(*) FROM judgments").fetchone()[0] == 0

    def test_the_response_can_be_named(self, filled_db, tmp_path):
        head = "instruction,model_a,model_b,winner,response_a,response_b"
        path = self.table(tmp_path, head, 'Once there,koala,gpt,gpt,"koala, once","gpt, again"')
        take(filled_db, path, annotator="kim")
        assert filled_db.execute("SELECT response_b FROM battles").fetchone()[0] == "gpt, again"
        wrong = self.table(tmp_path, head, 'Once there,koala,gpt,gpt,"koala, twice","gpt, again"')
        with pytest.raises(InputError, match="none of koala's stored responses"):
            take(filled_db, wrong, annotator="kim")

    def test_the_scenario_can_be_given_for_all(self, filled_db, tmp_path):
        path = self.table(
            tmp_path, "instruction,model_a,model_b,winner", "Twice there,koala,gpt,tie", "Twice there,koala,gpt,"
        )
        done = take(filled_db, path, annotator="kim", scenario="Coding")
        assert done.summary == "judgments: 1 judgment (1 new, 0 known); 1 item left empty"
        assert filled_db.execute("SELECT scenario FROM battles").fetchone()[0] == "Coding"

    def test_somebody_has_to_be_named(self, filled_db, tmp_path):
        path = self.table(tmp_path, "instruction,model_a,model_b,winner", "=Sum it up,koala,gpt,tie")
        with pytest.raises(InputError, match="--annotator NAME says"):
            take(filled_db, path)


def test_a_crowd_that_no_vote_is_by_is_told(study: Study, tmp_path: Path) -> None:
    for model in ("a", "b"):
        study.response(study.instruction("i"), model, f"text of {model}")
    path = tmp_path / "votes.csv"
    path.write_text("instruction,model_a,model_b,winner,annotator\ni,a,b,a,passers-by\n", encoding="utf-8")
    done = take(study.db, str(path), crowds=["passer-by", "Passers–By"])
    assert [text for text in done.warnings if "passer-by" in text] == [
        "no vote is by passer-by, whom --crowd names; `madetl status` shows under which names there are votes."
    ]
    assert not any("Passers–By" in text for text in done.warnings)
