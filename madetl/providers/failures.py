"""What a provider's refusal means: an HTTP status, headers and the provider's own words, turned into a ProviderError.

Pure functions. The statuses are those of RFC 9110, of OpenAI's and Gemini's error documents, and of the gateways that
copy them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from madetl.providers.base import SAMPLING, Outcome, ProviderError
from madetl.providers.keys import KeyAccess

_LONGEST_MESSAGE = 500  # characters: a gateway's error page is no message
_WRONG_KEY = {"invalid_api_key", "API_KEY_INVALID", "UNAUTHENTICATED"}
_NO_SUCH_MODEL = {"model_not_found", "model_not_available"}
_USED_UP = {"insufficient_quota", "billing_hard_limit_reached"}
_BLOCKED = {"content_filter", "content_policy_violation", "moderation_blocked"}
_WE_SEND = (*SAMPLING, "max_completion_tokens", "response_format")

_NOT_TAKEN = re.compile(
    r"Unsupported parameter: '?(?P<a>\w+)'?"
    r"|Unsupported value: '?(?P<b>temperature|top_p|(?:presence|frequency)_penalty|response_format)'? does not support"
    r"|Invalid parameter: '?(?P<c>response_format)'? .*not supported"
    r"|Unrecognized request argument supplied: (?P<d>\w+)"
    r"|[`']?(?P<e>temperature|top_p|max_tokens|(?:presence|frequency)_penalty|stop)[`']?"
    r" is (?:not supported|deprecated) (?:for|with|by) this model"
)
_NO_SYSTEM = re.compile(r"does not support 'system' with this model|Developer instruction is not enabled", re.I)
_NO_JSON = re.compile(r"JSON mode is not enabled", re.I)
_NO_THRESHOLD = re.compile(r"restricted HarmBlockThreshold|safety.?settings?\b.*(?:not allowed|not supported)", re.I)
_REPLACEMENT = re.compile(r"[Uu]se [`']?(\w+)[`']? instead")


@dataclass(frozen=True)
class Refusal:
    """An answer that is none: the status, the provider's words, its codes, and the seconds it asked to wait."""

    status: int
    message: str
    codes: frozenset[str] = frozenset()
    param: str | None = None
    retry_after: float | None = None


def openai_refusal(status: int, body: Any, headers: Mapping[str, str]) -> Refusal:
    """Reads `{"error": {"message", "code", "type", "param"}}`, and what gateways send instead."""
    error = body.get("error", body) if isinstance(body, dict) else body
    wait = retry_after(headers)
    if not isinstance(error, dict):
        return Refusal(status, str(error or ""), retry_after=wait)
    codes = {str(error[name]) for name in ("code", "type") if error.get(name) is not None}
    message = error.get("message") or error.get("detail") or body.get("detail") or error
    param = error.get("param")
    return Refusal(status, str(message), frozenset(codes), None if param is None else str(param), wait)


def gemini_refusal(status: int, body: Any, headers: Mapping[str, str]) -> Refusal:
    """Reads `{"error": {"code", "message", "status", "details": [ErrorInfo, RetryInfo, QuotaFailure]}}`."""
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error", body) if isinstance(body, dict) else {"message": str(body or "")}
    error = error if isinstance(error, dict) else {"message": str(error)}
    details = error.get("details")
    details = [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
    codes = {str(error["status"])} if error.get("status") else set()
    codes |= {str(detail["reason"]) for detail in details if detail.get("reason")}
    if "PerDay" in str([detail.get("violations") for detail in details]):
        codes.add("insufficient_quota")
    delays = [_seconds(str(detail["retryDelay"]).rstrip("s")) for detail in details if "retryDelay" in detail]
    wait = retry_after(headers)
    wait = wait if wait is not None else next((delay for delay in delays if delay is not None), None)
    return Refusal(status, str(error.get("message") or ""), frozenset(codes), None, wait)


def from_refusal(refusal: Refusal, access: KeyAccess, latency: float) -> ProviderError:
    """The error that goes into the ledger, with a hint for what a person can do about it."""
    outcome, fatal, hint = _meaning(refusal, access)
    parameter, replacement = refused_parameter(refusal)
    words = " ".join(refusal.message.split()) or "the server gave no reason"
    return ProviderError(
        clean(f"HTTP {refusal.status}: {words}", access),
        outcome=outcome,
        http_status=refusal.status,
        retry_after=refusal.retry_after,
        fatal=fatal,
        hint=hint,
        refused_parameter=parameter,
        replacement=replacement,
        latency=latency,
    )


def clean(words: str, access: KeyAccess) -> str:
    """The words on one line of bearable length, without a key."""
    words = access.scrub(" ".join(words.split()))
    return words if len(words) <= _LONGEST_MESSAGE else f"{words[:_LONGEST_MESSAGE]}…"


def refused_parameter(refusal: Refusal) -> tuple[str | None, str | None]:
    """The parameter that the model does not take and the one to use instead; (None, None) if it was not about one."""
    if refusal.status not in (400, 422):
        return None, None
    if _NO_SYSTEM.search(refusal.message):
        return "system", None
    if _NO_JSON.search(refusal.message):
        return "response_format", None
    found = _NOT_TAKEN.search(refusal.message)
    name = next((group for group in found.groups() if group), None) if found else None
    if name is None and refusal.codes & {"unsupported_parameter", "unknown_parameter"}:
        name = refusal.param
    if name not in _WE_SEND:
        return None, None
    instead = _REPLACEMENT.search(refusal.message)
    return name, instead[1] if instead else None


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date (RFC 9110, 10.2.3)."""
    fields = {name.lower(): value for name, value in headers.items()}
    milliseconds = _seconds(fields.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = fields.get("retry-after", "").strip()
    seconds = _seconds(value)
    return seconds if seconds is not None else _until(value, now or datetime.now(UTC))


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(date: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def _meaning(refusal: Refusal, access: KeyAccess) -> tuple[Outcome, bool, str | None]:  # noqa: PLR0911
    """Outcome, whether every other request will fail the same way, and a hint."""
    status, codes = refusal.status, refusal.codes
    if codes & _BLOCKED or (status == 403 and re.search(r"moderation|flagged", refusal.message, re.I)):
        return "blocked", False, None
    if codes & _USED_UP or status == 402:
        return "rate_limited", True, "The account's quota is used up: add credit or wait for the next period."
    if status in (401, 403) or codes & _WRONG_KEY:
        return "client_error", True, _key_hint(access)
    if status == 404 or codes & _NO_SUCH_MODEL:
        hint = f"Is the model still offered, under this name, at {access.base_url}? --model-id gives another name."
        return "client_error", True, hint
    if 300 <= status < 400 or status == 405:
        return "client_error", True, f"{access.base_url} is not the address of the API; --base-url gives another."
    if status == 429:
        return "rate_limited", False, None
    if status in (408, 504, 524):
        return "timeout", False, None
    if status >= 500 or status in (409, 425):
        return "server_error", False, None
    if "location is not supported" in refusal.message:
        return "client_error", True, "The provider does not serve this country."
    if _NO_THRESHOLD.search(refusal.message):
        return "client_error", True, "--safety default asks with the provider's own thresholds."
    return "client_error", False, None


def _key_hint(access: KeyAccess) -> str:
    if access.key is None:
        return f"No key was sent to {access.base_url}: name its variable with --key-env."
    return f"Check the key in {access.key_name}, and that it may use this model."
