"""How results and progress look: tables and JSON on standard output, everything else on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

Progress = Callable[[int, int], None]
"""What a stage calls as it goes: (done, total), in units of its own."""

_SECONDS_BETWEEN_LINES = 10.0


def note(message: str) -> None:
    """One line for the reader on standard error, so that piped results stay clean."""
    click.echo(message, err=True)


def warn(message: str) -> None:
    """One line on standard error that begins with 'Warning:'."""
    click.echo(f"Warning: {message}", err=True)


def listed_counts(counts: Mapping[str, int]) -> str:
    """Counts in words: '3 responses, 12 similarities'; what is 0 is left out."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def print_json(value: Any) -> None:
    """Any result as indented JSON, non-ASCII text as it is."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_table(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> None:
    """A table of rows that share their keys: numbers to the right, long text cut to the terminal's width."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        click.echo("(no rows)")
        return
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float) or row[name] is None for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="ellipsis", no_wrap=numeric)
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
    return str(value)


@contextmanager
def progress_bar(label: str, unit: str = "") -> Iterator[Progress]:
    """A bar with rate and time left on a terminal; elsewhere a line now and then. All on standard error."""
    if not sys.stderr.isatty():
        yield _progress_lines(label, unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.progress import Task as BarTask
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: BarTask) -> Text:
            return Text(f"{task.speed:,.0f} {unit}/s" if task.speed else "")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Bar(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=max(done, total))


def _progress_lines(label: str, unit: str) -> Progress:
    start, lines = time.monotonic(), quiet_lines()

    def show(done: int, total: int) -> None:
        if done:
            total = max(done, total)  # a stage may find more to do than it knew of
            left = (total - done) * (time.monotonic() - start) / done
            lines(lambda: f"{label}: {done:,} of {total:,} {unit}, {left:.0f} s left")

    return show


def quiet_lines() -> Callable[[Callable[[], str]], None]:
    """A function that prints the line it is given on standard error, unless it printed one a moment ago."""
    last = time.monotonic()

    def show(line: Callable[[], str]) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            note(line())

    return show
