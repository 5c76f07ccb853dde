"""Asks an embedding model for the vectors that a metric lacks: each distinct text once, many to a request.

Vectors are kept in `embeddings` under the hash of their text; `madetl.similarity.measure` computes the cosines. A text
that has a vector is not sent again, and an empty text is never sent.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from madetl.asking.ask import AskReport, EmbedRequest, Task, Unusable, in_pages
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import AskedModel
from madetl.asking.stage_work import Ask, Result, StageWork
from madetl.providers.base import TRANSIENT, Embeddings
from madetl.similarity.measure import Measured, Scope, Scorer, measure_within
from madetl.similarity.named import EMBEDDING, model_parameters
from madetl.store import embeddings, pool, sqlfiles
from madetl.store.metrics import ensure_metric, existing_metric
from madetl.store.scope import check_scenarios
from madetl.text import counted

MOST_TEXTS = 100  # Gemini takes no more in a request
_BYTES_PER_TOKEN = 3  # fewer tokens than that in Latin text, about as many in other scripts
_TOKENS = 50_000  # in a request: OpenAI refuses 300,000, and an estimate may be off by a factor
_TOKENS_ALONE = 4_000  # a text that may exceed the model's limit goes alone: a refusal affects no other text
_SMALLER = (MOST_TEXTS, 10, 1)
_FEW = 10  # so many requests may fail, without one that succeeds, and are still tried in parts

Text = tuple[str, str]  # its hash, and the text itself


@dataclass(frozen=True)
class Embedded:
    """What a run of embedding did: texts that have a vector now, and those of them that were cut at the model's limit.

    `missing`: texts that still have none. `pool`: the instructions that they are of, in words.
    """

    metric: str
    texts: int
    cut: int
    missing: int
    report: AskReport
    pool: str

    @property
    def summary(self) -> str:
        """The closing line."""
        if not self.texts + self.missing:
            return f"{self.metric}: nothing to embed, every text has its vector"
        cut = f", {self.cut:,} of them cut at the model's limit" if self.cut else ""
        left = f"; {self.missing:,} are left" if self.missing else ""
        requests = f"{self.report.requests:,} request{'s' * (self.report.requests != 1)}"
        return f"{self.metric}: {counted(self.texts, 'text')} embedded in {requests}{cut}{left}"


@dataclass(frozen=True)
class EmbeddedAndMeasured:
    """What a run of embedding and measuring did."""

    embedded: Embedded
    measured: Measured

    @property
    def report(self) -> AskReport:
        return self.embedded.report

    @property
    def remarks(self) -> Sequence[str]:
        return self.measured.remarks

    @property
    def counts(self) -> dict[str, Any]:
        return {"measured": self.measured.measured, "known": self.measured.known}

    @property
    def summary(self) -> str:
        """The closing lines."""
        return f"{self.embedded.summary}\n{self.measured.summary}"


def batches(texts: Iterable[Text], most_texts: int = MOST_TEXTS) -> Iterator[list[Text]]:
    """The distinct texts in groups for one request each: at most so many, and of a bounded size."""
    seen: set[bytes] = set()  # 16 bytes a text: what is in flight has no vector yet, and must not be sent twice
    group: list[Text] = []
    tokens = 0
    for key, text in texts:
        known = bytes.fromhex(key)[:16]
        if known in seen:
            continue
        seen.add(known)
        size = len(text.encode()) // _BYTES_PER_TOKEN
        if size > _TOKENS_ALONE:
            yield [(key, text)]
            continue
        if len(group) == most_texts or tokens + size > _TOKENS:
            yield group
            group, tokens = [], 0
        group.append((key, text))
        tokens += size
    if group:
        yield group


class _VectorsToAsk(StageWork[Result]):
    """The vectors that a metric lacks. It gets its row with the first vector: a wrong key leaves none behind.

    `query` gives the texts without a vector, in pages; `scope` are its parameters without the metric.
    """

    stage, command = "similarity", "similarity"
    query: ClassVar[str]

    def __init__(self, db: sqlite3.Connection, model: AskedModel, scope: Mapping[str, Any]) -> None:
        super().__init__(db, model)
        self._scope, self._metric = scope, model_parameters(EMBEDDING, model)
        self._texts = self._cut = self._left = 0
        self._dimensions: int | None = None

    def count_missing(self) -> int:
        return self._requests(MOST_TEXTS)

    def parameters(self) -> dict[str, Any]:
        return {"metric": self.model.name, **self._metric, "base_url": self.model.endpoint.base_url, **self._scope}

    def tasks(self) -> Iterator[Task]:
        return self._tasks(MOST_TEXTS)

    def ask(self, ask: Ask) -> AskReport:
        """Asks for all texts; those of a refused request again in smaller ones: one text must not block others."""
        total = AskReport()
        for size in _SMALLER:
            report = ask(self._tasks(size), self._requests(size))
            # what failed before was asked again: only the later failures count
            later = {name: getattr(report, name) for name in ("failed", "left", "not_asked", "examples")}
            total = replace(total + report, **later)
            self._left = len({key for key, _ in self._lacking()})
            if not _take_apart(report, self._left):
                break
        return total

    def save(self, db: sqlite3.Connection, task: Task, answer: Answer, call_id: int) -> None:
        assert isinstance(answer, Embeddings)
        metric_id = ensure_metric(db, self.model.name, self._metric, self.model.id)
        if self._dimensions is None:
            self._dimensions = len(answer.vectors[0])
        self._texts += embeddings.store(db, metric_id, task.subject, answer.vectors, answer.truncated)
        self._cut += sum(answer.truncated)

    def _check(self, answer: Embeddings) -> None:
        """Raises Unusable where the vectors are not of the length that the metric's others have."""
        found = len(answer.vectors[0])
        if self._dimensions is None and (metric_id := self._metric_id()) is not None:
            self._dimensions = _dimensions(self.db, metric_id)
        if found != (self._dimensions or found):
            raise Unusable(f"the vectors have {found} numbers, and the others of this metric {self._dimensions}")

    def _tasks(self, most_texts: int) -> Iterator[Task]:
        for group in batches(self._lacking(), most_texts):
            hashes, sent = zip(*group, strict=True)
            yield Task(EmbedRequest(sent), subject=hashes, check=self._check)

    def embedded(self, report: AskReport) -> Embedded:
        instructions = pool.described(self.db, self._scope)
        return Embedded(self.model.name, self._texts, self._cut, self._left, report, instructions)

    def _lacking(self) -> Iterator[Text]:
        found = in_pages(self.db, sqlfiles.query(self.query), {**self._scope, "metric_id": self._metric_id()})
        return ((row["hash"], row["text"]) for row in found)

    def _metric_id(self) -> int | None:
        return existing_metric(self.db, self.model.name, self._metric)

    def _requests(self, size: int) -> int:
        return sum(1 for _ in batches(self._lacking(), size))


class InstructionsToEmbed(_VectorsToAsk[Embedded]):
    """The instructions that have answers and no vector, for the diversity of a selection.

    Raises ParameterError where a scenario is unknown or no instruction is of the generation (as in store.pool).
    """

    query = "similarity/instructions_to_embed"

    def __init__(
        self, db: sqlite3.Connection, model: AskedModel, scenarios: Sequence[str], generation: str | None
    ) -> None:
        check_scenarios(db, scenarios)
        super().__init__(db, model, pool.bindings(scenarios, generation))
        pool.check(db, self._scope)

    @property
    def pool(self) -> str:
        """The instructions that are to have vectors, in words."""
        return pool.described(self.db, self._scope)

    def parameters(self) -> dict[str, Any]:
        return super().parameters() | {"instructions": True}

    def result(self, report: AskReport) -> Embedded:
        return self.embedded(report)


class AnswersToEmbed(_VectorsToAsk[EmbeddedAndMeasured]):
    """The answers without a vector, of all pairs that are not measured yet; measures the pairs whose answers have one.

    `progress` follows the measuring: pairs done, pairs to do.
    """

    query = "similarity/responses_to_embed"

    def __init__(
        self,
        db: sqlite3.Connection,
        model: AskedModel,
        scope: Scope,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        super().__init__(db, model, vars(scope))
        self._pairs, self._progress = scope, progress

    def result(self, report: AskReport) -> EmbeddedAndMeasured:
        scorer = Scorer(self.model.name, self._metric, most_answers=4096)
        measured = measure_within(self.db, scorer, self._pairs, self.run_id, self._progress)
        return EmbeddedAndMeasured(self.embedded(report), measured)


def _dimensions(db: sqlite3.Connection, metric_id: int) -> int | None:
    row = db.execute("SELECT dimensions FROM embeddings WHERE metric_id = ? LIMIT 1", (metric_id,)).fetchone()
    return None if row is None else int(row["dimensions"])


def _take_apart(report: AskReport, missing: int) -> bool:
    """Whether smaller requests may help: some refused requests held several of the texts that are `missing`.

    If all of many requests failed, the cause is hardly a single text.
    """
    failed = report.failed + report.left
    refused = sum(number for outcome, number in failed.items() if outcome not in TRANSIENT)
    return report.stopped is None and 0 < refused < missing and (report.done > 0 or refused <= _FEW)
