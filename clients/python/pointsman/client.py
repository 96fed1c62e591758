"""The synchronous client: calls block, a stream is a context manager and an iterator. Safe to share between threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast

import grpc
from google.protobuf.message import Message

from pointsman import v1
from pointsman.answer import Generation, Model
from pointsman.batch import BatchBooks, BatchResult, BatchSummary, batch_request
from pointsman.call import INFERENCE, MODELS, Metadata, PreparedCall
from pointsman.channel import Connection
from pointsman.conversation import Input
from pointsman.core import ClientCore, page_request, to_models, view
from pointsman.embed import Embeddings, EmbedInput, EmbedParams, TokenCount, embed_request
from pointsman.params import GenerateParams
from pointsman.request import build_request
from pointsman.status import FailedCall
from pointsman.stream import StreamBooks, StreamEvent

R = TypeVar("R")


class Client(ClientCore[grpc.Channel]):
    """Asks models through a Pointsman server."""

    def _open(self, connection: Connection) -> grpc.Channel:
        options = connection.channel_options()
        if connection.tls is None:
            return grpc.insecure_channel(connection.target, options)
        return grpc.secure_channel(connection.target, connection.tls.credentials(), options)

    def generate(
        self,
        input: Input | None = None,  # noqa: A002 -- the word of the contract
        *,
        model: str = "",
        request: v1.GenerateRequest | None = None,
        timeout_s: float | None = None,
        request_id: str = "",
        metadata: Metadata = (),
        **params: Unpack[GenerateParams],
    ) -> Generation:
        """The whole answer to a text, a conversation, or a ready request."""
        asked = build_request(input, model=model, request=request, params=params)
        call = self._caller.prepare(
            INFERENCE,
            "Generate",
            model=asked.model,
            timeout_s=timeout_s,
            request_id=request_id,
            metadata=metadata,
        )
        response = _finish(call, v1.InferenceServiceStub(self.channel).Generate, asked)
        return Generation(response, response.routing.request_id or call.request_id)

    def stream(
        self,
        input: Input | None = None,  # noqa: A002 -- the word of the contract
        *,
        model: str = "",
        request: v1.GenerateRequest | None = None,
        timeout_s: float | None = None,
        request_id: str = "",
        metadata: Metadata = (),
        **params: Unpack[GenerateParams],
    ) -> Stream:
        """The answer as it comes; `with` begins it, and leaving early cancels it."""
        asked = build_request(input, model=model, request=request, params=params)

        def start() -> tuple[PreparedCall, Any]:
            call = self._caller.prepare(
                INFERENCE,
                "StreamGenerate",
                model=asked.model,
                timeout_s=timeout_s,
                request_id=request_id,
                metadata=metadata,
            )
            return call, _start(call, v1.InferenceServiceStub(self.channel).StreamGenerate, asked)

        return Stream(start, asked)

    def batch(
        self,
        questions: Iterable[Input | v1.GenerateRequest] | Mapping[str, Input | v1.GenerateRequest],
        *,
        model: str = "",
        max_concurrency: int = 0,
        fail_fast: bool = False,
        timeout_s: float | None = None,
        request_id: str = "",
        metadata: Metadata = (),
        **params: Unpack[GenerateParams],
    ) -> Batch:
        """Answers to many questions, in the order in which they are ready; leaving early cancels the rest.

        A mapping names its questions. `max_concurrency` 0 leaves it to the server; `fail_fast` gives up the rest when
        one fails.
        """
        asked = batch_request(
            questions, model=model, max_concurrency=max_concurrency, fail_fast=fail_fast, params=params
        )

        def start() -> tuple[PreparedCall, Any]:
            call = self._caller.prepare(
                INFERENCE,
                "BatchGenerate",
                model=model,
                timeout_s=timeout_s,
                request_id=request_id,
                metadata=metadata,
            )
            return call, _start(call, v1.InferenceServiceStub(self.channel).BatchGenerate, asked)

        return Batch(start)

    def embed(
        self,
        inputs: EmbedInput | Iterable[EmbedInput] = (),
        *,
        model: str = "",
        request: v1.EmbedRequest | None = None,
        timeout_s: float | None = None,
        request_id: str = "",
        metadata: Metadata = (),
        **params: Unpack[EmbedParams],
    ) -> Embeddings:
        """The vectors of texts, pictures or tokens: one for each input, in their order."""
        asked = embed_request(inputs, model=model, request=request, params=params)
        call = self._caller.prepare(
            INFERENCE,
            "Embed",
            model=asked.model,
            timeout_s=timeout_s,
            request_id=request_id,
            metadata=metadata,
        )
        response = _finish(call, v1.InferenceServiceStub(self.channel).Embed, asked)
        return Embeddings(response, response.routing.request_id or call.request_id)

    def count_tokens(
        self,
        input: Input | None = None,  # noqa: A002 -- the word of the contract
        *,
        model: str = "",
        request: v1.GenerateRequest | None = None,
        timeout_s: float | None = None,
        request_id: str = "",
        metadata: Metadata = (),
        **params: Unpack[GenerateParams],
    ) -> TokenCount:
        """How many tokens a question would take; it is not asked. The options are those of `generate`."""
        asked = build_request(input, model=model, request=request, params=params)
        call = self._caller.prepare(
            INFERENCE,
            "CountTokens",
            model=asked.model,
            timeout_s=timeout_s,
            request_id=request_id,
            metadata=metadata,
        )
        counting = v1.CountTokensRequest(request=asked)
        return TokenCount(_finish(call, v1.InferenceServiceStub(self.channel).CountTokens, counting))

    def models(self, *, full: bool = False, timeout_s: float | None = None) -> list[Model]:
        """Every model that this caller may use; `full` tells capabilities, limits and prices too."""
        found: list[Model] = []
        token = ""
        while True:
            call = self._caller.prepare(MODELS, "ListModels", timeout_s=timeout_s)
            page = _finish(call, v1.ModelServiceStub(self.channel).ListModels, page_request(token, full=full))
            found += to_models(page.models)
            token = page.next_page_token
            if not token:
                return found

    def model(self, name: str, *, timeout_s: float | None = None) -> Model:
        """One model, by name or alias; ModelNotFound if there is none."""
        call = self._caller.prepare(MODELS, "GetModel", model=name, timeout_s=timeout_s)
        request = v1.GetModelRequest(name=name, view=view(full=True))
        return Model(_finish(call, v1.ModelServiceStub(self.channel).GetModel, request).model)

    def close(self) -> None:
        """Closes the channel, if it is the client's own; calls still running fail as Cancelled."""
        if self._given is None and "channel" in self.__dict__:
            self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _start(call: PreparedCall, method: Callable[..., R], request: Message) -> R:
    try:
        return method(
            request, timeout=call.timeout_s, metadata=call.metadata, wait_for_ready=call.wait_for_ready
        )
    except grpc.RpcError as error:
        raise call.failed(cast(FailedCall, error)) from error
    except BaseException as error:
        call.span.end(error)
        raise


def _finish(call: PreparedCall, method: Callable[..., R], request: Message) -> R:
    response = _start(call, method, request)
    call.span.end()
    return response


class Stream:
    """A streamed answer: an iterator of events between `with` and its end."""

    def __init__(self, start: Callable[[], tuple[PreparedCall, Any]], request: v1.GenerateRequest) -> None:
        self._start = start
        self._books = StreamBooks(request)
        self._running: tuple[PreparedCall, Any] | None = None
        self._ended = False

    def __enter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("a stream can be entered once: ask the client for another")
        self._running = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        call, rpc = self._entered()
        rpc.cancel()
        self._books.leave(call, error)

    def _entered(self) -> tuple[PreparedCall, Any]:
        if self._running is None:
            raise RuntimeError("a stream begins with `with`: with client.stream(...) as stream")
        return self._running

    def __iter__(self) -> Iterator[StreamEvent]:
        return self

    def __next__(self) -> StreamEvent:
        call, rpc = self._entered()
        if self._ended:
            raise StopIteration
        try:
            frame = next(rpc)
        except StopIteration:
            self._ended = True
            self._books.check_complete(call)
            call.span.end()
            raise
        except grpc.RpcError as error:
            self._ended = True
            delivered = self._books.has_content
            raise call.failed(cast(FailedCall, error), content_delivered=delivered) from error
        return self._books.take(frame, call)

    @property
    def text_stream(self) -> Iterator[str]:
        """The first candidate's text alone, piece by piece."""
        self._books.check_text_alone_will_do()
        return (event.text for event in self if event.text)

    def collect(self) -> Generation:
        """Reads to the end; the whole answer."""
        for _ in self:
            pass
        return self.result

    @property
    def result(self) -> Generation:
        """The whole answer, once all of it came."""
        return self._books.result(self.request_id)

    @property
    def partial(self) -> Generation:
        """The answer as far as it has come, also after a failure."""
        return self._books.partial(self.request_id)

    @property
    def request_id(self) -> str:
        """The call's id, for whoever runs the server."""
        return self._entered()[0].request_id


class Batch:
    """A batch under way: an iterator of results between `with` and its end."""

    def __init__(self, start: Callable[[], tuple[PreparedCall, Any]]) -> None:
        self._start = start
        self._books = BatchBooks()
        self._running: tuple[PreparedCall, Any] | None = None
        self._ended = False

    def __enter__(self) -> Self:
        if self._running is not None:
            raise RuntimeError("a batch can be entered once: ask the client for another")
        self._running = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        call, rpc = self._entered()
        rpc.cancel()
        call.span.end(error)

    def _entered(self) -> tuple[PreparedCall, Any]:
        if self._running is None:
            raise RuntimeError("a batch begins with `with`: with client.batch(...) as results")
        return self._running

    def __iter__(self) -> Iterator[BatchResult]:
        return self

    def __next__(self) -> BatchResult:
        call, rpc = self._entered()
        while not self._ended:
            try:
                message = next(rpc)
            except StopIteration:
                self._ended = True
                self._books.check_complete(call.request_id)
            except grpc.RpcError as error:
                self._ended = True
                raise call.failed(cast(FailedCall, error)) from error
            else:
                if (result := self._books.take(message, call.request_id)) is not None:
                    return result
        raise StopIteration

    @property
    def summary(self) -> BatchSummary | None:
        """How many succeeded and failed, and their tokens; None until all results have come."""
        return self._books.summary
