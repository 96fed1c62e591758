"""The built-in backend: no network, no model, but every kind of answer, pace and failure, the same for the same call.

Token `k` of candidate `c`, both from 0, is `word:k`, where `word` is number `k + c` of the words that the user said
last, round and round ("token" where there are none); tokens are joined by blanks. So "hello world" is answered with
`hello:0 world:1 hello:2 ...`, and a chunk that is lost, doubled or out of order shows.

Instead of text there is a tool call where tools are offered and a call is required, or where the user's last words
hold `@tool` (the first tool) or `@tool:NAME`, one call for each. Arguments, and the answer to a call for JSON, are the
least that the schema allows (see `simulated.instance`). Where thinking is asked for, some comes first.

`provider_options["simulator"].body_json` steers one call: first_token_ms, tokens_per_s, output_tokens, fail (a
reason's name), break_after (tokens), hang, tool_call {name, arguments}.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Sequence
from types import TracebackType

from pointsman_server.clock import Clock
from pointsman_server.config import schema
from pointsman_server.context import Attempt
from pointsman_server.domain import AnyCall, Event, Opened, Usage, UsageReport, Warning
from pointsman_server.errors import Reason, ServiceError, UpstreamFault
from pointsman_server.upstreams.contract import Batch
from pointsman_server.upstreams.dialects.simulator.answer import (
    Simulated,
    Steering,
    answer,
    count_input,
    steering,
)
from pointsman_server.upstreams.dialects.simulator.inquiries import SimulatedCounter, SimulatedEmbedder
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import unsupported

_CREATED_S = 1_700_000_000
_RETRY_AFTER_S = 1.0
_FAULT = UpstreamFault(code="simulated")
_SLACK = 1e-6
"""A token that falls due within rounding is due."""


class SimulatorUpstream:
    """One simulated backend; successive attempts follow its script.

    Raises ValueError for a script that holds anything but ok, hang, break:N and reasons.
    """

    def __init__(self, config: schema.Simulator, profile: Profile, *, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self._profile = profile
        self.embedder = SimulatedEmbedder(self)
        self.counter = SimulatedCounter(self)
        self._script = itertools.cycle([parse_step(step) for step in config.script] or [Steering()])

    def open(self, attempt: Attempt) -> SimulatedAnswer:
        """As the protocol says; the script goes on with every attempt that is entered."""
        return SimulatedAnswer(self, attempt)

    def next_step(self) -> Steering:
        """What the script says next."""
        return next(self._script)

    def failure(self, reason: Reason) -> ServiceError:
        """What it fails with when it is told to."""
        return _failure(reason)

    def unsupported(self, call: AnyCall, model: str) -> Sequence[Warning]:
        """What the profile says."""
        return unsupported(call, self._profile, model)

    def streams(self, *, stream: bool) -> bool:
        """As the caller does."""
        return stream

    async def close(self) -> None:
        """Nothing to free."""


def build(profile: Profile, settings: Settings, clock: Clock) -> SimulatorUpstream:
    """The simulator as configured."""
    return SimulatorUpstream(settings.backend.simulator, profile, clock=clock)


class SimulatedAnswer:
    """One attempt: the context manager, and inside it the iterator of batches."""

    __slots__ = (
        "_attempt",
        "_hang",
        "_last",
        "_pace",
        "_plan",
        "_sent",
        "_started_at",
        "_upstream",
        "_wait_s",
    )

    def __init__(self, upstream: SimulatorUpstream, attempt: Attempt) -> None:
        self._upstream = upstream
        self._attempt = attempt
        self._plan = Simulated((), 0)
        self._started_at: float | None = None
        self._wait_s = self._pace = 0.0
        self._hang = False
        self._sent = 0
        self._last: int | None = None

    async def __aenter__(self) -> SimulatedAnswer:
        config, call = self._upstream.config, self._attempt.call
        script = self._upstream.next_step()
        options = call.provider_options.get("simulator")
        own = Steering() if options is None or not options.body_json else steering(options.body_json)
        fail = own.fail or script.fail
        if fail is not None:
            raise _failure(fail)
        self._wait_s = (config.first_token_ms if own.first_token_ms is None else own.first_token_ms) / 1000
        self._pace = config.tokens_per_s if own.tokens_per_s is None else own.tokens_per_s
        self._hang = own.hang or script.hang
        self._last = script.break_after if own.break_after is None else own.break_after
        self._plan = answer(
            call,
            tokens=config.output_tokens if own.output_tokens is None else own.output_tokens,
            tool_call=own.tool_call,
            attempt_id=self._attempt.upstream_id,
            joined=not self._pace and self._last is None,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    @property
    def http_status(self) -> int:
        """There is no HTTP."""
        return 0

    @property
    def connect_s(self) -> float | None:
        """Nothing is connected."""
        return None

    def pause(self) -> None:
        """Nothing is held back."""

    def __aiter__(self) -> SimulatedAnswer:
        return self

    async def __anext__(self) -> Batch:
        """What is due by now, at least one token; everything at once without a pace."""
        batch: list[Event] = []
        if self._started_at is None:
            await self._begin()
            batch.append(self._opened())
        pieces, broken = self._plan.pieces, self._last is not None
        end = len(pieces) if self._last is None else min(self._last, len(pieces))
        if self._sent >= end:
            if broken:
                raise ServiceError(
                    Reason.UPSTREAM_TRUNCATED, "the simulated answer broke off", upstream=_FAULT
                )
            raise StopAsyncIteration
        due = await self._due(end) if self._pace else end
        for piece in pieces[self._sent : due]:
            batch.extend(piece)
        self._sent = due
        if due >= len(pieces) and not broken:
            batch.append(self._usage())
        return batch

    async def _begin(self) -> None:
        clock = self._upstream.clock
        if self._wait_s:
            await clock.sleep(self._wait_s)
        if self._hang:
            await asyncio.get_running_loop().create_future()
        self._started_at = clock.now()

    async def _due(self, end: int) -> int:
        """How many tokens there must have been by now; waits for the next one."""
        clock, start = self._upstream.clock, self._started_at or 0.0
        wait_s = start + self._sent / self._pace - clock.now()
        if wait_s > 0:
            await clock.sleep(wait_s)
        return min(end, max(self._sent, int((clock.now() - start) * self._pace + _SLACK)) + 1)

    def _opened(self) -> Opened:
        number = hashlib.blake2s(
            self._attempt.upstream_id.encode(errors="replace"), digest_size=8
        ).hexdigest()
        return Opened(f"sim-{number}", self._attempt.target.model, _CREATED_S, "", self._attempt.upstream_id)

    def _usage(self) -> UsageReport:
        inputs, outputs = count_input(self._attempt.call), self._plan.tokens
        return UsageReport(Usage(inputs, outputs, inputs + outputs))


def _failure(reason: Reason) -> ServiceError:
    wait_s = _RETRY_AFTER_S if reason is Reason.UPSTREAM_RATE_LIMITED else None
    return ServiceError(
        reason, "the simulated backend was told to fail", retry_after_s=wait_s, upstream=_FAULT
    )


def parse_step(step: str) -> Steering:
    """One word of a script. Raises ValueError for what is none."""
    if step == "ok":
        return Steering()
    if step == "hang":
        return Steering(hang=True)
    kind, _, count = step.partition(":")
    if kind == "break" and count.isascii() and count.isdigit():
        return Steering(break_after=int(count))
    if step in Reason.__members__:
        return Steering(fail=Reason(step))
    raise ValueError(f"script: {step!r} is none of ok, hang, break:N or a reason")
