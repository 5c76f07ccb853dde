"""Asks a chat model how alike two answers are, pair by pair: a chat model as the metric.

Each pair is a request of its own, and its score a row of `similarities` with the model's explanation. Two cases need no
request: a pair with an empty answer scores 0, as with every metric, and two answers of the same text score 1. What the
model is asked, and how its answer is read, is in `madetl.similarity.rubric`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from madetl.asking.ask import AskReport, Task
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import AskedModel
from madetl.asking.stage_work import StageWork
from madetl.asking.structured import DECIDING, PromptSettings, checker, prompt_settings
from madetl.providers.base import ChatAnswer
from madetl.similarity import prefilter as prefilters
from madetl.similarity import rubric
from madetl.similarity.measure import Scope, ScoreStore, UnmeasuredPair, selectable, unmeasured
from madetl.similarity.named import LLM, model_name, model_parameters
from madetl.similarity.prefilter import Prefilter
from madetl.store import pool, sqlfiles
from madetl.store.database import transaction
from madetl.store.metrics import ensure_metric, existing_metric, find_metric, metric_label
from madetl.text import counted, storable, with_input

_ANSWERS = 256  # in memory at once, while their pairs are asked about
_SETTLED = ("prompt", *DECIDING)  # what of a rubric makes another metric
_EMPTY, _SAME = "An answer is empty: nobody was asked.", "Both answers are the same text: nobody was asked."


@dataclass(frozen=True)
class ChatMetric:
    """What is to be measured, and how. `prefilter` None: every pair of the scope."""

    model: AskedModel
    settings: PromptSettings
    scope: Scope
    prefilter: Prefilter | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What makes this metric: who is asked, and how."""
        return model_parameters(LLM, self.model) | self.settings.parameters


@dataclass(frozen=True)
class AskedAbout:
    """What a run did. `plain`: pairs that needed no request; `measured` includes them.

    `pool`: the instructions whose answers were meant, in words.
    """

    metric: str
    measured: int
    plain: int
    known: int
    report: AskReport
    pool: str
    remarks: Sequence[str] = ()

    @property
    def counts(self) -> dict[str, Any]:
        return {"metric": self.metric, "measured": self.measured, "known": self.known}

    @property
    def summary(self) -> str:
        """The closing line."""
        if not self.measured + self.report.undone:
            return f"{self.metric}: nothing to do ({counted(self.known, 'pair')} known)"
        plain = f", {self.plain:,} of them without asking (empty or the same)" if self.plain else ""
        left = f"; {self.report.undone:,} are left" if self.report.undone else ""
        return f"{self.metric}: {counted(self.measured, 'pair')} measured ({self.known:,} known){plain}{left}"


def settings_for(db: sqlite3.Connection, metric: str, overrides: Mapping[str, Any]) -> PromptSettings:
    """How to ask: the overrides, else as this metric has asked before, else the default.

    Keys of `overrides`: those of `PromptSettings.parameters`, and max_tokens. Raises ParameterError where metrics of
    this name asked in different ways and nothing says which one is meant.
    """
    settled = {name: overrides[name] for name in _SETTLED if name in overrides}
    if not settled:
        stored = _stored(db, metric) or {}
        settled = {name: stored[name] for name in _SETTLED if name in stored}
    return prompt_settings("similarity", dict(overrides) | settled)


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


def warnings(db: sqlite3.Connection, metric: ChatMetric) -> Iterator[str]:
    """What the user should know before anything is asked."""
    name, chosen = metric.model.name, metric.prefilter
    others = db.execute("SELECT 1 FROM metrics WHERE name = ?", (name,)).fetchone()
    if others and existing_metric(db, name, metric.parameters) is None:
        yield f"{name} has measured with another prompt or sampling: this is a metric of its own, {name}@…."
    if chosen is not None and (missing := prefilters.unmeasured(db, chosen, metric.scope)):
        yield f"{chosen.metric} has not measured {counted(missing, 'response pair')}: not to be among the chosen."


def judgments_after(db: sqlite3.Connection, metric: ChatMetric, top_k: int) -> int:
    """How many human judgments a selection of `top_k` per model pair asks for, from the pairs of this scope."""
    if metric.prefilter is None:
        return selectable(db, metric.scope, top_k)
    chosen = prefilters.choose(db, metric.prefilter, metric.scope)
    return sum(min(number, top_k) for number in chosen.per_pair.values())


class ScoresToAsk(StageWork[AskedAbout]):
    """The scores that a chat model has not given yet. Raises ParameterError where the prefilter leaves no pair."""

    stage, command = "similarity", "similarity"

    def __init__(self, db: sqlite3.Connection, metric: ChatMetric) -> None:
        super().__init__(db, metric.model)
        self._metric, self._parameters = metric, metric.parameters
        self._measured = self._plain = self._known = 0
        chosen = metric.prefilter and prefilters.choose(db, metric.prefilter, metric.scope)
        self._chosen = chosen.responses if chosen else None

    def count_missing(self) -> int:
        """How many pairs the model has to be asked about."""
        return sum(_plain(one, other) is None for group in self._groups() for _, one, other in group)

    def parameters(self) -> dict[str, Any]:
        who = {"metric": self.model.name, **self._parameters, "base_url": self.model.endpoint.base_url}
        which = {**vars(self._metric.scope), "prefilter": self._metric.prefilter and asdict(self._metric.prefilter)}
        return who | {"max_tokens": self._metric.settings.max_tokens} | which

    def begin(self) -> None:
        """Stores the scores that need no request."""
        self._known = self._count_known()
        if any(self._groups()):
            with transaction(self.db):
                self.register()
        for group in self._groups():
            plain = [(pair, *found) for pair, one, other in group if (found := _plain(one, other)) is not None]
            if plain:
                with transaction(self.db):
                    self._plain += self._store(self.db, plain)

    def tasks(self) -> Iterator[Task]:
        """One task for each pair that the model has to be asked about."""
        for group in self._groups():
            instructions = self._instructions({pair.instruction_id for pair, _, _ in group})
            for pair, one, other in group:
                if _plain(one, other) is None:
                    request = rubric.request(self._metric.settings, instructions[pair.instruction_id], one, other)
                    yield Task(request, subject=pair, check=checker(request))

    def save(self, db: sqlite3.Connection, task: Task, answer: Answer, call_id: int) -> None:
        assert isinstance(answer, ChatAnswer)
        score, explanation = rubric.reading(answer)
        self._store(db, [(task.subject, score, storable(explanation)[0])])

    def result(self, report: AskReport) -> AskedAbout:
        metric_id = self._metric_id()
        label = self.model.name if metric_id is None else metric_label(self.db, metric_id)
        instructions = pool.described(self.db, vars(self._metric.scope))
        return AskedAbout(label, self._measured, self._plain, self._known, report, instructions)

    def _metric_id(self) -> int | None:
        return existing_metric(self.db, self.model.name, self._parameters)

    def _count_known(self) -> int:
        """Pairs of those meant that the metric has measured."""
        if self._chosen is not None:
            return len(self._chosen) - sum(len(group) for group in self._groups())
        parameters = {"metric_id": self._metric_id(), **vars(self._metric.scope)}
        return sum(row["known"] for row in self.db.execute(sqlfiles.query("similarity/similarity_counts"), parameters))

    def _groups(self) -> Iterator[list[tuple[UnmeasuredPair, str, str]]]:
        """The pairs that are not measured yet with their two texts, in groups that memory can hold."""
        for group in unmeasured(self.db, self._metric.scope, self._metric_id, lambda: _ANSWERS):
            pairs = [pair for pair in group if self._chosen is None or pair.responses in self._chosen]
            ids = sorted({response for pair in pairs for response in pair.responses})
            rows = self.db.execute(sqlfiles.query("similarity/responses_to_compare"), {"ids": json.dumps(ids)})
            texts = {row["id"]: row["response"] for row in rows.fetchall()}
            if pairs:
                yield [(pair, texts[pair.response_a_id], texts[pair.response_b_id]) for pair in pairs]

    def _instructions(self, ids: set[int]) -> dict[int, str]:
        rows = self.db.execute(
            "SELECT id, instruction, input FROM instructions WHERE id IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(ids)),),
        )
        return {row["id"]: with_input(row["instruction"], row["input"]) for row in rows.fetchall()}

    def _store(self, db: sqlite3.Connection, scores: Sequence[tuple[UnmeasuredPair, float, str | None]]) -> int:
        """Stores scores, unless another process has; returns how many rows are new."""
        metric_id = ensure_metric(db, self.model.name, self._parameters, self.model.id or None)
        new = ScoreStore(self.db, self.run_id).store(metric_id, scores)
        self._measured += new
        return new


def _plain(one: str, other: str) -> tuple[float, str] | None:
    """The score of a pair that needs no request, and why; None: the model has to be asked."""
    if not one or not other:
        return 0.0, _EMPTY
    return (1.0, _SAME) if one == other else None
