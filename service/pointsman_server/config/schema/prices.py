"""What a call costs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pointsman_server.config.schema.values import Section

Amount = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class PriceTier(Section):
    """Prices in units of the currency per million tokens. What is left out costs what its whole does: cached and
    written input as input, reasoning as output.
    """

    input: Amount | None = None
    """Of the prompt."""
    output: Amount | None = None
    """Of the answer."""
    cached_input: Amount | None = None
    """Of the part of the prompt that the provider had in its cache."""
    cache_write: Amount | None = None
    """Of the part of the prompt that it put there."""
    reasoning: Amount | None = None
    """Of the part of the answer that is reasoning."""


class LongInput(PriceTier):
    """Prices for longer inputs, in place of the others."""

    tokens: int = Field(ge=1, le=100_000_000)
    """They count for inputs of more tokens than this."""


class Price(PriceTier):
    """Prices in units of the currency per million tokens. What is left out costs what its whole does: cached and
    written input as input, reasoning as output.
    """

    currency: str = Field(default="", pattern=r"^([A-Z]{3})?$")
    """ISO 4217; USD without it."""
    above: LongInput | None = None
    """Prices for longer inputs."""
