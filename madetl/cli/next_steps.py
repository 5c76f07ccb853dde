"""What a command says at its end: the commands that come next, each with what it is for."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from madetl.ranking.rank import Ranking
    from madetl.ranking.votes import RankParameters

_ADVISE = "how sure the order is, and how many more judgments would settle it"
_REPORT = "all of it on one page, to mail or print"

Step = tuple[str, str]
"""A command without `madetl --db FILE`, and what it is for."""

DECIDED: tuple[Step, ...] = (
    ("advise", _ADVISE),
    ("report -o report.html", _REPORT),
)
"""What there is to see once votes are ranked."""


_EXTRAS = {"report": ("report", "jinja2"), "annotate": ("web", "flask")}
"""By the command's first word: the extra that it needs, and a package that comes with it."""


def show(program: str, steps: Iterable[Step]) -> None:
    """Prints the steps under 'Next:'; `program` is how madetl is called on this database."""
    click.echo("Next:")
    for command, why in steps:
        click.echo(f"  {called(program, command)}\n      {why}{_missing(command)}")


def _missing(command: str) -> str:
    """The extra that has to be installed first, in words."""
    extra, package = _EXTRAS.get(command.split(maxsplit=1)[0], ("", ""))
    return f" (with the extra {extra}: pip install '.[{extra}]')" if package and not find_spec(package) else ""


def called(program: str, command: str) -> str:
    """The whole command; the demo makes a database of its own."""
    return "madetl demo" if command == "demo" else f"{program} {command}"


def ranked(ranking: Ranking, parameters: RankParameters) -> Iterator[Step]:
    """What there is to see of a ranking. Advice is on people's votes; a report, if not told, on their Elo ranking."""
    people = ranking.voters == "people"
    where = _options("--scenario", parameters.scenarios) + _options("--selection", parameters.selections)
    if people:
        yield f"advise{where}", _ADVISE
    chosen = where if people and parameters.method == "elo" else f" --run {ranking.run_id}"
    yield f"report{chosen} -o report.html", _REPORT


def judged(selection: str) -> tuple[Step, ...]:
    """What comes when all of a selection is judged."""
    option = _options("--selection", [selection])
    return (
        (f"rank{option}", "rank the models by the votes on what it picked"),
        (f"advise{option}", _ADVISE),
        (f"report{option} -o report.html", _REPORT),
    )


def _options(name: str, values: Iterable[str]) -> str:
    return "".join(f" {name} {shlex.quote(value)}" for value in values)


def to_judge(selection: str) -> tuple[Step, ...]:
    """The two ways to have people judge a selection."""
    option = _options("--selection", [selection])
    return (
        (f"annotate{option}", "people judge on a page in the browser"),
        (f"export annotations{option} -o sheet.csv", "or on a sheet, which `import judgments` reads back"),
    )
