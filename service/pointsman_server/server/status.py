"""The one place that ends a call with a failure: code, details and trailing metadata in one abort."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from pointsman_server.context import RoutingReport
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.server.details import Ending, encode_status

INTERNAL_DETAIL = "internal error; the request id finds it in the log"
"""All that a caller learns of a fault that nobody foresaw."""

Trailers = tuple[tuple[str, str | bytes], ...]


def internal(cause: BaseException) -> ServiceError:
    """A fault that nobody foresaw, with its cause for the log and a fixed text for the caller."""
    error = ServiceError(Reason.INTERNAL, INTERNAL_DETAIL)
    error.__cause__ = cause
    return error


async def abort(context: grpc.aio.ServicerContext[Any, Any], ending: Ending) -> NoReturn:
    """End the call. Must be the last thing that a handler does, outside any `except Exception`."""
    status = encode_status(ending)
    details = ("grpc-status-details-bin", status.SerializeToString())
    await context.abort(ending.row.code, status.message, (*failure_trailers(ending), details))


def failure_trailers(ending: Ending) -> Trailers:
    """Trailing metadata of a failed call, with its advice to a client's retry policy."""
    trailers = trailing(ending.request_id, ending.report)
    if ending.row.shed and not ending.content_delivered:
        return (*trailers, ("grpc-retry-pushback-ms", str(round(ending.wait_s * 1000))))
    if ending.content_delivered or ending.last is not None or ending.row.upstream:
        # What was worth another try has had it here: a client's own retries would multiply ours.
        return (*trailers, ("grpc-retry-pushback-ms", "-1"))
    return trailers


def trailing(request_id: str, report: RoutingReport | None) -> Trailers:
    """Trailing metadata of every call."""
    if report is None:
        return (("x-request-id", request_id),)
    target = report.served or (report.attempts[-1].target if report.attempts else None)
    named, attempts = ("x-request-id", request_id), ("x-pointsman-attempts", str(len(report.attempts)))
    # A value that HTTP/2 cannot carry would turn the whole status into INTERNAL "Invalid metadata".
    if target is None or not (target.backend.isascii() and target.backend.isprintable()):
        return (named, attempts)
    return (named, ("x-pointsman-backend", target.backend), attempts)


async def abort_plain(
    context: grpc.aio.ServicerContext[Any, Any], code: grpc.StatusCode, text: str
) -> NoReturn:
    """End a call of a protocol that is not ours (health), whose failures carry no details."""
    await context.abort(code, text)
