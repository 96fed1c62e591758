"""Attempts of one call: each is opened once, in the books and at its upstream, and closed once, with one record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Generic

from typing_extensions import TypeVar

from pointsman_server.clock import Clock, Watchdog
from pointsman_server.context import Attempt, AttemptRecord, CallContext
from pointsman_server.dispatch.contract import Snapshot
from pointsman_server.dispatch.patience import Patience
from pointsman_server.dispatch.places import Places
from pointsman_server.dispatch.trial import Trial
from pointsman_server.domain import Answer, AnyCall, Call, Event, Operation, Warning
from pointsman_server.domain.fold import Fold
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.load import estimated_tokens
from pointsman_server.routing.plan import Candidate
from pointsman_server.telemetry.facade import Telemetry
from pointsman_server.upstreams.contract import Asker, Upstream

C = TypeVar("C", bound=AnyCall, default=Call)
R = TypeVar("R")

_NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Shared:
    """What all runs use."""

    clock: Clock
    telemetry: Telemetry
    places: Places
    rng: Random
    turn: Callable[[str], int]
    notes: Callable[[AnyCall], tuple[Warning, ...]]


class Attempts(Generic[C]):
    """Makes the attempts of one call."""

    def __init__(
        self, shared: Shared, snapshot: Snapshot, call: C, context: CallContext, *, dog: Watchdog
    ) -> None:
        self._shared = shared
        self._clock = shared.clock
        self._snapshot = snapshot
        self._call = call
        self._context = context
        self._deadline_at = context.deadline.at
        self._dog = dog
        self._tokens = 0
        self.records: list[AttemptRecord] = []
        self.last: Trial[C] | None = None
        """The attempt that runs, or the last one."""
        self.late = False
        """Whether the call's deadline struck while its consumer was at work."""

    def begin(self, candidate: Candidate, number: int) -> Trial[C]:
        """Open the books for an attempt at a place that was taken."""
        book = candidate.view.book
        try:
            trial = self.last = self._trial(candidate, number)
        except BaseException:
            book.give_back()
            raise
        self._tokens = self._tokens or estimated_tokens(self._call)
        book.in_flight_tokens += self._tokens
        trial.ticket = book.breaker.begin(trial.started_at)
        self._dog.at = trial.patience.before_content
        return trial

    def _trial(self, candidate: Candidate, number: int) -> Trial[C]:
        now, context, target = self._clock.now(), self._context, candidate.view.target
        handle = self._snapshot.handle(target)
        attempt = Attempt(
            self._call,
            target,
            number,
            context.stream,
            f"{context.request_id}-{context.nonce}.{number}",
            wall_s=self._clock.wall(),
        )
        span = self._shared.telemetry.start_attempt(context.span, attempt)
        if handle.propagate_trace:
            attempt = replace(attempt, trace_headers=span.headers())
        patience = Patience(
            handle.timeouts, now, deadline_at=self._deadline_at,
            streams=self._streams(handle.upstream), asked_s=self._call.routing.first_token_timeout_s,
        )  # fmt: skip
        return Trial(candidate, attempt, handle.upstream, patience, span, started_at=now)

    def _streams(self, upstream: Upstream) -> bool:
        """Whether the attempt's answer comes in pieces."""
        generates = self._call.operation is Operation.GENERATE
        return generates and upstream.streams(stream=self._context.stream)

    async def reply(self, trial: Trial[C], asker: Asker[C, R]) -> R:
        """What one attempt is answered with, where that is one document; ends its books. Raises as `batches` does."""
        try:
            reply = await asker.ask(trial.attempt)
            trial.heard(reply)
        except BaseException as raised:
            failure = self._judge(trial, raised)
            if failure is raised:
                raise
            raise failure from raised
        self._close(trial, None, None)
        return reply.value

    async def whole(self: Attempts[Call], trial: Trial[Call]) -> Answer:
        """The whole answer of one attempt; ends its books. Raises as `batches` does, and costs a unary call less."""
        dog, clock, fold = self._dog, self._clock, Fold()
        try:
            async with trial.upstream.open(trial.attempt) as answer:
                trial.answer = answer
                async for batch in answer:
                    if batch:
                        now = clock.now()
                        trial.saw(batch, now)
                        dog.at = trial.patient_until(now)
                        for event in batch:
                            fold.add(event)
        except BaseException as raised:
            failure = self._judge(trial, raised)
            if failure is raised:
                raise
            raise failure from raised
        self._close(trial, None, None)
        return fold.answer()

    async def batches(self: Attempts[Call], trial: Trial[Call]) -> AsyncGenerator[Sequence[Event], None]:
        """The batches of one attempt that hold anything; ends its books.

        Raises ServiceError; UPSTREAM_TIMEOUT when one of its own timeouts passed. While the consumer is at work only
        the call's deadline counts; a keep-alive does not prolong anything.
        """
        dog, clock, deadline_at = self._dog, self._clock, self._deadline_at
        try:
            async with trial.upstream.open(trial.attempt) as answer:
                trial.answer = answer
                async for batch in answer:
                    if not batch:
                        continue
                    trial.saw(batch, clock.now())
                    dog.at = deadline_at
                    yield batch
                    dog.at = trial.patient_until(clock.now())
        except BaseException as raised:
            failure = self._judge(trial, raised)
            if failure is raised:
                raise
            raise failure from raised
        self._close(trial, None, None)

    def _judge(self, trial: Trial[C], raised: BaseException) -> BaseException:
        """What an attempt's end by an exception means; closes its books."""
        if isinstance(raised, GeneratorExit):  # The consumer left, of itself or because the deadline struck.
            self._close(trial, None, Reason.DEADLINE_EXCEEDED if self.late else Reason.CANCELLED)
            return raised
        if isinstance(raised, asyncio.CancelledError | ServiceError) and self._dog.claim():
            raised = trial.timed_out(self._clock.now())
        if isinstance(raised, ServiceError):
            self._close(trial, raised, raised.reason)
        else:
            cancelled = isinstance(raised, asyncio.CancelledError)
            self._close(trial, None, Reason.CANCELLED if cancelled else Reason.INTERNAL)
        return raised

    def _close(self, trial: Trial[C], error: ServiceError | None, reason: Reason | None) -> None:
        """Close the books; every attempt comes here exactly once."""
        now, shared = self._clock.now(), self._shared
        self._dog.at = self._deadline_at if reason is not Reason.DEADLINE_EXCEEDED else _NEVER
        book, target = trial.candidate.view.book, trial.attempt.target
        book.in_flight_tokens -= self._tokens
        ejected = book.record(
            target.model, trial.lesson(reason, now), now, ticket=trial.ticket,
            retry_after_s=error.retry_after_s if error is not None else None,
            longest_s=self._snapshot.retry.retry_after_max_s,
        )  # fmt: skip
        if trial.first_content_at is not None and trial.patience.streams:
            book.saw_first_token(trial.first_content_at - trial.started_at, now)
        record = trial.record(error, reason, now)
        trial.answer = None
        self.records.append(record)
        book.give_back()
        shared.telemetry.attempt_ended(trial.span, trial.attempt, record)
        if ejected:
            shared.telemetry.event(
                "backend_ejected",
                backend=target.backend,
                endpoint=target.endpoint or None,
                reason=reason and reason.value,
            )
