"""Usage and cost, wherever a call ends."""

import pytest

from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.replies import Hang, Reset, json_reply, sse_text, stream_reply
from tests.fakes.running_app import backend_at, model_over
from tests.system.asking import BOTH, ask, failure

PRICE = {"input": 1, "output": 10, "cached_input": 0.5}
"""Of a currency's unit per million tokens: 1000 nanos for a token of input, 10000 for one of output."""
COST = 3 * 1000 + 2 * 10_000
"""Of chat.USAGE."""


def priced(provider):
    """One model with a price."""
    return {"backends": {"only": backend_at(provider)}, "models": {"chat": model_over("only", price=PRICE)}}


@BOTH
async def test_an_answer_tells_what_it_cost(start, provider, stream):
    """By the provider's own count, in the answer, the log and the metrics."""
    provider.handler = chat.as_asked
    app = await start(priced(provider))
    answer = await ask(await app.client(), stream=stream)
    usage = answer.usage.raw
    assert (usage.input_tokens, usage.output_tokens) == (3, 2)
    assert usage.source == pb.USAGE_SOURCE_REPORTED
    assert (usage.cost.nanos, usage.cost.currency) == (COST, "USD")
    line = await app.logged(event="call")
    assert (line["cost_nanos"], line["currency"]) == (COST, "USD")
    assert "usage_source" not in line
    assert app.metric(
        "pointsman_cost_total", principal="anonymous", model="chat", currency="USD"
    ) == pytest.approx(COST / 1e9)


@BOTH
async def test_what_a_provider_does_not_count_is_estimated(start, provider, stream):
    """And marked as such."""
    whole = json_reply({**chat.whole("x" * 40), "usage": None})
    parts = stream_reply(chat.BEGIN, chat.said("x" * 40), sse_text(chat.STOP))
    provider.handler = lambda request: parts if chat.streams(request) else whole
    app = await start(priced(provider))
    usage = (await ask(await app.client(), "y" * 80, stream=stream)).usage.raw
    assert (usage.output_tokens, usage.source) == (10, pb.USAGE_SOURCE_ESTIMATED)
    assert 20 <= usage.input_tokens <= 30
    assert usage.cost.nanos == usage.input_tokens * 1000 + 10 * 10_000
    assert (await app.logged(event="call"))["usage_source"] == "estimated"


async def test_a_stream_that_breaks_tells_what_it_cost(start, provider):
    """In the Failure, by what came until then."""
    provider.script(stream_reply(chat.BEGIN, chat.said("x" * 40), Reset()))
    app = await start(priced(provider))
    failed = await failure(await app.client(), stream=True)
    assert failed.reason == "STREAM_INTERRUPTED"
    usage = failed.told.failure.usage
    assert (usage.output_tokens, usage.source) == (10, pb.USAGE_SOURCE_ESTIMATED)
    assert usage.cost.nanos == usage.input_tokens * 1000 + 10 * 10_000


async def test_a_call_that_is_cancelled_is_logged_with_its_cost(start, provider):
    """Nobody is told any more, but it was paid for."""
    provider.script(stream_reply(chat.BEGIN, chat.said("x" * 40), Hang()))
    app = await start(priced(provider))
    async with (await app.client()).stream("hello", model="chat") as answer:
        await anext(answer)
    line = await app.logged(event="call", code="CANCELLED")
    assert line["output_tokens"] == 10
    assert line["usage_source"] == "estimated"
    assert line["cost_nanos"] == line["input_tokens"] * 1000 + 100_000


async def test_a_failed_attempt_is_paid_for_too(start, provider, other):
    """The answer's cost is its own; the metric counts what was spent, the log says on what."""
    provider.handler = lambda _: stream_reply(chat.BEGIN, chat.said("x" * 40), Reset())
    other.handler = chat.as_asked
    settings = {
        "backends": {
            "one": backend_at(provider, unary_upstream="stream"),
            "two": backend_at(other),
        },
        "models": {"chat": model_over("one", "two", price=PRICE)},
    }
    app = await start(settings)
    answer = await ask(await app.client(), stream=False)
    assert answer.usage.raw.cost.nanos == COST
    failed, served = (await app.logged(event="call"))["attempts"]
    assert failed["cost_nanos"] >= 100_000
    assert "cost_nanos" not in served
    spent = app.metric("pointsman_cost_total", principal="anonymous", model="chat", currency="USD")
    assert spent == pytest.approx((COST + failed["cost_nanos"]) / 1e9)


async def test_prices_by_target_by_model_and_by_table(start, provider):
    """The nearest counts; ModelService tells it; a model of one's own has none."""
    provider.handler = chat.as_asked
    backends = {"hosted": {**backend_at(provider), "provider": "openai"}, "own": backend_at(provider)}
    models = {
        "target": {
            "targets": [{"backend": "own", "model": "m", "price": {"output": 7, "currency": "EUR"}}],
            "price": PRICE,
        },
        "model": {"targets": [{"backend": "own", "model": "m"}], "price": PRICE},
        "table": {"targets": [{"backend": "hosted", "model": "gpt-4o-mini"}]},
        "free": {"targets": [{"backend": "own", "model": "gpt-4o-mini"}]},
    }
    app = await start({"backends": backends, "models": models})
    client, costs = await app.client(), {}
    for name in models:
        usage = (await ask(client, stream=False, model=name)).usage.raw
        costs[name] = (usage.cost.nanos, usage.cost.currency) if usage.HasField("cost") else None
    assert costs == {
        "target": (14_000, "EUR"), "model": (COST, "USD"), "table": (3 * 150 + 2 * 600, "USD"), "free": None,
    }  # fmt: skip
    stub = await app.models()
    listed = await stub.ListModels(pb.ListModelsRequest(view=pb.MODEL_VIEW_FULL))
    told = {model.name: model.pricing for model in listed.models if model.HasField("pricing")}
    assert set(told) == {"target", "model", "table"}
    assert (told["target"].currency, told["target"].output_nanos) == ("EUR", 7_000_000_000)
    assert not told["target"].HasField("input_nanos")
    assert told["model"].cached_input_nanos == 500_000_000
