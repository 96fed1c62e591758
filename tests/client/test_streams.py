import asyncio
import threading

import grpc
import pytest

import pointsman
from pointsman import v1
from tests.fakes.service import Fail, Hold, frames, numbered


def test_an_answer_comes_in_pieces_and_as_a_whole(fake, asker):
    """Events as they come, and their fold at the end: what a unary call would have answered."""
    events = []
    result = asker.stream("hello", model="small", events=events, request_id="s1")
    assert [event.text for event in events] == ["You ", "said: ", "hello", ""]
    assert events[0].started is not None
    assert events[0].started.backend == "fake-a"
    assert events[-1].completed is not None
    assert [finished.finish_reason for finished in events[-1].finished] == [v1.FINISH_REASON_STOP]
    unary = asker.generate("hello", model="small", request_id="s1")
    assert (result.text, result.usage, result.backend) == (unary.text, unary.usage, unary.backend)
    assert result.request_id == "s1"


def test_text_alone_can_be_iterated(fake, client):
    """`text_stream` yields the pieces that hold text."""
    with client.stream("hello") as stream:
        assert list(stream.text_stream) == ["You ", "said: ", "hello"]
    assert stream.result.text == "You said: hello"


def test_text_alone_can_be_iterated_asynchronously(fake):
    """The same with asyncio."""

    async def run():
        async with pointsman.AsyncClient(fake.target) as client, client.stream("hello") as stream:
            return [text async for text in stream.text_stream], await stream.collect()

    pieces, result = asyncio.run(run())
    assert pieces == ["You ", "said: ", "hello"]
    assert result.text == "You said: hello"


def test_collect_reads_to_the_end(client):
    """Whoever wants only the whole answer asks for it."""
    with client.stream("hello") as stream:
        assert stream.collect().text == "You said: hello"


def test_everything_in_a_frame_can_be_read(fake, asker):
    """Reasoning, refusals, tool calls and usage, merged into one message."""
    frame = v1.StreamGenerateResponse(
        deltas=[
            v1.Delta(reasoning="hm"),
            v1.Delta(part_index=1, tool_call=v1.ToolCallDelta(id="c", name="f", arguments_json="{}")),
            v1.Delta(part_index=2, refusal="no"),
            v1.Delta(candidate_index=1, text="another"),
        ],
        usage_update=v1.Usage(output_tokens=3),
        completed=v1.Completed(),
    )
    fake.script(frame)
    events = []
    result = asker.stream("x", events=events)
    [event] = events
    assert (event.text, event.reasoning, event.refusal) == ("", "hm", "no")
    assert len(event.deltas) == 4
    assert event.usage is not None
    assert event.usage.output_tokens == 3
    assert result.tool_calls[0].name == "f"
    assert result.candidates[1].text == "another"


def test_leaving_early_cancels(fake, client):
    """Whoever breaks off the loop stops the model, and pays for no more."""
    fake.script(*frames("one", "two", complete=False), Hold())
    with client.stream("x") as stream:
        for event in stream:
            if event.text == "two":
                break
    assert fake.seen[0].left.wait(10)
    assert stream.partial.text == "onetwo"
    with pytest.raises(RuntimeError, match="not whole yet"):
        _ = stream.result


def test_an_exception_in_the_loop_cancels(fake, client):
    """So does whatever goes wrong in the caller's own code."""
    fake.script(*frames("one", complete=False), Hold())

    def read():
        with client.stream("x") as stream:
            for _ in stream:
                raise LookupError

    with pytest.raises(LookupError):
        read()
    assert fake.seen[0].left.wait(10)


def test_leaving_early_cancels_asynchronously(fake):
    """The same with asyncio, by `break`."""
    fake.script(*frames("one", complete=False), Hold())

    async def run():
        async with pointsman.AsyncClient(fake.target) as client, client.stream("x") as stream:
            async for _ in stream:
                break
            return stream.partial.text

    assert asyncio.run(run()) == "one"
    assert fake.seen[0].left.wait(10)


def test_cancelling_the_task_cancels_the_stream(fake):
    """A task that is cancelled while it waits for the next piece takes the call along."""
    fake.script(*frames("one", complete=False), Hold())
    got = threading.Event()

    async def run():
        async def read(client):
            async with client.stream("x") as stream:
                async for _ in stream:
                    got.set()

        async with pointsman.AsyncClient(fake.target) as client:
            task = asyncio.create_task(read(client))
            await asyncio.to_thread(got.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert fake.seen[0].left.wait(10)


def test_pieces_come_when_they_are_sent(fake, client):
    """A piece is with the caller while the server still waits for the next."""
    fake.script(*frames("one", complete=False), Hold(), _last(1))
    with client.stream("x") as stream:
        assert next(stream).text == "one"
        fake.let_go()
        assert next(stream).completed is not None


def _last(sequence):
    return v1.StreamGenerateResponse(sequence=sequence, completed=v1.Completed())


@pytest.mark.parametrize("texts", [(), ("half",)])
def test_a_stream_that_ends_short_is_truncated(fake, asker, texts):
    """OK without `completed` is no answer: the error says so, and whether content came."""
    fake.script(*(frames(*texts, complete=False) if texts else ()))
    with pytest.raises(pointsman.StreamTruncated, match="before the answer was whole") as caught:
        asker.stream("x", request_id="r")
    error = caught.value
    assert isinstance(error, pointsman.StreamInterrupted)
    assert (error.retryable, error.content_delivered, error.request_id) == (not texts, bool(texts), "r")


def test_a_missing_message_is_noticed(fake, asker):
    """Messages are numbered without a gap; one that is missing makes the answer worthless."""
    broken = frames("one", "two", "three")
    del broken[1]
    fake.script(*broken)
    with pytest.raises(pointsman.StreamTruncated, match="message 1 of the stream is missing"):
        asker.stream("x")


def _restarted():
    again = frames("right")
    again[0].ClearField("started")
    again[0].rerouted.CopyFrom(
        v1.Rerouted(
            started=v1.Started(model="small", backend="b"),
            discard=True,
            reason=v1.ERROR_REASON_UPSTREAM_UNREACHABLE,
        )
    )
    return numbered(*frames("wrong", complete=False), *again)


def test_a_restart_voids_what_came(fake, asker):
    """`discard` tells the caller, and the whole answer holds the new attempt alone."""
    fake.script(*_restarted())
    events = []
    result = asker.stream("x", events=events, routing={"on_interrupt": "restart"})
    assert [event.discard for event in events] == [False, True, False]
    assert events[1].rerouted is not None
    assert events[1].rerouted.reason == v1.ERROR_REASON_UPSTREAM_UNREACHABLE
    assert result.text == "right"


def test_text_alone_is_refused_where_it_could_become_void(client):
    """Text pieces cannot say that earlier ones are void, so the two cannot be combined."""
    with (
        client.stream("x", routing={"on_interrupt": "restart"}) as stream,
        pytest.raises(ValueError, match="discard"),
    ):
        _ = stream.text_stream


def test_a_failure_leaves_what_came_in_reach(fake, client):
    """After an error `partial` holds the answer so far."""
    fake.script(*frames("half", complete=False), Fail(grpc.StatusCode.INTERNAL, reason="INTERNAL"))
    with client.stream("x") as stream:
        with pytest.raises(pointsman.ServerError) as caught:
            stream.collect()
        assert stream.partial.text == "half"
        assert list(stream) == []
    assert caught.value.content_delivered


def test_a_bare_cancellation_by_the_server_is_an_exception(fake, asker):
    """Also with asyncio, where CancelledError would be taken for the task's own end."""
    fake.script(*frames("half", complete=False), Fail(grpc.StatusCode.CANCELLED, "dropped"))
    with pytest.raises(pointsman.Cancelled, match="dropped"):
        asker.stream("x")


def test_a_deadline_ends_a_stream(fake, asker):
    """The deadline goes for the whole stream, however lively it is."""
    fake.script(*frames("half", complete=False), Hold())
    with pytest.raises(pointsman.DeadlineExceeded) as caught:
        asker.stream("x", timeout_s=0.3)
    assert caught.value.content_delivered


def test_a_stream_needs_its_with(fake, client):
    """Nothing is sent before `with`, and a stream is entered once."""
    stream = client.stream("x")
    assert not fake.seen
    with pytest.raises(RuntimeError, match="begins with `with`"):
        next(stream)
    with stream:
        stream.collect()
    with pytest.raises(RuntimeError, match="entered once"):
        stream.__enter__()


def test_mistakes_show_before_the_stream_begins(client):
    """A misspelt option fails where it stands."""
    with pytest.raises(TypeError, match="unknown option"):
        client.stream("x", temprature=1)


def test_many_threads_can_share_a_client(fake, client):
    """Each gets its own answer."""
    results = {}

    def ask(word):
        with client.stream(word) as stream:
            results[word] = stream.collect().text

    threads = [threading.Thread(target=ask, args=(f"w{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {f"w{i}": f"You said: w{i}" for i in range(8)}
