"""Hashes and counts of texts, text that can be stored, names that are the same, a number with its noun, notes. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath, PureWindowsPath

# Scripts that write without spaces: Thai, CJK ideographs with their extensions, and kana.
_SPACELESS = "\u0e01-\u0e2e\u0e2f\u0e30\u0e32\u0e33\u0e40-\u0e46\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa"
_SPACELESS += "\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"))
_ASCII_BETWEEN_WORDS = bytes(code if code > 127 or chr(code).isalnum() else ord(" ") for code in range(256))


def text_hash(text: str) -> str:
    """Hexadecimal SHA-256 of the exact text in UTF-8: what the columns `responses.hash` and `embeddings.hash` hold."""
    return hashlib.sha256(text.encode()).hexdigest()


def instruction_hash(instruction: str, input: str = "") -> str:
    """The hash of an instruction and its input, nothing stripped: what `instructions.hash` holds.

    NUL never occurs in stored text, so two different pairs of texts cannot fall on one another.
    """
    return text_hash(f"{instruction}\0{input}" if input else instruction)


def with_input(instruction: str, input: str) -> str:
    """An instruction and its input as one text, as a model is given them."""
    return f"{instruction}\n\n{input}" if input else instruction


def storable(text: str) -> tuple[str, int]:
    """The text with NUL characters and lone surrogates replaced by U+FFFD, and how many there were.

    SQLite's functions stop at a NUL, and UTF-8 has no lone surrogates.
    """
    return _UNSTORABLE.subn("\ufffd", text)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """'1 pair', '2 pairs', '1,200 people': the number with its noun, which takes an s where no plural is given."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


_SINGULAR = {
    "are": "is", "were": "was", "have": "has", "stay": "stays", "differ": "differs",
    "they": "it", "them": "it", "their": "its",
}  # fmt: skip


def agreeing(number: int) -> dict[str, str]:
    """Words that follow such a number, by their plural: {'are': 'is', …} for 1, and {'are': 'are', …} for others."""
    return _SINGULAR if number == 1 else {plural: plural for plural in _SINGULAR}


_FOLDERS = re.compile(r"(?<![\w.:/\\-])(?:/|[A-Za-z]:[\\/])(?:[^\s/\\:,;'\"`]+[/\\])+(?=[^\s/\\])")


def file_name(text: str) -> str:
    """The name of the file where the text is an absolute path, of this system or another; else the text."""
    path = PureWindowsPath(text) if PureWindowsPath(text).drive else PurePosixPath(text)
    return path.name if path.is_absolute() and path.name and "\n" not in text else text


def without_folders(text: str) -> str:
    """The text with only the names of the files whose absolute paths stand in it; paths with spaces keep a part."""
    return _FOLDERS.sub("", text)


def name_key(name: str) -> str:
    """What two names have in common that a reader takes for the same.

    Case, width (NFKC), spaces around the name and doubled ones within it make no difference, nor does which dash it is.
    """
    if name.isascii():
        return " ".join(name.split()).lower()
    plain = unicodedata.normalize("NFKC", name).translate(_DASHES).casefold()
    return " ".join(unicodedata.normalize("NFKC", plain).split())


def count_words(text: str) -> int:
    """Runs of letters and digits, each CJK, kana or Thai character counted as a word of its own.

    Combining marks belong to the letter before them, so that words of Indic scripts stay whole.
    """
    # Only what is not ASCII needs the pattern: four times as fast on real answers.
    runs = text.encode(errors="surrogatepass").translate(_ASCII_BETWEEN_WORDS).split()
    if text.isascii():
        return len(runs)
    return sum(1 if run.isascii() else _count_in_run(run) for run in runs)


def _count_in_run(run: bytes) -> int:
    return len(_word_pattern().findall(run.decode(errors="surrogatepass")))


@cache
def _word_pattern() -> re.Pattern[str]:
    marks = "".join(re.escape(c) for c in map(chr, range(0x300, 0xFFFF)) if unicodedata.category(c)[0] == "M")
    return re.compile(rf"[{_SPACELESS}]|(?:(?![{_SPACELESS}])[^\W_])(?:(?![{_SPACELESS}])[^\W_]|[{marks}])*")


@dataclass(frozen=True)
class Note:
    """What a reader must know before believing a result. Notes of one `kind` say the same of different results."""

    kind: str
    text: str
