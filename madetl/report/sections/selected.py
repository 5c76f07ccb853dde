"""Section 5, what was selected: how alike answers are, what the filters took, and how the picks differ. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from madetl.report.content import (
    Block,
    BlockGroup,
    Cell,
    Frame,
    Missing,
    Number,
    Plot,
    Remark,
    Section,
    Table,
    Text,
    decimal,
    isolated,
    percent,
)
from madetl.report.plots.series import Hill, hills, two_shares
from madetl.report.plots.svg import shortened
from madetl.report.rows import BIN_WIDTH, ReportData, SelectionData
from madetl.report.scripts import script_of
from madetl.selection.results import total
from madetl.text import agreeing, count_words, counted

_MOST_SELECTIONS = 4
_MOST_HILLS = 45  # pairs of models (ten models); beyond, one hill per model
_MOST_BARS = 15
_LENGTHS = (10, 20, 40, 80, 160, 320)  # words


def section(study: ReportData) -> Section:
    """A group per selection, the latest first."""
    title = "What was selected"
    if not study.selections:
        return Section("selected", title, [Missing("Nothing is selected for judging.", _first_step(study))])
    groups: list[Block] = [
        BlockGroup(f"Selection {isolated(one.parameters['selection'])}", [*_selection(study, one, number)])
        for number, one in enumerate(study.selections[:_MOST_SELECTIONS])
    ]
    if more := [isolated(one.parameters["selection"]) for one in study.selections[_MOST_SELECTIONS:]]:
        groups.append(Remark(f"Earlier selections are left out: {', '.join(more)}."))
    return Section("selected", title, groups)


def _first_step(study: ReportData) -> str | None:
    """The command that comes before a selection can be made, or makes it; None without answers to compare."""
    if any(row["response_pairs"] for row in study.metrics.rows):
        return "select --top-k 10"
    return "similarity" if sum(row["responses"] > 0 for row in study.models.rows) > 1 else None


def _selection(study: ReportData, one: SelectionData, number: int) -> Iterator[Block]:
    if not one.picks.rows:
        yield Missing("It holds nothing of this scenario.")
        return
    yield Text(_what(one))
    yield _hills(study, one, number)
    yield _filters(one)
    yield from _differences(one, number)


def _what(one: SelectionData) -> str:
    p = one.parameters
    judged = sum(row["votes"] > 0 for row in one.picks.rows)
    return (
        f"It holds {_how(p)}: {counted(len(one.picks.rows), 'pair')} of answers on "
        f"{counted(len({row['instruction_id'] for row in one.picks.rows}), 'instruction')}; "
        f"{judged:,} of the pairs {agreeing(judged)['are']} judged."
    )


def _how(p: Mapping[str, Any]) -> str:
    """What was picked for two models, and of which two how many, in words."""
    which = {
        "mad": f"that are least alike by {p['metric']}",
        "evidence": f"that show most of a difference, by {p['metric']} and how much there is to read",
        "band": f"of the middle third of similarity by {p['metric']}, drawn at random (seed {p['seed']})",
        "random": f"drawn at random (seed {p['seed']})",
    }[p["strategy"]] + (f", diversity {p['diversity']:g}" if p["diversity"] else "")
    if p["pair_policy"] == "adaptive":
        return (
            f"pairs of answers of two models {which}, of which two the votes decided as they came (picked adaptively, "
            f"with a budget of {p['budget']:,})"
        )
    least = "the " if p["strategy"] in ("mad", "evidence") else ""
    return f"{least}{counted(p['top_k'], 'pair')} of answers of each two models {which}"


def _hills(study: ReportData, one: SelectionData, number: int) -> Plot:
    bins: dict[int, dict[int, int]] = defaultdict(dict)
    for row in one.histogram.rows:
        bins[row["pair_id"]][row["bin"]] = row["response_pairs"]
    marks: dict[int, list[float]] = defaultdict(list)
    for row in one.picks.rows:
        marks[row["pair_id"]].append(row["score"])
    models = list(dict.fromkeys(name for row in one.levels.rows for name in (row["model_a"], row["model_b"])))
    short = dict(zip(models, shortened(models), strict=True))
    pairs = [(row, _hill(row, short, bins, marks)) for row in one.levels.rows if row["pair_id"] in bins]
    each = "pair of models" if len(pairs) <= _MOST_HILLS else "model, with all others together"
    rows = [hill for _, hill in pairs] if len(pairs) <= _MOST_HILLS else _by_model(pairs, short)
    caption = (
        f"How alike the answers are, for each {each}: the hill counts the pairs of answers that could be picked, the "
        "line in it is their median, and the ticks are the picks."
    )
    axis = f"similarity ({one.parameters['metric']})"
    return hills(Frame(f"hills-{number}", caption, _levels_table(one)), rows, BIN_WIDTH, axis)


def _hill(
    row: Mapping[str, Any],
    short: Mapping[str, str],
    bins: Mapping[int, Mapping[int, int]],
    marks: Mapping[int, Sequence[float]],
) -> Hill:
    name = f"{short[row['model_a']]} – {short[row['model_b']]}"
    return Hill(name, bins[row["pair_id"]], row["median"], marks.get(row["pair_id"], []))


def _by_model(pairs: Sequence[tuple[Mapping[str, Any], Hill]], short: Mapping[str, str]) -> list[Hill]:
    """The hills of each model's pairs on one heap, with the median of the medians."""
    heaps: dict[str, list[Hill]] = defaultdict(list)
    for row, hill in pairs:
        heaps[row["model_a"]].append(hill)
        heaps[row["model_b"]].append(hill)
    found = []
    for name, heap in heaps.items():
        bins: Counter[int] = Counter()
        for hill in heap:
            bins.update(hill.bins)
        median = float(np.median([hill.median for hill in heap]))
        found.append(Hill(short[name], bins, median, [mark for hill in heap for mark in hill.marks]))
    return sorted(found, key=lambda hill: hill.median)


def _levels_table(one: SelectionData) -> Table:
    head = ["model", "opponent", "eligible", "lowest", "median", "highest", "picked", "picks from", "to"]
    rows: list[list[Cell]] = [
        [
            row["model_a"], row["model_b"], row["eligible"], decimal(row["least"]), decimal(row["median"]),
            decimal(row["most"]), row["picked"], decimal(row["lowest"]), decimal(row["highest"]),
        ]
        for row in one.levels.rows
    ]  # fmt: skip
    sources = [one.levels.source, one.histogram.source, one.picks.source]
    return Table("Similarity of each pair of models", head, rows, sources, folded=True)


def _filters(one: SelectionData) -> Table:
    counts = total(one.filters.rows)
    removed = counts.removed(one.parameters["min_words"], one.parameters["max_length_ratio"])
    rows: list[list[Cell]] = [["measured", counts.measured, None, Number("")]]
    rows += [[f"− {what}", number, alone, _of(number, counts.measured)] for what, number, alone in removed]
    rows.append(["eligible", counts.eligible, None, _of(counts.eligible, counts.measured)])
    head = ["pairs of answers", "number", "by itself", "of all"]
    return Table("What the filters removed", head, rows, [one.filters.source])


def _of(part: int, whole: int) -> Number:
    return percent(part / whole if whole else None)


def _differences(one: SelectionData, number: int) -> Iterator[Block]:
    """How the picked instructions differ from the pool: length, script, scenario."""
    pool = one.pool.rows
    words = [count_words(f"{row['instruction']} {row['input']}") for row in pool]
    picked = [bool(row["picked"]) for row in pool]
    if not any(picked):
        return
    yield Text(_length_text(words, picked))
    ways: list[tuple[str, str, Callable[[int], str], Callable[[str], Any] | None]] = [
        ("length", "words of the instruction", lambda n: _bracket(words[n]), _BRACKETS.index),
        ("script", "script of the instruction, a stand-in for its language", lambda n: _script(pool[n]), None),
        ("scenario", "scenario", lambda n: str(pool[n]["scenario"]), None),
    ]
    for name, what, group, order in ways:
        groups = [group(n) for n in range(len(pool))]
        if len(set(groups)) > 1:
            yield _shares(one, f"{name}-{number}", what, groups, order)
        else:
            yield Text(f"All instructions are of one {name}: {isolated(groups[0])}.")


def _script(row: Mapping[str, Any]) -> str:
    return script_of(f"{row['instruction']} {row['input']}")


def _length_text(words: Sequence[int], picked: Sequence[bool]) -> str:
    all_words = np.array(words)
    chosen = all_words[np.array(picked)]
    return (
        f"The selected instructions have a median of {np.median(chosen):g} words (mean {chosen.mean():.0f}), the "
        f"{len(words):,} of the pool {np.median(all_words):g} (mean {all_words.mean():.0f})."
    )


_BRACKETS = [
    f"up to {_LENGTHS[0]}",
    *(f"{low + 1} to {high}" for low, high in pairwise(_LENGTHS)),
    f"over {_LENGTHS[-1]}",
]


def _bracket(words: int) -> str:
    return _BRACKETS[int(np.searchsorted(_LENGTHS, words))]


def _shares(one: SelectionData, key: str, what: str, groups: Sequence[str], order: Callable[[str], Any] | None) -> Plot:
    picked = [bool(row["picked"]) for row in one.pool.rows]
    pool, chosen = Counter(groups), Counter(group for group, yes in zip(groups, picked, strict=True) if yes)
    names = sorted(pool, key=order) if order else [name for name, _ in pool.most_common()]
    rows: list[list[Cell]] = [
        [name, pool[name], _of(pool[name], pool.total()), chosen[name], _of(chosen[name], chosen.total())]
        for name in names
    ]
    table = Table(
        what.capitalize(), [what, "pool", "of pool", "selected", "of selected"], rows, [one.pool.source], True
    )
    shown = names[:_MOST_BARS]
    more = f" The {len(names) - len(shown)} rarest are in the table only." if len(names) > len(shown) else ""
    shares = ([pool[n] / pool.total() for n in shown], [chosen[n] / chosen.total() for n in shown])
    caption = f"Instructions by {what}: what share of the pool and of the selected ones they are.{more}"
    return two_shares(Frame(key, caption, table), shown, shares)
