"""What a stage asks one model for in one run: the shape that the stages share, and the one place that runs it."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cached_property
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from madetl.asking.ask import AskOptions, AskProgress, AskReport, Estimate, Task, ask_all, estimate
from madetl.asking.ledger import Answer
from madetl.asking.model_settings import AskedModel, check_access, register
from madetl.store.database import transaction
from madetl.store.runs import run

Show = Callable[[AskProgress, int], None]
"""Called as a stage asks: a moment of the work, and how many answers there are to be in all."""

Ask = Callable[[Iterator[Task], int], AskReport]
"""Asks the tasks, of which there are so many."""


class Summarised(Protocol):
    """What came of a run, with its closing line."""

    @property
    def summary(self) -> str: ...


Result = TypeVar("Result", bound=Summarised)


class StageWork(ABC, Generic[Result]):
    """The answers that a stage lacks from one model: how many, how they are asked for and stored, what came of it.

    `stage` and `command` are what `calls` and `runs` say. `run_id` is 0 until the work runs.
    """

    stage: ClassVar[str]
    command: ClassVar[str]

    def __init__(self, db: sqlite3.Connection, model: AskedModel) -> None:
        self.db, self.model, self.run_id = db, model, 0

    @cached_property
    def missing(self) -> int:
        """How many answers there are to ask for, when the work begins."""
        return self.count_missing()

    def run(self, options: AskOptions | None = None, show: Show | None = None) -> Result:
        """Asks for all that is missing, as one run. Raises ParameterError where a key is missing, else as `ask_all`."""
        options = options or AskOptions()
        self.check_access()
        with run(self.db, self.command, self.parameters() | {"asking": asdict(options)}) as this:
            result = self.result(self.ask_missing(this.id, options, show))
            this.summary = self.closing_line(result)
        return result

    def dry_run(self, options: AskOptions | None = None) -> Estimate:
        """What `run` would ask for and what that would cost. Sends nothing and writes nothing."""
        return estimate(self.db, self.model.caller(self.stage, 0), self.tasks(), options or AskOptions())

    def check_access(self) -> None:
        """Raises ParameterError where something is to be asked and a key is missing."""
        if self.missing:
            check_access(self.model)

    def ask_missing(self, run_id: int, options: AskOptions, show: Show | None) -> AskReport:
        """Asks for all that is missing, as a part of the run `run_id`."""
        self.run_id = run_id
        self.begin()

        def ask(tasks: Iterator[Task], total: int) -> AskReport:
            progress = None if show is None else lambda moment: show(moment, total)
            caller = self.model.caller(self.stage, run_id)
            return ask_all(self.db, caller, tasks, self.save, options, progress=progress)

        return self.ask(ask) if self.missing else AskReport()

    @abstractmethod
    def count_missing(self) -> int: ...

    @abstractmethod
    def tasks(self) -> Iterator[Task]:
        """One task for each missing answer."""

    @abstractmethod
    def save(self, db: sqlite3.Connection, task: Task, answer: Answer, call_id: int) -> None:
        """Stores what an answer is for, as `tasks.Save` says."""

    @abstractmethod
    def result(self, report: AskReport) -> Result:
        """What came of the run."""

    def parameters(self) -> dict[str, Any]:
        """What the run's row keeps: all that the answers depend on, but for how fast they were asked for."""
        return {}

    def closing_line(self, result: Result) -> str:
        """What the run's row keeps of the result."""
        return result.summary

    def begin(self) -> None:
        """Writes what must be there before the first request."""
        if self.missing:
            with transaction(self.db):
                self.register()

    def register(self) -> None:
        """Gives the model its row. Called inside a transaction."""
        self.model = register(self.db, self.model)

    def ask(self, ask: Ask) -> AskReport:
        """Asks all tasks, in one go."""
        return ask(self.tasks(), self.missing)
