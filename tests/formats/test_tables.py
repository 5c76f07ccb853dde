"""Tables as people have them: every dialect of CSV, packed or not, in every encoding, by every reader."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from madetl.errors import InputError
from madetl.formats import alpaca_eval, arena, mad_eval, plain, verdicts
from madetl.formats.reading import FileRow, FileRows, read_rows

ENCODINGS = {
    "utf-8": b"", "utf-8 with a mark": b"\xef\xbb\xbf",
    "utf-16-le": b"", "utf-16-le with a mark": b"\xff\xfe",
    "utf-16-be": b"", "utf-16-be with a mark": b"\xfe\xff",
}  # fmt: skip
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress
}  # fmt: skip
DELIMITERS = [",", ";", "\t", "|"]

# What a delimiter, a quotation mark or a line end may be taken for; prose with commas; other scripts.
PIECES = st.sampled_from(
    [",", ";", "\t", "|", '"', "'", "\n", "a, b; c", "x\r\ny", " ", "語", "é", "\u2028", "=1", "\\"]
)
CELLS = st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)).map(
    "".join
)


NAMES = st.sampled_from(["instruction", "response", "id", "a b", "note", "x.y"])


def encoded(text: str, encoding: str) -> bytes:
    return ENCODINGS[encoding] + text.encode(encoding.removesuffix(" with a mark"))


def written(rows: list[list[str]], **dialect: Any) -> str:
    file = io.StringIO(newline="")
    csv.writer(file, **dialect).writerows(rows)
    return file.getvalue()


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    """A header, quoted or not, and rows that are not blank."""
    header = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    row = st.lists(CELLS, min_size=len(header), max_size=len(header)).filter(lambda row: any(map(str.strip, row)))
    return header, draw(st.lists(row, min_size=1, max_size=5))


@given(
    table=tables(),
    delimiter=st.sampled_from(DELIMITERS),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(list(ENCODINGS)),
    packing=st.sampled_from(list(PACKINGS)),
    declared=st.booleans(),
)
def test_rows_of_every_dialect_come_back_equal(
    tmp_path_factory: pytest.TempPathFactory,
    *,
    table: tuple[list[str], list[list[str]]],
    delimiter: str,
    quoting: Any,
    line_end: str,
    encoding: str,
    packing: str,
    declared: bool,
) -> None:
    header, rows = table
    text = written([header, *rows], delimiter=delimiter, quoting=quoting, lineterminator=line_end)
    # Where the lines end in \n, Python's csv writes a \r without quotation marks and cannot read it back itself.
    assume(list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) == [header, *rows])
    if declared:
        text = f"sep={delimiter}{line_end}{text}"
    file = tmp_path_factory.getbasetemp() / f"table.csv{packing}"
    file.write_bytes(PACKINGS[packing](encoded(text, encoding)))
    assert [list(row.fields.items()) for row in read_rows(str(file)).rows] == [
        list(zip(header, row, strict=True)) for row in rows
    ]


def test_the_lines_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "sheet.csv"
    file.write_bytes('sep=;\r\n"x";"y"\r\n"a\r\nb";1\r\n"c";2\r\n'.encode("utf-16"))
    assert [(row.line, row.fields["x"]) for row in read_rows(str(file)).rows] == [(3, "a\r\nb"), (5, "c")]
    file.write_text("sep=;\nx;y\n1;2\n1;2;3\n")
    with pytest.raises(InputError, match="line 4: found 3 cells; the header has 2"):
        read_rows(str(file))


@pytest.mark.parametrize(
    "text",
    [
        # R: write.csv and write.csv2, with the column of row numbers, and without
        '"","instruction","response"\n"1","a, b","say ""hi"""\n"2","c; d","e\nf"\n',
        '"";"instruction";"response"\n"1";"a, b";"say ""hi"""\n"2";"c; d";"e\nf"\n',
        '"instruction","response"\n"a, b","say ""hi"""\n"c; d","e\nf"\n',
        # a database's, PostgreSQL's and BigQuery's
        'instruction|response\n"a, b"|"say ""hi"""\nc; d|"e\nf"\n',
        'instruction\tresponse\r\na, b\t"say ""hi"""\r\nc; d\t"e\nf"\r\n',
        # a spreadsheet's: columns that nobody filled, in the header and below
        '\ufeffinstruction;response;;\r\na, b;"say ""hi""";;\r\n"c; d";"e\nf";;\r\n;;;\r\n',
        # a name in the header with another delimiter in it
        'instruction,response,winner (a|b|tie)\n"a, b","say ""hi""",a\nc; d,"e\nf",b\n',
        '"instruction";"response";"which one, a or b"\n"a, b";"say ""hi""";\n"c; d";"e\nf";\n',
    ],
)
def test_what_other_programs_write(tmp_path: Path, text: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(text.encode())
    assert [(row.fields["instruction"], row.fields["response"]) for row in read_rows(str(file)).rows] == [
        ("a, b", 'say "hi"'),
        ("c; d", "e\nf"),
    ]
    assert "" not in read_rows(str(file)).rows[0].fields


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("sep", DELIMITERS)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_what_pandas_writes(tmp_path: Path, *, index: bool, quoting: Any, sep: str, name: str) -> None:
    frame = pandas.DataFrame({"instruction": ["a, b", "c; d\n|"], "output": ["x\ty", ""], "generator": ["m", "m"]})
    frame.to_csv(tmp_path / name, index=index, quoting=quoting, sep=sep)
    records = alpaca_eval.read(read_rows(str(tmp_path / name)))
    assert [(one.instruction, one.response, one.model) for one in records] == [
        ("a, b", "x\ty", "m"),
        ("c; d\n|", "", "m"),
    ]


@pytest.mark.parametrize("options", ["HEADER", "HEADER, FORCE_QUOTE *", "HEADER, DELIMITER '\t'", "COMPRESSION gzip"])
def test_what_duckdb_writes(tmp_path: Path, options: str) -> None:
    file = tmp_path / "t.csv"
    duckdb.sql(f"COPY (SELECT 'a, b; c' AS instruction, 'x\"y' AS output) TO '{file}' ({options})")
    assert [row.fields for row in read_rows(str(file)).rows] == [{"instruction": "a, b; c", "output": 'x"y'}]


def test_a_file_of_one_column_is_not_split(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("prompt\nHello, world; or: a | b\n\nWrite a poem, please\n")
    assert [one.instruction for one in plain.read_instructions(read_rows(str(file)), "S")] == [
        "Hello, world; or: a | b",
        "Write a poem, please",
    ]


# Every reader takes every file

PAIR = {"instruction": "q, or: é", "response_1": "x", "response_2": "y", "output": "tie", "score": ""}
TURNS = json.dumps([{"role": "user", "content": "q, or: é"}, {"role": "assistant", "content": "x"}])
READERS: dict[str, tuple[str, dict[str, str], Callable[[Any], Any]]] = {
    "instructions": ("pool", {"instruction": "q, or: é"}, lambda rows: plain.read_instructions(rows, "S")),
    "responses": (
        "answers", {"instruction": "q, or: é", "response": "x"}, lambda rows: plain.read_responses(rows, "S", "m")
    ),
    "alpaca-eval": ("out", {"instruction": "q, or: é", "output": "x", "generator": "m"}, alpaca_eval.read),
    "mad-eval": ("m-vs-n", PAIR, mad_eval.read),
    "arena": (
        "battles",
        {"model_a": "m", "model_b": "n", "winner": "tie", "conversation_a": TURNS, "conversation_b": TURNS},
        arena.read,
    ),
    "arena with data": (
        "battles", {"model_a": "m", "model_b": "n", "winner": "tie", "data": json.dumps(PAIR)}, arena.read
    ),
    "judgments": (
        "votes", {"instruction": "q, or: é", "model_a": "m", "model_b": "n", "winner": "tie"}, verdicts.cells
    ),
}  # fmt: skip


def texts(found: Any) -> list[str]:
    """The instruction of each record, or of each row of cells."""
    return [one[1]["instruction"] if isinstance(one, tuple) else one.instruction for one in found]


EVERY_WAY = [(encoding, packing) for encoding in ENCODINGS for packing in PACKINGS]


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_every_table(tmp_path: Path, reader: str, delimiter: str) -> None:
    name, row, read = READERS[reader]
    text = written([list(row), list(row.values())], delimiter=delimiter, quoting=csv.QUOTE_ALL)
    for encoding, packing in EVERY_WAY:
        file = tmp_path / f"{name}.csv{packing}"
        file.write_bytes(PACKINGS[packing](encoded(text, encoding)))
        assert texts(read(read_rows(str(file)))) == ["q, or: é"], (encoding, packing)


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_takes_every_json(tmp_path: Path, reader: str, suffix: str) -> None:
    name, row, read = READERS[reader]
    text = json.dumps([row] if suffix == ".json" else row, ensure_ascii=False)
    for encoding, packing in EVERY_WAY:
        file = tmp_path / f"{name}{suffix}{packing}"
        file.write_bytes(PACKINGS[packing](encoded(text, encoding)))
        assert texts(read(read_rows(str(file)))) == ["q, or: é"], (encoding, packing)


@pytest.mark.parametrize("name", ["m-vs-n.csv", "m-vs-n.csv.gz", "m-vs-n.tsv", "m-vs-n.json.xz", "m-vs-n-2.5.JSONL"])
def test_the_models_of_a_pair_file_are_named_without_its_suffixes(name: str) -> None:
    [battle] = mad_eval.read(FileRows(name, [FileRow(1, PAIR)]))
    assert (battle.model_a, battle.model_b) == ("m", "n-2.5" if "2.5" in name else "n")


def test_parquet_may_be_packed(tmp_path: Path) -> None:
    duckdb.sql(f"COPY (SELECT 'q' AS Instruction) TO '{tmp_path}/t.parquet' (FORMAT parquet)")
    packed = tmp_path / "t.parquet.gz"
    packed.write_bytes(gzip.compress((tmp_path / "t.parquet").read_bytes()))
    assert texts(plain.read_instructions(read_rows(str(packed)), "S")) == ["q"]


@pytest.mark.parametrize("second", [b"instruction", b"Instruction"])
def test_parquet_with_a_column_twice(tmp_path: Path, second: bytes) -> None:
    file = tmp_path / "t.parquet"
    duckdb.sql(
        "COPY (SELECT 1 AS s, {'instruction': [1]} AS t, 'a' AS instruction, 'b' AS inztruction)"
        f" TO '{file}' (FORMAT parquet)"
    )
    assert [*read_rows(str(file)).rows[0].fields] == ["s", "t", "instruction", "inztruction"]
    file.write_bytes(file.read_bytes().replace(b"inztruction", second))
    with pytest.raises(InputError, match="field instruction: this column is there twice"):
        read_rows(str(file))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv.gz", gzip.compress(b"x,y\n1,2\n", mtime=0)[:-9], "packed with gzip and cannot be unpacked"),
        ("t.csv.gz", b"\x1f\x8b and nothing else", "packed with gzip and cannot be unpacked"),
        ("t.csv.xz", lzma.compress(b"x,y\n1,2\n")[:-9], "packed with xz and cannot be unpacked"),
        ("t.csv.zst", b"\x28\xb5\x2f\xfd...", "Unpack it first: unzstd FILE"),
        ("t.xlsx", b"PK\x03\x04...", "an Excel workbook. Unpack it, or save the sheet as CSV UTF-8"),
        ("t.csv", 'x,y\n"é",1\n'.encode("latin-1"), "line 2: this is not UTF-8 (byte 0xe9). Save the file as UTF-8"),
        ("t.csv", "x,y\n1,2\n".encode("utf-16-le")[:-1], "line 2: this is not UTF-16"),
        (
            "t.json",
            b'[\n{"instruction": "a", "instruction": "b"}]',
            'line 2: an object has the key "instruction" twice',
        ),
        ("t.jsonl", b'{"a": 1}\n{"a": [{"b": 1, "b": 2}]}', 'line 2: an object has the key "b" twice'),
        ("t.json", b'[{"Instruction": "a", "instruction ": "b"}]', "field instruction: this column is there twice"),
        ("t.txt", b'"a" "b"\n"x" "y"\n', 'text follows a quotation mark (") that closes a cell'),
        ("t.json", b'{"instruction": {"0": "q"}, "response": {"0": "a"}}', 'expected rows: to_json(orient="records")'),
        ("t.csv", b'"Winner","winner"\n"a","b"\n', "field winner: this column is there twice"),
        ("t.csv", b",a,A\n1,2,3\n", "field a: this column is there twice"),
        *(
            (name, text, "lists and objects stand in one another, more than 100 deep")
            for depth in (101, 900, 100_000)
            for name, text in (
                ("t.json", b'[{"a": ' + b"[" * depth + b"]" * depth + b"}]"),
                ("t.jsonl", b'{"a": ' * depth + b"1" + b"}" * depth),
            )
        ),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_rows(str(file))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_nested_like_real_files_is_read(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text('[{"a": ' + "[" * 99 + "]" * 99 + "}]")
    assert len(read_rows(str(file)).rows) == 1
