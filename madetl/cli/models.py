"""Commands about models: models, models add, models rename."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from madetl.cli import options
from madetl.cli.asking import FILE, read_text, sampling_options
from madetl.cli.base import Group, Settings, examples
from madetl.cli.output import listed_counts, note, print_json, print_table, warn

# Columns that are empty where all models are known from files alone
_HIDDEN_IF_EMPTY = ("provider", "model_id", "base_url", "settings", "price_in", "price_out")


@click.group(
    "models",
    cls=Group,
    invoke_without_command=True,
    epilog=examples(
        "madetl models", "madetl models --json", "madetl models add gpt-4.1", "madetl models rename gpt4 gpt-4"
    ),
)
@options.json_option
@click.pass_context
def models_group(context: click.Context, as_json: bool) -> None:
    """List the models with what each has; add or rename one."""
    if context.invoked_subcommand is not None:
        return
    from madetl.store import database, merge_models

    with database.reading(context.obj.db) as db:
        found = merge_models.listing(db)
    if as_json:
        print_json([row | {"settings": json.loads(row["settings"])} for row in found])
        return
    found = [_shown(row) for row in found]
    filled = {name for row in found for name in row if row[name] is not None}
    print_table([{name: row[name] for name in row if name not in _HIDDEN_IF_EMPTY or name in filled} for row in found])


@models_group.command(
    epilog=examples("madetl models rename gpt4_1106_preview gpt-4-turbo", "madetl models rename gpt4 gpt-4 --merge")
)
@click.argument("old")
@click.argument("new")
@click.option("--merge", is_flag=True, help="If NEW exists, give it all that OLD has; OLD goes.")
@options.json_option
@click.pass_obj
def rename(settings: Settings, *, old: str, new: str, merge: bool, as_json: bool) -> None:
    """Rename the model OLD to NEW.

    Files of different origin name one model differently. With --merge the answers, scores and votes of OLD become
    NEW's, as if they had been imported under that name; an answer of the same text is one answer. A file that is
    imported again after that brings the old name back, with its answers: rename with --merge once more.
    """
    from madetl.store import database, merge_models

    with database.writing(settings.db, create=False) as db:
        renamed = merge_models.rename(db, old, new, merge=merge)
    if as_json:
        print_json({"old": old, **asdict(renamed)})
        return
    new = renamed.new
    if renamed.merged is None:
        click.echo(f"{old} is called {new} now.")
        return
    click.echo(f"{old} is merged into {new}: {listed_counts(renamed.merged) or 'it had nothing'}.")
    if dropped := listed_counts(renamed.dropped or {}):
        note(f"Dropped, since {new} had the same or would meet itself: {dropped}.")
    if renamed.repeats:
        votes = f"{renamed.repeats:,} vote{' is a repeat' if renamed.repeats == 1 else 's are repeats'}"
        note(
            f"{votes} now, since whoever gave them judged the same answers under both names: the first verdict counts."
        )


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """The row with how the model is asked on one line."""
    from madetl.asking.model_settings import ANSWERING

    kept = json.loads(row["settings"])
    shown = {name: kept[name] for name in ANSWERING if kept.get(name) is not None}
    of_provider = kept.get("options")
    shown |= of_provider if isinstance(of_provider, dict) else {}
    system = ["a system prompt"] if row["system_prompt"] else []
    refused = [f"without {name}, which it refuses" for name in kept.get("omit", [])]
    settings = ", ".join([*(f"{name} {value}" for name, value in shown.items()), *system, *refused]) or None
    return {name: row[name] for name in row if name != "system_prompt"} | {"settings": settings}


def _options(_: click.Context, __: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value is JSON where it can be read so, else text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE, such as max_model_len=4096.")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
        if not _is_json(found[name]):
            raise click.BadParameter(f"{pair!r} holds NaN or what is infinite, which are no numbers of JSON.")
    return found


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@models_group.command(
    epilog=examples(
        "madetl models add gpt-4.1",
        "madetl models add gpt-4.1-warm --model-id gpt-4.1 --temperature 1.0",
        "madetl models add qwen --provider openai --model-id Qwen/Qwen3-8B --base-url http://127.0.0.1:8000/v1",
        "madetl models add tiny --provider vllm --model-id ./tiny-model --option max_model_len=512",
    )
)
@click.argument("name")
@click.option("--provider", type=click.Choice(["openai", "gemini", "vllm"]), help="[default: by the name]")
@click.option("--model-id", metavar="ID", help="The provider's name for it.  [default: NAME]")
@click.option("--base-url", metavar="URL", help="Where it is asked.  [default: the provider's own address]")
@click.option("--system-prompt", type=FILE, metavar="FILE", help="What stands before every instruction.")
@sampling_options()
@click.option(
    "--safety",
    type=click.Choice(["block-none", "default"]),
    help="Gemini: hold back no answer, or what Gemini holds back by itself.  [default: block-none]",
)
@click.option("--chat-template", type=FILE, metavar="FILE", help="vllm: instead of the model's own.")
@click.option(
    "--option",
    "options",
    multiple=True,
    callback=_options,
    metavar="NAME=VALUE",
    help="Of the provider alone: vllm's max_model_len, dtype, …; openai's extra_body. May be repeated.",
)
@click.option("--price-in", type=options.FiniteRange(min=0), metavar="USD", help="Per million tokens sent.")
@click.option("--price-out", type=options.FiniteRange(min=0), metavar="USD", help="Per million tokens answered.")
@click.pass_obj
def add(settings: Settings, /, name: str, **options: Any) -> None:
    """Keep how the model NAME is asked, or change it.

    What is not given stays as it was. Settings on which answers depend can change only while the model has none: with
    other settings it is another name on the leaderboard. A key is never kept: --key-env of the command that asks names
    its variable.
    """
    from madetl.asking import model_settings
    from madetl.store import database
    from madetl.store.model_names import warning_of_same

    changes = {option: value for option, value in options.items() if value is not None and value != {}}
    for text in ("system_prompt", "chat_template"):
        if text in changes:
            changes[text] = read_text(changes[text])
    for option in ("chat_template", "safety"):
        if option in changes:
            changes["options"] = changes.get("options", {}) | {option: changes.pop(option)}
    with database.writing(settings.db) as db, database.transaction(db):
        model = model_settings.add(db, name, changes)
        warning = warning_of_same(db, name)
    where = f" at {model.endpoint.base_url}" if model.endpoint.base_url else ""
    click.echo(f"{name} is asked as {model.endpoint.model_id} of {model.endpoint.provider}{where}.")
    if model.price.per_million_in is None or model.price.per_million_out is None:
        note("Its price is unknown: --price-in and --price-out give it, in USD per million tokens.")
    if warning:
        warn(warning)


COMMANDS: list[click.Command] = [models_group]
