"""Deadlines: ours with details, the default, the longest, and callers that do not read."""

import time
from dataclasses import replace

import grpc
import pytest

from pointsman_server.errors import Reason
from tests.fakes.dispatch import FakeDispatch, Wait, text
from tests.rpc.harness import PROMPT, SOON_S, refusal, until, until_blocked, with_limits


@pytest.mark.parametrize("stream", [False, True])
async def test_the_callers_deadline_ends_with_our_status(serve, stream):
    """A hung upstream ends as DEADLINE_EXCEEDED with details, before the caller's own clock runs out."""
    serving = await serve(dispatch=FakeDispatch([Wait()]))
    stub = await serving.inference()
    began = time.monotonic()
    refused = await refusal((stub.StreamGenerate if stream else stub.Generate)(PROMPT, timeout=1.0))
    assert refused.info.reason == "DEADLINE_EXCEEDED"
    assert refused.failure.retryable
    assert 0.9 <= time.monotonic() - began <= 1.0 + SOON_S
    await serving.settled()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_without_deadline_gets_the_default(serve, stream):
    """The configured default holds, for each kind of call its own."""
    limits = {"unary_default_s": 0.2, "stream_default_s": 0.2, "maximum_s": 600}
    serving = await serve(config=with_limits(**limits), dispatch=FakeDispatch([Wait()]))
    stub = await serving.inference()
    refused = await refusal((stub.StreamGenerate if stream else stub.Generate)(PROMPT))
    assert refused.info.reason == "DEADLINE_EXCEEDED"
    context = serving.dispatch.opened[0][1]
    assert context.deadline.at - context.started_at == pytest.approx(0.18, abs=0.05)


async def test_a_long_deadline_is_cut(serve):
    """An hour becomes the configured maximum."""
    serving = await serve(config=with_limits(maximum_s=50))
    await (await serving.inference()).Generate(PROMPT, timeout=3600)
    context = serving.dispatch.opened[0][1]
    assert context.deadline.at - context.started_at <= 50


async def test_a_stalled_caller_does_not_hold_its_upstream_for_ever(serve):
    """A caller that never reads loses its upstream some time after the deadline, though no status can reach it."""
    serving = await serve(
        config=with_limits(stream_default_s=0.1), dispatch=FakeDispatch([[text("x" * 65536)]] * 10_000)
    )
    around = serving.server._around
    around.limits = replace(around.limits, stuck_s=0.1)
    channel = await serving.channel()
    call = channel.unary_stream("/pointsman.v1.InferenceService/StreamGenerate")(PROMPT.SerializeToString())
    await until(lambda: serving.dispatch.closed)
    await serving.settled()
    assert serving.telemetry.calls[0].reason is Reason.DEADLINE_EXCEEDED
    call.cancel()


async def test_a_slow_reader_still_gets_the_status(serve):
    """A deadline that passes during a blocked write is told once the caller reads on."""
    serving = await serve(
        config=with_limits(stream_default_s=0.2), dispatch=FakeDispatch([[text("x" * 65536)]] * 10_000)
    )
    call = (await serving.inference()).StreamGenerate(PROMPT)
    await until_blocked(serving)
    (running,) = serving.server.calls._running
    await until(lambda: running._stop is not None)
    refused = await refusal(call)
    assert refused.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert refused.failure.content_delivered
