"""What a token costs: the dated table in the package, the user's own file, and the price in a model's row.

The first of these that has a price decides: the model's row, the file named by --prices or $MADETL_PRICES, the table
`prices.toml`. Both tables are of providers, and hold at the provider's own host alone: another server may ask for
anything, whatever it calls its models. A price that none of them has is unknown; it is never taken for zero.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from madetl.errors import InputError

VARIABLE = "MADETL_PRICES"
_PACKAGED = Path(__file__).with_name("prices.toml")
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{4}|\d{3}|latest)$")


@dataclass(frozen=True)
class Price:
    """USD per million tokens; None: unknown."""

    per_million_in: float | None = None
    per_million_out: float | None = None

    def cost(self, tokens_in: float | None, tokens_out: float | None) -> float | None:
        """USD for so many tokens; None where a price or a count that matters is unknown."""
        parts = [_cost(self.per_million_in, tokens_in), _cost(self.per_million_out, tokens_out)]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


def _cost(per_million: float | None, tokens: float | None) -> float | None:
    if tokens == 0:
        return 0.0
    return None if per_million is None or tokens is None else per_million * tokens / 1_000_000


Prices = Mapping[tuple[str, str], Price]  # by provider and model id


def load(file: str | Path | None = None) -> Prices:
    """The packaged table with a file's prices over it: `file`, or the one that $MADETL_PRICES names.

    Raises InputError where that file cannot be read or is not of the packaged table's form.
    """
    file = file or os.environ.get(VARIABLE) or None
    return _packaged() if file is None else dict(_packaged()) | _read(Path(file))


def price_of(model: sqlite3.Row | Mapping[str, Any], prices: Prices, *, at_home: bool) -> Price:
    """The price of a row of `models`: what the row has, else what the table has, for input and output separately.

    `at_home`: the provider itself is asked, and not another server.
    """
    listed = _listed(prices, model["provider"] or "", model["model_id"] or model["name"]) if at_home else Price()
    return Price(
        listed.per_million_in if model["price_in"] is None else model["price_in"],
        listed.per_million_out if model["price_out"] is None else model["price_out"],
    )


def _listed(prices: Prices, provider: str, model_id: str) -> Price:
    name = model_id.removeprefix("models/")
    return prices.get((provider, name)) or prices.get((provider, _SNAPSHOT.sub("", name))) or Price()


@cache
def _packaged() -> Prices:
    return _read(_PACKAGED)


def _read(file: Path) -> dict[tuple[str, str], Price]:
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(str(file), f"cannot be read as a table of prices: {error}") from error
    return {
        (provider, model): _price(file, f"{provider}.prices.{model}", value)
        for provider, table in tables.items()
        for model, value in _models(file, provider, table).items()
    }


def _models(file: Path, provider: str, table: Any) -> dict[str, Any]:
    models = table.get("prices") if isinstance(table, dict) else None
    if not isinstance(models, dict):
        raise InputError(
            str(file), f'expected a table [{provider}.prices] with lines like "gpt-4.1" = [2.00, 8.00]', field=provider
        )
    return models


def _price(file: Path, field: str, value: Any) -> Price:
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_price, value)):
        raise InputError(str(file), f"expected [input, output] in USD per million tokens, found {value!r}", field=field)
    return Price(float(value[0]), float(value[1]))


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
