"""Counters of tokens, told in pieces -> running totals."""

from __future__ import annotations

from pointsman_server.domain import Event, Usage, UsageReport
from pointsman_server.upstreams.translation.documents import as_object
from pointsman_server.upstreams.translation.faults import whole_number

_NAMES = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


class Counters:
    """The last that was told of each counter: `message_delta` replaces what `message_start` said, and adds nothing."""

    __slots__ = ("_last", "_told")

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._last: Usage | None = None

    def add(self, said: object, events: list[Event]) -> None:
        """Take what one event tells, and report the totals where they changed."""
        usage = as_object(said)
        details = as_object(usage.get("output_tokens_details"))
        counters = {name: usage.get(name) for name in _NAMES}
        counters["thinking_tokens"] = details.get("thinking_tokens")
        for name, value in counters.items():
            if (number := whole_number(value)) is not None:
                self._told[name] = number
        if self._told and (total := self._map_usage()) != self._last:
            self._last = total
            events.append(UsageReport(total))

    def _map_usage(self) -> Usage:
        """The wire counts what was read from the cache and written to it apart from the other input."""
        told = self._told.get
        fresh, read = told("input_tokens"), told("cache_read_input_tokens")
        written = told("cache_creation_input_tokens")
        inputs = None if fresh is None else fresh + (read or 0) + (written or 0)
        outputs, thinking = told("output_tokens"), told("thinking_tokens")
        return Usage(
            input_tokens=inputs,
            output_tokens=outputs,
            total_tokens=None if inputs is None or outputs is None else inputs + outputs,
            cached_input_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=thinking if outputs is None or thinking is None else min(thinking, outputs),
        )
