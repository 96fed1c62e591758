"""Counters of tokens -> usage."""

from __future__ import annotations

from pointsman_server.domain import Usage
from pointsman_server.upstreams.translation.documents import as_object
from pointsman_server.upstreams.translation.faults import whole_number


def map_usage(value: object) -> Usage | None:
    """The wire counts what was read from the cache and written to it apart from the other input."""
    told = as_object(value)
    fresh, outputs = whole_number(told.get("inputTokens")), whole_number(told.get("outputTokens"))
    read = whole_number(told.get("cacheReadInputTokens"))
    written = whole_number(told.get("cacheWriteInputTokens"))
    inputs = None if fresh is None else fresh + (read or 0) + (written or 0)
    total = whole_number(told.get("totalTokens"))
    usage = Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=total if inputs is None or outputs is None else inputs + outputs,
        cached_input_tokens=read,
        cache_write_tokens=written,
    )
    return None if usage == Usage() else usage
