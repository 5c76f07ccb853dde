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
    query,
    rank,
    replay,
    report,
    select,
    similarity,
    status,
    study,
)

cli = base.cli

for _module in (
    advise,
    agreement,
    annotate,
    delete,
    demo,
    evolve,
    export,
    importing,
    infer,
    judge,
    models,
    query,
    rank,
    replay,
    report,
    select,
    similarity,
    status,
    study,
):
    for _command in _module.COMMANDS:
        cli.add_command(_command)


def main() -> None:
    """The entry point of the console script."""
    cli(prog_name="madetl")


__all__ = ["cli", "main"]
