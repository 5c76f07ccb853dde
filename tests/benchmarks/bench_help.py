"""How soon `madetl --help` answers, in real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

from tests.benchmarks import Figure, median_seconds

TARGET = 0.1  # seconds more than click alone
REPEAT = 15


def figures() -> Iterator[Figure]:
    """The start of a process that prints the help, beside one that imports click and ends."""
    click_alone = _seconds("-c", "import click")
    help_printed = _seconds("-m", "madetl", "--help")
    yield Figure(
        work="madetl --help",
        seconds=help_printed,
        target="at most 0.1 s more than click alone",
        reached=help_printed - click_alone <= TARGET,
        plain_seconds=click_alone,
        plain="python -c 'import click'",
        note=f"{help_printed - click_alone:.3f} s more",
    )


def _seconds(*arguments: str) -> float:
    return median_seconds(
        lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=True), repeat=REPEAT
    )
