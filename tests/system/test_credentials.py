"""Several keys of one backend, over the wire."""

import pytest

from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.replies import json_reply, sse_text, stream_reply
from tests.fakes.running_app import backend_at, model_over
from tests.system.asking import BOTH, ask, failure

KEYS = {"KEY_A": "secret-key-a", "KEY_B": "secret-key-b", "KEY_C": "secret-key-c"}


def refused(status, **headers):
    body = {"error": {"message": "key secret-key-a is no good", "type": "x", "code": None}}
    return json_reply(body, status=status, headers=headers)


def settings(provider, *names):
    first, *more = ({"type": "bearer", "secret": {"env": name}} for name in names)
    return {
        "backends": {"only": backend_at(provider, credentials=first, more_credentials=more)},
        "models": {"chat": model_over("only")},
    }


def key_of(request):
    return request.headers["authorization"].removeprefix("Bearer secret-key-")


async def test_keys_are_used_in_turn(start, provider):
    """The load is spread over them."""
    provider.handler = chat.as_asked
    app = await start(settings(provider, *KEYS), environment=KEYS)
    client = await app.client()
    for _ in range(6):
        await ask(client, stream=False)
    assert [key_of(request) for request in provider.requests] == list("abcabc")


@BOTH
@pytest.mark.parametrize("status", [401, 402, 403, 429])
async def test_the_call_goes_on_with_the_next(start, provider, status, stream):
    """The caller learns nothing of it; the refused key rests, and the backend does not."""
    provider.handler = lambda request: refused(status) if key_of(request) == "a" else chat.as_asked(request)
    app = await start(settings(provider, *KEYS), environment=KEYS)
    client = await app.client()
    for _ in range(5):
        assert (await ask(client, stream=stream)).text == "Hello there"
    assert [key_of(request) for request in provider.requests] == list("abcbcb")
    line = await app.logged(event="credential_rests")
    assert (line["backend"], line["credential"]) == ("only", 1)
    assert line["rest_s"] > 0
    assert app.metric("pointsman_credential_rests_total", backend="only", reason=line["reason"]) == 1
    assert not any(secret in app.output for secret in KEYS.values())
    assert (await app.logged(event="call"))["attempts"][0].get("reason", "OK") == "OK"


async def test_a_refusal_told_in_a_stream(start, provider):
    """Under status 200, before any content: the next key is asked as well."""
    error = {"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}}
    provider.handler = lambda request: (
        stream_reply(sse_text(error)) if key_of(request) == "a" else chat.as_asked(request)
    )
    app = await start(settings(provider, "KEY_A", "KEY_B"), environment=KEYS)
    assert (await ask(await app.client(), stream=True)).text == "Hello there"
    assert [key_of(request) for request in provider.requests] == ["a", "b"]


async def test_when_every_key_is_refused(start, provider):
    """Each was tried once; the failure stands, with the shortest wait, and without a key in it."""
    waits = {"a": "9", "b": "3", "c": "6"}
    provider.handler = lambda request: refused(429, **{"retry-after": waits[key_of(request)]})
    app = await start(settings(provider, *KEYS), environment=KEYS)
    failed = await failure(await app.client(), stream=False, routing=pb.RoutingOptions(max_attempts=1))
    assert failed.reason == "UPSTREAM_RATE_LIMITED"
    assert 2 < failed.error.retry_delay_s <= 3
    assert sorted(key_of(request) for request in provider.requests) == ["a", "b", "c"]
    assert "secret-key" not in str(failed.told)


async def test_what_says_nothing_of_the_key_is_not_tried_again(start, provider):
    """A bad request is bad with every key."""
    provider.handler = lambda request: refused(400)
    app = await start(settings(provider, *KEYS), environment=KEYS)
    failed = await failure(await app.client(), stream=False)
    assert failed.reason == "UPSTREAM_REJECTED"
    assert len(provider.requests) == 1


async def test_keys_in_files_are_read_again(start, provider, tmp_path):
    """A rotated file is used without a restart."""
    files = {name: tmp_path / name for name in "ab"}
    for name, file in files.items():
        file.write_text(f"secret-key-{name}\n")
    first, second = ({"type": "bearer", "secret": {"file": str(file)}} for file in files.values())
    provider.handler = chat.as_asked
    app = await start(
        {
            "backends": {"only": backend_at(provider, credentials=first, more_credentials=[second])},
            "models": {"chat": model_over("only")},
        }
    )
    client = await app.client()
    await ask(client, stream=False)
    files["b"].write_text("secret-key-x\n")
    assert (await app.app.reload()).applied
    for _ in range(2):
        await ask(client, stream=False)
    assert [key_of(request) for request in provider.requests] == ["a", "a", "x"]
