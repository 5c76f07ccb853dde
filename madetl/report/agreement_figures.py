"""Krippendorff's alpha, where this madetl can compute it: the one place that knows the stage `madetl.agreement`."""

from __future__ import annotations

import importlib
import importlib.util
import sqlite3
from dataclasses import dataclass
from typing import Any

from madetl.errors import ParameterError


@dataclass(frozen=True)
class Alpha:
    """Krippendorff's alpha of people's verdicts with its 95 % interval; it does not depend on the order of models.

    `shared`: items with verdicts of two people or more. None where chance alone would give full agreement.
    """

    alpha: float | None
    lower: float | None
    upper: float | None
    shared: int


def alpha_of(db: sqlite3.Connection, scenario: str | None) -> Alpha | None:
    """Alpha of all verdicts of the scenario (None: of all); None where nothing is judged, or nothing computes it."""
    if importlib.util.find_spec("madetl.agreement") is None:
        return None
    stage: Any = importlib.import_module("madetl.agreement")
    try:
        [first, *_] = stage.report(db, scenario=scenario).scenarios
    except ParameterError:  # nobody has judged anything
        return None
    found = first.alpha_unordered
    return Alpha(found.alpha, found.lower, found.upper, first.shared)
