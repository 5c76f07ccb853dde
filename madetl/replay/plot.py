"""The picture of a replay: how well each policy ranks, against the judgments that it took. Needs the extra `report`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

from madetl.replay.results import AtBudget, Policy, Replay, Replayed

# Okabe and Ito's colours, which colour-blind readers tell apart; lines and marks tell the pair policies apart.
_COLOURS = {"random": "#cc79a7", "mad": "#d55e00", "band": "#009e73", "evidence": "#0072b2"}
_STYLES = {
    "uniform": ("--", "o"),
    "adaptive": ("-", "s"),
    "closest": ("-.", "^"),
    "arena": (":", "D"),
    "d-optimal": ((0, (5, 1, 1, 1, 1, 1)), "v"),
}
_BASELINE = ("#333333", (0, (1, 1.2)), "x")


@dataclass(frozen=True)
class _Panel:
    title: str
    value: Callable[[AtBudget], tuple[float, float]]  # and its standard error
    formatter: str


_PANELS = (
    _Panel("Spearman correlation with gold", lambda at: (at.spearman, at.spearman_se), "{x:g}"),
    _Panel("Share of replications with gold's order", lambda at: (100 * at.exact, 100 * at.exact_se), "{x:g} %"),
)


def save(result: Replay, path: Path) -> None:
    """Writes the picture; the suffix (png, svg, pdf) says in which format."""
    lines = len(result.replayed)
    figure = Figure(figsize=(10, 4.6 + 0.22 * -(-lines // 3)), layout="constrained")
    panels = figure.subplots(1, len(_PANELS))
    for axes, panel in zip(panels, _PANELS, strict=True):
        for one in result.replayed:
            _line(axes, one, panel)
        _finish(axes, panel, result)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(
        f"{result.replications:,} replications, {len(result.models)} models; bands: ± 1 standard error", fontsize=10
    )
    figure.savefig(path, dpi=150)


def _line(axes: Axes, one: Replayed, panel: _Panel) -> None:
    colour, line, mark = _look(one.policy)
    x = [at.judgments for at in one.budgets]
    y, error = (np.array(values) for values in zip(*map(panel.value, one.budgets), strict=True))
    axes.fill_between(x, y - error, y + error, color=colour, alpha=0.18, linewidth=0)
    axes.plot(x, y, color=colour, linestyle=line, marker=mark, markersize=4.5, linewidth=1.7, label=one.policy.name)


def _look(policy: Policy) -> tuple[str, object, str]:
    return _BASELINE if policy.baseline else (_COLOURS[policy.strategy], *_STYLES[policy.pair_policy])


def _finish(axes: Axes, panel: _Panel, result: Replay) -> None:
    budgets = [at.budget for at in result.replayed[0].budgets]
    axes.set_title(panel.title, fontsize=11, loc="left")
    axes.set_xlabel("judgments")
    axes.set_xscale("log")
    axes.set_xticks(budgets)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(StrMethodFormatter(panel.formatter))
    axes.grid(color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
