"""`python -m tests.benchmarks [NAME ...]`: runs the benchmarks (all, or those named) and prints a table."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "2")


def main(names: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("work", "madetl", "plain way", "ratio", "to reach", "reached")
    for file in sorted(Path(__file__).parent.glob("bench_*.py")):
        if names and file.stem.removeprefix("bench_") not in names:
            continue
        for figure in importlib.import_module(f"tests.benchmarks.{file.stem}").figures():
            print(f"{figure.work}: {figure.seconds:.4f} s {figure.note}", file=sys.stderr, flush=True)
            plain = "" if figure.plain_seconds is None else f"{figure.plain_seconds:.3f} s ({figure.plain})"
            ratio = "" if figure.ratio is None else f"{figure.ratio:.1f}"
            work = f"{figure.work}\n{figure.note}" if figure.note else figure.work
            table.add_row(
                work, f"{figure.seconds:.4f} s", plain, ratio, figure.target, "yes" if figure.reached else "NO"
            )
    Console(width=170).print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
