"""What a study will ask for, before it is begun: requests, tokens and USD per step, and judgments of people.

Works on a temporary copy of the database: seeds are imported into it, and no model is asked. Requests that depend on
answers which do not exist yet are counted as if every request succeeded: a rewriting is taken to be as long as what it
is written from, and the tokens of what is asked about answers are unknown.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

from madetl.asking.ask import Estimate
from madetl.evolution import evolve
from madetl.inference import infer
from madetl.similarity.run import first_requests
from madetl.store import database, pool, sqlfiles
from madetl.store.database import transaction
from madetl.store.scope import scenarios
from madetl.study.file import StudyFile
from madetl.study.steps import Scenarios, Study, import_seeds
from madetl.text import text_hash


@dataclass(frozen=True)
class Expected:
    """What one step will ask for. None: unknown."""

    step: str
    requests: int
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class StudyForecast:
    """`judgments`: how many people will be asked for, at most. `cost`: of the steps whose cost is known.

    `pool`: the instructions that models will be compared on, in words.
    """

    steps: list[Expected]
    judgments: int
    pool: str

    @property
    def cost(self) -> float:
        return sum(step.cost for step in self.steps if step.cost is not None)


def forecast(file: StudyFile, source: Path) -> StudyForecast:
    """What `madetl run` would ask for. `source` is the study's database, which need not exist."""
    with TemporaryDirectory(prefix="madetl-") as folder:
        copy = Path(folder) / "copy.db"
        if source.exists():
            with database.reading(source) as db, closing(sqlite3.connect(copy)) as target:
                db.backup(target)
        with database.writing(copy) as db:
            return _Forecaster(Study(file), db).forecast()


class _Forecaster:
    """Works in a copy of the database, to which the instructions that evolution would bring are added."""

    def __init__(self, study: Study, db: sqlite3.Connection) -> None:
        self._study, self._db = study, db
        for seeds in study.file.seeds:
            import_seeds(seeds, db, lambda moment, total: None, lambda done, total: None)
        study.keep_models(db)

    def forecast(self) -> StudyForecast:
        steps = [*self._evolving(), *self._inferring(), *self._measuring()]
        judgments = sum(self._picks().values())
        for name in (self._study.file.judge or {"models": []})["models"]:
            steps.append(Expected(f"judge --model {name}", 2 * judgments))
        chosen = pool.bindings(self._study.file.scenarios, self._study.file.generation)
        return StudyForecast(steps, judgments, pool.described(self._db, chosen, self._study.file.infer.get("limit")))

    def _evolving(self) -> Iterator[Expected]:
        for evolution in self._study.evolutions():
            model_options, options = self._study.model_options(evolution.model), self._study.options(self._db)
            found = evolve.dry_run(self._db, evolution, model_options, options)
            yield _expected(f"evolve --model {evolution.model}", evolution.scenarios, found)
            with transaction(self._db):
                self._add_rewritings(evolution)

    def _add_rewritings(self, evolution: evolve.Evolution) -> None:
        """Adds a copy of its parent, marked, for each instruction that would be asked for, as long as that may be."""
        model = self._study.model(self._db, evolution.model)
        for scenario, generation in product(evolution.scenarios or scenarios(self._db), range(1, evolution.rounds + 1)):
            work = evolve.RewritingsToAsk(self._db, evolution, model, scenario, generation)
            requests = work.dry_run(self._study.options(self._db)).requests
            for task in islice(list(work.tasks()), requests):
                mark = f" ({evolution.model}, {task.sample})"
                row = {"parent_id": task.subject, "mark": mark, "hash": text_hash(f"{task.subject}{mark}")}
                self._db.execute(sqlfiles.query("study/add_expected_rewriting"), row)

    def _inferring(self) -> Iterator[Expected]:
        for inference in self._study.inferences():
            model_options, options = self._study.model_options(inference.model), self._study.options(self._db)
            found = infer.AnswersToAsk(self._db, inference, model_options).dry_run(options)
            yield _expected(f"infer --model {inference.model}", inference.scenarios, found)

    def _measuring(self) -> list[Expected]:
        """Requests of the metrics that ask, if nothing is measured yet."""
        models, _ = self._models()
        return [
            Expected(_step(f"similarity --metric {choice.name}", part), requests)
            for choice in self._study.metrics()
            for part, size in self._sizes().items()
            if (requests := first_requests(self._db, choice, models, size)) is not None
        ]

    def _models(self) -> tuple[int, int]:
        """How many models will have answers, and pairs of them."""
        names = {inference.model for inference in self._study.inferences()}
        names |= {row["name"] for row in self._db.execute(sqlfiles.query("study/answering_models"))}
        return len(names), len(names) * (len(names) - 1) // 2

    def _sizes(self) -> dict[Scenarios, int]:
        """Instructions of each part of the study that will have answers."""
        limit, generation = self._study.file.infer.get("limit"), self._study.file.generation
        sizes = {part: pool.size(self._db, pool.bindings(part, generation)) for part in self._study.parts}
        return {part: size if limit is None else min(size, limit) for part, size in sizes.items()}

    def _picks(self) -> dict[Scenarios, int]:
        """Response pairs that will be selected in each part of the study, at most."""
        top_k = self._study.file.select.get("top_k", 10)
        return {part: self._models()[1] * min(size, top_k) for part, size in self._sizes().items()}


def _expected(step: str, part: Sequence[str], found: Estimate) -> Expected:
    return Expected(_step(step, part), found.requests, found.tokens_in, found.tokens_out, found.cost)


def _step(step: str, part: Sequence[str]) -> str:
    return " ".join([step, *(f"--scenario {name}" for name in part)])
