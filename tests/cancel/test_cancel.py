"""Cancellation at each stage: afterwards nothing is held, and the next call is served."""

from __future__ import annotations

import asyncio

import pytest

from pointsman_server.dispatch.places import Places
from pointsman_server.errors import Reason, ServiceError
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import END, Accept, Hang, refused, served, text
from tests.flow.rig import Rig

ONE = {"a": {"max_concurrency": 1}}
HANGS = {
    "open": [Hang()],
    "before content": [Accept(), [], Hang()],
    "mid-stream": [Accept(), [text("x")], Hang()],
}
STAGES = [*HANGS, "place", "backoff", "consumer"]


async def consume(run, *, blocked):
    async for _ in run:
        if blocked:
            await asyncio.get_running_loop().create_future()


async def call(rig, *, stream, blocked=False, timeout_s=60.0):
    async with rig.open(stream=stream, timeout_s=timeout_s) as run:
        if stream:
            await consume(run, blocked=blocked)
        else:
            await run.complete()


class Scene:
    """A call that stands still at one stage."""

    def __init__(self, stage, *, stream, timeout_s=60.0, **config):
        clock = FakeClock(autojump=False)
        scripts = [HANGS[stage]] if stage in HANGS else [served("x", "y")]
        if stage == "backoff":
            scripts = [refused(Reason.UPSTREAM_UNAVAILABLE)]
            config["retry"] = {"backoff_base_s": 40.0, "backoff_max_s": 40.0}
        if stage == "place":
            scripts = [HANGS["open"]]
        self.rig = Rig({"a": [*scripts, served()]}, clock=clock, backends=ONE, **config)
        self.stage, self.stream, self.timeout_s = stage, stream, timeout_s
        self.others = []

    async def __aenter__(self):
        rig = self.rig
        if self.stage == "place":
            self.others.append(asyncio.create_task(call(rig, stream=False)))
            await rig.clock.settle()
        blocked = self.stage == "consumer"
        self.task = asyncio.create_task(
            call(rig, stream=self.stream, blocked=blocked, timeout_s=self.timeout_s)
        )
        await rig.clock.settle()
        assert not self.task.done()
        return self

    async def __aexit__(self, kind, error, trace):
        """Nothing is held, and a second call is served."""
        rig = self.rig
        for other in self.others:
            other.cancel()
        await asyncio.gather(*self.others, return_exceptions=True)
        rig.assert_idle()
        rig.clock.let_go()
        await rig.generate(timeout_s=90)
        rig.assert_idle()


def cases():
    return [(stage, stream) for stage in STAGES for stream in (False, True) if stream or stage != "consumer"]


@pytest.mark.parametrize(("stage", "stream"), cases())
async def test_cancel(stage, stream):
    """The caller's cancellation goes up as it is, at once, and its attempt is neither a success nor a failure."""
    async with Scene(stage, stream=stream) as scene:
        scene.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scene.task
        expected = {"place": [], "backoff": [Reason.UPSTREAM_UNAVAILABLE]}.get(stage, [Reason.CANCELLED])
        assert scene.rig.reasons == expected
        assert scene.rig.clock.now() == 1000


@pytest.mark.parametrize(("stage", "stream"), cases())
async def test_cancelled_twice(stage, stream):
    """Two cancellations at once are no other than one."""
    async with Scene(stage, stream=stream) as scene:
        scene.task.cancel()
        scene.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scene.task


@pytest.mark.parametrize("caller_first", [True, False])
@pytest.mark.parametrize(("stage", "stream"), cases())
async def test_cancelled_as_the_deadline_strikes(stage, stream, caller_first):
    """When caller and deadline strike in one moment, the caller's cancellation is never turned into an error."""
    # Within the deadline's tenth, so that the wait for a place has not ended before.
    timeout_s = 30.0
    async with Scene(stage, stream=stream, timeout_s=timeout_s) as scene:
        if stage == "place":
            scene.rig.clock.advance(0.5)
        if caller_first:
            scene.task.cancel()
        scene.rig.clock.advance(0.5 if stage == "place" else timeout_s)
        if not caller_first:
            scene.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await scene.task
        assert Reason.DEADLINE_EXCEEDED not in scene.rig.reasons


@pytest.mark.parametrize(
    ("stage", "stream"), [case for case in cases() if case[0] not in {"place", "backoff"}]
)
async def test_deadline(stage, stream):
    """The deadline at each stage leaves as little behind."""
    async with Scene(stage, stream=stream, timeout_s=4) as scene:
        scene.rig.clock.advance(4)
        with pytest.raises(ServiceError, match="DEADLINE_EXCEEDED"):
            await scene.task
        assert scene.rig.reasons == [Reason.DEADLINE_EXCEEDED]


async def test_deadline_in_backoff():
    """A backoff ends before the deadline; should it not, the deadline is told, and the retry is settled."""

    class Slept(FakeClock):
        async def sleep(self, delay_s):
            await super().sleep(delay_s + 100)

    rig = Rig({"a": [refused(Reason.UPSTREAM_UNAVAILABLE)]}, clock=Slept())
    assert (await rig.failure(timeout_s=5)).reason is Reason.DEADLINE_EXCEEDED
    assert rig.clock.now() == 1005
    rig.assert_idle()


async def test_deadline_while_waiting_for_a_place():
    """A wait for a place ends before the deadline; should it not, the deadline is told."""

    class Endless(Places):
        async def take(self, candidates, max_wait_s):
            return await super().take(candidates, max_wait_s + 100)

    rig = Rig({"a": [HANGS["open"]]}, backends=ONE, places=Endless)
    busy = asyncio.create_task(rig.failure(timeout_s=90))
    await asyncio.sleep(0)
    assert (await rig.failure(timeout_s=5)).reason is Reason.DEADLINE_EXCEEDED
    assert rig.clock.now() == 1005
    await busy
    rig.assert_idle()


async def test_deadline_while_a_retry_waits_for_a_place():
    """The deadline is told also when a retry waits: it is the caller's time that ran out, not the first failure."""

    class Endless(Places):
        async def take(self, candidates, max_wait_s):
            return await super().take(candidates, max_wait_s + 100)

    rig = Rig({"b": [HANGS["open"]], "a": [refused(Reason.UPSTREAM_UNREACHABLE)]}, places=Endless,
              backends={"b": {"max_concurrency": 1}})  # fmt: skip
    busy = asyncio.create_task(rig.failure(timeout_s=90, allow_backends=("b",)))
    await asyncio.sleep(0)
    assert (await rig.failure(timeout_s=5)).reason is Reason.DEADLINE_EXCEEDED
    assert rig.reasons == [Reason.UPSTREAM_UNREACHABLE]
    await busy
    rig.assert_idle()


async def test_a_place_that_comes_with_the_cancellation():
    """A place that is handed over in the moment of the cancellation goes on to the next who waits."""
    rig = Rig({"a": [HANGS["open"], served()]}, clock=FakeClock(autojump=False), backends=ONE)
    tasks = [asyncio.create_task(call(rig, stream=False)) for _ in range(3)]
    await rig.clock.settle()
    tasks[0].cancel()  # Frees the place,
    await asyncio.sleep(0)  # which is offered to the second,
    tasks[1].cancel()  # which is cancelled before it can take it.
    await tasks[2]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [
        asyncio.CancelledError,
        asyncio.CancelledError,
        type(None),
    ]
    rig.assert_idle()


async def test_leaving_needs_no_loop():
    """Where nothing can be awaited any more, one step of the exit frees everything."""
    rig = Rig({"a": [[Accept(), [text("x")], Hang()]]}, clock=FakeClock(autojump=False))
    run = rig.open(stream=True)
    await run.__aenter__()
    batches = run.__aiter__()
    await anext(batches)
    leaving = run.__aexit__(ConnectionError, ConnectionError(), None)
    with pytest.raises(StopIteration):
        leaving.send(None)
    assert rig.reasons == [Reason.CANCELLED]
    rig.assert_idle()


async def test_leaving_early():
    """A consumer may stop where it likes; what was open is closed once."""
    rig = Rig({"a": [served("x", "y", "z")]})
    async with rig.open(stream=True) as run:
        async for _ in run:
            break
    assert rig.reasons == [Reason.CANCELLED]
    async with rig.open(stream=True):
        pass
    rig.assert_idle()


async def test_a_consumer_that_fails():
    """A consumer's own error goes up as it is."""
    rig = Rig({"a": [served("x", "y")]})

    async def fails():
        async with rig.open(stream=True) as run:
            async for _ in run:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()
    assert rig.reasons == [Reason.CANCELLED]
    rig.assert_idle()


async def test_many_at_once():
    """Five hundred calls cancelled at mixed stages leave nothing behind."""
    script = iter(range(1 << 30))
    kinds = [*HANGS.values(), refused(Reason.UPSTREAM_UNAVAILABLE), [Accept(), [text("x")], [END]]]
    rig = Rig({name: lambda _: kinds[next(script) % len(kinds)] for name in "ab"}, clock=FakeClock(autojump=False),
              backends={name: {"max_concurrency": 100} for name in "ab"})  # fmt: skip
    tasks = [asyncio.create_task(call(rig, stream=bool(n % 2), blocked=n % 3 == 0)) for n in range(500)]
    await rig.clock.settle()
    for n, task in enumerate(tasks):
        task.cancel()
        if n % 7 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    rig.assert_idle()


class Stubborn:
    """An upstream that turns a cancellation into an error of its own."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    async def __aenter__(self):
        try:
            return await self._inner.__aenter__()
        except asyncio.CancelledError:
            raise ServiceError(Reason.UPSTREAM_UNREACHABLE, "gone") from None

    async def __aexit__(self, *details):
        await self._inner.__aexit__(*details)


async def test_a_timeout_that_an_upstream_renames():
    """A timeout is told as one, also when the upstream makes another error of the cancellation."""
    rig = Rig({"a": [[Hang()]]})
    upstream = rig.upstreams["a"]
    opened = upstream.open
    upstream.open = lambda attempt: Stubborn(opened(attempt))
    assert (await rig.failure(timeout_s=5)).reason is Reason.DEADLINE_EXCEEDED
    assert (await rig.failure()).reason is Reason.UPSTREAM_TIMEOUT
    assert asyncio.current_task().cancelling() == 0
    rig.assert_idle()
