"""A way to the backends that plays a script: batches of events, waits, faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from pointsman_server.context import CallContext, RoutingReport, Target
from pointsman_server.domain import (
    Answer,
    Call,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Opened,
    Usage,
    UsageReport,
)
from pointsman_server.domain.fold import Fold

TARGET = Target("east", "openai", "gpt-x")
REPORT = RoutingReport(
    model="chat",
    policy="least_outstanding",
    decision_reason="fewest calls in flight",
    attempts=(),
    served=TARGET,
    opened=None,
    fallback_used=False,
    queue_s=0.001,
    first_content_s=0.02,
    total_s=0.05,
    usage=Usage(input_tokens=3, output_tokens=2, total_tokens=5),
)


@dataclass(frozen=True)
class Wait:
    """A step of a script: wait until the event is set; without one, for ever."""

    until: asyncio.Event | None = None
    instead: BaseException | None = None
    """What a cancellation is turned into, by somebody who should not."""


Step = Sequence[Event] | Wait | BaseException
"""A batch to yield, something to wait for, or something to raise."""


def text(content: str, *, candidate: int = 0, part: int = 0) -> Delta:
    """A piece of text."""
    return Delta(candidate, part, DeltaKind.TEXT, text=content)


OPENED = Opened(response_id="resp-1", model="gpt-x-2026", created_s=1_700_000_000, upstream_request_id="up-1")
STOPPED = Finished(0, FinishReason.STOP, raw="stop")
USED = UsageReport(Usage(input_tokens=3, output_tokens=2, total_tokens=5))
HELLO: tuple[Step, ...] = ([OPENED, text("Hel")], [text("lo")], [STOPPED], [USED])


@dataclass
class FakeDispatched:
    """One call, played from the script."""

    script: Sequence[Step]
    told: RoutingReport
    pauses: int = 0

    async def complete(self) -> Answer:
        """The fold of the script."""
        fold = Fold()
        async for batch in self:
            for event in batch:
                fold.add(event)
        return fold.answer()

    async def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """The script's batches."""
        for step in self.script:
            if isinstance(step, Wait):
                await _wait(step)
            elif isinstance(step, BaseException):
                raise step
            else:
                yield step

    def pause(self) -> None:
        """Count it."""
        self.pauses += 1

    def report(self) -> RoutingReport:
        """What it was told to report."""
        return self.told


async def _wait(step: Wait) -> None:
    try:
        await (step.until or asyncio.Event()).wait()
    except asyncio.CancelledError:
        if step.instead is not None:
            raise step.instead from None
        raise


@dataclass
class FakeDispatch:
    """Gives every call the same script; counts what is open."""

    script: Sequence[Step] = HELLO
    report: RoutingReport = REPORT
    refusal: BaseException | None = None
    opened: list[tuple[Call, CallContext]] = field(default_factory=list)
    dispatched: list[FakeDispatched] = field(default_factory=list)
    closed: int = 0

    @property
    def open_now(self) -> int:
        """How many are open."""
        return len(self.dispatched) - self.closed

    @asynccontextmanager
    async def open(self, call: Call, context: CallContext) -> AsyncIterator[FakeDispatched]:
        """Play the script."""
        if self.refusal is not None:
            raise self.refusal
        self.opened.append((call, context))
        dispatched = FakeDispatched(self.script, replace(self.report))
        self.dispatched.append(dispatched)
        try:
            yield dispatched
        finally:
            self.closed += 1
