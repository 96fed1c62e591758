"""Contract messages <-> domain values: pure translation, no rule about what a value means."""

from pointsman_server.server.codec.answer import encode_answer
from pointsman_server.server.codec.request import decode_call

__all__ = ["decode_call", "encode_answer"]
