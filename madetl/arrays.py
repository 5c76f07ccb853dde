"""How libraries for arrays are used: linear algebra on small matrices in one thread, and nothing through pandas.

More threads would be slower there, and could change a last bit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import numpy as np  # noqa: F401  whose library must be loaded before it can be found
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


def one_thread() -> AbstractContextManager[Any]:
    """Limits BLAS to one thread as long as it is entered."""
    limit: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limit


@contextmanager
def without_pandas() -> Iterator[None]:
    """Imports within the block as if pandas were not installed; where it is imported already, nothing changes.

    scikit-learn and sqlite-utils import pandas if they find it, to know its types. They get none of them here, and the
    import takes one to two seconds.
    """
    if "pandas" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # this makes the import raise ModuleNotFoundError
    try:
        yield
    finally:
        del sys.modules["pandas"]


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that are loaded. Finding them takes longer than a small fit."""
    return ThreadpoolController()
