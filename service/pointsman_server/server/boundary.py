"""The gate that every RPC of ours passes: request id and authentication from its headers alone, then one Rpc.

It is a generic handler rather than an interceptor: both see the same, before any message, and this costs one call
less. Health and reflection are registered beside it and never come here.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import grpc

from pointsman_server.server.rpc import Method, Rpc, Surroundings

MAX_REQUEST_ID = 128


class Handler:
    """What grpc asks of a handler. Its own maker of them looks up a module at every call."""

    __slots__ = (
        "request_deserializer",
        "response_serializer",
        "response_streaming",
        "unary_stream",
        "unary_unary",
    )

    request_streaming = False
    stream_unary = None
    stream_stream = None

    def __init__(self, rpc: Rpc, method: Method) -> None:
        self.response_streaming = method.stream
        self.request_deserializer = rpc.decode
        self.response_serializer = method.response.SerializeToString
        self.unary_unary = None if method.stream else rpc.serve
        self.unary_stream = rpc.serve if method.stream else None


class Boundary(grpc.GenericRpcHandler):
    """Finds the method and makes the Rpc that serves it."""

    def __init__(self, methods: Iterable[Method], around: Surroundings) -> None:
        self._methods = {method.path: method for method in methods}
        self._around = around

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401 - grpc looks at the form
        """The handler of one RPC, by its form alone; None for a method that is not ours."""
        method = self._methods.get(handler_call_details.method)
        if method is None:
            return None
        metadata = headers(handler_call_details.invocation_metadata)
        rpc = Rpc(self._around, method, metadata, request_id(metadata))
        if not self._around.by_certificate:
            rpc.authenticate()
        if rpc.refused is not None:
            # A handler of a stream runs without waiting for a message, which may never come.
            return grpc.stream_stream_rpc_method_handler(rpc.refuse)
        return Handler(rpc, method)


def headers(sent: Iterable[tuple[str, str | bytes]]) -> dict[str, str]:
    """The textual headers; values of a repeated one are joined by commas (RFC 9110, 5.3), so that none is hidden."""
    found: dict[str, str] = {}
    for key, value in sent:
        if isinstance(value, str):
            found[key] = f"{found[key]},{value}" if key in found else value
    return found


def request_id(metadata: Mapping[str, str]) -> str:
    """The caller's id if it is printable ASCII of at most 128 characters, else a new one."""
    given = metadata.get("x-request-id", "")
    if (
        given
        and len(given) <= MAX_REQUEST_ID
        and given.isascii()
        and given.isprintable()
        and given == given.strip()
    ):
        return given
    return f"{random.getrandbits(128):032x}"


class Nonces:
    """Short names that are unique among processes and in each of them; not secret."""

    def __init__(self) -> None:
        self._prefix = f"{random.SystemRandom().getrandbits(48):012x}"
        self._numbers = count()

    def __call__(self) -> str:
        return f"{self._prefix}{next(self._numbers):x}"
