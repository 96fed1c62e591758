"""What the contract's error table promises, over loopback and through the client library."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest

from pointsman import v1 as pb
from pointsman.errors import BY_REASON
from pointsman_server.app import Application
from pointsman_server.runtime import compile_runtime
from tests.fakes.replies import hang_before_headers
from tests.fakes.running_app import merged, one_model
from tests.rpc.harness import refusal
from tests.system.asking import ask, failure
from tests.system.error_rows import NOT_YET, ROWS, SECRET

CASES = [
    pytest.param(reason, stream, id=f"{reason}-{'stream' if stream else 'unary'}")
    for reason, row in ROWS.items()
    for stream in (False, True)
    if not (row.unary_only if stream else row.stream_only)
]


class Broken(Application):
    """Whose upstreams cannot be asked at all."""

    def _compile(self, loaded, previous):
        def build(name, backend, authority):
            return _Unusable()

        return compile_runtime(
            loaded.config,
            self.fleet,
            build=build,
            secret=lambda _: "",
            template_text=loaded.templates.text,
            previous=previous,
        )


class _Unusable:
    def open(self, attempt):
        raise RuntimeError("a fault with a secret in its text")

    def unsupported(self, call, model):
        return ()

    def streams(self, *, stream):
        return stream

    async def close(self):
        pass


def test_every_reason_has_a_row():
    """The table is as long as the contract's enum."""
    reasons = {name.removeprefix("ERROR_REASON_") for name, number in pb.ErrorReason.items() if number}
    assert ROWS.keys() | NOT_YET.keys() == reasons
    assert not ROWS.keys() & NOT_YET.keys()


@asynccontextmanager
async def situation(row, app, client, provider):
    """What the row asks for besides a call."""
    match row.situation:
        case "a call in progress":
            provider.script(hang_before_headers())
            other = asyncio.ensure_future(ask(client, stream=False))
            await provider.wait_requests(1)
            yield
            other.cancel()
            await asyncio.wait((other,))
        case "asked before":
            await failure(client, stream=False)
            yield
        case "stop":
            stopping = asyncio.ensure_future(_stop_after_request(app, provider))
            yield
            await stopping
        case _:
            yield


async def _stop_after_request(app, provider):
    await provider.wait_requests(1)
    await app.stop()


async def failed(row, app, client, *, stream):
    if row.situation == "explain":
        told = await refusal((await app.admin()).ExplainRoute(pb.ExplainRouteRequest()))
        return None, told
    end = await failure(client, row.text, **{"stream": stream, "timeout_s": 5, **row.params})
    return end.error, end.told


@pytest.mark.parametrize(("reason", "stream"), CASES)
async def test_row(start, provider, reason, stream):
    """Code, reason, details, whether to ask again, and the advice to a stock retry policy."""
    row = ROWS[reason]
    if callable(row.reply):
        provider.handler = row.reply
    elif row.reply is not None:
        provider.script(row.reply)
    kind = Broken if row.situation == "a fault of ours" else Application
    app = await start(merged(one_model(provider, **row.backend), row.settings), kind=kind)
    key = {"api_key": f"k1.{SECRET}"} if row.situation == "with a key" else {}
    client = await app.client(**key)
    async with situation(row, app, client, provider):
        error, told = await failed(row, app, client, stream=stream)
    check_told(reason, row, told)
    if error is not None:
        assert type(error) is BY_REASON[reason]
        assert error.request_id == told.request_id
        assert error.content_delivered is (reason == "STREAM_INTERRUPTED")
        assert error.cause == {"STREAM_INTERRUPTED": "UPSTREAM_TRUNCATED"}.get(reason, reason)
    check_trailers(row, told)
    if row.situation != "stop":
        await app.settled_calls()


def check_told(reason, row, told):
    assert told.code is row.code
    assert told.info.reason == reason
    assert set(told.extras) == row.extras
    assert told.failure.retryable is row.retryable
    assert len(told.failure.attempts) == row.attempts
    assert told.failure.upstream.http_status in (row.status, 0)
    if row.fields:
        violations = told.extras["BadRequest"].field_violations
        assert tuple(violation.field for violation in violations) == row.fields
    if row.status:
        assert told.info.metadata["upstream_status"] == str(row.status)
    if row.attempts:
        assert told.info.metadata["attempts"] == str(row.attempts)
        assert told.info.metadata["backend"] == "only"
    assert len(told.trailers["grpc-status-details-bin"]) < 4096


def check_trailers(row, told):
    pushback = told.trailers.get("grpc-retry-pushback-ms")
    if row.pushback == "wait":
        assert int(pushback) > 1000
    else:
        assert pushback == row.pushback
    if row.attempts:
        assert told.trailers["x-pointsman-attempts"] == str(row.attempts)
        assert told.trailers["x-pointsman-backend"] == "only"


async def test_cancelled_by_the_caller(start, provider):
    """The caller's own core reports it, and the service knows it as CANCELLED."""
    provider.script(hang_before_headers())
    app = await start(one_model(provider))
    stub = await app.inference()
    call = stub.Generate(pb.GenerateRequest(model="chat", prompt="hello"))
    await provider.wait_requests(1)
    call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED
    await app.logged(event="call", code="CANCELLED", reason="CANCELLED")


async def test_a_stock_retry_policy_never_multiplies_ours(start, provider):
    """A client that retries UNAVAILABLE by itself makes no more attempts than Pointsman allows (B15)."""
    provider.script(ROWS["UPSTREAM_UNAVAILABLE"].reply)
    app = await start(one_model(provider))
    client = await app.client(retries=4)
    end = await failure(client, stream=False)
    assert end.reason == "UPSTREAM_UNAVAILABLE"
    assert len(provider.requests) == 3
