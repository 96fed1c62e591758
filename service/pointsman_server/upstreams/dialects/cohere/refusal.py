"""The dialect's errors in our vocabulary: a status and one text, which some statuses hide much behind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_object, as_text, parse
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    provider_error,
    reason_by_status,
    reset_moment_s,
    retry_after_s,
)

_ADMITTED: Mapping[str, Reason] = {
    # But not a limit of the output that is above the model's.
    r"too many tokens(?!: max tokens)|context length|maximum context": Reason.CONTEXT_LENGTH_EXCEEDED,
    r"blocked (?:input|output)|deny.?listed": Reason.CONTENT_BLOCKED,
    r"\bmodel\b.{0,200}\bnot found": Reason.UPSTREAM_MODEL_NOT_FOUND,
    r"invalid api (?:token|key)|no api key": Reason.UPSTREAM_CREDENTIALS_INVALID,
    r"overload|at capacity": Reason.UPSTREAM_OVERLOADED,
}
"""What the text admits."""
_PATTERNS = tuple((re.compile(text, re.IGNORECASE), reason) for text, reason in _ADMITTED.items())
_DECISIVE = frozenset({401, 402, 403, 404, 413, 429, 501, 504})
"""Statuses that say enough."""
_LASTING = re.compile(r"calls? ?/ ?month|per month|monthly|billing|usage limit", re.IGNORECASE)
"""A trial's calls of a month, or what was paid for."""


def read_refusal(status: int, headers: Headers, body: bytes, id_headers: Iterable[str]) -> ServiceError:
    """What a status that is not 2xx means."""
    said = say(parse(body)) or Said()
    reason = reason_of(status, said.message) if 400 <= status < 600 else Reason.UPSTREAM_BAD_RESPONSE
    wait_s = retry_after_s(headers)
    if wait_s is None:
        wait_s = reset_moment_s(headers, "x-ratelimit-reset")
    fault = UpstreamFault(http_status=status, request_id=answer_id(headers, id_headers))
    return provider_error(reason, said, fault, retry_after=wait_s)


def answered_error(said: Said, place: Place) -> ServiceError:
    """What an error told under status 200 means."""
    return provider_error(reason_of(0, said.message), said, place.fault())


def reason_of(status: int, message: str) -> Reason:
    """The reason: by a status that says enough, then by what the text admits, then by status (0: none was told)."""
    if status == 429 and _LASTING.search(message):
        return Reason.UPSTREAM_QUOTA_EXHAUSTED
    if status not in _DECISIVE:
        for pattern, reason in _PATTERNS:
            if pattern.search(message):
                return reason
    return reason_by_status(status) if status else Reason.UPSTREAM_ERROR


def say(document: object) -> Said | None:
    """The words of an error body; None when it is none: an answer's message is an object."""
    told = as_object(document)
    error = told.get("error")
    text = as_text(told.get("message")) or as_text(as_object(error).get("message")) or as_text(error)
    return Said(message=text) if text or error else None
