"""Statuses of gRPC in the service's words. Texts decide before codes do: a server that drains is NOT_FOUND."""

from __future__ import annotations

import re
from collections.abc import Mapping

import grpc

from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.upstreams.dialects.triton.refusal import reason_of, said
from pointsman_server.upstreams.translation.decoding import Place
from pointsman_server.upstreams.translation.faults import DETAILS, Said, provider_error, seconds

_BY_CODE: Mapping[grpc.StatusCode, Reason] = {
    grpc.StatusCode.CANCELLED: Reason.UPSTREAM_UNAVAILABLE,
    # MLServer's word for an exception in a model.
    grpc.StatusCode.UNKNOWN: Reason.UPSTREAM_ERROR,
    grpc.StatusCode.INVALID_ARGUMENT: Reason.UPSTREAM_REJECTED,
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.UPSTREAM_TIMEOUT,
    grpc.StatusCode.NOT_FOUND: Reason.UPSTREAM_MODEL_NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: Reason.UPSTREAM_REJECTED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.UPSTREAM_PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.UPSTREAM_RATE_LIMITED,
    grpc.StatusCode.FAILED_PRECONDITION: Reason.UPSTREAM_REJECTED,
    grpc.StatusCode.ABORTED: Reason.UPSTREAM_CONFLICT,
    grpc.StatusCode.OUT_OF_RANGE: Reason.UPSTREAM_REJECTED,
    grpc.StatusCode.UNIMPLEMENTED: Reason.UPSTREAM_UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL: Reason.UPSTREAM_ERROR,
    grpc.StatusCode.UNAVAILABLE: Reason.UPSTREAM_UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS: Reason.UPSTREAM_ERROR,
    grpc.StatusCode.UNAUTHENTICATED: Reason.UPSTREAM_CREDENTIALS_INVALID,
}
_VAGUE = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)  # fmt: skip
"""Codes under which the text says more."""
_OURS = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
"""A server that says one of these does not blame the request."""
_CONNECTION = re.compile(
    r"failed to connect|connection (?:refused|reset|closed|timed out|aborted)|socket closed|(?:dns|name) resolution"
    r"|no route to host|network is unreachable|handshake|broken pipe|empty address list|rst_stream|goaway|http2"
    r"|(?:ping|keepalive) (?:watchdog )?timeout|stream removed|endpoint closing|transport closed|subchannel",
    re.IGNORECASE,
)
"""Said by the library of what became of the connection; servers say none of it."""
_CONNECTION_CODES = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
    }
)
_ANSWER_TOO_LARGE = re.compile(r"received message (?:after decompression )?larger than max", re.IGNORECASE)
_REQUEST_TOO_LARGE = re.compile(r"sent message larger than max", re.IGNORECASE)
_WAITS = (("grpc-retry-pushback-ms", 1000.0), ("retry-after-ms", 1000.0), ("retry-after", 1.0))
"""Trailing metadata that tells a wait, with what makes seconds of it."""


def rpc_error(error: grpc.aio.AioRpcError, place: Place, *, answered: bool) -> ServiceError:
    """What the end of a call means; `answered` is whether any message had come."""
    code, text = error.code(), error.details() or ""
    if code in _CONNECTION_CODES and _CONNECTION.search(text):
        return _chained(_lost(place, answered=answered), error)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        if _ANSWER_TOO_LARGE.search(text):
            return _chained(answer_too_large(), error)
        if _REQUEST_TOO_LARGE.search(text):
            detail = "the request is larger than backends.NAME.grpc.max_request_bytes"
            return _chained(ServiceError(Reason.REQUEST_TOO_LARGE, detail, upstream=place.fault()), error)
    words = said(text)
    fault = place.fault()
    return _chained(
        provider_error(
            _reason(code, text),
            Said(message=words.message, code=code.name),
            UpstreamFault(request_id=fault.request_id, response_id=fault.response_id, in_stream=answered),
            retry_after=_retry_after_s(error),
        ),
        error,
    )


def _reason(code: grpc.StatusCode, text: str) -> Reason:
    by_code = _BY_CODE.get(code, Reason.UPSTREAM_BAD_RESPONSE)
    admitted = reason_of(text) if code in _VAGUE else None
    if admitted is None or (code in _OURS and admitted is Reason.UPSTREAM_REJECTED):
        return by_code
    return admitted


def _lost(place: Place, *, answered: bool) -> ServiceError:
    """The library's own words hold addresses, and help no caller."""
    if answered:
        return ServiceError(
            Reason.UPSTREAM_TRUNCATED, DETAILS[Reason.UPSTREAM_TRUNCATED], upstream=place.fault()
        )
    return ServiceError(Reason.UPSTREAM_UNREACHABLE, "no connection to the upstream")


def closed(place: Place, *, answered: bool) -> ServiceError:
    """A call that ended because its channel was closed."""
    return _lost(place, answered=answered)


def not_connected() -> ServiceError:
    """Connecting took longer than configured."""
    return ServiceError(Reason.UPSTREAM_UNREACHABLE, "connecting to the upstream took too long")


def answer_too_large() -> ServiceError:
    """A message, or an answer, over its bound."""
    return ServiceError(
        Reason.UPSTREAM_BAD_RESPONSE,
        "the upstream sent an answer larger than the limit",
        upstream=UpstreamFault(),
    )


def _retry_after_s(error: grpc.aio.AioRpcError) -> float | None:
    trailers = {str(key): value for key, value in error.trailing_metadata() or ()}
    for name, per_second in _WAITS:
        if (wait := seconds(trailers.get(name))) is not None:
            return wait / per_second
    return None


def _chained(fault: ServiceError, error: BaseException) -> ServiceError:
    fault.__cause__ = error
    return fault
