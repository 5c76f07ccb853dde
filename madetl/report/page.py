"""Puts a report together: sections from rows, HTML from sections, one file that needs nothing else.

The only module that knows HTML. Every text is escaped by the templates; SVG comes from `svg`, which escapes as well.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from madetl import __version__
from madetl.formats.writing import whole_file
from madetl.rendering.markdown import render
from madetl.report import rows
from madetl.report.boards import Boards, boards
from madetl.report.content import Number, Section, Source
from madetl.report.rows import ReportData
from madetl.report.sections import answer, leaderboards, making, people, selected, stability, strengths, win_rates
from madetl.report.sections.making import CommandLine


@dataclass(frozen=True)
class Written:
    """What a report was made of: how many judgments it counts, and how many bytes it has."""

    judgments: int
    models: int
    bytes: int


def write(
    db: sqlite3.Connection,
    output: Path,
    *,
    title: str,
    program: str,
    command_line: CommandLine,
    scenarios: Sequence[str] = (),
    selections: Sequence[str] = (),
    run_id: int | None = None,
) -> Written:
    """Writes the report, whole or not at all. `program` is how madetl is called on this database.

    Raises ParameterError for an unknown scenario, selection or ranking run, and for a file that cannot be written.
    """
    with whole_file(output) as part:  # opened first, so that a wrong path fails before the work
        study = rows.read(db, scenarios, selections, run_id)
        ranked = boards(study)
        text = html(study, ranked, title=title, program=program, command_line=command_line)
        part.write_text(text, encoding="utf-8", newline="\n")
    models = len(ranked.first[0].ratings) if ranked else 0
    return Written(len(study.votes.rows), models, len(text.encode()))


def html(study: ReportData, ranked: Boards | None, *, title: str, program: str, command_line: CommandLine) -> str:
    """The page. The same study gives the same bytes."""
    template = _environment(program).get_template("report.html")
    return template.render(
        title=title, study=study, version=__version__, sections=sections(study, ranked, command_line), ranked=ranked
    )


def sections(study: ReportData, ranked: Boards | None, command_line: CommandLine) -> list[Section]:
    """The eight sections, in order."""
    return [
        answer.section(study, ranked),
        leaderboards.section(study, ranked),
        win_rates.section(study, ranked),
        stability.section(study, ranked),
        selected.section(study),
        strengths.section(study, ranked),
        people.section(study),
        making.section(study, command_line),
    ]


def _environment(program: str) -> Environment:
    environment = Environment(
        loader=PackageLoader("madetl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["svg"] = Markup  # made by svg.draw, which escapes what it is given
    environment.filters["markdown"] = render  # as on the page on which people judge; safe HTML
    environment.filters["whole_numbers"] = lambda text: text.replace(" %", "\u00a0%")  # no line ends before its unit
    environment.filters["cell"] = _cell
    environment.filters["is_number"] = lambda cell: isinstance(cell, Number | int | float)
    environment.filters["value"] = lambda value: "null" if value is None else json.dumps(value, ensure_ascii=False)
    environment.globals["program"] = program
    environment.globals["asking"] = lambda source: asking(program, source)
    return environment


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)


def asking(program: str, source: Source) -> str:
    """The command that gives the rows of a table again."""
    given = "".join(f" -p {shlex.quote(f'{name}={_typed(value)}')}" for name, value in source.parameters.items())
    return f"{program} query {source.name}{given} --csv"


def _typed(value: Any) -> str:
    """A value as `madetl query -p` reads it: text that looks like something else in quotes."""
    if value is None:
        return "null"
    if not isinstance(value, str):
        return f"{value!r}"
    from madetl.store.user_queries import typed

    return value if typed(value) == value else f'"{value}"'
