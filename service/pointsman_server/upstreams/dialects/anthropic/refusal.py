"""The provider's errors in our vocabulary. What it says decides before the status does.

Source: the types of its official client, 2.12.0, and the codes that these list below `details`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_object, as_text, parse
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    provider_error,
    reason_by_status,
    retry_after_s,
    should_retry,
)

_CODES: Mapping[str, Reason] = {
    # Of the API tier, and of the contract; they come as 429, but waiting does not help.
    "enforced_spend_limit_reached": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "contract_spend_limit_reached": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "linked_organization_spend_limit_reached": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "linked_organization_billing_unavailable": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "ramp_limit_exceeded": Reason.UPSTREAM_RATE_LIMITED,
    "organization_on_hold": Reason.UPSTREAM_PERMISSION_DENIED,
    "claude_code_key_creator_not_member": Reason.UPSTREAM_PERMISSION_DENIED,
    "cmek_context_unavailable": Reason.UPSTREAM_UNAVAILABLE,
    "cmek_key_unreachable": Reason.UPSTREAM_UNAVAILABLE,
}
"""`details.error_code`, where it says more than the type."""
_TYPES: Mapping[str, Reason] = {
    "authentication_error": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "billing_error": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "permission_error": Reason.UPSTREAM_PERMISSION_DENIED,
    "not_found_error": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "conflict_error": Reason.UPSTREAM_CONFLICT,
    "request_too_large": Reason.REQUEST_TOO_LARGE,
    "rate_limit_error": Reason.UPSTREAM_RATE_LIMITED,
    "timeout_error": Reason.UPSTREAM_TIMEOUT,
    "overloaded_error": Reason.UPSTREAM_OVERLOADED,
}
_VAGUE: Mapping[str, Reason] = {
    "invalid_request_error": Reason.UPSTREAM_REJECTED,
    "api_error": Reason.UPSTREAM_ERROR,
}
"""Types that come with several statuses, so that they count only where there is none: in a stream."""
_TEXTS: tuple[tuple[re.Pattern[str], Reason], ...] = (
    (
        re.compile(
            r"prompt is too long|exceeds? (?:the )?(?:model's )?context (?:limit|window)"
            r"|input length and `?max_tokens`? exceed",
            re.IGNORECASE,
        ),
        Reason.CONTEXT_LENGTH_EXCEEDED,
    ),
    # A limit that the organization set itself, and an empty account, both come as 400.
    (
        re.compile(r"credit balance is too low|specified API usage limits", re.IGNORECASE),
        Reason.UPSTREAM_QUOTA_EXHAUSTED,
    ),
    (re.compile(r"content filtering policy", re.IGNORECASE), Reason.CONTENT_BLOCKED),
)
"""What only the text of an `invalid_request_error` tells."""


def read_refusal(status: int, headers: Headers, body: bytes, id_headers: Iterable[str]) -> ServiceError:
    """What a status that is not 2xx means."""
    document = as_object(parse(body))
    said = say(document)
    wait_s = retry_after_s(headers)
    reason = Reason.UPSTREAM_BAD_RESPONSE
    if 400 <= status < 600:
        reason = reason_of(status, said, waits=wait_s is not None or should_retry(headers) is True)
    upstream = UpstreamFault(
        http_status=status,
        request_id=_request_id(answer_id(headers, id_headers), document),
        retryable=should_retry(headers),
    )
    return provider_error(reason, said, upstream, retry_after=wait_s)


def answered_error(said: Said, place: Place, document: Mapping[str, Any]) -> ServiceError:
    """What an error told under status 200 means."""
    place.request_id = _request_id(place.request_id, document)
    return provider_error(reason_of(0, said, waits=True), said, place.fault())


def reason_of(status: int, said: Said, *, waits: bool) -> Reason:
    """The reason: by code, by what the text of a rejection admits, by type, then by status (0: none was told).

    `waits` is whether the provider says when to come again: a limit of money has no such time.
    """
    if (reason := _CODES.get(said.code)) is not None:
        return reason
    if said.type in ("", "invalid_request_error") and status in (0, 400, 413):
        for pattern, reason in _TEXTS:
            if pattern.search(said.message):
                return reason
    if said.type == "rate_limit_error" and said.code and not waits:
        return Reason.UPSTREAM_QUOTA_EXHAUSTED
    if (reason := _TYPES.get(said.type)) is not None:
        return reason
    return reason_by_status(status) if status else _VAGUE.get(said.type, Reason.UPSTREAM_ERROR)


def say(document: Mapping[str, Any]) -> Said:
    """The words of {"type": "error", "error": {"type", "message", "details": {"error_code"}}, "request_id"}."""
    error = as_object(document.get("error"))
    return Said(
        message=as_text(error.get("message")),
        code=bounded_word(as_object(error.get("details")).get("error_code")),
        type=bounded_word(error.get("type")),
    )


def _request_id(known: str, document: Mapping[str, Any]) -> str:
    return known or bounded_word(document.get("request_id"))
