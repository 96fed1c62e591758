"""Walks plans: one Run per call, in the caller's own task; no second task, no queue.

Of a Run's exits only the waits are asynchronous: everything that it owns is freed without awaiting, since a caller
that leaves in the middle of a blocked write leaves no chance to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from random import Random
from types import TracebackType

from pointsman_server.clock import Clock, Watchdog
from pointsman_server.context import Attempt, AttemptRecord, CallContext, RoutingReport
from pointsman_server.dispatch.budget import RetryBudget
from pointsman_server.dispatch.contract import Snapshot
from pointsman_server.dispatch.places import Places
from pointsman_server.dispatch.retry import Step, Walk
from pointsman_server.dispatch.trial import Trial
from pointsman_server.domain import Answer, Call, Event, Opened, UsageReport, Warning
from pointsman_server.domain.fold import Fold
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.load import estimated_tokens
from pointsman_server.routing.plan import Candidate, Plan
from pointsman_server.routing.router import pick
from pointsman_server.telemetry.facade import Telemetry

_MIN_ATTEMPT_S = 0.01
"""With less than this left no upstream is asked: it could not answer in time."""
_QUEUE_SHARE = 0.1
"""Of what is left of a deadline, for waiting."""


class Dispatcher:
    """The way from an admitted call to an answer."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], *, clock: Clock, telemetry: Telemetry, places: Places, rng: Random,
        turn: Callable[[str], int], notes: Callable[[Call], tuple[Warning, ...]] = lambda call: (),
    ) -> None:  # fmt: skip
        self.snapshot = snapshot
        self.clock = clock
        self.telemetry = telemetry
        self.places = places
        self.rng = rng
        self.turn = turn
        self.notes = notes
        self._budgets: dict[str, RetryBudget] = {}

    def open(self, call: Call, context: CallContext) -> Run:
        """A run of this call; enter it to plan, then consume it once."""
        return Run(self, call, context)

    def budget(self, model: str, snapshot: Snapshot) -> RetryBudget:
        """The retry budget of a model; a new one when its rules changed."""
        budget = self._budgets.get(model)
        if budget is None or budget.rules != snapshot.budget:
            budget = self._budgets[model] = RetryBudget(snapshot.budget)
        return budget


class Run:
    """One call on its way."""

    def __init__(self, dispatcher: Dispatcher, call: Call, context: CallContext) -> None:
        self._owner = dispatcher
        self._clock = dispatcher.clock
        self._call = call
        self._context = context
        self._snapshot = dispatcher.snapshot()
        self._dog = Watchdog(dispatcher.clock)
        self._records: list[AttemptRecord] = []
        self._queue_s = 0.0
        self._first_content_at: float | None = None
        self._trial: Trial | None = None
        self._served: Trial | None = None
        self._iterator: AsyncGenerator[Sequence[Event], None] | None = None
        self._plan: Plan | None = None

    async def __aenter__(self) -> Run:
        """Plan. Raises ServiceError as `pick` does, DEADLINE_EXCEEDED when there is no time to try anything."""
        now = self._clock.now()
        if self._context.deadline.remaining(now) < _MIN_ATTEMPT_S:
            raise _deadline_exceeded()
        owner = self._owner
        plan = pick(self._call, self._snapshot, self._context.principal, turn=owner.turn, rng=owner.rng)
        self._plan = plan
        rules = self._snapshot.retry
        wanted = self._call.routing.max_attempts
        if wanted is not None:
            rules = replace(rules, max_attempts=min(wanted, self._snapshot.max_attempts_limit))
        self._walk = Walk(plan, rules, owner.rng)
        self._budget = owner.budget(plan.model, self._snapshot)
        self._budget.deposit(now)
        self._tokens = estimated_tokens(self._call)
        self._dog.start(self._context.deadline.at)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._iterator is not None:
            await self._iterator.aclose()
        late = kind is asyncio.CancelledError and self._dog.claim()
        self._dog.stop()
        if late:
            raise _deadline_exceeded() from error

    async def complete(self) -> Answer:
        """The whole answer. A backend that breaks in mid-answer costs the caller nothing: another one begins anew."""
        step = self._walk.first(self._clock.now())
        while True:
            fold = Fold()
            try:
                async with aclosing(self._attempt(step)) as batches:
                    async for batch in batches:
                        for event in batch:
                            fold.add(event)
                return fold.answer()
            except ServiceError as error:
                step = await self._next(error)

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """Batches from the first content on."""
        self._iterator = self._stream()
        return self._iterator

    def pause(self) -> None:
        """Let the kernel hold bytes back until the next batch is asked for."""
        if self._trial is not None and self._trial.answer is not None:
            self._trial.answer.pause()

    async def _stream(self) -> AsyncGenerator[Sequence[Event], None]:
        step = self._walk.first(self._clock.now())
        while True:
            committed = False
            held: list[Event] = []
            try:
                async with aclosing(self._attempt(step)) as batches:
                    async for batch in batches:
                        if committed:
                            yield batch
                        elif self._first_content_at is None:
                            held.extend(event for event in batch if isinstance(event, Opened | UsageReport))
                            del held[:-2]
                        else:
                            committed = True
                            yield [*held, *batch]
                return
            except ServiceError as error:
                if committed:
                    raise
                step = await self._next(error)

    async def _next(self, error: ServiceError) -> Step:
        """The step after a failure; raises the failure when it stands."""
        now = self._clock.now()
        remaining_s = self._context.deadline.remaining(now)
        step = self._walk.after(error, now, remaining_s)
        if step is None or (not step.free and not self._budget.take(now)):
            raise error
        if step.delay_s > 0:
            try:
                await self._clock.sleep(step.delay_s)
            except asyncio.CancelledError:
                self._refund(step)
                raise
            self._queue_s += self._clock.now() - now
        return step

    def _refund(self, step: Step) -> None:
        if not step.free:
            self._budget.end()

    async def _attempt(self, step: Step) -> AsyncGenerator[Sequence[Event], None]:
        """The batches of one attempt. Raises ServiceError; UPSTREAM_TIMEOUT when one of its own timeouts passed."""
        try:
            candidate = await self._take_place(step.candidates)
        except BaseException:
            self._refund(step)
            raise
        trial = self._begin(candidate, step)
        try:
            async with trial.handle.upstream.open(trial.attempt) as answer:
                trial.answer = answer
                async for batch in answer:
                    now = self._clock.now()
                    trial.saw(batch, now)
                    if self._first_content_at is None:
                        self._first_content_at = trial.first_content_at
                    self._dog.at = self._context.deadline.at
                    yield batch
                    self._dog.at = self._patience(trial)
        except asyncio.CancelledError as cancelled:
            if not self._dog.claim():
                self._close(trial, None, Reason.CANCELLED)
                raise
            error = self._timed_out(trial)
            self._close(trial, error, error.reason)
            raise error from cancelled
        except GeneratorExit:
            self._close(trial, None, Reason.CANCELLED)
            raise
        except ServiceError as error:
            self._close(trial, error, error.reason)
            raise
        except BaseException:
            self._close(trial, None, Reason.INTERNAL)
            raise
        self._served = trial
        self._close(trial, None, None)

    async def _take_place(self, candidates: Sequence[Candidate]) -> Candidate:
        for candidate in candidates:
            if candidate.view.book.take():
                return candidate
        now = self._clock.now()
        asked_s = self._call.routing.max_queue_time_s
        longest_s = self._snapshot.max_queue_time_s if asked_s is None else asked_s
        share_s = self._context.deadline.remaining(now) * _QUEUE_SHARE
        try:
            return await self._owner.places.take(candidates, min(longest_s, share_s))
        finally:
            self._queue_s += self._clock.now() - now

    def _begin(self, candidate: Candidate, step: Step) -> Trial:
        """Open the books for an attempt; nothing here may fail between taking and `_close`."""
        now = self._clock.now()
        context, target = self._context, candidate.view.target
        handle = self._snapshot.handle(target.backend)
        number = self._walk.began(candidate)
        upstream_id = f"{context.request_id}-{context.nonce}.{number}"
        attempt = Attempt(self._call, target, number, context.stream, upstream_id)
        span = self._owner.telemetry.start_attempt(context.span, attempt)
        if handle.propagate_trace:
            attempt = replace(attempt, trace_headers=span.headers())
        book = candidate.view.book
        book.in_flight_tokens += self._tokens
        handle.acquire()
        probe = book.breaker.begin(now)
        trial = Trial(
            candidate, attempt, handle, span, started_at=now, probe=probe, free=step.free, tokens=self._tokens
        )
        self._trial = trial
        self._first_content_at = None
        self._dog.at = self._patience(trial)
        return trial

    def _close(self, trial: Trial, error: ServiceError | None, reason: Reason | None) -> None:
        """Close the books; every attempt comes here exactly once."""
        now = self._clock.now()
        self._dog.at = self._context.deadline.at
        book, target = trial.candidate.view.book, trial.attempt.target
        book.in_flight_tokens -= trial.tokens
        book.give_back()
        trial.handle.release()
        if not trial.free:
            self._budget.end()
        ejected = book.record(
            target.model, reason, now, probe=trial.probe,
            retry_after_s=error.retry_after_s if error is not None else None,
            longest_s=self._snapshot.retry.retry_after_max_s,
        )  # fmt: skip
        if trial.first_content_at is not None:
            book.saw_first_token(trial.first_content_at - trial.started_at, now)
        record = trial.record(error, reason, now)
        self._records.append(record)
        self._owner.telemetry.attempt_ended(trial.span, trial.attempt, record)
        if ejected:
            self._owner.telemetry.event("backend_ejected", backend=target.backend, reason=reason and reason.value)

    def _patience(self, trial: Trial) -> float:
        """When the attempt, or the call, has waited long enough."""
        timeouts = trial.handle.timeouts
        at = min(self._context.deadline.at, trial.started_at + timeouts.total_s)
        if not trial.streams:
            return at
        if trial.first_content_at is not None:
            return min(at, self._clock.now() + timeouts.idle_s)
        return min(at, trial.started_at + self._first_content_s(trial))

    def _first_content_s(self, trial: Trial) -> float:
        asked_s = self._call.routing.first_token_timeout_s
        return trial.handle.timeouts.first_content_s if asked_s is None else asked_s

    def _timed_out(self, trial: Trial) -> ServiceError:
        now = self._clock.now()
        timeouts = trial.handle.timeouts
        if self._context.deadline.expired(now + 0.001):
            return _deadline_exceeded()
        if now - trial.started_at >= timeouts.total_s - 0.001:
            return ServiceError(Reason.UPSTREAM_TIMEOUT, f"the attempt took longer than {timeouts.total_s:g} s")
        if trial.first_content_at is None:
            bound_s = self._first_content_s(trial)
            return ServiceError(Reason.UPSTREAM_TIMEOUT, f"the backend sent no content within {bound_s:g} s")
        return ServiceError(Reason.UPSTREAM_TIMEOUT, f"the backend was silent for {timeouts.idle_s:g} s")

    def report(self) -> RoutingReport:
        """Where it went so far."""
        now, plan = self._clock.now(), self._plan
        trial = self._served or self._trial
        started_at = self._context.started_at
        first_at = self._first_content_at
        opened: Opened | None = trial.opened if trial is not None else None
        warnings = self._owner.notes(self._call) + (trial.candidate.warnings if trial is not None else ())
        return RoutingReport(
            model=plan.model if plan is not None else self._call.model,
            policy=plan.policy if plan is not None else "",
            decision_reason=_decision(plan, trial),
            attempts=tuple(self._records),
            served=trial.attempt.target if trial is not None else None,
            opened=opened,
            fallback_used=plan is not None and trial is not None and _is_fallback(plan, trial),
            queue_s=self._queue_s,
            first_content_s=None if first_at is None else first_at - started_at,
            total_s=now - started_at,
            warnings=warnings,
            usage=trial.usage if trial is not None else None,
        )


def _decision(plan: Plan | None, trial: Trial | None) -> str:
    if plan is None:
        return ""
    return plan.reason if trial is None else f"{plan.reason}; {trial.candidate.reason}"


def _is_fallback(plan: Plan, trial: Trial) -> bool:
    return trial.candidate.group > 1000 or trial.candidate.model != plan.model


def _deadline_exceeded() -> ServiceError:
    return ServiceError(Reason.DEADLINE_EXCEEDED, "the call's deadline passed before an answer was complete")
