from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import select
import threading
from typing import Any

import pytest

from pointsman_server.context import Target
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.telemetry.logs import FIELDS, LoggingBridge
from pointsman_server.telemetry.redaction import HIDDEN, Redactor, failure_fields
from pointsman_server.telemetry.sink import LineSink, pieces
from tests.fakes.otlp import OtlpReceiver
from tests.unit.telemetry.conftest import Build

CANARIES = (
    "sk-canary-0123456789abcdef",
    "canary-prompt-text",
    "k0123456789ab.canaryCANARYcanaryCANARYcanaryCANARYcana",
)


def raised(text: str) -> BaseException:
    """An exception with a history and a place."""
    try:
        fail(text)
    except ServiceError as error:
        return error
    raise AssertionError


def fail(text: str) -> None:
    try:
        {}[text]
    except KeyError as inner:
        raise ServiceError(Reason.INTERNAL, text) from inner


def test_access_line(build: Build) -> None:
    """One line per call says who asked what, where it went, how it ended and what it took."""
    bench = build()
    span = bench.start()
    failed = bench.attempt(
        span, reason=Reason.UPSTREAM_UNAVAILABLE, target=Target("gpu-2", "openai", "qwen3")
    )
    bench.end(span, (failed, bench.attempt(span, number=2)))
    (line,) = bench.lines()
    assert line == {
        "time": "2023-11-14T22:30:00.000Z", "level": "info", "event": "call", "request_id": "req-1",
        "trace_id": span.trace_id, "method": "pointsman.v1.InferenceService/StreamGenerate", "principal": "team-a",
        "code": "OK", "duration_ms": 600.0, "stream": True, "peer": "ipv4:10.0.0.7:4711", "request_bytes": 120,
        "messages_sent": 7, "model": "chat", "policy": "least_outstanding", "decision": "lowest load",
        "attempts": [
            {"backend": "gpu-2", "reason": "UPSTREAM_UNAVAILABLE", "ms": 500.0, "http_status": 503},
            {"backend": "gpu-1", "reason": "OK", "ms": 500.0, "http_status": 200},
        ],
        "first_token_ms": 150.0, "queue_ms": 20.0, "backend": "gpu-1", "provider": "vllm", "upstream_model": "qwen3",
        "input_tokens": 10, "output_tokens": 21, "cached_tokens": 4,
    }  # fmt: skip


def test_call_that_was_never_routed(build: Build) -> None:
    """A refused call has its line, too."""
    bench = build()
    bench.end(bench.start(), code="UNAUTHENTICATED", reason=Reason.UNAUTHENTICATED)
    (line,) = bench.lines()
    assert (line["code"], line["reason"], "model" in line) == ("UNAUTHENTICATED", "UNAUTHENTICATED", False)


def test_internal_failure_names_its_place(build: Build) -> None:
    """What really happened is told as types and places, at the level error, also where access lines are off."""
    bench = build(access_log=False)
    bench.end(bench.start())
    bench.end(bench.start(), code="INTERNAL", reason=Reason.INTERNAL, cause=raised("canary-prompt-text"))
    (line,) = bench.lines()
    assert line["level"] == "error"
    assert line["error_type"] == "pointsman_server.errors.ServiceError"
    assert line["error_causes"] == ["KeyError"]
    assert ".fail:" in line["error_at"][-1]
    assert "canary" not in bench.text()


def test_only_known_fields_pass(build: Build) -> None:
    """A field that is not in the table is left out, and that is counted."""
    bench = build()
    bench.telemetry.event("backend_ejected", backend="gpu-1", prompt="canary", reason=None)
    (line,) = bench.lines()
    assert line["dropped_fields"] == 1
    assert (line["level"], line["backend"]) == ("warning", "gpu-1")
    assert "prompt" not in FIELDS
    assert "canary" not in bench.text()


def test_level(build: Build) -> None:
    """Nothing below the level is written, and the level can change while running."""
    bench = build(log_level="error")
    bench.telemetry.event("started")
    bench.telemetry.event("config_refused", faults=2)
    assert [line["event"] for line in bench.lines()] == ["config_refused"]


@pytest.mark.parametrize("text", ["bad\udcff", "line\nbreak", "\x00", "é" * 600])
def test_any_text_is_one_line(build: Build, text: str) -> None:
    """Whatever a value holds, a line stays one line of JSON."""
    bench = build()
    bench.telemetry.event("started", detail=text)
    assert len(bench.lines()) == 1


def log(
    bridge: LoggingBridge, name: str, message: object, *args: object, error: BaseException | None = None
) -> None:
    info = (type(error), error, error.__traceback__) if error is not None else None
    bridge.handle(logging.LogRecord(name, logging.ERROR, "x.py", 1, message, args, info))


def test_libraries_tell_their_fixed_text_only(build: Build) -> None:
    """What a library puts into its message, or raises, never reaches the log."""
    bench = build(secrets=CANARIES)
    bridge = bench.telemetry._parts.bridge
    log(
        bridge,
        "asyncio",
        "Task exception was never retrieved\nfuture: <Task ValueError('canary-prompt-text')>",
    )
    log(
        bridge,
        "grpc._cython",
        "Unexpected [%s] raised by servicer method [%s]",
        "canary-prompt-text",
        "m",
        error=raised("canary-prompt-text"),
    )
    log(bridge, "aiohttp.client", "Unclosed connection to http://user:canary-prompt-text@host/?key=canary")
    log(bridge, "lib", "key sk-canary-0123456789abcdef refused")
    log(bridge, "lib", "value is 'canary-prompt-text'")
    log(bridge, "lib", {"prompt": "canary-prompt-text"})
    lines = bench.lines()
    assert [line["message"] for line in lines[:2]] == [
        "Task exception was never retrieved",
        "Unexpected [%s] raised by servicer method [%s]",
    ]
    assert lines[1]["error_type"] == "pointsman_server.errors.ServiceError"
    assert len(lines) == 6
    assert "canary" not in bench.text()


def test_a_library_that_repeats_itself(build: Build) -> None:
    """The same record comes once in ten seconds, and says how often it was left out."""
    bench = build()
    bridge = bench.telemetry._parts.bridge
    for _ in range(1000):
        log(bridge, "lib", "it broke")
    bench.clock.time += 11
    log(bridge, "lib", "it broke")
    assert [line.get("repeated") for line in bench.lines()] == [None, 999]


def test_logging_is_taken_over_until_shutdown(build: Build) -> None:
    """Library records go through the same writer while the service runs, and nothing is left behind after."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    bench = build()
    try:
        bench.telemetry.capture_logging()
        logging.getLogger("some.library").warning("it is %s", "canary")
        assert [(line["logger"], line["message"]) for line in bench.lines()] == [("some.library", "it is %s")]
        assert root.handlers == []
    finally:
        root.handlers[:], root.level = before
        logging.captureWarnings(False)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def.ghi", "authorization=Basic Zm9vOmJhcg==", "x-api-key: s3cr3t-value",
        '{"api_key": "s3cr3t-value"}', "OPENAI_API_KEY=s3cr3t-value", "password = 's3cr3t value'",
        "sk-proj-s3cr3tvalue99",
        "https://user:s3cr3t@host/path", "https://host/path?token=s3cr3t", "AKIAS3CR3TS3CR3TS3CR",
        "hf_s3cr3ts3cr3ts3cr3t",
        "k0123456789ab.s3cr3ts3cr3ts3cr3ts3cr3t", "eyJhbGciOi.eyJzdWIiOiJzM2NyM3Qi.c2lnbmF0dXJlc2lnbmF0dXJl",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    """Credentials in any of the usual forms do not survive."""
    cleaned = Redactor().clean(text)
    assert HIDDEN in cleaned
    for part in ("s3cr3t", "abc.def", "Zm9v", "eyJz", "c2ln", "S3CR3T"):
        assert part not in cleaned


def test_known_secrets_are_hidden() -> None:
    """A configured secret is hidden whatever it looks like, the longer of two first."""
    assert (
        Redactor(["open", "opensesame"]).clean("say opensesame, or open it")
        == f"say {HIDDEN}, or {HIDDEN} it"
    )


def test_endless_causes() -> None:
    """A chain of causes is told to a bound."""
    error: BaseException = ValueError("0")
    for number in range(20):
        following = ValueError(str(number))
        following.__cause__ = error
        error = following
    assert len(failure_fields(error)["error_causes"]) == 3  # type: ignore[arg-type]


class StalledStream(io.BytesIO):
    """Blocks every write until released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.release = threading.Event()

    def write(self, data: Any) -> int:
        self.entered.set()
        self.release.wait(10)
        return super().write(data)


def test_stalled_stream_stops_nobody() -> None:
    """Where lines cannot be written, writers go on, memory is bounded, and what is lost is counted."""
    stream = StalledStream()
    sink = LineSink(stream, max_lines=10)
    sink.write(b"first")
    assert stream.entered.wait(10)
    for _ in range(100):
        sink.write(b"line")
    assert sink.dropped == 90
    stream.release.set()
    sink.close(10)
    assert stream.getvalue().count(b"\n") == 11


def test_broken_stream_is_counted() -> None:
    """A closed stream loses lines, not the service."""
    stream = io.BytesIO()
    stream.close()
    sink = LineSink(stream)
    sink.write(b"line")
    sink.close(10)
    assert sink.dropped == 1


def test_canaries_reach_nothing(build: Build, collector: OtlpReceiver) -> None:
    """Secrets and prompts in exceptions and library logs are in no line, span, metric or header name."""
    bench = build(collector, secrets=CANARIES)
    for canary in CANARIES:
        span = bench.start({"authorization": f"Bearer {canary}", "x-api-key": canary, "traceparent": canary})
        span.set("prompt", canary)
        record = bench.attempt(span, reason=Reason.INTERNAL)
        bench.end(span, (record,), code="INTERNAL", reason=Reason.INTERNAL, cause=raised(canary))
        log(bench.telemetry._parts.bridge, canary[:3], f"it broke: {canary}", error=raised(canary))
    collector.wait_for(6)
    bench.lines()
    said = bench.text() + bench.metrics() + repr(collector.bodies)
    for canary in CANARIES[:1] + CANARIES[2:]:
        assert canary not in said
        assert canary.rpartition("-")[2] not in said


def test_lines_of_a_worker_carry_its_number(build: Build) -> None:
    """Those of calls and all others; without several workers there is no such field."""
    for worker in (0, None):
        bench = build(worker=worker)
        bench.end(bench.start())
        bench.telemetry.event("draining", calls=1)
        for line in bench.lines():
            assert line.get("worker") == worker


def test_pieces_end_with_lines() -> None:
    """No piece is longer than it may be, unless it is one line alone; together they are all lines in order."""
    lines = [b"x" * size for size in (0, 1, 5, 9, 10, 11, 30, 2, 2, 2, 3)]
    found = list(pieces(lines, 10))
    assert [line for piece in found for line in piece] == lines
    assert all(len(piece) == 1 or sum(len(line) + 1 for line in piece) <= 10 for piece in found)
    assert [len(piece) for piece in found] == [3, 1, 1, 1, 1, 3, 1]
    assert list(pieces([], 10)) == []


def test_processes_that_share_a_pipe_tear_no_line() -> None:
    """Two writers, a reader that is slow, and every line is whole."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)  # Always full: writers wait in mid-write.
    writers = [LineSink(os.fdopen(os.dup(writing), "wb"), shared=True) for _ in range(2)]
    os.close(writing)
    for number in range(1500):
        for writer, sink in enumerate(writers):
            sink.write(
                json.dumps({"writer": writer, "number": number, "text": "x" * (number % 900)}).encode()
            )

    def close(sink: LineSink) -> None:
        sink.close(20)
        sink._stream.close()

    closing = [threading.Thread(target=close, args=(sink,)) for sink in writers]
    for thread in closing:
        thread.start()
    read = bytearray()
    while chunk := os.read(reading, select.PIPE_BUF // 3):
        read += chunk
    for thread in closing:
        thread.join()
    os.close(reading)
    found = [json.loads(line) for line in bytes(read).splitlines()]
    for writer in range(2):
        assert [line["number"] for line in found if line["writer"] == writer] == list(range(1500))
