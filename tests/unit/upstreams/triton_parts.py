"""Backends of the Open Inference Protocol, as a configuration makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman_server.clock import SystemClock
from pointsman_server.config import schema
from pointsman_server.context import Attempt, ChatTemplate, Target
from pointsman_server.domain import Call
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.http import HttpUpstream
from pointsman_server.upstreams.registry import build_upstream
from tests.conformance.result import Outcome, decode
from tests.unit.upstreams.calls import asked


class NoTransport:
    """Stands for the network, which nothing here reaches."""


def backend(
    provider: str = "triton", url: str = "http://triton.example", **open_inference: Any
) -> HttpUpstream:
    """One over HTTP."""
    keys = {
        name: open_inference.pop(name) for name in ("unary_upstream", "drop_params") if name in open_inference
    }
    written = {"provider": provider, "url": url, "open_inference": open_inference, **keys}
    upstream = build_upstream(
        "b",
        schema.Backend.model_validate(written),
        lambda ref: None,
        SystemClock(),
        lambda options: NoTransport(),
    )
    assert isinstance(upstream, HttpUpstream)
    return upstream


def attempt(
    call: Call | None = None, *, stream: bool = False, model: str = "m", template: ChatTemplate | None = None
) -> Attempt:
    target = Target("b", "triton", model, template)
    return Attempt(call or asked("hi"), target, 1, stream, "request-1.1", {"traceparent": "00-1-2-01"})


def request(upstream: HttpUpstream, call: Call | None = None, **of_attempt: Any) -> HTTPRequest:
    return upstream.adapter.request(attempt(call, **of_attempt))


def body(upstream: HttpUpstream, call: Call | None = None, **of_attempt: Any) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(request(upstream, call, **of_attempt).body)
    return sent


def inputs(sent: Mapping[str, Any]) -> dict[str, tuple[str, list[int], list[object]]]:
    """Tensors by name."""
    return {one["name"]: (one["datatype"], one["shape"], one["data"]) for one in sent["inputs"]}


def events(*documents: object) -> bytes:
    """A stream of these."""
    return b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in documents)


def answered(
    upstream: HttpUpstream,
    pieces: bytes | Sequence[bytes],
    *,
    stream: bool = True,
    headers: Mapping[str, str] | None = None,
    end: bool = True,
) -> Outcome:
    """What comes of these reads."""
    decoder = upstream.adapter.decoder(attempt(stream=stream), 200, headers or {})
    return decode(decoder, [pieces] if isinstance(pieces, bytes) else pieces, end=end)
