"""The report: eight models with 280 judgments on 805 instructions (AlpacaEval's size), and thirty models."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from madetl.ranking import rank
from madetl.ranking.votes import RankParameters
from madetl.store import database
from tests.benchmarks import Figure
from tests.support import report_study

_SIZE = 5.0  # megabytes that a report may have


def figures() -> Iterator[Figure]:
    """The whole command, as a process: from the database to the file."""
    with tempfile.TemporaryDirectory() as folder:
        for models, instructions, top_k, seconds in ((8, 805, 10, 10), (30, 300, 6, 30)):
            path = Path(folder) / f"{models}.db"
            report_study.build(path, models=models, instructions=instructions, top_k=top_k, repeated=0)
            with database.writing(path) as db:
                rank.rank(db, RankParameters())
                votes = db.execute("SELECT count(*) FROM judgments").fetchone()[0]
            yield _measured(path, f"report, {models} models, {votes} judgments, {instructions} instructions", seconds)


def _measured(path: Path, work: str, most: int) -> Figure:
    output = path.with_suffix(".html")
    start = time.perf_counter()
    command = [sys.executable, "-m", "madetl", "--db", str(path), "report", "-o", str(output)]
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    megabytes = output.stat().st_size / 1e6
    reached = seconds <= most and megabytes <= _SIZE
    return Figure(work, seconds, f"{most} s, {_SIZE:g} MB", reached, note=f"{megabytes:.1f} MB")
