"""What all commands share: help with examples that hold, exit statuses, errors in one line, a quick start."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

import click
import pytest
from click.testing import CliRunner

from madetl import __version__
from madetl.cli import SECTIONS, cli, output
from madetl.cli.base import Command, RootGroup, examples
from madetl.errors import ParameterError
from tests.support import children

Madetl = Callable[..., CompletedProcess[str]]
HEAVY = ["numpy", "duckdb", "sqlmodel", "sqlalchemy", "pydantic", "sklearn", "scipy", "rich", "openai", "sqlite_utils",
         "torch", "bert_score", "transformers", "flask", "jinja2", "matplotlib", "waitress", "markdown_it",
         "nh3"]  # fmt: skip


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group below the root, with the words that lead to it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = {" ".join(path): command for path, command in commands()}
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help(path: str) -> None:
    command = ALL[path]
    assert command.help
    assert command.get_short_help_str(200).strip()
    done = CliRunner().invoke(cli, [*path.split(), "--help"])
    assert done.exit_code == 0
    assert f"Usage: madetl {path}" in done.output.replace("cli ", "madetl ")
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name


@pytest.mark.parametrize("path", ["", *ALL])
def test_help_shows_no_range_without_bounds_and_cuts_nothing(path: str) -> None:
    shown = CliRunner().invoke(cli, [*path.split(), "--help"], terminal_width=80).output
    assert [line for line in shown.splitlines() if "None]" in line or "<=None" in line or "..." in line] == [
        line for line in shown.splitlines() if line.startswith("Usage:") and "..." in line
    ]


def test_help_lists_the_commands_in_the_order_of_the_work() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", shown, flags=re.MULTILINE)
    assert sorted(listed) == sorted(cli.commands)
    steps = ["evolve", "infer", "similarity", "select", "annotate", "judge", "rank"]
    assert [name for name in listed if name in steps] == steps
    assert listed == [name for names in SECTIONS.values() for name in names]
    within = CliRunner().invoke(cli, ["import", "--help"]).output
    assert within.index("  instructions") < within.index("  responses") < within.index("  judgments")


@pytest.mark.parametrize("path", LEAVES)
def test_every_command_has_examples_of_itself(path: str) -> None:
    assert any(words[: len(path.split())] == path.split() for words in example_lines(LEAVES[path]))


def example_lines(command: click.Command) -> list[list[str]]:
    """The examples as lists of words after `madetl`; what follows two spaces or a > is no part of the command."""
    lines = [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("madetl")]
    return [shlex.split(re.split(r"\s{2,}| > ", line)[0])[1:] for line in lines]


@pytest.mark.parametrize("path", ["", *ALL])
def test_every_example_is_a_command_that_would_run(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in example_lines(ALL.get(path, cli)):
        for file in (word for word in words if word.endswith((".txt", ".toml"))):
            Path(file).touch()  # files that must be there
        command: click.Command = cli
        while isinstance(command, click.Group) and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        if isinstance(command, click.Group):
            assert command.invoke_without_command
        command.make_context("madetl", words, parent=click.Context(cli))  # raises what would exit with 2


@pytest.mark.parametrize("path", ["", *ALL])
def test_usage_errors_exit_with_2(path: str) -> None:
    done = CliRunner().invoke(cli, [*path.split(), "--no-such-option"])
    assert done.exit_code == 2
    assert "--no-such-option" in done.output


@pytest.mark.parametrize("path", LEAVES)
def test_db_and_debug_are_known_after_every_command(path: str) -> None:
    assert {"db", "debug"} <= {option.name for option in LEAVES[path].params}


def test_an_unknown_command_exits_with_2(madetl: Madetl) -> None:
    assert "No such command" in madetl("lead", status=2).stderr


def test_the_version_is_told(madetl: Madetl) -> None:
    assert __version__ in madetl("--version").stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom madetl.cli import cli\n"
        "try: cli(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "similarity" in done.stdout
    assert done.stderr.strip() == "[]"


_COMMANDS = """
demo --db mad.db
status
query models
runs
models
models add mine --model-id m --base-url http://127.0.0.1:9/v1
import instructions seeds.jsonl --scenario Writing
evolve --scenario Writing --model mine --dry-run
infer --model mine --dry-run
similarity
select --top-k 11
export annotations -o sheet.csv --annotator ann
import judgments sheet.csv --annotator ann
agreement
rank
advise
replay --replications 2
report -o report.html
export arena -o arena.jsonl
export parquet -o parquet
delete selection all-char-ngram --yes
"""
_AFTER_EACH = """
import shlex, sys
from madetl.cli import cli
for line in sys.stdin.read().strip().splitlines():
    try:
        cli(shlex.split(line))
    except SystemExit as end:
        print(line, end.code, "pandas" in sys.modules, file=sys.stderr)
"""


@pytest.mark.slow
def test_no_command_imports_pandas(tmp_path: Path) -> None:
    """Libraries import it where it is installed, which takes one to two seconds."""
    assert find_spec("pandas")
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "Describe a place."}\n')
    with children.python("-c", _AFTER_EACH, cwd=tmp_path, stdin=subprocess.PIPE) as child:
        _, told = child.communicate(_COMMANDS)
    expected = [f"{line} 0 False" for line in _COMMANDS.strip().splitlines()]
    assert [line for line in told.splitlines() if line.endswith(("True", "False"))] == expected


# --- which database


def test_db_before_after_and_from_the_environment(madetl: Madetl, tmp_path: Path, db_file: Path) -> None:
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    madetl("--db", before, "init")
    assert before.exists()
    assert not db_file.exists()  # $MADETL_DB
    madetl("--db", before, "init", "--db", after)
    assert after.exists()
    madetl("init")
    assert db_file.exists()


def test_groups_take_db_too(madetl: Madetl, tmp_path: Path) -> None:
    madetl("--db", tmp_path / "a.db", "init")
    assert madetl("models", "--db", tmp_path / "a.db").stdout.strip() == "(no rows)"


@pytest.mark.parametrize("words", [["status"], ["query", "models"], ["runs"], ["models"], ["init"]])
def test_a_folder_or_a_text_is_no_database(madetl: Madetl, tmp_path: Path, words: list[str]) -> None:
    text = tmp_path / "text.db"
    text.write_text("instruction,response\n" * 50)
    for path in (tmp_path, text):
        done = madetl("--db", path, *words, status=1)
        assert done.stderr.startswith("Error: ")
        assert len(done.stderr.splitlines()) == 1
    assert text.read_text() == "instruction,response\n" * 50


# --- errors become one line in one place


def raising(error: BaseException) -> RootGroup:
    group = RootGroup(name="madetl")

    @group.command(cls=Command, epilog=examples("madetl fail"))
    def fail() -> None:
        raise error

    return group


def test_an_error_of_madetls_own_is_one_line_and_status_1() -> None:
    done = CliRunner().invoke(raising(ParameterError("K is 0. Give 1 or more.")), ["fail"])
    assert (done.exit_code, done.stderr) == (1, "Error: K is 0. Give 1 or more.\n")


def test_an_unexpected_error_is_one_line_that_names_debug() -> None:
    done = CliRunner().invoke(raising(ValueError("odd")), ["fail"])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ValueError: odd")
    assert "--debug" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["--debug", "fail"], ["fail", "--debug"]])
def test_debug_shows_where(words: list[str]) -> None:
    done = CliRunner().invoke(raising(ParameterError("no")), words)
    assert isinstance(done.exception, ParameterError)


def test_ctrl_c_exits_with_130() -> None:
    done = CliRunner().invoke(raising(KeyboardInterrupt()), ["fail"])
    assert done.exit_code == 130
    assert "Interrupted" in done.stderr


def test_progress_never_shows_more_than_all(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(output, "_SECONDS_BETWEEN_LINES", 0.0)
    with output.progress_bar("import", "KB") as progress:
        progress(23_543, 22_540)
    assert capsys.readouterr().err == "import: 23,543 of 23,543 KB, 0 s left\n"


_ONE_OF_MANY = re.compile(
    r"(?<![\d,.\w])1 (?:[a-z]+ )?(?:judgments|verdicts|votes|battles|items|pairs|answers|responses|instructions|models|"
    r"annotators|requests|people|simulations|rounds|groups|orders|leaderboards|scores|files|rows|runs|tasks)\b"
)


def test_a_study_of_one_of_everything_is_told_in_the_singular(madetl: Madetl, tmp_path: Path) -> None:
    """And each command says what comes next, up to the report."""
    words = " ".join(f"word{n}" for n in range(30))
    rows = [f"Say hello,{model},{model} {words} {model}" for model in ("hare", "tortoise")]
    (tmp_path / "answers.csv").write_text("\n".join(["instruction,model,response", *rows]), encoding="utf-8")
    shown = []
    for line in (
        "import responses answers.csv --scenario Greeting",
        "similarity",
        "select --top-k 1",
        "status",
        "export annotations -o sheet.csv",
        "import judgments sheet.csv --annotator ann",
        "rank --rounds 1",
        "advise --simulations 1",
        "agreement",
        "runs",
        "status",
    ):
        if line.startswith("import judgments"):
            sheet = (tmp_path / "sheet.csv").read_text(encoding="utf-8-sig").splitlines()
            winner = next(csv.reader(sheet[:1])).index("winner")
            [row] = list(csv.reader(sheet[1:]))
            row[winner] = "response_1"
            with (tmp_path / "sheet.csv").open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([next(csv.reader(sheet[:1])), row])
        done = madetl(*(tmp_path / word if word.endswith(".csv") else word for word in line.split()))
        shown.append(f"$ madetl {line}\n{done.stdout}{done.stderr}")
    everything = "\n".join(shown)
    assert _ONE_OF_MANY.findall(everything) == [], everything
    follow = {"import responses": "madetl similarity", "select": "madetl annotate --selection all-char-ngram",
              "import judgments": "madetl rank", "rank": "madetl advise"}  # fmt: skip
    for command, following in follow.items():
        [said] = [one for one in shown if one.startswith(f"$ madetl {command}")]
        assert f"Next:\n  {following}\n" in said
    assert "madetl report -o report.html" in shown[6]
