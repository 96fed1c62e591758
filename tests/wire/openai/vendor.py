"""OpenAI, chat completions."""

from tests.conformance.vendors import Vendor, done_event, last_match

VENDOR = Vendor(
    provider="openai",
    client="openai",
    secrets={"KEY": "sk-test-0000000000000000"},
    backend=lambda record: {
        "url": "https://api.example.com/v1",
        "credentials": {"type": "bearer", "secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"finish_reason":\s*"'),
    ended=done_event,
    same_fields={"user": "safety_identifier"},
)
