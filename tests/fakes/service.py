"""A Pointsman server in this process, on loopback: it plays scripts, and remembers what it was asked.

It runs on an event loop in a thread of its own, so that synchronous and asynchronous callers can use it alike.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

from pointsman import v1

START_TIMEOUT_S = 20.0

T = TypeVar("T")


@dataclass(frozen=True)
class Fail:
    """Ends the call with a status: with the contract's details where a reason is given, else bare."""

    code: grpc.StatusCode
    message: str = "as scripted"
    reason: str = ""
    failure: v1.Failure | None = None
    details: tuple[Message, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the ErrorInfo."""
    trailers: tuple[tuple[str, str | bytes], ...] = ()
    domain: str = "pointsman"

    def status(self, request_id: str) -> bytes:
        """The packed google.rpc.Status."""
        packed = status_pb2.Status(code=self.code.value[0], message=self.message)
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=self.domain, metadata=self.metadata)
        request = error_details_pb2.RequestInfo(request_id=request_id)
        failure = self.failure or v1.Failure(cause=f"ERROR_REASON_{self.reason}")
        for detail in (info, request, failure, *self.details):
            packed.details.add().Pack(detail)
        return packed.SerializeToString()


@dataclass(frozen=True)
class Hold:
    """Waits until the test lets go, or the caller leaves."""


Step: TypeAlias = "v1.StreamGenerateResponse | v1.GenerateResponse | Fail | Hold"
Script: TypeAlias = "Sequence[Step]"


@dataclass
class Seen:
    """One call as it arrived."""

    request: Message
    metadata: dict[str, str]
    time_remaining_s: float | None
    left: threading.Event = field(default_factory=threading.Event)
    """Set when the caller went before the call's end."""


@dataclass
class FakeService:
    """What it answers with, and what it saw. Without a script it repeats what was said, word by word."""

    target: str = ""
    scripts: deque[Script] = field(default_factory=deque)
    models: list[v1.Model] = field(default_factory=list)
    page_size: int = 2
    model_failure: Fail | None = None
    seen: list[Seen] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    """Released once for each call that arrives."""
    on_health: Callable[[bool], None] = lambda _serving: None
    _permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    _loop: asyncio.AbstractEventLoop | None = None

    def script(self, *steps: Step) -> None:
        """What happens in the next call that has none yet."""
        self.scripts.append(steps)

    def let_go(self) -> None:
        """Ends one Hold, the present or the next."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._permits.release)

    def record(self, request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Seen:
        """Remembers a call."""
        remaining = context.time_remaining()
        metadata = {str(key): str(value) for key, value in context.invocation_metadata() or ()}
        self.seen.append(Seen(request, metadata, remaining))
        self.arrived.release()
        return self.seen[-1]

    async def hold(self) -> None:
        """Waits as a Hold does."""
        await self._permits.acquire()


async def _abort(context: grpc.aio.ServicerContext[Any, Any], fail: Fail, request_id: str) -> None:
    trailers: list[tuple[str, str | bytes]] = [("x-request-id", request_id), *fail.trailers]
    if fail.reason:
        trailers.append(("grpc-status-details-bin", fail.status(request_id)))
    await context.abort(fail.code, fail.message, tuple(trailers))


@asynccontextmanager
async def _watching(seen: Seen) -> AsyncIterator[None]:
    try:
        yield
    except asyncio.CancelledError:
        seen.left.set()
        raise


class _Inference(v1.InferenceServiceServicer):
    def __init__(self, fake: FakeService) -> None:
        self._fake = fake

    async def Generate(  # noqa: N802 -- the contract's name
        self, request: v1.GenerateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> v1.GenerateResponse:
        seen = self._fake.record(request, context)
        request_id = seen.metadata.get("x-request-id", "made-here")
        answer = whole(_said(request))
        async with _watching(seen):
            for step in self._fake.scripts.popleft() if self._fake.scripts else ():
                match step:
                    case Fail():
                        await _abort(context, step, request_id)
                    case Hold():
                        await self._fake.hold()
                    case v1.GenerateResponse():
                        answer = step
                    case _:
                        raise TypeError("a unary call has no frames")
        answer.routing.request_id = answer.routing.request_id or request_id
        context.set_trailing_metadata((("x-request-id", request_id),))
        return answer

    async def StreamGenerate(  # noqa: N802 -- the contract's name
        self, request: v1.GenerateRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        seen = self._fake.record(request, context)
        request_id = seen.metadata.get("x-request-id", "made-here")
        steps = self._fake.scripts.popleft() if self._fake.scripts else frames(*_words(_said(request)))
        async with _watching(seen):
            for step in steps:
                match step:
                    case Fail():
                        await _abort(context, step, request_id)
                    case Hold():
                        await self._fake.hold()
                    case _:
                        await context.write(step)


class _Models(v1.ModelServiceServicer):
    def __init__(self, fake: FakeService) -> None:
        self._fake = fake

    async def ListModels(  # noqa: N802 -- the contract's name
        self, request: v1.ListModelsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> v1.ListModelsResponse:
        seen = self._fake.record(request, context)
        if self._fake.model_failure is not None:
            await _abort(context, self._fake.model_failure, seen.metadata["x-request-id"])
        begin = int(request.page_token or 0)
        end = begin + self._fake.page_size
        more = str(end) if end < len(self._fake.models) else ""
        return v1.ListModelsResponse(models=self._fake.models[begin:end], next_page_token=more)

    async def GetModel(  # noqa: N802 -- the contract's name
        self, request: v1.GetModelRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> v1.GetModelResponse:
        seen = self._fake.record(request, context)
        for model in self._fake.models:
            if request.name in (model.name, *model.aliases):
                return v1.GetModelResponse(model=model)
        missing = Fail(grpc.StatusCode.NOT_FOUND, f"no model {request.name}", reason="MODEL_NOT_FOUND")
        await _abort(context, missing, seen.metadata["x-request-id"])
        raise AssertionError("abort raises")


def _said(request: v1.GenerateRequest) -> str:
    parts = request.conversation.messages[-1].parts if request.conversation.messages else ()
    return "You said: " + ("".join(part.text for part in parts) or request.prompt)


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + words[-1:]


def usage(input_tokens: int = 5, output_tokens: int = 7) -> v1.Usage:
    """Counts, as a provider reports them."""
    return v1.Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
        source=v1.USAGE_SOURCE_REPORTED,
    )


def whole(text: str) -> v1.GenerateResponse:
    """A whole answer."""
    message = v1.Message(role=v1.ROLE_ASSISTANT, parts=[v1.Part(text=text)])
    return v1.GenerateResponse(
        response_id="answer-1",
        model="small",
        candidates=[v1.Candidate(message=message, finish_reason=v1.FINISH_REASON_STOP)],
        usage=usage(),
        routing=v1.RoutingInfo(backend="fake-a", provider="fake"),
    )


def frames(*texts: str, complete: bool = True) -> list[v1.StreamGenerateResponse]:
    """The frames of an answer that comes in these pieces."""
    made = [v1.StreamGenerateResponse(deltas=[v1.Delta(text=text)]) for text in texts]
    made[0].started.CopyFrom(
        v1.Started(response_id="answer-1", model="small", backend="fake-a", provider="fake")
    )
    if complete:
        last = v1.StreamGenerateResponse()
        last.candidate_finished.add(finish_reason=v1.FINISH_REASON_STOP)
        last.completed.usage.CopyFrom(usage())
        last.completed.routing.CopyFrom(v1.RoutingInfo(backend="fake-a", provider="fake"))
        made.append(last)
    return numbered(*made)


def numbered(*made: v1.StreamGenerateResponse) -> list[v1.StreamGenerateResponse]:
    """The frames, with the numbers that the contract asks for."""
    for number, frame in enumerate(made):
        frame.sequence = number
    return list(made)


async def _serve(
    fake: FakeService, address: str, credentials: grpc.ServerCredentials | None
) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server()
    v1.add_InferenceServiceServicer_to_server(_Inference(fake), server)
    v1.add_ModelServiceServicer_to_server(_Models(fake), server)
    watched = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(watched, server)
    await _set_health(watched, serving=True)
    loop = asyncio.get_running_loop()

    def on_health(serving: bool) -> None:
        asyncio.run_coroutine_threadsafe(_set_health(watched, serving=serving), loop).result(START_TIMEOUT_S)

    fake.on_health = on_health
    fake._loop = loop
    port = _bind(server, address, credentials)
    await server.start()
    return server, port


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    if credentials is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, credentials)


async def _set_health(watched: health.aio.HealthServicer, *, serving: bool) -> None:
    status = health_pb2.HealthCheckResponse
    await watched.set("pointsman.v1.InferenceService", status.SERVING if serving else status.NOT_SERVING)


@contextmanager
def serving(
    *, credentials: grpc.ServerCredentials | None = None, address: str = "localhost:0"
) -> Iterator[FakeService]:
    """A fake that listens until the block ends."""
    fake = FakeService()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-service", daemon=True)
    thread.start()

    def call(made: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await made

        return asyncio.run_coroutine_threadsafe(awaited(), loop).result(START_TIMEOUT_S)

    server, port = call(_serve(fake, address, credentials))
    fake.target = f"{address.rpartition(':')[0]}:{port}"
    try:
        yield fake
    finally:
        call(server.stop(0))
        call(_settled())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(START_TIMEOUT_S)
        loop.close()


async def _settled() -> None:
    """Every handler has ended."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
