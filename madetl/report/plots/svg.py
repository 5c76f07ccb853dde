"""From a matplotlib figure to an inline SVG that takes its colours and letters from the page. Knows nothing of studies.

Every colour that a plot may use has a name. It is drawn in a stand-in of its own and replaced by the CSS variable of
that name, so that light, dark and print are the page's business. Text stays text. The same figure gives the same bytes.
"""

from __future__ import annotations

import html
import io
import re
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from madetl.report.content import Frame, Plot

SERIES = ("blue", "orange", "green", "purple", "vermillion", "sky")
TINTS = tuple(f"tint{number}" for number in range(9))
"""From the losing to the winning end, the middle neutral."""

_NAMES = ("ink", "muted", "grid", "surface", *SERIES, *TINTS)
COLOUR = {name: f"#0101{number:02x}" for number, name in enumerate(_NAMES, 16)}
"""The stand-in of each named colour."""

FONT_SIZE = 11.0
LINE_HEIGHT = 13.2  # CSS pixels from a line of that size to the next
_LETTER = 6.2  # CSS pixels of an average letter of that size
LINE = 40  # letters of a line of a label
LONGEST = 3 * LINE  # letters of a label
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": FONT_SIZE,
    "text.parse_math": False,  # a model may have dollars in its name
    "text.color": COLOUR["ink"],
    "axes.labelcolor": COLOUR["muted"],
    "axes.edgecolor": COLOUR["grid"],
    "axes.facecolor": "none",
    "axes.formatter.useoffset": False,
    "axes.titlesize": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": COLOUR["grid"],
    "ytick.color": COLOUR["grid"],
    "xtick.labelcolor": COLOUR["muted"],
    "ytick.labelcolor": COLOUR["ink"],
    "grid.color": COLOUR["grid"],
    "grid.linewidth": 0.7,
    "figure.facecolor": "none",
    "legend.frameon": False,
}
_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def drawn(frame: Frame, size: tuple[int, int], paint: Callable[[Figure], None]) -> Plot:
    """A plot in its frame; what `paint` gets is an empty figure of `size`."""
    return Plot(draw(frame.key, frame.caption, size, paint), frame.caption, frame.table, size[0])


def draw(name: str, title: str, size: tuple[int, int], paint: Callable[[Figure], None]) -> str:
    """The SVG of what `paint` puts on an empty figure of `size` (width, height) in CSS pixels.

    `name` keeps its ids apart from those of other figures on the page; `title` is what a screen reader says.
    """
    with _style(name), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)  # the page's fonts draw it
        figure = Figure(figsize=(size[0] / 72, size[1] / 72))
        FigureCanvasSVG(figure)
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    return _inlined(buffer.getvalue(), title)


def axes(figure: Figure, left: float, top: float, right: float, bottom: float, **options: Any) -> Axes:
    """Axes whose edges stand so many CSS pixels from those of the figure."""
    width, height = (float(inches) * 72 for inches in figure.get_size_inches())
    position = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    return figure.add_axes(position, **options)


def labels(names: Sequence[str], line: int = LINE) -> list[str]:
    """The names in lines of so many letters, broken after punctuation where there is some."""
    return ["\n".join(_balanced(name, line)) for name in shortened(names)]


def _balanced(name: str, longest: int) -> list[str]:
    """As few lines as can be, the longest of them as short as can be."""
    fewest = _lines(name, longest)
    narrower = (_lines(name, width) for width in range(len(name) // len(fewest), longest))
    return next((lines for lines in narrower if len(lines) == len(fewest)), fewest)


def _lines(name: str, longest: int) -> list[str]:
    lines = [""]
    for part in re.findall(rf"[^-/_:\s]{{1,{longest}}}[-/_:\s]*|[-/_:\s]+", name) or [name]:
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > longest:
            lines.append("")
        lines[-1] += part
    return [line.rstrip() for line in lines]


def shortened(names: Sequence[str], longest: int = LONGEST) -> list[str]:
    """The names, very long ones without their middle; without their beginning, or whole, where two would look alike."""
    for end in (longest // 2 - 3, longest - 1):
        short = [n if len(n) <= longest else f"{n[: longest - end - 1].rstrip()}…{n[-end:].lstrip()}" for n in names]
        if len(set(short)) == len(set(names)):
            return short
    return list(names)


def row_height(texts: Sequence[str], one: float) -> float:
    """CSS pixels of a row that holds any of the texts; `one`: of a row whose text has one line."""
    return one + LINE_HEIGHT * max((text.count("\n") for text in texts), default=0)


def text_width(texts: Sequence[str], size: float = FONT_SIZE) -> float:
    """CSS pixels that the widest line of the texts takes, about."""
    lines = [line for text in texts for line in text.split("\n")]
    letters = [sum(1.7 if unicodedata.east_asian_width(c) in "WF" else 1.0 for c in line) for line in lines]
    return max(letters, default=0.0) * _LETTER * size / FONT_SIZE


def tint(share: float) -> str:
    """The colour of a share of 1: nine steps from loss to win."""
    return COLOUR[TINTS[min(int(share * len(TINTS)), len(TINTS) - 1)]]


def _style(name: str) -> AbstractContextManager[None]:
    return mpl.rc_context(_STYLE | {"svg.hashsalt": name})  # the ids of markers and clips are hashes with this salt


def _inlined(text: str, title: str) -> str:
    """What stands between a page's tags: no prolog, no outside names, no ids but those that are referred to."""
    text = re.sub(r"<metadata>.*?</metadata>|<style .*?</style>", "", text[text.index("<svg") :], flags=re.DOTALL)
    head, body = text.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None, "matplotlib gives every SVG a view box"
    body = re.sub(r"<[^>]+>", lambda match: _tag(match[0]), body)  # in text, < and > are escaped
    return f'<svg {view[0]} role="img" aria-label="{html.escape(title)}">{body}'


def _tag(tag: str) -> str:
    if tag.startswith("<g"):
        tag = re.sub(r' id="[^"]*"', "", tag)
    if tag.startswith("<text"):
        tag = re.sub(r"font-family: [^;\"]*", "font-family: inherit", tag)
        tag = re.sub(r' transform="rotate\(-?0 [^"]*"', "", tag)
    tag = re.sub(r' d="[^"]*"', _path, tag)
    for colour, stand_in in COLOUR.items():
        tag = tag.replace(stand_in, f"var(--{colour})")
    return tag


def _path(match: re.Match[str]) -> str:
    """The same path to a hundredth of a pixel, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"(\.\d\d)\d+", r"\1", match[0]).replace("\n", " "))
