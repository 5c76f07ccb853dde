"""What a run spent, what is in flight, and whether one more request could exceed the limit. Plain arithmetic.

Until a request ends, it counts as the most that it can cost. A request that ended without an answer, but may have been
billed (after a timeout, say), keeps counting as that.
"""

from __future__ import annotations

from madetl.asking.estimate import most_tokens
from madetl.asking.ledger import BILLED, Closing, Request
from madetl.asking.prices import Price
from madetl.errors import ParameterError
from madetl.providers.base import Endpoint

_MAYBE_BILLED = frozenset({"timeout", "connection_error", "interrupted"})


class Budget:
    """Amounts in USD. Without a limit (None), `allows` is true of every request. `address`: where they are sent."""

    def __init__(self, limit: float | None, spent: float, price: Price, address: str | None = None) -> None:
        self._address = address
        self._limit, self._spent, self._price = limit, spent, price
        self._reserved = 0.0

    def most(self, request: Request, endpoint: Endpoint) -> float:
        """What a request can cost at most; 0 without a limit. Raises ParameterError where that is unknown."""
        if self._limit is None:
            return 0.0
        tokens_in, tokens_out = most_tokens(request)
        if tokens_out is None or "max_tokens" in endpoint.omit:
            raise ParameterError(
                "--max-cost needs answers of limited length: give --max-tokens, if the model takes it at all."
            )
        cost = self._price.cost(tokens_in, tokens_out)
        if cost is None:
            where = f" at {self._address}" if self._address else ""
            raise ParameterError(
                f"--max-cost needs the price of {endpoint.model_id}{where}, which is unknown: "
                "give --price-in and --price-out in USD per million tokens."
            )
        return cost

    def allows(self, most: float) -> bool:
        """Whether what was spent, what is in flight and this can stay within the limit."""
        return self._limit is None or self._spent + self._reserved + most <= self._limit

    def reserve(self, most: float) -> None:
        self._reserved += most

    def settle(self, most: float, closed: Closing) -> None:
        """Counts a request that ended: its real cost replaces what was reserved for it."""
        self._reserved -= most
        if closed.cost is not None:
            self._spent += closed.cost
        elif closed.outcome in BILLED | _MAYBE_BILLED or closed.tokens_in is not None:
            self._spent += most
