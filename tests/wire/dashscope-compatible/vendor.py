"""Alibaba's Model Studio in its compatible mode."""

from tests.conformance.vendors import Vendor, done_event, last_match

VENDOR = Vendor(
    provider="dashscope_compatible",
    client="openai",
    secrets={"KEY": "sk-dash-test"},
    backend=lambda record: {
        "url": "https://dashscope.example.com/compatible-mode/v1",
        "credentials": {"secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"finish_reason":\s*"'),
    ended=done_event,
    same_fields={"max_completion_tokens": "max_tokens"},
)
