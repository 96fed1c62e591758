"""text-embedding and multimodal-embedding.

Facts: https://help.aliyun.com/en/model-studio/text-embedding-synchronous-api and
https://help.aliyun.com/en/model-studio/multimodal-embedding-api-reference, and dashscope 2.0.2, as of November 2026.
"""

from __future__ import annotations

import pytest

from pointsman_server.config import schema
from pointsman_server.domain import ProviderOptions, TokenIds, Usage
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.registry import profile_of
from pointsman_server.upstreams.translation.support import unsupported
from tests.unit.upstreams.calls import answered, asked_for, embedding, inquiry, picture, refused, values

MULTIMODAL = {"dashscope": {"interface": "multimodal"}}
TEXTS, ALL = inquiry("dashscope"), inquiry("dashscope", **MULTIMODAL)
FOUND = {"request_id": "d-1", "output": {"embeddings": [{"text_index": 0, "embedding": [1, 2.5]}]}}


def parameters(one=TEXTS, **fields):
    return asked_for(one, embedding("a", **fields))["parameters"]


def test_texts():
    """At the interface of texts, unless the backend is one of multimodal models."""
    at = "http://backend.example/services/embeddings"
    assert TEXTS.request(embedding()).url == f"{at}/text-embedding/text-embedding"
    assert asked_for(TEXTS, embedding("a", "b")) == {
        "model": "upstream-model",
        "input": {"texts": ["a", "b"]},
        "parameters": {},
    }
    assert ALL.request(embedding()).url == f"{at}/multimodal-embedding/multimodal-embedding"
    assert asked_for(ALL, embedding("a"))["input"] == {"contents": [{"text": "a"}]}


def test_options():
    """An interface of both knows no task."""
    assert parameters(dimensions=64, task="query") == {"dimension": 64, "text_type": "query"}
    assert parameters(ALL, dimensions=64, task="query") == {"dimension": 64}
    multimodal = profile_of(schema.Backend(provider="dashscope", **MULTIMODAL))
    assert [one.field for one in unsupported(embedding(task="query").call, multimodal)] == ["task"]
    text = profile_of(schema.Backend(provider="dashscope"))
    assert unsupported(embedding(task="query").call, text) == ()


def test_images():
    """At the interface of both alone; inline as a data URL, or at an address."""
    call = embedding(picture(b"x"), picture(url="https://a.example/x.png"))
    assert asked_for(ALL, call)["input"] == {
        "contents": [{"image": "data:image/png;base64,eA=="}, {"image": "https://a.example/x.png"}]
    }
    assert refused(TEXTS, call) == "inputs[0]"
    assert refused(ALL, embedding("a", picture(url="http://[::1]/x.png"))) == "inputs[1].image.url"
    assert refused(ALL, embedding(TokenIds((1,)))) == "inputs[0].token_ids"


def test_bounds():
    """What one request takes; a configured bound on inputs goes before."""
    text = profile_of(schema.Backend(provider="dashscope")).embeddings
    both = profile_of(
        schema.Backend(provider="dashscope", embedding={"max_inputs": 1}, **MULTIMODAL)
    ).embeddings
    assert (text.max_inputs, both.max_inputs, both.max_images) == (10, 1, 1)


@pytest.mark.parametrize("written", ['{"instruct": "x"}', '{"parameters": {"instruct": "x"}}'])
def test_what_a_caller_adds_joins_the_parameters(written):
    """In either form."""
    assert parameters(provider_options={"dashscope": ProviderOptions(written)}) == {"instruct": "x"}


@pytest.mark.parametrize(
    "name",
    ["model", "input", "texts", "contents", "url", "text_type", "dimension", "output_type", "enable_fusion"],
)
@pytest.mark.parametrize("one", [TEXTS, ALL], ids=["texts", "both"])
def test_what_is_ours_is_refused(one, name):
    """What is embedded, and how the answer is read."""
    options = {"dashscope": ProviderOptions(f'{{"parameters": {{"{name}": 1}}}}')}
    assert refused(one, embedding(provider_options=options)).endswith(f".{name}")


def test_vectors_by_their_index():
    """Whatever the order, in the word of each interface."""
    call = embedding("a", "b")
    for one, name in ((TEXTS, "text_index"), (ALL, "index")):
        entries = [{name: 1, "embedding": [2.0]}, {name: 0, "embedding": [1.0], "type": "text"}]
        reply = answered(one, call, {"request_id": "d-1", "output": {"embeddings": entries}})
        assert values(reply) == [[1.0], [2.0]]
        assert reply.opened.upstream_request_id == "d-1"


def test_one_vector_of_many_inputs_is_no_answer():
    """Some models fuse whatever they are shown."""
    with pytest.raises(ServiceError) as raised:
        answered(ALL, embedding("a", "b"), FOUND)
    assert raised.value.reason is Reason.UPSTREAM_BAD_RESPONSE


@pytest.mark.parametrize(
    ("usage", "inputs", "total"),
    [
        ({"total_tokens": 27}, 27, 27),
        ({"input_tokens": 43, "image_tokens": 1247, "total_tokens": 1290}, 1290, 1290),
        ({"input_tokens": 43, "image_tokens": 1247}, 1290, 1290),
        (
            {
                "input_tokens": 10,
                "input_tokens_details": {"image_tokens": 896, "text_tokens": 7},
                "output_tokens": 3,
                "total_tokens": 906,
            },
            903,
            906,
        ),
        ({"input_tokens": 5, "image_count": 0, "duration": 0}, 5, 5),
        ({"total_tokens": 2, "output_tokens": 3}, 0, 2),
    ],
    ids=["texts", "qwen3-vl", "qwen2.5-vl", "tongyi", "multimodal-v1", "nonsense"],
)
def test_usage(usage, inputs, total):
    """As the documentation shows it for each of the models."""
    found = answered(TEXTS, embedding("a"), {**FOUND, "usage": usage}).usage
    assert found == Usage(inputs, total_tokens=total)
    assert answered(TEXTS, embedding("a"), {**FOUND, "usage": {}}).usage is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("InvalidApiKey", Reason.UPSTREAM_CREDENTIALS_INVALID),
        ("Throttling.RateQuota", Reason.UPSTREAM_RATE_LIMITED),
        ("InvalidParameter", Reason.UPSTREAM_REJECTED),
        ("Unheard", Reason.UPSTREAM_ERROR),
    ],
)
def test_an_error_under_status_200(code, reason):
    """Is what its code says, with the id of the request."""
    with pytest.raises(ServiceError) as raised:
        answered(TEXTS, embedding("a"), {"code": code, "message": "no", "request_id": "d-9"})
    assert raised.value.reason is reason
    assert (raised.value.upstream.code, raised.value.upstream.request_id) == (code, "d-9")


def test_an_empty_code_is_no_error():
    """As the provider's successes have it."""
    assert values(answered(TEXTS, embedding("a"), {**FOUND, "code": "", "message": ""})) == [[1.0, 2.5]]
