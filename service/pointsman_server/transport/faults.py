"""aiohttp's exceptions in the service's words; none of their texts, which hold addresses and headers."""

from __future__ import annotations

import aiohttp

from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.connections import LostBodyError, MalformedBodyError

UNANSWERED = (aiohttp.ClientError, OSError)
"""What a request can fail with before its answer; a timeout is an OSError, too."""
LOST = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientConnectionResetError)
"""A connection that went before any answer."""
BROKEN = (aiohttp.ClientError, OSError, RuntimeError, LostBodyError, MalformedBodyError)
"""What reading a body can fail with. aiohttp says RuntimeError to who reads after the connection went."""


def unanswered(error: BaseException) -> ServiceError:
    """The fault of a request that got no answer, its cause chained."""
    reason = Reason.UPSTREAM_UNREACHABLE
    match error:
        case aiohttp.ClientHttpProxyError():
            detail = "the proxy refused to connect to the upstream"
        case aiohttp.ClientResponseError():
            reason, detail = Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer is not valid HTTP"
        case aiohttp.ClientProxyConnectionError():
            detail = "no connection to the proxy"
        case aiohttp.ClientConnectorDNSError():
            detail = "the upstream's host name cannot be resolved"
        case aiohttp.ClientSSLError():
            detail = "no TLS connection to the upstream"
        case TimeoutError():
            detail = "connecting to the upstream took too long"
        case aiohttp.ClientConnectorError():
            detail = "no connection to the upstream"
        case _:
            detail = "the upstream closed the connection before it answered"
    return _chained(ServiceError(reason, detail), error)


def broken(error: BaseException) -> ServiceError:
    """The fault of a body that broke off, its cause chained."""
    if isinstance(error, MalformedBodyError):
        return _chained(
            ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer is not valid HTTP"), error
        )
    return _chained(truncated(), error)


def truncated() -> ServiceError:
    """The fault of a body that ended too early."""
    return ServiceError(Reason.UPSTREAM_TRUNCATED, "the upstream's answer was cut off")


def _chained(fault: ServiceError, error: BaseException) -> ServiceError:
    # An aiohttp error about an answer carries the request's headers, and so the key: what it was made from will do.
    fault.__cause__ = error.__cause__ if isinstance(error, aiohttp.ClientResponseError) else error
    return fault
