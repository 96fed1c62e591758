"""The cap on attempts at once, and the bounded wait for a place."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.errors import Reason
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import Accept, Hang, Wait, refused, served
from tests.flow.rig import Rig, failure_of

ONE = {"a": {"max_concurrency": 1}}


def slow(s):
    return [Accept(), Wait(s), *served()[1:]]


async def test_never_more_than_the_cap():
    """However many call, no more attempts run at once than the backend takes; all are served."""
    rig = Rig({"a": [slow(0.01)]}, backends={"a": {"max_concurrency": 3}})
    await asyncio.gather(*(rig.generate() for _ in range(50)))
    assert rig.upstreams["a"].most_open == 3
    rig.assert_idle()


async def test_first_come_first_served():
    """Places go to those who wait in the order in which they came, and nobody overtakes them."""
    rig = Rig({"a": [slow(0.1)]}, backends=ONE)
    calls = [asyncio.create_task(rig.generate()) for _ in range(6)]
    await asyncio.gather(*calls)
    numbers = [int(attempt.upstream_id.split("-")[0][4:]) for attempt in rig.upstreams["a"].attempts]
    assert numbers == [1, 2, 3, 4, 5, 6]


async def test_elsewhere_before_waiting():
    """A call goes to a backend with a free place rather than wait for a better one."""
    rig = Rig({"a": [slow(1)], "b": [slow(1)]}, backends=ONE)
    await asyncio.gather(*(rig.generate() for _ in range(4)))
    assert sorted(rig.tried) == ["a", "b", "b", "b"]


@pytest.mark.parametrize(
    ("timeout_s", "asked_s", "waited_s"),
    [(60, None, 1.0), (5, None, 0.5), (60, 0.2, 0.2), (60, 30, 1.0), (60, 0, 0.0)],
)
async def test_wait_is_bounded(timeout_s, asked_s, waited_s):
    """Nobody waits longer than configured, than a tenth of the deadline, or than the caller will."""
    rig = Rig({"a": [[Hang()]]}, backends=ONE)
    busy = asyncio.create_task(rig.failure())
    await asyncio.sleep(0)
    began = rig.clock.now()
    error = await rig.failure(timeout_s=timeout_s, max_queue_time_s=asked_s)
    assert error.reason is Reason.QUEUE_TIMEOUT
    assert not rig.book("a")._waiters
    assert error.retry_after_s >= 1
    assert rig.clock.now() - began == pytest.approx(waited_s)
    await busy
    rig.assert_idle()


async def test_too_many_wait():
    """Beyond the number that may wait a call is refused at once."""
    rig = Rig({"a": [slow(0.5)]}, backends=ONE, max_queued_calls=2)
    calls = [asyncio.create_task(rig.generate()) for _ in range(3)]
    await asyncio.sleep(0)
    began = rig.clock.now()
    error = await rig.failure()
    assert (error.reason, error.retry_after_s) == (Reason.ROUTER_OVERLOADED, 1)
    assert rig.clock.now() == began
    await asyncio.gather(*calls, return_exceptions=True)
    rig.assert_idle()


async def test_wait_is_told():
    """The time in the queue is in the report."""
    rig = Rig({"a": [slow(0.3)]}, backends=ONE)
    first = asyncio.create_task(rig.generate())
    await asyncio.sleep(0)
    async with rig.open() as run:
        await run.complete()
        assert run.report().queue_s == pytest.approx(0.3)
    await first


async def test_pauses_hold_for_those_who_wait():
    """A backend that asks for a pause is left alone by those who waited for it."""
    rig = Rig({"a": [[Wait(0.1), *refused(Reason.UPSTREAM_RATE_LIMITED, retry_after_s=30)]]}, backends=ONE)
    calls = [asyncio.create_task(rig.failure(timeout_s=20)) for _ in range(5)]
    errors = await asyncio.gather(*calls)
    assert errors[0].reason is Reason.UPSTREAM_RATE_LIMITED
    assert {error.reason for error in errors[1:]} == {Reason.NO_HEALTHY_BACKEND}
    assert len(rig.tried) == 1
    rig.assert_idle()


async def test_a_retry_without_a_place():
    """When a retry finds no place, the failure that it was to mend stands."""
    rig = Rig(
        {"a": [refused(Reason.UPSTREAM_UNAVAILABLE)], "b": [[Hang()]]}, backends={"b": {"max_concurrency": 1}}
    )
    rig.fleet.turn("m")
    busy = asyncio.create_task(rig.failure(allow_backends=("b",)))
    await asyncio.sleep(0)
    error = await rig.failure()
    assert error.reason is Reason.UPSTREAM_UNAVAILABLE
    await busy
    rig.assert_idle()


async def test_raised_limit():
    """A reload that raises the cap lets those in who wait."""
    rig = Rig({"a": [slow(0.5)]}, backends=ONE)
    calls = [asyncio.create_task(rig.generate()) for _ in range(3)]
    await asyncio.sleep(0)
    rig.reload(backends={"a": {"max_concurrency": 3}})
    await asyncio.gather(*calls)
    assert rig.clock.now() == pytest.approx(1000.5)


@given(st.lists(st.tuples(st.sampled_from(["call", "cancel", "time"]), st.integers(0, 20)), max_size=60))
@settings(max_examples=150, deadline=None)
def test_no_place_is_lost(steps):
    """Whoever comes, waits, leaves or is served in whatever order: afterwards every place is free."""

    async def go():
        rig = Rig({"a": [slow(0.07)], "b": [slow(0.11)]}, clock=FakeClock(autojump=False),
                  backends={"a": {"max_concurrency": 2}, "b": {"max_concurrency": 1}})  # fmt: skip
        calls = []
        for step, number in steps:
            if step == "call":
                calls.append(asyncio.create_task(rig.generate(timeout_s=3)))
            elif step == "cancel" and calls:
                calls[number % len(calls)].cancel()
            elif step == "time":
                rig.clock.advance(number / 100)
            if number % 2:
                await rig.clock.settle()
            assert rig.upstreams["a"].open_now <= 2
            assert rig.upstreams["b"].open_now <= 1
        rig.clock.let_go()
        await asyncio.gather(*calls, return_exceptions=True)
        await rig.clock.settle()
        rig.assert_idle()
        await rig.generate()

    asyncio.run(go())


async def test_queue_timeout_is_no_attempt():
    """A call that found no place made no attempt, and says nothing about the backend."""
    rig = Rig({"a": [[Hang()]]}, backends=ONE)
    busy = asyncio.create_task(rig.failure())
    await asyncio.sleep(0)
    async with rig.open() as run:
        await failure_of(run.complete())
        report = run.report()
    assert (report.attempts, report.served) == ((), None)
    await busy


async def test_all_waits_of_a_call_together():
    """A call that waits for a place twice does not wait longer in all than it may wait once."""
    rig = Rig({"a": [slow(0.75), [Wait(0.1), *refused(Reason.UPSTREAM_UNAVAILABLE)], [Hang()]]}, backends=ONE)
    first = asyncio.create_task(rig.generate())
    await asyncio.sleep(0)
    second = asyncio.create_task(rig.failure())
    await asyncio.sleep(0)
    third = asyncio.create_task(rig.failure(timeout_s=20))
    error = await second
    assert error.reason is Reason.UPSTREAM_UNAVAILABLE
    backoff_s = 0.1
    assert rig.clock.now() <= 1000 + 0.75 + 0.1 + backoff_s + 0.25 + 0.001
    await asyncio.gather(first, third)
    rig.assert_idle()


async def test_an_attempt_that_cannot_begin():
    """Should our own code fail between a place and its attempt, the place is free again."""
    rig = Rig({"a": [served()]}, backends=ONE)
    start = rig.telemetry.start_attempt
    rig.telemetry.start_attempt = lambda parent, attempt: 1 / 0
    with pytest.raises(ZeroDivisionError):
        await rig.generate()
    rig.assert_idle()
    rig.telemetry.start_attempt = start
    await rig.generate()
