"""What is answered by one document: read whole, then understood; and what is too much for one request, in several."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic

from typing_extensions import TypeVar

from pointsman_server.context import Attempt
from pointsman_server.domain import AnyCall, EmbedCall, Embeddings
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.transport.contract import BodyLimits, Headers, HTTPRequest
from pointsman_server.transport.whole import WholeFraming
from pointsman_server.upstreams.contract import Embedder, Inquiry, Reply
from pointsman_server.upstreams.translation.embedding import Piece, joined, of_the_whole, split
from pointsman_server.upstreams.translation.profile import EmbeddingProfile

C = TypeVar("C", bound=AnyCall)
R = TypeVar("R")


class Question(Generic[C, R]):
    """One request of an inquiry as an Adapter: its answer is one value at the body's end."""

    def __init__(self, inquiry: Inquiry[C, R], request: HTTPRequest, limits: BodyLimits) -> None:
        self._inquiry = inquiry
        self._request = request
        self._limits = limits

    def request(self, attempt: Attempt[C]) -> HTTPRequest:
        """As the protocol says."""
        return self._request

    def decoder(self, attempt: Attempt[C], status: int, headers: Headers) -> DocumentDecoder[C, R]:
        """As the protocol says."""
        return DocumentDecoder(self._inquiry, attempt, status, headers, self._limits)

    def refusal(self, status: int, headers: Headers, body: bytes) -> ServiceError:
        """As the protocol says."""
        return self._inquiry.refusal(status, headers, body)


class DocumentDecoder(Generic[C, R]):
    """Collects a body; understands it when it is whole."""

    __slots__ = ("_attempt", "_done", "_framing", "_headers", "_inquiry", "_status", "ended")

    def __init__(
        self,
        inquiry: Inquiry[C, R],
        attempt: Attempt[C],
        status: int,
        headers: Headers,
        limits: BodyLimits,
    ) -> None:
        self._inquiry = inquiry
        self._attempt = attempt
        self._status = status
        self._headers = headers
        self._framing = WholeFraming(limits.body_bytes)
        self._done = False
        self.ended = False

    def feed(self, data: bytes) -> Sequence[Reply[R] | HTTPRequest]:
        """As the protocol says."""
        try:
            self._framing.feed(data)
        except ServiceError as fault:
            raise self._placed(fault) from None
        return ()

    def close(self) -> Sequence[Reply[R] | HTTPRequest]:
        """As the protocol says."""
        if self._done:
            return ()
        self._done = True
        try:
            body = b"".join(self._framing.close())
            return (self._inquiry.answer(self._attempt, self._status, self._headers, body),)
        except ServiceError as fault:
            raise self._placed(fault) from fault.__cause__

    def _placed(self, fault: ServiceError) -> ServiceError:
        if fault.upstream is None and fault.reason is not Reason.INVALID_REQUEST:
            fault.upstream = UpstreamFault(http_status=self._status)
        return fault


class SplittingEmbedder:
    """Asks in several requests, some at once, for what is too much for one. One that fails ends the others."""

    def __init__(self, embedder: Embedder, profile: EmbeddingProfile, *, at_once: int) -> None:
        self._embedder = embedder
        self._profile = profile
        self._at_once = at_once

    async def ask(self, attempt: Attempt[EmbedCall]) -> Reply[Embeddings]:
        """As the protocol says."""
        pieces = split(attempt.call, self._profile)
        if len(pieces) == 1:
            return await self._embedder.ask(attempt)
        replies: dict[int, Reply[Embeddings]] = {}
        waiting = iter(enumerate(pieces))

        async def work() -> None:
            for number, piece in waiting:
                try:
                    replies[number] = await self._embedder.ask(_part_of(attempt, number, piece))
                except ServiceError as fault:
                    raise of_the_whole(fault, piece) from fault

        workers = [asyncio.ensure_future(work()) for _ in range(min(self._at_once, len(pieces)))]
        try:
            # No TaskGroup: one that ends by a fault leaves its own task marked as cancelled (Python 3.11 and 3.12).
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return joined(pieces, [replies[number] for number in range(len(pieces))])


def _part_of(attempt: Attempt[EmbedCall], number: int, piece: Piece) -> Attempt[EmbedCall]:
    """The same attempt for some of its inputs; each request has an id of its own in the upstream's logs."""
    return replace(attempt, call=piece.call, upstream_id=f"{attempt.upstream_id}.{number + 1}")
