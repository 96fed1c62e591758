"""Ejection of failing backends, as calls see it."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from itertools import pairwise

import pytest

from pointsman_server.errors import Reason, ServiceError
from tests.fakes.upstream import Accept, Wait, broken, refused, served, text
from tests.flow.rig import Rig, failure_of

UNAVAILABLE = Reason.UPSTREAM_UNAVAILABLE
FIVE = "abcde"


def one_bad(**config):
    return Rig({"a": [refused(UNAVAILABLE)]} | {name: [served()] for name in "bcde"}, **config)


async def test_ejected_within_five_errors():
    """A backend that fails every call is out after five errors; nobody but the one who waits sees any."""
    rig = one_bad()
    for _ in range(200):
        await rig.generate()
        rig.clock.advance(0.1)
    assert Counter(rig.tried)["a"] == 5
    assert [name for name, _ in rig.telemetry.events] == ["backend_ejected"]
    assert rig.telemetry.events[0][1] == {"backend": "a", "endpoint": None, "reason": "UPSTREAM_UNAVAILABLE"}


async def test_ejections_lengthen():
    """Each ejection in a row is 30 s longer; between two there is one probe."""
    rig = one_bad()
    for _ in range(4000):
        await rig.generate()
        rig.clock.advance(0.1)
    at = rig.upstreams["a"].started_at
    gaps = [after - before for before, after in pairwise(at[4:])]
    assert len(gaps) >= 3
    for n, gap in enumerate(gaps, start=1):
        assert 30 * n <= gap <= 33 * n + 1.5  # Its turn comes within five calls.


async def test_one_probe():
    """While a probe is under way no other call goes to the backend; when it is served all may."""
    slow = [Accept(), Wait(3), *served("slow")[1:]]
    rig = Rig({"a": [*[refused(UNAVAILABLE)] * 5, slow, served()], "b": [served()]})
    while len(rig.upstreams["a"].attempts) < 5:
        await rig.generate()
    rig.clock.advance(34)
    rig.clock.autojump = False
    calls = [asyncio.create_task(rig.generate()) for _ in range(10)]
    await rig.clock.settle()
    assert rig.upstreams["a"].open_now == 1
    assert sum(call.done() for call in calls) == 9
    rig.clock.advance(3)
    await asyncio.gather(*calls)
    for _ in range(4):
        await rig.generate()
    assert rig.tried[-4:].count("a") == 2
    rig.assert_idle()


async def test_never_more_than_half():
    """With more than half in trouble, the surplus is used all the same; a single backend always is."""
    rig = Rig({name: [refused(UNAVAILABLE)] for name in "abcd"})
    for _ in range(40):
        await failure_of(rig.generate())
    before = len(rig.tried)
    for _ in range(20):
        assert (await failure_of(rig.generate())).reason is UNAVAILABLE
    assert len(set(rig.tried[before:])) == 2
    alone = Rig({"a": [refused(UNAVAILABLE)]})
    for _ in range(20):
        assert (await alone.failure()).reason is UNAVAILABLE


async def test_recovery_of_a_single_backend():
    """A single backend serves as soon as it can, ejected or not."""
    rig = Rig({"a": lambda _: refused(UNAVAILABLE) if rig.clock.now() < ends else served()})
    ends = rig.clock.now() + 5
    while rig.clock.now() < ends:
        await failure_of(rig.generate(max_attempts=1))
        rig.clock.advance(0.5)
    await rig.generate()


async def test_a_slow_backend_gets_little():
    """One of five backends, ten times slower and without errors, gets at most a twentieth of the calls."""

    def pace(s):
        return [Accept(), Wait(s), [text("x")], *served()[-1:]]

    rig = Rig(
        {"a": [pace(2.0)]} | {name: [pace(0.2)] for name in "bcde"},
        models={"m": {"policy": "least_outstanding"}},
    )

    async def caller():
        for _ in range(60):
            await rig.generate()

    await asyncio.gather(*(caller() for _ in range(20)))
    assert Counter(rig.tried)["a"] / len(rig.tried) <= 0.05
    rig.assert_idle()


async def test_hasty_callers_eject_nobody():
    """A caller's own impatience is no failure of the backend; the configured patience is."""
    slow = [Accept(), Wait(5), *served()[1:]]
    rig = Rig({"a": [slow], "b": [served()]})
    for _ in range(20):
        await rig.generate(first_token_timeout_s=0.1)
    assert Counter(rig.tried)["a"] == 10
    assert not rig.telemetry.events
    strict = {"timeouts": {"first_content_s": 1.0}}
    rig = Rig({"a": [slow], "b": [served()]}, backends={"a": strict})
    for _ in range(20):
        await rig.generate()
    assert Counter(rig.tried)["a"] == 5


async def test_callers_faults_eject_nobody():
    """Rejected requests, filtered content and calls that are cancelled are no failures."""
    for reason in (Reason.UPSTREAM_REJECTED, Reason.CONTENT_BLOCKED, Reason.UPSTREAM_PERMISSION_DENIED):
        rig = Rig({"a": [refused(reason)], "b": [refused(reason)]})
        for _ in range(20):
            await failure_of(rig.generate())
        assert not rig.telemetry.events


async def test_break_after_content_is_a_failure():
    """A stream that breaks after content counts against its backend, although nobody may retry it."""
    rig = Rig({"a": [broken("x")], "b": [served()]})
    for _ in range(10):
        with suppress(ServiceError):
            await rig.stream()
    assert Counter(rig.tried)["a"] == 5


@pytest.mark.parametrize("share", [0.0, 1.0])
async def test_share(share):
    """The share is configurable: 0 ejects nobody, 1 may eject all."""
    rig = Rig({"a": [refused(UNAVAILABLE)]}, ejection={"max_ejected_share": share})
    for _ in range(10):
        error = await rig.failure(max_attempts=1)
    assert error.reason is (UNAVAILABLE if share == 0 else Reason.NO_HEALTHY_BACKEND)
    if share == 1:
        assert 30 <= error.retry_after_s <= 33


async def test_a_drained_backend_gets_no_call():
    """Not as a candidate, not as the caller's own choice, not when it is the last; what runs there finishes."""
    rig = Rig({"a": [[Accept(), Wait(3), *served("slow")[1:]], served()], "b": [served()]})
    running = asyncio.create_task(rig.generate(allow_backends=("a",)))
    await rig.clock.settle()
    rig.book("a").drained = "new driver"
    for _ in range(10):
        await rig.generate()
    assert (await running).candidates
    assert Counter(rig.tried) == {"a": 1, "b": 10}
    for refused_call in ({"allow_backends": ("a",)}, {"deny_backends": ("b",)}):
        error = await rig.failure(**refused_call)
        assert error.reason is Reason.NO_HEALTHY_BACKEND
        assert error.retry_after_s == 1
        assert "draining" in error.detail
    rig.book("a").drained = None
    await rig.generate(allow_backends=("a",))
    rig.assert_idle()


async def test_who_waits_for_a_place_at_a_drained_backend_goes_elsewhere():
    """A drain reaches those in the queue, too."""
    slow = [Accept(), Wait(0.5), *served("slow")[1:]]
    rig = Rig({"a": [slow, slow]}, backends={"a": {"max_concurrency": 1}})
    first = asyncio.create_task(rig.generate())
    await rig.clock.settle()
    waiting = asyncio.create_task(failure_of(rig.generate()))
    await rig.clock.settle()
    rig.book("a").drained = ""
    assert (await first).candidates
    assert (await waiting).reason is Reason.NO_HEALTHY_BACKEND
    rig.assert_idle()


async def test_a_drain_outlives_a_reload():
    """As long as the backend is the same; one with another address is another."""
    rig = Rig({"a": [served()], "b": [served()]})
    rig.book("a").drained = "new driver"
    rig.reload(retry={"max_attempts": 2})
    assert rig.book("a").drained == "new driver"
    rig.reload(backends={"a": {"url": "http://elsewhere"}})
    assert rig.book("a").drained is None
