"""One call, followed from its caller to the engine: over the wire, through a real collector, and back."""

import asyncio
import gzip
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.parts import QUESTION, Process, first_then, until
from tests.fakes.otlp import OtlpReceiver, ReceivedSpan
from tests.fakes.ports import HOST, free_port

CALLER = Path(__file__).parent / "caller.py"
REQUEST_ID = "trace-me-1"


@pytest.fixture
async def collector(tmp_path: Path) -> AsyncIterator[tuple[str, OtlpReceiver]]:
    """Where spans are sent to, and what the collector there has passed on."""
    rotel = pytest.importorskip("rotel", reason="the collector of requirements/e2e.txt is not installed")
    agent = Path(rotel.__file__).parent / "rotel-agent"
    http, grpc = free_port(), free_port()
    with Receiver() as receiver:
        process = Process("rotel", tmp_path / "rotel.log")
        takes = ["--otlp-http-endpoint", f"{HOST}:{http}", "--otlp-grpc-endpoint", f"{HOST}:{grpc}"]
        passes_on = ["--exporter", "otlp", "--otlp-exporter-endpoint", receiver.url]
        process.start(
            [
                str(agent),
                "start",
                *takes,
                *passes_on,
                "--otlp-exporter-protocol",
                "http",
                "--batch-timeout",
                "50ms",
            ]
        )

        async def listens() -> bool:
            assert process.alive, process.output
            try:
                _, writer = await asyncio.open_connection(HOST, http)
            except OSError:
                return False
            writer.close()
            await writer.wait_closed()
            return True

        try:
            await until("the collector listens", listens)
            yield f"http://{HOST}:{http}", receiver
        finally:
            process.kill()


class Receiver(OtlpReceiver):
    """The collector compresses what it passes on, whatever it is told."""

    def take(self, headers: dict[str, str], body: bytes) -> None:
        super().take(headers, gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)


def one(spans: list[ReceivedSpan], **wanted: str) -> ReceivedSpan:
    (found,) = [span for span in spans if all(getattr(span, key) == value for key, value in wanted.items())]
    return found


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_one_trace_holds_the_caller_the_server_and_both_attempts(
    kind, engines, start_service, collector, tmp_path
):
    """Caller's span, server's span below it, one span for each attempt below that; and one request id everywhere."""
    endpoint, receiver = collector
    gone = {"provider": "llamacpp", "url": f"http://{HOST}:{free_port()}/v1"}
    service = await start_service(
        {
            "telemetry": {"otlp": {"endpoint": endpoint, "delay_s": 0.1}},
            "backends": {"gone": gone, "second": engines[1].backend},
            "models": {"gemma": first_then("gone", "second")},
        }
    )
    caller = Process("caller", tmp_path / "caller.log")
    caller.start([sys.executable, str(CALLER), service.target, endpoint, kind, REQUEST_ID, QUESTION])
    assert await caller.ended() == 0, caller.output
    told = json.loads(caller.output.splitlines()[-1])

    async def arrived() -> list[ReceivedSpan]:
        spans = [span for span in receiver.spans if span.trace_id == told["trace_id"]]
        return spans if len(spans) >= 5 else []

    spans = await until("all spans have come through the collector", arrived)
    root = one(spans, name="caller")
    client = one(spans, parent_id=root.span_id, kind="CLIENT")
    server = one(spans, kind="SERVER")
    assert server.parent_id == client.span_id
    attempts = [span for span in spans if span.parent_id == server.span_id]
    assert [span.kind for span in attempts] == ["CLIENT", "CLIENT"]
    assert sorted(span.error for span in attempts) == [False, True]
    assert len(spans) == 5

    assert "Paris" in told["text"]
    assert told["routing"]["request_id"] == REQUEST_ID
    assert told["trailing"]["x-request-id"] == REQUEST_ID
    assert [attempt["backend"] for attempt in told["routing"]["attempts"]] == ["gone", "second"]
    assert [attempt["code"] != 0 for attempt in told["routing"]["attempts"]] == [True, False]
    assert REQUEST_ID in server.attributes.values()
    for attempt in attempts:
        assert any(str(value).startswith(REQUEST_ID) for value in attempt.attributes.values()), attempt

    async def logged() -> list[dict]:
        return [line for line in service.lines() if REQUEST_ID in line.values()]

    lines = await until("the call is in the log", logged)
    assert told["trace_id"] in lines[-1].values()
    assert QUESTION not in service.output
    assert "Paris" not in service.output
