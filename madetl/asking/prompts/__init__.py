"""The prompts of madetl: text files in this folder, each of which a user can read, copy and replace with a file.

A prompt is a text with `{names}` in it. `kept` is what a run keeps of the prompt it used. Nothing here asks a model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from madetl.errors import InputError
from madetl.text import text_hash

_FOLDER = Path(__file__).parent
_FIELD = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Prompt:
    """A prompt's text, and the name of its file."""

    name: str
    text: str

    @property
    def hash(self) -> str:
        """Hexadecimal SHA-256 of the text."""
        return text_hash(self.text)

    @property
    def kept(self) -> dict[str, str]:
        """What goes into the parameters of a run: the prompt by name, hash and full text."""
        return {"name": self.name, "hash": self.hash, "text": self.text}

    def fill(self, **values: str) -> str:
        """The text with each `{name}` replaced by its value, in one pass: braces within a value stay what they are."""
        return _FIELD.sub(lambda found: values.get(found[1], found[0]), self.text)


@cache
def packaged(name: str) -> Prompt:
    """The prompt that comes with madetl under this name. Raises FileNotFoundError where there is none."""
    return Prompt(name, (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").strip())


def from_file(file: str | Path, *needed: str) -> Prompt:
    """A user's own prompt. Raises InputError where the file cannot be read or lacks one of the `{names}` needed."""
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(file), f"cannot be read as text: {error}") from error
    missing = [name for name in needed if f"{{{name}}}" not in text]
    if missing:
        names = ", ".join(f"{{{name}}}" for name in missing)
        raise InputError(str(file), f"a prompt of this kind needs {names}, where the text is to go.")
    return Prompt(Path(file).name, text)
