import contextlib
import logging
import subprocess
import sys

import grpc
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

import pointsman
from tests.fakes.service import Fail, Hold, frames

EXPORTER = InMemorySpanExporter()


@pytest.fixture(scope="module", autouse=True)
def provider():
    """The process-wide provider can be set once; another test's may stand there already."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(shutdown_on_exit=False)
        trace.set_tracer_provider(provider)
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    return provider


@pytest.fixture
def spans():
    EXPORTER.clear()
    return EXPORTER.get_finished_spans


def test_a_call_continues_the_callers_trace(fake, asker, spans, provider):
    """The server sees the client's span, whose parent is the caller's own."""
    with provider.get_tracer("caller").start_as_current_span("work") as work:
        asker.generate("x", model="small")
    [call] = [span for span in spans() if span.name == "pointsman.v1.InferenceService/Generate"]
    assert call.parent.span_id == work.get_span_context().span_id
    assert call.kind is SpanKind.CLIENT
    sent = fake.seen[0].metadata["traceparent"].split("-")
    assert sent[1:3] == [f"{call.context.trace_id:032x}", f"{call.context.span_id:016x}"]
    assert call.attributes["rpc.response.status_code"] == "OK"
    assert call.attributes["gen_ai.request.model"] == "small"


def test_baggage_travels(fake, client):
    """What the caller put into its baggage is in the metadata."""
    token = context.attach(baggage.set_baggage("team", "search"))
    client.generate("x")
    context.detach(token)
    assert fake.seen[0].metadata["baggage"] == "team=search"


def test_a_failure_marks_the_span(fake, asker, spans):
    """With code and reason, and without the message, which may quote the prompt."""
    fake.script(Fail(grpc.StatusCode.INVALID_ARGUMENT, "private words", reason="UPSTREAM_REJECTED"))
    with pytest.raises(pointsman.InvalidRequest):
        asker.generate("x")
    [call] = spans()
    assert call.status.status_code is StatusCode.ERROR
    assert call.attributes["error.type"] == "UPSTREAM_REJECTED"
    assert call.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert "private" not in call.to_json()


def test_a_streams_span_lasts_to_its_end(fake, client, spans):
    """It ends with the stream, not with its first message, and is never the current one."""
    before = trace.get_current_span()
    with client.stream("x") as stream:
        next(stream)
        assert trace.get_current_span() is before
        assert not spans()
        stream.collect()
    [call] = spans()
    assert call.attributes["rpc.response.status_code"] == "OK"
    assert call.status.status_code is StatusCode.UNSET


def test_a_stream_that_is_left_has_an_ended_span(fake, client, spans):
    """Leaving early is no error, and is told as what it is."""
    fake.script(*frames("one", complete=False), Hold())
    with client.stream("x") as stream:
        next(stream)
    [call] = spans()
    assert call.attributes["rpc.response.status_code"] == "CANCELLED"
    assert call.status.status_code is StatusCode.UNSET


@pytest.fixture
def warned():
    """What OpenTelemetry logs of spans; ahead of its own filter, which drops what was said a moment ago."""
    said = []

    def keep(record):
        said.append(record.getMessage())
        return True

    logger = logging.getLogger("opentelemetry.sdk.trace")
    logger.filters.insert(0, keep)
    yield said
    logger.removeFilter(keep)


class Enough(Exception):
    """The caller needs no more."""


class Leaver(list):
    """Takes one event."""

    def append(self, event):
        raise Enough


@pytest.mark.parametrize("end", ["whole", "failed", "left"])
def test_a_span_is_ended_once(fake, asker, spans, warned, end):
    """However a stream ends: OpenTelemetry logs a warning for each word to a span that has ended."""
    if end == "failed":
        fake.script(Fail(grpc.StatusCode.UNAVAILABLE, "away", reason="UPSTREAM_UNAVAILABLE"))
    if end == "left":
        fake.script(*frames("one", complete=False), Hold())
    with contextlib.suppress(pointsman.PointsmanError, Enough):
        asker.stream("x", events=Leaver() if end == "left" else None)
    assert len(spans()) == 1
    assert not warned


def test_nothing_is_missing_without_opentelemetry(fake):
    """Where it is not installed, calls are made all the same, without trace context."""
    script = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import pointsman\n"
        f"with pointsman.Client({fake.target!r}) as client: print(client.generate('x').text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "You said: x\n"
    assert "traceparent" not in fake.seen[0].metadata


def test_a_context_that_the_caller_passes_itself_is_the_one_that_travels(fake, asker):
    """Two would be none: the server could not tell which is meant."""
    own = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    asker.generate("x", model="small", metadata={"traceparent": own})
    assert fake.seen[0].metadata["traceparent"] == own
