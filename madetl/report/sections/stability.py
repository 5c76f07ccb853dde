"""Section 4, how stable the ranking is: against fewer votes, a smaller K, and the loss of single verdicts. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from madetl.ranking.votes import FloatArray, Summary, Votes
from madetl.report import resilience
from madetl.report.boards import Boards
from madetl.report.content import (
    NO_VOTES,
    Block,
    BlockGroup,
    Cell,
    Frame,
    Missing,
    Number,
    Remark,
    Section,
    SideBySide,
    Source,
    Table,
    Text,
    decimal,
    isolated,
    percent,
)
from madetl.report.plots.series import Path, band, bumps, position_bands
from madetl.report.rows import ReportData, SelectionData
from madetl.report.tallies import votes_of
from madetl.text import agreeing, counted

_FEWEST_VOTES = 10
_LISTED = 60  # verdicts of a removal
_SHARES = (0.25, 0.5, 0.75, 1.0)  # of the votes, in the table


def section(study: ReportData, boards: Boards | None) -> Section:
    """Places by number of judgments and by K, and the verdicts on which the first place hangs."""
    title = "How stable is it?"
    if boards is None:
        return Section("stability", title, [NO_VOTES])
    rows, left_out = _largest_component(study, boards)
    if len(rows) < _FEWEST_VOTES:
        few = (
            f"Too few judgments to say: there {agreeing(len(rows))['are']} {len(rows)}, and {_FEWEST_VOTES} are needed."
        )
        return Section("stability", title, [Missing(few)])
    votes = votes_of(rows, study.names, study.board)
    how = (
        "Places here are by Bradley–Terry, which does not depend on the order of battles, so that nothing moves a "
        "model but the votes."
    )
    blocks: list[Block] = [Text(how)]
    if left_out:
        others = f"{counted(left_out, 'vote')} {agreeing(left_out)['are']} of others"
        blocks.append(Remark(f"Only the largest group of models that battles connect; {others}."))
    blocks += [_by_judgments(study, votes), *_by_k(study, votes, rows), _first_place(study, votes, rows)]
    return Section("stability", title, blocks)


def _largest_component(study: ReportData, boards: Boards) -> tuple[Sequence[Mapping[str, Any]], int]:
    """The votes between models that can be compared at all, and how many others there are."""
    votes = boards.votes
    component = Summary.of(votes).component
    inside = {model for model, number in zip(votes.model_ids, component.tolist(), strict=True) if number == 0}
    rows = [row for row in study.votes.rows if row["model_a_id"] in inside]
    return rows, len(study.votes.rows) - len(rows)


# --- the number of judgments


def _by_judgments(study: ReportData, votes: Votes) -> BlockGroup:
    grown = resilience.growth(votes, study.parameters.seed)
    source = [study.votes.source]
    order = np.argsort(resilience.final_positions(votes), kind="stable")
    paths = [_path(votes.models[m], grown.positions[:, :, m]) for m in order]
    how = (
        f"The {grown.sizes[-1]:,} judgments in {resilience.ROUNDS} random orders (seed {study.parameters.seed}), "
        f"ranked after every few. The band holds nine in ten of the orders. It closes at the right, since there all "
        "orders have the same judgments; how sure the final places are is for the intervals above to say."
    )
    sizes = [int(size) for size in grown.sizes]
    overall = _path("all", grown.correlation)
    caption = "The place of each model as judgments come in: median and band."
    plot = position_bands(
        Frame("places", caption, _positions_table(paths, sizes, source)),
        sizes,
        paths,
        "judgments",
    )
    caption = "Spearman's correlation with the final ranking, by the number of judgments."
    curve = band(
        Frame("correlation", caption, _correlation_table(overall, sizes, source)),
        sizes,
        overall,
        ("judgments", "Spearman's correlation"),
    )
    return BlockGroup("By the number of judgments", [Text(how), Text(enough_judgments(overall, sizes)), plot, curve])


def _path(name: str, rounds: FloatArray) -> Path:
    low, middle, high = np.percentile(rounds, [resilience.BAND[0], 50, resilience.BAND[1]], axis=0)
    return Path(name, middle.tolist(), low.tolist(), high.tolist())


def enough_judgments(path: Path, sizes: Sequence[int]) -> str:
    """From how many judgments on most orders agree with the final ranking, for good."""
    enough = [low >= 0.9 for low in path.low]
    if not enough[-1]:
        return "All votes together put the models level, so there is no final ranking to compare with."
    first = len(enough) - enough[::-1].index(False) if False in enough else 0  # from there on it is never less again
    if first == len(sizes) - 1:
        return (
            f"Until about all of the {sizes[-1]:,} judgments are in, fewer than 19 in 20 orders give a ranking whose "
            "correlation with the final one is 0.9 or more."
        )
    return (
        f"From about {sizes[first]:,} of the {sizes[-1]:,} judgments on, 19 in 20 orders give a ranking whose "
        "correlation with the final one is 0.9 or more."
    )


def _positions_table(paths: Sequence[Path], sizes: Sequence[int], sources: Sequence[Source]) -> Table:
    at = list(dict.fromkeys(int(np.abs(np.array(sizes) - share * sizes[-1]).argmin()) for share in _SHARES))
    head = ["model", *(f"{sizes[n]:,} judgments" for n in at)]
    rows: list[list[Cell]] = [
        [path.name, *(Number(f"{path.middle[n]:g} ({path.low[n]:.3g}–{path.high[n]:.3g})") for n in at)]
        for path in paths
    ]
    return Table("Places: median, and what nine in ten orders give", head, rows, sources, folded=True)


def _correlation_table(path: Path, sizes: Sequence[int], sources: Sequence[Source]) -> Table:
    rows: list[list[Cell]] = [
        [size, decimal(low, 3), decimal(middle, 3), decimal(high, 3)]
        for size, low, middle, high in zip(sizes, path.low, path.middle, path.high, strict=True)
    ]
    head = ["judgments", "5 % of orders below", "median", "95 % of orders below"]
    return Table("Spearman's correlation with the final ranking", head, rows, sources, folded=True)


# --- K


def _by_k(study: ReportData, votes: Votes, rows: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    judged = {(row["response_a_id"], row["response_b_id"]) for row in rows}
    selection = max(study.selections, key=lambda one: _judged_picks(one, judged), default=None)
    if selection is None or not _judged_picks(selection, judged):
        why = "There is no selection whose picks are judged, so nothing can be said about K."
        yield BlockGroup("By K", [Missing(why)])
        return
    if selection.parameters["pair_policy"] == "adaptive":
        name = isolated(selection.parameters["selection"])
        why = f"The selection {name} was picked adaptively: it has no K, only what the votes asked for."
        yield BlockGroup("By K", [Missing(why)])
        return
    ranks = {(row["response_a_id"], row["response_b_id"]): row["rank"] for row in selection.picks.rows}
    pick = [ranks.get((row["response_a_id"], row["response_b_id"])) for row in rows]
    steps, positions, correlation = resilience.by_k(votes, pick)
    if len(steps) < 2:
        yield BlockGroup("By K", [Missing("Picks of one rank only are judged: K = 1 has nothing to be compared with.")])
        return
    yield BlockGroup("By K", [*_k_blocks(study, selection, votes, pick, (steps, positions, correlation))])


def _judged_picks(selection: SelectionData, judged: set[tuple[int, int]]) -> int:
    return sum((row["response_a_id"], row["response_b_id"]) in judged for row in selection.picks.rows)


def _k_blocks(
    study: ReportData,
    selection: SelectionData,
    votes: Votes,
    pick: Sequence[int | None],
    found: tuple[list[int], FloatArray, FloatArray],
) -> Iterator[Block]:
    steps, positions, correlation = found
    outside = sum(k is None for k in pick)
    votes_by_k = [sum(k is not None and k <= step for k in pick) for step in steps]
    yield Text(
        f"The ranking from the first 1, 2, … {steps[-1]} picks of each pair of models in the selection "
        f"{selection.parameters['selection']}. {_stands_still(votes, steps, positions)}"
        + (f" {counted(outside, 'judgment')} of other pairs of answers left out." if outside else "")
    )
    order = np.argsort(positions[-1], kind="stable")
    paths = {votes.models[m]: positions[:, m].tolist() for m in order}
    sources = [study.votes.source, selection.picks.source]
    head = ["", *(f"K = {step}" for step in steps)]
    rows: list[list[Cell]] = [
        ["judgments", *(Number(f"{number:,}") for number in votes_by_k)],
        ["Spearman’s correlation", *(decimal(float(value), 3) for value in correlation)],
        *([model, *(Number(f"{place:g}") for place in path)] for model, path in paths.items()),
    ]
    table = Table("Places by K, and Spearman's correlation with the ranking from all picks", head, rows, sources, True)
    curve = [float(value) for value in correlation]
    caption = "Spearman's correlation with the ranking from all picks, by K."
    axis = ("K", "Spearman's correlation")
    yield SideBySide(
        [
            bumps(Frame("bumps", "The place of each model by K.", table), steps, paths),
            band(Frame("correlation-k", caption, table), steps, Path("all", curve, curve, curve), axis),
        ]
    )


def _stands_still(votes: Votes, steps: Sequence[int], positions: FloatArray) -> str:
    """From which K on the first place, and the whole ranking, are the final ones."""
    first = [int(row.argmin()) for row in positions]
    since = next(steps[n] for n in range(len(steps)) if all(f == first[-1] for f in first[n:]))
    whole = next(steps[n] for n in range(len(steps)) if (positions[n:] == positions[-1]).all())
    return (
        f"{isolated(votes.models[first[-1]])} is first from K = {since} on; all places are final from K = {whole} on."
    )


# --- the verdicts that carry the first place


def _first_place(study: ReportData, votes: Votes, rows: Sequence[Mapping[str, Any]]) -> BlockGroup:
    title = "How many verdicts the first place hangs on"
    removal = resilience.smallest_removal(votes)
    if removal is None:
        text = "No set of up to half of the verdicts was found whose removal would put another model first."
        return BlockGroup(title, [Text(f"{text} (Greedy search; it does not rule one out.)")])
    leader, rival = isolated(votes.models[removal.leader]), isolated(votes.models[removal.rival])
    number = len(removal.votes)
    text = (
        f"Without {counted(number, 'verdict')} of {len(rows):,} ({percent(number / len(rows))}), {rival} would be "
        f"first instead of {leader}. The set was found greedily, so this is an upper bound on the fewest: a "
        "smaller one may do."
    )
    return BlockGroup(title, [Text(text), _removed_table(study, rows, removal.votes)])


def _removed_table(study: ReportData, rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> Table:
    names = study.names
    lines: list[list[Cell]] = []
    for row in [rows[number] for number in numbers[:_LISTED]]:
        a, b = names[row["model_a_id"]], names[row["model_b_id"]]
        verdict = {"model_a": f"{isolated(a)} won", "model_b": f"{isolated(b)} won"}.get(row["winner"], row["winner"])
        lines.append([Number(row["judgment_id"]), row["annotator"], a, b, verdict.replace("_", " "), row["opening"]])
    more = len(numbers) - len(lines)
    title = "The verdicts" + (f", the first {len(lines)} of {len(numbers)}" if more else "")
    head = ["judgment", "annotator", "model", "opponent", "verdict", "instruction (its beginning)"]
    return Table(title, head, lines, [study.votes.source], folded=len(lines) > 12)
