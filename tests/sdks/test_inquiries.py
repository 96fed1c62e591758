"""Vectors and counts of tokens: the providers' own clients send what we send, and read answers as we do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from pointsman_server.context import Attempt, Target
from pointsman_server.domain import CountCall, Role
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.registry import PROVIDERS, profile_of
from tests.conformance.equality import comparable
from tests.fakes.provider import Provider, Request
from tests.fakes.replies import json_reply
from tests.fakes.vectors import ANSWERS as FAKES
from tests.fakes.vectors import vector
from tests.unit.upstreams.calls import asked, embedding, inquiry, picture, said, settings, values

TEXTS = ("Oulu", "Turku")
VECTORS = [[1.0, 2.0], [3.0, 4.5]]
# Two little-endian floats each, as the answers to OpenAI's client are.
BASE64 = ["AACAPwAAAEA=", "AABAQAAAkEA="]


def openai_answer(vectors: list[Any]) -> dict[str, Any]:
    data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
    usage = {"prompt_tokens": 5, "total_tokens": 5}
    return {"object": "list", "model": "m", "data": data, "usage": usage}


ANSWERS: Mapping[str, tuple[str, str, Any]] = {
    "cohere": (
        "cohere",
        "http://backend.example",
        {
            "id": "e1", "response_type": "embeddings_by_type", "texts": list(TEXTS), "embeddings": {"float": VECTORS},
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 5}},
        },
    ),
    "dashscope": (
        "dashscope",
        "http://backend.example/api/v1",
        {
            "output": {"embeddings": [{"text_index": at, "embedding": one} for at, one in enumerate(VECTORS)]},
            "usage": {"total_tokens": 5}, "request_id": "e1",
        },
    ),
    "dashscope_compatible": ("openai", "http://backend.example/compatible-mode/v1", openai_answer(VECTORS)),
    "gemini": (
        "gemini", "http://backend.example", {"embeddings": [{"values": one} for one in VECTORS]},
    ),
    "mistral": ("mistral", "http://backend.example/v1", {"id": "e1", **openai_answer(VECTORS)}),
    "ollama": (
        "ollama", "http://backend.example", {"model": "m", "embeddings": VECTORS, "prompt_eval_count": 5},
    ),
    "openai": ("openai", "http://backend.example/v1", openai_answer(BASE64)),
    "qianfan": ("openai", "http://backend.example/v2", openai_answer(VECTORS)),
    "vllm": ("openai", "http://backend.example/v1", openai_answer(BASE64)),
}  # fmt: skip
"""Provider -> client, our backend's address, an answer."""
OPTIONS: Mapping[str, Any] = {"dimensions": 2, "end_user_id": "u-1", "task": "query"}
COUNTS: Mapping[str, tuple[str, Any, bool]] = {
    "anthropic": ("http://backend.example", {"input_tokens": 17}, True),
    # Its client counts contents alone; the provider takes a whole request as well, which is what an answer would read.
    "gemini": ("http://backend.example", {"totalTokens": 17}, False),
}
"""Provider -> our backend's address, an answer, whether the client asks as we do."""


def order(ours: HTTPRequest, url: str, verb: str) -> dict[str, Any]:
    """What the client is asked to send."""
    proof = {"authorization": "Bearer k", "x-goog-api-key": "k"}
    return {
        "url": url, "path": urlsplit(ours.url).path, "query": {}, "headers": {**ours.headers, **proof},
        "body": json.loads(ours.body), "verb": verb,
    }  # fmt: skip


def check_same(ours: HTTPRequest, sent: Request) -> None:
    """Method, path and body; who asks is the generation's matter."""
    assert (sent.method, unquote(sent.path)) == (ours.method, unquote(urlsplit(ours.url).path))
    assert _told(sent.json()) == _told(json.loads(ours.body))


def _told(body: Any) -> Any:
    """Without what says nothing, and how vectors are written, which OpenAI's client decides by itself."""
    if isinstance(body, dict):
        return {
            name: _told(one) for name, one in body.items() if one is not None and name != "encoding_format"
        }
    return [_told(one) for one in body] if isinstance(body, list) else body


@pytest.mark.parametrize("provider", ANSWERS)
async def test_vectors(provider: str, ask) -> None:
    """With every option that the provider takes."""
    client, url, answer = ANSWERS[provider]
    fields = PROVIDERS[provider].profile.embeddings.fields
    one = inquiry(provider, url=url)
    attempt = embedding(*TEXTS, **{name: OPTIONS[name] for name in fields if name in OPTIONS})
    ours = one.request(attempt)
    async with Provider(json_reply(answer)) as fake:
        heard = await ask(client, order(ours, fake.url, "embed"))
        assert heard["error"] is None
        check_same(ours, fake.requests[0])
    assert heard["vectors"] == VECTORS
    reply = one.answer(attempt, 200, {}, json.dumps(answer).encode())
    assert values(reply) == VECTORS
    told = heard.get("usage", {})
    assert told == {name: getattr(reply.usage, name) for name in told}


MULTIMODAL = {"url": "http://backend.example/api/v1", "dashscope": {"interface": "multimodal"}}
SPELLINGS = {"inline_data": "inlineData", "mime_type": "mimeType"}
"""Google's server reads both, and its client writes both."""


@pytest.mark.parametrize(("provider", "backend"), [("gemini", {}), ("cohere", {}), ("dashscope", MULTIMODAL)])
async def test_a_vector_of_an_image(provider: str, backend: Mapping[str, Any], ask) -> None:
    """Inline; the fake of the system tests answers."""
    one, attempt = inquiry(provider, **backend), embedding(picture(b"\x89PNG"))
    # Google's client knows the models that take images.
    attempt = replace(attempt, target=replace(attempt.target, model="gemini-embedding-2"))
    ours = one.request(attempt)
    async with Provider() as fake:
        fake.handler = FAKES[provider]
        heard = await ask(provider, order(ours, fake.url, "embed"))
        assert heard["error"] is None
        [sent] = fake.requests
    assert sent.path == urlsplit(ours.url).path
    assert comparable(sent.json(), SPELLINGS) == json.loads(ours.body)
    assert heard["vectors"] == [vector(b"\x89PNG")]


@pytest.mark.parametrize("provider", COUNTS)
async def test_counts(provider: str, ask) -> None:
    """Of a question with a system message."""
    url, answer, alike = COUNTS[provider]
    made = settings(url, provider=provider)
    one = PROVIDERS[provider].counter(profile_of(made.backend), made)
    attempt = Attempt(
        CountCall(asked(said("Be brief.", role=Role.SYSTEM), "Oulu?")),
        Target("backend", provider, "m"),
        1,
        False,
        "r-1.1",
    )
    ours = one.request(attempt)
    async with Provider(json_reply(answer)) as fake:
        heard = await ask(provider, order(ours, fake.url, "count"))
        assert heard["error"] is None
        if alike:
            check_same(ours, fake.requests[0])
    assert heard["usage"] == {"input_tokens": 17}
    assert one.answer(attempt, 200, {}, json.dumps(answer).encode()).value == 17
