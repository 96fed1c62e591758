"""Loom, /weave."""

from tests.conformance.vendors import Vendor, last_match


def ended(body: bytes) -> bool:
    """Whether the last line has come whole."""
    return b'"at":"end"' in body and body.endswith(b"\n")


VENDOR = Vendor(
    provider="loom",
    secrets={"KEY": "loom-test-0000"},
    backend=lambda record: {"credentials": {"secret": {"env": "KEY"}}},
    finish_end=last_match(rb'"at":\s*"end"'),
    ended=ended,
)
