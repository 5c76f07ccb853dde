"""A chat model as a judge: how it is asked which of two answers is better, and what two answers of its own come to.

It is asked in both orders, since models favour the first answer or the second. Pure functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from madetl.asking.structured import PromptSettings, object_schema, read
from madetl.providers.base import ChatAnswer, ChatRequest
from madetl.records import Winner
from madetl.store.judgments import Side

NEEDED = ("instruction", "first", "second")  # what a prompt has places for; {reference} is for a reference answer
SCHEMA = object_schema(
    reason={"type": "string", "description": "What decided, in two or three sentences."},
    verdict={"type": "string", "enum": ["first", "second", "tie"], "description": "Which answer is better."},
)
ORDERS: tuple[Side, Side] = ("model_a", "model_b")

_FLIPS = "Flips with the order"
FIRST = f"{_FLIPS}: the answer that stood first, both times."
SECOND = f"{_FLIPS}: the answer that stood second, both times."
TIE_ONCE = f"{_FLIPS}: a tie in one order, a winner in the other."
FLIPS = (FIRST, SECOND, TIE_ONCE)
"""The remarks on verdicts that differ between the orders."""


@dataclass(frozen=True)
class OrderedVerdict:
    """The verdict in one order, in canonical terms, and why."""

    shown_first: Side
    winner: Winner
    reason: str


def request(
    settings: PromptSettings, instruction: str, reference: str | None, *, first: str, second: str
) -> ChatRequest:
    """The question about two answers in one order."""
    known = f"\n<reference_answer>\n{reference}\n</reference_answer>\n" if reference else ""
    return settings.request(SCHEMA, "verdict", instruction=instruction, reference=known, first=first, second=second)


def in_order(answer: ChatAnswer, shown_first: Side) -> OrderedVerdict:
    """The verdict in an answer that was checked."""
    found = read(answer, SCHEMA)
    a_first = shown_first == "model_a"
    sides: dict[str, Winner] = {
        "first": "model_a" if a_first else "model_b",
        "second": "model_b" if a_first else "model_a",
        "tie": "tie",
    }
    return OrderedVerdict(shown_first, sides[found["verdict"]], str(found["reason"]))


def together(one: OrderedVerdict, other: OrderedVerdict) -> tuple[Winner, str]:
    """The verdict of both orders and its comment: where they agree, the reason of `one`, else a tie with a remark."""
    if one.winner == other.winner:
        return one.winner, one.reason
    if "tie" in (one.winner, other.winner):
        return "tie", TIE_ONCE
    return "tie", FIRST if one.winner == one.shown_first else SECOND
