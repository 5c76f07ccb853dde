"""A chat model as the metric: how it is asked how alike two answers are, and how its answer is read. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from madetl.asking.prompts import Prompt, packaged
from madetl.asking.structured import object_schema, read
from madetl.providers.base import ChatAnswer, ChatRequest
from madetl.text import text_hash

NEEDED = ("instruction", "first", "second")  # what a prompt has places for
SCHEMA = object_schema(
    explanation={"type": "string", "description": "The differences that decided, in two or three sentences."},
    score={"type": "number", "minimum": 0, "maximum": 1, "description": "How alike the two answers are."},
)


@dataclass(frozen=True)
class Rubric:
    """How the model is asked: the prompt and the sampling."""

    prompt: Prompt
    temperature: float | None = 0.0
    top_p: float | None = None
    max_tokens: int | None = 2048

    @property
    def parameters(self) -> dict[str, Any]:
        """What of it makes the metric; the full text of the prompt among it.

        How long an answer may be is no part: one that was cut off is no score, and others do not depend on it.
        """
        sampling = {"temperature": self.temperature, "top_p": self.top_p}
        return {"prompt": self.prompt.text, "prompt_hash": self.prompt.hash, **sampling}


def rubric(parameters: Mapping[str, Any] | None = None) -> Rubric:
    """The rubric of these parameters (those of `Rubric.parameters`, max_tokens); what is left out is the default."""
    given = dict(parameters or {})
    prompt = Prompt("similarity", given.pop("prompt")) if "prompt" in given else packaged("similarity")
    sampling = {name: given[name] for name in ("temperature", "top_p", "max_tokens") if name in given}
    return Rubric(prompt, **sampling)


def request(how: Rubric, instruction: str, one: str, other: str) -> ChatRequest:
    """The question about two answers, the same one whichever of them is named first.

    The answer whose text has the lower SHA-256 stands first: as good as random, whoever gave it.
    """
    first, second = sorted((one, other), key=text_hash)
    return ChatRequest(
        prompt=how.prompt.fill(instruction=instruction, first=first, second=second),
        temperature=how.temperature,
        top_p=how.top_p,
        max_tokens=how.max_tokens,
        schema=SCHEMA,
        schema_name="similarity",
    )


def reading(answer: ChatAnswer) -> tuple[float, str]:
    """The score in [0, 1], and the explanation, of an answer that was checked."""
    found = read(answer, SCHEMA)
    return float(found["score"]), str(found["explanation"])
