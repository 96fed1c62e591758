"""A server of the Open Inference Protocol over gRPC on loopback: it plays scripts, and keeps what it was asked."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from pointsman_server.upstreams.dialects.triton.rpc.messages import (
    SERVICE,
    ModelInferRequest,
    ModelInferResponse,
    ModelStreamInferResponse,
)


@dataclass(frozen=True)
class Send:
    """These bytes are one message."""

    data: bytes


@dataclass(frozen=True)
class Abort:
    """The call ends with a status."""

    code: grpc.StatusCode
    details: str = ""
    trailers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Hang:
    """Nothing happens any more."""


@dataclass(frozen=True)
class Wait:
    """Until the test says so."""

    gate: asyncio.Event


Step = Send | Abort | Hang | Wait


@dataclass
class Asked:
    """One call as it came."""

    method: str
    request: Any
    metadata: dict[str, str]
    half_closed: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


def response(*texts: str | bytes, final: bool | None = None, raw: bool = True, **keys: Any) -> Any:
    """A ModelInferResponse with a text output; `raw` as Triton sends it, else as MLServer does."""
    message = ModelInferResponse(model_name="m", model_version="1", id=keys.pop("id", "r"), **keys)
    if texts:
        data = [text.encode() if isinstance(text, str) else text for text in texts]
        output = message.outputs.add(name="text_output", datatype="BYTES", shape=[len(data)])
        if raw:
            message.raw_output_contents.append(b"".join(struct.pack("<I", len(one)) + one for one in data))
        else:
            output.contents.bytes_contents.extend(data)
    if final is not None:
        message.parameters["triton_final_response"].bool_param = final
    return message


def plain(message: Any) -> Send:
    """A response by itself: that of ModelInfer, and each of MLServer's stream."""
    return Send(message.SerializeToString())


def wrapped(message: Any) -> Send:
    """A response in Triton's stream."""
    return Send(ModelStreamInferResponse(infer_response=message).SerializeToString())


def told(error: str, **keys: Any) -> Send:
    """An error in Triton's stream."""
    return Send(
        ModelStreamInferResponse(
            error_message=error, infer_response=ModelInferResponse(**keys)
        ).SerializeToString()
    )


class OpenInferenceServer:
    """To be used as `async with`; successive calls play successive scripts, the last one again and again."""

    def __init__(self, *scripts: Sequence[Step], credentials: grpc.ServerCredentials | None = None) -> None:
        self.scripts = [list(script) for script in scripts]
        self.calls: list[Asked] = []
        self.port = 0
        self._credentials = credentials
        self._server: grpc.aio.Server | None = None
        self._came = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"{'http' if self._credentials is None else 'https'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> OpenInferenceServer:
        await self.start()
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """At the same port as before, if there was one."""
        self._server = server = grpc.aio.server(
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
        )
        handlers: dict[str, Any] = {
            "ModelInfer": grpc.unary_unary_rpc_method_handler(self._infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream_infer),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        address = f"127.0.0.1:{self.port}"
        self.port = (
            server.add_insecure_port(address)
            if self._credentials is None
            else server.add_secure_port(address, self._credentials)
        )
        await server.start()

    async def stop(self) -> None:
        """At once."""
        if self._server is not None:
            await self._server.stop(None)
        self._server = None

    async def called(self, times: int) -> Asked:
        """The call of this number, from 1, as soon as it has come."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.calls) >= times)
        return self.calls[times - 1]

    async def _ask(self, method: str, request: bytes, context: Any) -> tuple[Asked, list[Step]]:
        metadata = {str(key): str(value) for key, value in context.invocation_metadata()}
        asked = Asked(method, ModelInferRequest.FromString(request), metadata)
        script = self.scripts[min(len(self.calls), len(self.scripts) - 1)]
        self.calls.append(asked)
        async with self._came:
            self._came.notify_all()
        return asked, script

    async def _infer(self, request: bytes, context: Any) -> bytes:
        asked, script = await self._ask("ModelInfer", request, context)
        try:
            for step in script:
                if isinstance(step, Send):
                    return step.data
                await self._play(step, context)
        except asyncio.CancelledError:
            asked.cancelled.set()
            raise
        raise AssertionError("the script says nothing")

    async def _stream_infer(self, requests: AsyncIterator[bytes], context: Any) -> None:
        asked, script = await self._ask("ModelStreamInfer", await anext(requests), context)
        try:
            for step in script:
                if isinstance(step, Send):
                    await context.write(step.data)
                else:
                    await self._play(step, context)
            async for _ in requests:
                raise AssertionError("more than one request in a stream")
            asked.half_closed.set()
        except asyncio.CancelledError:
            asked.cancelled.set()
            raise

    async def _play(self, step: Step, context: Any) -> None:
        match step:
            case Abort(code, details, trailers):
                await context.abort(code, details, trailers)
            case Hang():
                await asyncio.Event().wait()
            case Wait(gate):
                await gate.wait()
            case Send():
                raise AssertionError("sent by whoever plays")


class Relay:
    """A way to a server that can be cut: every connection through it is reset at once."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self._ends: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *raised: object) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Reset what is connected now."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        self._ends += [writer, back]
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.get_running_loop().create_task(self._copy(source, sink))
            self._tasks.add(task)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        except OSError:
            return
        finally:
            sink.transport.abort()
