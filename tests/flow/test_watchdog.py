"""The watchdog: cheap to move, and it claims only a cancellation of its own."""

from __future__ import annotations

import asyncio

import pytest

from pointsman_server.clock import SystemClock, Watchdog
from tests.fakes.clock import FakeClock

FOREVER = float("inf")


async def until_cancelled(clock, at):
    """Wait under a watchdog; returns whether it claimed, and when."""
    dog = Watchdog(clock)
    dog.start(at)
    try:
        await asyncio.get_running_loop().create_future()
    except asyncio.CancelledError:
        return dog.claim(), clock.now()
    finally:
        dog.stop()


@pytest.mark.parametrize("after_s", [0, 0.5, 9.9, 10, 25, 300])
async def test_in_time(after_s):
    """It strikes at its time, however far that is."""
    clock = FakeClock()
    claimed, at = await until_cancelled(clock, clock.now() + after_s)
    assert claimed
    assert at == pytest.approx(1000 + after_s)
    assert clock.pending == 0
    assert asyncio.current_task().cancelling() == 0


async def test_moved():
    """Later, earlier or never: the last time counts."""
    clock = FakeClock()
    dog = Watchdog(clock)
    dog.start(clock.now() + 5)
    dog.at = clock.now() + 50
    await clock.sleep(40)
    dog.at = FOREVER
    await clock.sleep(1000)
    dog.at = clock.now() + 3
    with pytest.raises(asyncio.CancelledError):
        await clock.sleep(100)
    assert dog.claim()
    assert clock.now() == pytest.approx(2043)
    dog.stop()


async def test_moving_is_cheap():
    """Moving it later, or back to a time after the next look, sets no timer."""
    clock = FakeClock(autojump=False)
    dog = Watchdog(clock)
    dog.start(clock.now() + 60)
    for _ in range(1000):
        dog.at = clock.now() + 60
        dog.at = clock.now() + 20
    assert len(clock._timers) == 1
    dog.stop()


async def test_stopped():
    """A stopped one strikes nobody, and can start again."""
    clock = FakeClock()
    dog = Watchdog(clock)
    dog.start(clock.now() + 1)
    dog.stop()
    await clock.sleep(5)
    dog.start(clock.now() + 1)
    with pytest.raises(asyncio.CancelledError):
        await clock.sleep(5)
    assert dog.claim()
    assert not dog.claim()
    dog.stop()


async def test_not_its_own():
    """Somebody else's cancellation is not claimed."""
    clock = FakeClock(autojump=False)
    task = asyncio.create_task(until_cancelled(clock, clock.now() + 5))
    await clock.settle()
    task.cancel()
    assert await task == (False, 1000)


@pytest.mark.parametrize("caller_first", [True, False])
async def test_both_at_once(caller_first):
    """Of two cancellations in one moment the caller's wins, in whatever order they come."""
    clock = FakeClock(autojump=False)
    task = asyncio.create_task(until_cancelled(clock, clock.now() + 5))
    await clock.settle()
    if caller_first:
        task.cancel()
    clock.advance(5)
    if not caller_first:
        task.cancel()
    assert await task == (False, 1005)
    assert task.cancelling() == 1


async def test_within_a_cancelled_task():
    """A task that was cancelled before and went on is judged by what comes after."""
    clock = FakeClock()
    asyncio.current_task().cancel()
    with pytest.raises(asyncio.CancelledError):
        await clock.sleep(1)
    claimed, _ = await until_cancelled(clock, clock.now() + 1)
    assert claimed
    assert asyncio.current_task().cancelling() == 1
    asyncio.current_task().uncancel()


async def test_swallowed():
    """A cancellation of its own that somebody swallowed is taken back when it stops."""
    clock = FakeClock()
    dog = Watchdog(clock)
    dog.start(clock.now() + 1)
    with pytest.raises(asyncio.CancelledError):
        await clock.sleep(5)
    dog.stop()
    assert asyncio.current_task().cancelling() == 0


async def test_system_clock():
    """The system's clock is monotonic, sleeps, and takes callbacks back."""
    clock, fired = SystemClock(), []
    before = clock.now()
    clock.call_at(before - 1, lambda: fired.append("late"))
    clock.call_at(before + 0.001, lambda: fired.append("never")).cancel()
    await clock.sleep(0.01)
    await clock.sleep(-1)
    assert fired == ["late"]
    assert clock.now() >= before + 0.009
    assert clock.wall() > 1_700_000_000
