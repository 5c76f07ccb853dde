"""Stage 3 for any metric: which kind a name means, how that kind measures, and what a dry run of it costs.

The command, a study and a study's forecast all choose here. Three kinds: metrics that are computed (built in, or from
stored vectors), embedding models, and chat models.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from madetl.asking import model_settings, prompts
from madetl.asking.ask import AskOptions, Estimate
from madetl.asking.model_settings import AskedModel, ModelOptions
from madetl.asking.stage_work import Show
from madetl.similarity import ask, measure, prefilter, rubric
from madetl.similarity.embed import MOST_TEXTS, AnswersToEmbed, EmbeddedAndMeasured
from madetl.similarity.measure import Measured, Pairs, Scorer
from madetl.similarity.named import EMBEDDING, Kind, kind_of, metric_named, model_name
from madetl.similarity.prefilter import Prefilter
from madetl.store import pool

ENCODER = ("model", "num_layers", "batch_size")
FILTERS = ("min_words", "max_length_ratio")


@dataclass(frozen=True)
class MetricChoice:
    """What the user sets for a metric. `kind` None: the kind that the name means.

    `options`, each for one kind and ignored for others: ENCODER for bert-score; for chat models `prompt` (a file),
    those of SAMPLING, `prefilter` (METRIC:N) and its FILTERS.
    """

    name: str
    kind: Kind | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def only(self, *names: str) -> dict[str, Any]:
        return {name: self.options[name] for name in names if name in self.options}

    @property
    def prefilter(self) -> Prefilter | None:
        """Raises ParameterError where it is not of the form METRIC:N."""
        return (
            prefilter.parsed(self.options["prefilter"], **self.only(*FILTERS))
            if self.options.get("prefilter")
            else None
        )


class Measurement:
    """A metric for the answers of some models (None: all) to the instructions of some scenarios and of one generation,
    as in store.pool. Writes nothing until `run`.

    Raises ParameterError where a name is unknown, or could mean metrics of several kinds.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        choice: MetricChoice,
        *,
        scenarios: Sequence[str] = (),
        generation: str | None = None,
        models: Sequence[str] | None = None,
        pairs: Pairs = "all",
        model_options: Callable[[str], ModelOptions] = lambda name: ModelOptions(),
    ) -> None:
        self._db, self._choice, self._model_options = db, choice, model_options
        self.kind = kind_of(db, choice.name, choice.kind)
        self.name = choice.name if self.kind is None else model_name(db, choice.name)
        self._which: dict[str, Any] = {
            "scenarios": scenarios, "generation": generation, "models": models, "pairs": pairs,
        }  # fmt: skip
        self._scope = measure.scope_of(db, **self._which)

    def run(
        self,
        options: AskOptions | None = None,
        show: Show | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Measured | EmbeddedAndMeasured | ask.AskedAbout:
        """Measures every pair that the metric has not measured. `show` follows the asking, `progress` the measuring."""
        if self.kind is None:
            return measure.measure(self._db, self._scorer, **self._which, progress=progress)
        if self.kind == EMBEDDING:
            return AnswersToEmbed(self._db, self.model, self._scope, progress).run(options, show)
        return ask.ScoresToAsk(self._db, self._chat_metric).run(options, show)

    def dry_run(self, options: AskOptions | None = None) -> Estimate | None:
        """What `run` would ask for; None: no model is asked."""
        if self.kind is None:
            assert self._scorer
            return None
        if self.kind == EMBEDDING:
            return AnswersToEmbed(self._db, self.model, self._scope).dry_run(options)
        return ask.ScoresToAsk(self._db, self._chat_metric).dry_run(options)

    def judgments_after(self, top_k: int) -> int:
        """How many human judgments a selection of `top_k` per model pair asks for, once all is measured."""
        if self.kind is None or self.kind == EMBEDDING:
            return measure.selectable(self._db, self._scope, top_k)
        return ask.judgments_after(self._db, self._chat_metric, top_k)

    @property
    def pool(self) -> str:
        """The instructions whose answers are meant, in words."""
        return pool.described(self._db, vars(self._scope))

    def warnings(self) -> Iterator[str]:
        """What the user should know beforehand."""
        return iter(()) if self.kind in (None, EMBEDDING) else ask.warnings(self._db, self._chat_metric)

    @cached_property
    def model(self) -> AskedModel:
        """The model that is asked."""
        return model_settings.find(self._db, self.name, self._model_options(self.name))

    @cached_property
    def _scorer(self) -> Scorer:
        return metric_named(self._db, self.name, **self._choice.only(*ENCODER))

    @cached_property
    def _chat_metric(self) -> ask.ChatMetric:
        overrides = self._choice.only(*model_settings.SAMPLING)
        if file := self._choice.options.get("prompt"):
            overrides["prompt"] = prompts.from_file(Path(file), *rubric.NEEDED).text
        chosen = self._choice.prefilter
        prompt = ask.settings_for(self._db, self._choice.name, overrides)
        return ask.ChatMetric(self.model, prompt, self._scope, chosen)


def first_requests(db: sqlite3.Connection, choice: MetricChoice, models: int, instructions: int) -> int | None:
    """Requests of a metric that has measured nothing, where each model answers each instruction; None: no requests."""
    kind = kind_of(db, choice.name, choice.kind)
    if kind is None:
        return None
    if kind == EMBEDDING:
        return -(-models * instructions // MOST_TEXTS)
    per_pair = min(instructions, choice.prefilter.most) if choice.prefilter else instructions
    return models * (models - 1) // 2 * per_pair
