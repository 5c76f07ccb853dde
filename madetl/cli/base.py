"""The group `madetl`, and what all commands share: --db, --debug, and errors as one line."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from madetl import __version__
from madetl.errors import MadetlError

DEFAULT_DB = Path("mad.db")


@dataclass
class Settings:
    """What every command gets as its first argument (`@click.pass_obj`)."""

    db: Path = DEFAULT_DB
    db_named: bool = False  # --db was given, and not taken from the environment or the default
    debug: bool = False

    @property
    def program(self) -> str:
        """How madetl is called on this database: with --db where it was given."""
        return f"madetl --db {shlex.quote(str(self.db))}" if self.db_named else "madetl"


def _set_db(context: click.Context, _: click.Parameter, value: Path | None) -> None:
    settings = context.ensure_object(Settings)
    named = context.get_parameter_source("db") is ParameterSource.COMMANDLINE
    # Each level of the command line reads $MADETL_DB; it must not override a --db that an outer level was given.
    if value is not None and (named or not settings.db_named):
        settings.db, settings.db_named = value, named


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Settings).debug = True


def _shared_options() -> list[click.Option]:
    """--db and --debug: accepted before and after the command's name."""
    return [
        click.Option(
            ["--db"],
            type=click.Path(path_type=Path, dir_okay=True),
            envvar="MADETL_DB",
            expose_value=False,
            callback=_set_db,
            metavar="FILE",
            help="The database.  [default: $MADETL_DB, or mad.db]",
        ),
        click.Option(
            ["--debug"], is_flag=True, expose_value=False, callback=_set_debug, help="Show tracebacks of errors."
        ),
    ]


class Command(click.Command):
    """A command of madetl: with --db and --debug, and an epilog of examples that is not re-wrapped."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [option for option in _shared_options() if option.name not in {p.name for p in self.params}]


class Group(click.Group):
    """A group whose commands share options and whose errors are one line on standard error."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _shared_options()

    def list_commands(self, context: click.Context) -> list[str]:
        """The commands in the order in which they were added, which is that of the work."""
        return list(self.commands)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands, each with the whole first sentence of its help."""
        self.write_commands(formatter, "Commands", self.list_commands(context))

    def write_commands(self, formatter: click.HelpFormatter, title: str, names: Sequence[str]) -> None:
        """Writes some of the commands under a title, their names as wide as those of all."""
        width = max(map(len, self.commands))
        with formatter.section(title):
            formatter.write_dl([(f"{name:{width}}", _first_sentence(self.commands[name])) for name in names])


def _first_sentence(command: click.Command) -> str:
    return re.split(r"(?<=[.?])\s", " ".join((command.help or "").split()), maxsplit=1)[0]


Group.group_class = Group


class RootGroup(Group):
    """The root group: it alone turns what a stage raises into one line and an exit status."""

    group_class = Group
    sections: Mapping[str, Sequence[str]] = {}
    """The names of the commands under the titles that `madetl --help` gives them."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the commands, section by section."""
        for title, names in self.sections.items():
            self.write_commands(formatter, title, names)

    def invoke(self, context: click.Context) -> Any:
        settings = context.ensure_object(Settings)
        try:
            return super().invoke(context)
        except (click.exceptions.Exit, click.Abort, click.ClickException, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("Interrupted. What was finished is saved; run the same command again to go on.", err=True)
            sys.exit(130)
        except MadetlError as error:
            if settings.debug:
                raise
            raise click.ClickException(str(error)) from error
        except Exception as error:
            if settings.debug:
                raise
            raise click.ClickException(
                f"{type(error).__name__}: {error}. This is a fault of madetl's; --debug shows where."
            ) from error


@click.group(
    cls=RootGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample, from answers to a leaderboard:\n"
    "  madetl import alpaca-eval gpt-4.json gemini-pro.json\n"
    "  madetl similarity\n"
    "  madetl select --top-k 10\n"
    "  madetl export annotations -o sheet.csv\n"
    "  madetl import judgments sheet.csv --annotator alice\n"
    "  madetl rank",
)
@click.version_option(__version__, prog_name="madetl")
def cli() -> None:
    """Find the answers on which language models differ most, let people judge only those, and rank the models.

    Everything is rows in one SQLite file: each command reads tables and writes tables.
    """


def examples(*lines: str) -> str:
    """The epilog that shows how a command is used."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
