import asyncio
import functools
import os
from pathlib import Path

import pytest

from tests.fakes import chat
from tests.fakes.replies import (
    Hang,
    Lazy,
    Repeat,
    Reply,
    body_reply,
    cut,
    drip_headers,
    endless_comments,
    endless_line,
    gzip_bomb,
    hang_after_headers,
    html_reply,
    json_reply,
    raw_reply,
    redirect_reply,
    sse_text,
    stream_reply,
)
from tests.fakes.running_app import one_model
from tests.system.asking import BOTH, ask, failure

MIB = 1024 * 1024
LIMITS = {
    "timeouts": {"first_content_s": 0.8, "idle_s": 0.8, "total_s": 2.5},
    "max_event_bytes": MIB,
    "max_body_bytes": 4 * MIB,
}
ONCE = {"max_attempts": 1}
LATE = "UPSTREAM_TIMEOUT"
BAD = "UPSTREAM_BAD_RESPONSE"
CUT = "UPSTREAM_TRUNCATED"
FAILED = "UPSTREAM_ERROR"
PAUSED = "UPSTREAM_OVERLOADED"


def huge_answer():
    """64 MiB of one JSON string."""

    def pieces():
        yield b'{"choices": [{"index": 0, "message": {"content": "'
        for _ in range(64):
            yield b"x" * MIB
        yield b'"}}]}'

    return Reply(200, {"content-type": "application/json"}, (Lazy(pieces),))


def many_empty_events():
    """Events that say nothing, more than an answer may hold."""

    def pieces():
        for _ in range(600):
            yield b"data: {}\n\n" * 1000

    return stream_reply(Lazy(pieces))


@functools.cache
def bomb():
    """256 MiB of zeros in 256 KiB, packed once: this is not the test's own time to lose."""
    unpacked = gzip_bomb(256 * MIB)
    packed = b"".join(piece for step in unpacked.steps for piece in step.pieces())
    return Reply(200, unpacked.headers, cut(packed, size=16_384))


TROUBLE = {"error": {"message": "the engine is gone", "code": 500}}
BUSY = {"error": {"message": "slow", "code": 529}}
# What it sends, what a unary call and a stream make of it. None: that it is served all the same.
HOSTILE = {
    "200, then an error": (json_reply(TROUBLE), FAILED, FAILED),
    "200, then a status of its own": (json_reply(BUSY), PAUSED, PAUSED),
    "an error event": (stream_reply(chat.BEGIN, sse_text(TROUBLE, done=False)), FAILED, FAILED),
    "comments for ever": (endless_comments(), LATE, LATE),
    "roles for ever": (stream_reply(Repeat(chat.BEGIN, every_s=0.01)), LATE, LATE),
    "dripping headers": (drip_headers(every_s=0.05), LATE, LATE),
    "headers, then nothing": (hang_after_headers(), LATE, LATE),
    "an endless line": (endless_line(), BAD, BAD),
    "a compression bomb": (bomb(), BAD, BAD),
    "a huge answer": (huge_answer(), BAD, BAD),
    "many empty events": (many_empty_events(), BAD, BAD),
    "10 000 headers": (raw_reply(b"HTTP/1.1 200 OK\r\n", b"x-a: 1\r\n" * 10_000, b"\r\n"), BAD, BAD),
    "a redirect": (redirect_reply("http://169.254.169.254/latest/meta-data"), BAD, BAD),
    "a page": (html_reply(), BAD, BAD),
    "no HTTP": (raw_reply(b"SSH-2.0-OpenSSH_9.6\r\n"), BAD, BAD),
    "an empty stream": (stream_reply(), CUT, CUT),
    "an end without an answer": (stream_reply(sse_text()), CUT, CUT),
    "an empty body": (body_reply(b"", content_type="application/json"), CUT, CUT),
    "a list": (json_reply([1, 2, 3]), BAD, BAD),
    "deep JSON": (body_reply(b"[" * 100_000, content_type="application/json"), BAD, BAD),
    "one broken event": (stream_reply(chat.BEGIN, b"data: {nonsense\n\n", chat.END), BAD, BAD),
    "silence in mid-answer": (stream_reply(chat.BEGIN, chat.said("Hel"), Hang()), LATE, "STREAM_INTERRUPTED"),
    "a broken event in mid-answer": (
        stream_reply(chat.BEGIN, chat.said("Hel"), b"data: {nonsense\n\n", chat.END), BAD, "STREAM_INTERRUPTED",
    ),
    "an error in mid-answer": (
        stream_reply(chat.BEGIN, chat.said("Hel"), sse_text(TROUBLE, done=False)), FAILED, "STREAM_INTERRUPTED",
    ),
    "an end in mid-answer": (stream_reply(chat.BEGIN, chat.said("Hel")), CUT, "STREAM_INTERRUPTED"),
}  # fmt: skip


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@BOTH
@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile(start, provider, name, stream):
    """A typed error within the configured times, next to no memory, and the next call works."""
    reply, unary_reason, stream_reason = HOSTILE[name]
    provider.script(reply, chat.streamed() if stream else chat.answer())
    app = await start({**one_model(provider, **LIMITS), "ejection": {"max_ejected_share": 0}})
    client = await app.client()
    before = resident_bytes()
    async with asyncio.timeout(30):
        end = await failure(client, stream=stream, routing=ONCE)
    assert resident_bytes() - before < 48 * MIB
    if name == "many empty events":
        assert end.reason in (BAD, LATE)  # Whichever bound a busy machine meets first.
    else:
        assert end.reason == (stream_reason if stream else unary_reason)
    if stream_reason == "STREAM_INTERRUPTED" and stream:
        assert end.error.cause == unary_reason
    assert "169.254" not in repr(end.told)
    if end.error.cause != PAUSED:
        assert (await ask(client, stream=stream)).text == "Hello there"
    assert len(provider.requests) <= 2
    await app.settled_calls()
    assert not app.troubles()


async def test_a_hostile_upstream_holds_up_nobody_else(start, provider, other):
    """While one backend sends bombs, calls elsewhere are answered."""
    provider.handler = lambda _: bomb()
    other.handler = chat.as_asked
    settings = one_model(provider, **LIMITS)
    settings["backends"]["good"] = {"provider": "openai_compatible", "url": f"{other.url}/v1"}
    settings["models"]["good"] = {"targets": [{"backend": "good"}]}
    app = await start({**settings, "ejection": {"max_ejected_share": 0}})
    client = await app.client()
    bombs = [asyncio.ensure_future(failure(client, stream=n % 2 == 0, routing=ONCE)) for n in range(4)]
    answered = 0
    while not all(bomb.done() for bomb in bombs):
        assert (await ask(client, stream=False, model="good", timeout_s=5)).text == "Hello there"
        answered += 1
    assert answered
    assert {(await bomb).reason for bomb in bombs} == {BAD}


async def test_a_large_event_within_the_limit_passes(start, provider):
    """Half a mebibyte in one event is an answer like any other."""
    long = "x" * (MIB // 2)
    provider.script(chat.streamed(long))
    app = await start(one_model(provider, **LIMITS))
    assert (await ask(await app.client(), stream=True)).text == long
