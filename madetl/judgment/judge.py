"""Stage 5 by a model: a chat model as one more annotator. Reads `selections`, writes `judgments`.

Each selected pair is asked about in both orders, as `judgment.verdicts` says, and becomes one judgment once both
answers are there. The ledger keeps the first of the two meanwhile: a run that was stopped does not ask for it again. No
assignment is dealt: those hold one order each.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from madetl.asking.ask import AskReport, Task, in_pages
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import AskedModel
from madetl.asking.prompts import Prompt
from madetl.asking.stage_work import StageWork
from madetl.asking.structured import DECIDING, PromptSettings, checker, prompt_settings
from madetl.errors import ParameterError
from madetl.judgment import verdicts
from madetl.judgment.verdicts import OrderedVerdict
from madetl.providers.base import ChatAnswer
from madetl.store import sqlfiles
from madetl.store.database import insert_rows
from madetl.store.selections import LATEST, find_set
from madetl.text import agreeing, counted, storable

SOURCE, SOURCE_ID = "judge", "selection item"

Pair = tuple[int, int]  # ids of the two responses, in canonical order


@dataclass(frozen=True)
class Judging:
    """What is to be judged, by which model and how. `annotator`: the name for its judgments; None: the model's.

    `overrides`: what of SAMPLING the user gave, and `prompt` the user's own.
    """

    model: AskedModel
    selection: str = LATEST
    annotator: str | None = None
    overrides: Mapping[str, Any] | None = None
    prompt: Prompt | None = None


@dataclass(frozen=True)
class Judged:
    """What a run did, and the judge's verdicts on the whole selection so far.

    `flips`: verdicts that differed between the orders; `first` and `second`: those of them that
    preferred the same position in both orders.
    `own_answers`: verdicts on pairs that have an answer of the judge's own.
    """

    annotator: str
    selection: str
    new: int
    pairs: int
    verdicts: int
    flips: int
    first: int
    second: int
    own_answers: int
    report: AskReport

    @property
    def summary(self) -> str:
        """The closing line."""
        what = f"{self.annotator} on {self.selection}"
        known, left = self.verdicts - self.new, self.pairs - self.verdicts
        done = (
            f"{counted(self.new, 'verdict')} ({known:,} known)"
            if self.new + left
            else f"nothing to do ({counted(known, 'verdict')})"
        )
        missing = f", {counted(left, 'pair')} {agreeing(left)['are']} left" if left else ""
        return f"{what}: {done}{missing}"

    @property
    def flipping(self) -> str:
        """How the order decided."""
        if not self.verdicts:
            return "No verdict yet."
        places = f"{self.first:,} for the answer that stood first, {self.second:,} for the one that stood second"
        ties = self.flips - self.first - self.second
        share = f"{self.flips:,} of {counted(self.verdicts, 'verdict')} ({self.flips / self.verdicts:.1%})"
        how = f": {places}, {ties:,} with a tie in one order" if self.flips else ""
        return f"{share} flip with the order and count as ties{how}."


class VerdictsToAsk(StageWork[Judged]):
    """The verdicts that a judge has not given yet, two for each selected pair: one waits for that of the other order.

    Raises ParameterError where there is no selection, where the annotator is a person, or has judged with other
    settings.
    """

    stage, command = "judgment", "judge"

    def __init__(self, db: sqlite3.Connection, judging: Judging) -> None:
        super().__init__(db, judging.model)
        self._set = find_set(db, judging.selection)
        self._annotator = (judging.annotator or judging.model.name).strip() or judging.model.name
        _check_is_judge(db, self._annotator)
        self._settings = _settings(db, self._annotator, judging)
        self._orders: dict[Pair, dict[str, OrderedVerdict]] = {}  # kept: an answer may be saved twice, after an error
        self._annotator_id = self._new = 0
        self.pairs = sum(1 for _ in self._rows())

    def count_missing(self) -> int:
        return len(verdicts.ORDERS) * self.pairs

    def parameters(self) -> dict[str, Any]:
        what = {"selection": self._set["name"], "annotator": self._annotator, "max_tokens": self._settings.max_tokens}
        return {"model": self.model.name} | self.model.recorded | what | self._settings.parameters

    def register(self) -> None:
        """Gives the model its row, and the annotator."""
        super().register()
        insert_rows(self.db, "annotators", ("name", "kind"), [(self._annotator, "model")], conflict="OR IGNORE")
        found = self.db.execute("SELECT id FROM annotators WHERE name = ?", (self._annotator,)).fetchone()
        self._annotator_id = found["id"]

    def tasks(self) -> Iterator[Task]:
        """Two tasks for each pair, one after the other."""
        for row in self._rows():
            for side in verdicts.ORDERS:
                texts = (row["response_a"], row["response_b"])
                first, second = texts if side == "model_a" else texts[::-1]
                request = verdicts.request(
                    self._settings, row["instruction"], row["reference_answer"], first=first, second=second
                )
                pair = (row["response_a_id"], row["response_b_id"])
                yield Task(request, subject=(pair, side), check=checker(request))

    def closing_line(self, result: Judged) -> str:
        return f"{result.summary}\n{result.flipping}"

    def result(self, report: AskReport) -> Judged:
        """What the run did, beside what there is in all."""
        whose = {"set_id": self._set["id"], "annotator": self._annotator, "model": self.model.name}
        parameters = whose | {"flips": json.dumps(verdicts.FLIPS)}
        rows = self.db.execute(sqlfiles.query("judgment/judge_counts"), parameters).fetchall()
        by_flip = {row["flip"]: row["verdicts"] for row in rows}
        total = "SELECT count(*) FROM selections WHERE set_id = ?"
        return Judged(
            annotator=self._annotator,
            selection=self._set["name"],
            new=self._new,
            pairs=self.db.execute(total, (self._set["id"],)).fetchone()[0],
            verdicts=sum(by_flip.values()),
            flips=sum(number for flip, number in by_flip.items() if flip is not None),
            first=by_flip.get(verdicts.FIRST, 0),
            second=by_flip.get(verdicts.SECOND, 0),
            own_answers=sum(row["own_answers"] for row in rows),
            report=report,
        )

    def _rows(self) -> Iterator[sqlite3.Row]:
        parameters = {"set_id": self._set["id"], "annotator": self._annotator}
        return in_pages(self.db, sqlfiles.query("judgment/pairs_to_judge"), parameters)

    def save(self, db: sqlite3.Connection, task: Task, answer: Answer, _: int) -> None:
        assert isinstance(answer, ChatAnswer)
        pair, side = task.subject
        orders = self._orders.setdefault(pair, {})
        orders[side] = verdicts.in_order(answer, side)
        if len(orders) < len(verdicts.ORDERS):
            return
        # the reason of the same order is kept, whichever answer arrives first
        winner, comment = verdicts.together(*sorted(orders.values(), key=lambda each: each.shown_first))
        values = {
            "annotator_id": self._annotator_id,
            "response_a_id": pair[0],
            "response_b_id": pair[1],
            "winner": winner,
            "comment": storable(comment)[0],
            "source": SOURCE,
            "source_id": SOURCE_ID,
            "run_id": self.run_id,
        }
        self._new += db.execute(sqlfiles.query("judgment/store_judges_verdict"), values).rowcount


def _check_is_judge(db: sqlite3.Connection, annotator: str) -> None:
    row = db.execute("SELECT kind FROM annotators WHERE name = ?", (annotator,)).fetchone()
    if row is not None and row["kind"] != "model":
        raise ParameterError(
            f"{annotator} is a {row['kind']} among the annotators, whose votes would be mixed with the model's. "
            "Give --annotator NAME."
        )


def _settings(db: sqlite3.Connection, annotator: str, judging: Judging) -> PromptSettings:
    """How to ask: the overrides, else as this annotator was asked before, else the default.

    Raises ParameterError where the annotator has judged with other settings, or is another model.
    """
    own = {"prompt": judging.prompt.text} if judging.prompt else {}
    before = _before(db, annotator)
    kept = {name: before[name] for name in ("prompt", *DECIDING) if before and name in before}
    settings = prompt_settings("judge", kept | dict(judging.overrides or {}) | own)
    now = _as_kept(settings.parameters) | {name: judging.model.recorded[name] for name in ("provider", "model_id")}
    for name, value in now.items():
        if before and before.get(name) != value:
            shown = f"{name} {before.get(name)}, not {value}" if "prompt" not in name else "another prompt"
            raise ParameterError(
                f"{annotator} has judged with {shown}. Other settings are another annotator: give --annotator NAME."
            )
    return settings


def _as_kept(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as a run's row gives them back."""
    return dict(json.loads(json.dumps(parameters)))


def _before(db: sqlite3.Connection, annotator: str) -> dict[str, Any] | None:
    """The parameters of the last run in which this annotator judged; None: it has not."""
    row = db.execute(sqlfiles.query("judgment/last_judge_run"), {"annotator": annotator}).fetchone()
    return None if row is None else dict(json.loads(row["parameters"]))
