"""The dialect's errors in our vocabulary: one text under `error`, with a status or as a line of the answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_object, parse
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    provider_error,
    reason_by_status,
    retry_after_s,
    should_retry,
    whole_number,
)

_ADMITTED: Mapping[str, Reason] = {
    r"context (?:length|window|size)|prompt (?:is )?too long": Reason.CONTEXT_LENGTH_EXCEEDED,
    r"server busy|maximum pending requests|too many (?:pending )?requests|overloaded": Reason.UPSTREAM_OVERLOADED,
    r"\bmodel\b.*\bnot found|file does not exist": Reason.UPSTREAM_MODEL_NOT_FOUND,
    r"does not support|invalid (?:format|option|message|image|role)|failed to process inputs": Reason.UPSTREAM_REJECTED,
    r"unauthorized|invalid api key": Reason.UPSTREAM_CREDENTIALS_INVALID,
}
"""What the text admits. A runner that broke is told as a text like any other, so it is what remains."""
_PATTERNS = tuple((re.compile(text, re.IGNORECASE), reason) for text, reason in _ADMITTED.items())
_DECISIVE = frozenset({401, 402, 403, 404, 413, 429, 501, 504})
"""Statuses that say enough."""


def read_refusal(status: int, headers: Headers, body: bytes, id_headers: Iterable[str]) -> ServiceError:
    """What a status that is not 2xx means."""
    said = say(as_object(parse(body)))
    upstream = UpstreamFault(
        http_status=status,
        request_id=answer_id(headers, id_headers),
        retryable=should_retry(headers),
    )
    reason = reason_of(status, said) if 400 <= status < 600 else Reason.UPSTREAM_BAD_RESPONSE
    return provider_error(reason, said, upstream, retry_after=retry_after_s(headers))


def answered_error(document: Mapping[str, Any], place: Place) -> ServiceError:
    """What an error told under status 200 means; some tell a status beside it."""
    said = say(document)
    upstream = place.fault(stream_status=said.status)
    return provider_error(
        reason_of(said.status, said), said, upstream, retry_after=retry_after_s(place.headers)
    )


def reason_of(status: int, said: Said) -> Reason:
    """The reason: by a status that says enough, then by what the text admits, then by status (0: none was told)."""
    if status not in _DECISIVE:
        for pattern, reason in _PATTERNS:
            if pattern.search(said.message):
                return reason
    return reason_by_status(status) if status else Reason.UPSTREAM_ERROR


def say(document: Mapping[str, Any]) -> Said:
    """The words of an error body."""
    error = document.get("error")
    inner = as_object(error)
    text = inner.get("message") if inner else error
    status = whole_number(document.get("status_code")) or whole_number(document.get("status")) or 0
    return Said(
        message=text if isinstance(text, str) else "",
        code=bounded_word(inner.get("code")),
        type=bounded_word(inner.get("type")),
        status=status if 400 <= status < 600 else 0,
    )
