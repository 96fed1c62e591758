"""Embed through the whole service, at providers that have an interface of their own for it."""

from functools import partial

import pytest

from pointsman import InvalidRequest, NoEligibleBackend, PointsmanError, image
from tests.fakes.replies import body_reply, json_reply
from tests.fakes.running_app import model_over
from tests.fakes.vectors import ANSWERS, vector

KEYS = {"KEY": "secret-key-a"}
OWN = pytest.mark.parametrize("name", ANSWERS)
PNG = b"\x89PNG"
BOUNDS = {"gemini": 100, "cohere": 96, "dashscope": 10}
PATHS = {
    "gemini": "/v1/models/m:batchEmbedContents",
    "cohere": "/v2/embed",
    "dashscope": "/services/embeddings/text-embedding/text-embedding",
}
MULTIMODAL = {"dashscope": {"interface": "multimodal"}}


def settings(name, provider, *others, **backend):
    credentials = {"secret": {"env": "KEY"}}
    row = {"provider": name, "credentials": credentials, **backend}
    backends = {f"b{i}": {**row, "url": one.url} for i, one in enumerate((provider, *others))}
    models = {"vectors": model_over(*backends, operations=["embed"])}
    for target in models["vectors"]["targets"]:
        target["model"] = "m"
    return {"backends": backends, "models": models}


@pytest.fixture
async def at(start):
    """A client of a service that asks one of them."""

    async def begin(name, provider, *others, **backend):
        app = await start(settings(name, provider, *others, **backend), environment=KEYS)
        return app, await app.client()

    return begin


@OWN
async def test_vectors_of_texts(at, provider, name):
    """In the order of the inputs, with usage, at the provider's address and with its kind of key."""
    provider.handler = ANSWERS[name]
    _, client = await at(name, provider)
    found = await client.embed(["abc", "d"], model="vectors")
    assert found.vectors == [vector("abc"), vector("d")]
    assert (found.model, found.backend) == ("vectors", "b0")
    assert (found.usage.input_tokens, found.usage.total_tokens) == (2, 2)
    assert not found.warnings
    [request] = provider.requests
    assert request.path == PATHS[name]
    key = request.headers["x-goog-api-key" if name == "gemini" else "authorization"]
    assert key.removeprefix("Bearer ") == "secret-key-a"


@OWN
async def test_more_inputs_than_a_request_takes(at, provider, name):
    """Several requests of no more than the provider's bound, one answer, the sum of the usage."""
    provider.handler = ANSWERS[name]
    _, client = await at(name, provider)
    bound = BOUNDS[name]
    texts = [chr(ord("a") + number % 26) * (number // 26 + 1) for number in range(2 * bound + 1)]
    found = await client.embed(texts, model="vectors")
    assert found.vectors == [vector(text) for text in texts]
    assert found.usage.input_tokens == len(texts)
    assert len(provider.requests) == 3


@pytest.mark.parametrize(
    ("name", "expected", "reported"),
    [
        ("gemini", {"taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2}, ["truncate"]),
        ("cohere", {"input_type": "search_query", "output_dimension": 2, "truncate": "END"}, []),
        ("dashscope", {"text_type": "query", "dimension": 2}, ["truncate"]),
    ],
)
async def test_options_in_the_providers_words(at, provider, name, expected, reported):
    """What it has no word for is a warning, and refused where the call is strict."""
    provider.handler = ANSWERS[name]
    _, client = await at(name, provider)
    options = {"dimensions": 2, "task": "query", "truncate": "end"}
    found = await client.embed("abc", model="vectors", **options)
    assert sorted(warning.field for warning in found.warnings) == reported
    sent = provider.requests[0].json()
    said = sent["requests"][0] if name == "gemini" else sent.get("parameters", sent)
    assert said.items() >= expected.items()
    strict = partial(client.embed, "abc", model="vectors", routing={"strict_params": True}, **options)
    if not reported:
        assert (await strict()).vectors == [vector("abc")]
        return
    with pytest.raises(PointsmanError) as caught:
        await strict()
    assert caught.value.reason == "UNSUPPORTED_PARAMETER"


@pytest.mark.parametrize(
    ("name", "backend", "requests"),
    [("gemini", {}, 2), ("cohere", {}, 3), ("dashscope", MULTIMODAL, 3)],
)
async def test_texts_and_images(at, provider, name, backend, requests):
    """Each kind in requests of its own, the vectors in the caller's order."""
    provider.handler = ANSWERS[name]
    _, client = await at(name, provider, **backend)
    pictures = [image(PNG, media_type="image/png"), image(PNG + b"x", media_type="image/png")]
    found = await client.embed([pictures[0], "abc", pictures[1], "d"], model="vectors")
    assert found.vectors == [vector(PNG), vector("abc"), vector(PNG + b"x"), vector("d")]
    assert len(provider.requests) == requests


async def test_images_at_an_interface_of_texts(at, provider):
    """Are refused: DashScope's models of texts know none, and a vector would be missing."""
    provider.handler = ANSWERS["dashscope"]
    _, client = await at("dashscope", provider)
    with pytest.raises(NoEligibleBackend):
        await client.embed(["a", image(PNG, media_type="image/png")], model="vectors")
    assert not provider.requests


@pytest.mark.parametrize(("name", "backend"), [("gemini", {}), ("dashscope", MULTIMODAL)])
async def test_an_image_at_a_private_address(at, provider, name, backend):
    """Is refused with the input at fault as the caller numbers it, and the provider is not told of it."""
    provider.handler = ANSWERS[name]
    _, client = await at(name, provider, **backend)
    with pytest.raises(InvalidRequest) as caught:
        await client.embed(["a", image("https://169.254.169.254/x.png")], model="vectors")
    assert [violation.field for violation in caught.value.field_violations] == ["inputs[1].image.url"]
    assert not any(b"169.254" in request.body for request in provider.requests)


def gemini_error(status, word, message="no", **more):
    return json_reply({"error": {"code": status, "message": message, "status": word, **more}}, status=status)


def cohere_error(status, message="no"):
    return json_reply({"id": "x", "message": message}, status=status)


def dashscope_error(status, code, message="no"):
    told = {"code": code, "message": message, "request_id": "d-7"}
    return json_reply(told, status=status, headers={"x-request-id": "d-7"})


ERRORS = {
    ("gemini", "UPSTREAM_REJECTED"): gemini_error(400, "INVALID_ARGUMENT"),
    ("gemini", "UPSTREAM_CREDENTIALS_INVALID"): gemini_error(
        400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."
    ),
    ("gemini", "UPSTREAM_MODEL_NOT_FOUND"): gemini_error(404, "NOT_FOUND"),
    ("gemini", "UPSTREAM_RATE_LIMITED"): gemini_error(429, "RESOURCE_EXHAUSTED"),
    ("gemini", "UPSTREAM_UNAVAILABLE"): gemini_error(503, "UNAVAILABLE"),
    ("cohere", "UPSTREAM_REJECTED"): cohere_error(400, "invalid request: valid input_type must be provided"),
    ("cohere", "UPSTREAM_CREDENTIALS_INVALID"): cohere_error(401, "invalid api token"),
    ("cohere", "UPSTREAM_MODEL_NOT_FOUND"): cohere_error(404, "model 'm' not found"),
    ("cohere", "UPSTREAM_RATE_LIMITED"): cohere_error(429, "100 API calls / minute"),
    ("cohere", "UPSTREAM_QUOTA_EXHAUSTED"): cohere_error(429, "1000 API calls / month"),
    ("dashscope", "UPSTREAM_REJECTED"): dashscope_error(400, "InvalidParameter", "batch size is invalid"),
    ("dashscope", "UPSTREAM_CREDENTIALS_INVALID"): dashscope_error(401, "InvalidApiKey"),
    ("dashscope", "UPSTREAM_QUOTA_EXHAUSTED"): dashscope_error(400, "Arrearage"),
    ("dashscope", "CONTENT_BLOCKED"): dashscope_error(400, "DataInspectionFailed"),
    ("dashscope", "UPSTREAM_RATE_LIMITED"): dashscope_error(429, "Throttling.RateQuota"),
    ("dashscope", "UPSTREAM_MODEL_NOT_FOUND"): dashscope_error(200, "ModelNotFound"),
}
"""Provider and reason; one of them told under status 200."""


@pytest.mark.parametrize(("name", "reason"), ERRORS)
async def test_errors_in_the_providers_words(at, provider, name, reason):
    """Are ours by what they mean, without the key."""
    provider.handler = lambda _: ERRORS[name, reason]
    app, client = await at(name, provider)
    with pytest.raises(PointsmanError) as caught:
        await client.embed("secret words", model="vectors")
    assert caught.value.reason == reason
    assert "secret-key-a" not in f"{caught.value}{app.output}"
    assert "secret words" not in app.output


@OWN
async def test_another_backend_steps_in(at, provider, other, name):
    """For one that is overloaded, for noise, and for an answer that lacks a vector."""
    fewer = ANSWERS[name]
    provider.handler, other.handler = (lambda _: body_reply(b"<html>", status=503)), ANSWERS[name]
    _, client = await at(name, provider, other)
    texts = ["abc", "d"]
    assert (await client.embed(texts, model="vectors")).backend == "b1"
    provider.handler = lambda _: json_reply({"embeddings": {}, "output": None})
    assert (await client.embed(texts, model="vectors")).vectors == [vector(text) for text in texts]

    def short(request):
        reply = fewer(request)
        return body_reply(reply.steps[0].replace(b"[100.0, 1.0]", b"null"), content_type="application/json")

    provider.handler = other.handler = short
    with pytest.raises(PointsmanError) as caught:
        await client.embed(texts, model="vectors")
    assert caught.value.reason == "UPSTREAM_BAD_RESPONSE"
