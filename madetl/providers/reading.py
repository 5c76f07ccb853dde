"""Reads what a provider sends, and says what of it is not as its format has it: pydantic at the border.

What does not fit is a ProviderError with the outcome 'invalid', which names the field and what was found there. It
keeps the counts of tokens, where those can be read: they are paid for.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from madetl.providers.base import Embeddings, ProviderError
from madetl.providers.failures import clean
from madetl.providers.keys import KeyAccess
from madetl.text import counted

MOST_TOKENS = 10**9  # in one request or answer, a thousand times what models take


def _whole(value: Any) -> Any:
    """JSON has one kind of number: 12.0 counts as 12."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Count = Annotated[int, BeforeValidator(_whole), Field(strict=True, ge=0, le=MOST_TOKENS)]
Vector = Annotated[list[Annotated[float, Field(strict=True, allow_inf_nan=False)]], Field(min_length=1)]
_COUNT: TypeAdapter[int] = TypeAdapter(Count)


class Part(BaseModel):
    """Some of a provider's JSON: text is text and a list a list; what is not named here is left alone."""

    model_config = ConfigDict(strict=True, frozen=True)


Fitting = TypeVar("Fitting", bound=BaseModel)


@dataclass(frozen=True)
class Reply:
    """A whole answer of HTTP status 200, or of a model in this process (status None)."""

    data: Any
    status: int | None
    latency: float
    access: KeyAccess | None = None

    def fitted(self, model: type[Fitting], **paid: int | None) -> Fitting:
        """The data as the format has it. `paid`: tokens_in and tokens_out. Raises ProviderError."""
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            reason = _reason(error)
        raise self.invalid(reason, **paid)

    def invalid(self, reason: str, **paid: int | None) -> ProviderError:
        """The error for an answer that does not fit."""
        return ProviderError(
            self.clean(f"the answer does not fit its format: {reason}"),
            outcome="invalid",
            http_status=self.status,
            latency=self.latency,
            tokens_in=paid.get("tokens_in"),
            tokens_out=paid.get("tokens_out"),
        )

    def clean(self, words: str) -> str:
        """The words without a key."""
        return clean(words, self.access) if self.access else words

    def embeddings(
        self, vectors: Sequence[Sequence[float]], cut: Sequence[bool], version: str | None, tokens_in: int | None
    ) -> Embeddings:
        """The vectors of as many texts as `cut` has. Raises ProviderError where they are not that."""
        if fault := _fault(vectors, len(cut)):
            raise self.invalid(fault, tokens_in=tokens_in)
        return Embeddings(vectors, cut, version, tokens_in, self.latency, self.status)


def parsed(body: bytes, status: int, latency: float, access: KeyAccess, hint: str | None = None) -> Reply:
    """The body's JSON. Raises ProviderError where it is none, which may pass."""
    try:
        return Reply(json.loads(body), status, latency, access)
    except (ValueError, RecursionError):
        message = clean(f"not JSON: {body[:200].decode(errors='replace')}", access)
    raise ProviderError(message, outcome="server_error", http_status=status, latency=latency, hint=hint)


def shown(value: Any) -> str:
    """A value of any size and depth in a few words."""
    return _SHOWN.repr(value)


def member(data: Any, *path: str | int) -> Any:
    """What stands at a path of names and numbers; None where nothing does."""
    for step in path:
        if isinstance(step, str):
            data = data.get(step) if isinstance(data, dict) else None
        else:
            data = data[step] if isinstance(data, list) and step < len(data) else None
    return data


def count_at(data: Any, *path: str | int) -> int | None:
    """The number of tokens at that path, if one can be read there."""
    try:
        return _COUNT.validate_python(member(data, *path))
    except ValidationError:
        return None


def _reason(error: ValidationError) -> str:
    """The first fault in words: where, what is meant, and what was found."""
    fault = error.errors(include_url=False)[0]
    where = ".".join(map(str, fault["loc"])) or "all of it"
    words = "input should be an object" if fault["type"] == "model_type" else fault["msg"].removeprefix("Value error, ")
    found = "" if fault["type"] == "missing" else f", found {shown(fault['input'])}"
    return f"{where}: {words[:1].lower()}{words[1:]}{found}"


def _fault(vectors: Sequence[Sequence[float]], texts: int) -> str | None:
    if len(vectors) != texts:
        return f"{counted(len(vectors), 'embedding')} came for {counted(texts, 'text')}"
    lengths = sorted({len(vector) for vector in vectors})
    if len(lengths) > 1 or not lengths[0]:
        return f"the embeddings are of different lengths: {', '.join(map(str, lengths))}"
    matrix = np.asarray(vectors, dtype=np.float64)
    if not np.isfinite(matrix).all():
        return "an embedding holds what is no finite number"
    return None if matrix.any(axis=1).all() else "an embedding is zero throughout"


_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 60
_SHOWN.maxdict = _SHOWN.maxlist = 3
_SHOWN.maxlevel = 2
