"""W3C trace context: hostile header text enters, a checked parent or nothing leaves. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pointsman_server.values import value

_TRACEPARENT = re.compile(
    r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.{0,128})?\Z", re.ASCII
)
_KEY = r"[a-z0-9][a-z0-9_\-*/]{0,240}(?:@[a-z][a-z0-9_\-*/]{0,13})?"
_MEMBER = re.compile(_KEY + r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]\Z", re.ASCII)
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
_MAX_TRACEPARENT = 192
_MAX_TRACESTATE = 512
_MAX_MEMBERS = 32


@value(frozen=True, slots=True)
class Parent:
    """The caller's span."""

    trace_id: str
    span_id: str
    sampled: bool
    tracestate: str = ""


def parent_of(metadata: Mapping[str, str]) -> Parent | None:
    """The caller's span, or None where there is no well-formed one."""
    text = metadata.get("traceparent")
    if text is None or len(text) > _MAX_TRACEPARENT:
        return None
    match = _TRACEPARENT.match(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if (
        version == "ff"
        or (version == "00" and more is not None)
        or trace_id == _NO_TRACE
        or span_id == _NO_SPAN
    ):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1), _tracestate(metadata.get("tracestate", "")))


def _tracestate(text: str) -> str:
    """The header as it came if every member is well formed, else nothing."""
    if not text or len(text) > _MAX_TRACESTATE:
        return ""
    members = [member for member in (piece.strip(" \t") for piece in text.split(",")) if member]
    keys = {member.partition("=")[0] for member in members}
    if not members or len(members) > _MAX_MEMBERS or len(keys) < len(members):
        return ""
    return ",".join(members) if all(_MEMBER.match(member) for member in members) else ""


def headers_for(trace_id: str, span_id: str, *, sampled: bool, tracestate: str) -> Mapping[str, str]:
    """Trace context to send on."""
    headers = {"traceparent": f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"}
    if tracestate:
        headers["tracestate"] = tracestate
    return headers
