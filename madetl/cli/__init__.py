"""The command line: the only package that imports click. One module per group of commands, each command short.

A command opens the database, calls one stage, and prints what came of it. Heavy libraries are imported inside the
functions that use them, so that `madetl --help` answers at once.
"""

from __future__ import annotations

from madetl.cli import (
    advise,
    agreement,
    annotate,
    base,
    delete,
    demo,
    evolve,
    export,
    importing,
    infer,
    judge,
    models,
    rank,
    replay,
    report,
    select,
    similarity,
    status,
    study,
)

_MODULES = (
    demo, study,
    importing, export,
    evolve, infer, similarity, select, annotate, judge, rank,
    status, agreement, advise, report, replay,
    models, delete,
)  # fmt: skip

SECTIONS = {
    "To begin with": ("demo", "run"),
    "Files in and out": ("import", "export"),
    "The six steps": ("evolve", "infer", "similarity", "select", "annotate", "judge", "rank"),
    "What there is, and what it says": ("status", "query", "agreement", "advise", "report", "replay"),
    "Upkeep": ("init", "models", "runs", "delete"),
}

cli = base.cli
cli.sections = SECTIONS
_commands = {command.name: command for module in _MODULES for command in module.COMMANDS}
for _names in SECTIONS.values():
    for _name in _names:
        cli.add_command(_commands.pop(_name))
assert not _commands, "every command has a section"


def main() -> None:
    """The entry point of the console script."""
    cli(prog_name="madetl")


__all__ = ["cli", "main"]
