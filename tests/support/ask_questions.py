"""A program that asks numbered questions and stores the answers: what the tests kill, interrupt and run twice.

    python -m tests.support.ask_questions DB URL COUNT CONCURRENCY

Prints the report as JSON; exits with 130 after Ctrl-C.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from madetl.asking.ask import AskOptions, AskReport, Caller, Task, ask_all
from madetl.asking.prices import Price
from madetl.providers.base import ChatRequest, Endpoint
from madetl.store import database, runs

TABLE = "CREATE TABLE IF NOT EXISTS got (subject INTEGER PRIMARY KEY, text TEXT NOT NULL, call_id INTEGER NOT NULL)"


def questions(count: int, **parameters: Any) -> Iterator[Task]:
    """Question i, with i as its subject."""
    return (Task(ChatRequest(f"question {i}", max_tokens=100, **parameters), subject=i) for i in range(count))


def save(db: sqlite3.Connection, task: Task, answer: Any, call_id: int) -> None:
    """One row per answer; another process may have stored the same."""
    db.execute("INSERT OR IGNORE INTO got VALUES (?, ?, ?)", (task.subject, answer.text, call_id))


def model(db: sqlite3.Connection, name: str = "m") -> int:
    """The id of the model that is asked, and a table for its answers."""
    db.execute(TABLE)
    db.execute("INSERT OR IGNORE INTO models (name, provider) VALUES (?, 'openai')", (name,))
    return int(db.execute("SELECT id FROM models WHERE name = ?", (name,)).fetchone()[0])


def ask(
    db: sqlite3.Connection, url: str, tasks: Iterator[Task], price: Price | None = None, **settings: Any
) -> AskReport:
    """Asks the server at `url` within a run of its own; `settings` are those of AskOptions and ask_all."""
    further = {name: settings.pop(name) for name in ("open_provider", "progress") if name in settings}
    saving = settings.pop("save", save)
    model_id = model(db)
    endpoint = Endpoint("openai", "m", f"{url}/v1")
    with runs.run(db, "infer", {}) as run:
        caller = Caller(endpoint, model_id, "inference", run.id, price or Price())
        return ask_all(db, caller, tasks, saving, AskOptions(**settings), **further)


def main() -> None:
    file, url, count, concurrency = sys.argv[1:]
    with database.writing(Path(file)) as db:
        report = ask(db, url, questions(int(count)), concurrency=int(concurrency))
    print(json.dumps({"done": report.done, "reused": report.reused, "requests": report.requests}))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
