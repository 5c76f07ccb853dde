"""What madetl's speed is measured with: `make bench` runs every bench_*.py here and prints one table.

A module has a function `figures()` that yields `Figure`s. Each sets up its own data, measures madetl's code and, on the
same input, a plain implementation of the way that published code goes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class Figure:
    """One line of the table. Times are seconds, medians of a few runs in this process."""

    work: str
    seconds: float
    target: str
    reached: bool
    plain_seconds: float | None = None
    plain: str = ""  # what the plain implementation is
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.plain_seconds is None else self.plain_seconds / self.seconds


def median_seconds(work: Callable[[], object], repeat: int = 3) -> float:
    """The median wall time of `repeat` calls."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
