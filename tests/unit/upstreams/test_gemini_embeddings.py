"""batchEmbedContents.

Facts: https://ai.google.dev/api/embeddings and google-genai 3.6.1, as of November 2026.
"""

from __future__ import annotations

import pytest

from pointsman_server.domain import ProviderOptions, TokenIds, Usage
from pointsman_server.errors import Reason, ServiceError
from tests.unit.upstreams.calls import answered, asked_for, embedding, inquiry, picture, refused, values

GEMINI = inquiry("gemini")


def alike(**fields):
    """What the request of every input holds beside it."""
    requests = asked_for(GEMINI, embedding("a", "b", **fields))["requests"]
    found = [{name: value for name, value in one.items() if name != "content"} for one in requests]
    assert found[0] == found[1]
    return found[0]


def test_every_input_is_a_request():
    """With the model's full name in each, as the address has it."""
    request = GEMINI.request(embedding("a", "b"))
    assert request.url == "http://backend.example/v1/models/upstream-model:batchEmbedContents"
    assert asked_for(GEMINI, embedding("a", "b")) == {
        "requests": [
            {"content": {"role": "user", "parts": [{"text": text}]}, "model": "models/upstream-model"}
            for text in "ab"
        ]
    }
    beta = inquiry("gemini", api_version="v1beta").request(embedding())
    assert beta.url == "http://backend.example/v1beta/models/upstream-model:batchEmbedContents"


@pytest.mark.parametrize(
    ("task", "word"),
    [
        ("query", "RETRIEVAL_QUERY"),
        ("Document", "RETRIEVAL_DOCUMENT"),
        ("semantic_similarity", "SEMANTIC_SIMILARITY"),
        ("CODE_RETRIEVAL_QUERY", "CODE_RETRIEVAL_QUERY"),
        ("SOMETHING_NEW", "SOMETHING_NEW"),
    ],
)
def test_tasks(task, word):
    """In the provider's words, whose case the server minds; one that is not known goes as it is."""
    assert alike(task=task) == {"model": "models/upstream-model", "taskType": word}


def test_dimensions():
    """In every request."""
    assert alike(dimensions=768) == {"model": "models/upstream-model", "outputDimensionality": 768}


def test_images():
    """Inline, or at an address with its media type."""
    call = embedding(picture(b"x"), picture(url="https://a.example/x.png"), picture(url="gs://bucket/x.jpg"))
    parts = [one["content"]["parts"] for one in asked_for(GEMINI, call)["requests"]]
    assert parts == [
        [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}],
        [{"fileData": {"fileUri": "https://a.example/x.png", "mimeType": "image/png"}}],
        [{"fileData": {"fileUri": "gs://bucket/x.jpg", "mimeType": "image/jpeg"}}],
    ]


def test_what_cannot_be_sent():
    """Is refused with the input at fault."""
    assert refused(GEMINI, embedding("a", TokenIds((1,)))) == "inputs[1].token_ids"
    assert refused(GEMINI, embedding(picture(url="http://10.0.0.1/x.png"))) == "inputs[0].image.url"
    assert refused(GEMINI, embedding(picture(url="data:image/png;base64,%%%"))) == "inputs[0].image.url"
    assert refused(GEMINI, embedding("\ud800")) == ""


def test_what_a_caller_adds_joins_every_request():
    """In either case of its name; what is ours is refused."""
    options = {"gemini": ProviderOptions('{"title": "Fares", "auto_truncate": true}')}
    assert alike(provider_options=options) == {
        "model": "models/upstream-model",
        "title": "Fares",
        "autoTruncate": True,
    }
    for name in ("model", "content", "requests", "task_type", "taskType", "output_dimensionality"):
        options = {"gemini": ProviderOptions(f'{{"{name}": "x"}}')}
        assert refused(GEMINI, embedding(provider_options=options)).startswith("provider_options[gemini]"), (
            name
        )


def test_usage_where_it_is_told():
    """Newer models tell it; the others do not."""
    call, found = embedding("a"), {"embeddings": [{"values": [1, 2.5]}]}
    assert values(answered(GEMINI, call, found)) == [[1.0, 2.5]]
    assert answered(GEMINI, call, found).usage is None
    told = answered(GEMINI, call, {**found, "usageMetadata": {"promptTokenCount": 4}})
    assert told.usage == Usage(4, total_tokens=4)


def test_an_error_under_status_200():
    """Is what its code says."""
    body = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
    with pytest.raises(ServiceError) as raised:
        answered(GEMINI, embedding("a"), body)
    assert raised.value.reason is Reason.UPSTREAM_RATE_LIMITED
    assert raised.value.upstream.stream_status == 429
