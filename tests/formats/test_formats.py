"""What each kind of file and each format is read as, and the errors of files that are not what they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.errors import InputError
from madetl.formats import alpaca_eval, arena, mad_eval, plain
from madetl.formats.reading import FileRow, FileRows, read_rows
from madetl.records import BattleRecord, InstructionRecord, ResponseRecord

ANSWER = {"instruction": "q", "output": "a", "generator": "m"}
PAIR = {"instruction": "q", "response_1": "x", "response_2": "y", "output": "tie"}
TURNS = {
    "conversation_a": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}],
    "conversation_b": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "y"}],
}
BATTLE = {"model_a": "m", "model_b": "n", "winner": "tie", **TURNS}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    """Writes a file with exactly this content, and returns its path."""

    def write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


Write = Callable[[str, str | bytes], str]


KEYS = st.text("abxyz_ é語", max_size=3).map(str.strip)


def rows_of(*fields: dict[str, Any], file: str = "f.json") -> FileRows:
    return FileRows(file, [FileRow(line, each) for line, each in enumerate(fields, 1)])


def parquet(path: Path, select: str) -> str:
    duckdb.sql(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return str(path)


# Each kind of file


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.jsonl", '{"x": "1"}\n\n{"x": "2"}\r\n  \n', [(1, "1"), (3, "2")]),
        ("a.jsonl", '{"x": "a\u2028b\u0085c"}\n{"x": "2"}', [(1, "a\u2028b\u0085c"), (2, "2")]),
        ("a.json", '\ufeff[{"x": "1"}]', [(1, "1")]),
        ("a.json", '\n[\n {"x": "1"}, {"x":\n"2"},\n\n {"x": "3"}]\n', [(3, "1"), (3, "2"), (6, "3")]),
        ("lines.json", '{"x": "1"}\n{"x": "2"}', [(1, "1"), (2, "2")]),
        ("no_suffix", ' [{"x": "1"}]', [(1, "1")]),
        ("a.csv", "x,y\n1,2\n\n3,4", [(2, "1"), (4, "3")]),
        ("a.csv", '\ufeffx;y\r\n"a, b";2\r\n"a\r\nb";2\r\n3;4\r\n', [(2, "a, b"), (3, "a\r\nb"), (5, "3")]),
        ("a.csv", "y, x \n1,2", [(2, "2")]),
        ("a.csv", "Y, X \n1,2\n,,\n , \n3,4\n,\n", [(2, "2"), (5, "4")]),
        ("a.csv", 'x\n"say ""hi"""\n', [(2, 'say "hi"')]),
        ("a.csv", "x,y\r1,2\r3,4", [(2, "1"), (3, "3")]),
        ("a.csv", f"x,y\n{'long ' * 100_000},2", [(2, "long " * 100_000)]),
        ("a.tsv", "x\ty\n1,5\t2\n", [(2, "1,5")]),
        ("no_suffix", "x,y\n1,2\n", [(2, "1")]),
    ],
)
def test_rows_know_their_lines(write: Write, name: str, content: str, rows: list[tuple[int, str]]) -> None:
    found = read_rows(write(name, content))
    assert [(row.line, row.fields["x"]) for row in found.rows] == rows
    assert found.name == name
    assert found.replaced == 0


def test_parquet_keeps_the_types_of_the_file_and_takes_its_name_literally(tmp_path: Path) -> None:
    folder = tmp_path / "key=value"
    folder.mkdir()
    select = (
        "SELECT '007' AS x, 1.5 AS score, [{'role': 'user', 'content': 'é'}] AS turns UNION ALL SELECT 'b', NULL, []"
    )
    file = parquet(folder / "a[1]*.parquet", select)
    parquet(folder / "a1.parquet", "SELECT 'other' AS x")
    found = read_rows(file)
    assert [row.line for row in found.rows] == [1, 2]
    assert found.rows[0].fields == {"x": "007", "score": 1.5, "turns": [{"role": "user", "content": "é"}]}
    assert found.rows[1].fields == {"x": "b", "score": None, "turns": []}


def test_unstorable_characters_are_replaced_wherever_they_stand(write: Write) -> None:
    found = read_rows(write("a.jsonl", r'{"x": "a\u0000", "y": [{"z": "\ud800\udc00 \ud800"}], "n": 1}'))
    assert found.rows[0].fields == {"x": "a\ufffd", "y": [{"z": "\U00010000 \ufffd"}], "n": 1}
    assert found.replaced == 2


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1), st.booleans())
def test_any_text_comes_out_of_json_lines_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], ascii: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "property.jsonl"
    file.write_bytes("\n".join(json.dumps({"x": text}, ensure_ascii=ascii) for text in texts).encode())
    assert [row.fields["x"] for row in read_rows(str(file)).rows] == texts


@settings(deadline=None)
@given(st.lists(st.dictionaries(KEYS, st.text() | st.none()), min_size=1), st.sampled_from([None, 0, 2]))
def test_a_json_list_is_read_as_json_reads_it(
    tmp_path_factory: pytest.TempPathFactory, values: list[dict[str, Any]], indent: int | None
) -> None:
    file = tmp_path_factory.getbasetemp() / "property.json"
    text = json.dumps(values, indent=indent).replace("\\u0000", " ").replace("\\ud", "\\u1").replace("\\uD", "\\u1")
    file.write_text(text)
    assert [row.fields for row in read_rows(str(file)).rows] == json.loads(text)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'[\n{"x": "caf\xe9"}]', "line 2: this is not UTF-8 (byte 0xe9)"),
        ("a.csv", "x,y\n1,2\n".encode("utf-16") + b"\x00", "line 3: this is not UTF-16 (byte 0x00)"),
        ("a.json", "", "no rows"),
        ("a.json", "[ ]", "no rows"),
        ("a.csv", "x,y\n", "no rows"),
        ("a.jsonl", "\n\n", "no rows"),
        ("a.json", '[\n{"x": 1},\n{"x": ', "line 3: not valid JSON"),
        ("a.json", '[{"x": 1}\n{"x": 2}]', "line 2: not valid JSON: expected , or ]"),
        ("a.json", '[{"x": 1}]\n]', "line 2: not valid JSON: the list has ended"),
        ("a.json", '[{"x": 1},\n]', "line 2: not valid JSON"),
        ("a.jsonl", '{"x": 1}\n{"x": 1', "line 2: not valid JSON"),
        ("a.jsonl", '{"x": 1}\n{"x": 1} {"x": 2}', "line 2: not valid JSON: more after the value, in column 9"),
        ("a.jsonl", '{"x": 1}\n[1]', "line 2: found a list; expected an object"),
        ("a.json", "[1]", "line 1: found 1; expected an object"),
        ("a.json", "[null]", "line 1: found null; expected an object"),
        ("a.json", '{\n"x": [\n1]\n}', "one JSON object; expected a list of objects"),
        ("a.json", "[" * 100_000, "line 1: JSON that cannot be read"),
        ("a.jsonl", '{"x": 1}\n{"x": ' + "9" * 5000 + "}", "line 2: JSON that cannot be read"),
        ("a.csv", "x,y\n1,2\n\n1\n", "line 4: found 1 cell; the header has 2"),
        ("a.csv", "x,y\n1,2,3\n", "line 2: found 3 cells; the header has 2"),
        ("a.csv", 'x,y\n1,2\n3,"4\n5,6\n', "line 3: a quotation mark"),
        ("a.csv", 'x,y\n1,"2"3\n', "line 2: not valid CSV"),
        ("a.csv", "x,y,x\n1,2,3\n", "line 1, field x: this column is there twice"),
        ("a.csv", "x,X\n1,2\n", "line 1, field x: this column is there twice (letter case does not count)"),
        ("a.csv", "x,,y\n1,2,3\n", "line 1: column 2 of the header has no name"),
        ("a.parquet", "no", "not a Parquet file"),
        ("a.json", b"PAR1 and nothing else", "not a Parquet file"),
    ],
)
def test_files_that_cannot_be_read(write: Write, name: str, content: str | bytes, message: str) -> None:
    file = write(name, content)
    with pytest.raises(InputError) as caught:
        read_rows(file)
    assert str(caught.value).startswith(file)
    assert message in str(caught.value)
    assert caught.value.file == file


def test_folders_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is a folder"):
        read_rows(str(tmp_path))
    with pytest.raises(InputError, match=r"gone\.json: there is no such file"):
        read_rows(str(tmp_path / "gone.json"))


# The formats


@pytest.mark.parametrize("name", ["instruction", "question", "prompt", "text"])
def test_an_instruction_goes_by_several_names(name: str) -> None:
    records = plain.read_instructions(rows_of({name: "q ", "answer": "42"}), "S")
    expected = InstructionRecord(
        scenario="S", instruction="q ", reference_answer="42", source="instructions:f.json", line=1
    )
    assert records == [expected]


def test_the_best_name_of_an_instruction_wins_and_the_row_says_its_scenario() -> None:
    row = {"prompt": "### q", "instruction": "q", "input": "i", "output": "a", "scenario": " Coding "}
    found = plain.read_instructions(rows_of(row), "S")[0]
    assert (found.instruction, found.input, found.reference_answer, found.scenario) == ("q", "i", "a", "Coding")


def test_empty_cells_of_optional_fields_are_none() -> None:
    row = {"instruction": "q", "input": None, "answer": "", "scenario": ""}
    found = plain.read_instructions(rows_of(row), "S")[0]
    assert (found.input, found.reference_answer, found.scenario) == ("", None, "S")


@pytest.mark.parametrize(
    ("given", "stored"),
    [(42, "42"), (True, "true"), (3.5, "3.5"), (Decimal("3.50"), "3.50"), (float("nan"), None), ("", None), (0, "0")],
)
def test_a_reference_answer_may_be_a_number(given: Any, stored: str | None) -> None:
    plain_rows = rows_of({"instruction": "q", "answer": given})
    assert plain.read_instructions(plain_rows, "S")[0].reference_answer == stored
    pairs = rows_of(PAIR | {"reference_answer": given}, file="x-vs-y.jsonl")
    assert mad_eval.read(pairs)[0].reference_answer == stored
    battles = rows_of({"model_a": "m", "model_b": "n", "winner": "tie", "data": PAIR | {"answer": given}})
    assert arena.read(battles)[0].reference_answer == stored


@pytest.mark.parametrize(("given", "found"), [([1], "a list"), ({"a": 1}, "an object")])
def test_a_reference_answer_that_is_no_text(given: Any, found: str) -> None:
    with pytest.raises(InputError, match=f"field answer: found {found}; expected text"):
        plain.read_instructions(rows_of({"instruction": "q", "answer": given}), "S")


def test_plain_responses() -> None:
    rows = rows_of({"question": "q", "output": ""}, {"instruction": "q", "response": "r", "model": " n "})
    shared = {"scenario": "S", "instruction": "q", "source": "responses:f.json"}
    assert plain.read_responses(rows, "S", "m") == [
        ResponseRecord(**shared, line=1, model="m", response=""),
        ResponseRecord(**shared, line=2, model="n", response="r"),
    ]


def test_alpaca_eval() -> None:
    records = alpaca_eval.read(rows_of(ANSWER | {"dataset": "koala", "datasplit": "eval"}, ANSWER))
    shared = {"scenario": "AlpacaEval", "instruction": "q", "model": "m", "response": "a"}
    assert records == [
        ResponseRecord(**shared, source="alpaca-eval:koala", line=1),
        ResponseRecord(**shared, source="alpaca-eval", line=2),
    ]


def test_mad_eval_takes_the_models_from_the_row_else_from_the_file() -> None:
    rows = rows_of(PAIR | {"output": "x-1.5"}, PAIR | {"source": "org/p-q-vs-r.json"}, file="d/x-1.5-vs-y.jsonl")
    found = mad_eval.read(rows)
    assert [(record.model_a, record.model_b, record.winner) for record in found] == [
        ("x-1.5", "y", "model_a"),
        ("org/p-q", "r", "tie"),
    ]


@pytest.mark.parametrize(
    ("output", "winner"),
    [
        ("x", "model_a"),
        ("y", "model_b"),
        (" y ", "model_b"),
        ("tie", "tie"),
        ("Tie", "tie"),
        ("tie (bothbad)", "both_bad"),
        ("", None),
        (None, None),
    ],
)
def test_winners_of_mad_eval(output: str | None, winner: str | None) -> None:
    assert mad_eval.read(rows_of(PAIR | {"output": output}, file="x-vs-y.jsonl"))[0].winner == winner


def test_mad_eval_with_all_fields() -> None:
    row = PAIR | {"input": "i", "answer": "ref", "score": "0.25", "explanation": "why"}
    assert mad_eval.read(rows_of(row, file="d/m-vs-n.jsonl"), "S", "ann") == [
        BattleRecord(
            scenario="S",
            instruction="q",
            input="i",
            reference_answer="ref",
            source="mad-eval:d/m-vs-n.jsonl",
            line=1,
            model_a="m",
            response_a="x",
            model_b="n",
            response_b="y",
            winner="tie",
            order_known=False,
            annotator="ann",
            score=0.25,
            explanation="why",
        )
    ]


def test_arena_in_the_layout_of_mad_eval_whose_source_has_another_order() -> None:
    row = {
        "model_a": "m", "model_b": "n", "winner": "modedl_b", "judge": "arena_user", "tstamp": 1706513835.25,
        "source": "n-vs-m.jsonl", "data": PAIR | {"score": 0.5},
    }  # fmt: skip
    assert arena.read(rows_of(row, file="d/f.json")) == [
        BattleRecord(
            scenario="Arena",
            instruction="q",
            source="arena:d/f.json",
            line=1,
            model_a="m",
            response_a="x",
            model_b="n",
            response_b="y",
            winner="model_b",
            order_known=True,
            annotator="arena_user",
            score=0.5,
            created_at="2024-01-29T07:37:15.250Z",
        )
    ]


@pytest.mark.parametrize(
    ("word", "winner"),
    [
        ("model_a", "model_a"),
        ("model_b", "model_b"),
        ("modedl_b", "model_b"),
        ("tie", "tie"),
        ("tie (bothbad)", "both_bad"),
        ("both_bad", "both_bad"),
    ],
)
def test_winners_of_arena(word: str, winner: str) -> None:
    assert arena.read(rows_of(BATTLE | {"winner": word}))[0].winner == winner


def test_a_conversation_of_one_turn() -> None:
    found = arena.read(rows_of(BATTLE | {"question_id": 81, "judge": None, "judge_hash": "abc"}), "S", "ann")[0]
    assert (found.instruction, found.response_a, found.response_b) == ("q", "x", "y")
    assert (found.scenario, found.annotator, found.source_id, found.created_at) == ("S", "abc", "81", None)


def test_of_a_longer_conversation_nothing_is_lost() -> None:
    def turns(*answers: str) -> list[dict[str, str]]:
        head = [{"role": "system", "content": "Be brief."}]
        asked = [{"role": "user", "content": text} for text in ("first", "second")]
        answered = [{"role": "assistant", "content": text} for text in answers]
        return head + [turn for both in zip(asked, answered, strict=True) for turn in both]

    row = BATTLE | {"conversation_a": turns("1", "2"), "conversation_b": turns("3", "")}
    found = arena.read(rows_of(row))[0]
    assert found.instruction == "[System]\nBe brief.\n\n[User]\n[Turn 1]\nfirst\n\n[Turn 2]\nsecond"
    assert found.response_a == "[Turn 1]\n1\n\n[Turn 2]\n2"
    assert found.response_b == "[Turn 1]\n3\n\n[Turn 2]\n"


Read = Callable[[FileRows], object]


@pytest.mark.parametrize(
    ("read", "row", "field", "message"),
    [
        (
            alpaca_eval.read,
            {"instruction": "q", "output": "a"},
            "generator",
            "missing; the row has instruction, output",
        ),
        (alpaca_eval.read, ANSWER | {"output": None}, "output", "found null; expected text"),
        (alpaca_eval.read, ANSWER | {"output": ["a"]}, "output", "found a list; expected text"),
        (alpaca_eval.read, ANSWER | {"instruction": 7}, "instruction", "found 7; expected text"),
        (alpaca_eval.read, ANSWER | {"instruction": ""}, "instruction", "empty; expected text"),
        (alpaca_eval.read, ANSWER | {"generator": "  "}, "generator", "empty; expected text"),
        (alpaca_eval.read, ANSWER | {"output": True}, "output", "found true; expected text"),
        (plain.read_instructions, {"question": "q"}, "scenario", "--scenario NAME names one"),
        (plain.read_instructions, {"question": "q", "scenario": "overall"}, "scenario", "use another name"),
        (plain.read_instructions, {"question": 1}, "question", "found 1; expected text"),
        (plain.read_instructions, {"q": "q"}, "instruction", "missing (question or prompt or text would do)"),
        (plain.read_instructions, {}, "instruction", "the row has no fields"),
        (plain.read_responses, {"text": "q", "output": "a", "scenario": "S"}, "model", "--model NAME names one"),
        (plain.read_responses, {"text": "q", "output": 1, "model": "m"}, "output", "found 1; expected text"),
        (mad_eval.read, PAIR | {"source": "m-vs-m"}, "source", "does not name two models"),
        (mad_eval.read, PAIR | {"source": "a-vs-b-vs-c"}, "source", '"a-vs-b-vs-c" does not name two models'),
        (mad_eval.read, PAIR, "source", 'the file\'s name "f.json" does not name two models'),
        (mad_eval.read, PAIR | {"source": "a-vs-b", "output": "c"}, "output", 'found "c"; expected a, b, tie'),
        (mad_eval.read, PAIR | {"source": "a-vs-b", "score": "high"}, "score", 'found "high"; expected a number'),
        (mad_eval.read, PAIR | {"source": "a-vs-b", "score": float("nan")}, "score", "found nan; expected a number"),
        (arena.read, BATTLE | {"winner": "m"}, "winner", 'found "m"; expected model_a, model_b, tie'),
        (arena.read, BATTLE | {"winner": None}, "winner", "found null; expected text"),
        (arena.read, BATTLE | {"model_b": "m "}, "model_b", 'found "m" on both sides'),
        (arena.read, BATTLE | {"conversation_a": "q"}, "conversation_a", 'found "q"; expected a list'),
        (arena.read, BATTLE | {"conversation_b": []}, "conversation_b", "no turns here"),
        (arena.read, BATTLE | {"conversation_a": [{"role": "user"}]}, "conversation_a.0.content", "missing"),
        (arena.read, BATTLE | {"conversation_a": [{"role": "bot", "content": "x"}]}, "conversation_a", 'role "bot"'),
        (arena.read, BATTLE | {"conversation_a": [{"role": "user", "content": "p"}]}, "conversation_b", "turns differ"),
        (arena.read, BATTLE | {"data": {"instruction": "q"}}, "data.response_1", "missing"),
        (arena.read, BATTLE | {"tstamp": "yesterday"}, "tstamp", 'found "yesterday"; expected seconds'),
        (arena.read, BATTLE | {"turn": 10**30}, "turn", "expected less than or equal to 1000000"),
    ],
)
def test_bad_rows(read: Read, row: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(rows_of(row))
    assert (caught.value.line, caught.value.field) == (1, field)
    assert message in str(caught.value)


def test_all_bad_rows_are_named_at_once() -> None:
    bad = {"instruction": "q", "output": "a"}
    with pytest.raises(InputError) as caught:
        alpaca_eval.read(rows_of(ANSWER, bad, ANSWER, {}, *[bad] * 20))
    assert caught.value.line == 2
    assert "Bad too: line 4 (instruction), line 5 (generator)" in str(caught.value)
    assert "line 12 (generator), and 12 more." in str(caught.value)
