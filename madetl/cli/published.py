"""The options of the method's published scripts, and what stands for each of them here.

Who types one of them at madetl is told its counterpart. docs/published-scripts.md shows the same table.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

SCRIPTS = {
    "instruction_evol": "evolve",
    "vllm_api_inference": "infer",
    "vllm_inference": "infer",
    "similarity_check": "similarity",
    "mad_competition": "select",
}
"""The scripts, each with the command that does the same."""


@dataclass(frozen=True)
class PublishedOption:
    """An option `--name` of a script, and `here`, which stands for it at `madetl command`; None: nothing needs to.

    `remark` says what goes with it, or why nothing needs to stand for it.
    """

    script: str
    name: str
    command: str
    here: str | None
    remark: str = ""

    @property
    def option(self) -> str:
        """The option alone, of a counterpart such as `--option tokenizer=FOLDER`."""
        return (self.here or "").partition(" ")[0]


_NAMED = re.compile(r"--[a-z-]+")
_ROWS = "what comes of it are rows of the database"
OPTIONS: tuple[PublishedOption, ...] = tuple(
    PublishedOption(*row)
    for row in (
        ("instruction_evol", "dataset_name", "evolve", "--scenario"),
        ("instruction_evol", "output_path", "evolve", "--db", _ROWS),
        ("instruction_evol", "model", "evolve", "--model"),
        ("instruction_evol", "max_tokens", "evolve", "--max-tokens"),
        ("instruction_evol", "temperature", "evolve", "--temperature"),
        ("instruction_evol", "top_p", "evolve", "--top-p"),
        ("instruction_evol", "api_batch", "evolve", "--concurrency"),
        ("instruction_evol", "iter", "evolve", "--rounds"),
        ("vllm_api_inference", "model_name", "infer", "--model", "with --base-url where it runs on a server"),
        ("vllm_api_inference", "max_tokens", "infer", "--max-tokens"),
        ("vllm_api_inference", "temperature", "infer", "--temperature"),
        ("vllm_api_inference", "top_p", "infer", "--top-p"),
        ("vllm_api_inference", "output_file_name", "infer", "--db", _ROWS),
        ("vllm_api_inference", "dev_set", "infer", "--scenario"),
        ("vllm_api_inference", "sample_num", "infer", "--limit"),
        ("vllm_api_inference", "api_batch", "infer", "--concurrency"),
        ("vllm_inference", "model_dir", "infer", "--model-id", "the folder, with --provider vllm"),
        ("vllm_inference", "tokenizer_dir", "models add", "--option tokenizer=FOLDER"),
        ("vllm_inference", "max_tokens", "infer", "--max-tokens"),
        ("vllm_inference", "temperature", "infer", "--temperature"),
        ("vllm_inference", "top_p", "infer", "--top-p"),
        ("vllm_inference", "presence_penalty", "infer", "--presence-penalty"),
        ("vllm_inference", "frequency_penalty", "infer", "--frequency-penalty"),
        ("vllm_inference", "output_file_name", "infer", "--db", _ROWS),
        ("vllm_inference", "stop", "infer", "--stop", "once for each text"),
        ("vllm_inference", "dev_set", "infer", "--scenario"),
        ("vllm_inference", "prompt_type", "models add", "--chat-template", "the model's own where it is not given"),
        ("vllm_inference", "sample_num", "infer", "--limit"),
        ("vllm_inference", "eval_only", "infer", None, "what is answered already is not asked again"),
        ("vllm_inference", "max_num_batched_tokens", "models add", "--option max_num_batched_tokens=N"),
        ("similarity_check", "gen_prompt_type", "similarity", "--prompt", "a file of your own; there is one already"),
        ("similarity_check", "dev_set", "similarity", "--scenario"),
        ("similarity_check", "eval_models", "similarity", "--models"),
        ("similarity_check", "output_path", "similarity", "--db", _ROWS),
        ("similarity_check", "model", "similarity", "--metric", "the model's name is the metric's"),
        ("similarity_check", "max_tokens", "similarity", "--max-tokens"),
        ("similarity_check", "temperature", "similarity", "--temperature"),
        ("similarity_check", "top_p", "similarity", "--top-p"),
        ("similarity_check", "eval_only", "similarity", None, "what is measured already is not measured again"),
        ("similarity_check", "api_batch", "similarity", "--concurrency"),
        ("similarity_check", "sample_num", "infer", "--limit", "what two models answered is compared"),
        ("mad_competition", "domain", "select", "--scenario"),
        ("mad_competition", "top_k", "select", "--top-k"),
        ("mad_competition", "eval_model", "select", "--models"),
    )
)
_MEANS_SOMETHING_ELSE = {("similarity", "--model"), ("rank", "--rounds"), ("agreement", "--rounds")}


def counterpart(typed: str, command: str, known: Collection[str]) -> str | None:
    """What to tell somebody who typed the unknown option `typed` at `madetl command`, whose options are `known`; None:
    no script has it.

    The script that the command stands for has the first word, then the same option spelt with dashes, then the other
    scripts.
    """
    name = typed.lstrip("-").replace("-", "_")
    rows = [_written_by(row, known) for row in OPTIONS if row.name == name]
    if (row := next((row for row in rows if SCRIPTS[row.script] == command), None)) is not None:
        return _told(row, row.command == command, known)
    if (dashed := f"--{name.replace('_', '-')}") in known:
        return f"here it is {dashed}."
    for row in rows:
        if row.option in known and (command, row.option) not in _MEANS_SOMETHING_ELSE:
            return _told(row, True, known)
    return _told(rows[0], rows[0].command == command, known) if rows else None


def _written_by(row: PublishedOption, known: Collection[str]) -> PublishedOption:
    """The same for a command that writes a file, where a script's file is that one and no row."""
    return replace(row, here="--output", remark="") if row.here == "--db" and "--output" in known else row


def _told(row: PublishedOption, on_this_command: bool, known: Collection[str]) -> str:
    """`known`: the options of the command at hand; a remark that names others says nothing of it."""
    if row.here is None:
        return f"{row.script} needs --{row.name}, madetl does not: {row.remark}."
    where = "here" if on_this_command else f"of madetl {row.command}"
    fits = not on_this_command or set(_NAMED.findall(row.remark)) <= set(known)
    remark = f" ({row.remark})" if row.remark and fits else ""
    return f"{row.script}'s --{row.name} is {row.here} {where}{remark}."
