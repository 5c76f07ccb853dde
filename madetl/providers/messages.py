"""OpenAI's chat format, which vLLM shares: a request as messages and parameters. Pure functions."""

from __future__ import annotations

from typing import Any

from madetl.providers.base import SAMPLING, ChatRequest, Endpoint


def prompt_and_system(request: ChatRequest, endpoint: Endpoint) -> tuple[str, str | None]:
    """The user's text and the system prompt; a model that takes none of the latter reads it before the question."""
    if request.system and "system" in endpoint.omit:
        return f"{request.system}\n\n{request.prompt}", None
    return request.prompt, request.system or None


def messages(request: ChatRequest, endpoint: Endpoint) -> list[dict[str, str]]:
    prompt, system = prompt_and_system(request, endpoint)
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": prompt}]


def chat_parameters(request: ChatRequest, endpoint: Endpoint) -> dict[str, Any]:
    """What goes beside model and messages: the parameters that the request has, without those that the
    model refuses, under the names that it takes."""
    taken = sampling(request, endpoint)
    form = response_format(request)
    if form is not None and "response_format" not in endpoint.omit:
        taken["response_format"] = form
    names = dict(endpoint.rename)
    return {names.get(name, name): value for name, value in taken.items()}


def sampling(request: ChatRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The parameters of SAMPLING that the request has, under those names, without those that the model refuses."""
    given = {name: getattr(request, name) for name in SAMPLING if name not in endpoint.omit}
    return {name: list(value) if name == "stop" else value for name, value in given.items() if value is not None}


def response_format(request: ChatRequest) -> dict[str, Any] | None:
    """Structured output as OpenAI's `json_schema`; None where no schema was asked for."""
    if request.schema is None:
        return None
    schema = {"name": request.schema_name, "schema": request.schema, "strict": True}
    return {"type": "json_schema", "json_schema": schema}
