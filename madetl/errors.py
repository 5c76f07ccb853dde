"""What can go wrong, as exceptions that a person can act on.

    MadetlError                  one line: what is wrong, and what to do
    ├── DatabaseError            the database file: missing, not SQLite, damaged, too new, too old, unwritable
    │   └── DatabaseBusyError    locked by another program for too long
    ├── InputError               a file that was to be imported: which file, line and field, what was found
    ├── ParameterError           parameters that do not fit the data or one another
    └── MissingExtraError        an optional package is not installed

The command line turns each into one line on standard error and exit status 1; nothing else of madetl prints errors.
"""

from __future__ import annotations


class MadetlError(Exception):
    """Base of all errors that madetl raises on purpose. The message says what is wrong and what to do."""


class DatabaseError(MadetlError):
    """The database file cannot be used as it is."""


class DatabaseBusyError(DatabaseError):
    """Another program has been writing to the database file for too long; it may be free in a moment."""


class InputError(MadetlError):
    """A file holds something that cannot be imported.

    `file` is the name as given, `line` the 1-based line (or record, for Parquet) that it stands on, `field` the column
    or key; `line` and `field` are None where the whole file is at fault. `message` is what comes after these three.
    """

    def __init__(self, file: str, message: str, *, line: int | None = None, field: str | None = None) -> None:
        self.file, self.message, self.line, self.field = file, message, line, field
        where = file if line is None else f"{file}, line {line}"
        super().__init__(f"{where}, field {field}: {message}" if field else f"{where}: {message}")


class ParameterError(MadetlError):
    """Parameters that do not fit the data, or one another."""


class MissingExtraError(MadetlError):
    """A package that only an extra of madetl installs is needed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra}: pip install 'madetl[{extra}]'")
