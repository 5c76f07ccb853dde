"""Gemini's formats: a request's settings under its names, and its answers read.

Pure functions that both of Google's packages share. The formats are those of REST's `models.generateContent`.
"""

from __future__ import annotations

import json
from typing import Any

from madetl.providers.base import ChatAnswer, ChatRequest, Endpoint, ProviderError
from madetl.providers.failures import clean
from madetl.providers.keys import KeyAccess
from madetl.providers.messages import sampling

_DONE = {"STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED", None}
"""Any other finish reason (SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, SPII, LANGUAGE, …) is a block."""


SAFETY = ("block-none", "default")
"""Values of the option `safety`: ask that no answer is held back, the default here; or leave that to Gemini."""
_HARMS = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_NAMES = {"max_tokens": "max_output_tokens", "stop": "stop_sequences"}


def safety_settings(endpoint: Endpoint) -> list[dict[str, str]]:
    """What the endpoint's option `safety` asks for, as REST's `safetySettings`; nothing for "default".

    Source: the method's inference script asks with BLOCK_NONE in these four categories.
    """
    if endpoint.options.get("safety") == "default":
        return []
    return [{"category": f"HARM_CATEGORY_{harm}", "threshold": "BLOCK_NONE"} for harm in _HARMS]


def generation_settings(request: ChatRequest, endpoint: Endpoint) -> dict[str, Any]:
    """The request's parameters under Gemini's names, without those that the model refuses."""
    taken = {_NAMES.get(name, name): value for name, value in sampling(request, endpoint).items()}
    if request.schema is None or "response_format" in endpoint.omit:
        return taken
    return taken | {"response_mime_type": "application/json", "response_json_schema": request.schema}


def read_chat(data: Any, status: int, latency: float, access: KeyAccess) -> ChatAnswer:
    """A GenerateContentResponse as an answer. Raises ProviderError: blocked (with the reason), or no answer at all."""
    data = _dict(data)
    usage, feedback = _dict(data.get("usageMetadata")), _dict(data.get("promptFeedback"))
    candidates = data.get("candidates")
    candidate = _dict(candidates[0]) if isinstance(candidates, list) and candidates else {}
    reason = candidate.get("finishReason")
    parts = _dict(candidate.get("content")).get("parts") or []
    text = "".join(str(_dict(part).get("text") or "") for part in parts if not _dict(part).get("thought"))
    seen = {
        "tokens_in": _count(usage.get("promptTokenCount")),
        "tokens_out": _tokens_out(usage),
        "model_version": data.get("modelVersion"),
        "latency": latency,
        "http_status": status,
    }
    if feedback.get("blockReason") or reason not in _DONE:
        raise _blocked(feedback, candidate, text, access, seen)
    if not candidate:
        raise ProviderError(clean(f"no answer in {json.dumps(data)}", access), outcome="server_error", **seen)
    outcome = "empty" if not text.strip() else "truncated" if reason == "MAX_TOKENS" else "ok"
    return ChatAnswer(text, outcome, reason, **seen)  # type: ignore[arg-type]


def _blocked(
    feedback: dict[str, Any], candidate: dict[str, Any], text: str, access: KeyAccess, seen: dict[str, Any]
) -> ProviderError:
    words = feedback.get("blockReasonMessage") or candidate.get("finishMessage")
    where = f"prompt: {feedback['blockReason']}" if feedback.get("blockReason") else f"{candidate.get('finishReason')}"
    ratings = feedback.get("safetyRatings") or candidate.get("safetyRatings") or []
    high = [str(_dict(rating).get("category")) for rating in ratings if _dict(rating).get("blocked")]
    message = ", ".join([f"blocked ({where})", *high, *([str(words)] if words else [])])
    return ProviderError(clean(message, access), outcome="blocked", text=text or None, **seen)


def _tokens_out(usage: dict[str, Any]) -> int | None:
    """What is paid for as output: the thoughts too."""
    counts = [_count(usage.get(name)) for name in ("candidatesTokenCount", "thoughtsTokenCount")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
