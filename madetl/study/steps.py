"""A whole study, stage after stage, out of one file. Each stage is called as its command calls it; they meet in tables.

Every stage asks for what is missing, so a study can be started again at any point. A study goes on where requests
failed for good, and stops where starting it again could bring further answers: a selection, once made, stays. Nothing
is printed here.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from madetl.asking import model_settings, prompts
from madetl.asking.ask import AskOptions, AskReport
from madetl.asking.model_settings import AskedModel, ModelOptions
from madetl.asking.prompts import Prompt
from madetl.asking.stage_work import Show
from madetl.evolution import evolve
from madetl.importing import answers
from madetl.inference import infer
from madetl.judgment import judge, verdicts
from madetl.providers.base import SAMPLING, TRANSIENT
from madetl.ranking import rank
from madetl.ranking.votes import RankParameters
from madetl.selection import select
from madetl.selection.sets import NGRAMS, SelectionParameters
from madetl.similarity.embed import InstructionsToEmbed
from madetl.similarity.named import BUILT_IN, model_name
from madetl.similarity.run import Measurement, MetricChoice
from madetl.store.database import transaction
from madetl.study.file import StudyFile, Values

Bar = Callable[[int, int], None]
Scenarios = tuple[str, ...]  # by name; (): all


@dataclass(frozen=True)
class Outcome:
    """What came of a step: its closing line, what its asking came to, and what the reader should know besides."""

    result: str
    report: AskReport = field(default_factory=AskReport)
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One step: the command that does the same, whether it asks models, and how to do it."""

    command: str
    asks: bool
    do: Callable[[sqlite3.Connection, Show, Bar], Outcome]


@dataclass
class Study:
    """A study that is being run. `selected`: the selections so far (name, response pairs, pairs that people judged)."""

    file: StudyFile
    selected: list[tuple[str, int, int]] = field(default_factory=list)

    def keep_models(self, db: sqlite3.Connection) -> None:
        """Keeps with each model how the file says it is asked. Raises ParameterError where its answers forbid that."""
        with transaction(db):
            for model in self.file.models:
                model_settings.add(db, model["name"], _kept(model))

    def steps(self, db: sqlite3.Connection) -> Iterator[Step]:
        """Every step but the ranking, in order. The models are kept once the seeds are in: without them, nothing is."""
        for seeds in self.file.seeds:
            command = _command("import instructions", seeds["file"], scenario=seeds.get("scenario"))
            yield Step(command, False, partial(import_seeds, seeds))
        self.keep_models(db)
        yield from self._evolving()
        yield from self._inferring()
        yield from self._measuring()
        yield from self._selecting()
        for name, position in product((self.file.judge or {"models": []})["models"], range(len(self.parts))):
            yield Step(_command("judge", model=name), True, partial(self._judge, name, position))

    def rank(self, db: sqlite3.Connection, bar: Bar) -> list[tuple[RankParameters, rank.Ranking]]:
        """Ranks by the votes there are: those of people, and those of the judges where the file names some."""
        whose = [RankParameters(**self.file.rank)] if any(judged for _, _, judged in self.selected) else []
        whose += [RankParameters(judges=True, **self.file.rank)] if self.file.judge else []
        return [(parameters, rank.rank(db, parameters, bar)) for parameters in whose]

    @property
    def parts(self) -> list[Scenarios]:
        """What is kept apart: each scenario that the file names, or else all together, ()."""
        return [(name,) for name in self.file.scenarios] if self.file.scenarios else [()]

    def evolutions(self) -> list[evolve.Evolution]:
        """What is to be rewritten, by which models."""
        table = self.file.evolve or {"models": []}
        parts = [(name,) for name in table["scenarios"]] if "scenarios" in table else self.parts
        return [_evolution(table, *each) for each in product(table["models"], parts)]

    def inferences(self) -> list[infer.Inference]:
        """What is to be answered, by which models."""
        names = [model["name"] for model in self.file.models if model.get("answers", True)]
        return [infer.Inference(*each, self.file.generation, **self.file.infer) for each in product(names, self.parts)]

    def model_options(self, name: str) -> ModelOptions:
        """What the file says about a model for this run alone: its key's variable, and what code it may run."""
        table = next((model for model in self.file.models if model["name"] == name), {})
        asking = self.file.asking
        return ModelOptions(
            key_env=table.get("key_env"),
            trust_remote_code=table.get("trust_remote_code", False),
            timeout=asking.get("timeout"),
            prices=Path(asking["prices"]) if "prices" in asking else None,
        )

    def options(self, db: sqlite3.Connection) -> AskOptions:
        """How to ask. The limit of cost is the whole study's: what the ledger's requests cost already counts."""
        options = _only(self.file.asking, "concurrency", "max_attempts", "retry_failed")
        if "max_cost" in self.file.asking:
            spent = db.execute("SELECT coalesce(sum(cost), 0.0) FROM calls").fetchone()[0]
            options["max_cost"] = max(0.0, self.file.asking["max_cost"] - spent)
        return AskOptions(**options)

    def model(self, db: sqlite3.Connection, name: str) -> AskedModel:
        """A model as it is to be asked in this study."""
        return model_settings.find(db, name, self.model_options(name))

    def _evolving(self) -> Iterator[Step]:
        for evolution in self.evolutions():
            command = _command("evolve", model=evolution.model, scenario=evolution.scenarios, rounds=evolution.rounds)
            yield Step(command, True, partial(self._evolve, evolution))

    def _evolve(self, evolution: evolve.Evolution, db: sqlite3.Connection, show: Show, bar: Bar) -> Outcome:
        done = evolve.evolve(db, evolution, self.model_options(evolution.model), self.options(db), show)
        return Outcome(done.summary, done.report)

    def _inferring(self) -> Iterator[Step]:
        for inference in self.inferences():
            which = {"scenario": inference.scenarios, "generation": inference.generation}
            command = _command("infer", model=inference.model, **which, **self.file.infer)
            yield Step(command, True, partial(self._infer, inference))

    def _infer(self, inference: infer.Inference, db: sqlite3.Connection, show: Show, bar: Bar) -> Outcome:
        work = infer.AnswersToAsk(db, inference, self.model_options(inference.model))
        done = work.run(self.options(db), show)
        return Outcome(done.summary, done.report)

    def metrics(self) -> list[MetricChoice]:
        """The metrics, with how they measure. A prefilter has the filters of the selection: a request
        about a pair that the selection drops would be wasted."""
        filters = self._selection().filters
        return [
            MetricChoice(table["name"], table.get("as"), filters | _without(table, "name", "as"))
            for table in self._metric_tables
        ]

    @property
    def _metric_tables(self) -> list[Values]:
        return self.file.metrics or [{"name": NGRAMS}]

    def _measuring(self) -> Iterator[Step]:
        for (table, choice), part in product(zip(self._metric_tables, self.metrics(), strict=True), self.parts):
            which = {"scenario": part, "generation": self.file.generation}
            command = _command("similarity", **which, **_without(table, "name"), metric=choice.name)
            yield Step(command, choice.name not in BUILT_IN, partial(self._measure, choice, part))

    def _measure(self, choice: MetricChoice, part: Scenarios, db: sqlite3.Connection, show: Show, bar: Bar) -> Outcome:
        which: dict[str, Any] = {"scenarios": part, "generation": self.file.generation}
        measurement = Measurement(db, choice, **which, model_options=self.model_options)
        done = measurement.run(self.options(db), show, bar)
        return Outcome(done.summary, done.report, tuple(done.remarks))

    def _selection(self, part: Scenarios = ()) -> SelectionParameters:
        metric = self.file.metrics[0]["name"] if self.file.metrics else NGRAMS
        which: dict[str, Any] = {"scenarios": part, "generation": self.file.generation}
        return SelectionParameters(**which, **{"metric": metric, **self.file.select})

    def _selecting(self) -> Iterator[Step]:
        vectors = self.file.select.get("instruction_metric", NGRAMS)
        for part in self.parts:
            which = {"scenario": part, "generation": self.file.generation}
            if self.file.select.get("diversity") and vectors not in BUILT_IN:
                command = f"{_command('similarity', metric=vectors, **which)} --instructions"
                yield Step(command, True, partial(self._embed_instructions, vectors, part))
            yield Step(_command("select", **which, **self.file.select), False, partial(self._select, part))

    def _embed_instructions(
        self, metric: str, part: Scenarios, db: sqlite3.Connection, show: Show, bar: Bar
    ) -> Outcome:
        work = InstructionsToEmbed(db, self.model(db, model_name(db, metric)), part, self.file.generation)
        done = work.run(self.options(db), show)
        return Outcome(done.summary, done.report)

    def _select(self, part: Scenarios, db: sqlite3.Connection, show: Show, bar: Bar) -> Outcome:
        result = select.select(db, self._selection(part))
        self.selected.append((result.name, result.selected, result.judged))
        return Outcome(f"{result.summary}\nPool: {result.pool}", remarks=tuple(result.warnings))

    def _judge(self, name: str, position: int, db: sqlite3.Connection, show: Show, bar: Bar) -> Outcome:
        table, (selection, _, _) = self.file.judge or {}, self.selected[position]
        overrides, own = _only(table, *SAMPLING), _own_prompt(table, *verdicts.NEEDED)
        judging = judge.Judging(self.model(db, name), selection, None, overrides, own)
        done = judge.VerdictsToAsk(db, judging).run(self.options(db), show)
        return Outcome(done.summary, done.report, (done.flipping,))


def to_be_started_again(report: AskReport) -> int:
    """How many answers are missing that starting the study again may bring."""
    return report.not_asked + sum(count for outcome, count in report.failed.items() if outcome in TRANSIENT)


def import_seeds(seeds: Values, db: sqlite3.Connection, show: Show, bar: Bar) -> Outcome:
    """Imports one file of instructions."""
    done = answers.import_instructions(db, [seeds["file"]], scenario=seeds.get("scenario"), progress=bar)
    return Outcome(done.summary, remarks=tuple(done.warnings))


def _kept(model: Values) -> Values:
    """What `madetl models add` would keep of a model's table."""
    asked = ("provider", "model_id", "base_url", "options", "price_in", "price_out")
    kept = _only(model, *asked, *model_settings.ANSWERING)
    if "chat_template" in model:
        template = Path(model["chat_template"]).read_text(encoding="utf-8")
        kept["options"] = kept.get("options", {}) | {"chat_template": template}
    if "safety" in model:
        kept["options"] = kept.get("options", {}) | {"safety": model["safety"]}
    return kept


def _evolution(table: Values, model: str, part: Scenarios) -> evolve.Evolution:
    overrides = _only(table, "rounds", "per_seed", "limit", *SAMPLING)
    overrides |= {"threshold": table["duplicate_above"]} if "duplicate_above" in table else {}
    return evolve.Evolution(model, part, prompt=_own_prompt(table, "instruction"), **overrides)


def _own_prompt(table: Values, *needed: str) -> Prompt | None:
    """A prompt of the user's own. Raises InputError where it lacks what it needs."""
    return prompts.from_file(table["prompt"], *needed) if "prompt" in table else None


def _only(table: Values, *names: str) -> Values:
    return {name: table[name] for name in names if name in table}


def _without(table: Values, *names: str) -> Values:
    return {name: value for name, value in table.items() if name not in names}


def _command(name: str, *arguments: str, **options: Any) -> str:
    """The command line that does the same; an option of several values stands once for each."""
    values = {option: value if isinstance(value, tuple) else (value,) for option, value in options.items()}
    given = [f"--{option.replace('_', '-')} {shlex.quote(str(value))}" for option, each in values.items()
             for value in each if value is not None]  # fmt: skip
    return " ".join([name, *map(shlex.quote, arguments), *given])
