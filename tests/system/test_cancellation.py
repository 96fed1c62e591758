import asyncio
import os

import pytest

from tests.fakes import chat
from tests.fakes.replies import Hang, Repeat, Reply, hang_after_headers, hang_before_headers, stream_reply
from tests.fakes.running_app import one_model, until
from tests.system.asking import ask

CALLS = int(os.environ.get("POINTSMAN_CANCELS", "20"))
"""500 in long runs."""
HALF = Reply(200, {"content-type": "application/json"}, (b'{"id": "chatcmpl-1", ', Hang()))
FLOOD = stream_reply(chat.BEGIN, Repeat(chat.said("x" * 4096) * 8))

PHASES = {
    "unary, no headers": (False, hang_before_headers()),
    "unary, half an answer": (False, HALF),
    "stream, no headers": (True, hang_before_headers()),
    "stream, headers alone": (True, hang_after_headers()),
    "stream, a role": (True, stream_reply(chat.BEGIN, Hang())),
}


async def check_nothing_is_left(app, provider, client):
    """No connection, no count, no task, no complaint; and the next call works."""
    await provider.wait_idle()
    await app.settled()
    provider.handler = chat.as_asked
    assert (await client.generate("again", model="chat")).text == "Hello there"
    async with client.stream("again", model="chat") as answer:
        assert (await answer.collect()).text == "Hello there"
    await app.settled()
    assert not app.troubles()


async def ready(start, provider):
    """A service and a client that have made a call: what runs then is there to stay."""
    app = await start(one_model(provider))
    client = await app.client()
    provider.handler = chat.as_asked
    await client.generate("warm", model="chat")
    await app.settled_calls()
    app.remember_tasks()
    return app, client


@pytest.mark.parametrize("phase", PHASES)
async def test_cancelled_before_the_first_content(start, provider, phase):
    """The upstream sees each connection close, and everything that the call held is free."""
    stream, reply = PHASES[phase]
    app, client = await ready(start, provider)
    provider.handler = lambda _: reply
    calls = [asyncio.ensure_future(ask(client, stream=stream)) for _ in range(CALLS)]
    await provider.wait_requests(CALLS + 1)
    for call in calls:
        call.cancel()
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    await check_nothing_is_left(app, provider, client)


async def test_cancelled_after_the_first_content(start, provider):
    """The same once the caller has seen something."""
    app, client = await ready(start, provider)
    provider.handler = lambda _: stream_reply(chat.BEGIN, chat.said("Hel"), Hang())

    async def leave_early():
        async with client.stream("hello", model="chat") as answer:
            async for event in answer:
                if event.text:
                    return

    await asyncio.gather(*(leave_early() for _ in range(CALLS)))
    await provider.wait_requests(CALLS + 1)
    await check_nothing_is_left(app, provider, client)


async def test_cancelled_while_the_client_does_not_read(start, provider):
    """A blocked write is no prison: the upstream is closed and all is free."""
    app, client = await ready(start, provider)
    provider.handler = lambda _: FLOOD
    streams = [client.stream("hello", model="chat") for _ in range(CALLS)]
    for stream in streams:
        await stream.__aenter__()
        await anext(stream)
    await until("all writes are blocked", lambda: all_stuck(app, CALLS))
    for stream in streams:
        await stream.__aexit__(None, None, None)
    await check_nothing_is_left(app, provider, client)


async def all_stuck(app, count):
    """Whether every call is in a write that does not end."""
    running = list(app.app.rpc.calls._running)
    sent = [rpc.messages_sent for rpc in running]
    await asyncio.sleep(0.1)
    return len(running) == count and all(
        rpc._writing and rpc.messages_sent == before for rpc, before in zip(running, sent, strict=True)
    )


async def test_a_client_that_goes_away_frees_everything(start, provider):
    """A closed channel is a cancellation of all its calls."""
    app, client = await ready(start, provider)
    provider.handler = lambda _: stream_reply(chat.BEGIN, chat.said("Hel"), Hang())
    leaver = await app.client()
    calls = [asyncio.ensure_future(ask(leaver, stream=stream)) for stream in (False, True) * (CALLS // 2)]
    await provider.wait_requests(CALLS // 2 * 2 + 1)
    await leaver.close()
    await asyncio.gather(*calls, return_exceptions=True)
    # gRPC's core holds a connection for as long as the objects of its calls live.
    calls.clear()
    await check_nothing_is_left(app, provider, client)
