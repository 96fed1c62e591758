"""The contract's rules about a stream, each over the wire."""

import asyncio

import grpc
import pytest

from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.replies import Gate, Reset, sse_text, stream_reply
from tests.fakes.running_app import backend_at, model_over, one_model
from tests.system.asking import ask

PROMPT = pb.GenerateRequest(
    model="chat",
    conversation={"messages": [{"role": pb.ROLE_USER, "parts": [{"text": "hello"}]}]},
)
ORDER = ("rerouted", "started", "deltas", "candidate_finished", "usage_update", "completed")


def asking(**fields):
    request = pb.GenerateRequest()
    request.CopyFrom(PROMPT)
    request.MergeFrom(pb.GenerateRequest(**fields))
    return request


async def frames_of(stub, request=PROMPT):
    return [frame async for frame in stub.StreamGenerate(request, timeout=10)]


async def rest_of(call):
    frames = []
    while (frame := await call.read()) is not grpc.aio.EOF:
        frames.append(frame)
    return frames


def text(frames):
    return "".join(delta.text for frame in frames for delta in frame.deltas)


async def test_what_is_ready_together_is_one_message(start, provider):
    """Rule 1: an answer that comes at once is one frame with everything in it."""
    provider.script(stream_reply(chat.BEGIN + chat.said("Hello", " there") + chat.END))
    app = await start(one_model(provider))
    [frame] = await frames_of(await app.inference())
    assert {field.name for field, _ in frame.ListFields()} == {
        "started", "deltas", "candidate_finished", "completed",
    }  # fmt: skip
    [delta] = frame.deltas
    assert delta.text == "Hello there"


async def test_started_comes_with_the_first_content(start, provider):
    """Rule 2: once, with the first delta that is not empty; a 200 and a role are nothing yet."""
    gate = asyncio.Event()
    provider.script(
        stream_reply(chat.BEGIN, Gate(gate), chat.said("Hello"), Gate(gate), chat.said(" there"), chat.END)
    )
    app = await start(one_model(provider))
    call = (await app.inference()).StreamGenerate(PROMPT)
    first = asyncio.ensure_future(call.read())
    await provider.wait_requests(1)
    done, _ = await asyncio.wait((first,), timeout=0.2)
    assert not done
    gate.set()
    frames = [await first, *await rest_of(call)]
    assert [frame.HasField("started") for frame in frames] == [True] + [False] * (len(frames) - 1)
    assert frames[0].started.backend == "only"
    assert frames[0].started.attempt == 1
    assert frames[0].deltas[0].text
    assert text(frames) == "Hello there"


async def test_started_may_come_with_the_end(start, provider):
    """Rule 2: an answer without content starts with the end of its first candidate."""
    provider.script(stream_reply(chat.BEGIN, sse_text(chat.chunk(finish="content_filter"))))
    app = await start(one_model(provider))
    frames = await frames_of(await app.inference())
    [finished] = [end for frame in frames for end in frame.candidate_finished]
    assert finished.finish_reason == pb.FINISH_REASON_CONTENT_FILTER
    assert next(frame for frame in frames if frame.HasField("started")).candidate_finished


async def test_a_backend_may_fail_before_content(start, provider, other):
    """Rule 2: role and 200 seen, content not: the next backend serves, and the attempts are told on request."""
    provider.script(stream_reply(chat.BEGIN, Reset()))
    other.handler = chat.as_asked
    settings = {
        "backends": {"first": backend_at(provider), "second": backend_at(other)},
        "models": {"chat": model_over("first", "second")},
    }
    app = await start(settings)
    frames = await frames_of(await app.inference(), asking(stream_options={"include_routing_events": True}))
    [started] = [frame.started for frame in frames if frame.HasField("started")]
    assert (started.backend, started.attempt) == ("second", 2)
    assert [attempt.backend for attempt in started.attempts] == ["first"]
    assert started.attempts[0].reason == pb.ERROR_REASON_UPSTREAM_TRUNCATED
    assert text(frames) == "Hello there"


async def test_deltas_are_increments_and_every_candidate_ends_once(start, provider):
    """Rule 3, with two candidates that come interleaved."""
    events = [chat.chunk(word, index=n) for word in ("a", "b", "c") for n in (0, 1)]
    ends = [chat.chunk(finish="stop", index=0), chat.chunk(finish="length", index=1), chat.usage_chunk()]
    provider.script(stream_reply(*(sse_text(event, done=False) for event in events), sse_text(*ends)))
    app = await start(one_model(provider))
    frames = await frames_of(await app.inference(), asking(generation={"n": 2}))
    for index in (0, 1):
        deltas = [delta for frame in frames for delta in frame.deltas if delta.candidate_index == index]
        assert "".join(delta.text for delta in deltas) == "abc"
    finished = [end for frame in frames for end in frame.candidate_finished]
    assert {end.candidate_index: end.finish_reason for end in finished} == {
        0: pb.FINISH_REASON_STOP, 1: pb.FINISH_REASON_MAX_TOKENS,
    }  # fmt: skip
    assert len(finished) == 2


async def test_completed_once_and_last(start, provider):
    """Rule 3: with usage and routing; the trailers say the same."""
    provider.script(chat.streamed("a", "b", "c"))
    app = await start(one_model(provider))
    call = (await app.inference()).StreamGenerate(PROMPT, metadata=(("x-request-id", "mine"),))
    frames = [frame async for frame in call]
    assert [frame.HasField("completed") for frame in frames] == [False] * (len(frames) - 1) + [True]
    completed = frames[-1].completed
    assert completed.usage.total_tokens == 5
    assert completed.routing.request_id == "mine"
    assert [attempt.code for attempt in completed.routing.attempts] == [0]
    assert await call.code() is grpc.StatusCode.OK
    trailers = dict(await call.trailing_metadata())
    assert trailers["x-request-id"] == "mine"
    assert (trailers["x-pointsman-backend"], trailers["x-pointsman-attempts"]) == ("only", "1")


@pytest.mark.parametrize("count", [1, 2, 7, 50])
async def test_a_break_ends_the_stream_after_exactly_what_came(start, provider, count):
    """Rule 4: never in-band, one attempt, no token twice or lost (B09)."""
    words = [f"word{n} " for n in range(count)]
    provider.script(stream_reply(chat.BEGIN, *(chat.said(word) for word in words), Reset()))
    app = await start(one_model(provider))
    call = (await app.inference()).StreamGenerate(PROMPT)
    frames = []

    async def read_on():
        async for frame in call:
            frames.append(frame)  # noqa: PERF401 - what came must stay when it fails.

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read_on()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "".join(words).startswith(text(frames))
    assert text(frames)
    assert not any(frame.HasField("completed") for frame in frames)
    assert len(provider.requests) == 1


async def test_sequence_counts_without_a_gap_and_order_holds(start, provider):
    """Rules 1 and 5: numbers from 0, and the fields of each frame in the contract's order of events."""
    words = [f"{n} " for n in range(30)]
    gates = [asyncio.Event() for _ in words]
    steps = [step for word, gate in zip(words, gates, strict=True) for step in (Gate(gate), chat.said(word))]
    provider.script(stream_reply(chat.BEGIN, *steps, chat.END))
    app = await start(one_model(provider))
    call = (await app.inference()).StreamGenerate(asking(stream_options={"include_usage_updates": True}))
    frames = []
    for gate in gates:
        gate.set()
        frames.append(await call.read())
    frames += await rest_of(call)
    assert [frame.sequence for frame in frames] == list(range(len(frames)))
    assert text(frames) == "".join(words)
    told = [name for frame in frames for name in ORDER if _has(frame, name)]
    assert told == ["started", *["deltas"] * 30, "candidate_finished", "completed"]


def _has(frame, name):
    value = getattr(frame, name)
    return bool(value) if name in ("deltas", "candidate_finished") else frame.HasField(name)


@pytest.mark.parametrize("coalesce_ms", [0, 50, 1000])
async def test_merging_changes_neither_content_nor_order(start, provider, coalesce_ms):
    """Rule 5: however wide the window, the parts join to the same."""
    thought = [chat.chunk(reasoning_content=word) for word in ("think ", "hard")]
    said = [chat.chunk(word) for word in ("so ", "it ", "is")]
    events = [sse_text(event, done=False) for event in (*thought, *said)]
    provider.script(stream_reply(*events, chat.END, delay_s=0.005))
    app = await start(one_model(provider))
    frames = await frames_of(
        await app.inference(),
        asking(
            stream_options={"coalesce": {"nanos": coalesce_ms % 1000 * 10**6, "seconds": coalesce_ms // 1000}}
        ),
    )
    kinds = [delta.WhichOneof("content") for frame in frames for delta in frame.deltas]
    assert "".join(delta.reasoning for frame in frames for delta in frame.deltas) == "think hard"
    assert text(frames) == "so it is"
    assert kinds == sorted(kinds, key=("reasoning", "text").index)


async def test_unary_is_the_fold_of_the_same_events(start, provider):
    """Rule 6: both ways give the same answer, tool calls and reasoning included."""
    call = {"index": 0, "id": "call-1", "function": {"name": "look", "arguments": '{"at": "this"}'}}
    head, tail = (
        {**call, "function": {"name": "look", "arguments": '{"at": '}},
        {"index": 0, "function": {"arguments": '"this"}'}},
    )
    message = {
        "role": "assistant", "content": "Well", "reasoning_content": "hm",
        "tool_calls": [{"id": "call-1", "type": "function", "function": call["function"]}],
    }  # fmt: skip
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    events = (
        chat.chunk(reasoning_content="hm"), chat.chunk("We"), chat.chunk("ll"), chat.chunk(tool_calls=[head]),
        chat.chunk(tool_calls=[tail]), chat.chunk(finish="tool_calls"), chat.usage_chunk(),
    )  # fmt: skip
    provider.handler = lambda request: (
        stream_reply(sse_text(*events))
        if chat.streams(request)
        else chat.json_reply(chat.whole(choices=choices))
    )
    app = await start(one_model(provider))
    client = await app.client()
    tools = [{"name": "look"}]
    whole = await ask(client, stream=False, tools=tools)
    folded = await ask(client, stream=True, tools=tools)
    assert whole.raw.candidates == folded.raw.candidates
    assert whole.tool_calls[0].arguments == {"at": "this"}
    assert whole.usage.raw == folded.usage.raw


async def test_keep_alives_make_no_message(start, provider):
    """Rule 7: comments of the upstream are not told."""
    comment = b": keep-alive\n\n"
    provider.script(
        stream_reply(
            comment, chat.BEGIN, comment, chat.said("Hello"), *[comment] * 20, chat.END, delay_s=0.002
        )
    )
    app = await start(one_model(provider))
    frames = await frames_of(await app.inference())
    assert len(frames) <= 2
    assert text(frames) == "Hello"
