"""How results and progress look: tables and JSON on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int], None]
"""What a stage calls as it goes: (done, total), in units of its own."""

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f]")  # control characters, which would move the cursor or change colours
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


def print_table(
    rows: Sequence[Mapping[str, Any]], title: str | None = None, *, one_line: bool = False, texts: Collection[str] = ()
) -> bool:
    """A table of rows that share their keys, or a block of lines for each row where it is too wide for one.

    No column is left out. Numbers stand to the right. Columns of long texts become narrower: their cells take several
    lines, or with `one_line` end in "…". So do those of the columns `texts`, however short their cells are. Returns
    whether anything was shortened.
    """
    from rich.console import Console

    if not rows:
        click.echo("(no rows)")
        return False
    console = Console(file=sys.stdout, width=_width(), highlight=False)
    if title:
        console.print(title, style="italic", markup=False)
    cells = {name: [_cell(row[name]) for row in rows] for name in rows[0]}
    numeric = {name for name in cells if all(isinstance(row[name], int | float | None) for row in rows)}
    shown = {name: [" ".join(cell.split()) for cell in cells[name]] for name in cells} if one_line else cells
    columns = [_Column(name, column, name in numeric, _widest(column), name in texts) for name, column in shown.items()]
    widths = _widths(columns, console.width)
    if widths is None:
        return _print_blocks(console, cells)
    _print_columns(console, columns, widths, one_line)
    return one_line and any(column.width > width for column, width in zip(columns, widths, strict=True))


_LONG = 32  # characters: a column with a longer cell is one of texts, which may be shortened; shorter ones are names
_SHORTEST = 16  # of a column of texts
_SHORTEST_HEADING = 8
_LINES_OF_A_BLOCK = 4  # of one value
_WIDTH_ELSEWHERE = 200  # where there is no terminal


@dataclass(frozen=True)
class _Column:
    """`width`: of the longest cell, in columns of the terminal."""

    name: str
    cells: list[str]
    numeric: bool
    width: int
    is_text: bool

    @property
    def least(self) -> int:
        """The fewest columns of the terminal that the cells can be shown in."""
        shortened = self.is_text or (self.width > _LONG and not self.numeric)
        return min(self.width, _SHORTEST) if shortened else self.width


def _widest(cells: Sequence[str]) -> int:
    from rich.cells import cell_len

    return max(cell_len(line) for cell in cells for line in cell.split("\n"))


def _widths(columns: Sequence[_Column], available: int) -> list[int] | None:
    """The width of each column of a table, the widest texts shortened first; None: there is no room for a table."""
    room = available - 2 * len(columns)  # two blanks after each column but the last, and one at either side
    headings = [_widest([column.name]) for column in columns]
    least = [
        max(column.least, min(heading, _SHORTEST_HEADING)) for column, heading in zip(columns, headings, strict=True)
    ]
    if sum(least) > room:
        return None
    most = [min(max(column.width, heading), room) for column, heading in zip(columns, headings, strict=True)]
    limit = next(limit for limit in range(room, -1, -1) if sum(_limited(least, most, limit)) <= room)
    return _limited(least, most, limit)


def _limited(least: Sequence[int], most: Sequence[int], limit: int) -> list[int]:
    return [max(low, min(high, limit)) for low, high in zip(least, most, strict=True)]


def _print_columns(console: Console, columns: Sequence[_Column], widths: Sequence[int], one_line: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        heading = Text(column.name, overflow="ellipsis", no_wrap=True)
        table.add_column(heading, width=width, justify="right" if column.numeric else "left", no_wrap=one_line)
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text(cell, overflow="ellipsis" if one_line else "fold") for cell in cells))
    console.print(table)


def _print_blocks(console: Console, cells: Mapping[str, Sequence[str]]) -> bool:
    """The rows one after the other; returns whether anything is cut."""
    rows = zip(*cells.values(), strict=True)
    cut = [_print_block(console, number, dict(zip(cells, row, strict=True))) for number, row in enumerate(rows, 1)]
    console.print()
    return any(cut)


def _print_block(console: Console, number: int, row: Mapping[str, str]) -> bool:
    """A row as lines of a name and its value; returns whether a value is cut after some lines."""
    from rich.text import Text

    console.rule(str(number), align="left", characters="─", style="")
    left = min(_widest(list(row)), console.width // 2 - 2)
    cut = False
    for name, value in row.items():
        heading = Text(name, style="bold")
        heading.truncate(left, overflow="ellipsis", pad=True)
        lines = list(Text(value).wrap(console, console.width - left - 2, overflow="fold"))
        if len(lines) > _LINES_OF_A_BLOCK:
            lines, cut = [*lines[: _LINES_OF_A_BLOCK - 1], Text("…")], True
        for line in lines or [Text("")]:
            console.print(heading, line, sep="  ", soft_wrap=True)
            heading = Text(" " * left)
    return cut


def _width() -> int:
    """Of the terminal; elsewhere that of $COLUMNS, or one that most tables fit into."""
    return shutil.get_terminal_size((_WIDTH_ELSEWHERE, 24)).columns


def _cell(value: Any) -> str:
    """The value as text that cannot steer a terminal; tabs are blanks, lines stay lines."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
    lines = str(value).replace("\t", " ").splitlines()
    return "\n".join(_STEERING.sub("\ufffd", line) for line in lines)


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
