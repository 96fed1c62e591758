"""Ollama, /api/chat."""

from tests.conformance.vendors import Vendor, last_match


def done_line(body: bytes) -> bool:
    """Whether the line that says so has come whole; its newline is what shows that."""
    return b'"done":true' in body and body.endswith(b"\n")


VENDOR = Vendor(
    provider="ollama",
    client="ollama",
    secrets={},
    backend=lambda record: {"url": "http://ollama.example:11434"},
    finish_end=last_match(rb'"done":\s*true'),
    ended=done_line,
)
