"""How a model is asked: what its row of `models` keeps, and what the user sets for one run, as an Endpoint and a Price.

A database may come from another person. So a row never names the variable of a key, and never allows code that comes
with a model to run: both are taken from `ModelOptions` alone, which is the command line or the user's own study file.

What decides about a model's answers (provider, name there, options; for its answers to instructions the system prompt
and the sampling too) is settled once something was asked: another setting is another name. Addresses, prices and
Gemini's safety setting, which decides whether an answer is held back and not what it says, may change.
"""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from madetl import providers
from madetl.asking import prices
from madetl.asking.ask import Caller
from madetl.asking.ledger import HOW_TO_ASK
from madetl.asking.prices import Price
from madetl.errors import ParameterError
from madetl.providers import keys
from madetl.providers.base import SAMPLING, Endpoint
from madetl.providers.gemini_answers import SAFETY
from madetl.store import sqlfiles

ANSWERING = ("system_prompt", *SAMPLING)
OPTIONS: dict[str, tuple[str, ...]] = {
    "openai": ("extra_body",),
    "gemini": ("safety",),
    "vllm": (
        "chat_template", "chat_template_kwargs", "dtype", "enforce_eager", "gpu_memory_utilization", "max_model_len",
        "max_num_batched_tokens", "quantization", "revision", "seed", "structured_outputs_config",
        "tensor_parallel_size", "tokenizer",
    ),
}  # fmt: skip
"""Options of a provider that a row may keep. Other options in a row are ignored."""

_NONE_IF_ABSENT = ("presence_penalty", "frequency_penalty", "stop")
"""What of SAMPLING a row keeps only where it was given."""
_LONGEST_SHOWN = 60  # characters of a system prompt in a message
_OF_THE_REQUEST = (
    "model", "messages", "input", "n", "max_tokens", "max_completion_tokens", "temperature", "top_p", "response_format",
    "stream",
)  # fmt: skip
"""Keys that extra_body may not have: they decide which model is asked and at what cost, unseen by a dry run."""


@dataclass(frozen=True)
class ModelOptions:
    """What the user sets for a model for one run; None: what its row keeps, or the default.

    `model_id` is the provider's name for the model, `safety` one of Gemini's SAFETY: both are kept with the model.
    `prices` is a file of prices, `timeout` in seconds, prices in USD per million tokens.
    """

    provider: str | None = None
    model_id: str | None = None
    base_url: str | None = None
    key_env: str | None = None
    timeout: float | None = None
    trust_remote_code: bool = False
    safety: str | None = None
    prices: Path | None = None
    price_in: float | None = None
    price_out: float | None = None


@dataclass(frozen=True)
class AskedModel:
    """A model, ready to be asked. `id` is 0 while it has no row. `answering` is what its row keeps of ANSWERING.

    `columns` and, of the provider's options, `options` are what `register` stores. `has_answers`: it has responses that
    were asked for.
    """

    id: int
    name: str
    endpoint: Endpoint
    price: Price
    answering: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    has_answers: bool = False

    @property
    def recorded(self) -> dict[str, Any]:
        """What a run keeps of it: who is asked, where, and with which options."""
        return {name: getattr(self.endpoint, name) for name in ("provider", "model_id", "base_url", "options")}

    def caller(self, stage: str, run_id: int) -> Caller:
        """Who is asked, on behalf of which stage and run."""
        return Caller(self.endpoint, self.id, stage, run_id, self.price)


def find(db: sqlite3.Connection, name: str, model_options: ModelOptions | None = None) -> AskedModel:
    """The model of that name, which may be new; nothing is written.

    Raises ParameterError where the provider is unknown, or where `model_options` names another one than
    the provider that answered before; InputError for a file of prices that cannot be read.
    """
    model_options = model_options or ModelOptions()
    if not name.strip():
        raise ParameterError("The model's name is empty. Give a name.")
    row = _row(db, name)
    provider = _provider(name, row, model_options)
    base_url = keys.checked_url(url) if (url := model_options.base_url or row["base_url"]) else None
    model_id = _model_id(name, row, provider, model_options)
    settings = json.loads(row["settings"])
    kept = _kept_options(provider, settings)
    options = _options_to_keep(provider, kept, model_options)
    endpoint = Endpoint(
        provider=provider,
        model_id=model_id or name,
        base_url=base_url,
        key_env=model_options.key_env,
        options=kept | options | _run_options(provider, model_options),
    )
    settled = {"base_url": base_url, "model_id": model_id}
    return AskedModel(
        id=row["id"],
        name=name,
        endpoint=endpoint,
        price=_price({**row, "model_id": model_id}, endpoint, model_options),
        answering=_kept_answering(row, settings),
        columns={"provider": provider} | ({} if row["asked"] else settled),
        options=options,
        has_answers=bool(row["answers"]),
    )


def answering(model: AskedModel, overrides: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """System prompt and sampling that the model answers instructions with: `overrides`, else what is kept, else the
    default.

    Keys are those of ANSWERING; `overrides` has those that the user gave. Raises ParameterError where something else is
    kept with the model.
    """
    kept = model.answering
    differing = {name: (kept[name], overrides[name]) for name in overrides if name in kept}
    _refuse_change(model.name, model.endpoint.model_id, differing, settled=model.has_answers)
    return {name: overrides.get(name, kept.get(name, defaults.get(name))) for name in ANSWERING}


def register(db: sqlite3.Connection, model: AskedModel, settled: Mapping[str, Any] | None = None) -> AskedModel:
    """Gives the model its row, or brings it up to date; returns it with its id. Call it inside a transaction.

    `settled`: what `answering` came to, to be kept with the model.
    """
    columns = dict(model.columns)
    if settled is not None or model.options:
        columns |= _answering_columns(_row(db, model.name), settled or {}, model.options)
    _upsert(db, model.name, columns)
    return replace(model, id=_row(db, model.name)["id"])


def check_access(model: AskedModel) -> None:
    """Raises ParameterError where a key is missing, or an address cannot be used, before anything is written."""
    if home := keys.HOMES.get(model.endpoint.provider):
        keys.access(model.endpoint, home)


def add(db: sqlite3.Connection, name: str, changes: Mapping[str, Any]) -> AskedModel:
    """Keeps what a model needs: `madetl models add`. Call it inside a transaction.

    Keys of `changes`: provider, model_id, base_url, price_in, price_out, `options` (of the provider) and those of
    ANSWERING; what is absent stays as it was. Raises ParameterError where stored answers depend on what would change.
    """
    row = _row(db, name)
    provider = (
        changes.get("provider") or row["provider"] or _guess(changes.get("model_id") or name, changes.get("base_url"))
    )
    _check_options(provider, changes.get("options") or {})
    _refuse_to_unsettle(row, changes)
    if changes.get("model_id"):
        changes = {**changes, "model_id": _from_anywhere(provider, changes["model_id"])}
    columns = {"provider": provider} | {
        key: changes[key] for key in ("model_id", "price_in", "price_out") if key in changes
    }
    if changes.get("base_url"):
        columns["base_url"] = keys.checked_url(changes["base_url"])
    columns |= _answering_columns(
        row, {key: changes[key] for key in ANSWERING if key in changes}, changes.get("options")
    )
    _upsert(db, name, columns)
    return find(db, name)


def _refuse_to_unsettle(row: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Raises ParameterError for a change of settings that stored answers depend on."""
    settings = json.loads(row["settings"])
    who = {"provider": row["provider"], "model_id": row["model_id"] or row["name"]}
    options = {name: value for name, value in (changes.get("options") or {}).items() if name not in HOW_TO_ASK}
    who |= {f"option {name}": settings.get("options", {}).get(name) for name in options}
    how = {"system_prompt": row["system_prompt"]} | {key: settings.get(key) for key in SAMPLING}
    after = dict(changes) | {f"option {name}": value for name, value in options.items()}
    settled = (who if row["asked"] else {}) | (how if row["answers"] else {})
    _refuse_change(row["name"], who["model_id"], {key: (settled[key], after[key]) for key in settled if key in after})


def _row(db: sqlite3.Connection, name: str) -> Mapping[str, Any]:
    row = db.execute(sqlfiles.query("asking/model_to_ask"), {"name": name}).fetchone()
    nothing = dict.fromkeys(("provider", "model_id", "base_url", "system_prompt", "price_in", "price_out"))
    return nothing | {"id": 0, "name": name, "settings": "{}", "answers": 0, "asked": 0} if row is None else dict(row)


def _provider(name: str, row: Mapping[str, Any], model_options: ModelOptions) -> str:
    if model_options.provider and row["provider"] and row["asked"]:
        _refuse_change(name, row["model_id"] or name, {"provider": (row["provider"], model_options.provider)})
    known: str | None = model_options.provider or row["provider"]
    model_id = model_options.model_id or row["model_id"] or name
    return known or _guess(model_id, model_options.base_url or row["base_url"])


def _model_id(name: str, row: Mapping[str, Any], provider: str, model_options: ModelOptions) -> str | None:
    """The provider's name for the model; None: the model's own."""
    kept: str | None = row["model_id"]
    if model_options.model_id is None:
        return kept
    model_id = _from_anywhere(provider, model_options.model_id)
    if row["asked"]:
        _refuse_change(name, kept or name, {"model_id": (kept or name, model_id)})
    return model_id


def _from_anywhere(provider: str, model_id: str) -> str:
    """A model's folder as it is found from another one, too."""
    return str(Path(model_id).resolve()) if provider == "vllm" and Path(model_id).is_dir() else model_id


def _kept_answering(row: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says about how the model answers; of a model that has answers, what is absent is none."""
    kept = dict.fromkeys((*_NONE_IF_ABSENT, "system_prompt")) if row["answers"] else {}
    kept |= {key: settings[key] for key in SAMPLING if key in settings}
    return kept if row["system_prompt"] is None else kept | {"system_prompt": row["system_prompt"]}


def _guess(model_id: str, base_url: str | None) -> str:
    """The provider that a name implies. A model with an address is on a server; most servers take OpenAI's format."""
    try:
        provider = providers.provider_of(model_id)
    except ParameterError:
        if not base_url:
            raise
        return "openai"
    return "openai" if base_url and provider == "vllm" else provider


def _kept_options(provider: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    options = settings.get("options")
    kept = {key: options[key] for key in OPTIONS[provider] if key in options} if isinstance(options, dict) else {}
    if isinstance(kept.get("extra_body"), dict):
        kept["extra_body"] = {key: kept["extra_body"][key] for key in kept["extra_body"] if key not in _OF_THE_REQUEST}
    return kept


def _options_to_keep(provider: str, kept: Mapping[str, Any], model_options: ModelOptions) -> dict[str, Any]:
    """What the row keeps from now on: of a Gemini model how safety was asked for, be it by default."""
    if model_options.safety is not None:
        _check_options(provider, {"safety": model_options.safety})
    elif provider != "gemini":
        return {}
    return {"safety": model_options.safety or kept.get("safety", SAFETY[0])}


def _run_options(provider: str, model_options: ModelOptions) -> dict[str, Any]:
    if model_options.trust_remote_code and provider != "vllm":
        raise ParameterError("--trust-remote-code is for models in this process (--provider vllm).")
    options: dict[str, Any] = {"trust_remote_code": True} if model_options.trust_remote_code else {}
    return options if model_options.timeout is None else options | {"timeout": model_options.timeout}


def _check_options(provider: str, options: Mapping[str, Any]) -> None:
    unknown = [name for name in options if name not in OPTIONS[provider]]
    if "safety" in unknown:
        raise ParameterError("--safety is for Gemini (--provider gemini): other providers have no such setting.")
    if unknown:
        known = ", ".join(OPTIONS[provider]) or "none"
        raise ParameterError(f"{provider} has no option {unknown[0]!r} that a model can keep. Known: {known}")
    if options.get("safety", SAFETY[0]) not in SAFETY:
        raise ParameterError(f"safety is {' or '.join(SAFETY)}, not {options['safety']}.")
    body = options.get("extra_body", {})
    if not isinstance(body, dict):
        raise ParameterError('extra_body is a JSON object, such as {"reasoning_effort": "low"}.')
    if own := [name for name in body if name in _OF_THE_REQUEST]:
        raise ParameterError(
            f"extra_body cannot say {own[0]!r}: madetl sets it, by --model-id or the sampling options."
        )


def _price(row: Mapping[str, Any], endpoint: Endpoint, model_options: ModelOptions) -> Price:
    overrides = {key: value for key in ("price_in", "price_out") if (value := getattr(model_options, key)) is not None}
    model = {**row, "provider": endpoint.provider, **overrides}
    return prices.price_of(model, prices.load(model_options.prices), at_home=keys.at_home(endpoint))


def _refuse_change(name: str, model_id: str, changes: Mapping[str, tuple[Any, Any]], *, settled: bool = True) -> None:
    """Raises ParameterError for the first of (before, now) that differ. `settled`: something was asked with it."""
    for key, (before, now) in changes.items():
        if before == now:
            continue
        was, flag = _with(key, before), _flag(key, now)
        if not settled:
            free = f"No stored answer depends on that yet: madetl models add {shlex.quote(name)} {flag} changes it."
            raise ParameterError(f"{name} is to be asked {was}, not {_with(key, now)}. {free}")
        other = flag if key == "model_id" else f"--model-id {shlex.quote(model_id)} {flag}"
        raise ParameterError(
            f"{name} was asked {was} so far; {_with(key, now)} it would be another model. Leave that option out, or "
            f"ask it under another name: madetl models add NEW-NAME {other}"
        )


def _with(key: str, value: Any) -> str:
    """A setting in words: `with --temperature 0.5`, `without --top-p`."""
    if value is None:
        kind, _, name = key.partition(" ")
        return f"without --{kind.replace('_', '-')} {name}".strip()
    if key == "system_prompt":
        text = " ".join(value.split())
        return f'with the system prompt "{text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"}"'
    return f"with {_flag(key, value)}"


def _flag(key: str, value: Any) -> str:
    """A setting as the command line gives it."""
    kind, _, name = key.partition(" ")
    if kind == "system_prompt":
        return "--system-prompt FILE"
    if kind == "stop":
        return " ".join(f"--stop {shlex.quote(text)}" for text in value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"--{kind.replace('_', '-')} {shlex.quote(f'{name}={text}' if name else text)}"


def _answering_columns(
    row: Mapping[str, Any], values: Mapping[str, Any], options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The columns that keep these settings, beside what the row has learnt about refused parameters."""
    given = {key: values[key] for key in SAMPLING if key in values}
    given = {key: value for key, value in given.items() if value is not None or key not in _NONE_IF_ABSENT}
    settings = json.loads(row["settings"]) | given
    if options:
        settings["options"] = {**settings.get("options", {}), **options}
    columns = {"settings": json.dumps(settings, ensure_ascii=False, sort_keys=True)}
    return columns | ({"system_prompt": values["system_prompt"]} if "system_prompt" in values else {})


def _upsert(db: sqlite3.Connection, name: str, columns: Mapping[str, Any]) -> None:
    from madetl.arrays import without_pandas

    with without_pandas():
        from sqlite_utils import Database
        from sqlite_utils.db import Table

    table = Database(db)["models"]
    assert isinstance(table, Table)
    table.upsert({"name": name, **columns}, pk="name")
