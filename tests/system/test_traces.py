import asyncio

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.otlp import OtlpReceiver
from tests.fakes.replies import Hang, stream_reply
from tests.fakes.running_app import backend_at, model_over, one_model
from tests.system.asking import BOTH, ask

REQUEST_ID = "the-callers-own-id"


def with_collector(settings, collector, **more):
    return {**settings, "telemetry": {"otlp": {"endpoint": collector.url, "delay_s": 0.02}, **more}}


@pytest.fixture
def caller(collector):
    """A tracer of the caller's own, whose spans go to the same collector."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{collector.url}/v1/traces")))
    yield provider.get_tracer("caller")
    provider.shutdown()


@pytest.fixture
def collector():
    with OtlpReceiver() as receiver:
        yield receiver


def header(span):
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


async def spans_of(collector, count):
    return await asyncio.to_thread(collector.wait_for, count)


def one(spans, **wanted):
    [found] = [span for span in spans if all(getattr(span, key) == value for key, value in wanted.items())]
    return found


@BOTH
async def test_one_trace_from_the_caller_to_both_backends(
    collector, caller, start, provider, other, *, stream
):
    """Caller, server, failed attempt and good attempt are one trace with right parents; one id is everywhere."""
    provider.script(chat.error_reply(503))
    other.handler = chat.as_asked
    settings = {
        "backends": {
            "foreign": backend_at(provider),
            "ours": backend_at(other, propagate_trace=True),
        },
        "models": {"chat": model_over("foreign", "ours")},
    }
    app = await start(with_collector(settings, collector))
    client = await app.client()
    with caller.start_as_current_span("work") as work:
        answer = await ask(
            client, stream=stream, request_id=REQUEST_ID, max_output_tokens=9, temperature=0.5,
            metadata={"traceparent": header(work)},
        )  # fmt: skip
    spans = await spans_of(collector, 4)
    root = one(spans, name="work")
    method = f"pointsman.v1.InferenceService/{'StreamGenerate' if stream else 'Generate'}"
    server = one(spans, name=method, kind="SERVER")
    assert server.parent_id == root.span_id
    attempts = sorted(
        (span for span in spans if span.parent_id == server.span_id),
        key=lambda span: span.attributes["router.attempt"],
    )
    assert [span.kind for span in attempts] == ["CLIENT", "CLIENT"]
    assert [span.error for span in attempts] == [True, False]
    assert {span.attributes["router.request_id"] for span in (server, *attempts)} == {REQUEST_ID}
    assert {span.trace_id for span in spans} == {root.trace_id}
    check_attempts(attempts, stream=stream)
    assert server.attributes["router.request_id"] == REQUEST_ID
    assert server.attributes["rpc.status_code"] == "OK"
    assert not server.error

    assert answer.request_id == REQUEST_ID
    assert answer.routing.request_id == REQUEST_ID
    line = await app.logged(event="call", request_id=REQUEST_ID)
    assert line["trace_id"] == root.trace_id
    assert "traceparent" not in provider.requests[0].headers
    sent = other.requests[0].headers["traceparent"].split("-")
    assert sent[1:3] == [root.trace_id, attempts[1].span_id]
    assert other.requests[0].headers["x-request-id"].startswith(f"{REQUEST_ID}-")


def check_attempts(attempts, *, stream):
    failed, served = (span.attributes for span in attempts)
    for attributes in (failed, served):
        assert attributes["gen_ai.operation.name"] == "chat"
        assert attributes["gen_ai.provider.name"] == "openai_compatible"
        assert attributes["gen_ai.request.model"] == "chat"
        assert attributes["gen_ai.request.max_tokens"] == 9
        assert attributes["gen_ai.request.temperature"] == 0.5
        assert bool(attributes["gen_ai.request.stream"]) is stream
        assert attributes["server.address"] == "127.0.0.1"
    assert failed["error.type"] == "UPSTREAM_UNAVAILABLE"
    assert failed["http.response.status_code"] == 503
    assert (served["gen_ai.usage.input_tokens"], served["gen_ai.usage.output_tokens"]) == (3, 2)
    assert attempts[0].name == attempts[1].name == "chat chat"


async def test_a_cancelled_stream_is_not_ok(collector, start, provider):
    """Its span ends at once, as CANCELLED, with the time of its first token (B46)."""
    provider.script(stream_reply(chat.BEGIN, chat.said("Hel"), Hang()))
    app = await start(with_collector(one_model(provider), collector))
    client = await app.client()
    async with client.stream("hello", model="chat") as stream:
        async for event in stream:
            if event.text:
                break
    spans = await spans_of(collector, 2)
    server = one(spans, kind="SERVER")
    assert server.attributes["rpc.status_code"] == "CANCELLED"
    assert server.attributes["error.type"] == "CANCELLED"
    assert server.attributes["router.time_to_first_content_s"] > 0
    assert one(spans, kind="CLIENT").parent_id == server.span_id


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "x",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "00-" + "g" * 32 + "-" + "1" * 16 + "-01",
        "ff" * 200,
    ],
)
async def test_hostile_trace_headers_start_a_new_trace(collector, start, provider, hostile):
    """A traceparent that is none is no reason to fail, nor to follow it (B45)."""
    provider.handler = chat.as_asked
    app = await start(with_collector(one_model(provider), collector))
    await ask(await app.client(), stream=False, metadata={"traceparent": hostile})
    server = one(await spans_of(collector, 2), kind="SERVER")
    assert server.parent_id == ""
    assert int(server.trace_id, 16)


async def test_who_is_not_sampled_is_not_exported(collector, start, provider):
    """The caller's own decision is followed; the ids are passed on all the same."""
    provider.handler = chat.as_asked
    app = await start(with_collector(one_model(provider, propagate_trace=True), collector))
    client = await app.client()
    parent = f"00-{'a' * 32}-{'b' * 16}-00"
    await ask(client, stream=False, metadata={"traceparent": parent})
    await ask(client, stream=False, metadata={"traceparent": parent.replace("-00", "-01", 1)[:-2] + "01"})
    spans = await spans_of(collector, 2)
    assert len(spans) == 2
    assert provider.requests[0].headers["traceparent"].startswith(f"00-{'a' * 32}-")
    assert provider.requests[0].headers["traceparent"].endswith("-00")


@pytest.mark.parametrize("kind", ["silent", "gone"])
async def test_a_collector_that_does_not_answer_holds_nobody_up(start, provider, kind):
    """Calls are served, what is lost is counted, and the service stops within its bound (B47)."""
    provider.handler = chat.as_asked
    with OtlpReceiver(silent=True) as collector:
        url = collector.url if kind == "silent" else "http://127.0.0.1:9"
        otlp = {"endpoint": url, "delay_s": 0.02, "timeout_s": 0.3, "queue_size": 20, "batch_size": 10}
        app = await start({**one_model(provider), "telemetry": {"otlp": otlp}})
        client = await app.client()
        async with asyncio.timeout(10):
            for _ in range(60):
                await ask(client, stream=False)
        lost = app.metric("pointsman_spans_total", result="queue_full") + app.metric(
            "pointsman_spans_total", result="export_failed"
        )
        assert lost > 0
        await client.close()
        async with asyncio.timeout(5):
            await app.stop()


async def test_a_trace_goes_with_the_models_list_too(collector, start, provider):
    """Every RPC of ours has its span and its id."""
    app = await start(with_collector(one_model(provider), collector))
    stub = await app.models()
    await stub.ListModels(pb.ListModelsRequest(), metadata=(("x-request-id", REQUEST_ID),))
    span = one(await spans_of(collector, 1), kind="SERVER")
    assert span.name == "pointsman.v1.ModelService/ListModels"
    assert span.attributes["router.request_id"] == REQUEST_ID
