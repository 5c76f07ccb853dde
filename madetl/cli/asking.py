"""What every command that asks models shares: its options, the dry run, the progress bar, the closing lines."""

from __future__ import annotations

import functools
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from madetl.cli.options import FiniteRange
from madetl.cli.output import listed_counts, note, print_json, print_table, quiet_lines, warn
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.asking.ask import AskOptions, AskProgress, AskReport, Estimate
    from madetl.asking.model_settings import ModelOptions
    from madetl.asking.stage_work import Show, StageWork
    from madetl.cli.base import Settings

F = TypeVar("F", bound=Callable[..., Any])
Result = TypeVar("Result", bound="StageResult")

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_REFUSED = {"system": "a system prompt (which now stands before the question)", "response_format": "a schema"}
_FAILURE_WORDS = 160  # characters of a provider's reason


@dataclass(frozen=True)
class Asking:
    """The shared options, as a command gets them: how to ask, which model, and whether it is a dry run."""

    options: AskOptions
    model_options: ModelOptions
    dry_run: bool
    as_json: bool


class StageResult(Protocol):
    """What a stage that asks gives back."""

    @property
    def report(self) -> AskReport: ...

    @property
    def summary(self) -> str: ...


_OPTIONS = (
    click.option("--provider", type=click.Choice(["openai", "gemini", "vllm"]), help="[default: by the model's name]"),
    click.option("--model-id", metavar="ID",
                 help="The provider's name for the model; kept with it.  [default: the model's name]"),
    click.option("--base-url", metavar="URL", help="An OpenAI-compatible server, or where Gemini is asked."),
    click.option("--key-env", metavar="VARIABLE", help="The environment variable that holds the key for it."),
    click.option("--trust-remote-code", is_flag=True, help="vllm: let code that comes with the model run."),
    click.option("--safety", type=click.Choice(["block-none", "default"]),
                 help="Gemini: hold back no answer, as the method asks, or what Gemini holds back by itself; kept with "
                 "the model.  [default: block-none]"),
    click.option("--concurrency", type=click.IntRange(1, 10_000), default=32, show_default=True, metavar="N",
                 help="Requests under way at once; fewer while the provider refuses for their number."),
    click.option("--max-attempts", type=click.IntRange(1, 100), default=5, show_default=True, metavar="N",
                 help="Requests for one answer, in all."),
    click.option("--timeout", type=FiniteRange(min=0, min_open=True), metavar="SECONDS", help="For one answer."),
    click.option("--max-cost", type=FiniteRange(min=0), metavar="USD",
                 help="Send nothing that could bring what this run spends above it."),
    click.option("--price-in", type=FiniteRange(min=0), metavar="USD", help="Per million tokens sent."),
    click.option("--price-out", type=FiniteRange(min=0), metavar="USD", help="Per million tokens answered."),
    click.option("--prices", type=click.Path(path_type=Path), metavar="FILE",
                 help="Prices that override madetl's own table.  [default: $MADETL_PRICES]"),
    click.option("--retry-failed", is_flag=True, help="Ask again for what failed for good, too."),
    click.option("--fresh", is_flag=True, help="Do not reuse answers of the ledger; stored answers stay."),
    click.option("--dry-run", is_flag=True, help="Only say how many requests, tokens and USD it would be."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)  # fmt: skip
_OF_MODEL = ("provider", "model_id", "base_url", "key_env", "timeout", "trust_remote_code", "safety", "prices",
             "price_in", "price_out")  # fmt: skip
_OF_ASKING = ("concurrency", "max_attempts", "max_cost", "fresh", "retry_failed")


def asking_options(command: F) -> F:
    """Adds the shared options; the command gets them as one argument `asking`."""

    @functools.wraps(command)
    def wrapped(*args: Any, **values: Any) -> Any:
        from madetl.asking.ask import AskOptions
        from madetl.asking.model_settings import ModelOptions

        model_options = ModelOptions(**{name: values.pop(name) for name in _OF_MODEL})
        options = AskOptions(**{name: values.pop(name) for name in _OF_ASKING})
        asking = Asking(options, model_options, values.pop("dry_run"), values.pop("as_json"))
        return command(*args, asking=asking, **values)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def sampling_options(**defaults: object) -> Callable[[F], F]:
    """--temperature, --top-p, --max-tokens, the penalties and --stop: None where they are not given.

    `defaults` are what the help says then.
    """

    def with_default(name: str, words: str) -> str:
        return f"{words}  [default: {defaults[name]}]" if name in defaults else words

    options = (
        click.option("--temperature", type=FiniteRange(0, 2), metavar="T",
                     help=with_default("temperature", "0: the likeliest words.")),
        click.option("--top-p", type=FiniteRange(0, 1, min_open=True), metavar="P",
                     help=with_default("top_p", "Draw from the likeliest words that make up this share.")),
        click.option("--max-tokens", type=click.IntRange(min=1), metavar="N",
                     help=with_default("max_tokens", "The longest that an answer may be.")),
        click.option("--presence-penalty", type=FiniteRange(-2, 2), metavar="P",
                     help="Above 0: words that stand in the answer already are less likely."),
        click.option("--frequency-penalty", type=FiniteRange(-2, 2), metavar="P",
                     help="Above 0: the less likely, the more often they stand there."),
        click.option("--stop", multiple=True, callback=_texts, metavar="TEXT",
                     help="An answer ends before this text; may be repeated."),
    )  # fmt: skip
    return lambda command: functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


def _texts(_: click.Context, __: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    if "" in value:
        raise click.BadParameter("an empty text stands everywhere; give what the answer is to end before.")
    return list(value) or None


def opened(settings: Settings, asking: Asking) -> AbstractContextManager[sqlite3.Connection]:
    """The database of a command that asks: a dry run only reads it."""
    from madetl.store import database

    return database.reading(settings.db) if asking.dry_run else database.writing(settings.db, create=False)


def run_work(work: StageWork[Result], asking: Asking, label: str, **more: Any) -> Result:
    """Asks for what is missing, under a bar; or shows what that would cost, with `more` rows, and ends the command."""
    if asking.dry_run:
        show_estimate(work.dry_run(asking.options), asking.as_json, **more)
        sys.exit(0)
    with asking_bar(label) as show:
        return work.run(asking.options, show)


def read_text(file: Path) -> str:
    """What a file of text holds. Raises InputError where it is none."""
    from madetl.errors import InputError

    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(file), f"cannot be read as text: {error}") from error


def conclude(result: StageResult, as_json: bool = False, *, pool: str | None = None, **more: Any) -> None:
    """Prints what came of a run; exits with 1 if anything is left undone, with a count for each reason.

    `pool`: the instructions that it was about, in words. `more`: further counts for the JSON.
    """
    report = result.report
    if as_json:
        print_json({"summary": result.summary, **_named(pool), **more, **_as_json(report)})
    else:
        click.echo(result.summary)
        if pool is not None:
            click.echo(f"Pool: {pool}")
        note(spending(report))
        for line in asked_without(report):
            note(line)
    if not report.undone:
        return
    for line in not_done(report):
        warn(line)
    sys.exit(1)


def _named(pool: str | None) -> dict[str, str]:
    return {} if pool is None else {"pool": pool}


def not_done(report: AskReport) -> list[str]:
    """A line for each reason why something is left undone: how many, why, and one in the provider's own words."""
    return [f"{count:,} {why}{_reason(report.examples.get(outcome))}" for outcome, count, why in _reasons(report)]


def asked_without(report: AskReport) -> list[str]:
    """A line for each model that refuses something: what, and what holds instead."""
    return [
        f"{model} refuses {' and '.join(_REFUSED.get(name, _option(name)) for name in names)}: it is asked without, "
        "from now on too, and its own default holds."
        for model, names in report.left_out.items()
    ]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def spending(report: AskReport) -> str:
    """One line: requests, tokens, cost, time."""
    cost = usd(report.cost) if report.cost is not None else f"cost unknown for {counted(report.unpriced, 'answer')}"
    taken = f", {counted(report.reused, 'answer')} taken from the ledger" if report.reused else ""
    again = f" ({report.retried:,} of them again)" if report.retried else ""
    tokens = f"{counted(report.tokens_in, 'token')} in, {report.tokens_out:,} out"
    return f"{counted(report.requests, 'request')}{again}{taken}; {tokens}; {cost}; {report.seconds:.1f} s."


def show_estimate(estimate: Estimate, as_json: bool = False, *, pool: str | None = None, **more: Any) -> None:
    """Prints a dry run. `pool` as in `conclude`; `more`: further rows, by what they count (`human_judgments=280`)."""
    if as_json:
        print_json({"dry_run": True, **_named(pool), **_fields(estimate), **more})
        return
    rows = {
        "requests": f"{estimate.requests:,}",
        "answers that the ledger has": f"{estimate.reused:,}" if estimate.reused else None,
        "failed before, not asked again": listed_counts(estimate.left) or None,
        "tokens in (estimated)": f"{estimate.tokens_in:,}",
        "tokens out (estimated)": f"{estimate.tokens_out:,}",
        "cost (estimated)": "unknown: no price" if estimate.cost is None else usd(estimate.cost),
        **{name.replace("_", " "): f"{value:,}" for name, value in more.items()},
    }
    print_table([{"dry run": name, "": value} for name, value in rows.items() if value is not None])
    if pool is not None:
        click.echo(f"Pool: {pool}")
    note(f"Tokens in: {estimate.tokens_in_rule}. Tokens out: {estimate.tokens_out_rule}.")
    if estimate.cost is None:
        note(
            "--price-in and --price-out give the price, in USD per million tokens. "
            "Listed prices hold at the provider's own address alone."
        )


@contextmanager
def asking_bar(label: str) -> Iterator[Show]:
    """A bar with done, failed, rate, tokens, cost and time left on a terminal; elsewhere a line now and then."""
    if not sys.stderr.isatty():
        lines = quiet_lines()
        yield lambda moment, total: lines(lambda: f"{label}: {_moment(moment, total)}")
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[moment]}"))
    with Bar(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(label, total=None, moment="")
        last: list[tuple[AskProgress, int]] = []

        def show(moment: AskProgress, total: int) -> None:
            last[:] = [(moment, total)]
            bar.update(task, completed=_ended(moment.report), total=total, moment=_moment(moment, total, brief=True))

        yield show
        for moment, total in list(last):  # its report is the run's own, and complete by now
            show(moment, total)


def _moment(moment: AskProgress, total: int, brief: bool = False) -> str:
    """Done, failed, rate, tokens, cost so far, time left."""
    report, ended = moment.report, _ended(moment.report)
    failed = sum(report.failed.values()) + sum(report.left.values())
    parts = [] if brief else [f"{ended - failed:,} of {total:,} done"]
    parts += [f"{failed:,} failed"] if failed else []
    parts += [f"{moment.waiting:,} wait to be asked again"] if moment.waiting else []
    parts += [f"{moment.rate:.1f}/s", f"{(report.tokens_in + report.tokens_out) / 1000:,.1f}k tokens"]
    parts += [usd(report.known_cost) + ("+?" if report.unpriced else "")]
    parts += [f"{_clock((total - ended) / moment.rate)} left"] if moment.rate else []
    return ", ".join(parts)


def _ended(report: AskReport) -> int:
    return report.done + report.reused + sum(report.failed.values()) + sum(report.left.values())


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def usd(cost: float) -> str:
    """An amount, exact enough for small ones."""
    return f"{cost:.2f} USD" if cost >= 1 or cost == 0 else f"{cost:.4f} USD"


def _reasons(report: AskReport) -> Iterator[tuple[str, int, str]]:
    """(outcome, count, words) for each reason why something is left undone."""
    for outcome, count in report.failed.most_common():
        yield outcome, count, f"failed: {outcome}"
    for outcome, count in report.left.most_common():
        yield outcome, count, f"failed before and not asked again (--retry-failed does): {outcome}"
    if report.not_asked:
        why = {"max_cost": "not asked: --max-cost is reached"}.get(report.stopped or "", "not asked")
        yield "", report.not_asked, why


def _reason(words: str | None) -> str:
    if not words:
        return ""
    return f" ({words[:_FAILURE_WORDS]}{'…' if len(words) > _FAILURE_WORDS else ''})"


def _as_json(report: AskReport) -> dict[str, Any]:
    return _fields(report) | {"cost": report.cost, "undone": report.undone}


def _fields(value: AskReport | Estimate) -> dict[str, Any]:
    """The fields as plain values. dataclasses.asdict makes nonsense of a Counter before Python 3.12."""
    found = {each.name: getattr(value, each.name) for each in fields(value)}
    return {name: dict(part) if isinstance(part, Mapping) else part for name, part in found.items()}
