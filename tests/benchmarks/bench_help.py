"""How soon `madetl --help` answers, and how much later commands that do little, in real processes."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from madetl.store import database
from tests.benchmarks import Figure, median_seconds
from tests.support import report_study, sheet_study

TARGET = 0.1  # seconds more than click alone
COMMAND_TARGET = 0.5  # seconds more than the help
REPEAT = 15


def figures() -> Iterator[Figure]:
    """Processes that print the help, beside one that imports click and ends, and that do something small, beside it."""
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
    with tempfile.TemporaryDirectory() as folder:
        file, sheet = _judged(Path(folder))
        for command in (["status"], ["query", "models"], ["import", "judgments", sheet]):
            seconds = _seconds("-m", "madetl", "--db", file, *command)
            yield Figure(
                work=f"madetl {' '.join(command[:2])}",
                seconds=seconds,
                target="at most 0.5 s more than the help",
                reached=seconds - help_printed <= COMMAND_TARGET,
                plain_seconds=help_printed,
                plain="madetl --help",
                note=f"{seconds - help_printed:.3f} s more",
            )


def _judged(folder: Path) -> tuple[str, str]:
    """A study of eight models with K = 10, and a sheet of its 280 items whose verdicts are stored already."""
    file = folder / "study.db"
    report_study.build(file, instructions=100, top_k=10, people=1, repeated=0)
    with database.writing(file) as db:
        sheet_study.export(db, folder / "sheet.csv", annotator="ann")
        sheet = sheet_study.filled(folder / "sheet.csv", {"*": "tie"})
        assert sheet_study.take(db, str(sheet)).new == 280
    return str(file), str(sheet)


def _seconds(*arguments: str) -> float:
    return median_seconds(
        lambda: subprocess.run([sys.executable, *arguments], capture_output=True, check=True), repeat=REPEAT
    )
