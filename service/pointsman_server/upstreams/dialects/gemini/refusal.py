"""The dialect's errors in our vocabulary: google.rpc.Status as JSON, with a code, a status word and details."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.documents import as_list, as_object, as_text, parse
from pointsman_server.upstreams.translation.faults import (
    Said,
    bounded_word,
    duration_s,
    provider_error,
    reason_by_status,
    retry_after_s,
    whole_number,
)

_CODES: Mapping[str, Reason] = {
    "API_KEY_INVALID": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "ACCESS_TOKEN_EXPIRED": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "ACCESS_TOKEN_TYPE_UNSUPPORTED": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "ACCOUNT_STATE_INVALID": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "CREDENTIALS_MISSING": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "BILLING_DISABLED": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "RESOURCE_QUOTA_EXCEEDED": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "SERVICE_DISABLED": Reason.UPSTREAM_PERMISSION_DENIED,
    "CONSUMER_SUSPENDED": Reason.UPSTREAM_PERMISSION_DENIED,
}
"""Reasons of google.rpc.ErrorInfo that say something else than the status beside them does."""
_STATUSES: Mapping[str, Reason] = {
    "INVALID_ARGUMENT": Reason.UPSTREAM_REJECTED,
    "OUT_OF_RANGE": Reason.UPSTREAM_REJECTED,
    # A region that is not served, or an account without billing: nothing that the caller could repair.
    "FAILED_PRECONDITION": Reason.UPSTREAM_PERMISSION_DENIED,
    "UNAUTHENTICATED": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "PERMISSION_DENIED": Reason.UPSTREAM_PERMISSION_DENIED,
    "NOT_FOUND": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "ABORTED": Reason.UPSTREAM_CONFLICT,
    "ALREADY_EXISTS": Reason.UPSTREAM_CONFLICT,
    "RESOURCE_EXHAUSTED": Reason.UPSTREAM_RATE_LIMITED,
    "CANCELLED": Reason.UPSTREAM_ERROR,
    "UNKNOWN": Reason.UPSTREAM_ERROR,
    "INTERNAL": Reason.UPSTREAM_ERROR,
    "DATA_LOSS": Reason.UPSTREAM_ERROR,
    "UNIMPLEMENTED": Reason.UPSTREAM_UNIMPLEMENTED,
    "UNAVAILABLE": Reason.UPSTREAM_UNAVAILABLE,
    "DEADLINE_EXCEEDED": Reason.UPSTREAM_TIMEOUT,
}
_KEY = re.compile(
    r"api.?key (?:not valid|not found|expired|invalid)|(?:invalid|expired) api.?key", re.IGNORECASE
)
_CONTEXT = re.compile(
    r"token count\b.{0,80}\bexceeds|context is too long|exceeds the maximum (?:number of (?:input )?tokens|context)",
    re.IGNORECASE | re.DOTALL,
)
_OVERLOAD = re.compile(r"overload|high demand|capacity", re.IGNORECASE)
_MONEY = re.compile(r"spend(?:ing)? (?:cap|limit)|prepa(?:y|id)|credits? (?:are|is) depleted", re.IGNORECASE)
_DETAILS = 16


def read_refusal(status: int, headers: Headers, body: bytes) -> ServiceError:
    """What a status that is not 2xx means."""
    return _map_error(parse(body), UpstreamFault(http_status=status), headers, status)


def answered_error(document: Mapping[str, Any], place: Place) -> ServiceError:
    """What an error told under status 200 means; its code counts as the status."""
    error = as_object(document.get("error"))
    code = whole_number(error.get("code"), 599) or 0
    status = code if code >= 400 else 0
    return _map_error(document, place.fault(stream_status=status), place.headers, status)


def _map_error(document: object, upstream: UpstreamFault, headers: Headers, status: int) -> ServiceError:
    if isinstance(document, list) and document:
        document = document[0]
    told = as_object(document).get("error")
    error = as_object(told)
    details = [detail for detail in as_list(error.get("details"))[:_DETAILS] if isinstance(detail, dict)]
    message = error.get("message") if error else told or as_object(document).get("message")
    said = Said(
        message=as_text(message),
        code=_told_reason(details),
        type=bounded_word(error.get("status")),
        retry_after_s=_told_wait_s(details),
    )
    wait_s = said.retry_after_s if said.retry_after_s is not None else retry_after_s(headers)
    return provider_error(reason_of(status, said, details), said, upstream, retry_after=wait_s)


def reason_of(status: int, said: Said, details: list[dict[str, Any]]) -> Reason:
    """By the quota that was hit, then the reason in the details, then what the text admits, then by the status."""
    if status and not 400 <= status < 600:
        return Reason.UPSTREAM_BAD_RESPONSE
    reason = _STATUSES.get(said.type) or (reason_by_status(status) if status else Reason.UPSTREAM_ERROR)
    if reason is Reason.UPSTREAM_RATE_LIMITED:
        used_up = any(map(_lasting, _violations(details))) or _MONEY.search(said.message)
        return Reason.UPSTREAM_QUOTA_EXHAUSTED if used_up else reason
    if (known := _CODES.get(said.code)) is not None:
        return known
    if reason in (Reason.UPSTREAM_REJECTED, Reason.UPSTREAM_ERROR) and _CONTEXT.search(said.message):
        return Reason.CONTEXT_LENGTH_EXCEEDED
    if reason is Reason.UPSTREAM_REJECTED and _KEY.search(said.message):
        return Reason.UPSTREAM_CREDENTIALS_INVALID
    if reason is Reason.UPSTREAM_UNAVAILABLE and _OVERLOAD.search(said.message):
        return Reason.UPSTREAM_OVERLOADED
    return reason


def _lasting(violation: Mapping[str, Any]) -> bool:
    """Whether waiting is in vain: a quota of a day, or of nothing at all."""
    return "PerDay" in as_text(violation.get("quotaId")) or as_text(violation.get("quotaValue")) == "0"


def _violations(details: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for detail in _of_kind(details, "QuotaFailure"):
        yield from (item for item in as_list(detail.get("violations"))[:_DETAILS] if isinstance(item, dict))


def _told_reason(details: list[dict[str, Any]]) -> str:
    return next((bounded_word(detail.get("reason")) for detail in _of_kind(details, "ErrorInfo")), "")


def _told_wait_s(details: list[dict[str, Any]]) -> float | None:
    waits = (duration_s(as_text(detail.get("retryDelay"))) for detail in _of_kind(details, "RetryInfo"))
    return next((wait for wait in waits if wait is not None), None)


def _of_kind(details: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (detail for detail in details if as_text(detail.get("@type")).endswith(f"google.rpc.{kind}"))
