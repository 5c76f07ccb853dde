"""Files for other projects: what is in them, that they come back the same, and that they appear whole or not at all."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from madetl.errors import ParameterError
from madetl.exporting import exports
from madetl.formats import writing
from madetl.importing import answers as files_of_answers
from madetl.ranking.votes import RankParameters
from madetl.store import database
from tests.conftest import Study
from tests.support.sheet_study import MODELS, read, small_study

PEOPLE = RankParameters()


def judged_study(db: sqlite3.Connection) -> None:
    """Two instructions, three models; votes of two people and a judge model, in known and unknown orders."""
    study = Study(db)
    first = study.instruction("Line one\nline two", "Writing")
    second = study.instruction("Sum", "Coding", input="1 2")
    ids = [[study.response(i, m, f"{m}: '{n}'\u2028") for m in MODELS] for n, i in enumerate((first, second))]
    study.judgment(ids[0][0], ids[0][1], "model_a", "ann")
    study.judgment(ids[0][0], ids[0][1], "model_b", "bob")
    study.judgment(ids[1][0], ids[1][2], "both_bad", "ann")
    study.judgment(ids[1][1], ids[1][2], "tie", "ann")
    study.annotator("judge", "model")
    study.judgment(ids[1][1], ids[1][2], "model_a", "judge")
    db.execute(
        "UPDATE judgments SET shown_first = 'model_b', comment = 'hm', created_at = '2024-05-31T11:45:00.500Z'"
        " WHERE id = 1"
    )
    db.execute("UPDATE judgments SET shown_first = 'model_a' WHERE id = 3")
    db.execute("UPDATE instructions SET reference_answer = '3' WHERE id = 2")


def battles(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """Everything that a battle file can hold, but for whether the order is known."""
    columns = "scenario, instruction, model_a, model_b, winner, response_a, response_b, annotator, comment, tstamp"
    return sorted(map(tuple, db.execute(f"SELECT {columns} FROM battles")), key=repr)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


class TestArena:
    def test_a_battle_stands_in_the_order_shown(self, db, tmp_path):
        judged_study(db)
        assert exports.arena(db, tmp_path / "b.json", PEOPLE).rows == 4
        first, second, third, fourth = json.loads((tmp_path / "b.json").read_text("utf-8"))
        assert first == {
            "model_a": "alpha-2",
            "model_b": "zeta-1",
            "winner": "model_b",
            "judge": "ann",
            "turn": None,
            "anony": True,
            "language": None,
            "tstamp": 1717155900.5,
            "source": "alpha-2-vs-zeta-1.jsonl",
            "scenario": "Writing",
            "comment": "hm",
            "data": {
                "instruction": "Line one\nline two",
                "input": "",
                "output": "zeta-1",
                "response_1": "alpha-2: '0'\u2028",
                "response_2": "zeta-1: '0'\u2028",
                "reference_answer": None,
            },
        }
        assert (second["model_a"], second["winner"], second["tstamp"]) == ("zeta-1", "model_b", None)
        assert (third["winner"], third["data"]["input"]) == ("tie (bothbad)", "1 2")
        assert fourth["winner"] == "tie"

    @pytest.mark.parametrize(
        ("votes", "count"),
        [
            (RankParameters(judges=True), 1),
            (RankParameters(annotators=("ann",)), 3),
            (RankParameters(annotators=("ann", "judge")), 4),
            (RankParameters(scenarios=("Coding",)), 2),
        ],
    )
    def test_whose_votes_and_of_which_scenario(self, db, tmp_path, votes, count):
        judged_study(db)
        assert exports.arena(db, tmp_path / "b.jsonl", votes).rows == count
        assert len(lines(tmp_path / "b.jsonl")) == count

    @pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
    def test_import_arena_brings_the_same_battles_back(self, db, tmp_path, suffix):
        judged_study(db)
        db.execute("DELETE FROM annotators WHERE kind = 'model'")
        exports.arena(db, tmp_path / f"b.{suffix}", PEOPLE)
        with database.writing(tmp_path / "other.db") as other:
            files_of_answers.import_arena(other, [str(tmp_path / f"b.{suffix}")])
            # Where the order is not known, the canonical one of the other database may be the reverse.
            assert unordered(other) == unordered(db)
            known = [row for row in battles(db) if row[8] == "hm"]
            assert [row for row in battles(other) if row[8] == "hm"] == known
            exports.arena(other, tmp_path / "again.jsonl", PEOPLE)
        assert sorted(map(json.dumps, lines(tmp_path / "again.jsonl"))) == sorted(
            map(json.dumps, arena_records(db, tmp_path))
        )

    def test_parquet_has_arenas_columns(self, db, tmp_path):
        judged_study(db)
        exports.arena(db, tmp_path / "b.parquet", PEOPLE)
        found = duckdb.read_parquet(str(tmp_path / "b.parquet"))
        assert found.columns[:8] == ["model_a", "model_b", "winner", "judge", "turn", "anony", "language", "tstamp"]
        assert found.project("data.response_1, anony").fetchall()[0] == ("alpha-2: '0'\u2028", True)
        assert set(found.project("turn, language").fetchall()) == {(None, None)}  # neither is stored

    @pytest.mark.parametrize(
        ("voters", "name", "message"),
        [
            (
                RankParameters(annotators=("eve",)),
                "b.json",
                "No annotator is called 'eve'. There are: ann, bob, judge.",
            ),
            (PEOPLE, "b.csv", "ends in .json, .jsonl or .parquet"),
            (PEOPLE, "no/b.json", "the folder .* does not exist"),
        ],
    )
    def test_what_cannot_be_done_is_said(self, db, tmp_path, voters, name, message):
        judged_study(db)
        with pytest.raises(ParameterError, match=message):
            exports.arena(db, tmp_path / name, voters)

    def test_no_judgments_are_no_file(self, db, tmp_path):
        with pytest.raises(ParameterError, match="no judgments of people to export"):
            exports.arena(db, tmp_path / "b.json", PEOPLE)
        assert not (tmp_path / "b.json").exists()

    def test_every_battle_of_the_real_files_comes_back_out(self, db, shared, tmp_path):
        """Count for count and winner for winner: compared with the files as they are, not with what was stored."""
        files = sorted((shared / "mad_eval" / "chatbot_arena").glob("*.jsonl"))
        given: Counter[Any] = Counter()
        for file in files:
            model_1, model_2 = file.stem.split("-vs-")
            for row in lines(file):
                answers = frozenset({(model_1, row["response_1"]), (model_2, row["response_2"])})
                given[row["instruction"], row["input"], answers, row["output"]] += 1
        files_of_answers.import_mad_eval(db, [str(file) for file in files])

        exports.arena(db, tmp_path / "battles.jsonl", PEOPLE)

        found: Counter[Any] = Counter()
        for battle in lines(tmp_path / "battles.jsonl"):
            data = battle["data"]
            answers = frozenset({(battle["model_a"], data["response_1"]), (battle["model_b"], data["response_2"])})
            winner = battle.get(battle["winner"], battle["winner"])
            found[data["instruction"], data["input"], answers, winner] += 1
        assert found.total() == 2751
        assert found == given


class TestMadEval:
    def test_one_file_per_pair_and_one_row_per_vote(self, db, tmp_path):
        judged_study(db)
        done = exports.mad_eval(db, tmp_path / "pairs", PEOPLE)
        names = ["alpha-2-vs-mid-3.jsonl", "zeta-1-vs-alpha-2.jsonl", "zeta-1-vs-mid-3.jsonl"]
        assert sorted(path.name for path in (tmp_path / "pairs").iterdir()) == names
        assert (done.rows, done.files) == (4, 3)
        assert done.notes == ["verdicts both_bad written as tie, for which MAD-Eval has no word: 1"]
        assert lines(tmp_path / "pairs" / names[1]) == [
            {
                "instruction": "Line one\nline two",
                "input": "",
                "output": winner,
                "response_1": "zeta-1: '0'\u2028",
                "response_2": "alpha-2: '0'\u2028",
            }
            for winner in ("zeta-1", "alpha-2")
        ]
        assert lines(tmp_path / "pairs" / names[2])[0]["answer"] == "3"

    def test_a_selections_pairs_are_all_there_judged_or_not(self, db, tmp_path):
        small_study(db, 2)
        Study(db).judgment(1, 2, "model_b")
        Study(db).judgment(1, 2, "tie", "bob")
        Study(db).judgment(1, 2, "tie", source_id="2", status="repeat")
        done = exports.mad_eval(db, tmp_path / "pairs", PEOPLE, selection="pilot")
        rows = [row for path in sorted((tmp_path / "pairs").iterdir()) for row in lines(path)]
        assert done.rows == len(rows) == 7
        assert Counter(row["output"] for row in rows) == {"": 5, "alpha-2": 1, "tie": 1}
        assert {row["score"] for row in rows} == {0.1}

    def test_the_score_of_the_only_metric_goes_with_judged_pairs(self, db, tmp_path):
        small_study(db, 1)
        Study(db).judgment(1, 2, "model_b")
        db.execute(
            "INSERT INTO similarities (metric_id, pair_id, instruction_id, response_a_id, response_b_id, score,"
            " shorter_words, length_ratio, explanation) VALUES (1, 1, 1, 1, 2, 0.25, 5, 1, 'much alike')"
        )
        exports.mad_eval(db, tmp_path / "pairs", PEOPLE)
        (row,) = lines(tmp_path / "pairs" / "zeta-1-vs-alpha-2.jsonl")
        assert (row["score"], row["explanation"]) == (0.25, "much alike")

    def test_of_several_metrics_one_has_to_be_named(self, db, madetl, tmp_path):
        small_study(db, 1)
        Study(db).judgment(1, 2, "model_b")
        db.execute("INSERT INTO metrics (name, hash) VALUES ('other', ?)", ("1" * 64,))
        for metric, score in ((1, 0.25), (2, 0.75)):
            db.execute(
                "INSERT INTO similarities (metric_id, pair_id, instruction_id, response_a_id, response_b_id, score,"
                " shorter_words, length_ratio) VALUES (?, 1, 1, 1, 2, ?, 5, 1)",
                (metric, score),
            )
        [path] = [tmp_path / "pairs" / "zeta-1-vs-alpha-2.jsonl"]
        done = madetl("export", "mad-eval", "-o", path.parent)
        left_out = "Note: scores were left out, since there are those of char-ngram, other; --metric says which.\n"
        assert done.stderr == left_out
        assert "score" not in lines(path)[0]
        assert not madetl("export", "mad-eval", "--metric", "other", "-o", path.parent).stderr
        assert lines(path)[0]["score"] == 0.75
        assert exports.mad_eval(db, path.parent, PEOPLE, selection="pilot").notes == []
        with pytest.raises(ParameterError, match="give --selection or --metric"):
            exports.mad_eval(db, path.parent, PEOPLE, selection="pilot", metric="other")

    def test_import_mad_eval_brings_the_same_votes_back(self, db, study, tmp_path):
        instruction = study.instruction("Who?")
        ids = [study.response(instruction, m, m) for m in ("org/a", "ORG:A", "b")]
        study.judgment(ids[0], ids[1], "model_b")
        study.judgment(ids[0], ids[2], "model_a")
        done = exports.mad_eval(db, tmp_path / "pairs", PEOPLE)
        assert sorted(path.name for path in (tmp_path / "pairs").iterdir()) == [
            "org_a-vs-ORG_A.jsonl",
            "org_a-vs-b.jsonl",
        ]
        assert done.notes == ["2 of the file names differ from the models' names, which not every system takes"]
        with database.writing(tmp_path / "other.db") as other:
            files = [str(path) for path in (tmp_path / "pairs").iterdir()]
            files_of_answers.import_mad_eval(other, files, scenario="Writing", annotator="ann")
            assert unordered(other) == unordered(db)


class TestAlpacaEval:
    def test_one_file_per_model_that_comes_back(self, db, study, tmp_path):
        judged_study(db)
        study.response(1, "zeta-1", "once more", sample=1)
        db.execute("UPDATE instructions SET source = 'alpaca-eval:helpful_base' WHERE id = 1")
        done = exports.alpaca_eval(db, tmp_path / "outputs")
        assert (done.rows, done.files) == (7, 3)
        assert done.notes == ["further answers of a model to the same instruction among them: 1"]
        assert json.loads((tmp_path / "outputs" / "alpha-2.json").read_text("utf-8")) == [
            {
                "dataset": "helpful_base",
                "instruction": "Line one\nline two",
                "output": "alpha-2: '0'\u2028",
                "generator": "alpha-2",
            },
            {
                "dataset": "Coding",
                "instruction": "Sum",
                "input": "1 2",
                "output": "alpha-2: '1'\u2028",
                "generator": "alpha-2",
            },
        ]
        with database.writing(tmp_path / "other.db") as other:
            files_of_answers.import_alpaca_eval(other, [str(path) for path in (tmp_path / "outputs").iterdir()])
            assert answers(other) == answers(db)

    def test_some_models_of_one_scenario(self, db, tmp_path):
        judged_study(db)
        exports.alpaca_eval(db, tmp_path / "outputs", ["Coding"], ["mid-3"])
        (path,) = (tmp_path / "outputs").iterdir()
        assert [row["instruction"] for row in json.loads(path.read_text("utf-8"))] == ["Sum"]

    def test_nothing_to_export(self, db, tmp_path):
        with pytest.raises(ParameterError, match="no responses in scenario Coding"):
            exports.alpaca_eval(db, tmp_path / "outputs", ["Coding"])
        with pytest.raises(ParameterError, match="No model is called 'x'"):
            exports.alpaca_eval(db, tmp_path / "outputs", (), ["x"])
        assert not (tmp_path / "outputs").exists()


class TestParquet:
    def test_every_table_with_every_value_and_its_type(self, db, tmp_path):
        judged_study(db)
        small_study(db, 1)
        vector = b"\x00\x00\x80\x3f\xff\x00\x00\x00"
        db.execute(
            "INSERT INTO embeddings (metric_id, hash, dimensions, vector) VALUES (1, ?, 2, ?)", ("a" * 64, vector)
        )
        done = exports.parquet(db, tmp_path / "tables")
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        assert sorted(path.stem for path in (tmp_path / "tables").iterdir()) == sorted(tables)
        assert done.files == len(tables)
        types = {"INTEGER": "BIGINT", "TEXT": "VARCHAR", "REAL": "DOUBLE", "BLOB": "BLOB"}
        for table in tables:
            found = duckdb.read_parquet(str(tmp_path / "tables" / f"{table}.parquet"))
            assert found.fetchall() == [tuple(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY 1")]
            columns = [(row["name"], types[row["type"]]) for row in db.execute(f"PRAGMA table_info({table})")]
            assert list(zip(found.columns, map(str, found.types), strict=True)) == columns

    def test_a_text_after_thousands_of_empty_cells_is_kept(self, tmp_path):
        rows = [(None, None, None)] * 4_999 + [("text", b"\x00", 1.5)]
        writing.write_parquet(tmp_path / "x.parquet", {"a": "TEXT", "b": "BLOB", "c": "REAL"}, rows)
        found = duckdb.read_parquet(str(tmp_path / "x.parquet"))
        assert found.fetchall()[-1] == rows[-1]
        assert found.aggregate("count(*), count(a)").fetchall() == [(5_000, 1)]


class TestFiles:
    def test_a_file_that_fails_half_way_leaves_the_old_one(self, tmp_path):
        (tmp_path / "x.jsonl").write_text("old")

        def broken() -> Any:
            yield {"a": 1}
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), writing.whole_file(tmp_path / "x.jsonl") as path:
            writing.write_jsonl(path, broken())
        assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x.jsonl", "old")]

    def test_a_folder_that_fails_half_way_is_not_there(self, tmp_path):
        def broken() -> Any:
            yield {"a": 1}
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError), writing.whole_folder(tmp_path / "new") as path:
            writing.write_jsonl(path / "one.jsonl", broken())
        assert list(tmp_path.iterdir()) == []

    def test_other_files_of_a_folder_stay(self, tmp_path):
        (tmp_path / "pairs").mkdir()
        (tmp_path / "pairs" / "notes.txt").write_text("mine")
        (tmp_path / "pairs" / "one.jsonl").write_text("old")
        with writing.whole_folder(tmp_path / "pairs") as path:
            writing.write_jsonl(path / "one.jsonl", [{"a": 1}])
        found = {path.name: path.read_text() for path in (tmp_path / "pairs").iterdir()}
        assert found == {"notes.txt": "mine", "one.jsonl": '{"a": 1}\n'}

    def test_a_link_stays_a_link(self, tmp_path):
        (tmp_path / "real.jsonl").write_text("old")
        (tmp_path / "link.jsonl").symlink_to(tmp_path / "real.jsonl")
        with writing.whole_file(tmp_path / "link.jsonl") as path:
            writing.write_jsonl(path, [])
        assert (tmp_path / "link.jsonl").is_symlink()
        assert (tmp_path / "real.jsonl").read_text() == ""

    @pytest.mark.parametrize("make", [writing.whole_file, writing.whole_folder])
    def test_a_target_of_the_other_kind_is_refused(self, tmp_path, make):
        target = tmp_path / "x"
        target.mkdir() if make is writing.whole_file else target.write_text("")
        with pytest.raises(ParameterError, match=r"name a (file|folder)"), make(target):
            pass

    def test_names_are_safe_and_all_different(self):
        names = writing.file_names(["a/b", "a\\b", "A_B", "con", "..", " ", "日本/語", "x" * 300, "gpt-3.5-turbo"])
        assert list(names.values()) == [
            "a_b",
            "a_b-2",
            "A_B-3",
            "_con",
            "_",
            "_-2",
            "日本_語",
            "x" * 200,
            "gpt-3.5-turbo",
        ]


class TestCommands:
    def test_from_a_selection_to_verdicts(self, db, madetl, tmp_path):
        small_study(db, 2)
        sheet = tmp_path / "sheet.csv"
        done = madetl("export", "annotations", "-o", sheet)
        assert done.stdout == f"{sheet}: 6 items of selection pilot\n"
        printed = json.loads(madetl("export", "annotations", "-o", sheet, "--json").stdout)
        assert (printed["output"], printed["items"], printed["dealt"]) == (str(sheet), 6, 0)
        rows = [row | {"winner": "tie"} for row in read(sheet)]
        rows[0]["winner"] = ""
        with sheet.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

        refused = madetl("export", "annotations", "-o", sheet, status=1)
        done = madetl("import", "judgments", sheet, "--annotator", "ann")
        again = madetl("import", "judgments", "-", "--annotator", "ann", "--json", input=sheet.read_text("utf-8-sig"))

        assert "there may be verdicts in it" in refused.stderr
        assert done.stdout.startswith("judgments: 5 judgments (5 new, 0 known); 1 item left empty\nNext:\n")
        assert json.loads(again.stdout)["counts"]["judgments known"] == 5
        outcomes = [tuple(row) for row in db.execute("SELECT command, outcome FROM runs ORDER BY id")]
        assert outcomes == [
            ("export annotations", "ok"),
            ("export annotations", "ok"),
            ("export annotations", "failed"),
            ("import judgments", "ok"),
            ("import judgments", "ok"),
        ]

    def test_files_for_other_projects(self, db, madetl, tmp_path):
        judged_study(db)
        assert madetl("export", "arena", "-o", tmp_path / "b.json").stdout == f"{tmp_path / 'b.json'}: 4 battles\n"
        done = madetl("export", "mad-eval", "-o", tmp_path / "pairs", "--annotator", "bob")
        assert done.stdout == f"{tmp_path / 'pairs'}: 1 row\n"
        done = madetl("export", "alpaca-eval", "-o", tmp_path / "outputs")
        assert done.stdout == f"{tmp_path / 'outputs'}: 6 responses in 3 files\n"
        assert madetl("export", "parquet", "-o", tmp_path / "tables").returncode == 0
        for words in (
            ["arena", "-o", "b.json"],
            ["mad-eval", "-o", "p"],
            ["alpaca-eval", "-o", "a"],
            ["parquet", "-o", "t"],
        ):
            printed = json.loads(madetl("export", *words[:-1], tmp_path / words[-1], "--json").stdout)
            assert list(printed) == ["output", "rows", "files", "notes"]
            assert printed["output"] == str(tmp_path / words[-1])

    def test_nothing_is_made_where_there_is_no_database(self, madetl, tmp_path):
        for command in (["annotations", "-o", "s.csv"], ["arena", "-o", "b.json"], ["parquet", "-o", "p"]):
            done = madetl("export", *command, "--db", tmp_path / "no.db", status=1)
            assert "there is no such database" in done.stderr
        assert list(tmp_path.iterdir()) == []


def unordered(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    """The battles without their order: who gave which answer, who won."""
    rows = db.execute("SELECT * FROM battles AS b JOIN instructions AS i ON i.id = b.instruction_id")
    return sorted(
        (
            row["scenario"], row["instruction"], row["input"], row["annotator"], row["winner_model"] or row["winner"],
            tuple(sorted([(row["model_a"], row["response_a"]), (row["model_b"], row["response_b"])])),
        )
        for row in rows
    )  # fmt: skip


def arena_records(db: sqlite3.Connection, folder: Path) -> list[dict[str, Any]]:
    exports.arena(db, folder / "records.jsonl", PEOPLE)
    return lines(folder / "records.jsonl")


def answers(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
    sql = "SELECT m.name, i.instruction, i.input, r.response FROM responses AS r JOIN models AS m ON m.id = r.model_id"
    return sorted(map(tuple, db.execute(f"{sql} JOIN instructions AS i ON i.id = r.instruction_id")))
