"""Who types an option of the method's published scripts is told what stands for it, and the documents say the same."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from madetl.cli import cli
from madetl.cli.published import OPTIONS, SCRIPTS, PublishedOption

DOCUMENT = (Path(__file__).parents[1] / "docs" / "published-scripts.md").read_text(encoding="utf-8")
LISTED = {
    "instruction_evol": "dataset_name output_path model max_tokens temperature top_p api_batch iter",
    "vllm_api_inference": "model_name max_tokens temperature top_p output_file_name dev_set sample_num api_batch",
    "vllm_inference": "model_dir tokenizer_dir max_tokens temperature top_p presence_penalty frequency_penalty "
    "output_file_name stop dev_set prompt_type sample_num eval_only max_num_batched_tokens",
    "similarity_check": "gen_prompt_type dev_set eval_models output_path model max_tokens temperature top_p eval_only "
    "api_batch sample_num",
    "mad_competition": "domain top_k eval_model",
}
UNKNOWN_HERE = [row for row in OPTIONS if f"--{row.name}" not in ("--model", "--temperature", "--stop")]


def command(words: str) -> click.Command:
    found: click.Command = cli
    for word in words.split():
        assert isinstance(found, click.Group)
        found = found.commands[word]
    return found


def options(words: str) -> set[str]:
    return {name for option in command(words).params for name in option.opts}


def answer(words: str, typed: str) -> str:
    """What madetl says to the option; it must be a usage error."""
    done = CliRunner().invoke(cli, [*words.split(), typed, "2"])
    assert done.exit_code == 2
    return done.stderr.splitlines()[-1]


def test_the_table_has_every_option_of_every_script() -> None:
    assert {script: names.split() for script, names in LISTED.items()} == {
        script: [row.name for row in OPTIONS if row.script == script] for script in SCRIPTS
    }


@pytest.mark.parametrize("row", OPTIONS, ids=lambda row: f"{row.script}-{row.name}")
def test_every_counterpart_is_an_option_of_its_command(row: PublishedOption) -> None:
    assert row.here is None or row.option in options(row.command)


@pytest.mark.parametrize("row", UNKNOWN_HERE, ids=lambda row: f"{row.script}-{row.name}")
def test_a_published_option_is_answered_with_its_counterpart(row: PublishedOption) -> None:
    """On the command that stands for the script."""
    typed = SCRIPTS[row.script]
    told = answer(typed, f"--{row.name}")
    assert told.startswith(f"Error: No such option '--{row.name}': ")
    assert (row.here or row.remark) in told
    others = [other for other in OPTIONS if other.name == row.name and SCRIPTS[other.script] == typed]
    assert any(told.endswith(where) for other in others for where in ends(other, typed))


def ends(row: PublishedOption, typed: str) -> list[str]:
    remark = f" ({row.remark})" if row.remark else ""
    if row.here is None:
        return [f"madetl does not: {row.remark}."]
    return [f"{row.here} {'here' if row.command == typed else f'of madetl {row.command}'}{remark}."]


@pytest.mark.parametrize(
    ("words", "typed", "told"),
    [
        ("evolve", "--iter", "instruction_evol's --iter is --rounds here."),
        ("infer", "--iter", "instruction_evol's --iter is --rounds of madetl evolve."),
        ("infer", "--tokenizer_dir", "is --option tokenizer=FOLDER of madetl models add."),
        ("judge", "--max_tokens", "here it is --max-tokens."),  # of no script, and spelt with an underscore
        ("judge", "--api_batch", "is --concurrency here."),
        ("rank", "--top_k", "mad_competition's --top_k is --top-k of madetl select."),
        ("rank", "--domain", "mad_competition's --domain is --scenario here."),
        ("similarity", "--model_name", "is --model of madetl infer"),  # whose own --model is an encoder
        ("models add", "--max_num_batched_tokens", "is --option max_num_batched_tokens=N here."),
        ("rank", "--iter", "instruction_evol's --iter is --rounds of madetl evolve."),  # whose own --rounds resample
        ("agreement", "--iter", "instruction_evol's --iter is --rounds of madetl evolve."),
        ("export mad-eval", "--output_path", "instruction_evol's --output_path is --output here."),
        ("report", "--output_file_name", "vllm_api_inference's --output_file_name is --output here."),
        ("import responses", "--model_name", "vllm_api_inference's --model_name is --model here."),  # asks no server
        ("report", "--eval_only", "madetl does not: what is answered already is not asked again."),
        ("infer", "--eval-only", "madetl does not: what is answered already is not asked again."),
    ],
)
def test_wherever_it_is_typed(words: str, typed: str, told: str) -> None:
    assert told in answer(words, typed)


def test_other_unknown_options_are_answered_as_before() -> None:
    assert "No such option" in answer("infer", "--nonsense")
    assert "--model" in CliRunner().invoke(cli, ["infer", "--modell", "m"]).stderr


def test_the_document_shows_the_same_table() -> None:
    rows = [
        line.strip("| ").split(" | ") for line in DOCUMENT.splitlines() if re.match(r"\| `\w+` \| `--\w+` \|", line)
    ]
    shown = [tuple(cell.strip().strip("`") for cell in row) for row in rows]
    assert shown == [
        (row.script, f"--{row.name}", f"madetl {row.command} {row.here}" if row.here else "–", row.remark or "–")
        for row in OPTIONS
    ]


def test_the_document_shows_every_script() -> None:
    for script, name in SCRIPTS.items():
        assert f"\n| `{script}.py` | `madetl {name}` |" in DOCUMENT
