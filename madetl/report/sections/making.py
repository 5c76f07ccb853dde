"""Section 8, how it was made: every run with its parameters, prompts, seeds and versions; how to repeat it. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from madetl.report.content import (
    Block,
    Cell,
    Code,
    Missing,
    Number,
    Section,
    Table,
    Text,
    decimal,
    excerpt,
    listed,
)
from madetl.report.rows import ReportData
from madetl.text import counted, file_name, without_folders

CommandLine = Callable[[str, Mapping[str, Any]], str | None]
"""What a person types to execute a run again, from its command and its parameters; None where that cannot be told."""

_PROMPT = 200  # characters from which on a text among the parameters is shown by itself
_REPEATED = ("ok",)


def section(study: ReportData, command_line: CommandLine) -> Section:
    """The record of the study."""
    title = "How it was made"
    if not study.runs.rows:
        return Section("making", title, [Missing("Nothing was executed yet.")])
    versions = list(dict.fromkeys(row["version"] for row in study.runs.rows))
    seeds = list(dict.fromkeys(str(row["seed"]) for row in study.runs.rows if row["seed"] is not None))
    what = (
        f"{counted(len(study.runs.rows), 'run')}, by madetl {listed(versions)}"
        f"{f', with seed {listed(seeds)}' if seeds else ''}. The rows that a run made carry its number."
    )
    blocks: list[Block] = [Text(what), _runs(study), _commands(study, command_line), *_prompts(study)]
    return Section("making", title, [*blocks, *_models(study), *_metrics(study)])


def _runs(study: ReportData) -> Table:
    rows: list[list[Cell]] = [
        [
            Number(row["id"]),
            row["started_at"][:19].replace("T", " "),
            row["command"],
            _readable(row["parameters"]),
            Number("–" if row["seed"] is None else row["seed"]),
            row["version"],
            row["outcome"] or "running or killed",
            _summary(row),
        ]
        for row in study.runs.rows
    ]
    head = ["run", "started (UTC)", "command", "parameters", "seed", "version", "outcome", "what came of it"]
    return Table("Runs", head, rows, [study.runs.source])


def _summary(run: Mapping[str, Any]) -> str:
    """The first line of what came of a run, with the files' names alone."""
    line: str = (run["summary"] or "").partition("\n")[0]
    for value in json.loads(run["parameters"]).values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and one and file_name(one) != one:
                line = line.replace(one, file_name(one))
    return without_folders(line)


def _readable(parameters: str) -> str:
    """name = value, one per parameter: of files their names; long texts shortened, since they stand below."""
    stored = _without_folders(json.loads(parameters))
    return "; ".join(f"{name} = {excerpt(_plain(value), 120)}" for name, value in stored.items() if value is not None)


def _without_folders(value: Any) -> Any:
    """A JSON value in which absolute paths are the names of their files."""
    if isinstance(value, dict):
        return {key: _without_folders(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_folders(inner) for inner in value]
    return file_name(value) if isinstance(value, str) else value


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _commands(study: ReportData, command_line: CommandLine) -> Code:
    """A script of what was executed with success, in its order."""
    lines = []
    for row in study.runs.rows:
        if row["outcome"] in _REPEATED:
            line = command_line(row["command"], _without_folders(json.loads(row["parameters"])))
            lines.append(line or f"# run {row['id']}, {row['command']}: see its parameters above")
    note = "# Needs the same files under the same names. Verdicts of people come from their files again.\n"
    return Code("The commands that repeat it", note + "\n".join(lines), folded=False)


def _prompts(study: ReportData) -> Iterator[Block]:
    """Long texts among the parameters of runs and metrics, each once."""
    seen: set[str] = set()
    stored = [(f"run {row['id']} ({row['command']})", row["parameters"]) for row in study.runs.rows]
    stored += [(f"metric {row['metric']}", row["parameters"]) for row in study.metrics.rows]
    for where, parameters in stored:
        for name, text in _texts(json.loads(parameters)):
            if text not in seen:
                seen.add(text)
                yield Code(f"{name or 'parameter'} of {where}", text)


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The long texts in a JSON value, each with the path of keys that leads to it."""
    if isinstance(value, str) and (len(value) >= _PROMPT or "\n" in value):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)


def _models(study: ReportData) -> Iterator[Block]:
    asked = any(row["provider"] for row in study.models.rows)
    head = ["model", "answers", "mean words", *(["asked through", "as", "settings"] if asked else [])]
    rows: list[list[Cell]] = []
    for row in study.models.rows:
        cells: list[Cell] = [row["model"], row["responses"], decimal(row["words"], 0)]
        more: list[Cell] = [
            row["provider"],
            file_name(row["provider_model"] or row["model"]),
            row["settings"] and json.dumps(_without_folders(json.loads(row["settings"])), ensure_ascii=False),
        ]
        rows.append(cells + (more if asked else []))
    yield Table("Models", head, rows, [study.models.source])
    for row in study.models.rows:
        if row["system_prompt"]:
            yield Code(f"System prompt of {row['model']}", row["system_prompt"])


def _metrics(study: ReportData) -> Iterator[Block]:
    if not study.metrics.rows:
        return
    rows: list[list[Cell]] = [
        [row["metric"], _readable(row["parameters"]), row["response_pairs"], row["embeddings"]]
        for row in study.metrics.rows
    ]
    head = ["metric", "parameters", "pairs of answers measured", "texts embedded"]
    yield Table("Ways of measuring similarity", head, rows, [study.metrics.source])
