"""The calls that succeed."""

from dataclasses import replace

import pytest

from pointsman import v1 as pb
from pointsman_server.context import AttemptRecord
from pointsman_server.domain import Usage
from tests.fakes.catalog import FakeCatalog, model
from tests.fakes.dispatch import HELLO, OPENED, REPORT, STOPPED, TARGET, USED, FakeDispatch, text
from tests.rpc.harness import PROMPT, refusal

SERVED = replace(
    REPORT, opened=OPENED, attempts=(AttemptRecord(1, TARGET, None, 0.05, http_status=200, connect_s=0.002),)
)


async def test_generate_answers_whole(serve):
    """A unary call is the fold of the upstream's events with its routing, and one OK record is written."""
    serving = await serve(dispatch=FakeDispatch(report=SERVED))
    call = (await serving.inference()).Generate(PROMPT, metadata=(("x-request-id", "mine"),))
    response = await call
    assert response.response_id == "resp-1"
    assert response.model == "chat"
    assert response.candidates[0].message.parts[0].text == "Hello"
    assert response.candidates[0].finish_reason == pb.FINISH_REASON_STOP
    assert response.usage.total_tokens == 5
    assert response.routing.backend == "east"
    assert response.routing.request_id == "mine"
    assert response.routing.timings.connect.nanos == 2_000_000
    assert dict(await call.trailing_metadata()) == {
        "x-request-id": "mine",
        "x-pointsman-backend": "east",
        "x-pointsman-attempts": "1",
    }
    (record,) = serving.telemetry.calls
    assert (record.code, record.reason, record.request_bytes) == ("OK", None, PROMPT.ByteSize())
    assert record.context.method == "pointsman.v1.InferenceService/Generate"
    assert record.context.principal.name == "tester"
    await serving.settled()


async def test_stream_answers_in_frames(serve):
    """A stream tells started with its first content, counts its messages and ends with completed."""
    serving = await serve(dispatch=FakeDispatch(report=SERVED))
    call = (await serving.inference()).StreamGenerate(PROMPT)
    frames = [frame async for frame in call]
    assert [frame.sequence for frame in frames] == [0, 1, 2]
    assert [frame.HasField("started") for frame in frames] == [True, False, False]
    assert [frame.HasField("completed") for frame in frames] == [False, False, True]
    assert "".join(delta.text for frame in frames for delta in frame.deltas) == "Hello"
    assert frames[-1].candidate_finished[0].finish_reason_raw == "stop"
    assert frames[-1].completed.usage.total_tokens == 5
    assert dict(await call.trailing_metadata())["x-pointsman-backend"] == "east"
    (record,) = serving.telemetry.calls
    assert (record.code, record.messages_sent) == ("OK", 3)
    await serving.settled()


async def test_one_chunk_answer_is_one_message(serve):
    """What is ready together travels together: an answer in one piece is a single message."""
    serving = await serve(dispatch=FakeDispatch([[OPENED, text("Hello"), STOPPED, USED]]))
    frames = [frame async for frame in (await serving.inference()).StreamGenerate(PROMPT)]
    assert len(frames) == 1
    assert frames[0].HasField("started")
    assert frames[0].HasField("completed")


async def test_caller_fixes_the_merge_window(serve):
    """With stream_options.coalesce the stream pauses its upstream after every write but the last."""
    dispatch = FakeDispatch(HELLO)
    serving = await serve(dispatch=dispatch)
    request = pb.GenerateRequest(prompt="x")
    request.stream_options.coalesce.nanos = 1_000_000
    assert len([frame async for frame in (await serving.inference()).StreamGenerate(request)]) == 3
    assert dispatch.dispatched[0].pauses == 2


async def test_usage_of_the_report_when_the_answer_has_none(serve):
    """An upstream that reports no usage leaves the report's own count."""
    report = replace(REPORT, usage=Usage(input_tokens=7))
    serving = await serve(dispatch=FakeDispatch([[text("x"), STOPPED]], report=report))
    response = await (await serving.inference()).Generate(PROMPT)
    assert response.usage.input_tokens == 7
    assert not response.usage.HasField("output_tokens")


async def test_lone_surrogates_do_not_break_an_answer(serve):
    """A half character from a provider is replaced; the call succeeds."""
    serving = await serve(dispatch=FakeDispatch([[text("a\ud800b")], [text("ok"), STOPPED]]))
    stub = await serving.inference()
    response = await stub.Generate(PROMPT)
    assert response.candidates[0].message.parts[0].text == "a?bok"
    frames = [frame async for frame in stub.StreamGenerate(PROMPT)]
    assert "".join(delta.text for frame in frames for delta in frame.deltas) == "a?bok"
    assert [frame.sequence for frame in frames] == [0, 1]


async def test_models_are_listed_in_pages(serve):
    """Pages come by name, join to the whole list, and the last one has no token."""
    serving = await serve(catalog=FakeCatalog([model(name) for name in ("c", "a", "b")]))
    stub = await serving.models()
    first = await stub.ListModels(pb.ListModelsRequest(page_size=2))
    rest = await stub.ListModels(pb.ListModelsRequest(page_size=2, page_token=first.next_page_token))
    assert [info.name for info in (*first.models, *rest.models)] == ["a", "b", "c"]
    assert rest.next_page_token == ""
    assert not first.models[0].capabilities


async def test_a_model_in_full(serving):
    """FULL tells limits, capabilities and backends; a name that the contract does not know yet is left out."""
    stub = await serving.models()
    request = pb.GetModelRequest(name="chat-alias", view=pb.MODEL_VIEW_FULL)
    info = (await stub.GetModel(request)).model
    assert (info.name, info.input_token_limit, info.healthy_backend_count) == ("chat", 8192, 1)
    assert list(info.capabilities) == [pb.MODEL_CAPABILITY_GENERATE, pb.MODEL_CAPABILITY_STREAMING]
    assert info.state == pb.MODEL_STATE_DEGRADED
    basic = (await stub.GetModel(pb.GetModelRequest(name="chat"))).model
    assert (basic.owner, basic.input_token_limit) == ("somebody", 0)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda stub: stub.ListModels(pb.ListModelsRequest(page_token="junk")), "page_token"),
        (lambda stub: stub.ListModels(pb.ListModelsRequest(page_size=-1)), "page_size"),
        (lambda stub: stub.ListModels(pb.ListModelsRequest(view=9)), "view"),
        (lambda stub: stub.GetModel(pb.GetModelRequest()), "name"),
    ],
)
async def test_bad_model_requests_name_their_field(serving, call, field):
    """INVALID_REQUEST with the field's path."""
    refused = await refusal(call(await serving.models()))
    assert refused.info.reason == "INVALID_REQUEST"
    assert refused.extras["BadRequest"].field_violations[0].field == field


async def test_an_unknown_model_is_named(serving):
    """MODEL_NOT_FOUND carries ResourceInfo."""
    refused = await refusal((await serving.models()).GetModel(pb.GetModelRequest(name="nope")))
    assert refused.info.reason == "MODEL_NOT_FOUND"
    assert refused.extras["ResourceInfo"].resource_name == "nope"
