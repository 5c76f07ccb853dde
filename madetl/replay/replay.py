"""Replays ways of choosing battles on votes that were given. Reads judgments and similarities; nothing is stored.

As in a live study, what is eligible comes from the selection's own query, the order within a pair of models from
`selection.orders`, and the next pair from `selection.adaptive`. `play` plays the replications, `results` sums them up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np

from madetl.errors import ParameterError
from madetl.ranking import components
from madetl.ranking.votes import FloatArray, IntArray, RankParameters, numbered
from madetl.replay import play
from madetl.replay.accuracy import accuracy
from madetl.replay.play import Ballots, Candidates, Diverse, Method, Split, candidates
from madetl.replay.results import Baseline, Policy, Replay, Samples, replayed
from madetl.selection import instruction_vectors, sets, strategies
from madetl.selection.adaptive.pair_policies import FLOOR, POLICIES
from madetl.selection.orders import DRAWN, STRATEGIES, Strategy
from madetl.selection.sets import SelectionParameters, SelectionRequest
from madetl.store import pool, sqlfiles
from madetl.store.metrics import measuring_options, metric_label
from madetl.store.scope import check_scenarios, check_selections, model_names
from madetl.text import agreeing, counted

_PER_PAIR = (3, 5, 10, 15)  # judgments: the budgets where none are given
_GRID = 40  # budgets at which the baseline is looked at, up to the whole pool
_MAX_ENTRIES = 5_000_000  # of the largest arrays of a block of replications

_BASELINE = Policy("random", "uniform", filters=False, baseline=True)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReplayParameters:
    """What to replay. `strategies` and `pair_policies` are crossed; `budgets` None: 3, 5, 10 and 15 per model pair.

    `diversity` is the lambda of `mad` and `evidence`; the other strategies draw without it. `batch`: votes asked for
    before the first comes back; `floor`: items of each model pair before votes decide. `method` ranks gold and replays
    alike. Votes in `scenarios` and on what `selections` picked (names; none: all) are replayed. The filters are as in
    `SelectionParameters`. Raises ParameterError.
    """

    metric: str | None = None
    strategies: Sequence[Strategy] = ("random", "mad", "band", "evidence")
    pair_policies: Sequence[str] = ("uniform", "adaptive")
    budgets: Sequence[int] | None = None
    replications: int = 200
    seed: int = 42
    scenarios: Sequence[str] = ()
    selections: Sequence[str] = ()
    models: Sequence[str] | None = None
    min_words: int | None = None
    max_length_ratio: float | None = None
    diversity: float = 0.0
    instruction_metric: str = sets.NGRAMS
    method: Method = "bt"
    floor: int = FLOOR
    batch: int = 1

    def __post_init__(self) -> None:
        _check_names("strategy", self.strategies, STRATEGIES)
        _check_names("pair policy", self.pair_policies, tuple(POLICIES))
        _check_names("method", [self.method], ("bt", "elo"))
        if self.replications < 2:
            raise ParameterError(f"{counted(self.replications, 'replication')}: give 2 or more, and 1000 for a report.")
        if self.budgets is not None and (not self.budgets or min(self.budgets) < 1):
            raise ParameterError("Budgets are numbers of judgments, 1 or more, such as --budgets 50,100,200.")
        if self.floor < 0 or self.batch < 1:
            raise ParameterError("--floor must be 0 or more, and --batch 1 or more.")
        if self.seed < 0:
            raise ParameterError(f"The seed is {self.seed}: give 0 or a number above it.")

    @property
    def policies(self) -> list[Policy]:
        """The baseline, and the cross product of what was asked for."""
        return list(
            dict.fromkeys([_BASELINE, *(Policy(*names) for names in product(self.strategies, self.pair_policies))])
        )

    def selection(self, strategy: Strategy) -> SelectionParameters:
        """The live selection whose candidates a strategy's are."""
        return SelectionParameters(
            strategy=strategy,
            metric=self.metric,
            diversity=0 if strategy in DRAWN else self.diversity,
            instruction_metric=self.instruction_metric,
            min_words=self.min_words,
            max_length_ratio=self.max_length_ratio,
            scenarios=self.scenarios,
            generation=pool.ALL,  # what was judged, whichever it is
            models=self.models,
            pairs="judged",
            seed=self.seed,
        )


def replay(
    db: sqlite3.Connection, parameters: ReplayParameters, progress: Progress = lambda done, total: None
) -> Replay:
    """Plays every policy on the same halves of the votes. `progress` counts judgments.

    Raises ParameterError where a name is unknown, and where votes or measured response pairs are too few.
    """
    material = _read(db, parameters)
    budgets = _budgets(parameters, material)
    play = _Play(material, parameters, budgets, progress)
    samples = play.all()
    baseline = Baseline(samples[_BASELINE], material.pool, parameters.seed)
    ballots = material.ballots
    return Replay(
        metric=material.metric,
        method=parameters.method,
        replications=parameters.replications,
        models=material.models,
        pairs=len(ballots.pairs[0]),
        votes=len(ballots.ballot),
        items=len(ballots.pair),
        gold=len(ballots.pair) - material.pool,
        pool=material.pool,
        eligible=play.eligible,
        ceiling=replayed(_BASELINE, [material.pool], samples[_BASELINE], baseline).budgets[0],
        replayed=[replayed(policy, budgets, samples[policy], baseline) for policy in parameters.policies],
        notes=_notes(material, budgets, play.eligible),
    )


@dataclass(frozen=True)
class _Choice:
    """What a strategy may pick of the judged items, and the cosines of their instructions (None: no diversity)."""

    candidates: list[Candidates]
    diverse: Diverse | None = None

    @property
    def items(self) -> IntArray:
        """The items that have a candidate."""
        return np.unique(np.concatenate([of_pair.item for of_pair in self.candidates]))


@dataclass(frozen=True)
class _Material:
    """The votes, and what may be picked: by the baseline, without filters, and by each strategy, within its own."""

    models: list[str]
    metric: str
    ballots: Ballots
    everything: _Choice
    filtered: dict[str, _Choice]
    unmeasured: int  # judged response pairs
    measure: str  # how to measure them, as a sentence

    @property
    def pool(self) -> int:
        """The items of the pool in each replication."""
        return (len(self.ballots.pair) + 1) // 2


def _read(db: sqlite3.Connection, parameters: ReplayParameters) -> _Material:
    db.execute("BEGIN")  # one moment of the database, though others may be writing votes
    try:
        # Each strategy has filters of its own; metric, scenario and models are the same.
        check_scenarios(db, parameters.scenarios)
        check_selections(db, parameters.selections)
        requests = {str(one): sets.unnamed(db, parameters.selection(one)) for one in parameters.strategies}
        request = next(iter(requests.values()))
        people = RankParameters(scenarios=tuple(parameters.scenarios), selections=tuple(parameters.selections)).counted
        scope = {name: request.scope[name] for name in ("metric_id", "model_ids")} | people
        rows = db.execute(sqlfiles.query("replay/votes_to_replay"), scope).fetchall()
        if not rows:
            raise ParameterError(_nothing_to_replay(db, parameters))
        return _material(db, requests, np.array([[value or 0 for value in row] for row in rows], dtype=np.int64).T)
    finally:
        db.rollback()


def _material(db: sqlite3.Connection, requests: Mapping[str, SelectionRequest], columns: IntArray) -> _Material:
    """Numbers models, pairs, items and ballots, in the order of the rows of votes_to_replay.sql."""
    model_a, model_b, instruction, response_a, response_b, half_points, similarity = columns
    pairs, pair = numbered(model_a, model_b)
    items, item = numbered(model_a, model_b, instruction)
    in_ballot, ballot = numbered(model_a, model_b, instruction, response_a, response_b)
    ids = np.unique(pairs)
    of_pairs = (np.searchsorted(ids, pairs[0]), np.searchsorted(ids, pairs[1]))
    first = np.searchsorted(ballot, np.arange(in_ballot.shape[1]))  # the first vote of each ballot
    of_item = pair[np.searchsorted(item, np.arange(items.shape[1]))]
    ballots = Ballots(len(ids), of_pairs, of_item, item[first], ballot, half_points)
    names = model_names(db)
    models = [names[model] for model in ids.tolist()]
    _check_votes(ballots, models)
    request = next(iter(requests.values()))
    every = np.arange(len(first))
    return _Material(
        models=models,
        metric=metric_label(db, request.columns["metric_id"]),
        ballots=ballots,
        everything=_Choice(candidates(ballots, every, np.zeros(len(every)), np.zeros(len(every)))),
        filtered={name: _choice(db, one, ballots, similarity[first], items[2]) for name, one in requests.items()},
        unmeasured=int((similarity[first] == 0).sum()),
        measure=_measuring(db, request),
    )


def _choice(
    db: sqlite3.Connection, request: SelectionRequest, ballots: Ballots, similarity: IntArray, instruction: IntArray
) -> _Choice:
    """`similarity[b]` is ballot b's id, 0: not measured; `instruction[i]` the id of item i's."""
    choice = _Choice(_filtered(db, request, ballots, similarity))
    if not request.columns["diversity"]:
        return choice
    ids = np.unique(instruction[choice.items])
    vectors = instruction_vectors.load(db, request.columns["instruction_metric_id"], ids.tolist())
    vector_rows = np.searchsorted(ids, instruction)
    return replace(choice, diverse=Diverse.of(request.columns["diversity"], choice.candidates, vector_rows, vectors))


def _filtered(
    db: sqlite3.Connection, request: SelectionRequest, ballots: Ballots, similarity: IntArray
) -> list[Candidates]:
    """What a live selection could pick, of what people judged. `similarity[b]` is ballot b's id, 0: not measured."""
    if not similarity.any():
        label = metric_label(db, request.columns["metric_id"])
        raise ParameterError(f"No response pair that people judged is measured with {label}. {_measuring(db, request)}")
    rows = strategies.candidates(db, request)
    by_id = np.argsort(similarity)
    position = np.searchsorted(similarity, rows["similarity"], sorter=by_id)
    ballot = by_id[np.minimum(position, len(by_id) - 1)]
    judged = similarity[ballot] == rows["similarity"]  # by people: the query knows judge models' verdicts too
    if not judged.any():
        raise ParameterError(
            f"Of {counted(int(np.count_nonzero(similarity)), 'judged response pair')} none passes the filters. "
            "Lower --min-words or raise --max-length-ratio (0 switches either off)."
        )
    return candidates(ballots, ballot[judged], rows["score"][judged], rows["words"][judged])


class _Play:
    """All policies, block by block of replications: in a block they see the same halves, votes and keys."""

    def __init__(
        self, material: _Material, parameters: ReplayParameters, budgets: Sequence[int], progress: Progress
    ) -> None:
        self._material, self._parameters, self._progress = material, parameters, progress
        pool = material.pool
        grid = {int(budget) for budget in np.geomspace(1, pool, _GRID).round()}
        self._budgets = {policy: sorted(set(budgets)) for policy in parameters.policies}
        self._budgets[_BASELINE] = sorted({*grid, pool, *budgets})
        self._most = {policy: min(pool, self._budgets[policy][-1]) for policy in parameters.policies}
        self._done = 0
        self._eligible = dict.fromkeys(material.filtered, 0)

    @property
    def eligible(self) -> dict[str, float]:
        """Items of the pool that each strategy can pick within its filters, on average over the replications played."""
        return {one: items / self._parameters.replications for one, items in self._eligible.items()}

    def all(self) -> dict[Policy, dict[int, Samples]]:
        """Every policy at all of its budgets."""
        blocks = [self._block(replications) for replications in self._blocks()]
        return {
            policy: {budget: Samples.joined([block[policy, budget] for block in blocks]) for budget in budgets}
            for policy, budgets in self._budgets.items()
        }

    def _blocks(self) -> Iterator[range]:
        ballots, total = self._material.ballots, self._parameters.replications
        size = max(1, _MAX_ENTRIES // max(ballots.models * len(ballots.pairs[0]), len(ballots.ballot)))
        return (range(start, min(start + size, total)) for start in range(0, total, size))

    def _block(self, replications: range) -> dict[tuple[Policy, int], Samples]:
        ballots, p = self._material.ballots, self._parameters
        chance = play.split(ballots, p.seed, replications)
        for one, choice in self._material.filtered.items():
            self._eligible[one] += int(chance.pool[:, choice.items].sum())
        rng = np.random.default_rng([p.seed, replications.start, 1])
        gold = play.rate(p.method, play.gold_battles(ballots, chance.pool), ballots.pairs, ballots.models, rng)
        orders: dict[tuple[str, bool], IntArray] = {}
        found = {}
        for policy, budgets in self._budgets.items():
            key = policy.strategy, policy.filters
            if key not in orders:
                orders[key] = self._order(policy, chance)
            battles = self._battles(policy, orders[key], chance, replications)
            for budget in budgets:
                rated = self._rate(battles[:, :budget], rng)
                given = (battles[:, :budget] != play.NONE).sum(axis=1)
                found[policy, budget] = Samples(given, vars(accuracy(rated, gold)))
        return found

    def _rate(self, battles: IntArray, rng: np.random.Generator) -> FloatArray:
        ballots = self._material.ballots
        return play.rate(self._parameters.method, battles, ballots.pairs, ballots.models, rng)

    def _order(self, policy: Policy, chance: Split) -> IntArray:
        which = self._material.filtered[policy.strategy] if policy.filters else self._material.everything
        most = max(self._most[one] for one in self._most if one.filters == policy.filters)
        return play.orders(policy.strategy, which.candidates, chance, most, which.diverse)

    def _battles(self, policy: Policy, order: IntArray, chance: Split, replications: range) -> IntArray:
        ballots, p = self._material.ballots, self._parameters
        return play.battles_of(
            policy.pair_policy,
            play.known_votes(ballots, order, chance.vote),
            ballots,
            self._most[policy],
            np.random.default_rng([p.seed, replications.start, 2]),
            floor=p.floor,
            batch=p.batch,
            progress=self._count,
        )

    def _count(self, judgments: int) -> None:
        self._done += judgments
        self._progress(self._done, self._total)

    @cached_property
    def _total(self) -> int:
        return self._parameters.replications * sum(self._most.values())


def _budgets(parameters: ReplayParameters, material: _Material) -> list[int]:
    if parameters.budgets is not None:
        return sorted(set(parameters.budgets))
    return sorted({min(each * len(material.ballots.pairs[0]), material.pool) for each in _PER_PAIR})


def _check_names(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in given or () if name not in known]
    if unknown or not given:
        named = f"There is no {what} {', '.join(map(repr, unknown))}." if unknown else f"Name at least one {what}."
        raise ParameterError(f"{named} There are: {', '.join(known)}")


def _check_votes(ballots: Ballots, models: Sequence[str]) -> None:
    """Raises ParameterError where no half of the votes could rank all models."""
    if len(models) < 3:
        raise ParameterError(
            f"People's votes are on {len(models)} models ({', '.join(models)}): a ranking to compare needs 3 or more."
        )
    halved = np.bincount(ballots.pair) >= 2
    model_a, model_b = ballots.pairs
    component = components.connected(model_a[halved], model_b[halved], ballots.models)
    if component.any():
        parts = [
            [name for name, part in zip(models, component, strict=True) if part == n]
            for n in range(component.max() + 1)
        ]
        raise ParameterError(
            "The votes do not connect all models: each half of them needs a chain of battles from any model to any "
            f"other, so two judged items on every link. The parts are: {' | '.join(map(', '.join, parts))}. "
            "--models A,B,C replays one part."
        )


def _nothing_to_replay(db: sqlite3.Connection, parameters: ReplayParameters) -> str:
    whose = " of these models" if parameters.models else ""
    where = f" in scenario {', '.join(parameters.scenarios)}" if parameters.scenarios else ""
    where += f" on what {', '.join(parameters.selections)} picked" if parameters.selections else ""
    if whose or where:
        return f"People have judged nothing{whose}{where}. `madetl status` shows what they have."
    judges = " Judge models' verdicts are not replayed." if db.execute("SELECT 1 FROM judgments").fetchone() else ""
    return (
        f"People have judged nothing yet, and a replay needs many votes.{judges} `madetl import --help` lists what can "
        "be imported, such as Chatbot Arena's battles; `madetl annotate` opens a page to judge on."
    )


def _measuring(db: sqlite3.Connection, request: SelectionRequest) -> str:
    """How to measure what was judged, as a sentence."""
    options = measuring_options(db, request.columns["metric_id"])
    if options is None:
        return "Its scores came from files: import the rest in the same way."
    return f"`madetl similarity{options} --pairs judged` measures them."


def _notes(material: _Material, budgets: Sequence[int], eligible: Mapping[str, float]) -> list[str]:
    notes = []
    if material.unmeasured:
        notes.append(
            "{pairs} {are} not measured with {metric}: only random choice can pick {them}. {measure}".format(
                pairs=counted(material.unmeasured, "judged response pair"),
                metric=material.metric,
                measure=material.measure,
                **agreeing(material.unmeasured),
            )
        )
    if budgets[-1] > min(eligible.values()):
        notes.append(
            f"The pool holds {counted(material.pool, 'item')}, {min(eligible.values()):,.0f} on average after the "
            "filters: budgets above are cut to what there is."
        )
    return notes


__all__ = ["Replay", "ReplayParameters", "replay"]
