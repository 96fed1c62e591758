"""The price table, and files that go before it."""

from __future__ import annotations

import json

import pytest

from pointsman_server.config.prices import load_prices, read_prices, shipped_prices
from pointsman_server.domain import Prices, Rates

OWN = {
    "currency": "EUR",
    "lists": [{"providers": ["openai", "azure"], "models": {"gpt-4o-mini": {"input": 1, "output": 2.5}}}],
}
EURO = 1_000_000_000


def test_the_table_that_comes_along_can_be_used():
    """Every entry has a price for something, in nanos that fit, and lower ones for what was cached."""
    table = shipped_prices()
    assert len(table) > 500
    for (_, name), prices in table._prices.items():
        rates = prices.rates
        assert prices.currency == "USD"
        assert rates.input or rates.output, name
        for rate in (rates.input, rates.output, rates.cached_input, rates.cache_write, rates.reasoning):
            assert rate is None or 0 < rate <= 2_000 * EURO, name
        if rates.cached_input is not None and rates.input is not None:
            assert rates.cached_input <= rates.input, name
        assert (prices.above is None) == (prices.above_tokens == 0), name


def test_a_known_model_has_its_public_price():
    """By its provider's own name."""
    assert shipped_prices().find("openai", "gpt-4o-mini") == Prices(
        "USD", Rates(150_000_000, 600_000_000, 75_000_000)
    )
    assert shipped_prices().find("vllm", "gpt-4o-mini") is None


def test_a_file_goes_before_it(tmp_path):
    """Its entries replace the shipped ones, all others stay."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(OWN))
    table = load_prices(str(path))
    own = Prices("EUR", Rates(EURO, 2_500_000_000))
    assert table.find("openai", "gpt-4o-mini") == table.find("azure", "gpt-4o-mini") == own
    assert table.find("openai", "gpt-4o") == shipped_prices().find("openai", "gpt-4o")


@pytest.mark.parametrize(
    ("change", "spot"),
    [
        ({"currency": "euro"}, "currency"),
        ({"extra": 1}, "extra"),
        ({"lists": [{"providers": ["a"], "models": {"m": {"input": -1}}}]}, "lists.0.models.m.input"),
        ({"lists": [{"providers": ["a"], "models": {"m": {"inputs": 1}}}]}, "lists.0.models.m.inputs"),
        ({"lists": 5}, "lists"),
    ],
)
def test_a_bad_file_names_the_spot(change, spot):
    """By its path in the file."""
    with pytest.raises(ValueError, match=rf"^{spot}: "):
        read_prices(json.dumps({**OWN, **change}).encode())


def test_a_bad_file_is_a_fault_of_the_configuration(tmp_path, faults):
    """With the key's line; so is one that is not there."""
    path = tmp_path / "prices.json"
    path.write_text("{")
    text = f"price_file: {path}\n"
    assert faults(text) == [(1, "price_file", "the file is no price table: is not JSON")]
    path.unlink()
    [(line, key, message)] = faults(text)
    assert (line, key) == (1, "price_file")
    assert "cannot be read" in message
