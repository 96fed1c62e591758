"""Deadlines and the timeouts of attempts."""

from __future__ import annotations

import asyncio

import pytest

from pointsman_server.domain import Opened
from pointsman_server.errors import Reason
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import END, Accept, Hang, ScriptedUpstream, Wait, refused, served, text
from tests.flow.rig import Rig, failure_of, joined

TIMEOUTS = {"timeouts": {"first_content_s": 3.0, "idle_s": 2.0, "total_s": 30.0}}
LATE, TIMED_OUT = Reason.DEADLINE_EXCEEDED, Reason.UPSTREAM_TIMEOUT
OPENED = [Opened("r")]


def rig(*script, second=None, **config):
    upstreams = {"a": [list(script)]} | ({"b": [second]} if second else {})
    return Rig(upstreams, backends=dict.fromkeys(upstreams, TIMEOUTS), **config)


STAGES = {
    "while it is opened": [Hang()],
    "before content": [Accept(), OPENED, Hang()],
    "in mid-answer": [Accept(), [text("x")], Hang()],
    "while it drips": [Accept(), *([text("x")], Wait(0.5)) * 100],
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stage", STAGES)
async def test_deadline(stage, stream):
    """At every stage of an attempt the deadline is told as ours, in time, with nothing left open."""
    moves = [move for step in STAGES[stage] for move in (step if isinstance(step, tuple) else (step,))]
    one = rig(*moves, second=served())
    began = one.clock.now()
    error = await failure_of(one.stream(timeout_s=1.7) if stream else one.generate(timeout_s=1.7))
    assert error.reason is LATE
    assert one.clock.now() - began == pytest.approx(1.7)
    assert one.reasons == [LATE]
    assert one.book("a").breaker.error_ratio(one.clock.now()) == 0
    one.assert_idle()


async def test_deadline_while_waiting_for_a_place():
    """A wait for a place is far shorter than the deadline, and ends with QUEUE_TIMEOUT."""
    one = Rig({"a": [[Hang()]]}, backends={"a": {"max_concurrency": 1}})
    first = asyncio.create_task(one.failure(timeout_s=60))
    await asyncio.sleep(0)
    began = one.clock.now()
    error = await one.failure(timeout_s=4)
    assert error.reason is Reason.QUEUE_TIMEOUT
    assert one.clock.now() - began == pytest.approx(0.4)
    assert (await first).reason is TIMED_OUT
    one.assert_idle()


async def test_deadline_in_backoff():
    """A backoff never outlives the deadline: the failure stands instead."""
    one = Rig(
        {"a": [refused(Reason.UPSTREAM_UNAVAILABLE)]},
        retry={"backoff_base_s": 50.0, "backoff_max_s": 50.0},
        seed=3,
    )
    for _ in range(10):
        began = one.clock.now()
        error = await one.failure(timeout_s=5)
        assert error.reason is Reason.UPSTREAM_UNAVAILABLE
        assert one.clock.now() - began < 5
    one.assert_idle()


@pytest.mark.parametrize("stream", [True, False])
async def test_deadline_while_the_consumer_is_at_work(stream):
    """A consumer that is blocked, as in a write, is cut off at the deadline, and the attempt with it."""
    one = rig(Accept(), [text("x")], [text("y")], [END])
    began = one.clock.now()
    run = one.open(stream=stream, timeout_s=5)

    async def blocked():
        async with run:
            async for _ in run:
                await asyncio.get_running_loop().create_future()

    error = await failure_of(blocked())
    assert error.reason is LATE
    assert one.clock.now() - began == pytest.approx(5)
    assert one.reasons == [LATE]
    assert run.report().attempts[0].reason is LATE
    one.assert_idle()


async def test_no_time_left():
    """With less than 10 ms left no upstream is asked, neither first nor again."""
    one = rig(second=served())
    assert (await one.failure(timeout_s=0.009)).reason is LATE
    assert one.tried == []
    one = rig(Wait(1.995), *refused(Reason.UPSTREAM_UNREACHABLE), second=served())
    assert (await one.failure(timeout_s=2)).reason is Reason.UPSTREAM_UNREACHABLE
    assert one.tried == ["a"]
    one.assert_idle()


@pytest.mark.parametrize(
    "moves",
    [
        [Hang()],
        [Accept(), Hang()],
        [Accept(), OPENED, Hang()],
        [Accept(), *[Wait(0.5), []] * 100],
        [Accept(), *[Wait(0.5), [text("")]] * 100],
    ],
)
async def test_first_content(moves):
    """Headers, names, roles and keep-alives are no content: the next backend is asked when none came in time."""
    one = rig(*moves, second=served("b"))
    began = one.clock.now()
    assert joined(await one.stream()) == "b"
    assert one.clock.now() - began == pytest.approx(3)
    assert one.reasons == [TIMED_OUT, None]
    assert "no content within 3 s" in one.telemetry.records[0].detail
    one.assert_idle()


@pytest.mark.parametrize("pauses", [[Hang()], [Wait(0.5), []] * 100])
async def test_idle(pauses):
    """Silence after content, or nothing but keep-alives, ends a stream; it is not replayed."""
    one = rig(Accept(), [text("x")], Wait(1.9), [text("y")], *pauses, second=served())
    began = one.clock.now()
    assert (await failure_of(one.stream())).reason is TIMED_OUT
    assert one.clock.now() - began == pytest.approx(3.9)
    assert one.tried == ["a"]
    assert "silent for 2 s" in one.telemetry.records[0].detail


async def test_idle_of_a_unary_call():
    """A unary call whose streaming upstream falls silent in mid-answer is served elsewhere."""
    one = rig(Accept(), [text("x")], Hang(), second=served("b"))
    answer = await one.generate()
    assert answer.candidates[0].parts[0].content.text == "b"
    assert one.reasons == [TIMED_OUT, None]


async def test_a_slow_consumer_is_no_silence():
    """While the consumer is at work the upstream is not asked to prove that it lives."""
    one = rig(Accept(), [text("x")], [text("y")], [END])
    async with one.open(stream=True) as run:
        async for _ in run:
            await one.clock.sleep(7)
    assert one.reasons == [None]


async def test_total():
    """An attempt that goes on for ever is ended by its total."""
    one = rig(Accept(), *[Wait(1.0), [text("x")]] * 100)
    began = one.clock.now()
    assert (await failure_of(one.stream())).reason is TIMED_OUT
    assert one.clock.now() - began == pytest.approx(30)


@pytest.mark.parametrize("stream", [True, False])
async def test_whole_answers_have_only_a_total(stream):
    """An upstream that answers in one piece may take long; only the total bounds it."""
    for wait_s, reason in ((29.0, None), (31.0, TIMED_OUT)):
        clock = FakeClock()
        upstream = ScriptedUpstream(clock, [[Accept(), Wait(wait_s), [text("x"), END]]], whole=True)
        one = Rig({"a": upstream}, clock=clock, backends={"a": TIMEOUTS})
        if reason is None:
            await (one.stream() if stream else one.generate())
        else:
            error = await failure_of(one.stream() if stream else one.generate())
            assert error.reason is reason
            assert clock.now() == pytest.approx(1030)
        assert one.book("a").first_token_ewma_s is None


async def test_callers_first_token_timeout():
    """The caller may set its own first-token timeout, shorter or longer."""
    one = rig(Accept(), Wait(5), [text("x")], [END], second=served("b"))
    assert joined(await one.stream(first_token_timeout_s=1)) == "b"
    assert one.clock.now() == pytest.approx(1001)
    one = rig(Accept(), Wait(5), [text("x")], [END], second=served("b"))
    assert joined(await one.stream(first_token_timeout_s=9)) == "x"


async def test_a_silent_backend_is_not_asked_twice():
    """With one backend a timeout stands."""
    one = rig(Hang())
    assert (await one.failure()).reason is TIMED_OUT
    assert one.tried == ["a"]
    one.assert_idle()


async def test_wall_clock_changes_nothing():
    """Somebody sets the machine's clock by an hour in mid-call: the timeout still comes in time."""
    one = rig(Hang())
    task = asyncio.create_task(one.failure(timeout_s=2))
    await asyncio.sleep(0)
    one.clock.set_wall_back(3600)
    assert (await task).reason is LATE
    assert one.clock.now() == pytest.approx(1002)
