"""Tokens into money."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.dispatch.pricing import cost_of
from pointsman_server.domain import Cost, Prices, Rates, Usage

DOLLAR = 1_000_000_000
RATES = Rates(input=3 * DOLLAR, output=15 * DOLLAR, cached_input=DOLLAR // 2, cache_write=4 * DOLLAR)
PRICES = Prices("USD", RATES)
COUNTS = st.one_of(st.none(), st.integers(0, 10**7))
AMOUNTS = st.one_of(st.none(), st.integers(0, 10**12))


@pytest.mark.parametrize(
    ("usage", "nanos"),
    [
        (Usage(1_000_000, 0), 3 * DOLLAR),
        (Usage(0, 1_000_000), 15 * DOLLAR),
        (Usage(1_000_000, 1_000_000, reasoning_tokens=400_000), 18 * DOLLAR),
        (Usage(1_000_000, 0, cached_input_tokens=1_000_000), DOLLAR // 2),
        (Usage(1_000_000, 0, cached_input_tokens=500_000, cache_write_tokens=500_000), 2_250_000_000),
        (Usage(1, 1), 18_000),
        (Usage(input_tokens=1), 3_000),
    ],
)
def test_each_token_is_paid_for_once(usage, nanos):
    """Cached, written and reasoning tokens are parts of their wholes, at prices of their own where there are any."""
    assert cost_of(usage, PRICES) == Cost(nanos, "USD")


def test_no_count_or_no_price_is_no_cost():
    """Which is not a cost of nothing: a price of zero is."""
    assert cost_of(None, PRICES) is None
    assert cost_of(Usage(total_tokens=7), PRICES) is None
    assert cost_of(Usage(1, 1), None) is None
    assert cost_of(Usage(1, 1), Prices("EUR", Rates(0, 0))) == Cost(0, "EUR")


def test_long_inputs_have_their_own_prices():
    """Above the bound, not at it; the output's price changes with it."""
    prices = Prices("USD", RATES, above_tokens=1000, above=Rates(6 * DOLLAR, 30 * DOLLAR))
    assert cost_of(Usage(1000, 1), prices) == Cost(3_000_000 + 15_000, "USD")
    assert cost_of(Usage(1001, 1), prices) == Cost(6_006_000 + 30_000, "USD")


@given(counts=st.tuples(*[COUNTS] * 5), amounts=st.tuples(*[AMOUNTS] * 5))
def test_rounded_once_and_never_below_zero(counts, amounts):
    """As exact arithmetic has it, even where a provider's parts exceed their whole."""
    inputs, outputs, cached, thought, written = counts
    rates = Rates(*amounts)
    cost = cost_of(Usage(inputs, outputs, None, cached, thought, written), Prices("USD", rates))
    if inputs is None and outputs is None:
        assert cost is None
        return
    inputs, outputs = inputs or 0, outputs or 0
    cached = min(cached or 0, inputs)
    written = min(written or 0, inputs - cached)
    thought = min(thought or 0, outputs)

    def price(rate, whole):
        return Decimal((whole or 0) if rate is None else rate) / 1_000_000

    exact = (
        (inputs - cached - written) * price(rates.input, 0)
        + cached * price(rates.cached_input, rates.input)
        + written * price(rates.cache_write, rates.input)
        + (outputs - thought) * price(rates.output, 0)
        + thought * price(rates.reasoning, rates.output)
    )
    assert cost.nanos == exact.to_integral_value(ROUND_HALF_UP) >= 0
