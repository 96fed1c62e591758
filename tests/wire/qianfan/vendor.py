"""Baidu's Qianfan, version 2 of its API."""

from typing import Any

from tests.conformance.vendors import Vendor, done_event, last_match


def without_marker(body: Any) -> Any:
    """Without what only says which client sent it."""
    extra = {
        name: value for name, value in body.get("extra_parameters", {}).items() if name != "request_source"
    }
    kept = {name: value for name, value in body.items() if name != "extra_parameters"}
    return {**kept, "extra_parameters": extra} if extra else kept


VENDOR = Vendor(
    provider="qianfan",
    client="openai",
    secrets={"KEY": "bce-v3/ALTAK-test/0000"},
    backend=lambda record: {
        "url": "https://qianfan.example.com/v2",
        "credentials": {"secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"finish_reason":\s*"'),
    ended=done_event,
    same_fields={"max_completion_tokens": "max_tokens"},
    same_body=without_marker,
)
