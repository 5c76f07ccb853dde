"""Stage 1: models rewrite instructions into new ones. Reads and writes `instructions`.

Round t rewrites generation t−1 into generation t. A round asks for the rewritings that are missing: a stopped run goes
on, a second run finds nothing to do, and a higher number of rounds adds to what is there. Each model has rewritings of
its own, so several models can evolve one pool. A rewriting must keep to a schema; one that says almost the same as an
instruction in the pool is dropped and counted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from madetl.asking import model_settings, prompts, structured
from madetl.asking.ask import AskOptions, AskReport, Estimate, Task, in_pages
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import AskedModel, ModelOptions
from madetl.asking.prompts import Prompt
from madetl.asking.stage_work import Show, StageWork
from madetl.errors import ParameterError
from madetl.evolution.near_duplicates import THRESHOLD, Pool
from madetl.providers.base import ChatAnswer, ChatRequest
from madetl.store import sqlfiles
from madetl.store.runs import run
from madetl.store.scope import check_scenarios, scenarios
from madetl.text import counted, instruction_hash, storable, with_input

_OWN_PROMPT = ("writing", "reasoning", "understanding", "coding")
_WITH_ANSWER = ("reasoning",)  # though no instruction of the pool may have one
_KEEPS_ITS_PARENT = ("coding",)  # a rewriting that adds to its parent is close to the parent and to its siblings


@dataclass(frozen=True)
class Evolution:
    """What is to be rewritten, by which model and how.

    `scenarios` (): each of them. `limit`: only the first so many instructions of each generation. `prompt`: the user's
    own. `threshold`: the cosine above which a rewriting counts as a near-duplicate.
    """

    model: str
    scenarios: Sequence[str] = ()
    rounds: int = 1
    per_seed: int = 1
    limit: int | None = None
    temperature: float = 0.7
    top_p: float = 0.9
    max_tokens: int = 2048
    prompt: Prompt | None = None
    threshold: float = THRESHOLD


@dataclass
class Round:
    """What came of one round in one scenario. `known`: rewritings that were there before."""

    scenario: str
    generation: int
    parents: int
    known: int
    new: int = 0
    exact: int = 0
    near: int = 0
    report: AskReport = field(default_factory=AskReport)


@dataclass(frozen=True)
class Evolved:
    """What a run did, round by round."""

    model: str
    rounds: list[Round]

    @property
    def report(self) -> AskReport:
        return sum((each.report for each in self.rounds), AskReport())

    @property
    def summary(self) -> str:
        """The closing line."""
        new, known = sum(each.new for each in self.rounds), sum(each.known for each in self.rounds)
        exact, near = sum(each.exact for each in self.rounds), sum(each.near for each in self.rounds)
        dropped = (
            f"{exact + near:,} dropped ({counted(exact, 'duplicate')}, {counted(near, 'near-duplicate')})"
            if exact + near
            else ""
        )
        if not new and not self.report.done and not self.report.undone:
            return ", ".join(filter(None, [f"{self.model}: nothing to do ({known:,} known)", dropped]))
        missing = f"{self.report.undone:,} missing" if self.report.undone else ""
        return ", ".join(
            filter(None, [f"{self.model}: {counted(new, 'new instruction')} ({known:,} known)", dropped, missing])
        )


def evolve(
    db: sqlite3.Connection,
    evolution: Evolution,
    model_options: ModelOptions | None = None,
    options: AskOptions | None = None,
    show: Show | None = None,
) -> Evolved:
    """Rewrites what is missing, scenario by scenario and round by round; later rounds wait until a run is not stopped.

    Raises ParameterError where there is nothing to rewrite, and what `ask_all` raises.
    """
    options, model = options or AskOptions(), model_settings.find(db, evolution.model, model_options)
    named, rounds = _scenarios(db, evolution), list[Round]()
    for scenario in named:
        RewritingsToAsk(db, evolution, model, scenario, 1).check_access()
    with run(db, "evolve", _recorded(evolution, model, named, options)) as this:
        for scenario, generation in ((name, number + 1) for name in named for number in range(evolution.rounds)):
            if rounds and rounds[-1].report.stopped:
                break
            work = RewritingsToAsk(db, evolution, model, scenario, generation)
            rounds += work.result(work.ask_missing(this.id, options, show)).rounds
            model = work.model
        result = Evolved(evolution.model, rounds)
        this.summary = result.summary
    return result


def dry_run(
    db: sqlite3.Connection,
    evolution: Evolution,
    model_options: ModelOptions | None = None,
    options: AskOptions | None = None,
) -> Estimate:
    """What `evolve` would do and cost, if every request brought a new instruction that the next round rewrites."""
    model = model_settings.find(db, evolution.model, model_options)
    all_rounds = Estimate()
    for scenario in _scenarios(db, evolution):
        born = 0  # instructions that this run would have added to the generation before
        for generation in range(1, evolution.rounds + 1):
            work = RewritingsToAsk(db, evolution, model, scenario, generation)
            found = work.dry_run(options)
            born = _expect(found, work.round.parents, born, evolution, all_rounds)
            all_rounds.tokens_out_rule = found.tokens_out_rule
    all_rounds.cost = model.price.cost(all_rounds.tokens_in, all_rounds.tokens_out)
    return all_rounds


def _expect(found: Estimate, parents: int, born: int, evolution: Evolution, total: Estimate) -> int:
    """Adds a round's estimate to the total, with the parents that do not exist yet; returns the number of children."""
    room = born if evolution.limit is None else min(born, max(0, evolution.limit - parents))
    further = room * evolution.per_seed
    before = total.requests or 1
    total.tokens_in += found.tokens_in + further * total.tokens_in // before
    total.tokens_out += found.tokens_out + further * total.tokens_out // before
    total.requests += found.requests + further
    total.reused += found.reused
    total.left += found.left
    return found.requests + further


def prompt_for(scenario: str, own: Prompt | None = None) -> Prompt:
    """The prompt that rewrites instructions of a scenario."""
    name = scenario.lower()
    return own or prompts.packaged(f"evolve_{name}" if name in _OWN_PROMPT else "evolve")


def request_for(prompt: Prompt, instruction: str, evolution: Evolution, *, with_answer: bool) -> ChatRequest:
    """How a model is asked to rewrite an instruction, with the schema that its answer must keep to."""
    form = prompts.packaged("format_instruction_answer" if with_answer else "format_instruction").text
    text = prompt.fill(instruction=instruction, first_word=(instruction.split() or [""])[0], format=form)
    names = ("instruction", "answer") if with_answer else ("instruction",)
    return ChatRequest(
        prompt=text if "{format}" in prompt.text else f"{text}\n\n{form}",
        temperature=evolution.temperature,
        top_p=evolution.top_p,
        max_tokens=evolution.max_tokens,
        schema=structured.object_schema(**{name: {"type": "string"} for name in names}),
        schema_name="new_instruction",
    )


class RewritingsToAsk(StageWork[Evolved]):
    """The rewritings that one round in one scenario lacks. `round` counts what comes of them."""

    stage, command = "evolution", "evolve"

    def __init__(
        self, db: sqlite3.Connection, evolution: Evolution, model: AskedModel, scenario: str, generation: int
    ) -> None:
        super().__init__(db, model)
        self._evolution, self._scenario = evolution, scenario
        self._prompt = prompt_for(scenario, evolution.prompt)
        self._with_answer = _has_answers(db, scenario)
        self._scope = {"scenario": scenario, "generation": generation - 1, "per_seed": evolution.per_seed}
        most = {"most": -1 if evolution.limit is None else evolution.limit, "model_id": model.id}
        self._counts = db.execute(sqlfiles.query("evolution/rewriting_counts"), self._scope | most).fetchone()
        self.round = Round(scenario, generation, self._counts["parents"], self._counts["known"])
        self._pool = Pool(scenario)

    def count_missing(self) -> int:
        return int(self._counts["rewritings"] - self._counts["known"])

    def tasks(self) -> Iterator[Task]:
        """One task per missing rewriting; subject is the parent's id."""
        scope = self._scope | {"model_id": self.model.id, "last": self._counts["last"]}
        for row in in_pages(self.db, sqlfiles.query("evolution/parents_to_rewrite"), scope):
            request = request_for(
                self._prompt,
                with_input(row["instruction"], row["input"]),
                self._evolution,
                with_answer=self._with_answer,
            )
            for sample in json.loads(row["samples"]):
                yield Task(request, subject=row["id"], sample=sample, check=structured.checker(request))

    def save(self, db: sqlite3.Connection, task: Task, answer: Answer, call_id: int) -> None:
        assert isinstance(answer, ChatAnswer)
        assert isinstance(task.request, ChatRequest)
        assert task.request.schema is not None
        read = structured.read(answer, task.request.schema)
        # A NUL may stand in JSON as an escape: it was not there when the answer was made storable.
        child = {name: storable(text)[0].strip() for name, text in read.items()}
        known = db.execute(
            "SELECT call_id FROM instructions WHERE scenario = ? AND hash = ?",
            (self._scenario, instruction_hash(child["instruction"])),
        ).fetchone()
        if known is not None:
            self.round.exact += known["call_id"] != call_id
        elif self._is_near_duplicate(db, child["instruction"], task.subject):
            self.round.near += 1
        else:
            self._insert(db, child, task.subject, call_id)
            self.round.new += 1

    def result(self, report: AskReport) -> Evolved:
        self.round.report = report
        return Evolved(self.model.name, [self.round])

    def _is_near_duplicate(self, db: sqlite3.Connection, text: str, parent_id: int) -> bool:
        self._pool.refresh(db)
        family = parent_id if self._scenario.lower() in _KEEPS_ITS_PARENT else None
        return self._pool.nearest(text, outside_family_of=family) > self._evolution.threshold

    def _insert(self, db: sqlite3.Connection, child: dict[str, str], parent_id: int, call_id: int) -> None:
        columns = "scenario, instruction, hash, reference_answer, source, parent_id, generation, call_id, run_id"
        text = child["instruction"]
        values = (self._scenario, text, instruction_hash(text), child.get("answer"), self._evolution.model)
        descent = (parent_id, self.round.generation, call_id, self.run_id)
        db.execute(f"INSERT INTO instructions ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values + descent)


def _scenarios(db: sqlite3.Connection, evolution: Evolution) -> list[str]:
    """The scenarios to evolve. Raises ParameterError where there is none."""
    check_scenarios(db, evolution.scenarios)
    if evolution.scenarios:
        return list(evolution.scenarios)
    if not (found := scenarios(db)):
        raise ParameterError("There are no instructions to rewrite yet. Bring seeds: madetl import instructions FILE")
    return found


def _has_answers(db: sqlite3.Connection, scenario: str) -> bool:
    """Whether the scenario has reference answers, so that new instructions need one too."""
    known = "SELECT 1 FROM instructions WHERE scenario = ? AND reference_answer IS NOT NULL LIMIT 1"
    return scenario.lower() in _WITH_ANSWER or db.execute(known, (scenario,)).fetchone() is not None


def _recorded(evolution: Evolution, model: AskedModel, named: list[str], options: AskOptions) -> dict[str, Any]:
    """The run's parameters, with the prompts in force."""
    kept = {scenario: prompt_for(scenario, evolution.prompt).kept for scenario in named}
    parameters = {name: value for name, value in asdict(evolution).items() if name != "prompt"}
    return parameters | model.recorded | {"asking": asdict(options), "prompts": kept}
