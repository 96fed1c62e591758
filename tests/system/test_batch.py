"""BatchGenerate over the wire: a status for each item, so many at once, and an end for all of them."""

import asyncio

import pytest

from pointsman import Client, InvalidRequest, ModelNotFound, PointsmanError, user
from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.replies import Gate, Reset, hang_before_headers, json_reply, stream_reply
from tests.fakes.running_app import backend_at, model_over, one_model, until
from tests.rpc.harness import refusal

PRICE = {"input": 1, "output": 10}


def words(request):
    """What was said last."""
    return request.json()["messages"][-1]["content"]


def echo(request):
    """A provider that repeats, and refuses what begins with `bad`."""
    said = words(request)
    if said.startswith("bad"):
        return json_reply({"error": {"message": "no", "type": "invalid_request_error"}}, status=400)
    return json_reply(chat.whole(said.upper()))


def item(text, **more):
    return pb.BatchItem(request=pb.GenerateRequest(model="chat", prompt=text), **more)


async def warmed(app, provider):
    """A client that has made a call: what runs then is there to stay."""
    handler, provider.handler = provider.handler, chat.as_asked
    client = await app.client()
    await client.generate("warm", model="chat")
    await app.settled_calls()
    app.remember_tasks()
    provider.handler = handler
    return client


async def collected(client, questions, **options):
    results = {}
    async with client.batch(questions, model="chat", **options) as batch:
        async for result in batch:
            assert result.index not in results
            results[result.index] = result
    return results, batch.summary


async def test_every_item_has_its_own_end(start, provider):
    """Answers and failures, each once, and a sum of them all behind."""
    provider.handler = echo
    settings = {
        "backends": {"only": backend_at(provider)},
        "models": {"chat": model_over("only", price=PRICE)},
    }
    app = await start(settings)
    questions = {
        "a": "one",
        "b": "bad two",
        "c": [user("three")],
        "d": pb.GenerateRequest(model="none", prompt="x"),
    }
    results, summary = await collected(await app.client(), questions)
    assert [results[index].custom_id for index in range(4)] == ["a", "b", "c", "d"]
    assert [results[0].unwrap().text, results[2].unwrap().text] == ["ONE", "THREE"]
    assert isinstance(results[1].error, InvalidRequest)
    assert results[1].error.reason == "UPSTREAM_REJECTED"
    assert isinstance(results[3].error, ModelNotFound)
    with pytest.raises(ModelNotFound):
        results[3].unwrap()
    assert (summary.succeeded, summary.failed) == (2, 2)
    assert summary.usage.input_tokens == 6
    assert summary.usage.raw.cost.nanos == 2 * (3 * 1000 + 2 * 10_000)
    assert results[0].answer.request_id == results[3].error.request_id


async def test_a_field_at_fault_is_named_with_its_item(start, provider):
    """As a path from the batch on."""
    app = await start(one_model(provider))
    bad = pb.GenerateRequest(model="chat", prompt="x", generation={"temperature": 99})
    results, _ = await collected(await app.client(), [bad])
    [fault] = results[0].error.field_violations
    assert fault.field == "items[0].request.generation.temperature"
    results, _ = await collected(await app.client(), [pb.GenerateRequest(prompt="x")])
    assert results[0].error.message.startswith("items[0].request.model: name a model;")


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.BatchGenerateRequest(), "items"),
        (pb.BatchGenerateRequest(items=[item("x")] * 6), "items"),
        (pb.BatchGenerateRequest(items=[item("x")], max_concurrency=-1), "max_concurrency"),
        (pb.BatchGenerateRequest(items=[item("x", custom_id="y" * 257)]), "items[0].custom_id"),
    ],
)
async def test_a_batch_that_cannot_be_run(start, provider, request_, field):
    """Is refused whole, before anything is asked."""
    app = await start({**one_model(provider), "server": {"max_batch_items": 5}})
    refused = await refusal((await app.inference()).BatchGenerate(request_))
    assert refused.info.reason == "INVALID_REQUEST"
    assert [fault.field for fault in refused.extras["BadRequest"].field_violations] == [field]
    assert provider.requests == []


@pytest.mark.parametrize(("asked", "most"), [(0, 3), (2, 2), (100, 3)])
async def test_so_many_at_once_and_no_more(start, provider, asked, most):
    """The caller's number, within the server's."""
    gate = asyncio.Event()
    provider.handler = lambda request: stream_reply(chat.BEGIN, Gate(gate), chat.said("x"), chat.END)
    settings = one_model(provider, unary_upstream="stream")
    app = await start({**settings, "server": {"max_batch_concurrency": 3}})
    running = asyncio.ensure_future(collected(await app.client(), ["x"] * 9, max_concurrency=asked))
    await provider.wait_requests(most)
    await asyncio.sleep(0.05)
    assert len(provider.requests) == most
    gate.set()
    _, summary = await running
    assert summary.succeeded == len(provider.requests) == 9


async def test_results_come_as_they_are_ready(start, provider):
    """A slow item does not hold back the others."""
    gate = asyncio.Event()

    def answer(request):
        slow = words(request) == "slow"
        return stream_reply(chat.BEGIN, *([Gate(gate)] if slow else []), chat.said("x"), chat.END)

    provider.handler = answer
    app = await start(one_model(provider, unary_upstream="stream"))
    order = []
    async with (await app.client()).batch(["slow", "quick", "quick"], model="chat") as batch:
        async for result in batch:
            order.append(result.index)
            if len(order) == 2:
                gate.set()
    assert sorted(order[:2]) == [1, 2]
    assert order[2] == 0


async def test_fail_fast_gives_up_the_rest(start, provider):
    """Running items are stopped at their backends, waiting ones never asked; each is told as cancelled."""
    provider.handler = lambda request: echo(request) if words(request) == "bad" else hang_before_headers()
    app = await start({**one_model(provider), "server": {"max_batch_concurrency": 3}})
    client = await warmed(app, provider)
    questions = ["hang", "hang", "bad", "never", "never"]
    results, summary = await collected(client, questions, fail_fast=True)
    assert [results[index].error.reason for index in range(5)] == [
        "CANCELLED", "CANCELLED", "UPSTREAM_REJECTED", "CANCELLED", "CANCELLED",
    ]  # fmt: skip
    assert (summary.succeeded, summary.failed) == (0, 5)
    assert len(provider.requests) == 4
    await until("the hanging ones are closed", lambda: provider.open_connections <= 1)
    await app.settled()


@pytest.mark.parametrize("read_first", [False, True])
async def test_a_caller_that_leaves_stops_all_items(start, provider, read_first):
    """Their places, connections and tasks are free again."""
    provider.handler = lambda request: echo(request) if words(request) == "ok" else hang_before_headers()
    app = await start(one_model(provider))
    client = await warmed(app, provider)
    async with client.batch(["ok", *["hang"] * 5], model="chat") as batch:
        if read_first:
            assert (await anext(batch)).index == 0
        await provider.wait_requests(7)
    await until("the hanging ones are closed", lambda: provider.open_connections <= 1)
    await app.settled()
    line = await app.logged(
        event="call", method="pointsman.v1.InferenceService/BatchGenerate", code="CANCELLED"
    )
    assert "item" not in line or line["item"] > 0


async def test_a_caller_that_does_not_read_holds_little(start, provider):
    """Results wait for it, and further items with them."""
    provider.handler = lambda request: json_reply(chat.whole("x" * 200_000))
    app = await start({**one_model(provider), "server": {"max_batch_concurrency": 2}})
    channel = await app.channel(("grpc.http2.bdp_probe", 0))
    call = pb.InferenceServiceStub(channel).BatchGenerate(pb.BatchGenerateRequest(items=[item("x")] * 50))
    await until("the first items are asked", lambda: len(provider.requests) >= 3)
    await asyncio.sleep(0.2)
    assert len(provider.requests) < 15
    messages = [message async for message in call]
    assert len(messages) == 51
    assert messages[-1].completed.succeeded == 50


async def test_the_deadline_ends_every_item(start, provider):
    """Those that hang are told as late, within the call's own time or by its status."""
    provider.handler = lambda request: hang_before_headers()
    app = await start(one_model(provider))
    client = await warmed(app, provider)
    try:
        results, _ = await collected(client, ["a", "b"], timeout_s=0.6)
    except PointsmanError as error:
        reasons = {error.reason}
    else:
        reasons = {result.error.reason for result in results.values()}
    assert reasons == {"DEADLINE_EXCEEDED"}
    await until("the hanging ones are closed", lambda: provider.open_connections <= 1)
    await app.settled()


async def test_items_are_logged_and_counted_one_by_one(start, provider):
    """With the batch's request id, their place in it, tokens and reason; a broken attempt is failed over as ever."""
    replies = iter(
        [stream_reply(chat.BEGIN, Reset()), *[stream_reply(chat.BEGIN, chat.said("x"), chat.END)] * 2]
    )
    provider.handler = lambda request: next(replies)
    app = await start(one_model(provider, unary_upstream="stream"))
    client = await app.client()
    results, _ = await collected(client, ["x", "y"], max_concurrency=1, request_id="batch-1")
    assert all(result.answer is not None for result in results.values())
    lines = [await app.logged(event="call", item=index) for index in (0, 1)]
    whole = await app.logged(event="call", messages_sent=3)
    assert {line["request_id"] for line in (*lines, whole)} == {"batch-1"}
    assert [len(line["attempts"]) for line in lines] == [2, 1]
    assert "item" not in whole
    assert app.metric("pointsman_calls_total", model="chat", reason="OK") == 2
    tokens = app.metric("pointsman_tokens_total", principal="anonymous", model="chat", type="output")
    assert tokens == 4


async def test_no_item_passes_the_access_list_or_the_gate(start, provider):
    """Each is admitted as a call of its own."""
    provider.handler = echo
    app = await start({**one_model(provider), "server": {"max_calls": 1}})
    results, _ = await collected(await app.client(), ["a", "b"], max_concurrency=1)
    assert all(result.answer is not None for result in results.values())


async def test_the_blocking_client_asks_for_batches_too(start, provider):
    """With the same results."""
    provider.handler = echo
    app = await start(one_model(provider))

    def ask():
        with Client(app.target) as client, client.batch(["one", "bad"], model="chat") as batch:
            return sorted(batch, key=lambda result: result.index), batch.summary

    results, summary = await asyncio.to_thread(ask)
    assert results[0].unwrap().text == "ONE"
    assert results[1].error.reason == "UPSTREAM_REJECTED"
    assert (summary.succeeded, summary.failed) == (1, 1)
