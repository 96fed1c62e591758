"""Triton's own gRPC client and our upstream, against the fake server of our tests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from pointsman_server.clock import SystemClock
from pointsman_server.config import schema
from pointsman_server.domain import Generation, Text
from pointsman_server.errors import ServiceError
from pointsman_server.upstreams.registry import build_upstream
from tests.fakes.open_inference import (
    Abort,
    Asked,
    OpenInferenceServer,
    Step,
    plain,
    response,
    told,
    wrapped,
)
from tests.unit.upstreams.calls import asked, folded
from tests.unit.upstreams.triton_parts import attempt

PIECES = [wrapped(response(text, final=False)) for text in ("He", "llo")] + [wrapped(response(final=True))]
CALL = asked(
    "hi",
    generation=Generation(max_output_tokens=7, temperature=0.25, stop_sequences=("\n\n", "END"), seed=5),
)
_ELEMENTS = {"INT32": "<i", "INT64": "<q", "UINT64": "<Q", "FP32": "<f", "FP64": "<d", "BOOL": "<?"}


def elements(kind: str, raw: bytes) -> list[Any]:
    """A tensor's own bytes -> its elements."""
    if kind != "BYTES":
        return [found[0] for found in struct.iter_unpack(_ELEMENTS[kind], raw)]
    found, at = [], 0
    while at < len(raw):
        size = struct.unpack_from("<I", raw, at)[0]
        found.append(raw[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def tensors(call: Asked) -> list[dict[str, Any]]:
    """In both forms that the protocol has for their elements."""
    found = []
    for at, tensor in enumerate(call.request.inputs):
        if call.request.raw_input_contents:
            data = elements(tensor.datatype, call.request.raw_input_contents[at])
        else:
            [(_, contents)] = tensor.contents.ListFields()
            data = [*contents]
        found.append(
            {"name": tensor.name, "datatype": tensor.datatype, "shape": [*tensor.shape], "data": data}
        )
    return sorted(found, key=lambda one: one["name"])


def parameters(call: Asked) -> dict[str, Any]:
    """By name, without the one by which a stream's client asks for an end signal."""
    told = {
        name: getattr(one, one.WhichOneof("parameter_choice"))
        for name, one in call.request.parameters.items()
    }
    told.pop("triton_enable_empty_final_response", None)
    return told


def job(call: Asked, address: str, verb: str) -> dict[str, Any]:
    """What the client is asked to send: what we sent."""
    texts = [
        {**one, "data": [item.decode() if isinstance(item, bytes) else item for item in one["data"]]}
        for one in tensors(call)
    ]
    return {
        "address": address, "verb": verb, "model": call.request.model_name, "id": call.request.id, "tensors": texts,
        "outputs": [one.name for one in call.request.outputs], "parameters": parameters(call),
    }  # fmt: skip


async def own_text(server: OpenInferenceServer, *, stream: bool) -> str:
    """What our upstream makes of the answer; the end of it where it is an error."""
    written = {
        "provider": "triton_grpc",
        "url": server.url,
        "unary_upstream": "stream" if stream else "unary",
    }
    upstream = build_upstream("b", schema.Backend.model_validate(written), lambda ref: None, SystemClock())
    events: list[Any] = []
    try:
        async with upstream.open(attempt(CALL, stream=stream)) as answer:
            async for batch in answer:
                events += batch
    except ServiceError as error:
        return error.upstream.message if error.upstream else ""
    finally:
        await upstream.close()
    parts = folded(events).candidates[0].parts
    return "".join(part.content.text for part in parts if isinstance(part.content, Text))


@pytest.mark.parametrize(
    ("verb", "script"),
    [("call", [plain(response("Hello"))]), ("stream", PIECES)],
    ids=["ModelInfer", "ModelStreamInfer"],
)
async def test_the_client_sends_and_hears_the_same(verb: str, script: Sequence[Step], ask) -> None:
    """Tensors, parameters and outputs; the answer of the fake in one piece, and in several."""
    async with OpenInferenceServer(script) as server:
        assert await own_text(server, stream=verb == "stream") == "Hello"
        heard = await ask("triton_grpc", job(server.calls[0], f"127.0.0.1:{server.port}", verb))
        ours, theirs = server.calls
    assert heard["error"] is None
    assert (heard["text"], heard["id"]) == ("Hello", "r")
    assert (theirs.method, theirs.request.model_name) == (ours.method, ours.request.model_name)
    assert tensors(theirs) == tensors(ours)
    assert parameters(theirs) == parameters(ours)
    assert len(tensors(ours)) > 4


@pytest.mark.parametrize(
    ("verb", "fault", "text"),
    [
        ("stream", told("Exceeds maximum queue size"), "Exceeds maximum queue size"),
        ("call", Abort(grpc.StatusCode.UNAVAILABLE, "Request timeout expired"), "Request timeout expired"),
        ("stream", Abort(grpc.StatusCode.NOT_FOUND, "no such model"), "no such model"),
    ],
    ids=["in the stream", "status", "status of a stream"],
)
async def test_the_client_hears_the_fault(verb: str, fault: Step, text: str, ask) -> None:
    """As an exception of its own, with the server's words."""
    async with OpenInferenceServer([fault]) as server:
        assert text in await own_text(server, stream=verb == "stream")
        heard = await ask("triton_grpc", job(server.calls[0], f"127.0.0.1:{server.port}", verb))
    assert heard["error"]["class"] == "InferenceServerException"
    assert text in heard["error"]["message"]
