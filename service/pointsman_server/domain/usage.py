"""Tokens, money and warnings of a call."""

from __future__ import annotations

import enum

from pointsman_server.values import value


class UsageSource(enum.Enum):
    """Who counted."""

    REPORTED = "REPORTED"
    ESTIMATED = "ESTIMATED"


@value(frozen=True, slots=True)
class Usage:
    """Tokens of one answer; None means not reported, which is not 0.

    Cached, cache-write and reasoning tokens are parts of input and output, never additions to them.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None
    source: UsageSource = UsageSource.REPORTED


@value(frozen=True, slots=True)
class Cost:
    """Money in billionths of the currency's unit, rounded once per call."""

    nanos: int
    currency: str


@value(frozen=True, slots=True)
class Rates:
    """Prices in billionths of the currency's unit per million tokens; None costs what its whole does."""

    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


@value(frozen=True, slots=True)
class Prices:
    """What a model costs."""

    currency: str
    rates: Rates
    above_tokens: int = 0
    """`above` counts for inputs of more tokens than this."""
    above: Rates | None = None


@value(frozen=True, slots=True)
class Warning:
    """Something that the caller asked for and did not get as asked."""

    code: str
    field: str
    message: str
