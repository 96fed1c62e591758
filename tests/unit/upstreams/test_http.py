"""Adapter, credentials and transport together, over a loopback provider and over a scripted transport."""

from __future__ import annotations

import asyncio
import gc

import pytest

from pointsman_server.clock import SystemClock
from pointsman_server.config.secrets import Secret
from pointsman_server.domain import Text
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.transport.aiohttp_transport import AiohttpTransport
from pointsman_server.transport.contract import BodyLimits, HTTPRequest, TransportOptions
from pointsman_server.upstreams.credentials.header import HeaderKey, bearer
from pointsman_server.upstreams.credentials.query import QueryKey
from pointsman_server.upstreams.dialects.openai.adapter import OpenAIAdapter
from pointsman_server.upstreams.dialects.openai.profiles import LLAMACPP, VLLM
from pointsman_server.upstreams.http import BODY_END_S, ERROR_BODY_S, HttpUpstream
from tests.fakes.clock import FakeClock
from tests.fakes.provider import Provider
from tests.fakes.replies import (
    Close,
    Gate,
    Hang,
    Reset,
    body_reply,
    html_reply,
    json_reply,
    redirect_reply,
    sse_text,
    stream_reply,
)
from tests.unit.upstreams.calls import asked, attempt, folded, settings

KEY = "a-key-of-no-known-form"


def chunk(content=None, finish=None):
    delta = {} if content is None else {"content": content}
    return {"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


ANSWER = [sse_text(one, done=False) for one in (chunk("He"), chunk("i"), chunk(finish="stop"))]
DOCUMENT = {"id": "c1", "choices": [{"index": 0, "message": {"content": "Hei"}, "finish_reason": "stop"}]}
LIMITS = BodyLimits(error_body_bytes=1024)


@pytest.fixture
async def provider():
    async with Provider() as fake:
        yield fake


@pytest.fixture
async def upstream(provider):
    transport = AiohttpTransport(TransportOptions(limits=LIMITS), clock=SystemClock())
    yield build(transport, SystemClock(), provider.url)
    await transport.close()
    gc.collect()


def build(transport, clock, url="http://backend.example", credentials=None, profile=VLLM):
    return HttpUpstream(
        OpenAIAdapter(profile, settings(url, LIMITS)), transport, profile,
        credentials=credentials or bearer(Secret(KEY)), limits=LIMITS, clock=clock,
    )  # fmt: skip


async def consume(upstream, *, stream=True):
    """All batches of one attempt."""
    async with upstream.open(attempt(asked(), stream=stream)) as answer:
        return [list(batch) async for batch in answer]


def joined(batches):
    answer = folded(event for batch in batches for event in batch)
    return "".join(part.content.text for part in answer.candidates[0].parts if isinstance(part.content, Text))


async def failure(upstream):
    with pytest.raises(ServiceError) as raised:
        await consume(upstream)
    return raised.value


async def test_a_stream(provider, upstream):
    """Batches as they come; the key is sent; the connection is used again."""
    provider.script(stream_reply(*ANSWER, sse_text()))
    for _ in range(3):
        assert joined(await consume(upstream)) == "Hei"
    assert len(provider.connections) == 1
    assert provider.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert provider.requests[0].path == "/chat/completions"


async def test_headers_of_the_configuration(provider, upstream):
    """They go along, above those of the adapter and below the credentials."""
    upstream.headers = {"x-team": "a", "accept": "b", "authorization": "c"}
    provider.script(json_reply(DOCUMENT))
    await consume(upstream)
    headers = provider.requests[0].headers
    assert (headers["x-team"], headers["accept"], headers["authorization"]) == ("a", "b", f"Bearer {KEY}")


async def test_a_document(provider, upstream):
    """For a unary call, and where a stream was asked for."""
    provider.script(json_reply(DOCUMENT))
    assert joined(await consume(upstream, stream=False)) == "Hei"
    assert joined(await consume(upstream)) == "Hei"
    assert len(provider.connections) == 1
    assert provider.requests[0].json().get("stream") is None


async def test_the_first_batch_does_not_wait_for_the_rest(provider, upstream):
    """Nor does the last one wait for the end of the body."""
    go, end = asyncio.Event(), asyncio.Event()
    provider.script(stream_reply(ANSWER[0], Gate(go), *ANSWER[1:], sse_text(), Gate(end)))
    async with upstream.open(attempt()) as answer:
        batches = aiter(answer)
        first = await anext(batches)
        go.set()
        rest = [await anext(batches)]
        while "stop" not in repr(rest):
            rest.append(await anext(batches))
        assert joined([first, *rest]) == "Hei"
        end.set()
        assert [batch async for batch in batches if batch] == []
    provider.script(json_reply(DOCUMENT))
    await consume(upstream)
    assert len(provider.connections) == 1


async def test_a_body_that_never_ends_costs_its_connection_only(provider, upstream):
    """The answer is complete with the provider's own end signal."""
    provider.script(stream_reply(*ANSWER, sse_text(), Hang()))
    assert joined(await consume(upstream)) == "Hei"
    await provider.connections[0].wait_closed()


@pytest.mark.parametrize("how", [Close(), Reset()])
async def test_a_stream_that_breaks(provider, upstream, how):
    """Before its end it is truncated, with what came before; behind its end it is complete."""
    provider.script(stream_reply(*ANSWER[:2], how))
    assert (await failure(upstream)).reason is Reason.UPSTREAM_TRUNCATED
    provider.script(stream_reply(*ANSWER, how))
    assert (await failure(upstream)).reason is Reason.UPSTREAM_TRUNCATED
    provider.script(stream_reply(*ANSWER, sse_text(), Close()))
    assert joined(await consume(upstream)) == "Hei"


async def test_an_error_in_a_stream_comes_behind_its_content(provider, upstream):
    """Even when both came in one read, and the server holds the stream open."""
    provider.script(
        stream_reply(b"".join(ANSWER[:2]) + sse_text({"error": {"code": 503, "message": "x"}}), Hang())
    )
    async with upstream.open(attempt()) as answer:
        batches = aiter(answer)
        assert joined([await anext(batches)]) == "Hei"
        with pytest.raises(ServiceError) as raised:
            await anext(batches)
    assert raised.value.reason is Reason.UPSTREAM_UNAVAILABLE
    assert raised.value.upstream.in_stream
    await provider.connections[0].wait_closed()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (
            json_reply({"error": {"message": "slow", "code": "rate_limit_exceeded"}}, status=429),
            Reason.UPSTREAM_RATE_LIMITED,
        ),
        (html_reply(status=502), Reason.UPSTREAM_UNAVAILABLE),
        (html_reply(), Reason.UPSTREAM_BAD_RESPONSE),
        (redirect_reply("http://127.0.0.1:1/"), Reason.UPSTREAM_BAD_RESPONSE),
        (stream_reply(status=500), Reason.UPSTREAM_ERROR),
        (stream_reply(b'{"error": "x"', Reset(), status=503), Reason.UPSTREAM_UNAVAILABLE),
        (stream_reply(), Reason.UPSTREAM_TRUNCATED),
    ],
)
async def test_refusals(provider, upstream, reply, reason):
    """Whatever the body is worth; the next attempt is not hurt by it."""
    provider.script(reply, json_reply(DOCUMENT))
    assert (await failure(upstream)).reason is reason
    assert joined(await consume(upstream)) == "Hei"


async def test_a_refusal_is_read_to_its_bound(provider, upstream):
    """A huge error body is cut; what it begins with cannot be parsed then, and the status decides."""
    provider.script(body_reply(b'{"error": "' + b"x" * 100_000 + b'"}', status=429))
    assert (await failure(upstream)).reason is Reason.UPSTREAM_RATE_LIMITED


async def test_a_key_that_a_server_quotes_is_hidden(provider, upstream):
    """In the message, the code, the type and the detail, before and in a stream."""
    words = {"message": f"no such key: {KEY}", "code": KEY, "type": f"bad_{KEY}"}
    for reply in (json_reply({"error": words}, status=400), stream_reply(sse_text({"error": words}))):
        provider.script(reply)
        error = await failure(upstream)
        assert KEY not in repr(error) + str(error.upstream)
        assert "***" in error.upstream.message


async def test_leaving_early_closes_the_connection(provider, upstream):
    """So that the provider stops; without waiting for anything."""
    provider.script(stream_reply(*ANSWER[:1], Hang()))
    async with upstream.open(attempt()) as answer:
        await anext(aiter(answer))
        answer.pause()
    await provider.connections[0].wait_closed()
    assert provider.connections[0].by_peer


async def test_a_cancelled_attempt_closes_the_connection(provider, upstream):
    """Wherever it waits."""
    provider.script(stream_reply(Hang()))
    task = asyncio.ensure_future(consume(upstream))
    await provider.wait_requests(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await provider.connections[0].wait_closed()


class ScriptedResponse:
    """Plays reads: bytes, an error to raise, or None for silence."""

    def __init__(self, status, reads, headers=None):
        self.status, self.headers, self.connect_s = status, headers or {}, None
        self.reads = list(reads)
        self.exits = 0

    async def read(self):
        move = self.reads.pop(0) if self.reads else b""
        if isinstance(move, Exception):
            raise move
        if move is None:
            await asyncio.get_running_loop().create_future()
        return move

    def pause(self):
        """Nothing to hold back."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        self.exits += 1


class ScriptedTransport:
    def __init__(self, response):
        self.response = response
        self.requests = []
        self.closed = False

    def open(self, request):
        self.requests.append(request)
        return self.response

    async def close(self):
        self.closed = True


def scripted(status, *reads, **options):
    clock = FakeClock()
    response = ScriptedResponse(status, reads)
    return build(ScriptedTransport(response), clock, **options), response, clock


async def test_a_silent_error_body_is_not_waited_for():
    """Its status is told soon."""
    upstream, response, clock = scripted(429, b'{"error"', None)
    started = clock.now()
    assert (await failure(upstream)).reason is Reason.UPSTREAM_RATE_LIMITED
    assert clock.now() - started == pytest.approx(ERROR_BODY_S)
    assert response.exits == 1


async def test_a_silent_end_is_not_waited_for():
    """And what goes wrong there no longer matters."""
    upstream, response, clock = scripted(200, b"".join(ANSWER) + sse_text(), b": more\n\n", None)
    started = clock.now()
    assert joined(await consume(upstream)) == "Hei"
    assert clock.now() - started == pytest.approx(BODY_END_S)
    broken, _, _ = scripted(200, b"".join(ANSWER) + sse_text(), ServiceError(Reason.UPSTREAM_TRUNCATED, "x"))
    assert joined(await consume(broken)) == "Hei"
    assert response.exits == 1


async def test_the_callers_cancellation_is_not_eaten():
    """Not in the wait for an error's body, nor in that for the end."""
    for upstream, response, clock in (
        scripted(500, None),
        scripted(200, b"".join(ANSWER) + sse_text(), None),
    ):
        clock.autojump = False
        task = asyncio.ensure_future(consume(upstream))
        await clock.settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert response.exits == 1


async def test_nothing_is_sent_for_a_call_that_cannot_be_said():
    """The caller's fault costs no connection."""
    upstream, _, _ = scripted(200)
    with pytest.raises(ServiceError) as raised:
        async with upstream.open(attempt(asked("\ud800"))):
            pass
    assert raised.value.reason is Reason.INVALID_REQUEST
    assert upstream.transport.requests == []


async def test_what_the_upstream_tells_of_itself():
    """Status, warnings, streaming and closing."""
    upstream, _, _ = scripted(200, *ANSWER, profile=LLAMACPP)
    assert upstream.streams(stream=False)
    assert not build(upstream.transport, FakeClock()).streams(stream=False)
    assert [warning.field for warning in upstream.unsupported(asked(end_user_id="u"), "m")] == ["end_user_id"]
    async with upstream.open(attempt()) as answer:
        assert (answer.http_status, answer.connect_s) == (200, None)
    await upstream.close()
    assert upstream.transport.closed


async def test_credentials():
    """In their header, in place of one that is there; never shown."""
    request = HTTPRequest("POST", "http://x", {"x-api-key": "old", "a": "b"})
    key = HeaderKey("X-Api-Key", Secret(KEY))
    sent = await key.authorize(request)
    assert sent.headers == {"x-api-key": KEY, "a": "b"}
    assert request.headers["x-api-key"] == "old"
    assert KEY not in repr(key) + repr(vars(key))
    assert key.hide(f"bad {KEY}!") == "bad ***!"
    assert HeaderKey("x", Secret("abc")).hide("abc") == "abc"


async def test_credentials_in_the_query():
    """Behind what is there, escaped; never shown, in either form."""
    secret = "k/y & more=1"
    key = QueryKey("key", Secret(secret))
    plain, asked_more = HTTPRequest("POST", "http://x/a", {}), HTTPRequest("POST", "http://x/a?alt=sse", {})
    assert (await key.authorize(plain)).url == "http://x/a?key=k%2Fy%20%26%20more%3D1"
    assert (await key.authorize(asked_more)).url == "http://x/a?alt=sse&key=k%2Fy%20%26%20more%3D1"
    assert plain.url == "http://x/a"
    assert secret not in repr(key) + repr(vars(key))
    assert key.hide(f"no {secret} at /a?key=k%2Fy%20%26%20more%3D1") == "no *** at /a?key=***"
    assert QueryKey("x", Secret("abc")).hide("abc") == "abc"
