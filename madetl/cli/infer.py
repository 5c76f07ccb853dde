"""The command that lets models answer instructions: infer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from madetl.cli.asking import (
    FILE,
    Asking,
    asking_options,
    conclude,
    opened,
    read_text,
    run_work,
    sampling_options,
)
from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import generation_option, scenarios_option
from madetl.cli.output import warn


@click.command(
    cls=Command,
    epilog=examples(
        "madetl infer --model gpt-4.1 --dry-run",
        "madetl infer --model gpt-4.1 --scenario Writing --max-cost 2",
        "madetl infer --model gemini-pro",
        "madetl infer --model Qwen/Qwen3-8B --base-url http://127.0.0.1:8000/v1",
    ),
)
@click.option("--model", required=True, metavar="NAME", help="The model that answers.")
@scenarios_option
@generation_option
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N instructions.")
@click.option(
    "--samples",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Answers to each instruction.",
)
@sampling_options(temperature="0.0", max_tokens="2048")
@click.option("--system-prompt", type=FILE, metavar="FILE", help="What stands before every instruction.")
@asking_options
@click.pass_obj
def infer(
    settings: Settings,
    /,
    *,
    model: str,
    scenarios: tuple[str, ...],
    generation: str | None,
    limit: int | None,
    samples: int,
    system_prompt: Path | None,
    asking: Asking,
    **sampling: Any,
) -> None:
    """Ask a model for an answer to every instruction of the pool that has none from it.

    The pool of a scenario are its rewritings, of all rounds, or its seeds where it has none (--generation).

    Answers are stored as they come, and no answer is paid for twice: after a stopped run, the next run goes on.
    Settings are kept with the model; other settings need another name (madetl models add). Instructions of the
    scenario Reasoning ask for a step-by-step solution.
    """
    from madetl.inference import infer
    from madetl.store.model_names import warning_of_same

    overrides = {name: value for name, value in sampling.items() if value is not None}
    if system_prompt is not None:
        overrides["system_prompt"] = read_text(system_prompt)
    inference = infer.Inference(model, scenarios, generation, limit, samples, overrides)
    with opened(settings, asking) as db:
        if warning := warning_of_same(db, model):
            warn(warning)
        work = infer.AnswersToAsk(db, inference, asking.model_options)
        result = run_work(work, asking, f"infer {model}", pool=work.pool)
    conclude(result, asking.as_json, pool=result.pool, model=model, known=result.known, truncated=result.truncated)


COMMANDS: list[click.Command] = [infer]
