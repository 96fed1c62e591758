"""Requests that are alike for every dialect: a POST of JSON, with ids and what the caller may add to the headers."""

from __future__ import annotations

from types import MappingProxyType
from urllib.parse import quote

import msgspec

from pointsman_server.context import Attempt
from pointsman_server.domain import Call, EmbedCall
from pointsman_server.transport.contract import Headers, HTTPRequest
from pointsman_server.upstreams.translation.options import caller_headers
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.verbatim import invalid

JSON = "application/json"
EVENTS = "text/event-stream"
_ENCODE = msgspec.json.Encoder().encode
_NOTHING: Headers = MappingProxyType({})


def encoded(body: object, path: str = "conversation") -> bytes:
    """As JSON. Raises ServiceError INVALID_REQUEST for text that is not Unicode; it stood under `path`."""
    try:
        return _ENCODE(body)
    except (msgspec.MsgspecError, UnicodeError, OverflowError):
        raise invalid(path, "holds text that is not Unicode") from None


def in_path(model: str) -> str:
    """A model's name as steps of a path, divided by its slashes.

    Raises ServiceError INVALID_REQUEST for one that would lead out of its place.
    """
    if any(step in ("", ".", "..") for step in model.split("/")):
        raise invalid("model", "is no name that can stand in a path")
    return quote(model, safe="/")


def post(
    url: str, attempt: Attempt[Call | EmbedCall], profile: Profile, body: bytes, *,
    accept: str = JSON, content_type: str = JSON, more: Headers = _NOTHING,
) -> HTTPRequest:  # fmt: skip
    """A POST with the attempt's id, its trace, and what the caller may add to the headers; `more` are the dialect's.

    Raises ServiceError INVALID_REQUEST for headers that are not the caller's.
    """
    return HTTPRequest(
        method="POST",
        url=url,
        headers={
            "content-type": content_type,
            "accept": accept,
            **more,
            profile.request_id_header: attempt.upstream_id,
            **attempt.trace_headers,
            **caller_headers(attempt.call, profile),
        },
        body=body,
    )
