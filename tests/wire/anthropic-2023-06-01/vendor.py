"""Anthropic, Messages in version 2023-06-01 of the API: the key in x-api-key, with sampling parameters."""

from __future__ import annotations

from dataclasses import replace

from tests.conformance.vendors import WIRE, load_row, no_reports

CURRENT = load_row(WIRE / "anthropic")
VENDOR = replace(
    CURRENT.VENDOR,
    client="anthropic-older",
    options=CURRENT.options,
    reported=no_reports,
    backend=lambda record: {
        "url": "https://api.example.com",
        "api_version": "2023-06-01",
        "credentials": {"secret": {"env": "KEY"}},
    },
)
