"""A study as one TOML file: what stands in it, checked key by key, as plain values. Nothing is run here.

Errors name the file, the table, the key, what was found and what was expected. Files named in it are looked for beside
it.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from madetl.errors import InputError
from madetl.store import pool

Values = dict[str, Any]


@dataclass(frozen=True)
class StudyFile:
    """Tables of the file, each with the keys that it has. `scenarios` None: all of them together.

    `generation`: as in store.pool; None: of each scenario the rewritings, or its seeds where it has none.
    """

    path: Path
    scenarios: list[str] | None = None
    generation: str | None = None
    seeds: list[Values] = field(default_factory=list)
    models: list[Values] = field(default_factory=list)
    evolve: Values | None = None
    infer: Values = field(default_factory=dict)
    metrics: list[Values] = field(default_factory=list)
    select: Values = field(default_factory=dict)
    judge: Values | None = None
    rank: Values = field(default_factory=dict)
    asking: Values = field(default_factory=dict)


@dataclass(frozen=True)
class _Key:
    """What a key may hold: in words, and as a test. `file`: it names one. `value` makes of it what the study takes."""

    expected: str
    fits: Callable[[Any], bool]
    needed: bool = False
    file: bool = False
    value: Callable[[Any], Any] = lambda found: found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _text(needed: bool = False, file: bool = False) -> _Key:
    return _Key("the name of a file" if file else "a text", _is_text, needed, file)


def _texts(needed: bool = False) -> _Key:
    expected = 'a list of names, such as ["a", "b"]'
    return _Key(expected, lambda value: isinstance(value, list) and bool(value) and all(map(_is_text, value)), needed)


def _scenarios() -> _Key:
    names = _texts()
    return _Key(
        f"a name, or {names.expected}",
        lambda value: _is_text(value) or names.fits(value),
        value=lambda value: [value] if isinstance(value, str) else list(dict.fromkeys(value)),
    )


def _generation() -> _Key:
    words = _word(pool.EVOLVED, pool.SEEDS, pool.ALL)
    return _Key(
        f"{words.expected} or a number such as 2",
        lambda value: words.fits(value) or (_is_number(value, int) and value >= 0),
        value=pool.parsed,
    )


def _stops() -> _Key:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text for text in value)

    return _Key('a list of texts, such as ["\\n\\n"]', fits)


def _word(*words: str) -> _Key:
    return _Key(" or ".join(f'"{word}"' for word in words), lambda value: value in words)


def _integer(least: int) -> _Key:
    return _Key(f"a whole number from {least}", lambda value: _is_number(value, int) and value >= least)


def _number(least: float, most: float = math.inf) -> _Key:
    to = "" if most == math.inf else f" to {most:g}"
    return _Key(f"a number from {least:g}{to}", lambda value: _is_number(value) and least <= value <= most)


def _is_number(value: Any, kind: Any = int | float) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)


_FLAG = _Key("true or false", lambda value: isinstance(value, bool))
_TABLE = _Key("a table", lambda value: isinstance(value, dict))
_SAMPLING = {
    "temperature": _number(0, 2), "top_p": _number(0, 1), "max_tokens": _integer(1),
    "presence_penalty": _number(-2, 2), "frequency_penalty": _number(-2, 2), "stop": _stops(),
}  # fmt: skip
_TOP: dict[str, _Key] = {"scenarios": _scenarios(), "generation": _generation()}
_LISTS: dict[str, dict[str, _Key]] = {
    "seeds": {"file": _text(needed=True, file=True), "scenario": _text()},
    "models": {
        "name": _text(needed=True), "answers": _FLAG, "provider": _word("openai", "gemini", "vllm"),
        "model_id": _text(), "base_url": _text(), "key_env": _text(), "trust_remote_code": _FLAG,
        "system_prompt": _text(), "chat_template": _text(file=True), "options": _TABLE, **_SAMPLING,
        "safety": _word("block-none", "default"), "price_in": _number(0), "price_out": _number(0),
    },
    "metrics": {
        "name": _text(needed=True), "as": _word("embedding", "llm"), "prefilter": _text(),
        "prompt": _text(file=True), **_SAMPLING,
    },
}  # fmt: skip
_TABLES: dict[str, dict[str, _Key]] = {
    "evolve": {
        "models": _texts(needed=True), "scenarios": _scenarios(), "rounds": _integer(1), "per_seed": _integer(1),
        "limit": _integer(1), "prompt": _text(file=True), "duplicate_above": _number(0, 1), **_SAMPLING,
    },
    "infer": {"limit": _integer(1), "samples": _integer(1)},
    "select": {
        "metric": _text(), "top_k": _integer(1), "diversity": _number(0), "instruction_metric": _text(),
        "min_words": _integer(0), "max_length_ratio": _number(0), "seed": _integer(0), "name": _text(),
        "strategy": _word("mad", "evidence", "band", "random"),
    },
    "judge": {"models": _texts(needed=True), "prompt": _text(file=True), **_SAMPLING},
    "rank": {
        "method": _word("elo", "bt"), "rounds": _integer(1), "resample": _word("bootstrap", "permute"),
        "seed": _integer(0), "k_factor": _number(0),
    },
    "asking": {
        "concurrency": _integer(1), "max_attempts": _integer(1), "max_cost": _number(0), "timeout": _number(0),
        "retry_failed": _FLAG, "prices": _text(file=True),
    },
}  # fmt: skip


def read(path: str | Path) -> StudyFile:
    """Reads a study. Raises InputError for what cannot be read, is unknown, missing or not of its kind."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise InputError(str(path), f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(str(path), f"is not TOML: {error}") from error
    _check_names(path, "", found, [*_TOP, *_LISTS, *_TABLES])
    top = {name: value for name, value in found.items() if name in _TOP}
    values = _checked(path, "", top, _TOP)
    values |= {name: _rows(path, name, found[name]) for name in _LISTS if name in found}
    values |= {name: _table(path, f"[{name}]", found[name], _TABLES[name]) for name in _TABLES if name in found}
    study = StudyFile(path, **values)
    _check_together(study)
    return study


def _rows(path: Path, name: str, value: Any) -> list[Values]:
    if not isinstance(value, list) or not value:
        raise InputError(str(path), f"expected a table [[{name}]] for each", field=name)
    return [_table(path, f"[[{name}]] {number}", row, _LISTS[name]) for number, row in enumerate(value, 1)]


def _table(path: Path, where: str, value: Any, keys: Mapping[str, _Key]) -> Values:
    if not isinstance(value, dict):
        raise InputError(str(path), f"expected a table, found {value!r}", field=where)
    return _checked(path, where, value, keys)


def _checked(path: Path, where: str, table: Values, keys: Mapping[str, _Key]) -> Values:
    """The table, with files found, values as the study takes them. Raises InputError for the first wrong key."""
    _check_names(path, where, table, list(keys))
    for name, key in keys.items():
        if key.needed and name not in table:
            raise InputError(str(path), f"is missing; expected {key.expected}", field=f"{where} {name}".strip())
        if name in table and not key.fits(table[name]):
            raise InputError(
                str(path), f"found {table[name]!r}, expected {key.expected}", field=f"{where} {name}".strip()
            )
    return {
        name: _file(path, where, name, value) if keys[name].file else keys[name].value(value)
        for name, value in table.items()
    }


def _check_names(path: Path, where: str, table: Values, known: list[str]) -> None:
    unknown = [name for name in table if name not in known]
    if unknown:
        message = f"there is no such key. Known: {', '.join(known)}"
        raise InputError(str(path), message, field=f"{where} {unknown[0]}".strip())


def _file(path: Path, where: str, name: str, value: str) -> str:
    file = path.parent / value
    if not file.is_file():
        raise InputError(str(path), f"there is no file {file}", field=f"{where} {name}")
    return str(file)


def _check_together(study: StudyFile) -> None:
    """Raises InputError for what does not fit together."""
    names = [model["name"] for model in study.models]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(str(study.path), f"{twice} stands there twice", field="[[models]] name")
    if len(study.metrics) > 1 and "metric" not in study.select:
        listed = " or ".join(f'"{metric["name"]}"' for metric in study.metrics)
        raise InputError(str(study.path), f"of several metrics, name the one to select by: {listed}", field="[select]")
    if study.scenarios and len(study.scenarios) > 1 and "name" in study.select:
        raise InputError(str(study.path), "each scenario has a selection of its own", field="[select] name")
