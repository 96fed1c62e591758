"""Walks one plan, in the caller's own task, whatever the call is for; no second task, no queue.

Of a Run's exits only the waits are asynchronous: everything that it owns is freed without awaiting, since a caller
that leaves in the middle of a blocked write leaves no chance to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Generic, Self

from typing_extensions import TypeVar

from pointsman_server.clock import Watchdog
from pointsman_server.context import CallContext, RoutingReport
from pointsman_server.dispatch.attempts import Attempts, Shared
from pointsman_server.dispatch.budget import RetryBudget
from pointsman_server.dispatch.contract import Snapshot
from pointsman_server.dispatch.patience import deadline_exceeded
from pointsman_server.dispatch.report import report_of
from pointsman_server.dispatch.retry import Step, Walk
from pointsman_server.dispatch.trial import Trial
from pointsman_server.domain import AnyCall, Call
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.plan import Candidate, Plan
from pointsman_server.routing.router import pick

_MIN_ATTEMPT_S = 0.011
"""With less than this left no upstream is asked: it could not answer in time. Ten milliseconds, and what gRPC's own
rounding of a deadline adds to them."""
_QUEUE_SHARE = 0.1
"""Of what is left of a deadline, for waiting."""

C = TypeVar("C", bound=AnyCall, default=Call)
_T = TypeVar("_T")


class Run(Generic[C]):
    """One call on its way; what is done with an attempt is its heirs' affair."""

    def __init__(
        self, shared: Shared, snapshot: Snapshot, call: C, context: CallContext, *,
        budget: Callable[[str, Snapshot], RetryBudget],
    ) -> None:  # fmt: skip
        self._shared = shared
        self._clock = shared.clock
        self._snapshot = snapshot
        self._call = call
        self._context = context
        self._deadline = context.deadline
        self._budget_of = budget
        self._dog = Watchdog(shared.clock)
        self._attempts = Attempts(shared, snapshot, call, context, dog=self._dog)
        self._queue_s = 0.0
        self._place_s = 0.0
        """Spent waiting for places."""
        self._plan: Plan | None = None
        self._retrying = False
        """Whether a retry that the budget lent is under way."""

    async def __aenter__(self) -> Self:
        """Plan. Raises ServiceError as `pick` does, DEADLINE_EXCEEDED when there is no time to try anything."""
        now, shared, snapshot = self._clock.now(), self._shared, self._snapshot
        if self._deadline.remaining(now) < _MIN_ATTEMPT_S:
            raise deadline_exceeded()
        plan = pick(self._call, snapshot, self._context.principal, turn=shared.turn, rng=shared.rng)
        plan = self._plan = self._chosen(plan)
        rules, wanted = snapshot.retry, self._call.routing.max_attempts
        if wanted is not None:
            rules = replace(rules, max_attempts=min(wanted, snapshot.max_attempts_limit))
        self._walk = Walk(plan, rules, shared.rng)
        self._budget = self._budget_of(plan.model, snapshot)
        self._budget.deposit(now)
        snapshot.acquire()
        self._dog.start(self._deadline.at)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        late = self._attempts.late = kind is asyncio.CancelledError and self._dog.claim()
        try:
            await self._end()
        finally:
            self._dog.stop()
            self._settle()
            self._snapshot.release()
        if late:
            raise deadline_exceeded() from error

    def _chosen(self, plan: Plan) -> Plan:
        """The plan that is walked."""
        return plan

    async def _end(self) -> None:
        """End what goes on while the run is left."""

    def report(self) -> RoutingReport:
        """Where it went so far."""
        return report_of(
            self._call, self._context, self._plan, self._attempts,
            queue_s=self._queue_s, now=self._clock.now(), notes=(*self._call.notes, *self._shared.notes(self._call)),
        )  # fmt: skip

    async def _answered(self, ask: Callable[[Trial[C]], Awaitable[_T]]) -> _T:
        """What the first attempt that does not fail is answered. Raises the failure that stands."""
        trial = await self._first()
        while True:
            try:
                return await ask(trial)
            except ServiceError as error:
                trial = await self._next(error)

    async def _first(self) -> Trial[C]:
        """The first attempt, begun. Raises ServiceError when none can be."""
        while True:
            step = self._walk.first(self._clock.now())
            candidate = await self._place(step.candidates)
            if candidate is not None:
                return self._begin(candidate)

    async def _next(self, error: ServiceError) -> Trial[C]:
        """The attempt after a failure, begun; raises the failure when it stands."""
        self._settle()
        now = self._clock.now()
        remaining_s = self._deadline.remaining(now)
        step = self._walk.after(error, now, remaining_s) if remaining_s >= _MIN_ATTEMPT_S else None
        if step is None or not (step.free or self._budget.take(now)):
            raise error
        self._retrying = not step.free
        return await self._retry(step, error)

    def _settle(self) -> None:
        """A retry that the budget lent has ended."""
        if self._retrying:
            self._retrying = False
            self._budget.end()

    async def _retry(self, step: Step, error: ServiceError) -> Trial[C]:
        candidates = step.candidates
        if step.delay_s > 0:
            await self._wait(self._clock.sleep(step.delay_s))
            candidates = self._walk.still_open(candidates, self._clock.now())
        try:
            candidate = await self._place(candidates)
        except ServiceError as refused:
            if refused.reason is Reason.DEADLINE_EXCEEDED:
                raise
            candidate = None  # No place for a retry: then the failure stands.
        if candidate is None:
            raise error
        return self._begin(candidate)

    async def _place(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """The first candidate with a free place, its place taken; None when a wait ended with none that takes calls."""
        while candidates:
            for candidate in candidates:
                if candidate.view.book.take():
                    return candidate
            began = self._clock.now()
            try:
                taken = await self._wait(self._shared.places.take(candidates, self._allowed_wait_s(began)))
            finally:
                self._place_s += self._clock.now() - began
            candidates = self._walk.still_open(candidates, self._clock.now())
            if any(taken is candidate for candidate in candidates):
                return taken
            taken.view.book.give_back()
        return None

    def _allowed_wait_s(self, now: float) -> float:
        longest_s, asked_s = self._snapshot.max_queue_time_s, self._call.routing.max_queue_time_s
        if asked_s is not None:
            longest_s = min(longest_s, asked_s)
        return min(longest_s - self._place_s, self._deadline.remaining(now) * _QUEUE_SHARE)

    async def _wait(self, awaitable: Awaitable[_T]) -> _T:
        """Await something between attempts; the deadline may strike meanwhile."""
        began = self._clock.now()
        try:
            return await awaitable
        except asyncio.CancelledError as cancelled:
            if not self._dog.claim():
                raise
            raise deadline_exceeded() from cancelled
        finally:
            self._queue_s += self._clock.now() - began

    def _begin(self, candidate: Candidate) -> Trial[C]:
        return self._attempts.begin(candidate, self._walk.began(candidate))
