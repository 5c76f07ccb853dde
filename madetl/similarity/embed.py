"""Asks an embedding model for the vectors that a metric lacks: each distinct text once, many to a request.

Vectors are kept in `embeddings`, of answers under the hash of their text and of instructions under theirs; the cosines
are `madetl.similarity.measure`' matter. A text that has a vector is never sent again, and an empty one never at all.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from madetl.asking.ask import (
    AskOptions,
    AskProgress,
    AskReport,
    Caller,
    EmbedRequest,
    Estimate,
    Task,
    ask_all,
    estimate,
    in_pages,
)
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import AskedModel, check_access, register
from madetl.providers.base import TRANSIENT, Embeddings
from madetl.similarity.measure import Measured, Scope, Scorer, measure_within
from madetl.similarity.named import EMBEDDING
from madetl.store import embeddings, sqlfiles
from madetl.store.database import transaction
from madetl.store.metrics import ensure_metric, existing_metric
from madetl.store.runs import run
from madetl.store.scope import check_scenario

STAGE = "similarity"
MOST_TEXTS = 100  # Gemini takes no more in a request
_BYTES_PER_TOKEN = 3  # fewer tokens than that in Latin text, about as many in other scripts
_TOKENS = 50_000  # in a request: OpenAI refuses 300,000, and an estimate may be off by a factor
_TOKENS_ALONE = 4_000  # a text that may be over the model's limit costs nobody else a second request
_SMALLER = (MOST_TEXTS, 10, 1)
_FEW = 10  # requests that failed, without one that succeeded: still worth taking apart

Text = tuple[str, str]  # its hash, and the text itself
Show = Callable[[AskProgress, int], None]


@dataclass(frozen=True)
class Embedded:
    """What a run of embedding did: texts that have a vector now, and those of them that were cut at the model's limit.

    `missing`: texts that still have none.
    """

    metric: str
    texts: int
    cut: int
    missing: int
    report: AskReport

    @property
    def summary(self) -> str:
        """The closing line."""
        if not self.texts + self.missing:
            return f"{self.metric}: nothing to embed, every text has its vector"
        cut = f", {self.cut:,} of them cut at the model's limit" if self.cut else ""
        left = f"; {self.missing:,} are left" if self.missing else ""
        requests = f"{self.report.requests:,} request{'s' * (self.report.requests != 1)}"
        return f"{self.metric}: {self.texts:,} texts embedded in {requests}{cut}{left}"


@dataclass(frozen=True)
class EmbeddedAndMeasured:
    """What a run of embedding and measuring did."""

    embedded: Embedded
    measured: Measured

    @property
    def report(self) -> AskReport:
        return self.embedded.report

    @property
    def summary(self) -> str:
        """The closing lines."""
        return f"{self.embedded.summary}\n{self.measured.summary}"


def parameters(model: AskedModel) -> dict[str, Any]:
    """What makes this metric: who embeds. Where its server stands does not, nor how long one waits for it."""
    endpoint = model.endpoint
    options = {key: value for key, value in endpoint.options.items() if key not in ("timeout", "trust_remote_code")}
    return {"kind": EMBEDDING, "provider": endpoint.provider, "model": endpoint.model_id} | options


def measure(
    db: sqlite3.Connection,
    model: AskedModel,
    scope: Scope,
    options: AskOptions,
    *,
    show: Show | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> EmbeddedAndMeasured:
    """Embeds the answers of all pairs that are not measured yet, and measures those whose answers have vectors.

    `show` follows the asking, `progress` the measuring. Raises AskingError where going on is no use.
    """
    work = _Work(db, model, _Source("similarity/responses_to_embed", vars(scope)), options, show)
    work.check_access()
    with run(db, "similarity", work.recorded | vars(scope)) as this:
        embedded = work.do(this.id)
        metric = Scorer(model.name, parameters(model), most_answers=4096)
        done = EmbeddedAndMeasured(embedded, measure_within(db, metric, scope, this.id, progress))
        this.summary = done.summary
    return done


def embed_instructions(
    db: sqlite3.Connection, model: AskedModel, scenario: str | None, options: AskOptions, *, show: Show | None = None
) -> Embedded:
    """Embeds the instructions that have answers, for the diversity of a selection."""
    check_scenario(db, scenario)
    work = _Work(db, model, _Source("similarity/instructions_to_embed", {"scenario": scenario}), options, show)
    work.check_access()
    with run(db, "similarity", work.recorded | {"instructions": True, "scenario": scenario}) as this:
        embedded = work.do(this.id)
        this.summary = embedded.summary
    return embedded


def estimate_measuring(db: sqlite3.Connection, model: AskedModel, scope: Scope, options: AskOptions) -> Estimate:
    """What `measure` would ask for. Writes nothing."""
    return _Work(db, model, _Source("similarity/responses_to_embed", vars(scope)), options).estimate()


def estimate_instructions(
    db: sqlite3.Connection, model: AskedModel, scenario: str | None, options: AskOptions
) -> Estimate:
    """What `embed_instructions` would ask for. Writes nothing."""
    check_scenario(db, scenario)
    return _Work(db, model, _Source("similarity/instructions_to_embed", {"scenario": scenario}), options).estimate()


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


@dataclass(frozen=True)
class _Source:
    """Where the texts without a vector come from: a query of `in_pages`, and its parameters without the metric."""

    query: str
    parameters: Mapping[str, Any]

    def texts(self, db: sqlite3.Connection, metric_id: int | None) -> Iterator[Text]:
        found = in_pages(db, sqlfiles.query(self.query), {**self.parameters, "metric_id": metric_id})
        return ((row["hash"], row["text"]) for row in found)


@dataclass
class _Work:
    """One run's asking for vectors, and what came of it. The metric has its row with the first vector: a wrong key
    leaves none behind."""

    db: sqlite3.Connection
    model: AskedModel
    source: _Source
    options: AskOptions
    show: Show | None = None
    texts: int = 0
    cut: int = 0
    odd: int = 0
    dimensions: int | None = None

    @property
    def recorded(self) -> dict[str, Any]:
        """The run's parameters, without its scope."""
        who = {"metric": self.model.name, **parameters(self.model), "base_url": self.model.endpoint.base_url}
        return who | {"asking": asdict(self.options)}

    def check_access(self) -> None:
        """Raises ParameterError where somebody has to be asked and a key is missing."""
        if next(self._missing(), None) is not None:
            check_access(self.model)

    def do(self, run_id: int) -> Embedded:
        """Asks for all texts; those of a refused request in smaller ones, so that one text stops nobody else's."""
        if next(self._missing(), None) is None:
            return Embedded(self.model.name, 0, 0, 0, AskReport())
        with transaction(self.db):
            self.model = register(self.db, self.model)
        total = AskReport()
        for size in _SMALLER:
            report = self._ask(self.model.caller(STAGE, run_id), size)
            total = _together(total, report)
            missing = len({key for key, _ in self._missing()})
            if not _take_apart(report, missing):
                break
        if self.odd:
            total.failed["invalid"] += self.odd
            total.examples["invalid"] = f"what came is no vector of {self.dimensions} finite numbers"
        return Embedded(self.model.name, self.texts, self.cut, missing, total)

    def estimate(self) -> Estimate:
        """What `do` would ask for. Writes nothing."""
        caller = self.model.caller(STAGE, 0)
        return estimate(self.db, caller, _tasks(self._missing(), MOST_TEXTS), self.options)

    def _missing(self) -> Iterator[Text]:
        metric_id = existing_metric(self.db, self.model.name, parameters(self.model))
        return self.source.texts(self.db, metric_id)

    def _ask(self, caller: Caller, size: int) -> AskReport:
        show = self.show
        if show is None:
            return ask_all(self.db, caller, _tasks(self._missing(), size), self._save, self.options)
        total = sum(1 for _ in batches(self._missing(), size))
        tasks = _tasks(self._missing(), size)
        return ask_all(self.db, caller, tasks, self._save, self.options, progress=lambda moment: show(moment, total))

    def _save(self, db: sqlite3.Connection, task: Task, answer: Answer, _: int) -> None:
        assert isinstance(answer, Embeddings)
        metric_id = ensure_metric(db, self.model.name, parameters(self.model), self.model.id)
        if self.dimensions is None:
            self.dimensions = _dimensions(db, metric_id) or len(answer.vectors[0])
        sound = [row for row, vector in enumerate(answer.vectors) if _is_sound(vector, self.dimensions)]
        self.odd += len(answer.vectors) - len(sound)
        if not sound:
            return
        hashes = [task.subject[row] for row in sound]
        cut = [answer.truncated[row] for row in sound]
        self.texts += embeddings.store(db, metric_id, hashes, [answer.vectors[row] for row in sound], cut)
        self.cut += sum(cut)


def _dimensions(db: sqlite3.Connection, metric_id: int) -> int | None:
    row = db.execute("SELECT dimensions FROM embeddings WHERE metric_id = ? LIMIT 1", (metric_id,)).fetchone()
    return None if row is None else int(row["dimensions"])


def _is_sound(vector: Sequence[float], dimensions: int) -> bool:
    """Whether it is a vector as the others are: of their length, finite, and not zero throughout."""
    if len(vector) != dimensions or not all(isinstance(value, int | float) for value in vector):
        return False
    return all(map(math.isfinite, vector)) and any(vector)


def _tasks(texts: Iterable[Text], most_texts: int) -> Iterator[Task]:
    for group in batches(texts, most_texts):
        hashes, sent = zip(*group, strict=True)
        yield Task(EmbedRequest(sent), subject=hashes)


def _take_apart(report: AskReport, missing: int) -> bool:
    """Whether smaller requests may help: some of those refused held several of the texts that are `missing`.

    If all of many failed, it is hardly one text's fault.
    """
    failed = report.failed + report.left
    refused = sum(number for outcome, number in failed.items() if outcome not in TRANSIENT)
    return report.stopped is None and 0 < refused < missing and (report.done > 0 or refused <= _FEW)


def _together(before: AskReport, after: AskReport) -> AskReport:
    """Both as one; what failed before was asked again, so that only the later failures count."""
    sums = ("done", "reused", "requests", "retried", "tokens_in", "tokens_out", "known_cost", "unpriced", "seconds")
    return replace(after, **{name: getattr(before, name) + getattr(after, name) for name in sums})
