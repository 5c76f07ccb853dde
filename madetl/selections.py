"""MAD selection: for each pair of models the response pairs that people should judge."""

from __future__ import annotations

from madetl.selection_sets import find_set

__all__ = ["find_set"]
