"""The report of a call, at every moment."""

from __future__ import annotations

import asyncio

import pytest

from pointsman_server.domain import Opened, Usage, Warning
from pointsman_server.errors import Reason, ServiceError
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import END, Accept, ScriptedUpstream, Wait, broken, refused, text, usage
from tests.flow.rig import Rig, failure_of


async def test_before_anything():
    """Before it is planned, and after a refusal, the report names the model that was asked for and nothing else."""
    rig = Rig({"a": [refused(Reason.UPSTREAM_ERROR)]})
    run = rig.open(deny_backends=("a",))
    for _ in range(2):
        report = run.report()
        assert (report.model, report.policy, report.attempts, report.served) == ("m", "", (), None)
        assert (report.first_content_s, report.queue_s, report.decision_reason) == (None, 0, "")
        with pytest.raises(ServiceError, match="NO_ELIGIBLE_BACKEND"):
            async with run:
                pass
    rig.assert_idle()


async def test_while_it_streams():
    """While a stream runs the report tells the attempts that failed and the one that serves."""
    rig = Rig({"a": [refused(Reason.UPSTREAM_UNAVAILABLE)],
               "b": [[Accept(), [Opened("id")], Wait(2), [text("x")], Wait(1), [usage(3)], [END]]]})  # fmt: skip
    async with rig.open(stream=True) as run:
        planned = run.report()
        seen = [run.report() async for _ in run]
        done = run.report()
    assert (planned.policy, planned.served) == ("round_robin", None)
    first = seen[0]
    assert [attempt.reason for attempt in first.attempts] == [Reason.UPSTREAM_UNAVAILABLE]
    assert (first.served.backend, first.opened, first.first_content_s, first.total_s) == (
        "b",
        Opened("id"),
        2,
        2,
    )
    assert (first.usage, seen[1].usage) == (None, Usage(1, 3, 4))
    assert [attempt.number for attempt in done.attempts] == [1, 2]
    assert (done.total_s, done.first_content_s) == (3, 2)
    assert done.decision_reason.startswith("round_robin: 2 of 2 targets eligible; round_robin, group 0")
    assert run.report().attempts == done.attempts


async def test_after_a_failure():
    """After a failure the report names where it was last tried."""
    rig = Rig({"a": [broken("x")]})
    async with rig.open(stream=True) as run:
        with pytest.raises(ServiceError):
            async for _ in run:
                pass
        report = run.report()
    assert report.served.backend == "a"
    assert report.attempts[-1].reason is Reason.UPSTREAM_TRUNCATED
    assert report.first_content_s == 0


async def test_in_a_backoff():
    """Between two attempts the report tells the one that failed."""
    rig = Rig({"a": [refused(Reason.UPSTREAM_UNAVAILABLE)]}, clock=FakeClock(autojump=False))
    async with rig.open() as run:
        call = asyncio.create_task(failure_of(run.complete()))
        await rig.clock.settle()
        assert len(run.report().attempts) == 1
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def test_warnings():
    """Warnings are those of the backend that serves."""
    clock = FakeClock()
    warning = Warning("UNSUPPORTED_PARAMETER", "generation.seed", "not taken")
    a = ScriptedUpstream(clock, [refused(Reason.UPSTREAM_UNAVAILABLE)])
    b = ScriptedUpstream(clock, warnings=(warning,))
    rig = Rig({"a": a, "b": b}, clock=clock)
    async with rig.open() as run:
        assert run.report().warnings == ()
        await run.complete()
        assert run.report().warnings == (warning,)
    assert (await rig.failure(strict_params=True, allow_backends=("b",))).reason is Reason.NO_ELIGIBLE_BACKEND
    only = Rig({"b": ScriptedUpstream(clock, warnings=(warning,))}, clock=clock)
    assert (await only.failure(strict_params=True)).reason is Reason.UNSUPPORTED_PARAMETER
