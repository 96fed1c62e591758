"""BatchGenerate: many questions in one call, each on the same way as a Generate, each with a status of its own.

Items run in tasks of their own, so many at once and no more; their results wait until the caller has read the ones
before them. The tasks end with the call, however it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from google.rpc import status_pb2

from pointsman import v1 as pb
from pointsman_server.clock import Clock
from pointsman_server.context import CallContext, RoutingReport
from pointsman_server.domain import Cost, Usage, UsageSource
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.server.codec import decode_call, encode_answer
from pointsman_server.server.codec.answer import Identity, encode_usage
from pointsman_server.server.collaborators import Admission, Dispatch, Dispatched
from pointsman_server.server.details import Ending, encode_status
from pointsman_server.server.rpc import Limits
from pointsman_server.server.status import internal
from pointsman_server.telemetry.facade import CallRecord, Telemetry

MAX_CUSTOM_ID = 256
_COUNTS = (
    "input_tokens", "output_tokens", "total_tokens", "cached_input_tokens", "reasoning_tokens", "cache_write_tokens",
)  # fmt: skip
_GONE = ServiceError(Reason.CANCELLED, "another item of the batch failed")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all batches share."""

    admission: Admission
    dispatch: Dispatch
    telemetry: Telemetry
    clock: Clock
    next_nonce: Callable[[], str]


def check_batch(request: pb.BatchGenerateRequest, limits: Limits) -> None:
    """Raises ServiceError INVALID_REQUEST for a batch that cannot be run at all; its items are judged one by one."""
    faults = list(_faults(request, limits))
    if faults:
        text = "; ".join(f"{fault.path}: {fault.description}" for fault in faults[:4])
        raise ServiceError(Reason.INVALID_REQUEST, text, fields=tuple(faults[:16]))


def _faults(request: pb.BatchGenerateRequest, limits: Limits) -> Iterator[FieldFault]:
    if not 1 <= len(request.items) <= limits.max_batch_items:
        yield FieldFault("items", f"must have 1 to {limits.max_batch_items} entries")
    if request.max_concurrency < 0:
        yield FieldFault("max_concurrency", "must not be negative")
    for index, item in enumerate(request.items):
        if len(item.custom_id) > MAX_CUSTOM_ID:
            yield FieldFault(f"items[{index}].custom_id", f"must have at most {MAX_CUSTOM_ID} characters")


class Batch:
    """One batch that runs."""

    def __init__(
        self, request: pb.BatchGenerateRequest, context: CallContext, around: Surroundings, limits: Limits
    ) -> None:
        self._request = request
        self._context = context
        self._around = around
        self._limits = limits
        self._waiting = iter(range(len(request.items)))
        self._results: asyncio.Queue[pb.BatchGenerateResponse] = asyncio.Queue(1)
        self._failed_fast = False
        self._tasks: dict[asyncio.Task[None], int | None] = {}
        self._succeeded = self._failed = 0
        self._usages: list[tuple[Usage | None, Cost | None]] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncIterator[pb.BatchGenerateResponse]]:
        """Results as they become ready, one for each item. Leaving ends what still runs."""
        asked, most = self._request.max_concurrency, self._limits.max_batch_concurrency
        loop = asyncio.get_running_loop()
        for _ in range(min(asked or most, most, len(self._request.items))):
            self._tasks[loop.create_task(self._work())] = None
        try:
            yield self._told()
        finally:
            # At once, since a caller that is gone leaves no chance to wait.
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def completed(self) -> pb.BatchGenerateResponse:
        """The last message."""
        response = pb.BatchGenerateResponse()
        response.completed.succeeded, response.completed.failed = self._succeeded, self._failed
        usage, cost = summed(self._usages)
        if usage is not None:
            encode_usage(response.completed.usage, usage, cost)
        return response

    async def _told(self) -> AsyncIterator[pb.BatchGenerateResponse]:
        for _ in range(len(self._request.items)):
            yield await self._results.get()

    async def _work(self) -> None:
        """One item after the other, until none waits."""
        for index in self._waiting:
            await self._results.put(await self._answer(index))

    async def _answer(self, index: int) -> pb.BatchGenerateResponse:
        item = self._request.items[index]
        response = pb.BatchGenerateResponse(index=index, custom_id=item.custom_id)
        run = _Item(self._around, self._context, index)
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = index
        try:
            self._check_goes_on()
            response.response.CopyFrom(await run.answer(item.request))
        except ServiceError as error:
            response.status.CopyFrom(self._fail(run, error))
        except asyncio.CancelledError:
            if not self._failed_fast or task.uncancel():
                run.ended(None, Reason.CANCELLED)
                raise
            response.status.CopyFrom(self._fail(run, _GONE))
        except Exception as error:  # noqa: BLE001 - the boundary of an item
            response.status.CopyFrom(self._fail(run, internal(error)))
        else:
            self._succeeded += 1
            run.ended(None, None)
        finally:
            self._tasks[task] = None
        self._usages.append((run.report.usage, run.report.cost) if run.report is not None else (None, None))
        return response

    def _check_goes_on(self) -> None:
        if self._failed_fast:
            raise _GONE

    def _fail(self, run: _Item, error: ServiceError) -> status_pb2.Status:
        self._failed += 1
        run.ended(error, error.reason)
        if self._request.fail_fast and not self._failed_fast:
            self._failed_fast = True
            for task, index in self._tasks.items():
                if index is not None and task is not asyncio.current_task():
                    task.cancel()
        named = error.under(f"items[{run.index}].request")
        return encode_status(Ending(named, self._context.request_id, run.report))


class _Item:
    """One item on its way."""

    def __init__(self, around: Surroundings, context: CallContext, index: int) -> None:
        self.index = index
        self.report: RoutingReport | None = None
        self._around = around
        self._context = replace(
            context, nonce=around.next_nonce(), started_at=around.clock.now(), stream=False
        )

    async def answer(self, request: pb.GenerateRequest) -> pb.GenerateResponse:
        """As Generate."""
        around, context = self._around, self._context
        dispatched: Dispatched | None = None
        try:
            async with (
                around.admission.enter(decode_call(request), context) as call,
                around.dispatch.open(call, context) as dispatched,
            ):
                answer = await dispatched.complete()
        finally:
            if dispatched is not None:
                self.report = dispatched.report()
        assert self.report is not None
        identity = Identity(context.request_id, f"gen-{context.nonce}", around.clock.wall())
        return encode_answer(answer, self.report, identity)

    def ended(self, error: ServiceError | None, reason: Reason | None) -> None:
        """Its record."""
        code = "OK" if reason is None else Ending(error or _GONE, "").row.code.name
        self._around.telemetry.inner_ended(
            CallRecord(
                context=self._context,
                code=code,
                reason=reason,
                duration_s=self._around.clock.now() - self._context.started_at,
                report=self.report,
                cause=error.__cause__ if error is not None else None,
            ),
            item=self.index,
        )


def summed(usages: Sequence[tuple[Usage | None, Cost | None]]) -> tuple[Usage | None, Cost | None]:
    """All usages together; a cost only where all that there are have one currency. Pure."""
    told = [usage for usage, _ in usages if usage is not None]
    costs = [cost for _, cost in usages if cost is not None]
    if not told:
        return None, None
    counts = {name: [getattr(usage, name) for usage in told] for name in _COUNTS}
    sums = {
        name: sum(number or 0 for number in numbers) if any(n is not None for n in numbers) else None
        for name, numbers in counts.items()
    }
    estimated = any(usage.source is UsageSource.ESTIMATED for usage in told)
    source = UsageSource.ESTIMATED if estimated else UsageSource.REPORTED
    currencies = {cost.currency for cost in costs}
    cost = Cost(sum(cost.nanos for cost in costs), currencies.pop()) if len(currencies) == 1 else None
    return Usage(**sums, source=source), cost
