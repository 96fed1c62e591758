"""Hugging Face's Text Generation Inference, /generate and /generate_stream."""

from tests.conformance.vendors import Vendor, last_match

VENDOR = Vendor(
    provider="tgi",
    client="huggingface",
    secrets={"KEY": "hf_test0000"},
    backend=lambda record: {
        "url": "http://tgi.example:3000",
        "credentials": {"type": "bearer", "secret": {"env": "KEY"}},
    },
    finish_end=last_match(rb'"finish_reason":\s*"'),
)
