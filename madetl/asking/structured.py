"""Structured output: how it is asked for, how the JSON object is read out of an answer, and what is wrong with it.

A schema here is a JSON Schema of one object with required strings, numbers in a range, or words out of a list: what a
model can be held to, and what the providers' own structured output takes. Pure functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from madetl.asking.ask import Unusable
from madetl.asking.prompts import Prompt, packaged
from madetl.providers.base import SAMPLING, ChatAnswer, ChatRequest

_FENCED = re.compile(r"```(?:json)?\s*(\{.*\})\s*```", re.DOTALL)
_ALWAYS_NAMED = ("temperature", "top_p")  # the others are no part of the parameters where they are not given
_LONGEST_SHOWN = 2000  # characters of a bad answer that a repair repeats
DECIDING = tuple(name for name in SAMPLING if name != "max_tokens")
"""What of SAMPLING decides about a usable answer."""


@dataclass(frozen=True)
class PromptSettings:
    """How a model is asked for answers that keep a schema: prompt and sampling. None: the provider's default."""

    prompt: Prompt
    temperature: float | None = 0.0
    top_p: float | None = None
    max_tokens: int | None = 2048
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What of it decides about answers; the full text of the prompt among it.

        How long an answer may be is no part: one that was cut off is not used, and others do not depend on it.
        """
        sampling = {name: getattr(self, name) for name in DECIDING}
        given = {name: value for name, value in sampling.items() if value is not None or name in _ALWAYS_NAMED}
        return {"prompt": self.prompt.text, "prompt_hash": self.prompt.hash, **given}

    def request(self, schema: dict[str, Any], schema_name: str, **texts: str) -> ChatRequest:
        """The question with these texts in the prompt's places."""
        return ChatRequest(
            prompt=self.prompt.fill(**texts),
            schema=schema,
            schema_name=schema_name,
            **{name: getattr(self, name) for name in SAMPLING},
        )


def prompt_settings(name: str, parameters: Mapping[str, Any]) -> PromptSettings:
    """The settings of these parameters: those of `PromptSettings.parameters`, and max_tokens.

    What is left out is the default; the default prompt is the packaged one of that name.
    """
    prompt = Prompt(name, parameters["prompt"]) if "prompt" in parameters else packaged(name)
    return PromptSettings(prompt, **sampling_of(parameters))


def sampling_of(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of SAMPLING that are among the parameters, as a request takes them."""
    given = {name: parameters[name] for name in SAMPLING if name in parameters}
    return given | ({"stop": tuple(given["stop"])} if given.get("stop") is not None else {})


def object_schema(**properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of an object that has exactly these properties, in the strict form that OpenAI asks for."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read(answer: ChatAnswer, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The object that the answer holds, also in a fence of Markdown. Raises ValueError with the fault in words."""
    if answer.outcome == "truncated":
        raise ValueError("it was cut off before its end: a larger --max-tokens leaves room for it")
    text = answer.text.strip()
    if (fenced := _FENCED.search(text)) is not None:
        text = fenced[1]
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    for name, rule in schema["properties"].items():
        _check(name, value, rule)
    return value


def checked(answer: ChatAnswer, request: ChatRequest, *, repair: bool = True) -> dict[str, Any]:
    """The object that the answer to this request holds. Raises Unusable where it holds none, with what to ask instead:
    the same with the fault named, or the same again."""
    assert request.schema is not None
    try:
        return read(answer, request.schema)
    except ValueError as fault:
        raise Unusable(str(fault), repaired(request, answer.text, str(fault)) if repair else None) from fault


def checker(request: ChatRequest) -> Callable[[ChatAnswer], None]:
    """A task's `check`: raises Unusable for an answer to this request that does not keep to its schema."""

    def check(answer: ChatAnswer) -> None:
        checked(answer, request)

    return check


def repaired(request: ChatRequest, bad: str, fault: str) -> ChatRequest:
    """The request again, with the unusable answer and what was wrong with it."""
    prompt = f"{request.prompt}\n\nYour last answer was:\n{bad[:_LONGEST_SHOWN]}\n\nIt cannot be used: {fault}."
    return replace(request, prompt=f"{prompt} Answer again, with the JSON object alone.")


def _check(name: str, value: Mapping[str, Any], rule: Mapping[str, Any]) -> None:
    """Raises ValueError where a property is missing or not what the rule says."""
    if name not in value:
        raise ValueError(f"it has no {name!r}")
    found = value[name]
    if "enum" in rule and found not in rule["enum"]:
        raise ValueError(f"{name!r} is {found!r}, and should be one of {', '.join(map(str, rule['enum']))}")
    if rule["type"] == "string" and (not isinstance(found, str) or not found.strip()):
        raise ValueError(f"{name!r} is no text")
    if rule["type"] == "number":
        _check_number(name, found, rule)


def _check_number(name: str, found: Any, rule: Mapping[str, Any]) -> None:
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"{name!r} is no number")
    least, most = rule.get("minimum", float("-inf")), rule.get("maximum", float("inf"))
    if not least <= found <= most:
        raise ValueError(f"{name!r} is {found}, and should be from {least} to {most}")
