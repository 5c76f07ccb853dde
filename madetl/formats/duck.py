"""DuckDB in memory, which reads and writes Parquet: what goes wrong there comes out as Python's own errors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ERRNO = re.compile(r'"errno": *"(\d+)"')  # as DuckDB writes it into its messages


@contextmanager
def connected() -> Iterator[DuckDBPyConnection]:
    """A connection to a database in memory, closed at the end.

    Raises KeyboardInterrupt for a Ctrl-C while DuckDB works, and OSError where a file cannot be read or written.
    """
    import duckdb

    with duckdb.connect(":memory:") as db:
        try:
            yield db
        except duckdb.IOException as error:
            number = _ERRNO.search(str(error))
            if number is None:
                raise OSError(str(error).splitlines()[0]) from error
            raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        except (RuntimeError, duckdb.Error) as error:
            # DuckDB sees a Ctrl-C itself, or Python code that it calls does, whose traceback is then its message.
            if "interrupted" in str(error).lower() or "KeyboardInterrupt" in str(error):
                raise KeyboardInterrupt from error
            raise


def literal(text: str) -> str:
    """The text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
