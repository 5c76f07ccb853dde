"""How a table looks at any width: no column is left out, no name is cut, and no cell steers the terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from madetl.cli import output

WIDTHS = [40, 80, 200]
BOARD = [
    {
        "scenario": "overall", "rank": rank, "model": model, "rating": 1000.5 + rank, "lower": 990.0, "upper": 1010.0,
        "battles": 90, "component": 1, "probability_best": None, "selections": None, "remark": None,
        "resample": "bootstrap", "run_id": 6,
    }
    for rank, model in enumerate(["atlas-large", "gpt-3.5-turbo-1106-preview", "模型-語言-大"], 1)
]  # fmt: skip
TEXT = "Write a story about a lighthouse keeper who never saw the sea. " * 5


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The lines that a table is printed as, at a width; None: elsewhere than on a terminal."""

    def at(width: int | None, rows: list[dict[str, Any]], **how: Any) -> list[str]:
        monkeypatch.delenv("COLUMNS", raising=False)
        if width:
            monkeypatch.setenv("COLUMNS", str(width))
        output.print_table(rows, **how)
        return capsys.readouterr().out.splitlines()

    return at


@pytest.mark.parametrize("width", [*WIDTHS, None])
@pytest.mark.parametrize("one_line", [True, False])
def test_every_column_and_every_name_is_there_at_any_width(printed: Any, width: int | None, one_line: bool) -> None:
    lines = printed(width, BOARD, one_line=one_line)
    text = "\n".join(lines)
    assert max(map(cell_len, lines)) <= (width or 200)
    for row in BOARD:
        assert row["model"] in re.sub(r"\s", "", text)  # a name may go on in the next line
        assert f"{row['rating']:.1f}" in text
    for name in BOARD[0]:
        assert name in text or f"{name[:7]}…" in text, name


def test_what_is_too_wide_is_shortened_first_and_then_a_block_for_each_row(printed: Any) -> None:
    rows = [{"model": "atlas-large", "score": 0.5, "instruction": TEXT, "response": TEXT}]
    wide = printed(200, rows, one_line=True)
    assert len([line for line in wide if "atlas-large" in line and line.count("…") == 2]) == 1
    assert [line for line in printed(80, rows, one_line=True) if "atlas-large" in line and line.count("…") == 2]
    narrow = printed(40, rows, one_line=True)
    assert narrow[0].startswith("1 ──")
    assert [re.split(r"\s{2,}", line)[0] for line in narrow[1:4]] == ["model", "score", "instruction"]
    assert narrow[1].split() == ["model", "atlas-large"]
    assert sum("…" in line for line in narrow) == 2


def test_elsewhere_than_in_a_query_long_cells_take_several_lines(printed: Any) -> None:
    rows = [{"run": 1, "summary": TEXT}]
    lines = printed(80, rows)
    assert " ".join(" ".join(lines[3:]).replace(" 1 ", " ").split()) == TEXT.strip()
    assert "…" not in "".join(lines)


def test_names_beside_many_numbers_take_several_lines_before_a_table_is_given_up(printed: Any) -> None:
    rows = [{"model": f"organisation/model-{size}b-instruct"} for size in (7, 70)]
    rows = [
        row | {"ratings": "1055 (1048…1063)", "others": "1055 (1048…1063)", "again": "1055 (1048…1063)"} for row in rows
    ]
    assert not any("model" in line and "ratings" in line for line in printed(80, rows))
    lines = printed(80, rows, texts=("model",))
    heading = next(line for line in lines if "model" in line and "ratings" in line and "again" in line)
    names = "".join(line[: heading.index("ratings")].strip() for line in lines[lines.index(heading) + 2 :])
    assert names == "".join(row["model"] for row in rows)


def test_whether_anything_was_shortened_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert output.print_table([{"a": TEXT}], one_line=True)
    assert not output.print_table([{"a": TEXT}])
    assert not output.print_table([{"a": "short"}], one_line=True)
    monkeypatch.setenv("COLUMNS", "20")
    assert output.print_table([{"a": TEXT, "b": TEXT}])


def test_cells_of_several_lines_and_what_would_steer_a_terminal(printed: Any) -> None:
    rows = [{"a": "one\ntwo\tthree", "b": "\x1b[31mred\x07", "c": None, "d": 1.5, "e": True}]
    line = next(line for line in printed(80, rows, one_line=True) if "one" in line)
    assert line.split() == ["one", "two", "three", "\ufffd[31mred\ufffd", "1.5", "True"]
    assert not any(sign in "".join(printed(200, rows)) for sign in "\x1b\x07")
    kept = "a\u3000b\xa0c 👩\u200d🔬"  # wide and narrow blanks, an emoji of several characters
    assert kept in "".join(printed(200, [{"a": kept}]))


def test_the_title_is_not_broken_where_the_table_is_narrow(printed: Any) -> None:
    title = "Leaderboard (overall, Elo, people's votes)"
    assert printed(80, [{"a": 1}], title=title)[0] == title


CELLS = st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=60)


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,20}", fullmatch=True), CELLS, min_size=1, max_size=12),
    st.integers(10, 120),
    st.booleans(),
)
def test_no_line_is_wider_than_the_terminal_and_no_column_goes(row: dict[str, Any], width: int, one_line: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        file = io.StringIO()
        patch.setenv("COLUMNS", str(width))
        patch.setattr(output.sys, "stdout", file)
        output.print_table([row], one_line=one_line)
    lines = file.getvalue().splitlines()
    assert max(map(cell_len, lines)) <= width
    for name in row:
        assert name[: min(7, width // 2 - 3)] in file.getvalue()


def test_the_leaderboard_of_a_study_has_its_models_at_any_width(
    madetl: Any, db_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    madetl("demo", "--db", db_file)
    for width in WIDTHS:
        monkeypatch.setenv("COLUMNS", str(width))
        shown = madetl("query", "SELECT * FROM leaderboard WHERE scenario = 'overall'").stdout
        assert [shown.count(model) for model in ("atlas-large", "birch-medium", "cedar-small", "dune-tiny")] == [1] * 4
