"""Stage 2: models answer instructions. Reads `instructions`, writes `responses`.

Every instruction without an answer of the model is asked, through the ledger: an answer that arrived once is not paid
for again. An answer that was cut off at its longest is stored as it is, and counted: it is what the model says within
the length that all models are given. Empty, refused and blocked answers are failures in the ledger, never texts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from madetl.asking import model_settings, prompts
from madetl.asking.ask import AskOptions, AskProgress, AskReport, Estimate, Task, ask_all, estimate, in_pages
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import AskedModel, ModelOptions
from madetl.errors import ParameterError
from madetl.providers.base import ChatAnswer, ChatRequest
from madetl.store import responses, sqlfiles
from madetl.store.database import transaction
from madetl.store.runs import run
from madetl.store.scope import check_scenario

STAGE = "inference"
DEFAULTS: Mapping[str, Any] = {"temperature": 0.0, "max_tokens": 2048, "top_p": None, "system_prompt": None}
_PROMPTS = {"reasoning": "infer_reasoning"}  # by scenario, in lower case; any other: infer


@dataclass(frozen=True)
class Inference:
    """What is to be answered, by whom and how.

    `limit`: only the first so many instructions, the same ones for every model. `overrides`: system prompt and sampling
    (keys of model_settings.ANSWERING) as far as the user gave them.
    """

    model: str
    scenario: str | None = None
    limit: int | None = None
    samples: int = 1
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inferred:
    """What a run did. `known`: answers that were there before; `truncated`: answers cut off, of those stored now."""

    model: str
    report: AskReport
    known: int
    truncated: int = 0

    @property
    def summary(self) -> str:
        """The closing line."""
        stored = self.report.done + self.report.reused
        if not stored and not self.report.undone:
            return f"{self.model}: nothing to do ({self.known:,} known)"
        parts = [f"{self.model}: {stored:,} answers stored ({self.known:,} known)"]
        parts += [f"{self.truncated:,} of them cut off at the longest (--max-tokens)"] if self.truncated else []
        parts += [f"{self.report.undone:,} missing"] if self.report.undone else []
        return ", ".join(parts)


def infer(
    db: sqlite3.Connection,
    inference: Inference,
    model_options: ModelOptions | None = None,
    options: AskOptions | None = None,
    *,
    progress: Callable[[AskProgress, int], None] = lambda moment, total: None,
) -> Inferred:
    """Asks a model for every answer that is missing, and stores each as it comes.

    Raises ParameterError where settings differ from those kept with the model, and what `ask_all` raises.
    """
    options = options or AskOptions()
    work, report = _Work(db, inference, model_options), AskReport()
    if work.missing:
        model_settings.check_access(work.model)
    with run(db, "infer", work.recorded(options)) as this:
        if work.missing:
            work.begin()
            report = ask_all(
                db,
                work.model.caller(STAGE, this.id),
                work.tasks(),
                work.saver(this.id),
                options,
                progress=lambda moment: progress(moment, work.missing),
            )
        result = Inferred(inference.model, report, work.known, work.truncated)
        this.summary = result.summary
    return result


def dry_run(
    db: sqlite3.Connection,
    inference: Inference,
    model_options: ModelOptions | None = None,
    options: AskOptions | None = None,
) -> Estimate:
    """What `infer` would do and cost; nobody is asked, nothing is written."""
    work = _Work(db, inference, model_options)
    return estimate(db, work.model.caller(STAGE, 0), work.tasks(), options or AskOptions())


def request_for(scenario: str, instruction: str, input: str, settings: Mapping[str, Any]) -> ChatRequest:
    """How a model is asked an instruction: in the same words for every model and provider."""
    text = f"{instruction}\n\n{input}" if input else instruction
    return ChatRequest(
        prompt=prompt_for(scenario).fill(instruction=text),
        system=settings["system_prompt"],
        temperature=settings["temperature"],
        top_p=settings["top_p"],
        max_tokens=settings["max_tokens"],
    )


def prompt_for(scenario: str) -> prompts.Prompt:
    """The prompt of a scenario."""
    return prompts.packaged(_PROMPTS.get(scenario.lower(), "infer"))


class _Work:
    """One run's work: who is asked, what is missing, and how it is stored."""

    def __init__(self, db: sqlite3.Connection, inference: Inference, model_options: ModelOptions | None) -> None:
        check_scenario(db, inference.scenario)
        self._db, self._inference = db, inference
        self.model: AskedModel = model_settings.find(db, inference.model, model_options)
        self.settings = model_settings.answering(self.model, inference.overrides, DEFAULTS)
        self._scope = {
            "model_id": self.model.id,
            "scenario": inference.scenario,
            "samples": inference.samples,
        }
        most = -1 if inference.limit is None else inference.limit
        counts = db.execute(sqlfiles.query("inference/answer_counts"), self._scope | {"most": most}).fetchone()
        if not counts["instructions"]:
            raise ParameterError("There are no instructions to answer yet. Bring some: madetl import instructions FILE")
        self.known, self.missing, self._last = counts["known"], counts["answers"] - counts["known"], counts["last"]
        self.truncated = 0

    def recorded(self, options: AskOptions) -> dict[str, Any]:
        """The run's parameters: everything that the answers depend on, with the prompts in force."""
        endpoint = self.model.endpoint
        scenarios = [self._inference.scenario] if self._inference.scenario else self._scenarios()
        kept = {scenario: prompt_for(scenario).kept for scenario in scenarios}
        what = {"model": self._inference.model, "scenario": self._inference.scenario, "limit": self._inference.limit}
        where = {"provider": endpoint.provider, "model_id": endpoint.model_id, "base_url": endpoint.base_url}
        how = {"samples": self._inference.samples, **self.settings, "options": endpoint.options}
        return what | where | how | {"asking": asdict(options), "prompts": kept}

    def begin(self) -> None:
        """Keeps with the model how it is asked from now on."""
        with transaction(self._db):
            self.model = model_settings.register(self._db, self.model, self.settings)

    def tasks(self) -> Iterator[Task]:
        """One task per missing answer; subject is the instruction's id."""
        scope = self._scope | {"model_id": self.model.id, "last": self._last}
        for row in in_pages(self._db, sqlfiles.query("inference/instructions_to_answer"), scope):
            request = request_for(row["scenario"], row["instruction"], row["input"], self.settings)
            for sample in json.loads(row["samples"]):
                yield Task(request, subject=row["id"], sample=sample)

    def saver(self, run_id: int) -> Callable[[sqlite3.Connection, Task, Answer, int], None]:
        def save(db: sqlite3.Connection, task: Task, answer: Answer, call_id: int) -> None:
            assert isinstance(answer, ChatAnswer)
            self.truncated += answer.outcome == "truncated"
            responses.store_answer(
                db,
                answer.text,
                instruction_id=task.subject,
                model_id=self.model.id,
                sample=task.sample,
                call_id=call_id,
                run_id=run_id,
            )

        return save

    def _scenarios(self) -> list[str]:
        return [row[0] for row in self._db.execute("SELECT DISTINCT scenario FROM instructions ORDER BY scenario")]
