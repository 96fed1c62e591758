"""The router of Hugging Face, and the chat route of TGI."""

from tests.conformance.vendors import Vendor, done_event, last_match

VENDOR = Vendor(
    provider="huggingface",
    client="huggingface",
    secrets={"KEY": "hf_test0000"},
    backend=lambda record: {
        "url": "https://router.example.com/v1",
        "credentials": {"secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"finish_reason":\s*"'),
    ended=done_event,
)
