"""Foreign JSON, read patiently: what is of a wrong type counts as absent, and every text can be sent on."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec

from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.sse import SseFraming
from pointsman_server.upstreams.translation.faults import clean_text, whole_number

_DECODE = msgspec.json.Decoder().decode
_LARGEST_INDEX = 100_000
_LARGEST = 3.4e38
"""The contract's field for a log probability is a 32-bit float."""


def loose_json(data: bytes) -> object:
    """Any JSON, with lone surrogates and bytes that are not UTF-8 forgiven. Raises UPSTREAM_BAD_RESPONSE."""
    try:
        return _DECODE(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        return json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise ServiceError(
            Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent something that is not JSON"
        ) from None


def parse(data: bytes) -> object:
    """The same; None for what is not JSON, for bodies that only may hold some, such as those of errors.

    Servers that fail before the first event of a stream may set the status but keep the framing: the last event that
    is JSON then counts.
    """
    try:
        return loose_json(data)
    except ServiceError:
        pass
    framing = SseFraming(len(data) + 1)
    for event in reversed([*framing.feed(data), *framing.close()]):
        try:
            return loose_json(event.data)
        except ServiceError:
            continue
    return None


def as_object(value: object) -> dict[str, Any]:
    """The object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str:
    """The text, fit to be sent on; empty for anything else."""
    return clean_text(value) if isinstance(value, str) else ""


def part_of(whole: int | None, *values: object) -> int | None:
    """The first count that is told; a part is never more than its whole."""
    for value in values:
        if (number := whole_number(value)) is not None:
            return number if whole is None else min(number, whole)
    return None


def block_number(value: object) -> int:
    """A block's number. Raises UPSTREAM_BAD_RESPONSE for what is none, which must not be taken for another's."""
    number = whole_number(value, _LARGEST_INDEX)
    if number is None:
        raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent a block without a usable index")
    return number


def log_probability(value: object) -> float:
    """A number that a 32-bit float can hold; what is none counts as impossible."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return -_LARGEST
    return float(max(-_LARGEST, min(_LARGEST, value)))


def json_text(value: object) -> str:
    """A value as the text of JSON, as tool calls' arguments are told; NaN and infinities become null."""
    try:
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, UnicodeError, OverflowError, RecursionError):
        return clean_text(json.dumps(value, ensure_ascii=True, default=lambda _: None))
