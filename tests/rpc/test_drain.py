"""Shutting down: in order, without losing calls, and with a word to those that are cut."""

import asyncio
import logging

import grpc
import pytest

from tests.fakes.dispatch import STOPPED, FakeDispatch, Wait, text
from tests.rpc.harness import PROMPT, SOON_S, refusal, taken_apart, until, until_blocked


async def running(serving, count: int) -> None:
    await until(lambda: serving.dispatch.open_now >= count)


async def test_calls_in_flight_finish(serve, caplog):
    """Streams that run when the drain begins are answered whole, and drain returns after their handlers."""
    go = asyncio.Event()
    serving = await serve(dispatch=FakeDispatch([[text("a")], Wait(go), [text("b"), STOPPED]]))
    stub = await serving.inference()
    calls = [stub.StreamGenerate(PROMPT) for _ in range(20)]
    for call in calls:
        await call.read()
    drain = asyncio.create_task(serving.server.drain(delay_s=0, grace_s=60))
    await until(lambda: not serving.server.health.serving)
    go.set()
    for call in calls:
        assert (await call.read()).HasField("completed")
        assert await call.code() is grpc.StatusCode.OK
    async with asyncio.timeout(SOON_S):
        await drain
    await serving.settled()
    assert [line for line in caplog.records if line.levelno >= logging.WARNING] == []


async def test_calls_are_taken_until_the_delay_is_over(serve):
    """While health already says no, calls still work: balancers need time to look away."""
    serving = await serve()
    stub = await serving.inference()
    drain = asyncio.create_task(serving.server.drain(delay_s=0.3, grace_s=60))
    await until(lambda: not serving.server.health.serving)
    await stub.Generate(PROMPT)
    async with asyncio.timeout(SOON_S):
        await drain
    with pytest.raises(grpc.aio.AioRpcError):
        await stub.Generate(PROMPT)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_rest_is_told(serve, stream):
    """What still runs when the grace ends gets SHUTTING_DOWN with our details, not a bare cancellation."""
    serving = await serve(dispatch=FakeDispatch([[text("a")], Wait()] if stream else [Wait()]))
    stub = await serving.inference()
    call = (stub.StreamGenerate if stream else stub.Generate)(PROMPT)
    await running(serving, 1)
    if stream:
        await call.read()
    drain = asyncio.create_task(serving.server.drain(delay_s=0, grace_s=0.05))
    refused = await refusal(call)
    assert refused.info.reason == "SHUTTING_DOWN"
    assert refused.failure.content_delivered is stream
    assert refused.trailers["grpc-retry-pushback-ms"] == ("-1" if stream else "1000")
    async with asyncio.timeout(SOON_S):
        await drain
    await serving.settled()


@pytest.mark.parametrize("when", ["before", "in the delay", "in the grace"])
async def test_a_drain_can_be_hurried(serve, when):
    """Neither balancers nor calls are waited for any more; what runs is told SHUTTING_DOWN."""
    serving = await serve(dispatch=FakeDispatch([[text("a")], Wait()]))
    call = (await serving.inference()).StreamGenerate(PROMPT)
    await call.read()
    server = serving.server
    if when == "before":
        server.hurry()
    delay_s = 600 if when == "in the delay" else 0
    drain = asyncio.create_task(server.drain(delay_s=delay_s, grace_s=600))
    await until(lambda: not server.health.serving)
    if when != "before":
        server.hurry()
    assert (await refusal(call)).info.reason == "SHUTTING_DOWN"
    async with asyncio.timeout(SOON_S):
        await drain
    await serving.settled()


async def test_a_caller_that_does_not_read_cannot_hold_the_drain(serve):
    """A blocked write ends with the grace."""
    serving = await serve(dispatch=FakeDispatch([[text("x" * 65536)]] * 10_000))
    call = (await serving.inference()).StreamGenerate(PROMPT)
    await until_blocked(serving)
    async with asyncio.timeout(SOON_S):
        await serving.server.drain(delay_s=0, grace_s=0.05)
    await serving.settled()
    call.cancel()


async def test_stop_ends_everything_at_once(serve):
    """Stop without a drain leaves nothing either."""
    serving = await serve(dispatch=FakeDispatch([Wait()]))
    call = (await serving.inference()).Generate(PROMPT)
    await running(serving, 1)
    async with asyncio.timeout(SOON_S):
        await serving.server.stop()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "grpc-status-details-bin" not in dict(caught.value.trailing_metadata() or ()) or taken_apart(
        caught.value
    )
    await serving.settled()
