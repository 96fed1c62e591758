"""Callers that go away, at each stage: nothing is left, and nothing is logged as a bug."""

import asyncio
import logging

import grpc
import pytest

from pointsman import v1 as pb
from pointsman_server.domain import StreamOptions
from pointsman_server.errors import Reason
from tests.fakes.dispatch import FakeDispatch, Wait, text
from tests.rpc.harness import PROMPT, until, until_blocked

BIG = text("x" * 65536)


async def assert_gone(serving, caplog, reason=Reason.CANCELLED) -> None:
    await serving.settled()
    (record,) = serving.telemetry.calls
    assert record.reason is reason
    assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []
    serving.dispatch.script = [[text("ok")]]
    await (await serving.inference()).Generate(PROMPT)


@pytest.mark.parametrize("stream", [False, True])
async def test_before_the_first_content(serve, caplog, stream):
    """A call that waits for its upstream is freed when its caller cancels, and the next call works."""
    serving = await serve(dispatch=FakeDispatch([Wait()]))
    stub = await serving.inference()
    call = (stub.StreamGenerate if stream else stub.Generate)(PROMPT)
    await until(lambda: serving.dispatch.open_now == 1)
    call.cancel()
    await assert_gone(serving, caplog)


async def test_between_two_frames(serve, caplog):
    """A stream that waits for more is freed."""
    serving = await serve(dispatch=FakeDispatch([[text("a")], Wait()]))
    call = (await serving.inference()).StreamGenerate(PROMPT)
    await call.read()
    # Its caller may read a message before the server learns that it was sent.
    await until(lambda: [running.messages_sent for running in serving.server.calls._running] == [1])
    call.cancel()
    await assert_gone(serving, caplog)
    assert serving.telemetry.calls[0].messages_sent == 1


async def test_in_the_merge_window(serve, caplog):
    """A stream that gathers deltas is freed at once, not at the window's end."""
    serving = await serve(dispatch=FakeDispatch([[text("a")], [text("b")]]))
    request = pb.GenerateRequest(prompt="x")
    request.stream_options.coalesce.seconds = 3600
    call = (await serving.inference()).StreamGenerate(request)
    await call.read()
    call.cancel()
    await assert_gone(serving, caplog)
    assert serving.dispatch.opened[0][0].stream_options == StreamOptions(coalesce_s=3600)


@pytest.mark.parametrize("close", [False, True])
async def test_while_a_write_is_blocked(serve, caplog, close):
    """A caller that does not read and then cancels, or closes its connection, leaves nothing behind."""
    serving = await serve(dispatch=FakeDispatch([[BIG]] * 10_000))
    channel = await serving.channel()
    call = channel.unary_stream("/pointsman.v1.InferenceService/StreamGenerate")(PROMPT.SerializeToString())
    await until_blocked(serving)
    if close:
        await channel.close()
    else:
        call.cancel()
    await assert_gone(serving, caplog)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_swallowed_cancellation_is_not_reported_as_a_failure(serve, caplog, stream):
    """Even if somebody below turns the caller's cancellation into an error, the call counts as cancelled."""
    serving = await serve(dispatch=FakeDispatch([Wait(instead=RuntimeError("swallowed"))]))
    stub = await serving.inference()
    call = (stub.StreamGenerate if stream else stub.Generate)(PROMPT)
    await until(lambda: serving.dispatch.open_now == 1)
    call.cancel()
    await assert_gone(serving, caplog)


async def test_many_at_once(serve, caplog):
    """Two hundred cancelled streams in mixed stages leave nothing."""
    serving = await serve(dispatch=FakeDispatch([[text("a")], Wait()]))
    stub = await serving.inference()
    calls = [stub.StreamGenerate(PROMPT) for _ in range(200)]
    for call in calls[::2]:
        await call.read()
    for call in calls:
        call.cancel()
    await asyncio.gather(*(call.code() for call in calls))
    await serving.settled()
    assert all(record.reason is Reason.CANCELLED for record in serving.telemetry.calls)
    assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []
    assert len(serving.telemetry.calls) <= 200
    assert await calls[0].code() == grpc.StatusCode.CANCELLED
