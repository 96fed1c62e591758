"""An upstream that plays scripts, in the caller's task and on the clock that it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from pointsman_server.clock import Clock
from pointsman_server.context import Attempt
from pointsman_server.domain import (
    Call,
    Delta,
    DeltaKind,
    Event,
    Finished,
    FinishReason,
    Opened,
    Usage,
    UsageReport,
    Warning,
)
from pointsman_server.errors import Reason, ServiceError


@dataclass(frozen=True)
class Wait:
    """Time passes."""

    for_s: float


@dataclass(frozen=True)
class Hang:
    """Nothing comes any more."""


@dataclass(frozen=True)
class Accept:
    """The answer's headers; what stands before it happens while the attempt is opened."""


Move = Sequence[Event] | BaseException | Wait | Hang | Accept
Script = Sequence[Move]


def text(content: str, *, candidate: int = 0, part: int = 0) -> Delta:
    """Some text."""
    return Delta(candidate, part, DeltaKind.TEXT, content)


def usage(output: int, *, input_tokens: int = 1) -> UsageReport:
    """Tokens so far."""
    return UsageReport(Usage(input_tokens, output, input_tokens + output))


END = Finished(0, FinishReason.STOP, "stop")


def served(*pieces: str, response_id: str = "r") -> Script:
    """A whole streamed answer: its name, a batch per piece, its end with usage."""
    return [
        Accept(),
        [Opened(response_id=response_id)],
        *([text(piece)] for piece in pieces or ("hello",)),
        [END, usage(max(1, len(pieces)))],
    ]


def refused(reason: Reason, *, retry_after_s: float | None = None) -> Script:
    """An error in place of an answer."""
    return [ServiceError(reason, f"scripted {reason.value}", retry_after_s=retry_after_s)]


def broken(*pieces: str, reason: Reason = Reason.UPSTREAM_TRUNCATED) -> Script:
    """An answer that breaks off after these pieces."""
    return [Accept(), [Opened(response_id="b")], *([text(piece)] for piece in pieces), *refused(reason)]


def cycle(*scripts: Script) -> Callable[[Attempt], Script]:
    """These scripts, round and round."""
    turn = iter(range(1 << 60))
    return lambda _: scripts[next(turn) % len(scripts)]


@dataclass
class ScriptedUpstream:
    """Implements Upstream. Plays the scripts in order, the last one again and again."""

    clock: Clock
    scripts: list[Script] | Callable[[Attempt], Script] = field(default_factory=lambda: [served()])
    whole: bool = False
    """Whether it answers in one piece, as an upstream that does not stream."""
    warnings: Sequence[Warning] | Callable[[Call], Sequence[Warning]] = ()
    attempts: list[Attempt] = field(default_factory=list)
    started_at: list[float] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    """Numbers of the attempts that were left, in order; once each."""
    open_now: int = 0
    most_open: int = 0
    pauses: int = 0
    closed: int = 0
    stuck: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a script hangs or waits."""

    def open(self, attempt: Attempt) -> ScriptedAnswer:
        assert not self.closed, "an attempt at a closed upstream"
        self.attempts.append(attempt)
        self.started_at.append(self.clock.now())
        if callable(self.scripts):
            return ScriptedAnswer(self, attempt, self.scripts(attempt))
        return ScriptedAnswer(self, attempt, self.scripts[min(len(self.attempts), len(self.scripts)) - 1])

    def unsupported(self, call: Call, model: str) -> Sequence[Warning]:
        return self.warnings(call) if callable(self.warnings) else self.warnings

    def streams(self, *, stream: bool) -> bool:
        return not self.whole

    async def close(self) -> None:
        assert not self.open_now, "closed under an attempt"
        self.closed += 1


class ScriptedAnswer:
    """One attempt: its context manager and its answer in one."""

    http_status = 200
    connect_s: float | None = None

    def __init__(self, upstream: ScriptedUpstream, attempt: Attempt, script: Iterable[Move]) -> None:
        self._upstream = upstream
        self._attempt = attempt
        self._moves = iter(script)

    async def __aenter__(self) -> ScriptedAnswer:
        upstream = self._upstream
        upstream.open_now += 1
        upstream.most_open = max(upstream.most_open, upstream.open_now)
        try:
            await self._accepted()
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def __aiter__(self) -> ScriptedAnswer:
        return self

    async def __anext__(self) -> Sequence[Event]:
        for move in self._moves:
            batch = await self._play(move)
            if batch is not None:
                return batch
        raise StopAsyncIteration

    def pause(self) -> None:
        self._upstream.pauses += 1

    def _leave(self) -> None:
        self._upstream.open_now -= 1
        self._upstream.ended.append(self._attempt.number)

    async def _accepted(self) -> None:
        for move in self._moves:
            if isinstance(move, Accept):
                return
            await self._play(move)

    async def _play(self, move: Move) -> Sequence[Event] | None:
        match move:
            case BaseException():
                raise move
            case Wait(for_s):
                self._upstream.stuck.set()
                await self._upstream.clock.sleep(for_s)
            case Hang():
                self._upstream.stuck.set()
                await asyncio.get_running_loop().create_future()
            case Accept():
                pass
            case _:
                return move
        return None
