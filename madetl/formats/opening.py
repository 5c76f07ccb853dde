"""The bytes of a file as people have it, and its text: packed or not, in UTF-8 or UTF-16, with a mark or without.

Packing and encoding are known by the first bytes, whatever the file is called. Raises InputError where a file cannot be
read. Pure but for reading the file.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Callable
from pathlib import Path

from madetl.errors import InputError

STANDARD_INPUT = "-"

_PACKED = re.compile(rb"(?P<gzip>\x1f\x8b)|(?P<bzip2>BZh[1-9]1AY&SY)|(?P<xz>\xfd7zXZ\x00)")
_PACKED_SUFFIX = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)
_REFUSED = {
    b"\x28\xb5\x2f\xfd": "this is packed with zstd. Unpack it first: unzstd FILE",
    b"PK\x03\x04": "this is a zip archive or an Excel workbook. Unpack it, or save the sheet as CSV UTF-8.",
    b"\xd0\xcf\x11\xe0": "this is an Excel workbook. Save the sheet as CSV UTF-8.",
}
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def read_bytes(file: str, name: str) -> bytes:
    """What the file holds, unpacked where it is packed with gzip, bzip2 or xz; `name` is how messages call it."""
    data = _stored_bytes(file)
    for start, message in _REFUSED.items():
        if data.startswith(start):
            raise InputError(name, message)
    packed = _PACKED.match(data)
    return _unpacked(name, data, str(packed.lastgroup)) if packed else data


def unpacked_name(name: str) -> str:
    """A file's name without the suffix that says how it is packed: pool.csv of pool.csv.gz."""
    return _PACKED_SUFFIX.sub("", name)


def decoded(name: str, data: bytes) -> str:
    """The text of the bytes, without the mark before it."""
    encoding = next((encoding for mark, encoding in _MARKS.items() if data.startswith(mark)), None)
    encoding = encoding or _without_mark(data)
    try:
        return data.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data[: error.start].decode(encoding, errors="replace").count("\n") + 1
        message = f"this is not {encoding[:6].upper()} (byte 0x{data[error.start]:02x}). Save the file as UTF-8."
        raise InputError(name, message, line=line) from error


def _without_mark(data: bytes) -> str:
    """The encoding of a text without a mark, by the NUL bytes of its first line, which are half of ASCII in UTF-16."""
    end = data.find(b"\n")
    first = data if end < 0 else data[: end + 2]  # the line end of UTF-16-LE has its NUL after it
    high, low = first[::2].count(0), first[1::2].count(0)
    if not high and not low:
        return "utf-8"
    return "utf-16-be" if high > low else "utf-16-le"


def _stored_bytes(file: str) -> bytes:
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    path = Path(file)
    if path.is_dir():
        raise InputError(file, "this is a folder; name the files in it.")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(file, "there is no such file.") from error
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror or error}.") from error


def _unpacked(name: str, data: bytes, packing: str) -> bytes:
    import bz2
    import gzip
    import lzma
    import zlib

    unpack: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "bzip2": bz2.decompress,
        "xz": lzma.decompress,
    }
    try:
        return unpack[packing](data)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        message = f"this is packed with {packing} and cannot be unpacked ({error}). Fetch the file again."
        raise InputError(name, message) from error
