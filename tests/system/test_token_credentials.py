"""Credentials that are fetched, as callers and operators see them."""

import json
from urllib.parse import parse_qs, urlsplit

from tests.fakes import chat
from tests.fakes.replies import body_reply, json_reply, stream_reply
from tests.fakes.running_app import backend_at
from tests.system.asking import BOTH, ask, failure

SECRET = "canary-client-secret"
ENVIRONMENT = {"SECRET": SECRET, "AK": "canary-api-key"}


class Home:
    """Token endpoint and provider in one; a token may be refused, and the endpoint may fail."""

    def __init__(self):
        self.given = 0
        self.refused = set()
        self.token_reply = None

    def __call__(self, request):
        if request.path.startswith("/token"):
            self.given += 1
            token = {"access_token": f"canary-token-{self.given}", "expires_in": 3600}
            return self.token_reply or json_reply(token)
        used = request.headers["authorization"].removeprefix("Bearer ")
        if used in self.refused:
            return chat.error_reply(401, f"{used} has expired", code="invalid_api_key")
        return chat.as_asked(request)


def with_token(provider):
    credentials = {
        "type": "oauth2", "token_url": f"{provider.url}/token", "client_id": "me", "client_secret": {"env": "SECRET"},
    }  # fmt: skip
    return {**backend_at(provider), "credentials": credentials}


def one(provider):
    return {
        "backends": {"home": with_token(provider)},
        "models": {"chat": {"targets": [{"backend": "home"}]}},
    }


def kept(app):
    """What the service says of itself to operators."""
    assert "canary" not in app.output
    return app


@BOTH
async def test_a_renewed_token_is_one_attempt(start, provider, stream):
    """The caller gets an answer, the books hold one attempt, and no log holds a token."""
    home = provider.handler = Home()
    app = await start(one(provider), environment=ENVIRONMENT)
    client = await app.client()
    assert (await ask(client, stream=stream)).text == "Hello there"
    home.refused = {"canary-token-1"}
    answer = await ask(client, stream=stream)
    assert answer.text == "Hello there"
    assert len(answer.raw.routing.attempts) == 1
    assert home.given == 2
    await app.settled_calls()
    kept(app)


@BOTH
async def test_a_token_that_stays_refused(start, provider, stream):
    """After a second refusal the caller is told, without the token that the provider quotes."""
    home = provider.handler = Home()
    home.refused = {f"canary-token-{n}" for n in range(9)}
    app = await start(one(provider), environment=ENVIRONMENT)
    failed = await failure(await app.client(), stream=stream)
    assert failed.reason == "UPSTREAM_CREDENTIALS_INVALID"
    assert home.given == 2
    assert "canary" not in str(failed.error) + repr(failed.told)
    kept(app)


async def test_an_endpoint_that_fails_costs_no_answer(start, provider, other):
    """Another backend answers: whether the endpoint refuses or is down."""
    home = provider.handler = Home()
    other.handler = chat.as_asked
    settings = {
        "backends": {"home": with_token(provider), "away": backend_at(other)},
        "models": {"chat": {"targets": [{"backend": "home"}, {"backend": "away", "group": 1}]}},
    }
    for reply in (
        json_reply({"error": "invalid_client", "error_description": SECRET}, status=401),
        body_reply(SECRET.encode(), status=503),
    ):
        home.token_reply = reply
        app = await start(settings, environment=ENVIRONMENT)
        answer = await ask(await app.client(), stream=False)
        assert (answer.text, answer.backend) == ("Hello there", "away")
        kept(app)


@BOTH
async def test_the_older_interface_to_ernie(start, provider, stream):
    """From keys to an answer, over a token that the provider no longer takes."""
    tokens = []

    def reply(request):
        query = parse_qs(urlsplit(request.path).query)
        if request.path.startswith("/oauth"):
            tokens.append(f"24.canary{len(tokens)}")
            return json_reply({"access_token": tokens[-1], "expires_in": 2_592_000})
        if query["access_token"] == ["24.canary0"]:
            return json_reply({"error_code": 110, "error_msg": "Access token invalid or no longer valid"})
        told = {"id": "as-1", "result": "你好", "finish_reason": "normal", "usage": {"prompt_tokens": 1}}
        if not request.json().get("stream"):
            return json_reply(told)
        return stream_reply(b"data: " + json.dumps({**told, "is_end": True}).encode() + b"\n\n")

    provider.handler = reply
    credentials = {
        "type": "baidu", "api_key": {"env": "AK"}, "secret_key": {"env": "SECRET"},
        "token_url": f"{provider.url}/oauth/2.0/token",
    }  # fmt: skip
    backend = {"provider": "ernie", "url": provider.url, "credentials": credentials}
    settings = {
        "backends": {"ernie": backend},
        "models": {"chat": {"targets": [{"backend": "ernie", "model": "completions_pro"}]}},
    }
    app = await start(settings, environment=ENVIRONMENT)
    answer = await ask(await app.client(), stream=stream)
    assert (answer.text, answer.raw.routing.provider, len(answer.raw.routing.attempts)) == (
        "你好",
        "ernie",
        1,
    )
    assert tokens == ["24.canary0", "24.canary1"]
    kept(app)
