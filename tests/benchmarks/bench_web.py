"""The page on the example: what an annotator waits for, over real HTTP from a real process.

There is no plain way to compare with; the aim is under 100 ms.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from madetl.store import database
from madetl.study import demo
from tests.benchmarks import Figure, median_seconds
from tests.support.page_study import Plain, serving


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        file = demo.copy_example(Path(folder) / "mad.db")
        with database.writing(file) as db:
            demo.measure(db)
            demo.select(db)
        with serving(file, "--overlap", 100) as page:
            browser = Plain(page.links["ann"])
            browser.begin()
            yield _figure("the page of an item", median_seconds(lambda: browser.get("/item"), repeat=100))
            yield _figure(
                "a verdict: stored, the next item dealt and shown",
                median_seconds(lambda: browser.judge("first", seconds=0), repeat=40),
            )


def _figure(work: str, seconds: float) -> Figure:
    return Figure(work, seconds, target="0.1 s", reached=seconds <= 0.1, note="60 items, real HTTP on one machine")
