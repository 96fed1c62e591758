"""Embed through the whole service: order, splitting, failures, and who may be asked."""

import base64
import struct

import pytest

from pointsman import InvalidRequest, NoEligibleBackend, PointsmanError, image
from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.replies import hang_before_headers, json_reply
from tests.fakes.running_app import backend_at, model_over


def settings(provider, *others, **backend):
    backends = {"a": backend_at(provider, **backend)}
    backends |= {f"b{i}": backend_at(other) for i, other in enumerate(others)}
    return {
        "backends": backends,
        "models": {
            "vectors": model_over(*backends, operations=["embed"]),
            "chat": model_over("a"),
        },
    }


def vector(text):
    """A vector that tells which text it belongs to."""
    return [float(ord(text[0])), float(len(text))]


def encoded(values, asked):
    if asked.get("encoding_format") == "base64":
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    return values


def embedded(request):
    """The answer, in an order of the server's own."""
    asked = request.json()
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    data = [
        {"object": "embedding", "index": i, "embedding": encoded(vector(text), asked)}
        for i, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return json_reply({"object": "list", "model": asked["model"], "data": data[::-1], "usage": usage})


async def test_vectors_come_in_the_order_of_the_inputs(start, provider):
    """With usage, the backend and the call's id."""
    provider.handler = embedded
    client = await (await start(settings(provider))).client()
    found = await client.embed(["abc", "d"], model="vectors", request_id="r-1")
    assert found.vectors == [vector("abc"), vector("d")]
    assert (found.model, found.backend, found.request_id) == ("vectors", "a", "r-1")
    assert found.usage.input_tokens == 2
    assert (await client.embed("zz", model="vectors")).vectors == [vector("zz")]


async def test_many_inputs_are_several_requests_and_one_answer(start, provider):
    """None holds more than the bound; order and usage are those of the whole."""
    provider.handler = embedded
    app = await start(settings(provider, embedding={"max_inputs": 3, "requests_at_once": 2}))
    texts = [chr(ord("a") + i) * (i + 1) for i in range(10)]
    found = await (await app.client()).embed(texts, model="vectors")
    assert found.vectors == [vector(text) for text in texts]
    assert sorted(len(request.json()["input"]) for request in provider.requests) == [1, 3, 3, 3]
    assert found.usage.input_tokens == 10


async def test_a_failing_part_fails_over_or_fails_the_call(start, provider, other):
    """A vector missing is never told as an answer."""
    provider.handler = lambda _: chat.error_reply(status=500)
    other.handler = embedded
    client = await (await start(settings(provider, other))).client()
    assert (await client.embed(["a", "b"], model="vectors")).backend == "b0"
    other.handler = provider.handler = lambda _: json_reply({"data": [{"index": 0, "embedding": [1.0]}]})
    with pytest.raises(PointsmanError) as caught:
        await client.embed(["a", "b"], model="vectors")
    assert caught.value.reason == "UPSTREAM_BAD_RESPONSE"


async def test_one_failing_part_ends_the_others(start, provider):
    """The caller is told its failure, at once, whatever the rest of the provider's answers are waiting for."""
    asked = []

    def second_fails(request):
        asked.append(request)
        return (
            chat.error_reply(400, "no such text") if "b" in request.json()["input"] else hang_before_headers()
        )

    provider.handler = second_fails
    app = await start(settings(provider, embedding={"max_inputs": 1, "requests_at_once": 3}))
    client = await app.client()
    with pytest.raises(PointsmanError, match="no such text") as caught:
        await client.embed(["a", "b", "c"], model="vectors")
    assert caught.value.reason == "UPSTREAM_REJECTED"
    provider.handler = embedded
    assert (await client.embed(["a", "b"], model="vectors")).vectors == [vector("a"), vector("b")]
    for request in asked:
        if request.json()["input"] != ["b"]:
            await request.connection.wait_closed()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.EmbedRequest(model="vectors"), "inputs"),
        (pb.EmbedRequest(model="vectors", inputs=[pb.EmbedInput()]), "inputs[0]"),
        (pb.EmbedRequest(model="vectors", inputs=[pb.EmbedInput(text="a")], dimensions=0), "dimensions"),
    ],
    ids=["no input", "an empty input", "no dimensions"],
)
async def test_refused_before_anybody_is_asked(start, provider, request_, field):
    """With the field at fault."""
    provider.handler = embedded
    client = await (await start(settings(provider))).client()
    with pytest.raises(InvalidRequest) as caught:
        await client.embed(request=request_)
    assert [violation.field for violation in caught.value.field_violations] == [field]
    assert not provider.requests


@pytest.mark.parametrize(("method", "model"), [("embed", "chat"), ("generate", "vectors")])
async def test_a_model_is_asked_only_for_what_it_does(start, provider, method, model):
    """A chat model embeds nothing, an embedding model generates nothing, and nobody is asked."""
    provider.handler = embedded
    client = await (await start(settings(provider))).client()
    with pytest.raises(NoEligibleBackend, match="operations"):
        await getattr(client, method)("a", model=model)
    assert not provider.requests
    offered = {one.name: set(one.raw.capabilities) for one in await client.models(full=True)}
    assert pb.MODEL_CAPABILITY_EMBEDDING in offered["vectors"] - offered["chat"]
    assert pb.MODEL_CAPABILITY_GENERATE in offered["chat"] - offered["vectors"]


async def test_a_picture_where_the_provider_takes_texts(start, provider):
    """Cannot be left out, as a vector would be missing: the call is refused."""
    provider.handler = embedded
    client = await (await start(settings(provider))).client()
    with pytest.raises(NoEligibleBackend):
        await client.embed(["a", image(b"\x89PNG", media_type="image/png")], model="vectors")
    assert not provider.requests


async def test_it_is_metered_and_logged(start, provider):
    """Like any call: a line, a metric, the tokens; and no text in any of them."""
    provider.handler = embedded
    app = await start(settings(provider))
    await (await app.client()).embed("secret words", model="vectors", request_id="r-9")
    line = await app.logged(request_id="r-9")
    assert (line["model"], line["backend"]) == ("vectors", "a")
    assert app.metric("pointsman_calls_total", model="vectors", reason="OK") == 1
    assert "secret words" not in str(line)
