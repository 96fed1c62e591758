from __future__ import annotations

import random
import time

import pytest
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from pointsman_server.context import Target
from pointsman_server.errors import Reason
from pointsman_server.telemetry import tracing
from tests.fakes.otlp import OtlpReceiver
from tests.unit.telemetry.conftest import METHOD, Build

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"

HOSTILE = [
    "", "00", "garbage", PARENT.upper(), f"ff-{TRACE}-{SPAN}-01",
    f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-0g", f"00-{TRACE[:-1]}-{SPAN}-01",
    f" {PARENT}", f"{PARENT}\n", f"{PARENT}\r\nx: y", "0" * 100_000,
    f"00-{TRACE}-{SPAN}-01\x00", f"00-{'g' * 32}-{SPAN}-01",
    f"01-{TRACE}-{SPAN}-01-{'x' * 4096}", "00-\uff14bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
]  # fmt: skip


def test_one_trace_over_the_wire(build: Build, collector: OtlpReceiver) -> None:
    """The caller's trace goes on: its span is our parent, ours each attempt's, under one trace id and request id."""
    bench = build(collector)
    bench.telemetry.name_backends({"gpu-1": "http://gpu.internal:8000/v1"})
    span = bench.start({"traceparent": PARENT, "tracestate": "a=1,b=2"})
    failed = bench.attempt(
        span, reason=Reason.UPSTREAM_UNAVAILABLE, target=Target("gpu-2", "openai", "qwen3")
    )
    served = bench.attempt(span, number=2)
    bench.end(span, (failed, served))
    first, second, server = collector.wait_for(3)
    assert {first.trace_id, second.trace_id, server.trace_id, span.trace_id} == {TRACE}
    assert server.parent_id == SPAN
    assert first.parent_id == second.parent_id == server.span_id
    assert (server.kind, first.kind, second.kind) == ("SERVER", "CLIENT", "CLIENT")
    assert (server.name, second.name, server.trace_state) == (METHOD, "chat qwen3", "a=1,b=2")
    assert (
        server.attributes
        | {
            "rpc.system.name": "grpc",
            "rpc.method": METHOD,
            "rpc.status_code": "OK",
            "router.request_id": "req-1",
            "router.backend": "gpu-1",
            "router.attempts": 2,
            "gen_ai.response.model": "qwen3-served",
        }
        == server.attributes
    )
    assert (
        second.attributes
        | {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "vllm",
            "gen_ai.request.model": "qwen3",
            "server.address": "gpu.internal",
            "server.port": 8000,
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 21,
            "gen_ai.response.time_to_first_chunk": 0.1,
            "router.attempt": 2,
        }
        == second.attributes
    )
    assert first.error
    assert first.attributes["error.type"] == "UPSTREAM_UNAVAILABLE"
    assert not second.error
    assert server.resource["service.name"] == "pointsman"
    assert server.resource["service.version"] == "1.2.3"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("OK", False),
        ("CANCELLED", False),
        ("INVALID_ARGUMENT", False),
        ("UNAVAILABLE", True),
        ("INTERNAL", True),
    ],
)
def test_status_of_a_server_span(build: Build, collector: OtlpReceiver, code: str, error: bool) -> None:
    """The span tells the call's own status; only our side's fault makes it an error, and no text leaves."""
    bench = build(collector)
    reason = None if code == "OK" else Reason.INTERNAL
    bench.end(bench.start(), code=code, reason=reason, cause=ValueError("sk-canary-secret"))
    (server,) = collector.wait_for(1)
    assert server.attributes["rpc.status_code"] == code
    assert (server.error, server.status_message, server.events) == (error, "", 0)


@pytest.mark.parametrize("header", HOSTILE)
def test_hostile_parents_begin_a_new_trace(build: Build, collector: OtlpReceiver, header: str) -> None:
    """A traceparent that is not well formed gives a new trace and no error."""
    bench = build(collector)
    span = bench.start({"traceparent": header, "tracestate": "x=\x00" * 1000})
    bench.end(span)
    (server,) = collector.wait_for(1)
    assert server.parent_id == ""
    assert server.trace_id == span.trace_id != TRACE
    assert len(span.trace_id) == 32
    assert server.trace_state == ""


@pytest.mark.parametrize(
    "state",
    [
        "a=1,a=2",
        "A=1",
        "=1",
        "a",
        "a=\u00e9",
        ",".join(f"k{n}=1" for n in range(33)),
        "a=" + "x" * 600,
        "a=b\r\n",
    ],
)
def test_hostile_tracestate_is_left_out(build: Build, state: str) -> None:
    """A tracestate that is not well formed is dropped; the trace itself goes on."""
    span = build().start({"traceparent": PARENT, "tracestate": state})
    assert span.headers() == {"traceparent": PARENT}


def test_unsampled_parent_is_followed(build: Build, collector: OtlpReceiver) -> None:
    """A caller's decision not to record holds, and its trace id is still ours."""
    bench = build(collector)
    header = f"00-{TRACE}-{SPAN}-00"
    span = bench.start({"traceparent": header, "tracestate": "a=1"})
    bench.end(span, (bench.attempt(span),))
    assert span.trace_id == TRACE
    assert span.headers() == {"traceparent": header, "tracestate": "a=1"}
    assert bench.lines()[0]["trace_id"] == TRACE
    assert collector.spans == []


def test_without_a_collector_ids_are_passed_on(build: Build) -> None:
    """Without OTLP there are still trace ids: the caller's, or new ones that are all different."""
    bench = build()
    assert bench.start({"traceparent": PARENT}).headers() == {"traceparent": PARENT}
    assert len({bench.start().trace_id for _ in range(100)}) == 100
    assert bench.start().headers()["traceparent"].endswith("-00")


def test_sampling_decides_as_the_sdk_would() -> None:
    """The early decision equals the SDK's ratio sampler for every trace id."""
    rng = random.Random(7)
    for ratio in (0.0, 0.01, 0.3, 1.0):
        sampler, bound = TraceIdRatioBased(ratio), TraceIdRatioBased.get_bound_for_rate(ratio)
        for _ in range(500):
            trace_id = rng.getrandbits(128)
            ours = (trace_id & tracing._LOW_BITS) < bound
            assert sampler.should_sample(None, trace_id, "x").decision.is_sampled() is ours


def test_recorded_share(build: Build, collector: OtlpReceiver) -> None:
    """A sample ratio records about its share, each trace whole or not at all, and no id is used twice."""
    bench = build(collector, sample_ratio=0.25)
    for _ in range(400):
        span = bench.start()
        bench.end(span, (bench.attempt(span),))
    bench.telemetry.shutdown(5)
    traces = {span.trace_id for span in collector.spans}
    assert 50 <= len(traces) <= 150
    assert len(collector.spans) == 2 * len(traces)


def test_unknown_and_hostile_attributes_stay_off(build: Build, collector: OtlpReceiver) -> None:
    """Only attributes of the table reach a span; text is bounded, and bytes that are no text lose no batch."""
    bench = build(collector)
    span = bench.start()
    span.set("prompt", "tell me a secret")
    span.set("router.backend", "x" * 10_000)
    span.set("gen_ai.response.id", "bad\udcff")
    span.end(code="OK")
    span.end(code="INTERNAL")
    span.set("router.model", "late")
    (server,) = collector.wait_for(1)
    assert "prompt" not in server.attributes
    assert len(str(server.attributes["router.backend"])) == 256
    assert server.attributes["gen_ai.response.id"] == "bad?"
    assert server.attributes["rpc.status_code"] == "OK"
    assert "router.model" not in server.attributes


def test_headers_go_to_the_collector(build: Build, collector: OtlpReceiver) -> None:
    """Configured headers are sent with each export."""
    bench = build(collector, otlp_headers={"x-tenant": "t1"})
    bench.end(bench.start())
    collector.wait_for(1)
    assert collector.headers[0]["x-tenant"] == "t1"


def test_silent_collector_holds_nothing_up(build: Build) -> None:
    """A black-holed collector costs no call anything: the queue is bounded, drops are counted, shutdown is bounded."""
    with OtlpReceiver(silent=True) as hole:
        bench = build(hole, queue={"queue_size": 50, "batch_size": 10, "timeout_s": 2})
        slowest = 0.0
        for _ in range(500):
            begin = time.perf_counter()
            span = bench.start()
            bench.end(span, (bench.attempt(span),))
            slowest = max(slowest, time.perf_counter() - begin)
        assert slowest < 1
        counts = {labels[0]: count for labels, count in bench.telemetry._tracing.counts()}
        assert counts["queue_full"] >= 1000 - 50 - 10
        assert 'pointsman_spans_total{result="queue_full"}' in bench.metrics()
        begin = time.perf_counter()
        bench.telemetry.shutdown(1)
        assert time.perf_counter() - begin < 5


def test_collector_that_is_gone_is_told_once(build: Build) -> None:
    """A collector that refuses connections is one line in the log, not one per batch, and no call fails."""
    bench = build("http://127.0.0.1:9", queue={"timeout_s": 0.05, "batch_size": 1})
    for _ in range(20):
        bench.end(bench.start())
    lines = bench.lines()
    assert len([line for line in lines if line["event"] == "traces_lost"]) <= 1
    assert len([line for line in lines if line["event"] == "call"]) == 20
