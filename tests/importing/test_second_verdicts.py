"""An annotator's second verdict on two answers; crowds, of which each row counts; names written a little otherwise."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.errors import InputError, ParameterError
from madetl.importing import answers
from madetl.importing.judgments import import_judgments
from madetl.judgment import agreement
from madetl.ranking import rank
from madetl.ranking.votes import RankParameters
from madetl.store import annotators, database, deletion, merge_models, sqlfiles
from tests.conftest import Study
from tests.support.sheet_study import export, filled, fresh, read, small_study, take

Madetl = Callable[..., CompletedProcess[str]]
OTHER = {"model_a": "model_b", "model_b": "tie", "tie": "model_a", "both_bad": "model_b"}
TABLE = ("instruction", "model_a", "model_b", "winner", "annotator", "created_at", "comment")


def table(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] = TABLE) -> str:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def battles(*rows: tuple[str, str, int, str]) -> list[dict[str, Any]]:
    """(annotator, winner, number of the instruction, comment): alpha-2 against zeta-1, as `small_study` has them."""
    return [
        {"instruction": f"Describe place {number}.", "model_a": "alpha-2", "model_b": "zeta-1", "winner": winner,
         "annotator": annotator, "comment": comment}
        for annotator, winner, number, comment in rows
    ]  # fmt: skip


def stored(db: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """(annotator, the winner's name or word, status) in order of storing; model_a is zeta-1."""
    names = {"model_a": "zeta-1", "model_b": "alpha-2"}
    rows = db.execute("SELECT annotator, winner, status FROM verdicts ORDER BY judgment_id")
    return [(row["annotator"], names.get(row["winner"], row["winner"]), row["status"]) for row in rows]


@pytest.fixture
def answered(db: sqlite3.Connection) -> sqlite3.Connection:
    small_study(db, 3)
    return db


# --- the table that was corrected


@pytest.fixture
def unjudged(db_file: Path) -> Iterator[sqlite3.Connection]:
    """The example's answers without its 180 judgments."""
    shutil.copyfile(sqlfiles.example(), db_file)
    with database.writing(db_file) as db:
        yield db


@pytest.fixture
def votes(unjudged: sqlite3.Connection, tmp_path: Path) -> list[dict[str, Any]]:
    """The 180 votes of the example as the rows of a table; they are taken out of the database."""
    found = unjudged.execute(
        "SELECT instruction, model_a, model_b, winner, annotator, tstamp AS created_at FROM battles"
        " ORDER BY judgment_id"
    )
    rows = [dict(row) for row in found]
    unjudged.execute("DELETE FROM judgments")
    assert len(rows) == 180
    return rows


def corrected(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with most of the verdicts on one model set right, and a few others."""
    worst = "atlas-tiny" if any("atlas-tiny" in row.values() for row in rows) else rows[0]["model_a"]
    return [
        row | {"winner": OTHER[row["winner"]]} if worst in (row["model_a"], row["model_b"]) or n % 17 == 0 else row
        for n, row in enumerate(rows)
    ]


def numbers(db: sqlite3.Connection) -> tuple[Any, ...]:
    """What rank, win_rates and agreement say."""
    board = rank.rank(db, RankParameters(method="bt", rounds=20)).leaderboards[0]
    rates = sorted(map(tuple, db.execute("SELECT * FROM win_rates")))
    found = agreement.report(db, rounds=20).scenarios[0]
    same = (found.alpha.alpha, found.votes, [(pair.response_pairs, pair.agreed) for pair in found.pairs])
    return sorted((line.model, round(line.rating, 6)) for line in board.ratings), rates, same


def test_a_corrected_table_is_refused_or_counts_alone(
    unjudged: sqlite3.Connection, votes: list[dict[str, Any]], tmp_path: Path
) -> None:
    wrong, right = corrected(votes), votes
    first = table(tmp_path / "votes.csv", wrong)
    assert import_judgments(unjudged, [first]).counts["judgments new"] == 180
    before = numbers(unjudged)
    later = table(tmp_path / "corrected.csv", right)
    differing = sum(a != b for a, b in zip(wrong, right, strict=True))
    assert differing > 20
    with pytest.raises(InputError) as error:
        import_judgments(unjudged, [later])
    assert f"{differing} faults in its rows. With --revise the new verdicts count" in str(error.value)
    assert numbers(unjudged) == before
    done = import_judgments(unjudged, [later], again="revise")
    assert done.summary == f"judgments: 180 judgments (0 new, {180 - differing} known, {differing} revised)"
    revised = numbers(unjudged)
    assert revised != before
    # then: as if the corrected table had come alone, and again it is known
    assert import_judgments(unjudged, [later]).counts["judgments known"] == 180
    counted = unjudged.execute("SELECT status, count(*) FROM judgments GROUP BY status ORDER BY status").fetchall()
    assert list(map(tuple, counted)) == [("counted", 180), ("revised", differing)]
    unjudged.execute("DELETE FROM judgments")
    import_judgments(unjudged, [later])
    assert numbers(unjudged) == revised


def test_the_same_table_without_times_counts_nothing_twice(
    unjudged: sqlite3.Connection, votes: list[dict[str, Any]], tmp_path: Path
) -> None:
    import_judgments(unjudged, [table(tmp_path / "votes.csv", votes)])
    bare = [column for column in TABLE if column not in ("created_at", "comment")]
    done = import_judgments(unjudged, [table(tmp_path / "again.csv", votes, bare)])
    assert (done.counts["judgments new"], done.counts["judgments known"]) == (0, 180)
    shouted = [row | {"annotator": f"  {row['annotator'].upper()} "} for row in votes]
    done = import_judgments(unjudged, [table(tmp_path / "shouted.csv", shouted, bare)])
    assert (done.counts["judgments new"], done.counts["judgments known"]) == (0, 180)
    assert len(done.warnings) == len({row["annotator"] for row in votes})


# --- the three things that a second verdict may be


def test_a_second_verdict_is_refused_with_both_verdicts_and_nothing_of_the_file_stays(
    answered: sqlite3.Connection, tmp_path: Path
) -> None:
    take(answered, table(tmp_path / "a.csv", battles(("ana", "alpha-2", 0, ""), ("ana", "tie", 1, ""))))
    later = table(tmp_path / "b.csv", battles(("ana", "tie", 2, ""), ("ana", "zeta-1", 0, "no")))
    with pytest.raises(InputError) as error:
        take(answered, later)
    assert (error.value.line, error.value.field) == (3, "winner")
    assert "ana judged these two answers already (run 1): alpha-2 then, zeta-1 now." in str(error.value)
    assert stored(answered) == [("ana", "alpha-2", "counted"), ("ana", "tie", "counted")]


def test_one_file_may_not_contradict_itself_either(answered: sqlite3.Connection, tmp_path: Path) -> None:
    rows = battles(("ana", "alpha-2", 0, "a"), ("ana", "alpha-2", 0, "b"), ("ana", "tie", 0, "c"))
    path = table(tmp_path / "a.csv", rows)
    with pytest.raises(InputError, match=r"line 4, .*ana judged these two answers on line 2: alpha-2 then, tie now"):
        take(answered, path)
    assert stored(answered) == []
    for new in (1, 0):  # its last word counts; the same file again brings nothing new
        done = import_judgments(answered, [path], again="revise")
        assert done.counts["judgments new"] == new
        assert [row[1:] for row in stored(answered) if row[2] == "counted"] == [("tie", "counted")]
        assert len(stored(answered)) == 3


def test_revised_and_revised_back(answered: sqlite3.Connection, tmp_path: Path) -> None:
    for word in ("alpha-2", "zeta-1", "alpha-2"):
        path = table(tmp_path / "votes.csv", battles(("ana", word, 0, "")))
        assert import_judgments(answered, [path], again="revise").counts["judgments known"] == 0
    assert stored(answered) == [
        ("ana", "alpha-2", "revised"), ("ana", "zeta-1", "revised"), ("ana", "alpha-2", "counted"),
    ]  # fmt: skip
    # when the runs are deleted, what each had revised counts again
    for left in ("zeta-1", "alpha-2"):
        last = answered.execute("SELECT max(id) FROM runs").fetchone()[0]
        deletion.delete(answered, "run", str(last))
        assert stored(answered)[-1] == ("ana", left, "counted")


def test_repeats_are_for_self_agreement_alone(answered: sqlite3.Connection, tmp_path: Path) -> None:
    first = table(tmp_path / "a.csv", battles(("ana", "alpha-2", 0, ""), ("ana", "tie", 1, "")))
    again = table(
        tmp_path / "b.csv", battles(("ana", "alpha-2", 0, ""), ("ana", "zeta-1", 1, ""), ("ana", "tie", 2, ""))
    )
    import_judgments(answered, [first])
    for _ in range(2):
        done = import_judgments(answered, [again], again="repeat")
    assert (done.counts["judgments known"], done.counts["judgments repeats"]) == (3, 0)
    assert sorted(stored(answered)) == [
        ("ana", "alpha-2", "counted"), ("ana", "alpha-2", "repeat"), ("ana", "tie", "counted"),
        ("ana", "tie", "counted"), ("ana", "zeta-1", "repeat"),
    ]  # fmt: skip
    [ana] = agreement.report(answered).scenarios[0].annotators
    assert (ana.votes, ana.repeats, ana.again and (ana.again.count, ana.again.of)) == (3, 2, (1, 2))


def test_a_sheet_that_was_changed_says_what_it_is(db: sqlite3.Connection, tmp_path: Path) -> None:
    small_study(db, 2)
    export(db, tmp_path / "sheet.csv")
    [item, *_] = (row["item"] for row in read(tmp_path / "sheet.csv"))
    take(db, str(filled(tmp_path / "sheet.csv", {"*": "response_1"})), annotator="ana")
    changed = str(filled(tmp_path / "sheet.csv", {item: "tie", "*": "response_1"}, "changed.csv"))
    with pytest.raises(InputError, match=rf"ana judged item {item} already \(run \d+\): response_1 then, tie now\."):
        take(db, changed, annotator="ana")
    for _ in range(2):
        done = import_judgments(db, [changed], annotator="Ana", again="revise")
    assert done.counts["judgments known"] == 6
    statuses = [
        row["status"] for row in db.execute("SELECT status FROM judgments WHERE source_id LIKE ?", (f"item:{item}%",))
    ]
    assert sorted(statuses) == ["counted", "revised"]
    with pytest.raises(InputError, match="filled in by one person"):
        take(db, changed, crowds=["passers-by"])


FILES = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["ana", "ANA", "bo"]), st.sampled_from(["alpha-2", "zeta-1", "tie"]), st.integers(0, 2),
            st.sampled_from(["", "x"]),
        ),
        min_size=1, max_size=5,
    ),
    min_size=1, max_size=3,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(files=FILES, order=st.lists(st.integers(0, 2), min_size=1, max_size=6))
def test_whatever_comes_in_whatever_order_one_vote_per_person_and_pair_the_last_word(
    files: list[list[tuple[str, str, int, str]]], order: list[int]
) -> None:
    with fresh() as (db, folder):
        small_study(db, 3)
        paths = [table(folder / f"{n}.csv", battles(*rows)) for n, rows in enumerate(files)]
        last: dict[tuple[str, int], str] = {}
        for n in (number % len(files) for number in order):
            import_judgments(db, [paths[n]], again="revise")
            last |= {(name.lower(), number): word for name, word, number, _ in files[n]}
            before = db.execute("SELECT count(*) FROM judgments").fetchone()[0]
            assert import_judgments(db, [paths[n]], again="revise").counts["judgments new"] == 0
            assert db.execute("SELECT count(*) FROM judgments").fetchone()[0] == before
        found = db.execute(
            "SELECT v.annotator, i.instruction, v.winner"
            " FROM votes AS v JOIN instructions AS i ON i.id = v.instruction_id"
        )
        words = {"model_a": "zeta-1", "model_b": "alpha-2"}
        counted = [
            ((row["annotator"].lower(), int(row["instruction"][15])), words.get(row["winner"], row["winner"]))
            for row in found
        ]
        assert len(counted) == len(last)
        assert dict(counted) == last


# --- crowds


def battle(winner: str, **fields: Any) -> dict[str, Any]:
    talk = [{"role": "user", "content": "Why?"}]
    sides = {f"conversation_{side}": [*talk, {"role": "assistant", "content": side}] for side in "ab"}
    return {"model_a": "m", "model_b": "n", "winner": winner, **sides, **fields}


def jsonl(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("judge", [{}, {"judge": "arena"}, {"judge": "arena_user"}])
def test_arenas_voters_are_a_crowd_each_row_of_which_is_a_vote(
    db: sqlite3.Connection, tmp_path: Path, judge: dict[str, str], madetl: Madetl
) -> None:
    path = jsonl(tmp_path / "b.jsonl", *(battle(word, **judge) for word in ("model_a", "model_a", "tie")))
    for new in (3, 0):
        assert answers.import_arena(db, [path]).counts["judgments new"] == new
    assert {tuple(row) for row in db.execute("SELECT kind, status FROM verdicts")} == {("crowd", "counted")}
    done = madetl("rank", "--rounds", "20")
    name = judge.get("judge", "arena")
    assert f"3 battles on 1 item by a crowd named {name} (overall)" in " ".join(done.stdout.split())
    assert "1 annotator" not in done.stdout
    assert madetl("agreement").stderr.count("Only a crowd has judged") == 1


def test_one_name_with_two_verdicts_is_refused_with_a_hint_at_crowds(db: sqlite3.Connection, tmp_path: Path) -> None:
    path = jsonl(tmp_path / "b.jsonl", battle("model_a", judge="mturk"), battle("tie", judge="mturk"))
    with pytest.raises(
        InputError, match=r"line 2, .*mturk judged these two answers on line 1: m then, tie now.*--crowd"
    ):
        answers.import_arena(db, [path])
    assert answers.import_arena(db, [path], crowds=["MTurk"]).counts["judgments new"] == 2
    assert answers.import_arena(db, [path]).counts["judgments known"] == 2  # known as a crowd from now on
    people = jsonl(tmp_path / "c.jsonl", battle("model_a", judge="ana"))
    answers.import_arena(db, [people])
    with pytest.raises(ParameterError, match="ana is one person among the annotators, not a crowd"):
        answers.import_arena(db, [people], crowds=["ana"])


def test_a_thousand_votes_of_one_name_are_asked_about(db: sqlite3.Connection, tmp_path: Path) -> None:
    rows = [battle("tie", judge="every body", conversation_a=talk, conversation_b=talk) for talk in talks(1000)]
    done = answers.import_arena(db, [jsonl(tmp_path / "b.jsonl", *rows)])
    [warning] = done.warnings
    assert "1,000 votes are by every body." in warning
    assert "`madetl delete run 1` and import with --crowd 'every body'" in warning


def talks(number: int) -> Iterator[list[dict[str, str]]]:
    for n in range(number):
        yield [{"role": "user", "content": f"What is {n}?"}, {"role": "assistant", "content": "A number."}]


def test_a_crowd_takes_no_ones_turn_and_no_page(db: sqlite3.Connection) -> None:
    small_study(db, 1)
    study = Study(db)
    study.annotator("arena", "crowd")
    study.judgment(1, 2, "tie", "arena")
    assert db.execute("SELECT count(*) FROM taken_slots").fetchone()[0] == 0
    with pytest.raises(ParameterError, match="arena is a crowd"):
        export(db, Path("never.csv"), annotator="arena")


# --- names


def test_names_that_differ_in_writing_alone_are_one_annotator(answered: sqlite3.Connection, tmp_path: Path) -> None:
    first = battles(("Anne-Marie O.", "tie", 0, ""), ("bo", "tie", 0, ""))
    take(answered, table(tmp_path / "a.csv", first))
    odd = ("ANNE\u2011MARIE  O.", "\uff22\uff4f", "anne\u2013marie o.")
    done = take(
        answered, table(tmp_path / "b.csv", battles(*((name, "zeta-1", 1 + n // 2, "") for n, name in enumerate(odd))))
    )
    assert done.new == 3
    assert [row[0] for row in answered.execute("SELECT name FROM annotators ORDER BY id")] == ["Anne-Marie O.", "bo"]
    assert f"{odd[0]} was taken for Anne-Marie O., the same name." in done.warnings
    assert f"{odd[1]} was taken for bo, the same name." in done.warnings
    counts = rank.rank(answered, RankParameters(rounds=5, annotators=("anne\u2212marie O.",))).leaderboards[0].counts
    assert (counts["battles"], counts["annotators"]) == (3, 1)
    with pytest.raises(ParameterError, match="There is no annotator anna"):
        rank.rank(answered, RankParameters(annotators=("anna",)))


def test_two_names_that_are_stored_stay_two(answered: sqlite3.Connection) -> None:
    """A database of before may hold both: each is found by its exact name, others go to the first."""
    for name in ("ana", "ANA"):
        answered.execute("INSERT INTO annotators (name) VALUES (?)", (name,))
    assert annotators.stored_names(answered, ["ANA", "ana", "Ana", "nobody"]) == ("ANA", "ana", "ana", "nobody")


def test_a_models_name_that_almost_is_anothers_is_told_with_the_command_that_joins_them(
    db: sqlite3.Connection, tmp_path: Path, madetl: Madetl
) -> None:
    rows = [
        {"instruction": "Why?", "model": name, "response": name} for name in ("GPT-4 turbo", "gpt\u20114  Turbo", "x")
    ]
    path = jsonl(tmp_path / "r.jsonl", *rows)
    done = madetl("import", "responses", path, "--scenario", "S")
    assert "`madetl models rename 'gpt\u20114  Turbo' 'GPT-4 turbo' --merge`" in done.stderr
    assert "almost" not in madetl("import", "responses", path, "--scenario", "S").stderr  # told once
    asked = (
        "infer",
        "--model",
        "GPT-4 TURBO",
        "--provider",
        "openai",
        "--base-url",
        "http://127.0.0.1:9/v1",
        "--dry-run",
    )
    assert "`madetl models rename 'GPT-4 TURBO' 'GPT-4 turbo' --merge`" in madetl(*asked).stderr
    added = madetl("models", "add", "X", "--provider", "openai", "--base-url", "http://127.0.0.1:9/v1").stderr
    assert "the model X is written almost like x, an earlier one" in added
    db.execute("DELETE FROM models WHERE name = 'X'")
    madetl("models", "rename", "gpt\u20114  Turbo", "  GPT-4 turbo ", "--merge")
    madetl("models", "rename", " x ", " y ")
    assert [row[0] for row in db.execute("SELECT name FROM models ORDER BY id")] == ["GPT-4 turbo", "y"]
    with pytest.raises(ParameterError, match="The new name is empty"):
        merge_models.rename(db, "y", "  ")


def test_an_unknown_model_in_a_table_is_answered_with_the_known_one(
    answered: sqlite3.Connection, tmp_path: Path
) -> None:
    rows = [row | {"model_a": "Alpha\u20132"} for row in battles(("ana", "tie", 0, ""))]
    with pytest.raises(InputError, match=r"no model is called 'Alpha.2' in this database\. 'alpha-2' is\."):
        take(answered, table(tmp_path / "a.csv", rows))


# --- as commands


def test_the_commands_say_what_came_of_it(answered: sqlite3.Connection, tmp_path: Path, madetl: Madetl) -> None:
    first = table(tmp_path / "a.csv", battles(("ana", "tie", 0, ""), ("ana", "tie", 1, "")))
    later = table(tmp_path / "b.csv", battles(("ana", "tie", 0, ""), ("ana", "zeta-1", 1, "")))
    madetl("import", "judgments", first)
    refused = madetl("import", "judgments", later, status=1).stderr
    assert "--revise" in refused
    assert "--as-repeat" in refused
    assert (
        "either --revise or --as-repeat"
        in madetl("import", "judgments", later, "--revise", "--as-repeat", status=2).stderr
    )
    assert "2 judgments (0 new, 1 known, 1 revised)" in madetl("import", "judgments", later, "--revise").stdout
    assert "revised" in madetl("status").stdout
    assert "1 verdict of annotators was revised" in " ".join(madetl("agreement").stderr.split())
    again = table(tmp_path / "c.csv", battles(("ana", "tie", 1, "")))
    assert "1 judgment (0 new, 0 known, 1 repeat)" in madetl("import", "judgments", again, "--as-repeat").stdout
