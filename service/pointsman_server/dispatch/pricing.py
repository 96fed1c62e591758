"""Tokens -> money. Pure."""

from __future__ import annotations

from pointsman_server.domain import Cost, Prices, Usage

_MILLION = 1_000_000


def cost_of(usage: Usage | None, prices: Prices | None) -> Cost | None:
    """What an answer costs, rounded once; None where nothing is counted or nothing has a price.

    Cached, cache-write and reasoning tokens are parts of input and output: each token is paid for once.
    """
    if usage is None or prices is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    inputs, outputs = usage.input_tokens or 0, usage.output_tokens or 0
    rates = prices.rates
    if prices.above is not None and inputs > prices.above_tokens:
        rates = prices.above
    cached = min(inputs, usage.cached_input_tokens or 0)
    written = min(inputs - cached, usage.cache_write_tokens or 0)
    thought = min(outputs, usage.reasoning_tokens or 0)
    input_rate, output_rate = rates.input or 0, rates.output or 0
    total = (
        (inputs - cached - written) * input_rate
        + cached * _or(rates.cached_input, input_rate)
        + written * _or(rates.cache_write, input_rate)
        + (outputs - thought) * output_rate
        + thought * _or(rates.reasoning, output_rate)
    )
    return Cost((total + _MILLION // 2) // _MILLION, prices.currency)


def _or(rate: int | None, whole: int) -> int:
    return whole if rate is None else rate
