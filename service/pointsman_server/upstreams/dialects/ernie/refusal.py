"""The dialect's errors in our vocabulary: numbers, nearly always under status 200.

Source: https://cloud.baidu.com/doc/WENXINWORKSHOP/s/tlmyncueh
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import Headers
from pointsman_server.upstreams.translation.documents import as_object, parse
from pointsman_server.upstreams.translation.error_objects import say, told_id
from pointsman_server.upstreams.translation.faults import (
    Said,
    answer_id,
    bounded_word,
    provider_error,
    reason_by_status,
    retry_after_s,
)
from pointsman_server.upstreams.translation.profile import Profile

_CODES: Mapping[str, Reason] = {
    "1": Reason.UPSTREAM_ERROR,
    "2": Reason.UPSTREAM_UNAVAILABLE,
    # No such interface, which here is no such model.
    "3": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "4": Reason.UPSTREAM_RATE_LIMITED,
    "6": Reason.UPSTREAM_PERMISSION_DENIED,
    "13": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "14": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "15": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "17": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "18": Reason.UPSTREAM_RATE_LIMITED,
    "19": Reason.UPSTREAM_QUOTA_EXHAUSTED,
    "100": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "110": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "111": Reason.UPSTREAM_CREDENTIALS_INVALID,
    "336000": Reason.UPSTREAM_ERROR,
    "336001": Reason.UPSTREAM_REJECTED,
    "336002": Reason.UPSTREAM_REJECTED,
    "336003": Reason.UPSTREAM_REJECTED,
    "336004": Reason.UPSTREAM_PERMISSION_DENIED,
    "336005": Reason.UPSTREAM_MODEL_NOT_FOUND,
    "336006": Reason.UPSTREAM_REJECTED,
    "336007": Reason.CONTEXT_LENGTH_EXCEEDED,
    "336008": Reason.CONTEXT_LENGTH_EXCEEDED,
    "336100": Reason.UPSTREAM_OVERLOADED,
    "336101": Reason.UPSTREAM_REJECTED,
    "336104": Reason.UPSTREAM_REJECTED,
    "336105": Reason.UPSTREAM_REJECTED,
    "336501": Reason.UPSTREAM_RATE_LIMITED,
    "336502": Reason.UPSTREAM_RATE_LIMITED,
    "336503": Reason.UPSTREAM_RATE_LIMITED,
    "500000": Reason.UPSTREAM_ERROR,
}
_TOKEN = frozenset({"110", "111"})
"""The same call may be sent again as it is, with a new token."""
_TOO_LONG = re.compile(
    r"max(?:imum)? (?:input )?(?:characters|tokens|length)|too long|exceeds? .{0,40}length", re.IGNORECASE
)
_UNSAFE = re.compile(r"unsafe|sensitive|content (?:audit|review|inspection)", re.IGNORECASE)


def read_refusal(status: int, headers: Headers, body: bytes, profile: Profile) -> ServiceError:
    """What a status that is not 2xx means; gateways in front tell error objects."""
    told = as_object(parse(body))
    upstream = UpstreamFault(
        http_status=status, request_id=answer_id(headers, profile.answer_id_headers) or told_id(told)
    )
    return _map_error(_said(told), status, upstream, headers)


def tells_error(told: Mapping[str, Any]) -> bool:
    """Whether a document tells an error in place of an answer, or in the middle of one."""
    return bool(_code(told) or told.get("error"))


def answered_error(told: Mapping[str, Any], upstream: UpstreamFault, headers: Headers) -> ServiceError:
    """What an error told under status 200 means."""
    return _map_error(_said(told), 0, upstream, headers)


def _code(told: Mapping[str, Any]) -> str:
    """The number of an error; 0 is none."""
    return bounded_word(told.get("error_code")).strip("0") and bounded_word(told.get("error_code"))


def _said(told: Mapping[str, Any]) -> Said:
    """The words of this interface, or those of an error object, which what stands in front of it tells."""
    if not (code := _code(told)):
        return say(told) or Said()
    message = told.get("error_msg")
    return Said(message=message if isinstance(message, str) else "", code=code)


def _map_error(said: Said, status: int, upstream: UpstreamFault, headers: Headers) -> ServiceError:
    reason = _CODES.get(said.code)
    if reason is None:
        reason = reason_by_status(status) if status else Reason.UPSTREAM_ERROR
    if reason is Reason.UPSTREAM_REJECTED and _TOO_LONG.search(said.message):
        reason = Reason.CONTEXT_LENGTH_EXCEEDED
    elif reason is Reason.UPSTREAM_REJECTED and _UNSAFE.search(said.message):
        reason = Reason.CONTENT_BLOCKED
    if said.code in _TOKEN:
        upstream = replace(upstream, retryable=True)
    return provider_error(reason, said, upstream, retry_after=retry_after_s(headers))
