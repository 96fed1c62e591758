from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pointsman_server.config.schema import Otlp, Telemetry
from pointsman_server.context import (
    Attempt,
    AttemptRecord,
    AuthMethod,
    CallContext,
    Principal,
    RoutingReport,
    Span,
    Target,
)
from pointsman_server.deadline import Deadline
from pointsman_server.domain import (
    Call,
    Conversation,
    Generation,
    Message,
    Opened,
    Part,
    Role,
    Text,
    Usage,
)
from pointsman_server.errors import Reason
from pointsman_server.telemetry.facade import CallRecord
from pointsman_server.telemetry.otel import OtelTelemetry, build_telemetry
from tests.fakes.otlp import OtlpReceiver

METHOD = "pointsman.v1.InferenceService/StreamGenerate"
TARGET = Target("gpu-1", "vllm", "qwen3")


class StillClock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.time = 1_000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time + 1_700_000_000

    async def sleep(self, delay_s: float) -> None:
        raise NotImplementedError

    def call_at(self, when: float, callback: Callable[[], None]) -> Any:
        raise NotImplementedError


@dataclass
class Bench:
    """Telemetry with everything that it says."""

    telemetry: OtelTelemetry
    stream: io.BytesIO
    clock: StillClock

    def lines(self) -> list[dict[str, Any]]:
        """Everything logged; ends the telemetry."""
        self.telemetry.shutdown(5)
        return [json.loads(line) for line in self.text().splitlines()]

    def text(self) -> str:
        return self.stream.getvalue().decode()

    def metrics(self) -> str:
        return self.telemetry.metrics()[0].decode()

    def start(self, metadata: dict[str, str] | None = None, request_id: str = "req-1") -> Span:
        return self.telemetry.start_call(METHOD, metadata or {}, request_id)

    def attempt(
        self, span: Span, *, reason: Reason | None = None, number: int = 1, target: Target = TARGET
    ) -> AttemptRecord:
        """One attempt, begun and ended."""
        attempt = Attempt(call(), target, number, stream=True, upstream_id=f"req-1-n.{number}")
        own = self.telemetry.start_attempt(span, attempt)
        record = AttemptRecord(
            number,
            target,
            reason,
            0.5,
            200 if reason is None else 503,
            first_content_s=0.1 if reason is None else None,
            usage=Usage(10, 21, 31, 4) if reason is None else None,
        )
        self.telemetry.attempt_ended(own, attempt, record)
        return record

    def end(
        self,
        span: Span,
        attempts: tuple[AttemptRecord, ...] = (),
        *,
        code: str = "OK",
        reason: Reason | None = None,
        cause: BaseException | None = None,
        principal: str = "team-a",
        model: str = "chat",
    ) -> None:
        """The end of the call."""
        context = CallContext(
            "req-1",
            METHOD,
            Principal(principal, AuthMethod.API_KEY),
            Deadline(2_000),
            1_000,
            "n",
            span,
            stream=True,
            peer="ipv4:10.0.0.7:4711",
        )
        served = attempts[-1].target if attempts and attempts[-1].reason is None else None
        report = (
            RoutingReport(
                model,
                "least_outstanding",
                "lowest load",
                attempts,
                served,
                Opened("resp-9", "qwen3-served"),
                False,
                0.02,
                0.15,
                0.6,
                usage=attempts[-1].usage,
            )
            if attempts
            else None
        )
        self.telemetry.call_ended(CallRecord(context, code, reason, 0.6, report, 120, 7, cause))


def call(text: str = "hello") -> Call:
    message = Message(Role.USER, (Part(Text(text)),))
    return Call("chat", Conversation((message,)), Generation(max_output_tokens=64, temperature=0.2))


Build = Callable[..., Bench]


@pytest.fixture
def build() -> Iterator[Build]:
    made: list[Bench] = []

    def make(
        otlp: OtlpReceiver | str | None = None,
        *,
        secrets: tuple[str, ...] = (),
        worker: int | None = None,
        **settings: Any,
    ) -> Bench:
        queue = settings.pop("queue", {})
        headers = settings.pop("otlp_headers", None)
        if otlp is not None:
            url = otlp if isinstance(otlp, str) else otlp.url
            settings["otlp"] = Otlp(endpoint=url, **{"delay_s": 0.01, **queue})
        stream, clock = io.BytesIO(), StillClock()
        telemetry = build_telemetry(
            Telemetry(**settings),
            clock,
            otlp_headers=headers,
            secrets=secrets,
            version="1.2.3",
            worker=worker,
            stream=stream,
        )
        made.append(Bench(telemetry, stream, clock))
        return made[-1]

    yield make
    for bench in made:
        bench.telemetry.shutdown(0.5)


@pytest.fixture
def collector() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver
