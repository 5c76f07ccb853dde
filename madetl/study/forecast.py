"""What a study will ask for, before it is begun: requests, tokens and USD per step, and judgments of people.

Works on a temporary copy of the database: seeds are imported into it, and no model is asked. Requests that depend on
answers which do not exist yet are counted as if every request succeeded; their tokens are unknown.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from madetl.asking.ask import Estimate
from madetl.evolution import evolve
from madetl.inference import infer
from madetl.similarity.run import first_requests
from madetl.store import database, sqlfiles
from madetl.study.file import StudyFile
from madetl.study.steps import Study, import_seeds


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
    """`judgments`: how many people will be asked for, at most. `cost`: of the steps whose cost is known."""

    steps: list[Expected]
    judgments: int

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
    """`pool`: instructions of each scenario of the study, with those that its evolution would add."""

    def __init__(self, study: Study, db: sqlite3.Connection) -> None:
        self._study, self._db = study, db
        for seeds in study.file.seeds:
            import_seeds(seeds, db, lambda moment, total: None, lambda done, total: None)
        study.keep_models(db)
        self._pool = {scenario: self._count(scenario) for scenario in study.scenarios}

    def forecast(self) -> StudyForecast:
        steps = [*self._evolving(), *self._inferring(), *self._measuring()]
        judgments = sum(self._picks().values())
        for name in (self._study.file.judge or {"models": []})["models"]:
            steps.append(Expected(f"judge --model {name}", 2 * judgments))
        return StudyForecast(steps, judgments)

    def _count(self, scenario: str | None) -> int:
        sql = "SELECT count(*) FROM instructions WHERE ? IS NULL OR scenario = ?"
        return int(self._db.execute(sql, (scenario, scenario)).fetchone()[0])

    def _evolving(self) -> list[Expected]:
        steps = []
        for evolution in self._study.evolutions():
            model_options, options = self._study.model_options(evolution.model), self._study.options(self._db)
            found = evolve.dry_run(self._db, evolution, model_options, options)
            steps.append(_expected(f"evolve --model {evolution.model}", evolution.scenario, found))
            for scenario in self._pool:
                self._pool[scenario] += found.requests if scenario in (None, evolution.scenario) else 0
        return steps

    def _inferring(self) -> list[Expected]:
        return [self._infer(inference) for inference in self._study.inferences()]

    def _infer(self, inference: infer.Inference) -> Expected:
        """The estimate for the pool as it is, in proportion for what evolution would add."""
        model_options, options = self._study.model_options(inference.model), self._study.options(self._db)
        found = infer.AnswersToAsk(self._db, inference, model_options).dry_run(options)
        there, then = self._count(inference.scenario), self._pool[inference.scenario]
        if inference.limit is not None:
            there, then = min(there, inference.limit), min(then, inference.limit)
        added = (then - there) * inference.samples
        each = max(1, found.requests)
        found.cost = None if found.cost is None else found.cost * (1 + added / each)
        found.tokens_in += found.tokens_in * added // each
        found.tokens_out += found.tokens_out * added // each
        found.requests += added
        return _expected(f"infer --model {inference.model}", inference.scenario, found)

    def _measuring(self) -> list[Expected]:
        """Requests of the metrics that ask, if nothing is measured yet."""
        models, _ = self._models()
        return [
            Expected(_step(f"similarity --metric {choice.name}", scenario), requests)
            for choice in self._study.metrics()
            for scenario, size in self._sizes().items()
            if (requests := first_requests(self._db, choice, models, size)) is not None
        ]

    def _models(self) -> tuple[int, int]:
        """How many models will have answers, and pairs of them."""
        names = {inference.model for inference in self._study.inferences()}
        names |= {row["name"] for row in self._db.execute(sqlfiles.query("study/answering_models"))}
        return len(names), len(names) * (len(names) - 1) // 2

    def _sizes(self) -> dict[str | None, int]:
        """Instructions of each scenario that will have answers."""
        limit = self._study.file.infer.get("limit")
        return {name: size if limit is None else min(size, limit) for name, size in self._pool.items()}

    def _picks(self) -> dict[str | None, int]:
        """Response pairs that will be selected in each scenario, at most."""
        top_k = self._study.file.select.get("top_k", 10)
        return {name: self._models()[1] * min(size, top_k) for name, size in self._sizes().items()}


def _expected(step: str, scenario: str | None, found: Estimate) -> Expected:
    return Expected(_step(step, scenario), found.requests, found.tokens_in, found.tokens_out, found.cost)


def _step(step: str, scenario: str | None) -> str:
    return step if scenario is None else f"{step} --scenario {scenario}"
