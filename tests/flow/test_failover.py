"""Failover and retry: until something is handed to the caller, and never after."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.dispatch.rules import RULES, Rule
from pointsman_server.domain import Fallback, Opened, Text, Usage, UsageReport
from pointsman_server.errors import Reason, ServiceError
from tests.fakes.upstream import END, Accept, broken, refused, served, text, usage
from tests.flow.rig import Rig, broken_off, failure_of, joined

UNAVAILABLE = Reason.UPSTREAM_UNAVAILABLE


def said(answer):
    return "".join(part.content.text for part in answer.candidates[0].parts if isinstance(part.content, Text))


async def test_one_backend_serves():
    """A call that nothing disturbs is one attempt, told in one record."""
    rig = Rig({"a": [served("hel", "lo")]})
    assert said(await rig.generate()) == "hello"
    assert joined(await rig.stream()) == "hello"
    assert rig.reasons == [None, None]
    record = rig.telemetry.records[0]
    assert (record.http_status, record.finish_reasons, record.usage) == (200, ("stop",), Usage(1, 2, 3))
    assert record.opened == Opened("r")
    rig.assert_idle()


@pytest.mark.parametrize("reason", Reason)
async def test_before_content(reason):
    """Before content each reason does what its row says: the next backend serves, or the error stands."""
    rig = Rig({"a": [broken(reason=reason)], "b": [served("b")]})
    if RULES[reason] in {Rule.NEVER, Rule.LARGER}:
        error = await failure_of(rig.stream())
        assert error.reason is reason
        assert rig.tried == ["a"]
    else:
        assert joined(await rig.stream()) == "b"
        assert (rig.tried, rig.reasons) == (["a", "b"], [reason, None])
    rig.assert_idle()


@pytest.mark.parametrize("reason", [r for r in Reason if r.name.startswith("UPSTREAM")])
async def test_after_content(reason):
    """After the first content nothing is replayed: the caller has the exact prefix once, then the error."""
    rig = Rig({"a": [broken("x", "y", reason=reason)], "b": [served("b")]})
    async with rig.open(stream=True) as run:
        got, error = await broken_off(run)
    assert (joined(got), error.reason) == ("xy", reason)
    assert rig.tried == ["a"]
    rig.assert_idle()


@given(st.integers(1, 50), st.booleans())
@settings(max_examples=60, deadline=None)
def test_prefix_once(pieces, unary):
    """A backend that dies after k tokens: a stream is that prefix and one attempt, a unary call is served elsewhere."""

    async def go():
        rig = Rig({"a": [broken(*map(str, range(pieces)))], "b": [served("all")]})
        if unary:
            assert said(await rig.generate()) == "all"
            assert rig.tried == ["a", "b"]
            return
        async with rig.open(stream=True) as run:
            got, _ = await broken_off(run)
        assert joined(got) == "".join(map(str, range(pieces)))
        assert rig.tried == ["a"]

    asyncio.run(go())


async def test_unary_begins_anew():
    """A unary caller gets one backend's answer alone, nothing of the one that broke; its waste is in its record."""
    rig = Rig({"a": [broken("wrong", "words")], "b": [served("right")]})
    async with rig.open() as run:
        answer = await run.complete()
        report = run.report()
    assert said(answer) == "right"
    assert answer.usage == Usage(1, 1, 2)
    assert [record.reason for record in report.attempts] == [Reason.UPSTREAM_TRUNCATED, None]
    assert report.attempts[0].first_content_s is not None
    assert report.served.backend == "b"


async def test_what_precedes_content_is_held():
    """Name and usage of an attempt reach the caller with its first content; those of a failed one never do."""
    early = [Accept(), [Opened("dead")], [usage(9)], *refused(UNAVAILABLE)]
    late = [Accept(), [Opened("live")], [usage(1)], [], [text("")], [usage(2)], [text("x")], [END]]
    rig = Rig({"a": [early], "b": [late]})
    async with rig.open(stream=True) as run:
        batches = [list(batch) async for batch in run]
    assert batches == [[Opened("live"), usage(2), text("x")], [END]]


async def test_empty_batches_are_not_handed_on():
    """A keep-alive of the upstream produces nothing."""
    rig = Rig({"a": [[Accept(), [text("x")], [], [], [END]]]})
    async with rig.open(stream=True) as run:
        assert [list(batch) async for batch in run] == [[text("x")], [END]]


async def test_an_answer_without_content():
    """An answer that ends well without content or finish still tells its name and usage."""
    rig = Rig({"a": [[Accept(), [Opened("r")], [UsageReport(Usage(1))]]]})
    assert await rig.stream() == [Opened("r"), UsageReport(Usage(1))]
    assert rig.reasons == [None]


async def test_three_attempts():
    """Three attempts in all, each at another backend; the last one's reason is told."""
    reasons = [UNAVAILABLE, UNAVAILABLE, Reason.UPSTREAM_ERROR, UNAVAILABLE]
    rig = Rig({name: [refused(reason)] for name, reason in zip("abcd", reasons, strict=True)})
    error = await rig.failure()
    assert error.reason is Reason.UPSTREAM_ERROR
    assert rig.tried == ["a", "b", "c"]
    rig.assert_idle()


@pytest.mark.parametrize(("asked", "made"), [(1, 1), (2, 2), (4, 4), (9, 4)])
async def test_attempts_of_a_call(asked, made):
    """A call may ask for fewer or more attempts, up to the configured limit."""
    rig = Rig(
        {name: [refused(Reason.UPSTREAM_UNREACHABLE)] for name in "abcdef"}, retry={"max_attempts_limit": 4}
    )
    await rig.failure(max_attempts=asked)
    assert len(rig.tried) == made


async def test_backoff_passes_time():
    """The same backend is asked again after a wait, which counts as time in the queue."""
    rig = Rig({"a": [refused(UNAVAILABLE), refused(UNAVAILABLE), served("x")]})
    began = rig.clock.now()
    async with rig.open() as run:
        assert said(await run.complete()) == "x"
        waited = run.report().queue_s
    assert 0 < waited <= 0.3
    assert rig.clock.now() - began == pytest.approx(waited)
    rig.assert_idle()


async def test_retry_after_fits():
    """No call goes to a backend before the time that it named is over."""
    rig = Rig({"a": [refused(Reason.UPSTREAM_RATE_LIMITED, retry_after_s=2), served("x")]})
    await rig.generate()
    first, second = rig.upstreams["a"].started_at
    assert 2 <= second - first <= 2.2


async def test_retry_after_does_not_fit():
    """A wait beyond the deadline lets the error stand at once, with the wait for the caller."""
    rig = Rig({"a": [refused(Reason.UPSTREAM_RATE_LIMITED, retry_after_s=20)]})
    began = rig.clock.now()
    error = await rig.failure(timeout_s=10)
    assert (error.reason, error.retry_after_s) == (Reason.UPSTREAM_RATE_LIMITED, 20)
    assert rig.clock.now() == began


async def test_pause_is_kept_by_others():
    """While a backend pauses, calls go elsewhere, and to it again when the pause is over."""
    rig = Rig(
        {"a": [refused(Reason.UPSTREAM_RATE_LIMITED, retry_after_s=2), served("a")], "b": [served("b")]}
    )
    for _ in range(4):
        await rig.generate()
    assert rig.tried == ["a", "b", "b", "b", "b"]
    rig.clock.advance(2.01)
    await rig.generate()
    await rig.generate()
    assert sorted(rig.tried[-2:]) == ["a", "b"]


async def test_none_healthy():
    """With every backend pausing and no attempt made it is NO_HEALTHY_BACKEND, with the wait."""
    rig = Rig({"a": [refused(Reason.UPSTREAM_QUOTA_EXHAUSTED)]})
    assert (await rig.failure()).reason is Reason.UPSTREAM_QUOTA_EXHAUSTED
    rig.clock.advance(20)
    error = await rig.failure()
    assert (error.reason, error.retry_after_s) == (Reason.NO_HEALTHY_BACKEND, 40)
    assert len(rig.tried) == 1
    rig.assert_idle()


async def test_overflow():
    """A call that is too long goes to the target with the larger context alone."""
    targets = [{"backend": "a", "input_token_limit": 10}, {"backend": "b", "input_token_limit": 5},
               {"backend": "c", "input_token_limit": 50}]  # fmt: skip
    overflow = [refused(Reason.CONTEXT_LENGTH_EXCEEDED)]
    rig = Rig({"a": overflow, "b": [served("b")], "c": [served("c")]}, models={"m": {"targets": targets}})
    assert said(await rig.generate()) == "c"
    assert rig.tried == ["a", "c"]


async def test_fallback_model():
    """When the model's own targets fail, its fallback serves, under the upstream's name of that model."""
    models = {
        "m": {"targets": [{"backend": "a"}], "fallbacks": ["n"]},
        "n": {"targets": [{"backend": "a", "model": "n-1"}]},
    }
    rig = Rig({"a": [refused(Reason.UPSTREAM_RATE_LIMITED, retry_after_s=9), served("n")]}, models=models)
    async with rig.open() as run:
        await run.complete()
        report = run.report()
    assert [attempt.target.model for attempt in report.attempts] == ["m", "n-1"]
    assert (report.fallback_used, report.model) == (True, "m")
    async with rig.open(fallbacks=(Fallback(backend="a"),)) as run:
        with pytest.raises(Exception, match="NO_HEALTHY_BACKEND"):
            await run.complete()


async def test_groups_in_order():
    """A higher group is used only when the lower one cannot serve."""
    targets = [{"backend": "late", "group": 1}, {"backend": "a"}, {"backend": "b"}]
    rig = Rig(
        {"a": [refused(UNAVAILABLE)], "b": [refused(UNAVAILABLE)], "late": [served("late")]},
        models={"m": {"targets": targets}},
    )
    assert said(await rig.generate()) == "late"
    assert rig.tried == ["a", "b", "late"]


async def test_our_own_bug():
    """What is no ServiceError is not retried, goes up as it is, and its attempt is closed as INTERNAL."""
    rig = Rig({"a": [[ZeroDivisionError()]], "b": [served()]})
    with pytest.raises(ZeroDivisionError):
        await rig.generate()
    assert rig.reasons == [Reason.INTERNAL]
    rig.assert_idle()


async def test_trace_goes_only_to_our_own():
    """Trace context travels to backends that are marked as ours."""
    rig = Rig({"a": [served()], "b": [served()]}, backends={"b": {"propagate_trace": True}})
    await rig.generate()
    await rig.generate()
    assert rig.upstreams["a"].attempts[0].trace_headers == {}
    assert "traceparent" in rig.upstreams["b"].attempts[0].trace_headers


async def test_ids_of_attempts():
    """Each attempt has an id of its own, made of the call's."""
    rig = Rig({"a": [refused(UNAVAILABLE)], "b": [served()]})
    await rig.generate()
    ids = [upstream.attempts[0].upstream_id for upstream in rig.upstreams.values()]
    assert ids == ["call1-n.1", "call1-n.2"]


async def test_pause_reaches_the_attempt_that_runs():
    """A pause goes to the running answer; before and after there is none, and it does nothing."""
    rig = Rig({"a": [served("x", "y")]})
    async with rig.open(stream=True) as run:
        run.pause()
        async for _ in run:
            run.pause()
        run.pause()
    assert rig.upstreams["a"].pauses == 3


async def test_budget_bounds_the_load():
    """With all backends failing for half a minute, attempts stay within 1.1 of the calls; then service is back."""

    def script(_):
        return refused(UNAVAILABLE) if rig.clock.now() < ends else served()

    rig, calls = Rig({"a": script, "b": script}), 0
    ends = rig.clock.now() + 30
    while rig.clock.now() < ends:
        calls += 1
        with suppress(ServiceError):
            await rig.generate()
        rig.clock.advance(0.005)
    assert calls > 1000
    assert len(rig.tried) <= 1.1 * calls + 60  # The floor, while the first 30 calls come.
    for _ in range(200):
        await rig.generate()
        rig.clock.advance(0.01)
    assert all(reason is None for reason in rig.reasons[-200:])


async def test_a_lost_backend_is_free():
    """Going on to an untried backend after a lost one is no retry that the budget counts."""
    rules = {"budget_ratio": 0.0, "budget_floor": 0}
    rig = Rig({"a": [refused(Reason.UPSTREAM_UNREACHABLE)], "b": [served("b")]}, retry=rules)
    assert said(await rig.generate()) == "b"
    rig = Rig({"a": [refused(UNAVAILABLE)], "b": [served("b")]}, retry=rules)
    assert (await rig.failure()).reason is UNAVAILABLE
    rig = Rig({"a": [refused(Reason.UPSTREAM_UNREACHABLE)]}, retry=rules)
    assert (await rig.failure()).reason is Reason.UPSTREAM_UNREACHABLE
    assert len(rig.tried) == 1
    rig.assert_idle()
