"""/v2/embed.

Facts: https://docs.cohere.com/reference/embed and cohere 7.3.1, as of November 2026.
"""

from __future__ import annotations

import pytest

from pointsman_server.domain import ProviderOptions, RoutingOptions, TokenIds, Usage
from pointsman_server.errors import Reason, ServiceError
from tests.unit.upstreams.calls import answered, asked_for, embedding, inquiry, picture, refused, values

COHERE = inquiry("cohere")
FOUND = {"id": "e-1", "embeddings": {"float": [[1, 2.5]]}, "response_type": "embeddings_by_type"}


def sent(*inputs, **fields):
    body = asked_for(COHERE, embedding(*inputs, **fields))
    assert (body.pop("model"), body.pop("embedding_types")) == ("upstream-model", ["float"])
    return body


def test_texts():
    """What they are for is always said: the provider demands it."""
    assert COHERE.request(embedding()).url == "http://backend.example/v2/embed"
    assert sent("a", "b") == {"texts": ["a", "b"], "input_type": "search_document"}


@pytest.mark.parametrize(
    ("task", "word"),
    [
        ("query", "search_query"),
        ("document", "search_document"),
        ("clustering", "clustering"),
        ("new", "new"),
    ],
)
def test_tasks(task, word):
    """In the provider's words; another goes as it is, for images as well."""
    assert sent("a", task=task)["input_type"] == word
    assert sent(picture(), task=task)["input_type"] == word


def test_images():
    """Inline alone, as data URLs in one spelling."""
    assert sent(picture(b"x")) == {"images": ["data:image/png;base64,eA=="], "input_type": "image"}
    assert sent(picture(url="data:image/png,x"))["images"] == ["data:image/png;base64,eA=="]
    assert refused(COHERE, embedding(picture(url="https://a.example/x.png"))) == "inputs[0].image"
    assert refused(COHERE, embedding(picture(url="data:image/png;base64,%%%"))) == "inputs[0].image.url"


def test_options():
    """Dimensions, the end that is cut off, and the place in the queue, of which 0 is the first."""
    assert sent("a", dimensions=256, truncate="Start") == {
        "texts": ["a"],
        "input_type": "search_document",
        "output_dimension": 256,
        "truncate": "START",
    }
    assert "truncate" not in sent("a", truncate="left")
    assert sent("a", routing=RoutingOptions(priority=-7))["priority"] == 7
    assert sent("a", routing=RoutingOptions(priority=7))["priority"] == 0


def test_a_task_that_is_configured_away_is_not_sent():
    """What must be said is said still."""
    plain = inquiry("cohere", drop_params=("task",))
    assert asked_for(plain, embedding("a", task="query"))["input_type"] == "search_document"


def test_tokens_cannot_be_sent():
    """And are refused with the input at fault."""
    assert refused(COHERE, embedding("a", TokenIds((1,)))) == "inputs[1]"


def test_what_a_caller_adds():
    """Joins the body; what decides what is embedded, or how the answer is read, is refused."""
    options = {"cohere": ProviderOptions('{"max_tokens": 128}')}
    assert sent("a", provider_options=options)["max_tokens"] == 128
    for name in (
        "model",
        "texts",
        "images",
        "inputs",
        "input_type",
        "embedding_types",
        "truncate",
        "priority",
    ):
        options = {"cohere": ProviderOptions(f'{{"{name}": 1}}')}
        assert (
            refused(COHERE, embedding(provider_options=options))
            == f"provider_options[cohere].body_json.{name}"
        )


@pytest.mark.parametrize(
    ("meta", "tokens"),
    [
        ({"billed_units": {"input_tokens": 3.0}}, 3),
        ({"billed_units": {"input_tokens": 3}, "tokens": {"input_tokens": 4}}, 4),
        ({"billed_units": {"text_tokens": 3, "image_tokens": 200}}, 203),
        ({"billed_units": {"input_tokens": 203, "image_tokens": 200}}, 203),
        ({"billed_units": {"input_tokens": 0, "image_tokens": 200}}, 200),
        ({"billed_units": {"images": 1}}, None),
        ({"billed_units": {"input_tokens": 0.5}}, None),
        ({}, None),
    ],
    ids=["billed", "all", "by kind", "a sum", "no sum", "images", "half a token", "untold"],
)
def test_usage(meta, tokens):
    """Tokens in one sum, however they are told."""
    usage = answered(COHERE, embedding("a"), {**FOUND, "meta": meta}).usage
    assert usage == (None if tokens is None else Usage(tokens, total_tokens=tokens))


def test_an_answer():
    """The vectors, and both ids."""
    reply = answered(COHERE, embedding("a"), FOUND, x_debug_trace_id="t-1")
    assert values(reply) == [[1.0, 2.5]]
    assert (reply.opened.response_id, reply.opened.upstream_request_id) == ("e-1", "t-1")


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"message": "invalid api token"}, Reason.UPSTREAM_CREDENTIALS_INVALID),
        ({"message": "it broke"}, Reason.UPSTREAM_ERROR),
        ({"embeddings": [[1.0]]}, Reason.UPSTREAM_BAD_RESPONSE),
        ({"embeddings": {"int8": [[1]]}}, Reason.UPSTREAM_BAD_RESPONSE),
    ],
    ids=["a bad key", "a failure", "an older form", "another type"],
)
def test_what_is_told_under_status_200(document, reason):
    """Is never taken for vectors."""
    with pytest.raises(ServiceError) as raised:
        answered(COHERE, embedding("a"), document, x_debug_trace_id="t-1")
    assert raised.value.reason is reason
