"""What imports do with an annotator's second verdict on a response pair, the same for every kind of file.

`store.judgments` tells known verdicts from revisions, repeats and contradictions; here the person who imports says
which they want, and reads of what contradicts: the line, both verdicts, and what to do.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from madetl.formats.verdicts import Problems
from madetl.importing.each_file import tally
from madetl.records import Winner
from madetl.store import judgments
from madetl.store.judgments import Again, Contradiction, Sorted, Verdict
from madetl.text import name_key

_MANY = 1000  # votes of one new annotator in one import, from which it is asked whether that is one person


@dataclass(frozen=True)
class VoteRule:
    """How an import takes second verdicts, and whose names are crowds'. What it finds on the way is noted here, too.

    `given`: those of the crowds that an option names. `taken`: annotators' names as files write them, and as they are
    stored. `votes`: new votes of each person. `met`: the names that have a verdict, as `name_key` has them.
    """

    again: Again = "refuse"
    crowds: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    taken: dict[str, str] = field(default_factory=dict)
    votes: Counter[str] = field(default_factory=Counter)
    met: set[str] = field(default_factory=set)

    @property
    def parameters(self) -> dict[str, Any]:
        """The options that the run of an import keeps of it."""
        return {"revise": self.again == "revise", "as_repeat": self.again == "repeat"}

    def warnings(self, run_id: int) -> list[str]:
        """What to tell whoever imported."""
        warnings = [f"{name} was taken for {known}, the same name." for name, known in self.taken.items()]
        warnings += [
            f"{number:,} votes are by {name}. If that is not one person but many, take them out with"
            f" `madetl delete run {run_id}` and import with --crowd {shlex.quote(name)}."
            for name, number in self.votes.items()
            if number >= _MANY
        ]
        warnings += [
            f"no vote is by {name}, whom --crowd names; `madetl status` shows under which names there are votes."
            for name in self.given
            if name_key(name) not in self.met
        ]
        return warnings


@dataclass(frozen=True, slots=True)
class ReadVerdict:
    """A verdict with its line, and what its file calls the two sides: (canonical a, canonical b).

    `item` is the number of a sheet's row; None: the file is no sheet.
    """

    verdict: Verdict
    line: int
    sides: tuple[str, str]
    item: int | None = None

    def words(self, winner: Winner) -> str:
        """A canonical winner as the file would write it."""
        return {"model_a": self.sides[0], "model_b": self.sides[1]}.get(winner, winner)


def sort_out(db: sqlite3.Connection, found: Sequence[ReadVerdict], rule: VoteRule, file: str) -> Sorted:
    """Sorts the verdicts of a file out. Raises one InputError with all that contradict what was said before."""
    told = judgments.sort_out(db, [one.verdict for one in found], rule.again, rule.crowds)
    if told.contradictions:
        problems = Problems(file)
        for one in told.contradictions:
            problems.add(found[one.index].line, "winner", _contradicts(found, told, one))
        problems.raise_any(f" {_what_to_do(found, told)}")
    rule.met.update(map(name_key, told.annotators.known))
    rule.taken.update(told.annotators.taken)
    rule.votes.update(
        told.annotators.known[verdict.annotator]
        for verdict, status in told.new.values()
        if status == "counted" and told.annotators.kinds[verdict.annotator] == "person"
    )
    return told


def store(
    db: sqlite3.Connection, found: Sequence[ReadVerdict], run_id: int | None, rule: VoteRule, file: str
) -> Counter[str]:
    """Sorts the verdicts out and stores what is new; returns counts ('judgments new', …). Raises as `sort_out` does."""
    return tally("judgments", judgments.insert(db, sort_out(db, found, rule, file), run_id))


def _contradicts(found: Sequence[ReadVerdict], told: Sorted, one: Contradiction) -> str:
    this = found[one.index]
    verdict, what = this.verdict, "these two answers" if this.item is None else f"item {this.item}"
    when = "already" if one.run_id is None else f"already (run {one.run_id})"
    when = when if one.before is None else f"on line {found[one.before].line}"
    if told.annotators.kinds[verdict.annotator] == "crowd":
        what = f"as vote {verdict.source_id}"
    return f"{verdict.annotator} judged {what} {when}: {this.words(one.winner)} then, {this.words(verdict.winner)} now."


def _what_to_do(found: Sequence[ReadVerdict], told: Sorted) -> str:
    contradicting = [found[one.index] for one in told.contradictions]
    kinds = {told.annotators.kinds[one.verdict.annotator] for one in contradicting}
    revise = "With --revise the new verdicts count, and the old ones are kept as revised"
    if kinds == {"crowd"}:
        return f"{revise}."
    sheet = any(one.item is not None for one in contradicting)
    crowd = "" if sheet or "person" not in kinds else " If a name stands for many people: --crowd NAME."
    return f"{revise}; with --as-repeat they are repeats, for self-agreement alone.{crowd}"
