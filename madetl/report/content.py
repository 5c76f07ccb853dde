"""What a report consists of: sections of blocks, and how numbers and names are written in them. Pure; no HTML here."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OVERALL = "overall"
_ISOLATE, _POP = "\u2068", "\u2069"
_RIGHT_TO_LEFT = {"R", "AL", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI"}


@dataclass(frozen=True)
class Source:
    """The query that a table or a plot came from, with the parameters that it was given."""

    name: str
    sql: str
    parameters: Mapping[str, Any]


class Number(str):
    """A cell that is written to the right: a number, formatted."""


Cell = str | int | None


@dataclass(frozen=True)
class Text:
    """A paragraph. `lead`: the answer that a reader came for."""

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Remark:
    """What a reader must know; `warning`: before believing the numbers beside it."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Missing:
    """What is not there, and the command that gets it (without the program's name)."""

    why: str
    command: str | None = None


NO_VOTES = Missing("There are no votes yet: the first section says how to get them.")


@dataclass(frozen=True)
class Table:
    """Rows under a head; whole numbers and `Number`s stand to the right. `folded`: shown on demand."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    sources: Sequence[Source] = ()
    folded: bool = False


@dataclass(frozen=True)
class Frame:
    """What goes around a drawing: a key of its own on the page, words, and the table of its numbers."""

    key: str
    caption: str
    table: Table


@dataclass(frozen=True)
class Plot:
    """A drawing with the words that say what it shows, its numbers, and where they came from."""

    svg: str
    caption: str
    table: Table
    width: int  # in CSS pixels, as drawn; narrower screens scroll rather than shrink the letters


@dataclass(frozen=True)
class SideBySide:
    """Blocks that stand side by side where there is room."""

    blocks: Sequence[Plot]


@dataclass(frozen=True)
class Code:
    """Text that is shown as it is: a program, a prompt, parameters."""

    title: str
    text: str
    folded: bool = True


@dataclass(frozen=True)
class Answers:
    """Two answers to one instruction as annotators saw them, the first one first, and the verdicts on them.

    `input` and `reference_answer` may be empty. The answers and the reference are Markdown.
    """

    title: str
    note: str
    instruction: str
    input: str
    reference_answer: str
    first: tuple[str, str]  # whose, what
    second: tuple[str, str]
    verdicts: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class WinsAndLosses:
    """What a model won beside what it lost."""

    won: Sequence[Answers]
    lost: Sequence[Answers]


@dataclass(frozen=True)
class BlockGroup:
    """A part of a section under a heading of its own."""

    title: str
    blocks: Sequence[Block]


Block = Text | Remark | Missing | Table | Plot | SideBySide | Code | WinsAndLosses | BlockGroup


@dataclass(frozen=True)
class Section:
    """One part of the report; `key` is its anchor."""

    key: str
    title: str
    blocks: Sequence[Block]


def points(value: float) -> Number:
    """A rating, in whole points."""
    return Number(f"{value:,.0f}".replace("-", "−"))


def interval(lower: float, upper: float) -> Number:
    """Two bounds of a rating."""
    return Number(f"{lower:,.0f} to {upper:,.0f}".replace("-", "−"))


def percent(share: float | None) -> Number:
    """A share of 1, as whole per cent (a small one to its first digit); – where there is none."""
    if share is None:
        return Number("–")
    return Number(f"{100 * share:.1g} %" if 0 < share < 0.005 else f"{100 * share:.0f} %")


def decimal(value: float | None, digits: int = 2) -> Number:
    """A number with so many digits after the point; – where there is none."""
    return Number("–" if value is None else f"{value:,.{digits}f}".replace("-", "−"))


def duration(seconds: float) -> str:
    """42 seconds, 12 minutes, 3.4 hours."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:,.1f} hours"


def ranks(first: int, last: int) -> str:
    """A rank interval: 3, or 3–5."""
    return str(first) if first == last else f"{first}–{last}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """a, b and c; what exceeds `most` is counted."""
    shown = list(names[:most])
    if len(names) > most:
        shown.append(f"{len(names) - most:,} more")
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]])) if shown else "none"


def isolated(name: str) -> str:
    """The name so that text of another direction in it does not turn around the sentence that it stands in."""
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in name):
        return f"{_ISOLATE}{name}{_POP}"
    return name


def sentence(text: str) -> str:
    """The text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def excerpt(text: str, most: int = 90) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
