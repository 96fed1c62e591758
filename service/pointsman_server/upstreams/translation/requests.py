"""Requests that are alike for every dialect: JSON there, JSON back."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman_server.context import Attempt
from pointsman_server.domain import AnyCall, CountCall
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.translation.options import caller_headers
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.verbatim import invalid

_ENCODE = msgspec.json.Encoder().encode


def json_request(url: str, attempt: Attempt[AnyCall], profile: Profile, body: dict[str, Any]) -> HTTPRequest:
    """A POST with the attempt's id, its trace, and what the caller may add to the headers.

    Raises ServiceError INVALID_REQUEST for text that is not Unicode, and for headers that are not the caller's.
    """
    call = attempt.call.asked if isinstance(attempt.call, CountCall) else attempt.call
    try:
        data = _ENCODE(body)
    except (msgspec.MsgspecError, UnicodeError, OverflowError):
        raise invalid("", "holds text that is not Unicode") from None
    return HTTPRequest(
        method="POST",
        url=url,
        headers={
            "content-type": "application/json",
            "accept": "application/json",
            profile.request_id_header: attempt.upstream_id,
            **attempt.trace_headers,
            **caller_headers(call, profile),
        },
        body=data,
    )
