"""The tree of madetl's commands, walked: for tests that hold for every command."""

from __future__ import annotations

from collections.abc import Iterator

import click

from madetl.cli import cli


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group below the root, with the words that lead to it."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = {" ".join(path): command for path, command in commands()}
LEAVES = {path: command for path, command in ALL.items() if not isinstance(command, click.Group)}
