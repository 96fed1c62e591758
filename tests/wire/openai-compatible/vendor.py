"""Servers that speak chat completions, with vLLM for all of them."""

from tests.conformance.vendors import Vendor, done_event, last_match

VENDOR = Vendor(
    provider="vllm",
    client="openai",
    secrets={"KEY": "token-vllm-test"},
    backend=lambda record: {
        "url": "https://api.example.com/v1",
        "credentials": {"type": "bearer", "secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"finish_reason":\s*"'),
    ended=done_event,
    same_fields={"max_completion_tokens": "max_tokens"},
)
