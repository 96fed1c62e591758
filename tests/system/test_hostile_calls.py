"""Hostile calls over the wire: refused with the field at fault, before anything is connected."""

import json

import pytest

from pointsman import v1 as pb
from tests.conformance.addresses import HOSTILE
from tests.fakes.running_app import one_model
from tests.rpc.harness import refusal


def asking(part=None, **fields):
    parts = [pb.Part(text="look"), *([] if part is None else [part])]
    turn = pb.Message(role=pb.ROLE_USER, parts=parts)
    return pb.GenerateRequest(model="chat", conversation=pb.Conversation(messages=[turn]), **fields)


HOSTILE_CALLS = {
    **{f"image {url[:60]!a}": asking(pb.Part(image=pb.Media(url=url))) for url in HOSTILE if url},
    **{
        f"part {url!a}": asking(
            pb.Part(
                provider_part=pb.ProviderPart(dialect="openai", json=json.dumps({"image_url": {"url": url}}))
            )
        )
        for url in ("http://127.0.0.1/x", "file:///etc/passwd", "//10.0.0.1/x")
    },
    **{
        f"option {text}": asking(provider_options={"openai": pb.ProviderOptions(body_json=text)})
        for text in (
            '{"model": "x"}',
            '{"messages": []}',
            '{"stream": false}',
            '{"a": {"server_url": "http://[::1]/"}}',
            "[]",
            "{",
        )
    },
    **{
        f"header {name}: {value!a}": asking(
            provider_options={"openai": pb.ProviderOptions(headers={name: value})}
        )
        for name, value in (
            ("authorization", "Bearer x"),
            ("host", "evil.example"),
            ("x-request-id", "a\r\nx-evil: 1"),
            ("cookie", "a=b"),
            ("transfer-encoding", "chunked"),
            (":path", "/x"),
            ("content-length", "0"),
        )
    },
}


async def test_nothing_is_connected(start, provider):
    """Of more than a hundred forms none reaches the backend; each refusal names its field and quotes no value."""
    app = await start(one_model(provider))
    stub = await app.inference()
    assert len(HOSTILE_CALLS) > 100
    for what, request in HOSTILE_CALLS.items():
        refused = await refusal(stub.Generate(request))
        assert refused.info.reason in ("INVALID_REQUEST", "NO_ELIGIBLE_BACKEND"), what
        if refused.info.reason == "INVALID_REQUEST":
            assert refused.extras["BadRequest"].field_violations[0].field, what
        assert "127.0.0.1" not in refused.message, what
    assert provider.requests == []
    assert provider.connections == []


@pytest.mark.parametrize("url", ["https://pics.example.com/a.png", "data:image/png;base64,iVBORw0KGgo="])
async def test_what_is_harmless_goes_on(start, provider, url):
    """Otherwise the promise above were easily kept."""
    from tests.fakes import chat

    provider.handler = chat.as_asked
    app = await start(one_model(provider))
    await (await app.inference()).Generate(asking(pb.Part(image=pb.Media(url=url))))
    assert provider.requests[0].json()["messages"][0]["content"][1]["image_url"]["url"] == url
