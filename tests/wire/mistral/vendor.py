"""Mistral."""

from typing import Any

from tests.conformance.vendors import Vendor, done_event, last_match


def without_defaults(body: Any) -> Any:
    """Without `prefix: false` of messages and `index: 0` of tool calls."""
    for message in body["messages"]:
        if message.get("prefix") is False:
            del message["prefix"]
        for call in message.get("tool_calls", ()):
            if call.get("index") == 0:
                del call["index"]
    return body


VENDOR = Vendor(
    provider="mistral",
    client="mistral",
    secrets={"KEY": "mi-test-0000"},
    backend=lambda record: {
        "url": "https://mistral.example.com/v1",
        "credentials": {"secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"finish_reason":\s*"'),
    ended=done_event,
    same_body=without_defaults,
)
