"""The answers that our tests write by hand, to the client that knows them best: what it cannot read proves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes import chat
from tests.fakes.provider import Provider
from tests.fakes.replies import Reply

CALLED = chat.chunk(
    tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"n":'}}]
)
GOES_ON = chat.chunk(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}])
USAGE = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def order(url: str, verb: str) -> dict[str, Any]:
    """A plain question."""
    stream = {"stream": True, "stream_options": {"include_usage": True}} if verb == "stream" else {}
    return {
        "url": url, "path": "/v1/chat/completions", "query": {}, "headers": {"authorization": "Bearer k"},
        "more_headers": {}, "extra": [], "verb": verb,
        "body": {"model": "m", "messages": [{"role": "user", "content": "hi"}], **stream},
    }  # fmt: skip


@pytest.mark.parametrize("verb", ["call", "stream"])
async def test_the_fake_chat_is_heard(verb: str, ask) -> None:
    """Whole or streamed, as it was asked for."""
    async with Provider() as provider:
        provider.handler = chat.as_asked
        heard = await ask("openai", order(provider.url, verb))
    assert heard["error"] is None
    assert (heard["text"], heard["id"], heard["finish_reason_raw"]) == ("Hello there", "chatcmpl-1", "stop")
    assert heard["usage"] == USAGE


async def test_the_fake_chat_calls_a_tool(ask) -> None:
    """In pieces."""
    async with Provider(chat.streamed("x", between=[chat.sse_text(CALLED, GOES_ON, done=False)])) as provider:
        heard = await ask("openai", order(provider.url, "stream"))
    assert heard["tool_calls"] == [{"id": "c1", "name": "f", "arguments": {"n": 1}}]


@pytest.mark.parametrize(
    ("reply", "name"),
    [
        (chat.error_reply(400, "too long", code="context_length_exceeded"), "BadRequestError"),
        (chat.error_reply(401, "no"), "AuthenticationError"),
        (chat.error_reply(429, "slow down", headers={"retry-after": "3"}), "RateLimitError"),
        (chat.error_reply(503, "busy"), "InternalServerError"),
    ],
    ids=["400", "401", "429", "503"],
)
@pytest.mark.parametrize("verb", ["call", "stream"])
async def test_the_fake_refusal_is_heard(verb: str, reply: Reply, name: str, ask) -> None:
    """With its words."""
    async with Provider(reply) as provider:
        heard = await ask("openai", order(provider.url, verb))
    assert (heard["error"]["class"], heard["error"]["http_status"]) == (name, reply.status)
    assert heard["error"]["message"] in ("too long", "no", "slow down", "busy")
