"""OpenAI, the Responses API."""

from __future__ import annotations

import re

from tests.conformance.vendors import Vendor, last_match

_LAST = rb'"type":\s*"response\.(?:completed|incomplete)"'


def last_event(body: bytes) -> bool:
    """Whether the event that tells the whole response has come, with the blank line that ends it."""
    return re.search(_LAST + rb"[^\r\n]*(?:\r\n\r\n|\n\n)", body) is not None


VENDOR = Vendor(
    provider="openai_responses",
    client="openai",
    secrets={"KEY": "sk-test-0000000000000000"},
    backend=lambda record: {
        "url": "https://api.example.com/v1",
        "credentials": {"secret": {"env": "KEY"}},
    },
    finish_end=last_match(_LAST),
    ended=last_event,
)
