"""Section 1, the answer: the order that the votes give, how sure each step of it is, and on what it rests. Pure.

The order and its probabilities are those of Bradley–Terry's posterior, as `madetl advise` has them; the ratings stand
beside them, and no sentence is built on a rating.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import combinations

from madetl.ranking.leaderboards import Leaderboard
from madetl.ranking.order import SETTLED, Neighbours
from madetl.ranking.votes import in_words
from madetl.report.boards import METHODS, Boards, ModelOrder
from madetl.report.content import (
    Block,
    Cell,
    Missing,
    Number,
    Remark,
    Section,
    Table,
    Text,
    interval,
    isolated,
    listed,
    percent,
    points,
    ranks,
    sentence,
)
from madetl.report.rows import ReportData
from madetl.selection.adaptive import advise
from madetl.text import agreeing, counted

_FEW_MODELS = 10  # up to which every open step of the order, and every model of a range, is named
_MOST_NAMED = 2  # steps of the order, and rivals, in the first sentence
_MOST_SETTLED = 20
_MOST_RANGES = 12
_POSSIBLE = 0.05  # a probability of being best, from which on a rival is named


def section(study: ReportData, boards: Boards | None) -> Section:
    """The answer, or what is missing before there can be one."""
    if boards is None:
        return Section("answer", "The answer", [*_nothing_yet(study)])
    board, order = boards.first[0], boards.orders[0]
    blocks: list[Block] = [
        Text(first_sentence(board, order), lead=True),
        _table(study, boards),
        *_settled(order),
        Text(_what_probabilities_are()),
        Text(_basis(study, board)),
        *_alike(order),
        *_other_orders(boards),
        *_warnings(study, boards),
        *_next(study),
    ]
    return Section("answer", "The answer", blocks)


def first_sentence(board: Leaderboard, order: ModelOrder) -> str:
    """Who may be the best, and how much of the order is settled."""
    return f"{_best(board, order)} {_steps(order)}".strip()


def _group(order: ModelOrder) -> str:
    """Which of several groups the first sentence is about."""
    sizes = Counter(order.component.values())
    alike = sum(size == len(order.largest) for size in sizes.values())
    return "the largest group" if alike == 1 else f"the first of {alike} equally large groups"


def _best(board: Leaderboard, order: ModelOrder) -> str:
    models = sorted(order.largest, key=lambda model: -order.best[model])
    where = "" if board.scenario == "overall" else f" in {isolated(board.scenario)}"
    group = "" if len(order.largest) == len(order.models) else f" of {_group(order)} that battles connect"
    first = f"{isolated(models[0])} is the best of {len(models)} models{group}{where}"
    if order.best[models[0]] >= SETTLED:
        return f"{first}: the votes are {_sure(order.best[models[0]])} sure."
    rivals = [
        f"{isolated(model)} with {_sure(order.best[model])}"
        for model in models[1 : 1 + _MOST_NAMED]
        if order.best[model] >= _POSSIBLE
    ]
    return f"{first} with a probability of {_sure(order.best[models[0]])}{''.join(f', {rival}' for rival in rivals)}."


def _steps(order: ModelOrder) -> str:
    """How much of the order is settled: what is open where models are few, what is settled where they are many."""
    settled = [step for step in order.steps if step.settled]
    still_open = [step for step in order.steps if not step.settled]
    if len(order.steps) == 1:
        return "" if settled else "That is not settled."
    if not still_open or not settled:
        return "Their order is settled." if settled else "No step of their order is settled."
    if len(order.models) <= _FEW_MODELS and len(still_open) <= _MOST_NAMED:
        return f"Their order is settled but for {listed([_named(step) for step in still_open])}."
    named = [_named(step) for step in settled]
    which = f": {listed(named)}" if len(named) <= _MOST_NAMED else ""
    are = agreeing(len(settled))["are"]
    return f"Of the {len(order.steps)} steps of their order, {len(settled)} {are} settled{which}."


def _named(step: Neighbours) -> str:
    return f"{isolated(step.better)} before {isolated(step.worse)} ({_sure(step.probability)})"


def _settled(order: ModelOrder) -> Iterator[Block]:
    """The settled steps by name, where the lead only counts them."""
    settled = [step for step in order.steps if step.settled]
    if _MOST_NAMED < len(settled) < len(order.steps):
        yield Text(f"Settled: {listed([_named(step) for step in settled], _MOST_SETTLED)}.")


def _sure(probability: float) -> str:
    return "less than 1 %" if probability < 0.01 else advise.percent(probability)


def _what_probabilities_are() -> str:
    return (
        "Probabilities are those that the votes give by Bradley–Terry’s posterior, whatever the order of the battles; "
        f"a step of the order is settled from {percent(SETTLED)} on. Ratings stand beside them."
    )


def _table(study: ReportData, boards: Boards) -> Table:
    """The models, best first, with both ratings; what models cost per answer where that is known of any."""
    order, costs = boards.orders[0], _costs(study)
    elo, bt = _by_method(boards)
    after = {step.better: step.probability for step in order.steps}
    components = len(set(order.component.values())) > 1
    rows: list[list[Cell]] = []
    for number, model in enumerate(order.models, 1):
        cells: list[Cell] = [order.component[model]] if components else []
        cells += [number, model, Number(_sure(order.best[model]).replace("less than", "<"))]
        cells += [Number(_usd(costs.get(model)))] if costs else []
        cells += [Number(advise.percent(after[model]) if model in after else "")]
        cells += [_rated(elo, model), _rated(bt, model), _battles(boards, model)]
        rows.append(cells)
    head = [*(["group"] if components else []), "", "model", "probability of being best"]
    head += [*(["USD per answer"] if costs else []), "better than the next"]
    head += ["Elo", "Bradley–Terry", "judgments"]
    sources = [study.ratings.source, study.votes.source, *([study.spend.source] if costs else [])]
    permuted = boards.parameters.resample == "permute"
    what = "Elo with its range over orders, Bradley–Terry with its" if permuted else "ratings with their"
    return Table(f"The order of the models, best first; {what} 95 % intervals", head, rows, sources)


def _by_method(boards: Boards) -> tuple[Leaderboard, Leaderboard]:
    """The boards by Elo and by Bradley–Terry."""
    first, other = boards.first[0], boards.other[0]
    return (first, other) if boards.parameters.method == "elo" else (other, first)


def _rated(board: Leaderboard, model: str) -> Number:
    """The rating with its interval, as one cell."""
    line = next((line for line in board.ratings if line.model == model), None)
    return Number(f"{points(line.rating)} ({interval(line.lower, line.upper)})" if line else "–")


def _battles(boards: Boards, model: str) -> int:
    """How many of the judgments counted today are on the model."""
    return next((line.battles for line in boards.other[0].ratings if line.model == model), 0)


def _costs(study: ReportData) -> Mapping[str, float]:
    """USD per answer of the models that madetl asked and whose price is known."""
    return {
        row["model"]: row["cost"] / row["answered"]
        for row in study.spend.rows
        if row["stage"] == "inference" and row["answered"] and row["cost"] is not None
    }


def _usd(cost: float | None) -> str:
    return "–" if cost is None else f"{cost:.2g}" if cost < 0.01 else f"{cost:.4f}"


def _basis(study: ReportData, board: Leaderboard) -> str:
    counts = board.counts
    people = {
        "people": in_words(counts["annotators"], "person", counts["crowds"], "people"),
        "judge models": counted(counts["annotators"], "judge model"),
        "annotators": counted(len(study.parameters.annotators), "annotator")
        + f" ({listed(study.parameters.annotators)})",
    }[study.voters]
    ties = counts["ties"] + counts["both_bad"]
    picked = study.parameters.selections
    only = f"Only votes on what {listed([isolated(name) for name in picked])} picked are counted. " if picked else ""
    return only + (
        f"This rests on {counted(counts['battles'], 'judgment')} by {people}, on {counted(counts['items'], 'item')} "
        f"(an instruction with the answers of two models), between {counted(len(board.ratings), 'model')}. "
        f"{_neither(ties, counts['battles'])}"
    )


def _neither(ties: int, battles: int) -> str:
    """How many judgments chose neither answer, as a sentence."""
    if not ties:
        return "Each chose one of the answers."
    return f"{counted(ties, 'judgment')} ({percent(ties / battles)}) chose neither answer: half a win for each."


def _alike(order: ModelOrder) -> Iterator[Block]:
    """The ranges of which no two models are told apart."""
    if not order.alike:
        return
    named = []
    for first, last in order.alike[:_MOST_RANGES]:
        models = [isolated(model) for model in order.models[first : last + 1]]
        who = f" ({listed(models, _FEW_MODELS)})" if len(order.models) <= _FEW_MODELS else ""
        named.append(f"{ranks(first + 1, last + 1)}{who}")
    more = len(order.alike) - len(named)
    yield Text(
        f"Ranks that the votes cannot tell apart, each model from every other one of its range: {'; '.join(named)}"
        f"{f'; and {more} more' if more else ''}. More judgments between those models may."
    )


def _other_orders(boards: Boards) -> Iterator[Block]:
    """Which model each rating puts first, where that is not the one of the order."""
    first = boards.orders[0].models[0]
    others = []
    for board, parameters in ((boards.first[0], boards.parameters), (boards.other[0], boards.other_parameters)):
        top = max((line for line in board.ratings if line.component == 1), key=lambda line: line.rating)
        if top.model != first:
            others.append(f"{METHODS[parameters.method]} puts {isolated(top.model)} first")
    if others:
        yield Remark(f"{' and '.join(others)}. How sure that is, ratings do not say; the probabilities above do.")


def _few(board: Leaderboard, order: ModelOrder) -> Iterator[Block]:
    """Where what models are usually like says much of the probabilities: as `advise` warns of it."""
    pairs = sum(order.component[a] == order.component[b] for a, b in combinations(order.models, 2))
    if note := advise.few(board.counts["items"], pairs):
        yield Remark(sentence(note.text), warning=True)


def _warnings(study: ReportData, boards: Boards) -> Iterator[Block]:
    board, ranking = boards.first[0], study.ranking
    yield from _few(board, boards.orders[0])
    if any(note.kind == "components" for note in board.notes):
        text = next(note.text for note in board.notes if note.kind == "components")
        yield Remark(sentence(text), warning=True)
    if ranking is None:
        yield Missing("This ranking is computed for the report, with the defaults, and not stored yet.", "rank")
    elif ranking["votes"] != board.counts["battles"]:
        then, now = counted(ranking["votes"], "vote"), f"{board.counts['battles']:,}"
        if boards.stored:
            text = f"Run {ranking['run_id']} counts {then}; there are {now} now, and the other sections count them."
        else:
            text = f"The latest stored ranking, run {ranking['run_id']}, counts {then}. There are {now}, ranked here."
        yield Missing(text, "rank")


def _nothing_yet(study: ReportData) -> Iterator[Block]:
    where = "" if study.scenario is None else f" in {isolated(study.scenario)}"
    models = sum(row["responses"] > 0 for row in study.models.rows)
    yield Text(f"There is no answer yet: nobody has judged anything{where}.", lead=True)
    instructions = counted(study.instructions, "instruction")
    picks = counted(sum(len(one.picks.rows) for one in study.selections), "selected pair")
    yield Text(
        f"There are {instructions}{where}, answers of {counted(models, 'model')}, and {picks} of answers to judge."
    )
    yield from _next(study)


def _next(study: ReportData) -> Iterator[Block]:
    for step in study.next:
        if step.stage != "rank":  # the warnings above name that step where it is needed
            waits = step.why.startswith(("when ", "to see "))
            yield Missing(f"{sentence(step.why)}:" if waits else f"Not finished: {step.why}.", step.command)
