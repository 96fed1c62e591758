import asyncio

from pointsman import StreamInterrupted
from tests.fakes import chat
from tests.fakes.replies import Gate, Reply, stream_reply
from tests.fakes.running_app import backend_at, until
from tests.system.asking import ask

UNARY, STREAMS = 25, 25
LOST = {"UPSTREAM_TRUNCATED", "UPSTREAM_UNREACHABLE"}


class Doomed:
    """Answers of a provider that is about to die: every second stream begins, nothing ends before the gate opens."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.begun = 0

    def __call__(self, request):
        if not chat.streams(request):
            return Reply(200, before=(Gate(self.gate),))
        self.begun += 1
        if self.begun % 2:
            return stream_reply(chat.BEGIN, Gate(self.gate), chat.said("Hello", " there"), chat.END)
        return stream_reply(chat.BEGIN, chat.said("Hello"), Gate(self.gate), chat.said(" there"), chat.END)


class Watched:
    """A stream with what its caller has seen of it."""

    def __init__(self, client):
        self.text = ""
        self.task = asyncio.ensure_future(self._read(client))

    async def _read(self, client):
        async with client.stream("hello", model="chat") as stream:
            async for event in stream:
                self.text += event.text
        return stream.result


async def test_a_backend_killed_under_load_costs_only_what_was_begun(start, provider, other):
    """No unary call fails, no stream without content fails; those with content say so and never end OK."""
    provider.handler = Doomed()
    other.handler = chat.as_asked
    settings = {
        "backends": {"dying": backend_at(provider), "living": backend_at(other)},
        "models": {
            "chat": {"targets": [{"backend": "dying"}, {"backend": "living"}], "policy": "round_robin"}
        },
    }
    app = await start(settings)
    client = await app.client()
    unary = [asyncio.ensure_future(ask(client, stream=False)) for _ in range(UNARY)]
    streams = [Watched(client) for _ in range(STREAMS)]
    await provider.wait_requests((UNARY + STREAMS) // 2)
    there = sum(not chat.streams(request) for request in provider.requests)
    await until("the others are answered", lambda: sum(task.done() for task in unary) == UNARY - there)
    begun = provider.handler.begun // 2
    await until("streams have begun", lambda: sum(s.text == "Hello" for s in streams) == begun)
    interrupted = [stream for stream in streams if stream.text == "Hello"]
    assert interrupted
    await provider.kill()

    answers = await asyncio.gather(*unary)
    assert {answer.text for answer in answers} == {"Hello there"}
    assert {answer.backend for answer in answers} == {"living"}
    for stream in streams:
        if stream in interrupted:
            error = (await asyncio.gather(stream.task, return_exceptions=True))[0]
            assert isinstance(error, StreamInterrupted), error
            assert error.reason == "STREAM_INTERRUPTED"
            assert error.cause in LOST
            assert error.content_delivered
            assert not error.retryable
            assert stream.text == "Hello"
        else:
            assert (await stream.task).text == "Hello there"
    await app.settled_calls()


async def test_a_backend_that_is_down_from_the_start_costs_nothing(start, provider, other):
    """Connections that are refused are failed over, free of the retry budget, until the backend is ejected."""
    await provider.kill()
    other.handler = chat.as_asked
    settings = {
        "retry": {"budget_ratio": 0, "budget_floor": 0},
        "backends": {"down": backend_at(provider), "living": backend_at(other)},
        "models": {"chat": {"targets": [{"backend": "down"}, {"backend": "living", "group": 1}]}},
    }
    app = await start(settings)
    client = await app.client()
    answers = [await ask(client, stream=n % 2 == 0) for n in range(20)]
    assert {answer.backend for answer in answers} == {"living"}
    assert [len(answer.routing.attempts) for answer in answers] == [2] * 5 + [1] * 15
    assert app.metric("pointsman_backend_ejections_total", backend="down") == 1
    assert app.metric("pointsman_backend_state", backend="down", state="EJECTED") == 1
    await app.logged(event="backend_ejected", backend="down")


async def test_an_ejected_backend_comes_back(start, provider, other):
    """After its ejection one call probes it, and then it serves again."""
    await provider.kill()
    other.handler = provider.handler = chat.as_asked
    settings = {
        "ejection": {"consecutive_failures": 1, "base_s": 0.2, "jitter": 0},
        "backends": {"down": backend_at(provider), "living": backend_at(other)},
        "models": {"chat": {"targets": [{"backend": "down"}, {"backend": "living", "group": 1}]}},
    }
    app = await start(settings)
    client = await app.client()
    assert (await ask(client, stream=False)).backend == "living"
    await provider.start()

    async def returned():
        return (await ask(client, stream=False)).backend == "down"

    await until("the backend serves again", returned)
    assert app.metric("pointsman_backend_state", backend="down", state="HEALTHY") == 1


async def test_a_unary_answer_that_breaks_off_is_asked_for_again(start, provider, other):
    """A caller that has received nothing yet does not learn of a broken answer."""
    half = Reply(200, {"content-type": "application/json"}, (b'{"choices": [',), close=True, length=9999)
    provider.script(half)
    other.handler = chat.as_asked
    settings = {
        "backends": {"first": backend_at(provider), "second": backend_at(other)},
        "models": {"chat": {"targets": [{"backend": "first"}, {"backend": "second", "group": 1}]}},
    }
    app = await start(settings)
    answer = await ask(await app.client(), stream=False)
    assert answer.text == "Hello there"
    assert [attempt.backend for attempt in answer.routing.attempts] == ["first", "second"]


async def test_many_retries_are_held_back_by_the_budget(start, provider):
    """With all backends failing, attempts stay within the calls and a tenth of them (B08)."""
    provider.script(chat.error_reply(503))
    settings = {
        "retry": {"budget_floor": 0},
        "ejection": {"max_ejected_share": 0},
        "backends": {"bad": backend_at(provider)},
        "models": {"chat": {"targets": [{"backend": "bad"}]}},
    }
    app = await start(settings)
    client = await app.client()
    ends = await asyncio.gather(*(ask(client, stream=n % 2 == 0) for n in range(100)), return_exceptions=True)
    assert {end.reason for end in ends} == {"UPSTREAM_UNAVAILABLE"}
    assert 100 < len(provider.requests) <= 100 * 1.1 + 1
