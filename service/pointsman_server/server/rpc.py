"""One RPC, from its headers to its record: decoding, deadline, the error boundary and the end.

Every failure leaves here as a status of ours; a caller that went away is recorded and never converted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import grpc
from google.protobuf.message import DecodeError, Message

from pointsman_server.clock import Clock, Handle
from pointsman_server.context import AuthMethod, CallContext, Principal, RoutingReport
from pointsman_server.deadline import Deadline
from pointsman_server.domain import Finished
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.server.calls import Calls
from pointsman_server.server.collaborators import Authenticator, Reporting
from pointsman_server.server.details import Ending
from pointsman_server.server.status import abort, internal, trailing
from pointsman_server.telemetry.facade import CallRecord, Telemetry

OVERTIME_S = 0.02
"""Beyond the deadline, for whoever is below to report it first, with more to tell."""
NOBODY = Principal("", AuthMethod.NONE)
"""Who a call is from while that is not known."""

Transport: TypeAlias = grpc.aio.ServicerContext[Any, Any]
Handle_: TypeAlias = Callable[[Any, "Rpc"], Awaitable[Any]]


class CallerGone(asyncio.CancelledError):
    """The caller went while a write was blocked; grpc tells that as a broken batch, not as a cancellation."""


class Adaptation(Protocol):
    """Another contract's method, as one of ours."""

    def encoded(self, message: Message) -> Message:
        """Its request as ours. Raises ServiceError."""

    def decoded(self, message: Message) -> Message | None:
        """Our answer, or a message of it, as its own; None where it has nothing to tell."""

    def renamed(self, path: str) -> str:
        """A field of our request by the name that it came under."""


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC of a service: its types and the coroutine behind it."""

    path: str
    """As `/pointsman.v1.InferenceService/Generate`."""
    request: type[Message]
    response: type[Message]
    handle: Handle_
    """Returns the reply; of a stream, writes with `rpc.write` and returns None."""
    stream: bool = False
    batch: bool = False
    """Whether its answers are those of items, which leave records of their own."""
    adaptation: Adaptation | None = None
    """For a method of another contract; `request` and `response` are then that contract's."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What of the configuration holds for every call."""

    unary_default_s: float
    stream_default_s: float
    maximum_s: float
    max_request_bytes: int
    max_batch_items: int = 1000
    max_batch_concurrency: int = 32
    stuck_s: float = 10.0
    """A caller that does not read for this long after its deadline gets no status any more."""


@dataclass(slots=True)
class Surroundings:
    """What all calls of a server share; `limits` changes on reload."""

    limits: Limits
    authenticator: Authenticator
    telemetry: Telemetry
    clock: Clock
    calls: Calls
    next_nonce: Callable[[], str]
    by_certificate: bool = False
    """Whether callers prove who they are by their certificate, which only the handler can see."""


class Rpc:
    """One RPC."""

    __slots__ = (
        "_adapted", "_around", "_broken", "_metadata", "_method", "_running", "_stop", "_stopped", "_task", "_timer",
        "_transport", "_writing", "context", "dispatched", "finished", "messages_sent", "principal", "refused",
        "reported", "request_bytes", "request_id", "started_at",
    )  # fmt: skip

    context: CallContext
    """Known from the moment the handler begins."""
    _transport: Transport
    _task: asyncio.Task[Any]

    def __init__(
        self, around: Surroundings, method: Method, metadata: Mapping[str, str], request_id: str
    ) -> None:
        self._around = around
        self._method = method
        self._metadata = metadata
        self.request_id = request_id
        self.started_at = around.clock.now()
        self.principal = NOBODY
        self.refused: ServiceError | None = None
        self.request_bytes = 0
        self.messages_sent = 0
        self.dispatched: Reporting | None = None
        """Set by the servicer once the call is on its way."""
        self.reported: RoutingReport | None = None
        """The final report of a call that succeeded."""
        self.finished: Finished | None = None
        """The last ending that the provider told."""
        self._timer: Handle | None = None
        self._stop: ServiceError | None = None
        self._stopped = self._writing = self._running = self._broken = self._adapted = False

    @property
    def limits(self) -> Limits:
        """The bounds in force."""
        return self._around.limits

    def authenticate(self, identities: tuple[str, ...] = ()) -> None:
        """Find out who calls; a refusal is kept for the handler to tell."""
        try:
            self.principal = self._around.authenticator.authenticate(self._metadata, identities)
        except ServiceError as error:
            self.refused = error
        except Exception as error:  # noqa: BLE001 - the boundary
            self.refused = internal(error)

    def decode(self, data: bytes) -> Message | ServiceError:
        """The request; in its place the refusal of one that is too large or no message at all."""
        self.request_bytes = len(data)
        limit = self._around.limits.max_request_bytes
        if len(data) > limit:
            text = f"the request has {len(data)} bytes, at most {limit} are taken"
            return ServiceError(Reason.REQUEST_TOO_LARGE, text, fields=(FieldFault("", text),))
        try:
            return self._method.request.FromString(data)
        except DecodeError:
            text = "the request is not a valid message of its type"
            return ServiceError(Reason.INVALID_REQUEST, text, fields=(FieldFault("", text),))

    async def serve(self, request: Message | ServiceError, transport: Transport) -> Message | None:
        """Run the method within the boundary."""
        self._begin(transport)
        try:
            outcome = await self._handled(request)
            if not isinstance(outcome, ServiceError):
                self._succeed()
                return outcome
            await self._fail(outcome)
        finally:
            # Drops the cycle of failure, traceback and frame at once.
            outcome = None
            self._settle()
            self._around.calls.discard(self)
        return None

    async def _handled(self, request: Message | ServiceError) -> Message | ServiceError | None:
        try:
            reply: Message | None = await self._method.handle(self._checked(request), self)
            if self._method.adaptation is not None and reply is not None:
                reply = self._method.adaptation.decoded(reply) or self._method.response()
        except ServiceError as error:
            return error
        except asyncio.CancelledError as error:
            return self._cancelled(error)
        except Exception as error:  # noqa: BLE001 - the boundary
            return internal(error)
        finally:
            self._settle()
        return reply

    async def refuse(self, _messages: object, transport: Transport) -> None:
        """End a call that was refused by its headers, without waiting for a message."""
        await self.serve(self.refused or internal(AssertionError("refused without a reason")), transport)

    async def write(self, message: Message) -> None:
        """Send one message of a stream. Raises CallerGone when nobody will read it."""
        if self._method.adaptation is not None:
            adapted = self._method.adaptation.decoded(message)
            if adapted is None:
                return
            message = adapted
        self._writing = True
        try:
            await self._transport.write(message)
        except (grpc.aio.InternalError, grpc.aio.UsageError) as error:
            raise CallerGone from error
        finally:
            self._writing = False
        self.messages_sent += 1
        if self._stop is not None:
            raise self._stop

    def stop(self, error: ServiceError) -> None:
        """End the call with this status; a blocked write ends first, since a broken one leaves no way to send any."""
        if self._stop is None:
            self._stop = error
        if self._running and not (self._writing or self._stopped):
            self._stopped = True
            self._task.cancel()

    def _begin(self, transport: Transport) -> None:
        around, method = self._around, self._method
        limits, now = around.limits, around.clock.now()
        self._transport = transport
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        if around.by_certificate and self.refused is None:
            self.authenticate(_identities(transport))
        self.context = CallContext(
            request_id=self.request_id,
            method=method.path[1:],
            principal=self.principal,
            deadline=Deadline.start(
                now,
                transport.time_remaining(),
                default_s=limits.stream_default_s if method.stream else limits.unary_default_s,
                maximum_s=limits.maximum_s,
            ),
            started_at=self.started_at,
            nonce=around.next_nonce(),
            span=around.telemetry.start_call(method.path[1:], self._metadata, self.request_id),
            stream=method.stream,
            peer=transport.peer(),
        )
        around.calls.add(self)
        self._running = True
        self._timer = around.clock.call_at(self.context.deadline.at + OVERTIME_S, self._expire)

    def _expire(self) -> None:
        overdue = self._stop is not None
        self.stop(
            ServiceError(Reason.DEADLINE_EXCEEDED, "the deadline passed before the answer was complete")
        )
        if self._stopped:
            return
        if overdue:
            # Nobody reads: what the call holds is worth more than a status that would not arrive either.
            self._stopped = self._broken = True
            self._task.cancel()
        elif self._running:
            self._timer = self._around.clock.call_at(
                self._around.clock.now() + self._around.limits.stuck_s, self._expire
            )

    def _checked(self, request: Message | ServiceError) -> Message:
        if self.refused is not None:
            raise self.refused
        if isinstance(request, ServiceError):
            raise request
        adaptation = self._method.adaptation
        if adaptation is None:
            return request
        request = adaptation.encoded(request)
        self._adapted = True
        return request

    def _cancelled(self, error: asyncio.CancelledError) -> ServiceError:
        """Ours becomes a status, the stray one of an inner task a fault; the caller's goes on."""
        if self._stopped:
            self._task.uncancel()
        if isinstance(error, CallerGone) or self._task.cancelling():
            self._record_gone()
            raise error
        return self._stop if self._stopped and self._stop is not None else internal(error)

    def _succeed(self) -> None:
        self._transport.set_trailing_metadata(trailing(self.request_id, self.reported))
        self._record("OK", None, self.reported)

    async def _fail(self, failure: ServiceError) -> None:
        if self._task.cancelling():
            # Somebody below turned the caller's cancellation into a failure.
            self._record_gone()
            raise asyncio.CancelledError from failure
        ending = Ending(
            self._named(failure),
            self.request_id,
            self._report(),
            content_delivered=self._method.stream and self.messages_sent > 0,
            finished=self.finished,
        )
        self._record(ending.row.code.name, ending.reason, ending.report, failure)
        if self._broken:
            raise CallerGone from failure
        await abort(self._transport, ending)

    def _named(self, failure: ServiceError) -> ServiceError:
        """The failure in the words of the caller's contract."""
        adaptation = self._method.adaptation
        if adaptation is None or not (self._adapted and failure.fields):
            return failure
        return failure.with_fields(adaptation.renamed)

    def _settle(self) -> None:
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self) -> RoutingReport | None:
        return self.dispatched.report() if self.dispatched is not None else None

    def _record_gone(self) -> None:
        late = self.context.deadline.expired(self._around.clock.now())
        reason = Reason.DEADLINE_EXCEEDED if late else Reason.CANCELLED
        self._record(reason.value, reason, self._report())

    def _record(
        self,
        code: str,
        reason: Reason | None,
        report: RoutingReport | None,
        failure: ServiceError | None = None,
    ) -> None:
        self._around.telemetry.call_ended(
            CallRecord(
                context=self.context,
                code=code,
                reason=reason,
                duration_s=self._around.clock.now() - self.started_at,
                report=report,
                request_bytes=self.request_bytes,
                messages_sent=self.messages_sent,
                batch=self._method.batch,
                cause=failure.__cause__ if failure is not None else None,
            )
        )


def _identities(transport: Transport) -> tuple[str, ...]:
    properties = transport.auth_context()
    names = [*properties.get("x509_subject_alternative_name", ()), *properties.get("x509_common_name", ())]
    return tuple(name.decode("utf-8", "replace") for name in names)
