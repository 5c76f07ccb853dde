"""Asks a chat model how alike two answers are, pair by pair: a chat model as the metric.

Each pair is a request of its own, and its score a row of `similarities` with the model's explanation. Two cases need
nobody's opinion and no money: an empty answer is like nothing (0, as every metric has it), and two answers of the same
text are alike (1). What the model is asked, and how its answer is read, stands in `madetl.similarity.rubric`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from madetl.asking.ask import AskOptions, AskProgress, AskReport, Estimate, Task, ask_all, estimate
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import AskedModel, check_access, register
from madetl.providers.base import ChatAnswer
from madetl.similarity import prefilter as prefilters
from madetl.similarity import rubric
from madetl.similarity.measure import Scope, UnmeasuredPair, selectable, unmeasured
from madetl.similarity.named import LLM, model_name
from madetl.similarity.prefilter import Prefilter
from madetl.similarity.rubric import Rubric
from madetl.store import sqlfiles
from madetl.store.database import insert_rows, transaction
from madetl.store.metrics import ensure_metric, existing_metric, find_metric, metric_label
from madetl.store.runs import run
from madetl.store.similarities import ensure_pair
from madetl.text import storable

STAGE = "similarity"
_ANSWERS = 256  # in memory at once, while their pairs are asked about
_COLUMNS = (
    "pair_id",
    "instruction_id",
    "response_a_id",
    "response_b_id",
    "shorter_words",
    "length_ratio",
    "metric_id",
    "score",
    "explanation",
    "run_id",
)
_SETTLED = ("prompt", "temperature", "top_p")  # what of a rubric makes another metric
_EMPTY, _SAME = "An answer is empty: nobody was asked.", "Both answers are the same text: nobody was asked."

Show = Callable[[AskProgress, int], None]


@dataclass(frozen=True)
class ChatMetric:
    """What is to be measured, and how. `prefilter` None: every pair of the scope."""

    model: AskedModel
    rubric: Rubric
    scope: Scope
    prefilter: Prefilter | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What makes this metric: who is asked, and how."""
        endpoint = self.model.endpoint
        options = {key: value for key, value in endpoint.options.items() if key not in ("timeout", "trust_remote_code")}
        return {"kind": LLM, "provider": endpoint.provider, "model": endpoint.model_id, **options} | (
            self.rubric.parameters
        )


@dataclass(frozen=True)
class AskedAbout:
    """What a run did. `measured` has `plain` among it, the pairs that nobody had to be asked about."""

    metric: str
    measured: int
    plain: int
    known: int
    report: AskReport

    @property
    def summary(self) -> str:
        """The closing line."""
        if not self.measured + self.report.undone:
            return f"{self.metric}: nothing to do ({self.known:,} pairs known)"
        plain = f", {self.plain:,} of them without asking (empty or the same)" if self.plain else ""
        left = f"; {self.report.undone:,} are left" if self.report.undone else ""
        return f"{self.metric}: {self.measured:,} pairs measured ({self.known:,} known){plain}{left}"


def rubric_for(db: sqlite3.Connection, metric: str, overrides: Mapping[str, Any]) -> Rubric:
    """How to ask: the overrides (keys of Rubric.parameters), else as this metric has asked before, else the default.

    `overrides` may have max_tokens, too. Raises ParameterError where metrics of this name asked in different ways and
    nothing says which one is meant.
    """
    settled = {name: overrides[name] for name in _SETTLED if name in overrides}
    if not settled:
        stored = _stored(db, metric) or {}
        settled = {name: stored[name] for name in _SETTLED if name in stored}
    return rubric.rubric({"max_tokens": overrides["max_tokens"], **settled} if "max_tokens" in overrides else settled)


def _stored(db: sqlite3.Connection, metric: str) -> dict[str, Any] | None:
    """The parameters of the metric of this name, or of this name and hash; None: it has not measured yet."""
    of_name = "SELECT parameters FROM metrics WHERE name = ? AND json_extract(parameters, '$.kind') = ?"
    found = db.execute(of_name, (metric, LLM)).fetchall()
    if not found and model_name(db, metric) == metric:
        return None
    if len(found) != 1:
        of_id = "SELECT parameters FROM metrics WHERE id = ?"
        found = db.execute(of_id, (find_metric(db, metric),)).fetchall()
    kept: dict[str, Any] = json.loads(found[0]["parameters"])
    return kept


def others(db: sqlite3.Connection, metric: ChatMetric) -> int:
    """Metrics of this name that asked in another way, if this one has not measured yet: it would stand beside them."""
    if existing_metric(db, metric.model.name, metric.parameters) is not None:
        return 0
    return int(db.execute("SELECT count(*) FROM metrics WHERE name = ?", (metric.model.name,)).fetchone()[0])


def measure(db: sqlite3.Connection, metric: ChatMetric, options: AskOptions, *, show: Show | None = None) -> AskedAbout:
    """Asks about every pair that this metric has not measured yet.

    Raises ParameterError where the prefilter leaves nothing, and what `ask_all` raises.
    """
    work = _Work(db, metric)
    if work.to_ask():
        check_access(metric.model)
    with run(db, "similarity", work.recorded(options)) as this:
        result = work.do(this.id, options, show)
        this.summary = result.summary
    return result


def dry_run(db: sqlite3.Connection, metric: ChatMetric, options: AskOptions) -> Estimate:
    """What `measure` would ask for. Writes nothing."""
    work = _Work(db, metric)
    return estimate(db, metric.model.caller(STAGE, 0), work.tasks(), options)


def judgments_after(db: sqlite3.Connection, metric: ChatMetric, top_k: int) -> int:
    """How many human judgments a selection of `top_k` per model pair asks for, from the pairs of this scope."""
    if metric.prefilter is None:
        return selectable(db, metric.scope, top_k)
    chosen = prefilters.choose(db, metric.prefilter, metric.scope)
    return sum(min(number, top_k) for number in chosen.per_pair.values())


class _Work:
    """One run's work on its pairs."""

    def __init__(self, db: sqlite3.Connection, metric: ChatMetric) -> None:
        self._db, self._metric, self._model = db, metric, metric.model
        self._parameters = metric.parameters
        self._pair_ids: dict[tuple[int, int], int] = {}
        self._run_id = 0
        self._measured = self._plain = 0
        chosen = metric.prefilter and prefilters.choose(db, metric.prefilter, metric.scope)
        self._chosen = chosen.responses if chosen else None

    def recorded(self, options: AskOptions) -> dict[str, Any]:
        """The run's parameters: everything that the scores depend on, and which pairs were meant."""
        metric = self._metric
        which = {**vars(metric.scope), "prefilter": metric.prefilter and asdict(metric.prefilter)}
        who = {"metric": metric.model.name, **self._parameters, "base_url": metric.model.endpoint.base_url}
        who |= {"max_tokens": metric.rubric.max_tokens}
        return who | which | {"asking": asdict(options)}

    def to_ask(self) -> int:
        """How many pairs somebody has to be asked about."""
        return sum(_plain(one, other) is None for group in self._groups() for _, one, other in group)

    def do(self, run_id: int, options: AskOptions, show: Show | None) -> AskedAbout:
        """Stores what needs no opinion, and asks about the rest."""
        self._run_id, known, report = run_id, self._known(), AskReport()
        if any(self._groups()):
            with transaction(self._db):
                self._model = register(self._db, self._model)
        self._store_plain()
        if total := self.to_ask():
            progress = None if show is None else lambda moment: show(moment, total)
            report = ask_all(
                self._db, self._model.caller(STAGE, run_id), self.tasks(), self._save, options, progress=progress
            )
        metric_id = self._metric_id()
        label = self._model.name if metric_id is None else metric_label(self._db, metric_id)
        return AskedAbout(label, self._measured, self._plain, known, report)

    def tasks(self) -> Iterator[Task]:
        """One task for each pair that somebody has to be asked about."""
        for group in self._groups():
            instructions = self._instructions({pair.instruction_id for pair, _, _ in group})
            for pair, one, other in group:
                if _plain(one, other) is None:
                    question = rubric.request(self._metric.rubric, instructions[pair.instruction_id], one, other)
                    yield Task(question, subject=pair, check=rubric.check(question))

    def _metric_id(self) -> int | None:
        return existing_metric(self._db, self._model.name, self._parameters)

    def _known(self) -> int:
        """Pairs of those meant that the metric has measured."""
        if self._chosen is not None:
            return len(self._chosen) - sum(len(group) for group in self._groups())
        parameters = {"metric_id": self._metric_id(), **vars(self._metric.scope)}
        return sum(row["known"] for row in self._db.execute(sqlfiles.query("similarity/similarity_counts"), parameters))

    def _groups(self) -> Iterator[list[tuple[UnmeasuredPair, str, str]]]:
        """The pairs that are not measured yet with their two texts, in groups that memory can hold."""
        for group in unmeasured(self._db, self._metric_id(), self._metric.scope, _ANSWERS):
            pairs = [pair for pair in group if self._chosen is None or pair.responses in self._chosen]
            ids = sorted({response for pair in pairs for response in pair.responses})
            rows = self._db.execute(sqlfiles.query("similarity/responses_to_compare"), {"ids": json.dumps(ids)})
            texts = {row["id"]: row["response"] for row in rows.fetchall()}
            if pairs:
                yield [(pair, texts[pair.response_a_id], texts[pair.response_b_id]) for pair in pairs]

    def _instructions(self, ids: set[int]) -> dict[int, str]:
        rows = self._db.execute(
            "SELECT id, instruction, input FROM instructions WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(ids)),),
        )
        return {row["id"]: "\n\n".join(filter(None, (row["instruction"], row["input"]))) for row in rows.fetchall()}

    def _store_plain(self) -> None:
        for group in self._groups():
            plain = [(pair, found) for pair, one, other in group if (found := _plain(one, other)) is not None]
            if plain:
                with transaction(self._db):
                    self._plain += sum(self._store(self._db, pair, *found) for pair, found in plain)

    def _save(self, db: sqlite3.Connection, task: Task, answer: Answer, _: int) -> None:
        assert isinstance(answer, ChatAnswer)
        score, explanation = rubric.reading(answer)
        self._store(db, task.subject, score, storable(explanation)[0])

    def _store(self, db: sqlite3.Connection, pair: UnmeasuredPair, score: float, explanation: str) -> int:
        """Stores one score, unless another process has; returns how many rows are new."""
        metric_id = ensure_metric(db, self._model.name, self._parameters, self._model.id or None)
        if pair.models not in self._pair_ids:
            self._pair_ids[pair.models] = ensure_pair(db, pair.models)
        row = (self._pair_ids[pair.models], *pair[2:], metric_id, score, explanation, self._run_id)
        new = insert_rows(db, "similarities", _COLUMNS, [row], conflict="OR IGNORE")
        self._measured += new
        return new


def _plain(one: str, other: str) -> tuple[float, str] | None:
    """The score that needs nobody's opinion, and why; None: somebody has to be asked."""
    if not one or not other:
        return 0.0, _EMPTY
    return (1.0, _SAME) if one == other else None
