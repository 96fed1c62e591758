"""Failures as callers see them, for every reason."""

from dataclasses import replace

import grpc
import pytest

from pointsman import v1 as pb
from pointsman_server.context import AttemptRecord, Target
from pointsman_server.domain import Finished, FinishReason, Usage
from pointsman_server.errors import FieldFault, Reason, ServiceError, UpstreamFault
from pointsman_server.server.reasons import ROWS
from tests.fakes.dispatch import REPORT, FakeDispatch, text
from tests.rpc.harness import PROMPT, refusal

FAULT = UpstreamFault(
    http_status=503, code="busy", type="server_error", message="try later", request_id="up-9", retryable=None
)
REPORTED = replace(
    REPORT,
    usage=None,
    attempts=(
        AttemptRecord(1, Target("west", "vllm", "q"), Reason.UPSTREAM_TIMEOUT, 0.5, retry_delay_s=0.1),
        AttemptRecord(
            2, Target("east", "openai", "g"), Reason.UPSTREAM_OVERLOADED, 0.2, http_status=503, usage=Usage(9)
        ),
    ),
)
OURS = frozenset({Reason.DEADLINE_EXCEEDED, Reason.CANCELLED, Reason.SHUTTING_DOWN, Reason.INTERNAL})
SHED = frozenset(
    {
        Reason.QUOTA_EXCEEDED, Reason.ROUTER_OVERLOADED, Reason.QUEUE_TIMEOUT, Reason.SHUTTING_DOWN,
        Reason.NO_HEALTHY_BACKEND,
    }
)  # fmt: skip


def failing(reason: Reason, *before) -> FakeDispatch:
    error = ServiceError(
        reason, f"because of {reason.value}", retry_after_s=2.5, upstream=FAULT,
        fields=(FieldFault("generation.n", "is too large"),), resource="chat",
    )  # fmt: skip
    return FakeDispatch([*before, error], report=REPORTED)


@pytest.mark.parametrize("reason", list(Reason))
async def test_every_reason_comes_through_unary(serve, reason):
    """Code, reason, message, metadata, failure and the row's own details arrive as the table says."""
    serving = await serve(dispatch=failing(reason))
    refused = await refusal((await serving.inference()).Generate(PROMPT, metadata=(("x-request-id", "r-1"),)))
    row = ROWS[reason]
    assert (refused.code, refused.info.reason, refused.request_id) == (row.code, reason.value, "r-1")
    assert refused.message == f"because of {reason.value}"
    assert dict(refused.info.metadata) == {
        "backend": "east", "provider": "openai", "model": "chat", "upstream_status": "503", "attempts": "2",
    }  # fmt: skip
    failure = refused.failure
    assert failure.cause == pb.ErrorReason.Value(f"ERROR_REASON_{reason.value}")
    assert not failure.content_delivered
    assert failure.usage.input_tokens == 9
    assert [attempt.code for attempt in failure.attempts] == [14, 14]
    assert failure.upstream.message == "try later"
    assert failure.upstream.retry_after.nanos == 500_000_000
    wanted = {
        name
        for name, there in (
            ("BadRequest", row.bad_request or row.may_name_fields), ("RetryInfo", row.retry_info),
            ("QuotaFailure", row.quota), ("ResourceInfo", row.resource),
        )
        if there
    }  # fmt: skip
    assert refused.extras.keys() == wanted
    assert refused.trailers["grpc-retry-pushback-ms"] == ("2500" if reason in SHED else "-1")
    assert refused.trailers["x-pointsman-backend"] == "east"
    assert refused.trailers["x-pointsman-attempts"] == "2"
    assert serving.telemetry.calls[0].reason is reason
    assert serving.telemetry.calls[0].code == row.code.name


@pytest.mark.parametrize("reason", list(Reason))
async def test_after_content_an_upstream_fault_is_an_interruption(serve, reason):
    """Once a caller has content, a provider's fault is STREAM_INTERRUPTED with its cause; ours keep their code."""
    serving = await serve(dispatch=failing(reason, [text("Hel")], [text("lo")]))
    call = (await serving.inference()).StreamGenerate(PROMPT)
    assert [(await call.read()).deltas[0].text for _ in range(2)] == ["Hel", "lo"]
    refused = await refusal(call)
    told = Reason.STREAM_INTERRUPTED if ROWS[reason].upstream else reason
    assert refused.info.reason == told.value
    assert refused.code is ROWS[told].code
    assert refused.failure.cause == pb.ErrorReason.Value(f"ERROR_REASON_{reason.value}")
    assert refused.failure.content_delivered
    assert not refused.failure.retryable
    assert refused.trailers["grpc-retry-pushback-ms"] == "-1"
    if reason in OURS:
        assert refused.info.reason == reason.value


async def test_a_stream_that_fails_before_content_is_no_interruption(serve):
    """Before anything was told the reason stands as it is."""
    serving = await serve(dispatch=failing(Reason.UPSTREAM_OVERLOADED))
    refused = await refusal((await serving.inference()).StreamGenerate(PROMPT))
    assert refused.info.reason == "UPSTREAM_OVERLOADED"
    assert not refused.failure.content_delivered
    assert refused.failure.retryable


async def test_what_was_held_back_is_delivered_before_the_failure(serve):
    """An answer that breaks after its last candidate ended still reaches the caller, with how it ended."""
    broken = ServiceError(Reason.UPSTREAM_TRUNCATED, "the answer ended short")
    ended = Finished(0, FinishReason.ERROR, raw="boom")
    serving = await serve(dispatch=FakeDispatch([[text("all"), ended], broken], report=REPORTED))
    call = (await serving.inference()).StreamGenerate(PROMPT)
    frame = await call.read()
    assert frame.deltas[0].text == "all"
    refused = await refusal(call)
    assert refused.info.reason == "STREAM_INTERRUPTED"
    assert refused.failure.finish_reason == pb.FINISH_REASON_ERROR
    assert refused.failure.finish_reason_raw == "boom"


async def test_hostile_text_arrives_clean(serve):
    """Half characters, control characters and endless texts still make a status that arrives, small enough."""
    fault = UpstreamFault(
        http_status=2**40, stream_status=-(2**40), code="c\ud800" * 999, type="\x00" * 999,
        message="m\udfff\u20ac" * 9999,
        request_id="i" * 9999, response_id="\n" * 9999,
    )  # fmt: skip
    many = tuple(FieldFault("p" * 999, "\ud800" * 9999) for _ in range(99))
    error = ServiceError(Reason.CONTEXT_LENGTH_EXCEEDED, "d\ud800\u20ac" * 9999, upstream=fault, fields=many)
    attempts = tuple(
        AttemptRecord(n, Target("b\u00e9" * 99, "p" * 99, "m" * 9999), Reason.UPSTREAM_ERROR, 1e99)
        for n in range(99)
    )
    dispatch = FakeDispatch(
        [error], report=replace(REPORTED, attempts=attempts, served=None, model="m" * 9999)
    )
    serving = await serve(dispatch=dispatch)
    refused = await refusal((await serving.inference()).Generate(PROMPT))
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.info.reason == "CONTEXT_LENGTH_EXCEEDED"
    assert len(refused.trailers["grpc-status-details-bin"]) <= 3072
    assert "x-pointsman-backend" not in refused.trailers


async def test_a_stock_retry_policy_does_not_multiply_ours(serve):
    """A client that retries UNAVAILABLE by itself makes one attempt: the pushback says no."""
    serving = await serve(dispatch=failing(Reason.UPSTREAM_UNAVAILABLE))
    policy = """{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.01s",
        "maxBackoff": "0.01s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}"""
    channel = await serving.channel(("grpc.service_config", policy), ("grpc.enable_retries", 1))
    method = channel.unary_unary(
        "/pointsman.v1.InferenceService/Generate",
        request_serializer=pb.GenerateRequest.SerializeToString,
    )
    await refusal(method(PROMPT))
    assert len(serving.dispatch.opened) == 1
