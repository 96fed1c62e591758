"""CountTokens: by the backend where it can, else by an estimate that says so."""

import pytest

from pointsman import InvalidRequest, PointsmanError, system, user
from tests.fakes import chat
from tests.fakes.replies import json_reply
from tests.fakes.running_app import backend_at, model_over

COUNTERS = {
    "vllm": ("/tokenize", {"count": 17, "max_model_len": 4096, "tokens": [1, 2]}),
    "anthropic": ("/v1/messages/count_tokens", {"input_tokens": 17}),
    "gemini": ("/v1/models/chat:countTokens", {"totalTokens": 17}),
}
KEY = {"COUNT_KEY": "k-1"}
QUESTION = [system("be brief"), user("hello")]


def settings(provider, kind, *others):
    url = f"{provider.url}/v1" if kind in ("vllm", "openai") else provider.url
    backends = {"a": {"provider": kind, "url": url, "credentials": {"secret": {"env": "COUNT_KEY"}}}}
    backends |= {f"b{i}": backend_at(other) for i, other in enumerate(others)}
    return {"backends": backends, "models": {"chat": model_over(*backends)}}


@pytest.mark.parametrize("kind", COUNTERS)
async def test_the_backend_counts(start, provider, kind):
    """On its own route, with the whole question and nothing that only an answer needs; nothing is generated."""
    path, answer = COUNTERS[kind]
    provider.handler = lambda _: json_reply(answer)
    client = await (await start(settings(provider, kind), environment=KEY)).client()
    count = await client.count_tokens(QUESTION, model="chat", temperature=0.5, max_output_tokens=9)
    assert (count.input_tokens, count.exact, count.backend) == (17, True, "a")
    [request] = provider.requests
    assert request.path.partition("?")[0] == path
    sent = request.body.decode()
    assert ("hello" in sent, "be brief" in sent) == (True, True)
    assert "stream" not in request.json()
    if kind != "gemini":
        assert not {"temperature", "max_tokens", "max_completion_tokens"} & set(request.json())


async def test_without_a_counter_it_is_an_estimate(start, provider):
    """Nobody is asked, and the answer says what it is."""
    provider.handler = chat.as_asked
    client = await (await start(settings(provider, "openai"), environment=KEY)).client()
    count = await client.count_tokens("four words of text", model="chat")
    assert (count.exact, count.backend) == (False, "")
    assert 2 <= count.input_tokens <= 30
    longer = await client.count_tokens("four words of text " * 50, model="chat")
    assert longer.input_tokens > 20 * count.input_tokens
    assert not provider.requests


async def test_a_backend_that_counts_is_chosen(start, provider, other):
    """Also where it is not the first of the model's."""
    provider.handler = lambda _: json_reply(COUNTERS["vllm"][1])
    client = await (await start(settings(provider, "vllm", other), environment=KEY)).client()
    for _ in range(4):
        assert (await client.count_tokens("hello", model="chat")).backend == "a"
    assert not other.requests


@pytest.mark.parametrize(
    "answer", [{"count": "many"}, {}, {"count": -1}, []], ids=["a word", "none", "less", "a list"]
)
async def test_what_is_no_count_is_none(start, provider, answer):
    """Not a 0, and not an estimate under another name."""
    provider.handler = lambda _: json_reply(answer)
    client = await (await start(settings(provider, "vllm"), environment=KEY)).client()
    with pytest.raises(PointsmanError) as caught:
        await client.count_tokens("hello", model="chat")
    assert caught.value.reason == "UPSTREAM_BAD_RESPONSE"


async def test_a_bad_question_is_refused_as_generate_would(start, provider):
    """The field is named from the request on."""
    client = await (await start(settings(provider, "vllm"), environment=KEY)).client()
    with pytest.raises(InvalidRequest) as caught:
        await client.count_tokens("hello", model="chat", temperature=9.0)
    assert [violation.field for violation in caught.value.field_violations] == [
        "request.generation.temperature"
    ]
    assert not provider.requests
