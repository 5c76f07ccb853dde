"""Writes files whole or not at all: first beside the target, under another name, then renamed.

JSON, JSONL, CSV and Parquet from rows. Neither the meaning of the rows nor the database is known here.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

from madetl.errors import ParameterError
from madetl.formats.duck import connected, literal

PARQUET_TYPES = {"TEXT": "VARCHAR", "INTEGER": "BIGINT", "REAL": "DOUBLE", "BLOB": "BLOB"}
"""DuckDB's type for each type of SQLite's STRICT tables."""

_BATCH = 2_000  # rows on their way to Parquet: 12 MB of them where each holds a vector of 1536 numbers
_PARQUET_MEMORY = "500MB"
_ROW_GROUP = 4_096  # DuckDB's own 122,880 rows of long vectors would not fit into that memory
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_MAX_NAME = 200  # bytes: file systems take 255, and a suffix follows


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to: it takes the target's place if the block ends well, and vanishes if not.

    A block that writes nothing leaves the target as it is. Raises ParameterError where the target cannot be written.
    """
    target = Path(os.path.realpath(target))  # a link stays a link
    if target.is_dir():
        raise ParameterError(f"{target} is a folder; name a file.")
    if target.exists() and not target.is_file():
        raise ParameterError(f"{target} is not a plain file; name another.")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with _errors_named(target):
        try:
            yield part
            if part.exists():
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder to write files to: they move into `target` together if the block ends well, and vanish if not.

    Files of other names that stand in the target stay. Raises ParameterError where the target cannot be written.
    """
    target = Path(os.path.realpath(target))
    if target.exists() and not target.is_dir():
        raise ParameterError(f"{target} is a file; name a folder.")
    existed = target.is_dir()
    part = (target if existed else target.parent) / f".{target.name}.{os.getpid()}.part"
    with _errors_named(target):
        part.mkdir()
        try:
            yield part
            if existed:
                for file in sorted(part.iterdir()):
                    file.replace(target / file.name)
            else:
                part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def write_json(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """A JSON array, one record at a time."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("[")
        for number, record in enumerate(records):
            text = json.dumps(record, ensure_ascii=False, indent=2)
            file.write(("," if number else "") + "\n" + text)
        file.write("\n]\n")


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object per line."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV with a byte-order mark, without which spreadsheets take UTF-8 for something else."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def write_parquet(
    path: Path, columns: Mapping[str, str], rows: Iterable[Sequence[Any]], query: str = "FROM exported"
) -> None:
    """Parquet in bounded memory. `columns`: SQLite's type of each; `query` shapes the table `exported` of them.

    Raises OSError where the disk does not take it.
    """
    types = {name: PARQUET_TYPES[type_] for name, type_ in columns.items()}
    with tempfile.TemporaryDirectory(prefix=".madetl-", dir=path.parent) as folder, connected() as db:
        # More threads would each hold a row group of long vectors.
        db.execute(f"SET threads = 1; SET memory_limit = '{_PARQUET_MEMORY}'")
        db.execute(f"SET temp_directory = {literal(f'{folder}/memory')}")
        # The type of a text or blob column is told from so many values; the rest would be taken to be alike.
        db.execute(f"SET pandas_analyze_sample = {_BATCH}")
        iterator = iter(rows)
        parts = count()
        # A table without rows has one empty part, which says the columns' types.
        while (batch := list(islice(iterator, _BATCH))) or not any(Path(folder).glob("*.parquet")):
            _write_part(db, f"{folder}/{next(parts):09d}.parquet", types, batch)
        db.execute(f"CREATE VIEW exported AS FROM read_parquet({literal(f'{glob.escape(folder)}/*.parquet')})")
        options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}"
        db.execute(f"COPY ({query}) TO {literal(str(path))} ({options})")


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name for each name, safe on every system, all different where case does not count."""
    taken: set[str] = set()
    result = {}
    for name in dict.fromkeys(names):
        base = _safe(name)
        candidate, number = base, 2
        while candidate.casefold() in taken:
            candidate, number = f"{base}-{number}", number + 1
        taken.add(candidate.casefold())
        result[name] = candidate
    return result


def _write_part(db: Any, path: str, types: Mapping[str, str], batch: Sequence[Sequence[Any]]) -> None:
    import numpy as np

    columns = {}
    for index, name in enumerate(types):
        columns[name] = np.empty(len(batch), dtype=object)
        columns[name][:] = [row[index] for row in batch]
    db.register("batch", columns)
    # An empty column has no type of its own, so every one is told what it is.
    casts = ", ".join(f"{_quoted(name)}::{type_} AS {_quoted(name)}" for name, type_ in types.items())
    db.execute(f"COPY (SELECT {casts} FROM batch) TO {literal(path)} (FORMAT parquet, COMPRESSION uncompressed)")
    db.unregister("batch")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _safe(name: str) -> str:
    """The name with what some system refuses replaced: separators, control characters, leading and trailing dots."""
    safe = _UNSAFE.sub("_", name).strip(" .") or "_"
    if re.fullmatch(r"(?i)con|prn|aux|nul|com\d|lpt\d", safe.split(".")[0]):  # devices on Windows
        safe = f"_{safe}"
    return safe.encode()[:_MAX_NAME].decode(errors="ignore")


@contextmanager
def _errors_named(target: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        if not target.parent.is_dir():
            raise ParameterError(f"{target}: the folder {target.parent} does not exist.") from error
        raise ParameterError(f"{target} cannot be written: {error.strerror}.") from error
    except OSError as error:
        raise ParameterError(f"{target} cannot be written: {error.strerror or error}.") from error
