"""Tokens that are fetched: on a clock that stands still, and over loopback with an endpoint that gives them."""

from __future__ import annotations

import asyncio
import base64
from random import Random
from urllib.parse import parse_qs, urlsplit

import pytest

from pointsman_server.clock import SystemClock
from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.domain import Text
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.credentials.baidu import exchange_request
from pointsman_server.upstreams.credentials.entra import entra_request
from pointsman_server.upstreams.credentials.oauth2 import client_request
from pointsman_server.upstreams.credentials.tokens import FETCH_S, FetchedToken, Token, read_token
from pointsman_server.upstreams.registry import build_upstream
from tests.fakes.clock import FakeClock
from tests.fakes.provider import Provider
from tests.fakes.replies import (
    Close,
    Gate,
    Hang,
    Reply,
    body_reply,
    html_reply,
    json_reply,
    sse_text,
    stream_reply,
)
from tests.unit.upstreams.calls import attempt, folded

LIFE_S = 3600.0
SECRET = "a-secret-of-no-known-form"
SECRETS = {"ID": "the-api-key", "SECRET": SECRET}
ANSWER = {"id": "c1", "choices": [{"index": 0, "message": {"content": "Hei"}, "finish_reason": "stop"}]}


class Endpoint:
    """Gives numbered tokens; a script may make it fail or wait first."""

    def __init__(self, *script):
        self.script = list(script)
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        move = self.script.pop(0) if self.script else None
        if isinstance(move, asyncio.Event):
            await move.wait()
        elif isinstance(move, Exception):
            raise move
        return Token(Secret(f"token-{self.asked}"), LIFE_S)


def fetched(*script):
    clock, endpoint = FakeClock(autojump=False), Endpoint(*script)
    return FetchedToken(endpoint, clock, Random(1)), endpoint, clock


def down(reason=Reason.UPSTREAM_UNAVAILABLE):
    return ServiceError(reason, "x")


async def test_one_fetch_for_all_who_wait():
    """And none for who comes later, as long as the token is young."""
    gate = asyncio.Event()
    token, endpoint, clock = fetched(gate)
    waiting = [asyncio.ensure_future(token.current()) for _ in range(20)]
    await clock.settle()
    gate.set()
    assert set(await asyncio.gather(*waiting)) == {"token-1"}
    clock.advance(LIFE_S * 0.7)
    assert await token.current() == "token-1"
    assert endpoint.asked == 1


async def test_who_leaves_does_not_take_the_token_along():
    """The fetch goes on for the others."""
    gate = asyncio.Event()
    token, endpoint, clock = fetched(gate)
    first, second = (asyncio.ensure_future(token.current()) for _ in range(2))
    await clock.settle()
    first.cancel()
    await clock.settle()
    gate.set()
    assert await second == "token-1"
    assert first.cancelled()
    assert endpoint.asked == 1


async def test_a_token_is_renewed_ahead_of_its_end():
    """Beside the calls, which go on with the old one and wait for nothing."""
    gate = asyncio.Event()
    token, endpoint, clock = fetched(None, gate)
    await token.current()
    clock.advance(LIFE_S - 200)
    assert await token.current() == "token-1"
    await clock.settle()
    assert await token.current() == "token-1"
    assert endpoint.asked == 2
    gate.set()
    await clock.settle()
    assert await token.current() == "token-2"


async def test_replicas_renew_at_different_times():
    """No sooner than it makes sense, and well ahead of the end."""
    moments = set()
    for seed in range(20):
        clock, endpoint = FakeClock(autojump=False), Endpoint()
        token = FetchedToken(endpoint, clock, Random(seed))
        await token.current()
        began = clock.now()
        while endpoint.asked == 1:
            clock.advance(5)
            await token.current()
            await clock.settle()
        moments.add(clock.now() - began)
    assert len(moments) > 5
    assert LIFE_S - 400 < min(moments) < max(moments) < LIFE_S - 200


async def test_a_renewal_that_fails_costs_nobody_an_answer():
    """While the old token holds; the endpoint is left in peace for a while, then asked again."""
    token, endpoint, clock = fetched(None, down(), down())
    await token.current()
    clock.advance(LIFE_S - 200)
    for _ in range(5):
        assert await token.current() == "token-1"
        await clock.settle()
    assert endpoint.asked == 2
    clock.advance(5.1)
    await token.current()
    await clock.settle()
    assert endpoint.asked == 3
    clock.advance(10.1)
    await token.current()
    await clock.settle()
    assert await token.current() == "token-4"


async def test_an_expired_token_is_waited_for():
    """And is not used when there is none: every caller is told so, with an error of its own."""
    token, endpoint, clock = fetched(None, down(), down(Reason.UPSTREAM_CREDENTIALS_INVALID))
    await token.current()
    clock.advance(LIFE_S + 1)
    found = await asyncio.gather(*(token.current() for _ in range(3)), return_exceptions=True)
    assert {error.reason for error in found} == {Reason.UPSTREAM_UNAVAILABLE}
    assert len(set(map(id, found))) == 3
    with pytest.raises(ServiceError) as raised:
        await token.current()
    assert raised.value.reason is Reason.UPSTREAM_CREDENTIALS_INVALID
    assert await token.current() == "token-4"
    assert endpoint.asked == 4


async def test_a_silent_endpoint_is_given_up():
    """After a while, as one that is not available."""
    token, _, clock = fetched(asyncio.Event())
    task = asyncio.ensure_future(token.current())
    await clock.settle()
    clock.advance(FETCH_S)
    with pytest.raises(ServiceError) as raised:
        await task
    assert raised.value.reason is Reason.UPSTREAM_UNAVAILABLE
    assert await token.current() == "token-2"


async def test_only_the_refused_token_is_dropped():
    """A late word about an old one does not cost the new one; both are hidden in foreign texts."""
    token, endpoint, _ = fetched()
    assert await token.current() == "token-1"
    token.drop("token-1")
    token.drop("token-1")
    assert await token.current() == "token-2"
    token.drop("token-1")
    assert await token.current() == "token-2"
    assert endpoint.asked == 2
    assert token.hide("bad token-1, good token-2") == "bad ***, good ***"


async def test_closing_ends_a_fetch():
    """No task stays behind, and whoever still waits is told, not cancelled."""
    token, _, clock = fetched(asyncio.Event())
    task = asyncio.ensure_future(token.current())
    await clock.settle()
    await token.close()
    with pytest.raises(ServiceError) as raised:
        await task
    assert raised.value.reason is Reason.UPSTREAM_UNREACHABLE
    await token.close()


@pytest.mark.parametrize(
    ("status", "body", "reason", "code"),
    [
        (401, b'{"error": "invalid_client", "error_description": "unknown client id"}',
         Reason.UPSTREAM_CREDENTIALS_INVALID, "invalid_client"),
        (200, b'{"error": "invalid_client", "error_description": "unknown client id"}',
         Reason.UPSTREAM_CREDENTIALS_INVALID, "invalid_client"),
        (400, b'{"error": "no such word, says secret"}', Reason.UPSTREAM_CREDENTIALS_INVALID, ""),
        (403, b"<html>secret</html>", Reason.UPSTREAM_CREDENTIALS_INVALID, ""),
        (429, b"{}", Reason.UPSTREAM_UNAVAILABLE, ""),
        (503, b"secret", Reason.UPSTREAM_UNAVAILABLE, ""),
        (200, b"{}", Reason.UPSTREAM_BAD_RESPONSE, ""),
        (200, b'{"access_token": "a\\nsecret"}', Reason.UPSTREAM_BAD_RESPONSE, ""),
        (200, b'{"access_token": 7}', Reason.UPSTREAM_BAD_RESPONSE, ""),
        (302, b'{"access_token": "x"}', Reason.UPSTREAM_BAD_RESPONSE, ""),
        (200, b"", Reason.UPSTREAM_BAD_RESPONSE, ""),
    ],
)  # fmt: skip
def test_what_an_endpoint_refuses(status, body, reason, code):
    """By the words of the standard, and never by any other words of its own."""
    with pytest.raises(ServiceError) as raised:
        read_token(status, body)
    assert raised.value.reason is reason
    assert raised.value.upstream.code == code
    assert "secret" not in repr(raised.value)


def test_what_an_endpoint_gives():
    """With its life as a number or a text; without one a guess that is short."""
    for told, life_s in (('"expires_in": 90', 90), ('"expires_in": "3599"', 3599), ('"x": 1', 600)):
        token = read_token(200, f'{{"access_token": "t", {told}}}'.encode())
        assert (token.value.reveal(), token.life_s) == ("t", life_s)
        assert "'t'" not in repr(token)


def oauth2_config(**more):
    return schema.OAuth2(
        type="oauth2", token_url="https://id.example/token", client_id="me: I", client_secret=ref("SECRET"), **more
    )  # fmt: skip


def ref(name):
    return schema.SecretRef(env=name)


def form(request):
    assert request.method == "POST"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    return {name: value for name, (value,) in parse_qs(request.body.decode()).items()}


def test_client_credentials():
    """In the header, encoded twice as the standard wants it, or in the form; never in the URL."""
    request = client_request(oauth2_config(scope="a b", parameters={"audience": "x"}), Secret("p@ss"))
    assert form(request) == {"grant_type": "client_credentials", "scope": "a b", "audience": "x"}
    kind, _, pair = request.headers["authorization"].partition(" ")
    assert (kind, base64.b64decode(pair)) == ("Basic", b"me%3A+I:p%40ss")
    inside = client_request(oauth2_config(client_authentication="body"), Secret("p@ss"))
    assert form(inside) == {
        "grant_type": "client_credentials", "client_id": "me: I", "client_secret": "p@ss",
    }  # fmt: skip
    assert "authorization" not in inside.headers
    assert {request.url, inside.url} == {"https://id.example/token"}


def test_entra(tmp_path):
    """By secret, or by the workload's token, which is read again each time."""
    common = {"type": "entra", "tenant": "contoso.example", "client_id": "app"}
    own = entra_request(schema.Entra(**common, client_secret=ref("SECRET")), Secret("p"))
    assert own.url == "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"
    assert form(own) == {
        "grant_type": "client_credentials", "client_id": "app", "client_secret": "p",
        "scope": "https://cognitiveservices.azure.com/.default",
    }  # fmt: skip
    file = tmp_path / "token"
    config = schema.Entra(**common, workload_token_file=str(file), authority="https://login.example/")
    with pytest.raises(ServiceError) as raised:
        entra_request(config, None)
    assert raised.value.reason is Reason.UPSTREAM_CREDENTIALS_INVALID
    for text in ("one", "two"):
        file.write_text(f"{text}\n")
        found = form(entra_request(config, None))
        assert found["client_assertion"] == text
        assert found["client_assertion_type"].endswith(":jwt-bearer")
        assert "client_secret" not in found


def test_baidu():
    """Both keys in the query: the endpoint knows no other place."""
    request = exchange_request("https://aip.example/oauth/2.0/token", Secret("a&b"), Secret("c"))
    assert request.url.startswith("https://aip.example/oauth/2.0/token?")
    assert parse_qs(urlsplit(request.url).query) == {
        "grant_type": ["client_credentials"], "client_id": ["a&b"], "client_secret": ["c"],
    }  # fmt: skip


class Home:
    """One server that is both: the token endpoint and the provider."""

    def __init__(self, provider):
        self.provider = provider
        self.tokens = 0
        self.refused = set()
        self.token_reply = None
        self.refusal = json_reply({"error": {"code": "invalid_api_key", "message": "no"}}, status=401)
        self.answer = json_reply(ANSWER)
        provider.handler = self.reply

    def reply(self, request) -> Reply:
        if request.path.startswith("/token"):
            self.tokens += 1
            return self.token_reply or json_reply(
                {"access_token": f"token-{self.tokens}", "expires_in": LIFE_S}
            )
        used = request.headers.get("authorization", "").removeprefix("Bearer ")
        used = used or parse_qs(urlsplit(request.path).query)["access_token"][0]
        return self.refusal if used in self.refused else self.answer

    @property
    def calls(self):
        return [one for one in self.provider.requests if not one.path.startswith("/token")]

    def upstream(self, **credentials):
        written = {
            "type": "oauth2", "token_url": f"{self.provider.url}/token", "client_id": "me",
            "client_secret": {"env": "SECRET"}, **credentials,
        }  # fmt: skip
        backend = schema.Backend.model_validate(
            {"provider": "vllm", "url": f"{self.provider.url}/v1", "credentials": written}
        )
        return build_upstream("home", backend, lambda one: Secret(SECRETS[one.env]), SystemClock())

    def baidu(self):
        written = {
            "type": "baidu", "api_key": {"env": "ID"}, "secret_key": {"env": "SECRET"},
            "token_url": f"{self.provider.url}/token",
        }  # fmt: skip
        backend = schema.Backend.model_validate(
            {"provider": "vllm", "url": f"{self.provider.url}/v1", "credentials": written}
        )
        return build_upstream("home", backend, lambda one: Secret(SECRETS[one.env]), SystemClock())


@pytest.fixture
async def home():
    async with Provider() as provider:
        yield Home(provider)


@pytest.fixture
async def upstream(home):
    made = home.upstream()
    yield made
    await made.close()


async def ask(upstream, *, stream=True):
    async with upstream.open(attempt(stream=stream)) as answer:
        events = [event async for batch in answer for event in batch]
    parts = folded(events).candidates[0].parts
    return "".join(part.content.text for part in parts if isinstance(part.content, Text))


async def failure(upstream):
    with pytest.raises(ServiceError) as raised:
        await ask(upstream)
    return raised.value


async def test_a_token_for_many_calls(home, upstream):
    """Fetched with the first of them, once."""
    assert await asyncio.gather(*(ask(upstream) for _ in range(5))) == ["Hei"] * 5
    assert home.tokens == 1
    assert {one.headers["authorization"] for one in home.calls} == {"Bearer token-1"}


async def test_a_refused_token_is_renewed_once(home, upstream):
    """The call is repeated with the new one, and nobody hears of it."""
    await ask(upstream)
    home.refused = {"token-1"}
    assert await asyncio.gather(*(ask(upstream) for _ in range(4))) == ["Hei"] * 4
    assert home.tokens == 2
    assert home.calls[-1].headers["authorization"] == "Bearer token-2"


async def test_a_second_refusal_stands(home, upstream):
    """Two requests, two tokens, and then the provider's word."""
    home.refused = {f"token-{n}" for n in range(9)}
    error = await failure(upstream)
    assert error.reason is Reason.UPSTREAM_CREDENTIALS_INVALID
    assert error.upstream.code == "invalid_api_key"
    assert (len(home.calls), home.tokens) == (2, 2)


async def test_other_refusals_are_not_about_the_token(home, upstream):
    """They are told at once."""
    home.answer = json_reply({"error": {"message": "slow"}}, status=429)
    assert (await failure(upstream)).reason is Reason.UPSTREAM_RATE_LIMITED
    assert (len(home.calls), home.tokens) == (1, 1)


async def test_a_token_refused_in_a_body(home):
    """Under 200, as Baidu says it: in place of an answer it is renewed, behind content it is not."""
    upstream = home.baidu()
    told = {"error": {"code": "111", "message": "Access token expired"}}
    home.refusal, home.refused = json_reply(told), {"token-1"}
    assert await ask(upstream) == "Hei"
    assert [urlsplit(one.path).query for one in home.calls] == [
        "access_token=token-1",
        "access_token=token-2",
    ]
    start = sse_text({"id": "c", "choices": [{"index": 0, "delta": {"content": "H"}}]}, done=False)
    home.refusal, home.refused = stream_reply(start, sse_text(told, done=False)), {"token-2"}
    error = await failure(upstream)
    assert error.upstream.in_stream
    assert (len(home.calls), home.tokens) == (3, 2)
    home.refusal = stream_reply(b": wait\n\n", sse_text(told, done=False))
    assert await ask(upstream) == "Hei"
    assert home.tokens == 3
    await upstream.close()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (json_reply({"error": "invalid_client", "error_description": SECRET}, status=401),
         Reason.UPSTREAM_CREDENTIALS_INVALID),
        (body_reply(SECRET.encode(), status=500), Reason.UPSTREAM_UNAVAILABLE),
        (html_reply(), Reason.UPSTREAM_BAD_RESPONSE),
        (stream_reply(b'{"access_token": "t', Close()), Reason.UPSTREAM_TRUNCATED),
    ],
)  # fmt: skip
async def test_a_token_that_is_not_to_be_had(home, upstream, reply, reason):
    """No request goes out without it, and the error says nothing of what was sent or answered."""
    home.token_reply = reply
    error = await failure(upstream)
    assert error.reason is reason
    assert SECRET not in repr(error) + str(error.upstream)
    assert home.calls == []
    home.token_reply = None
    assert await ask(upstream) == "Hei"


async def test_an_endpoint_that_cannot_be_reached(home):
    """Is told apart from the backend."""
    upstream = home.upstream(token_url="http://127.0.0.1:1/token")
    error = await failure(upstream)
    assert (error.reason, error.detail) == (
        Reason.UPSTREAM_UNREACHABLE, "the token endpoint cannot be reached",
    )  # fmt: skip
    await upstream.close()


async def test_a_caller_who_leaves_while_the_token_is_fetched(home, upstream):
    """Costs the next one nothing: the fetch goes on."""
    gate = asyncio.Event()
    home.token_reply = stream_reply(Gate(gate), b'{"access_token": "token-9", "expires_in": 60}')
    first = asyncio.ensure_future(ask(upstream))
    await home.provider.wait_requests(1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(ask(upstream))
    gate.set()
    assert await second == "Hei"
    assert home.tokens == 1


async def test_closing_while_a_token_is_fetched(home):
    """Leaves no connection and no task behind."""
    upstream = home.upstream()
    home.token_reply = stream_reply(Hang())
    task = asyncio.ensure_future(ask(upstream))
    await home.provider.wait_requests(1)
    await upstream.close()
    with pytest.raises(ServiceError) as raised:
        await task
    assert raised.value.reason is Reason.UPSTREAM_UNREACHABLE
    await home.provider.wait_idle()


async def test_what_a_provider_quotes_is_hidden(home, upstream):
    """The token as well as the client's secret."""
    home.answer = json_reply({"error": {"message": f"what are token-1 and {SECRET}?"}}, status=400)
    error = await failure(upstream)
    assert error.upstream.message == "what are *** and ***?"
