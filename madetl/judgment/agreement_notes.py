"""What a reader must know to read a report on agreement, in words: each function looks at one thing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from madetl.judgment.agreement import ScenarioAgreement

LOPSIDED = 0.05  # between alpha and unordered alpha; less is not worth a reader's time
FEW_ITEMS = 20  # below, alpha's interval says more about the draw than about the people


@dataclass(frozen=True)
class Note:
    """What a reader must know; `kind` names what it is about."""

    kind: str
    text: str


def notes(scenarios: Sequence[ScenarioAgreement]) -> list[Note]:
    """The notes on the first of the scenarios, which holds all verdicts that the report is about."""
    first = scenarios[0]
    about_all = (_overlap, _alike, _lopsided, _later, _order, _time, _repeats)
    found = [_few(scenarios), *(about(first) for about in about_all)]
    return [note for note in found if note]


def _overlap(found: ScenarioAgreement) -> Note | None:
    """Where nothing can be said about people: why, and which command mends it."""
    if found.shared:
        return None
    why = {0: "No person has judged anything", 1: "Only one person has judged"}.get(
        found.people, "No item was judged by two people"
    )
    return Note(
        "overlap",
        f"{why}, so nothing can be said about how well people agree. `madetl annotate --overlap 2` deals every item to "
        "two people; or give two people a copy of one sheet (`madetl export annotations -o sheet.csv`), and import "
        "each with `--annotator NAME`.",
    )


def _alike(found: ScenarioAgreement) -> Note | None:
    if not found.shared or found.alpha.alpha is not None:
        return None
    return Note("alike", "all shared items have one and the same verdict, so chance alone would agree: no alpha.")


def _few(scenarios: Sequence[ScenarioAgreement]) -> Note | None:
    few = [found for found in scenarios if 0 < found.shared < FEW_ITEMS]
    if not few:
        return None
    named = ", ".join(f"{found.scenario} ({found.shared})" for found in few)
    return Note("few", f"fewer than {FEW_ITEMS} items were judged by two people or more in {named}: rough figures.")


def _lopsided(found: ScenarioAgreement) -> Note | None:
    ordered, unordered = found.alpha.alpha, found.alpha_unordered.alpha
    if ordered is None or unordered is None or unordered - ordered < LOPSIDED:
        return None
    return Note(
        "lopsided",
        "alpha and kappa name the model that was imported first model_a. Here one of the two sides wins most, so that "
        "much of the agreement looks like chance; the unordered figures do not depend on the order of models.",
    )


def _later(found: ScenarioAgreement) -> Note | None:
    later = sum(one.later for one in found.everybody)
    if not later:
        return None
    return Note(
        "later",
        f"{later:,} further verdict{'s' if later != 1 else ''} of annotators on items that they had judged before (and "
        "were not asked to repeat): the first counts between annotators.",
    )


def _order(found: ScenarioAgreement) -> Note | None:
    if any(one.first_wins for one in found.everybody):
        return None
    return Note("order", "no vote tells which answer was shown first, so a bias for a position cannot be seen.")


def _time(found: ScenarioAgreement) -> Note | None:
    if any(one.seconds is not None for one in found.everybody):
        return None
    return Note("time", "no vote tells how long it took.")


def _repeats(found: ScenarioAgreement) -> Note | None:
    if any(one.again for one in found.everybody):
        return None
    return Note(
        "repeats",
        "nobody was asked the same twice, so how far annotators agree with themselves is unknown: "
        "`madetl annotate --repeat 0.05` asks it.",
    )
