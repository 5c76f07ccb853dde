"""The long tests: a few rounds of each in an ordinary run, many of them in `make soak`, which sets MADETL_SOAK."""

from __future__ import annotations

import os
from typing import TypeVar

SOAK = bool(os.environ.get("MADETL_SOAK"))
T = TypeVar("T")


def several(few: T, many: T) -> T:
    """How often, or after how much of the work each time: `few` ordinarily, `many` in `make soak`."""
    return many if SOAK else few
