"""Adapter + credentials + transport -> Upstream: sends what the adapter wrote, feeds what comes to its decoder.

Waits are bounded by whoever cancels, but for two that must not cost the caller an answer that is already known:
the body of an error, and the end of a body whose answer is complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Generic

from typing_extensions import TypeVar

from pointsman_server.clock import Clock, Watchdog
from pointsman_server.context import Attempt
from pointsman_server.domain import AnyCall, Call, CountCall, EmbedCall, Embeddings, Event, Warning
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.contract import BodyLimits, Headers, HTTPRequest, HTTPResponse, Transport
from pointsman_server.upstreams.contract import (
    Adapter,
    Decoder,
    Embedder,
    Inquiry,
    Reply,
    TokenCounter,
)
from pointsman_server.upstreams.credentials.contract import Credentials, scrubbed
from pointsman_server.upstreams.inquiries import Question, SplittingEmbedder
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import unsupported

ERROR_BODY_S = 1.0
"""For the body of an error; its status has told the most."""
_MOST_REQUESTS = 3
"""Of one inquiry."""
BODY_END_S = 0.1
"""For the bytes that end a body after the provider's own end signal; most come with it, and all later ones soon."""


C = TypeVar("C", bound=AnyCall, default=Call)
E = TypeVar("E", default=Event)
A = TypeVar("A", bound=AnyCall)
R = TypeVar("R")


class HttpUpstream:
    """One HTTP backend."""

    def __init__(
        self, adapter: Adapter | None, transport: Transport, profile: Profile, *, credentials: Credentials | None,
        limits: BodyLimits, clock: Clock, headers: Headers | None = None,
        embeddings: Inquiry[EmbedCall, Embeddings] | None = None, counts: Inquiry[CountCall, int] | None = None,
        embeds_at_once: int = 1,
    ) -> None:  # fmt: skip
        """`headers` go along with every request, above those that the adapter writes; names are lower-case."""
        self.adapter = adapter
        self.transport = transport
        self.credentials = credentials
        self.limits = limits
        self.clock = clock
        self.headers = headers or {}
        self._profile = profile
        self.counter: TokenCounter | None = None if counts is None else HttpAsker(self, counts)
        self.embedder: Embedder | None = None
        if embeddings is not None and profile.embeddings is not None:
            asker = HttpAsker(self, embeddings)
            self.embedder = SplittingEmbedder(asker, profile.embeddings, at_once=embeds_at_once)

    def open(self, attempt: Attempt) -> HttpAnswer:
        """As the protocol says."""
        if self.adapter is None:
            raise ServiceError(Reason.UPSTREAM_UNIMPLEMENTED, "the backend answers no questions")
        return HttpAnswer(self, self.adapter, attempt)

    def unsupported(self, call: AnyCall, model: str) -> Sequence[Warning]:
        """What the profile says."""
        return unsupported(call, self._profile, model)

    def streams(self, *, stream: bool) -> bool:
        """As the caller does, unless the profile streams for unary callers too, or for nobody."""
        return self._profile.streams(stream=stream)

    async def close(self) -> None:
        """Close the pool, and what the credentials keep."""
        try:
            if self.credentials is not None:
                await self.credentials.close()
        finally:
            await self.transport.close()


class HttpAsker(Generic[A, R]):
    """Asks one backend what is answered by one document."""

    def __init__(self, upstream: HttpUpstream, inquiry: Inquiry[A, R]) -> None:
        self._upstream = upstream
        self.inquiry = inquiry

    async def ask(self, attempt: Attempt[A]) -> Reply[R]:
        """As the protocol says."""
        upstream, inquiry = self._upstream, self.inquiry
        request = inquiry.request(attempt)
        for _ in range(_MOST_REQUESTS):
            question = Question(inquiry, request, upstream.limits)
            async with HttpAnswer(upstream, question, attempt) as answer:
                async for found in answer:
                    for reply in found:
                        if isinstance(reply, Reply):
                            return replace(reply, http_status=answer.http_status, connect_s=answer.connect_s)
                        request = reply
        raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answers lead nowhere")


class HttpAnswer(Generic[C, E]):
    """One attempt: the context manager, and inside it the iterator of batches.

    It asks again where only the proof was refused and another one is to be had, as long as nothing was told.
    """

    __slots__ = (
        "_adapter", "_attempt", "_body_ended", "_context", "_decoder", "_renewals", "_request", "_response", "_sent",
        "_told", "_upstream",
    )  # fmt: skip

    def __init__(self, upstream: HttpUpstream, adapter: Adapter[C, E], attempt: Attempt[C]) -> None:
        self._upstream = upstream
        self._adapter = adapter
        self._attempt = attempt
        self._context: AbstractAsyncContextManager[HTTPResponse] | None = None
        self._request: HTTPRequest
        self._sent: HTTPRequest
        self._response: HTTPResponse
        self._decoder: Decoder[E]
        self._body_ended = False
        self._told = False
        self._renewals = 0

    async def __aenter__(self) -> HttpAnswer[C, E]:
        request, upstream = self._adapter.request(self._attempt), self._upstream
        if upstream.headers:
            request = replace(request, headers={**request.headers, **upstream.headers})
        self._request = request
        await self._open()
        return self

    async def _open(self) -> None:
        refusal = await self._ask()
        while refusal is not None and self._renew(refusal):
            refusal = await self._ask()
        if refusal is not None:
            raise refusal

    async def _ask(self) -> ServiceError | None:
        """Send the request and take the answer; a status other than 2xx is returned as what it means."""
        upstream, request = self._upstream, self._request
        if upstream.credentials is not None:
            request = await upstream.credentials.authorize(request)
        self._sent = request
        context = upstream.transport.open(request)
        self._response = response = await context.__aenter__()
        self._context = context
        self._body_ended = False
        try:
            if 200 <= response.status < 300:
                self._decoder = self._adapter.decoder(self._attempt, response.status, response.headers)
                return None
            refusal = scrubbed(await self._refusal(response), upstream.credentials)
        except BaseException:
            await self._free()
            raise
        await self._free()
        return refusal

    def _renew(self, error: ServiceError) -> bool:
        """Whether to ask once more, with another proof."""
        credentials = self._upstream.credentials
        if credentials is None or self._told or self._renewals >= credentials.chances:
            return False
        self._renewals += 1
        return credentials.renew(self._sent, error)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._free()

    @property
    def http_status(self) -> int:
        """The answer's status."""
        return self._response.status

    @property
    def connect_s(self) -> float | None:
        """Seconds that connecting took; None where a connection was reused."""
        return self._response.connect_s

    def pause(self) -> None:
        """Let the kernel hold bytes back."""
        self._response.pause()

    def __aiter__(self) -> HttpAnswer[C, E]:
        return self

    async def __anext__(self) -> Sequence[E]:
        """The events of the next read. The last ones are handed out before the body's end is waited for."""
        try:
            if not (self._body_ended or self._decoder.ended):
                if data := await self._response.read():
                    return self._tell(self._decoder.feed(data))
                self._body_ended = True
            # Twice, when the first time brought events: a fault behind them is raised the second time.
            if events := self._decoder.close():
                return self._tell(events)
        except ServiceError as error:
            if not self._renew(error):
                raise scrubbed(error, self._upstream.credentials) from error.__cause__
            again = True
        else:
            again = False
        if again:
            await self._free()
            await self._open()
            return ()
        if not self._body_ended:
            self._body_ended = True
            await self._read_end()
        raise StopAsyncIteration

    def _tell(self, events: Sequence[E]) -> Sequence[E]:
        if events:
            self._told = True
        return events

    async def _free(self) -> None:
        """Nothing is awaited in here: the transport frees synchronously, as its protocol demands."""
        context, self._context = self._context, None
        if context is not None:
            await context.__aexit__(None, None, None)

    async def _refusal(self, response: HTTPResponse) -> ServiceError:
        """What came of the body in time and below the bound; a broken or silent one tells no more than its status."""
        most = self._upstream.limits.error_body_bytes
        body = bytearray()
        dog = Watchdog(self._upstream.clock)
        dog.start(self._upstream.clock.now() + ERROR_BODY_S)
        try:
            while len(body) < most and (data := await response.read()):
                body += data
        except ServiceError:
            pass
        except asyncio.CancelledError:
            if not dog.claim():
                raise
        finally:
            dog.stop()
        return self._adapter.refusal(response.status, response.headers, bytes(body[:most]))

    async def _read_end(self) -> None:
        """Read on to the body's end, so that its connection is used again; the answer is complete, come what may."""
        dog = Watchdog(self._upstream.clock)
        dog.start(self._upstream.clock.now() + BODY_END_S)
        try:
            while await self._response.read():
                pass
        except ServiceError:
            return
        except asyncio.CancelledError:
            if not dog.claim():
                raise
        finally:
            dog.stop()
