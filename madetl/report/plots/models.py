"""Drawings with a row or a cell per model: whiskers, matrices, predicted beside observed. Numbers in, SVG out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from madetl.report.content import Frame, Plot
from madetl.report.plots.svg import COLOUR, axes, drawn, labels, row_height, text_width, tint

_LEAST_SPAN = 10  # points of rating, or per cent
_MANY = 16  # models from which on cells hold one number, and labels are slanted


@dataclass(frozen=True)
class Look:
    """How a series of whiskers is told from another: by its marker as well as by its colour."""

    colour: str
    marker: str


CIRCLE, DIAMOND, SQUARE = Look("blue", "o"), Look("orange", "D"), Look("green", "s")


@dataclass(frozen=True)
class Whiskers:
    """One panel of a whisker plot: (value, lower, upper) of each line, or None; `reference`: a line to compare with."""

    axis: str
    look: Look
    lines: Sequence[tuple[float, float, float] | None]
    reference: float | None = None


def whiskers(
    frame: Frame, names: Sequence[str], panels: Sequence[Whiskers], notes: Sequence[str] = (), *, plot_width: int = 210
) -> Plot:
    """A dot with its interval per line and panel, the first line on top; `notes` stand at the right edge."""
    written = labels(names)
    left, right, gap = 14 + text_width(written), 16 + text_width(notes), 26
    width = left + plot_width * len(panels) + gap * (len(panels) - 1) + right
    high = row_height(written, 22 if len(names) <= _MANY else 18)
    size = (int(width), int(high * len(names) + 56))

    def paint(figure: Figure) -> None:
        for number, panel in enumerate(panels):
            start = left + number * (plot_width + gap)
            plot = axes(figure, start, 8, size[0] - start - plot_width, 44)
            _paint_panel(plot, panel, plot_width)
            plot.set_yticks(range(len(names)), written if number == 0 else [""] * len(names))
        for row, note in enumerate(notes):
            plot.annotate(
                note, (1, row), (8, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                va="center", color=COLOUR["muted"], annotation_clip=False,
            )  # fmt: skip

    return drawn(frame, size, paint)


def _paint_panel(plot: Axes, panel: Whiskers, width: int) -> None:
    there = [(row, line) for row, line in enumerate(panel.lines) if line is not None]
    y = np.array([row for row, _ in there])
    values, lower, upper = np.array([line for _, line in there]).T
    colour = COLOUR[panel.look.colour]
    plot.hlines(y, lower, upper, color=colour, linewidth=2.2)
    plot.plot(values, y, panel.look.marker, color=colour, markersize=6.5)
    if panel.reference is not None:
        plot.axvline(panel.reference, color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)))
    plot.set_ylim(len(panel.lines) - 0.5, -0.5)
    plot.tick_params(axis="y", length=0)
    plot.margins(x=0.06)
    middle, half = (lower.min() + upper.max()) / 2, (upper.max() - lower.min()) / 2
    if half < _LEAST_SPAN / 2:  # next to no difference shall not fill the plot
        plot.set_xlim(middle - _LEAST_SPAN, middle + _LEAST_SPAN)
    plot.locator_params(axis="x", nbins=max(3, width // 60))
    plot.grid(axis="x")
    plot.spines["left"].set_visible(False)
    plot.set_xlabel(panel.axis)


def matrix(
    frame: Frame,
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
) -> Plot:
    """A cell per row and column: its share of 1 as a tint, and its text. None is an empty cell."""
    many = len(columns) > _MANY
    row_names, column_names = labels(rows), labels(columns)
    if list(rows) == list(columns):  # each name once: a column has the number of its row
        column_names = [str(number) for number in range(1, len(rows) + 1)]
        row_names = [f"{name}\u2002{number}" for name, number in zip(row_names, column_names, strict=True)]
    wide, high = 26 if many else 74, row_height(row_names, 20 if len(rows) > _MANY else 36)
    slant, turned = _column_labels(column_names, many)
    left, top = 12 + text_width(row_names), 16 + max(slant * text_width(column_names), 14.0)
    right = 12 + (0.0 if many else max(0.0, slant * text_width(column_names[-1:]) - wide / 2))
    size = (int(left + wide * len(columns) + right), int(top + high * len(rows) + 10))

    def paint(figure: Figure) -> None:
        plot = axes(figure, left, top, right, 10)
        for i, line in enumerate(shares):
            for j, share in enumerate(line):
                if share is not None:
                    plot.add_patch(Rectangle((j - 0.48, i - 0.47), 0.96, 0.94, facecolor=tint(share)))
                plot.text(j, i, texts[i][j], ha="center", va="center", fontsize=8 if many else 10, linespacing=1.25)
        plot.set_xlim(-0.5, len(columns) - 0.5)
        plot.set_ylim(len(rows) - 0.5, -0.5)
        plot.set_yticks(range(len(rows)), row_names)
        plot.set_xticks(range(len(columns)), column_names, color=COLOUR["ink"], **turned)
        plot.xaxis.tick_top()
        plot.tick_params(length=0)
        plot.spines[:].set_visible(False)

    return drawn(frame, size, paint)


def _column_labels(names: Sequence[str], many: bool) -> tuple[float, dict[str, Any]]:
    """How labels of columns stand: their height as a share of their length, and how matplotlib turns them."""
    if max(map(len, names)) <= 3:
        return 0.0, {"ha": "center"}
    if many:
        return 1.0, {"rotation": 90, "rotation_mode": "anchor", "ha": "left", "va": "center"}
    return 0.72, {"rotation": 45, "rotation_mode": "anchor", "ha": "left", "va": "baseline"}


@dataclass(frozen=True)
class Fit:
    """A pair of models: the win rate that ratings predict, the one observed, on how many battles."""

    predicted: float
    observed: float
    battles: int
    number: int | None = None  # written beside it


def fits(frame: Frame, pairs: Sequence[Fit]) -> Plot:
    """Predicted beside observed win rates; on the line where both are the same, all is well."""
    size = (410, 380)

    def paint(figure: Figure) -> None:
        plot = axes(figure, 56, 12, 24, 48)
        plot.plot([0, 100], [0, 100], color=COLOUR["muted"], linewidth=1, linestyle=(0, (4, 3)))
        most = max(pair.battles for pair in pairs)
        plot.scatter(
            [100 * pair.predicted for pair in pairs],
            [100 * pair.observed for pair in pairs],
            [18 + 60 * pair.battles / most for pair in pairs],
            color=[COLOUR["blue" if pair.number is None else "vermillion"] for pair in pairs],
            alpha=0.75,
            linewidths=0,
        )
        for at, numbers in _together(pairs).items():
            plot.annotate(", ".join(numbers), at, (6, 4), textcoords="offset points", fontweight="bold")
        plot.set_xlim(-4, 104)
        plot.set_ylim(-4, 104)
        plot.grid()
        plot.set_xlabel("predicted win rate of the first model (%)")
        plot.set_ylabel("observed (%)")

    return drawn(frame, size, paint)


def _together(pairs: Sequence[Fit]) -> dict[tuple[float, float], list[str]]:
    """The numbers to write, those of dots that are too near for two labels as one; by the position of the first dot."""
    labels_at: dict[tuple[float, float], list[str]] = {}
    for pair in pairs:
        if pair.number is not None:
            x, y = 100 * pair.predicted, 100 * pair.observed
            near = (at for at in labels_at if abs(at[0] - x) < 4 + 4 * len(labels_at[at]) and abs(at[1] - y) < _NEAR)
            labels_at.setdefault(next(near, (x, y)), []).append(str(pair.number))
    return labels_at


_NEAR = 4.5  # per cent of the axis: the height of a label
