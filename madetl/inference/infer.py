"""Stage 2: models answer instructions. Reads `instructions`, writes `responses`.

The model is asked each instruction that it has not answered, through the ledger: an answer that arrived once is not
paid for again. An answer that was cut off at the longest permitted length is stored as it is, and counted: all models
have the same length. Empty, refused and blocked answers are failures in the ledger, never texts.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from madetl.asking import model_settings, prompts
from madetl.asking.ask import AskReport, Task, in_pages
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import ModelOptions
from madetl.asking.stage_work import StageWork
from madetl.errors import ParameterError
from madetl.providers.base import ChatAnswer, ChatRequest
from madetl.store import pool, responses, sqlfiles
from madetl.store.scope import check_scenarios
from madetl.text import counted, with_input

DEFAULTS: Mapping[str, Any] = {"temperature": 0.0, "max_tokens": 2048, "top_p": None, "system_prompt": None}
_PROMPTS = {"reasoning": "infer_reasoning"}  # by scenario, in lower case; any other: infer


@dataclass(frozen=True)
class Inference:
    """What is to be answered, by which model and how.

    `scenarios`: () for all. `generation`: as in store.pool; None: rewritings, or seeds where there are none. `limit`:
    only the first so many instructions, the same ones for every model. `overrides`: system prompt and sampling
    (keys of model_settings.ANSWERING) that the user gave.
    """

    model: str
    scenarios: Sequence[str] = ()
    generation: str | None = None
    limit: int | None = None
    samples: int = 1
    overrides: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Inferred:
    """What a run did. `known`: answers that were there before; `truncated`: answers cut off, of those stored now.

    `pool`: the instructions that were to be answered, in words.
    """

    model: str
    report: AskReport
    known: int
    truncated: int = 0
    pool: str = ""

    @property
    def summary(self) -> str:
        """The closing line."""
        stored = self.report.done + self.report.reused
        if not stored and not self.report.undone:
            return f"{self.model}: nothing to do ({self.known:,} known)"
        parts = [f"{self.model}: {counted(stored, 'answer')} stored ({self.known:,} known)"]
        parts += [f"{self.truncated:,} of them cut off at the longest (--max-tokens)"] if self.truncated else []
        parts += [f"{self.report.undone:,} missing"] if self.report.undone else []
        return ", ".join(parts)


def request_for(scenario: str, instruction: str, input: str, settings: Mapping[str, Any]) -> ChatRequest:
    """How a model is asked an instruction: in the same words for every model and provider."""
    return ChatRequest(
        prompt=prompt_for(scenario).fill(instruction=with_input(instruction, input)),
        system=settings["system_prompt"],
        temperature=settings["temperature"],
        top_p=settings["top_p"],
        max_tokens=settings["max_tokens"],
    )


def prompt_for(scenario: str) -> prompts.Prompt:
    """The prompt of a scenario."""
    return prompts.packaged(_PROMPTS.get(scenario.lower(), "infer"))


class AnswersToAsk(StageWork[Inferred]):
    """The answers that a model has not given yet. `run` stores each as it comes.

    Raises ParameterError where settings differ from those kept with the model, a scenario is unknown, or there are no
    instructions of the generation.
    """

    stage, command = "inference", "infer"

    def __init__(self, db: sqlite3.Connection, inference: Inference, model_options: ModelOptions | None = None) -> None:
        check_scenarios(db, inference.scenarios)
        super().__init__(db, model_settings.find(db, inference.model, model_options))
        self._inference = inference
        self.settings = model_settings.answering(self.model, inference.overrides, DEFAULTS)
        self._instructions = pool.bindings(inference.scenarios, inference.generation)
        pool.check(db, self._instructions)
        self._scope = {**self._instructions, "samples": inference.samples}
        most = {"most": -1 if inference.limit is None else inference.limit, "model_id": self.model.id}
        self._counts = db.execute(sqlfiles.query("inference/answer_counts"), self._scope | most).fetchone()
        if not self._counts["instructions"]:
            raise ParameterError("There are no instructions to answer yet. Bring some: madetl import instructions FILE")
        self._truncated = 0

    @property
    def pool(self) -> str:
        """The instructions that are to be answered, in words."""
        return pool.described(self.db, self._instructions, self._inference.limit)

    def count_missing(self) -> int:
        return int(self._counts["answers"] - self._counts["known"])

    def parameters(self) -> dict[str, Any]:
        kept = {each.scenario: prompt_for(each.scenario).kept for each in pool.sizes(self.db, self._instructions)}
        what = {name: value for name, value in vars(self._inference).items() if name != "overrides"}
        return what | self.model.recorded | self.settings | {"prompts": kept}

    def register(self) -> None:
        """Keeps with the model how it is asked from now on."""
        self.model = model_settings.register(self.db, self.model, self.settings)

    def tasks(self) -> Iterator[Task]:
        """One task per missing answer; subject is the instruction's id."""
        scope = self._scope | {"model_id": self.model.id, "last": self._counts["last"]}
        for row in in_pages(self.db, sqlfiles.query("inference/instructions_to_answer"), scope):
            request = request_for(row["scenario"], row["instruction"], row["input"], self.settings)
            for sample in json.loads(row["samples"]):
                yield Task(request, subject=row["id"], sample=sample)

    def save(self, db: sqlite3.Connection, task: Task, answer: Answer, call_id: int) -> None:
        assert isinstance(answer, ChatAnswer)
        self._truncated += answer.outcome == "truncated"
        responses.store_answer(
            db,
            answer.text,
            instruction_id=task.subject,
            model_id=self.model.id,
            sample=task.sample,
            call_id=call_id,
            run_id=self.run_id,
        )

    def result(self, report: AskReport) -> Inferred:
        return Inferred(self.model.name, report, self._counts["known"], self._truncated, self.pool)
