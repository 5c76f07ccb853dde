"""What asking will cost, before it begins: requests, tokens and USD, with the rules that the figures come from.

Reads the ledger and changes nothing.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from madetl.asking import ledger
from madetl.asking.ledger import EmbedRequest, Request
from madetl.asking.tasks import AskOptions, Caller, Task

TOKENS_IN_RULE = "a token for 4 Latin characters, and one for each character of other scripts"
ASSUMED_TOKENS_OUT = 400
_LAST_LATIN = 0x024F
_FRAME = 16  # tokens that a chat template puts around a question


@dataclass
class Estimate:
    """What a run would do. `cost` is in USD; None: a price is unknown. `tokens_out_rule` says where tokens_out is from.

    `reused`: answers that the ledger has; `left`: failures that would not be asked again, by outcome.
    """

    requests: int = 0
    reused: int = 0
    left: Counter[str] = field(default_factory=Counter)
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float | None = 0.0
    tokens_in_rule: str = TOKENS_IN_RULE
    tokens_out_rule: str = ""


def estimate(db: sqlite3.Connection, caller: Caller, tasks: Iterable[Task], options: AskOptions) -> Estimate:
    """Goes through the tasks as a run would, without sending any. Every request is taken to succeed at once."""
    found = Estimate()
    mean = ledger.mean_tokens_out(db, caller.stage, caller.model_id)
    found.tokens_out_rule = _rule(mean)
    seen: set[bytes] = set()
    for task in tasks:
        key = ledger.request_hash(caller.endpoint, task.request)
        identity = bytes.fromhex(key)[:16] + task.sample.to_bytes(4, "big")
        if identity in seen or _is_known(db, caller, task, key, options=options, found=found):
            found.reused += identity in seen
            continue
        seen.add(identity)
        found.requests += 1
        found.tokens_in += tokens_in(task.request)
        found.tokens_out += _tokens_out(task.request, mean)
    found.cost = caller.price.cost(found.tokens_in, found.tokens_out)
    return found


def tokens_in(request: Request) -> int:
    """Tokens of a request, estimated by TOKENS_IN_RULE."""
    frame = 0 if isinstance(request, EmbedRequest) else _FRAME
    return frame + sum(_estimated(text) for text in _texts(request))


def most_tokens(request: Request) -> tuple[int, int | None]:
    """The most tokens that a request can have and its answer can take; None: nothing limits the answer.

    A token of a byte-level vocabulary holds at least one byte of UTF-8.
    """
    bytes_in = sum(len(text.encode("utf-8", "surrogatepass")) for text in _texts(request))
    if isinstance(request, EmbedRequest):
        return bytes_in, 0
    return _FRAME + bytes_in, request.max_tokens


def _is_known(
    db: sqlite3.Connection, caller: Caller, task: Task, key: str, *, options: AskOptions, found: Estimate
) -> bool:
    """Whether the ledger has an answer, or a failure that is not asked again; counts it in `found`."""
    rows = ledger.attempts(db, caller.model_id, key, task.sample)
    known = ledger.history(rows, caller.run_id if options.fresh else None)
    if known.answered is not None:
        found.reused += 1
        return True
    if known.last is not None and known.failed_for_good and not options.retry_failed:
        found.left[known.last["outcome"]] += 1
        return True
    return False


def _rule(mean: float | None) -> str:
    if mean is None:
        return f"{ASSUMED_TOKENS_OUT} tokens an answer are assumed, or --max-tokens where that is less"
    return f"{mean:.0f} tokens an answer, the mean of this model's answers at this stage so far"


def _tokens_out(request: Request, mean: float | None) -> int:
    if isinstance(request, EmbedRequest):
        return 0
    expected = ASSUMED_TOKENS_OUT if mean is None else math.ceil(mean)
    return expected if request.max_tokens is None else min(expected, request.max_tokens)


def _estimated(text: str) -> int:
    latin = sum(ord(character) <= _LAST_LATIN for character in text)
    return math.ceil(latin / 4) + len(text) - latin


def _texts(request: Request) -> list[str]:
    if isinstance(request, EmbedRequest):
        return list(request.texts)
    schema = json.dumps(request.schema, ensure_ascii=False) if request.schema is not None else ""
    return [request.prompt, request.system or "", schema]
