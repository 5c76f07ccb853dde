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

_MANY = 1000  # votes of one new annotator in one import, from which it is asked whether that is one person


@dataclass(frozen=True)
class VoteRule:
    """How an import takes second verdicts, and whose names are crowds'. What it finds on the way is noted here, too.

    `taken`: annotators' names as files write them, and as they are stored. `votes`: new votes of each person.
    """

    again: Again = "refuse"
    crowds: tuple[str, ...] = ()
    taken: dict[str, str] = field(default_factory=dict)
    votes: Counter[str] = field(default_factory=Counter)

    @property
    def parameters(self) -> dict[str, Any]:
        """What the run of an import keeps of it."""
        return {"again": self.again, "crowds": list(self.crowds)}

    def warnings(self, run_id: int) -> list[str]:
        """What to tell whoever imported."""
        warnings = [f"{name} was taken for {known}, the same name." for name, known in self.taken.items()]
        warnings += [
            f"{number:,} votes are by {name}. If that is not one person but many, take them out with"
            f" `madetl delete run {run_id}` and import with --crowd {shlex.quote(name)}."
            for name, number in self.votes.items()
            if number >= _MANY
        ]
        return warnings


@dataclass(frozen=True, slots=True)
class ReadVerdict:
    """A verdict with its line, and what its file calls the two sides: (canonical a, canonical b)."""

    verdict: Verdict
    line: int
    sides: tuple[str, str]

    def words(self, winner: Winner) -> str:
        """A canonical winner as the file would write it."""
        return {"model_a": self.sides[0], "model_b": self.sides[1]}.get(winner, winner)


def sort_out(db: sqlite3.Connection, found: Sequence[ReadVerdict], rule: VoteRule, file: str) -> Sorted:
    """Sorts the verdicts of a file out. Raises one InputError with all that contradict what was said before."""
    told = judgments.sort_out(db, [one.verdict for one in found], rule.again, rule.crowds)
    if told.contradictions:
        problems = Problems(file)
        for one in told.contradictions:
            problems.add(found[one.index].line, "winner", _contradicts(found, one))
        problems.raise_any(f" {_what_to_do(found, told)}")
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


def _contradicts(found: Sequence[ReadVerdict], one: Contradiction) -> str:
    this = found[one.index]
    before = f"on line {found[one.before].line}" if one.before is not None else "already"
    of_run = f" (run {one.run_id})" if one.run_id is not None and one.before is None else ""
    return (
        f"{this.verdict.annotator} judged these two answers {before}: {this.words(one.winner)}{of_run}, "
        f"not {this.words(this.verdict.winner)}."
    )


def _what_to_do(found: Sequence[ReadVerdict], told: Sorted) -> str:
    names = dict.fromkeys(found[one.index].verdict.annotator for one in told.contradictions)
    crowd = (
        ""
        if any(told.annotators.kinds[name] != "person" for name in names)
        else ("; if many people share a name, --crowd NAME makes each of its rows a vote")
    )
    return (
        "With --revise the new verdicts count and the old ones are kept as revised; with --as-repeat they are repeats, "
        f"for self-agreement alone{crowd}."
    )
