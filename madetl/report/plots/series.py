"""Drawings of distributions and of what changes with the number of votes. Numbers in, SVG out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from madetl.report.content import Frame, Plot
from madetl.report.plots.svg import COLOUR, SERIES, axes, drawn, labels, row_height, text_width

_MARKERS = "oDs^vPX*"
_LETTERS_ABOVE_HILL = 54


@dataclass(frozen=True)
class Hill:
    """A distribution: counts by bin (n × width to (n + 1) × width), its median, and values to mark."""

    name: str
    bins: Mapping[int, int]
    median: float
    marks: Sequence[float]


def hills(frame: Frame, rows: Sequence[Hill], width: float, axis: str) -> Plot:
    """A histogram per row under its name, each as high as its row, with ticks where something was picked."""
    names = labels([row.name for row in rows], _LETTERS_ABOVE_HILL)
    high = row_height(names, 36)
    size = (360, int(high * len(rows) + 50))

    def paint(figure: Figure) -> None:
        plot = axes(figure, 8, 4, 8, 44)
        for number, row in enumerate(rows):
            floor, top = number + 0.36, 16.5 / high
            bins = sorted(row.bins)
            span = range(bins[0] - 1, bins[-1] + 2)
            tops = np.array([row.bins.get(n, 0) for n in span]) / max(row.bins.values())
            edges = np.array([*span, span[-1] + 1]) * width
            plot.stairs(floor - top * tops, edges, baseline=floor, fill=True, color=COLOUR["sky"], alpha=0.55)
            plot.vlines(row.median, floor - top, floor, color=COLOUR["muted"], linewidth=1.2)
            plot.vlines(row.marks, floor - 7.2 / high, floor, color=COLOUR["vermillion"], linewidth=1.4)
            plot.hlines(floor, 0, 1, color=COLOUR["grid"], linewidth=0.7, transform=plot.get_yaxis_transform())
            plot.text(0, number - 0.47, names[number], va="top", transform=plot.get_yaxis_transform())
        plot.set_yticks([])
        plot.set_ylim(len(rows) - 0.5, -0.5)
        plot.grid(axis="x")
        plot.spines["left"].set_visible(False)
        plot.set_xlabel(axis)

    return drawn(frame, size, paint)


@dataclass(frozen=True)
class Path:
    """How a model's place changes: in the middle of the rounds, and the band that holds most of them."""

    name: str
    middle: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def position_bands(frame: Frame, x: Sequence[int], paths: Sequence[Path], axis: str) -> Plot:
    """A small panel per model, all on the same scales, place 1 on top."""
    across = min(4 if len(paths) <= 12 else 5, len(paths))
    down = math.ceil(len(paths) / across)
    wide, high = 760 // max(across, 3), 118.0
    names = labels([path.name for path in paths], wide // 6)
    title = row_height(names, 24.0)
    high = high - 24 + title
    size = (wide * across + 30, int(high * down + 34))

    def paint(figure: Figure) -> None:
        for number, path in enumerate(paths):
            row, column = divmod(number, across)
            left, top = 30 + wide * column, high * row + title
            plot = axes(figure, left, top, size[0] - left - wide + 18, size[1] - top - high + title + 16)
            plot.fill_between(x, path.low, path.high, color=COLOUR["sky"], alpha=0.4, linewidth=0)
            plot.plot(x, path.middle, color=COLOUR["blue"], linewidth=1.8)
            plot.set_title(names[number], loc="left", fontsize=10 if across < 5 else 9, pad=4)
            plot.set_xlim(0, x[-1])
            plot.set_ylim(len(paths) + 0.6, 0.4)
            plot.set_yticks([1, len(paths)])
            plot.set_xticks([0, x[-1]])
            first, last = plot.get_xticklabels()
            first.set_horizontalalignment("left")
            last.set_horizontalalignment("right")
            plot.tick_params(labelsize=9, length=2)
        figure.text(0.5, 6 / size[1], axis, ha="center", color=COLOUR["muted"])

    return drawn(frame, size, paint)


def bumps(frame: Frame, x: Sequence[int], paths: Mapping[str, Sequence[float]]) -> Plot:
    """A line of places per model from left to right, named at both ends, the best on top."""
    names = dict(zip(paths, labels(list(paths)), strict=True))
    side = 22 + text_width(list(names.values()))
    size = (int(2 * side + 330), int(row_height(list(names.values()), 22) * len(paths) + 56))

    def paint(figure: Figure) -> None:
        plot = axes(figure, side, 8, side, 44)
        for number, positions in enumerate(paths.values()):
            colour, marker = COLOUR[SERIES[number % len(SERIES)]], _MARKERS[number // len(SERIES) % len(_MARKERS)]
            plot.plot(x, positions, color=colour, marker=marker, markersize=5, linewidth=1.8)
        for end, (at, align) in enumerate(((x[0], "right"), (x[-1], "left"))):
            ordered = sorted(paths, key=lambda name: (paths[name][-end], paths[name][-1]))
            for line, name in enumerate(ordered, 1):
                offset = (10 if end else -10, 0)
                plot.annotate(names[name], (at, line), offset, textcoords="offset points", ha=align, va="center",
                              annotation_clip=False)  # fmt: skip
        _positions_axis(plot, len(paths))
        plot.set_xticks(_some(x))
        plot.set_xlabel("picks of each pair of models, K")

    return drawn(frame, size, paint)


def band(frame: Frame, x: Sequence[int], path: Path, axis: tuple[str, str]) -> Plot:
    """One curve with its band; `axis` names both axes."""
    size = (390, 260)

    def paint(figure: Figure) -> None:
        plot = axes(figure, 52, 10, 16, 44)
        if any(low != high for low, high in zip(path.low, path.high, strict=True)):
            plot.fill_between(x, path.low, path.high, color=COLOUR["sky"], alpha=0.4, linewidth=0)
        plot.plot(x, path.middle, color=COLOUR["blue"], linewidth=1.8, marker="o", markersize=4)
        plot.set_ylim(min(0.0, *path.low), 1.03)
        plot.set_xlim(0, x[-1] * 1.02)
        plot.grid()
        plot.locator_params(axis="x", integer=True)
        plot.set_xlabel(axis[0])
        plot.set_ylabel(axis[1])

    return drawn(frame, size, paint)


def two_shares(frame: Frame, names: Sequence[str], shares: tuple[Sequence[float], ...]) -> Plot:
    """Two bars per name: what the pool has of it, and what was picked."""
    written = labels(names)
    left = 14 + text_width(written)
    size = (int(left + 300), int(row_height(written, 34) * len(names) + 78))

    def paint(figure: Figure) -> None:
        plot = axes(figure, left, 28, 20, 44)
        y = np.arange(len(names))
        for offset, values, (label, colour, hatch) in zip((-0.19, 0.19), shares, _BARS, strict=True):
            plot.barh(y + offset, 100 * np.array(values), 0.36, color=COLOUR[colour], label=label, hatch=hatch,
                      edgecolor=COLOUR["surface"], linewidth=0)  # fmt: skip
        plot.set_yticks(y, written)
        plot.set_ylim(len(names) - 0.4, -0.6)
        plot.tick_params(axis="y", length=0)
        plot.grid(axis="x")
        plot.spines["left"].set_visible(False)
        plot.set_xlabel("share (%)")
        plot.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)

    return drawn(frame, size, paint)


_BARS = (("pool", "sky", ""), ("selected", "orange", "////"))


def _positions_axis(plot: Axes, models: int) -> None:
    plot.set_ylim(models + 0.5, 0.5)
    plot.set_yticks([])
    plot.spines[:].set_visible(False)


def _some(x: Sequence[int], most: int = 10) -> list[int]:
    step = math.ceil(len(x) / most)
    return [*x[::step]]
