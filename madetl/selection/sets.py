"""Rows of `selection_sets`: what a selection was asked for, under which name, and whether a run may extend it.

`madetl.selection.select` picks; this module finds, compares and writes the one row that names a selection.
"""

from __future__ import annotations

import json
import math
import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from madetl.errors import ParameterError
from madetl.selection.orders import DRAWN, Strategy, usual_filters
from madetl.store import pool
from madetl.store.metrics import ensure_metric, existing_metric, find_metric, measured_metrics, metric_label
from madetl.store.scope import check_scenarios, model_ids
from madetl.store.selections import LATEST, find_set, set_row

DEFAULT_TOP_K = 10
_MOST_IN_A_NAME = 3  # scenarios in a selection's name
NGRAMS = "char-ngram"  # the metric whose instruction vectors are made on the fly

_OPTIONS = {
    "pair_policy": "--adaptive",
    "scenarios": "--scenario",
    "metric_id": "--metric",
    "strategy": "--strategy",
    "diversity": "--diversity",
    "instruction_metric_id": "--instruction-metric",
    "min_words": "--min-words",
    "max_length_ratio": "--max-length-ratio",
    "candidates": "--pairs",
    "seed": "--seed",
}


Ending = Literal["settled", "budget", "candidates"]
"""Why an adaptive selection picks no more: the orders are sure enough, the budget is used up, nothing is left."""


@dataclass(frozen=True)
class Adaptive:
    """How an adaptive selection grows: picks go where the votes so far say least about the order of the models.

    `budget`: picks in all (None: what the selection has). `batch`: how many may wait for a vote at a time (None: as
    many as there are pairs of models). `floor`: picks of each model pair before votes decide. `stop_at`: how sure every
    order of neighbours must be for it to stop by itself. `place`: only pairs of this model with the others.
    """

    budget: int | None = None
    batch: int | None = None
    floor: int = 1
    stop_at: float | None = None
    place: str | None = None

    def why(self, ending: Ending) -> str:
        """An ending in words."""
        return {
            "settled": f"every order of neighbours is at least {100 * (self.stop_at or 0):g} % sure",
            "budget": "the budget is used up",
            "candidates": "no candidate is left",
        }[ending]


@dataclass(frozen=True)
class SelectionParameters:
    """What a person asks for. `top_k` None: what the selection has, or 10; `name` None: one per scenarios and metric.

    `metric` None: the selection's, or the only one that has measured anything. `scenarios` (): all. `generation`: as in
    store.pool; None: what the selection has, or of each scenario the rewritings, and its seeds where it has none.
    `diversity` is the method's lambda; 0 switches `min_words` and `max_length_ratio` off, and None is what is usual for
    the strategy. `models` limits this run, not the selection: it may differ from run to run. `adaptive` None: K picks
    of every model pair.
    """

    metric: str | None = None
    top_k: int | None = None
    diversity: float = 0.0
    instruction_metric: str = NGRAMS
    min_words: int | None = None
    max_length_ratio: float | None = None
    scenarios: Sequence[str] = ()
    generation: str | None = None
    models: Sequence[str] | None = None
    pairs: Literal["all", "judged", "unjudged"] = "all"
    strategy: Strategy = "mad"
    seed: int = 42
    name: str | None = None
    adaptive: Adaptive | None = None

    @property
    def filters(self) -> dict[str, float]:
        """`min_words` and `max_length_ratio` as they hold."""
        words, ratio = usual_filters(self.strategy)
        return {
            "min_words": words if self.min_words is None else self.min_words,
            "max_length_ratio": ratio if self.max_length_ratio is None else self.max_length_ratio,
        }


@dataclass(frozen=True)
class SelectionRequest:
    """The parameters with their names looked up: `columns` is the row of selection_sets, top_k apart."""

    name: str
    columns: Mapping[str, Any]
    top_k: int | None
    model_ids: str | None  # JSON array
    found: sqlite3.Row | None  # the row of selection_sets that has this name already
    adaptive: Adaptive | None = None

    @property
    def scope(self) -> dict[str, Any]:
        """The parameters that the queries of sql/selection share."""
        names = ("metric_id", "min_words", "max_length_ratio", "scenarios", "generation")
        shared = {name: self.columns[name] for name in names}
        return shared | {"pairs": self.columns["candidates"], "model_ids": self.model_ids}

    @property
    def set_id(self) -> int | None:
        """The id of the selection; None: it is new."""
        return None if self.found is None else int(self.found["id"])

    @property
    def target_k(self) -> int:
        """K of the selection once this run is done; of an adaptive one, what its picks are brought up to."""
        if self.adaptive:
            return self.top_k or 0
        stored = 0 if self.found is None else int(self.found["top_k"])
        return max(stored, self.top_k or stored or DEFAULT_TOP_K)

    @property
    def budget(self) -> int | None:
        """How many picks an adaptive selection may hold once this run is done; None: it is not adaptive."""
        if self.adaptive is None:
            return None
        stored = 0 if self.found is None else int(self.found["budget"])
        return max(stored, self.adaptive.budget or 0)

    @property
    def shrinks(self) -> bool:
        """Whether fewer picks are asked for than the selection promises already."""
        if self.found is None:
            return False
        if self.adaptive:
            return self.adaptive.budget is not None and self.adaptive.budget < self.found["budget"]
        return self.top_k is not None and self.top_k < self.found["top_k"]


def resolve(db: sqlite3.Connection, parameters: SelectionParameters) -> SelectionRequest:
    """Looks up every name. Raises ParameterError for a value that makes no sense or a name that is unknown."""
    request = _looked_up(db, parameters)
    name = parameters.name or _default_name(db, request.columns)
    request = replace(request, name=name, found=set_row(db, name))
    _check_same(db, request)
    request = _with_generation(db, request)
    if request.adaptive and not request.budget:
        raise ParameterError("How many picks may it be in all? Give --budget N.")
    return request


def unnamed(db: sqlite3.Connection, parameters: SelectionParameters) -> SelectionRequest:
    """The same of a selection that is not to be stored, whatever selections there are. Raises as `resolve` does."""
    return _with_generation(db, _looked_up(db, parameters))


def _looked_up(db: sqlite3.Connection, parameters: SelectionParameters) -> SelectionRequest:
    """The request before its name is known; the generation is what was asked for, perhaps None."""
    check(parameters)
    check_scenarios(db, parameters.scenarios)
    ids = model_ids(db, parameters.models)
    if ids is not None and len(ids) < 2:
        raise ParameterError("--models needs at least two different models: a selection compares their answers.")
    scope = None if ids is None else json.dumps(ids)
    return SelectionRequest("", _columns(db, parameters), parameters.top_k, scope, None, parameters.adaptive)


def reopen(db: sqlite3.Connection, name: str, adaptive: Adaptive) -> SelectionRequest:
    """An adaptive selection as it is stored, to go on with. Raises ParameterError where it is not adaptive."""
    found = find_set(db, name)
    if found["pair_policy"] != "adaptive":
        raise ParameterError(
            f"The selection {found['name']!r} has K = {found['top_k']} picks of every model pair; only one that "
            "`madetl select --adaptive` began grows with the votes. Leave --adaptive out to go on with "
            "this one, or name another."
        )
    columns = {column: found[column] for column in _OPTIONS} | {"generation": None}
    return _with_generation(db, SelectionRequest(found["name"], columns, None, None, found, adaptive))


def _with_generation(db: sqlite3.Connection, request: SelectionRequest) -> SelectionRequest:
    """The request with the generation that its selection was begun with; a new one is begun with what holds now.

    Where nobody said which, it is an object: scenario → generation, to which scenarios that came since are added.
    """
    generation = request.columns["generation"] if request.found is None else request.found["generation"]
    if generation is None or generation.startswith("{"):
        begun = json.loads(generation) if generation else {}
        generation = json.dumps(pool.by_default(db, request.columns["scenarios"]) | begun, ensure_ascii=False)
    request = replace(request, columns={**request.columns, "generation": generation})
    pool.check(db, request.columns)
    return request


def save(db: sqlite3.Connection, request: SelectionRequest, top_k: int, run_id: int) -> int:
    """Makes the selection's row, or raises its K and its budget; returns its id. Call it in a `transaction`."""
    if request.set_id is not None:
        values = (top_k, request.budget, request.columns["generation"], request.set_id)
        db.execute("UPDATE selection_sets SET top_k = ?, budget = ?, generation = ? WHERE id = ?", values)
        return request.set_id
    row = {"name": request.name, "top_k": top_k, "budget": request.budget, "run_id": run_id, **request.columns}
    if row["diversity"] and row["instruction_metric_id"] is None:
        from madetl.metrics import char_ngram

        row["instruction_metric_id"] = ensure_metric(db, char_ngram.NAME, char_ngram.PARAMETERS)
    marks = ", ".join("?" * len(row))
    cursor = db.execute(f"INSERT INTO selection_sets ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    return int(cursor.lastrowid or 0)


def options(db: sqlite3.Connection, row: Mapping[str, Any]) -> str:
    """The options of `madetl select` that begin or extend a selection, each after a space; usual ones are left out.

    `row` holds the pair policy and any of the other columns of selection_sets; one that is None needs no option, nor
    does the generation: the selection keeps it.
    """
    adaptive, usual = row["pair_policy"] == "adaptive", SelectionParameters(strategy=row.get("strategy", "mad"))
    defaults = usual.filters | {
        "metric_id": _usual_metric(db),
        "strategy": SelectionParameters.strategy,
        "diversity": usual.diversity,
        "instruction_metric_id": usual.instruction_metric,
        "candidates": "unjudged" if adaptive else usual.pairs,
        "seed": usual.seed,
    }
    named = " --adaptive" if adaptive else ""
    for column, option in (_OPTIONS | {"name": "--name"}).items():
        if column == "pair_policy" or row.get(column) is None:
            continue
        texts = json.loads(row[column]) if column == "scenarios" else [_shown(db, column, row[column])]
        if column not in defaults or texts != [_text(defaults[column])]:
            named += "".join(f" {option} {shlex.quote(text)}" for text in texts)
    return named


def check(parameters: SelectionParameters) -> None:
    """Raises ParameterError for a value that makes no sense, whatever the database holds."""
    p = parameters
    _require(p.top_k is None or p.top_k >= 1, f"--top-k must be at least 1, not {p.top_k}.")
    _require(0 <= p.diversity < math.inf, f"--diversity must be 0 or more, not {p.diversity:g}.")
    words, ratio = p.filters.values()
    _require(words >= 0, f"--min-words must be 0 (off) or more, not {words}.")
    _require(
        ratio == 0 or 1 < ratio < math.inf,
        f"--max-length-ratio must be 0 (off) or above 1, not {ratio:g}: "
        "the longer answer's characters divided by the shorter one's are at least 1.",
    )
    _require(
        p.strategy not in DRAWN or not p.diversity,
        f"--diversity goes with --strategy mad or evidence; the random draws of {p.strategy} ignore it.",
    )
    _require(p.name != "", "--name must not be empty.")
    _require(p.name != LATEST, f"--name {LATEST} is taken: it means the selection that was extended last.")
    if p.adaptive:
        _check_adaptive(p, p.adaptive)


def _check_adaptive(p: SelectionParameters, adaptive: Adaptive) -> None:
    _require(p.top_k is None, "--top-k is K picks of every model pair; with --adaptive, --budget says how many in all.")
    _require(p.pairs != "judged", "--adaptive picks what nobody has judged; leave --pairs judged out.")
    _require(adaptive.budget is None or adaptive.budget >= 1, f"--budget must be at least 1, not {adaptive.budget}.")
    _require(adaptive.batch is None or adaptive.batch >= 1, f"--batch must be at least 1, not {adaptive.batch}.")
    _require(adaptive.floor >= 0, f"--floor must be 0 or more, not {adaptive.floor}.")
    _require(
        adaptive.stop_at is None or 0.5 < adaptive.stop_at < 1,
        f"--stop-at is how sure to be, above 0.5 and below 1, not {adaptive.stop_at}.",
    )


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ParameterError(message)


def _columns(db: sqlite3.Connection, parameters: SelectionParameters) -> dict[str, Any]:
    return {
        **pool.bindings(parameters.scenarios, parameters.generation),
        "metric_id": _metric(db, parameters),
        "strategy": parameters.strategy,
        "pair_policy": "adaptive" if parameters.adaptive else "uniform",
        "diversity": parameters.diversity,
        "instruction_metric_id": _instruction_metric(db, parameters) if parameters.diversity else None,
        **parameters.filters,
        "candidates": "unjudged" if parameters.adaptive else parameters.pairs,
        "seed": parameters.seed if parameters.strategy in DRAWN or parameters.adaptive else None,
    }


def _metric(db: sqlite3.Connection, parameters: SelectionParameters) -> int:
    """The metric that is named, else that of the selection, else the only one. Raises ParameterError where none is."""
    if parameters.metric is not None:
        return find_metric(db, parameters.metric)
    found = set_row(db, parameters.name) if parameters.name else None
    if found is not None:
        return int(found["metric_id"])
    measured = measured_metrics(db)
    if not measured:
        raise ParameterError("Nothing has been measured yet. `madetl similarity` measures how alike answers are.")
    if len(measured) > 1:
        labels = [metric_label(db, metric_id) for metric_id in measured]
        raise ParameterError(
            f"{len(labels)} metrics have measured answers: {', '.join(labels)}. Say which one to go by, such as "
            f"--metric {shlex.quote(labels[0])}."
        )
    return measured[0]


def _usual_metric(db: sqlite3.Connection) -> str | None:
    """The metric that needs no option; None: each needs one."""
    measured = measured_metrics(db)
    return metric_label(db, measured[0]) if len(measured) == 1 else None


def _instruction_metric(db: sqlite3.Connection, parameters: SelectionParameters) -> int | None:
    """None: the n-gram vectors, which have no row in `metrics` before the first selection that uses them."""
    if parameters.instruction_metric != NGRAMS:
        try:
            return find_metric(db, parameters.instruction_metric)
        except ParameterError as error:
            embeds = f"`madetl similarity --metric {shlex.quote(parameters.instruction_metric)} --instructions`"
            raise ParameterError(f"{error} If it is an embedding model, {embeds} asks it.") from error
    from madetl.metrics import char_ngram

    return existing_metric(db, char_ngram.NAME, char_ngram.PARAMETERS)


def _default_name(db: sqlite3.Connection, columns: Mapping[str, Any]) -> str:
    """One per scenarios, metric, strategy and pair policy; random draws do without the metric's name.

    Where another metric of the same name (of other parameters) has taken the short name, the hash tells them apart.
    """
    scenario = _short_name(json.loads(columns["scenarios"] or "[]"))
    strategy = "" if columns["strategy"] == "mad" else f"-{columns['strategy']}"
    rest = strategy + ("-adaptive" if columns["pair_policy"] == "adaptive" else "")
    if columns["strategy"] == "random":
        return scenario + rest
    metric = db.execute("SELECT name FROM metrics WHERE id = ?", (columns["metric_id"],)).fetchone()["name"]
    taken = set_row(db, f"{scenario}-{metric}{rest}")
    if taken is None or taken["metric_id"] == columns["metric_id"]:
        return f"{scenario}-{metric}{rest}"
    return f"{scenario}-{metric_label(db, columns['metric_id'])}{rest}"


def _short_name(scenarios: Sequence[str]) -> str:
    """'all', 'writing', 'coding+writing', 'coding+reasoning+3-more'."""
    first = scenarios if len(scenarios) <= _MOST_IN_A_NAME else scenarios[: _MOST_IN_A_NAME - 1]
    more = [f"{len(scenarios) - len(first)} more"] if len(first) < len(scenarios) else []
    return "+".join([*first, *more]).lower().replace(" ", "-") or "all"


def _check_same(db: sqlite3.Connection, request: SelectionRequest) -> None:
    """A selection never changes its parameters: what was picked, and judged, would no longer belong together."""
    if request.found is None:
        return
    found, asked = request.found, request.columns
    # Without diversity there is no instruction metric: naming lambda says it all.
    options = {
        c: o for c, o in _OPTIONS.items() if c != "instruction_metric_id" or (found["diversity"] and asked["diversity"])
    }
    different = [
        f"{option} {_shown(db, column, found[column])} (now {_shown(db, column, asked[column])})"
        for column, option in options.items()
        if found[column] != asked[column]
    ]
    begun = _generations(found["generation"])
    if asked["generation"] is not None and begun != {asked["generation"]}:
        different.append(f"--generation {' and '.join(sorted(begun))} (now {asked['generation']})")
    if different:
        raise ParameterError(
            f"The selection {request.name!r} was made with {', '.join(different)}. "
            "Give the same again to extend it, or --name to begin another."
        )


def _generations(stored: str) -> set[str]:
    """The generations that selection_sets.generation names."""
    return set(json.loads(stored).values()) if stored.startswith("{") else {stored}


def _shown(db: sqlite3.Connection, column: str, value: Any) -> str:
    if value is None:
        return {"scenarios": "all", "instruction_metric_id": NGRAMS}.get(column, "none")
    if column == "scenarios":
        return ", ".join(json.loads(value))
    if column.endswith("metric_id"):
        return metric_label(db, value)
    return _text(value)


def _text(value: object) -> str:
    """A number as a command takes it, exactly: 4.0 is 4."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
