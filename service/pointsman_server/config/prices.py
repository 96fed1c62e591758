"""The price table: provider and model -> prices. A data file comes along; a file of the same form may go before it.

The form is JSON: `currency`, and `lists`, each with the `providers` that it holds for and its `models`: a model's
prices are numbers, in units of the currency per million tokens, for `input`, `output`, `cached_input`, `cache_write`
and `reasoning`; `above` holds those that count for inputs of more than its `tokens`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from pointsman_server.config.schema import Price, PriceTier, Section
from pointsman_server.domain import Prices, Rates

MAX_FILE_BYTES = 8 * 1024 * 1024
_NANOS = 1_000_000_000


class _List(Section):
    providers: tuple[str, ...] = Field(strict=False)
    models: dict[str, Annotated[Price, Field()]]


class _File(Section):
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    collected: str = ""
    lists: tuple[_List, ...] = Field(strict=False)


class PriceTable:
    """Prices by provider and model."""

    def __init__(self, prices: Mapping[tuple[str, str], Prices]) -> None:
        self._prices = dict(prices)

    def find(self, provider: str, model: str) -> Prices | None:
        """The prices of a provider's model, by its exact name."""
        return self._prices.get((provider, model))

    def over(self, other: PriceTable) -> PriceTable:
        """Both tables; this one's entries go first."""
        return PriceTable({**other._prices, **self._prices})

    def __len__(self) -> int:
        return len(self._prices)


def read_prices(data: bytes) -> PriceTable:
    """A table from its file's bytes. Raises ValueError with a text that names the spot."""
    try:
        table = _File.model_validate(json.loads(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise ValueError(f"{where}: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    return PriceTable(
        {
            (provider, name): prices_of(price, table.currency)
            for one in table.lists
            for provider in one.providers
            for name, price in one.models.items()
        }
    )


def load_prices(path: str) -> PriceTable:
    """The table of a file, before the one that comes along; of that alone where the path is empty.

    Raises OSError, and ValueError for a file that is none.
    """
    if not path:
        return shipped_prices()
    with Path(path).open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"is larger than {MAX_FILE_BYTES} bytes")
    return read_prices(data).over(shipped_prices())


@cache
def shipped_prices() -> PriceTable:
    """What comes along: the providers' public prices at the date in the file, without discounts and surcharges."""
    return read_prices(resources.files("pointsman_server.config").joinpath("prices.json").read_bytes())


def prices_of(price: Price, currency: str) -> Prices:
    """Configured prices in the numbers that money is counted in."""
    above = price.above
    return Prices(
        currency=price.currency or currency,
        rates=_rates(price),
        above_tokens=0 if above is None else above.tokens,
        above=None if above is None else _rates(above),
    )


def _rates(price: PriceTier) -> Rates:
    return Rates(
        input=_nanos(price.input),
        output=_nanos(price.output),
        cached_input=_nanos(price.cached_input),
        cache_write=_nanos(price.cache_write),
        reasoning=_nanos(price.reasoning),
    )


def _nanos(amount: float | None) -> int | None:
    return None if amount is None else round(amount * _NANOS)
