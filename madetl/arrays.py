"""One thread for linear algebra on small matrices: more cost more than they bring, and could change a last bit."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np  # noqa: F401  whose library must be loaded before it can be found
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


def one_thread() -> AbstractContextManager[Any]:
    """Limits BLAS to one thread as long as it is entered."""
    limit: AbstractContextManager[Any] = _libraries().limit(limits=1, user_api="blas")
    return limit


@cache
def _libraries() -> ThreadpoolController:
    """The libraries that are loaded. Finding them takes longer than a small fit."""
    return ThreadpoolController()
