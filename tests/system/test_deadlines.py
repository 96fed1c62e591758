import asyncio

import pytest

from pointsman import DeadlineExceeded
from tests.fakes import chat
from tests.fakes.replies import Hang, hang_after_headers, hang_before_headers, stream_reply
from tests.fakes.running_app import one_model
from tests.system.asking import BOTH, failure, failure_told

CALLS = 30
SILENCES = {
    "no headers": hang_before_headers(),
    "headers alone": hang_after_headers(),
    "in mid-answer": stream_reply(chat.BEGIN, chat.said("Hel"), Hang()),
}


@BOTH
@pytest.mark.parametrize("silence", SILENCES)
async def test_a_hung_upstream_ends_with_our_status_at_the_deadline(start, provider, silence, stream):
    """Every call ends DEADLINE_EXCEEDED with our details, and its upstream connection is closed."""
    provider.script(SILENCES[silence])
    app = await start(one_model(provider))
    client = await app.client()
    # Spread out, since all of them at once would be a load test of one core.
    ends = await asyncio.gather(
        *(failure_told(client, stream=stream, timeout_s=0.5 + 0.02 * n) for n in range(CALLS))
    )
    for end in ends:
        assert end.reason == end.error.cause == "DEADLINE_EXCEEDED"
        assert end.told.info.metadata["backend"] == "only"
        assert end.told.request_id == end.error.request_id
        assert len(end.told.failure.attempts) == 1
        assert end.error.content_delivered is (stream and silence == "in mid-answer")
    await provider.wait_idle()
    assert len(provider.requests) >= CALLS
    await app.settled_calls()


async def test_a_deadline_that_cannot_be_met_asks_nobody(start, provider):
    """Ten milliseconds are refused without an upstream call, every time (B02)."""
    app = await start(one_model(provider))
    provider.handler = chat.as_asked
    client = await app.client()
    await client.generate("warm", model="chat")
    for _ in range(100):
        with pytest.raises(DeadlineExceeded):
            await client.generate("hello", model="chat", timeout_s=0.01)
    await app.settled_calls()
    assert len(provider.requests) == 1


async def test_calls_without_a_deadline_get_the_configured_one(start, provider):
    """The default holds for those that name none, the maximum for those that name more."""
    provider.script(hang_before_headers())
    deadlines = {"unary_default_s": 0.3, "stream_default_s": 0.3, "maximum_s": 0.5}
    app = await start({**one_model(provider), "deadlines": deadlines})
    client = await app.client(timeout_s=None, stream_timeout_s=None)
    for timeout_s in (None, 3600):
        for stream in (False, True):
            end = await failure(client, stream=stream, timeout_s=timeout_s)
            assert end.reason == "DEADLINE_EXCEEDED"
    await provider.wait_idle()
