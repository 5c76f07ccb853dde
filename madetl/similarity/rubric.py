"""A chat model as the metric: how it is asked how alike two answers are, and how its answer is read. Pure functions."""

from __future__ import annotations

from madetl.asking.structured import PromptSettings, object_schema, read
from madetl.providers.base import ChatAnswer, ChatRequest
from madetl.text import text_hash

NEEDED = ("instruction", "first", "second")  # what a prompt has places for
SCHEMA = object_schema(
    explanation={"type": "string", "description": "The differences that decided, in two or three sentences."},
    score={"type": "number", "minimum": 0, "maximum": 1, "description": "How alike the two answers are."},
)


def request(settings: PromptSettings, instruction: str, one: str, other: str) -> ChatRequest:
    """The question about two answers, the same one whichever of them is named first.

    The answer whose text has the lower SHA-256 stands first: this is as good as random, and favours no model.
    """
    first, second = sorted((one, other), key=text_hash)
    return settings.request(SCHEMA, "similarity", instruction=instruction, first=first, second=second)


def reading(answer: ChatAnswer) -> tuple[float, str]:
    """The score in [0, 1], and the explanation, of an answer that was checked."""
    found = read(answer, SCHEMA)
    return float(found["score"]), str(found["explanation"])
