"""Cohere, v2 chat."""

from __future__ import annotations

import re

from tests.conformance.vendors import Vendor, last_match

_LAST = rb'"type":\s*"message-end"'


def last_event(body: bytes) -> bool:
    """Whether the event that ends the message has come, with the blank line that ends it."""
    return re.search(_LAST + rb"[^\r\n]*(?:\r\n\r\n|\n\n)", body) is not None


VENDOR = Vendor(
    provider="cohere",
    client="cohere",
    secrets={"KEY": "co-test-0000"},
    backend=lambda record: {
        "url": "https://api.example.com",
        "credentials": {"secret": {"env": "KEY"}},
    },
    finish_end=last_match(_LAST),
    ended=last_event,
)
