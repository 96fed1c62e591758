import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

import pointsman
from pointsman import v1
from tests.fakes.service import Fail, Hold, whole


def test_an_answer_is_typed(fake, asker):
    """Text, ending, tokens, backend and ids are one attribute away."""
    answer = asker.generate("hello", model="small", request_id="call-1")
    assert answer.text == "You said: hello"
    assert answer.finish_reason is pointsman.FinishReason.STOP
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (5, 7, 12)
    assert (answer.backend, answer.model, answer.response_id) == ("fake-a", "small", "answer-1")
    assert answer.request_id == "call-1"


def test_the_request_arrives_as_it_was_meant(fake, asker):
    """Model, conversation and options are on the wire."""
    asker.generate([pointsman.system("brief"), pointsman.user("hi")], model="small", temperature=0.2)
    request = fake.seen[0].request
    assert request.model == "small"
    assert [message.role for message in request.conversation.messages] == [v1.ROLE_SYSTEM, v1.ROLE_USER]
    assert request.generation.temperature == 0.2


def test_everything_in_an_answer_can_be_read(fake, asker):
    """Reasoning, tool calls, refusals, costs, warnings and further candidates."""
    parts = [
        v1.Part(reasoning=v1.Reasoning(text="hm")),
        v1.Part(text="let me see"),
        v1.Part(tool_call=v1.ToolCall(id="c1", name="weather", arguments_json='{"city": "Oslo"}')),
        v1.Part(refusal="no"),
    ]
    response = whole("")
    response.candidates[0].message.ClearField("parts")
    response.candidates[0].message.parts.extend(parts)
    response.candidates[0].finish_reason = v1.FINISH_REASON_TOOL_CALLS
    response.candidates.add(index=1, finish_reason=99)
    response.usage.cost.CopyFrom(v1.Cost(nanos=1_500_000, currency="USD"))
    response.usage.source = v1.USAGE_SOURCE_ESTIMATED
    response.warnings.add(code="FIELD_NOT_ACTIVE", field="cache")
    response.routing.timings.first_token.FromMilliseconds(250)
    fake.script(response)
    answer = asker.generate("x")
    assert (answer.reasoning, answer.text, answer.refusal) == ("hm", "let me see", "no")
    [call] = answer.tool_calls
    assert (call.id, call.name, call.arguments) == ("c1", "weather", {"city": "Oslo"})
    assert [c.finish_reason for c in answer.candidates] == ["tool_calls", pointsman.FinishReason.OTHER]
    assert answer.usage.cost == pointsman.Cost(Decimal("0.0015"), "USD")
    assert answer.usage.estimated
    assert answer.usage.reasoning_tokens is None
    assert [warning.code for warning in answer.warnings] == ["FIELD_NOT_ACTIVE"]
    assert answer.first_token_latency is not None
    assert answer.first_token_latency.total_seconds() == 0.25
    assert list(answer.message.parts) == parts


def test_an_answer_may_be_empty(fake, asker):
    """No candidates: everything is empty, nothing raises."""
    fake.script(v1.GenerateResponse())
    answer = asker.generate("x")
    assert (answer.text, answer.tool_calls, answer.finish_reason, answer.usage.total_tokens) == (
        "",
        (),
        None,
        None,
    )
    assert answer.first_token_latency is None


def test_json_answers_decode(fake, asker):
    """An answer that was asked for as JSON is one call away from its value."""
    fake.script(whole('{"city": "Oslo"}'))
    assert asker.generate("x", json_object=True).json() == {"city": "Oslo"}


def test_a_call_tells_who_and_which_it_is(fake, asker):
    """Key, request id, own metadata and the client's name are in the metadata."""
    asker.options = {"api_key": "k-1", "metadata": {"x-team": "search"}}
    asker.generate("x", request_id="call-1", metadata={"x-more": "1"})
    metadata = fake.seen[0].metadata
    assert metadata["authorization"] == "Bearer k-1"
    assert (metadata["x-request-id"], metadata["x-team"], metadata["x-more"]) == ("call-1", "search", "1")
    assert metadata["user-agent"].startswith(f"pointsman-python/{pointsman.__version__} ")


def test_every_call_has_an_id_even_if_nobody_gave_one(fake, asker):
    """Two calls never share an id, so that a call without an answer can still be found in the server's log."""
    ids = {asker.generate("x").request_id, asker.generate("x").request_id}
    assert len(ids) == 2
    assert ids == {seen.metadata["x-request-id"] for seen in fake.seen}


@pytest.mark.parametrize("request_id", ["two words", "line\nbreak", "é", "x" * 129])
def test_an_id_that_the_server_would_replace_is_refused(asker, request_id):
    """Otherwise the caller would look for an id that nobody knows."""
    with pytest.raises(ValueError, match="request_id"):
        asker.generate("x", request_id=request_id)


def test_a_key_may_live_in_a_file_and_change(fake, asker, tmp_path):
    """The file is read for each call: a renewed key is used at once."""
    path = tmp_path / "key"
    asker.options = {"api_key": path}
    for key in ("first", "second"):
        path.write_text(f"{key}\n")
        asker.generate("x")
    assert [seen.metadata["authorization"] for seen in fake.seen] == ["Bearer first", "Bearer second"]


def test_a_key_may_come_from_a_function(fake, asker):
    """Whoever keeps keys elsewhere gives a function."""
    asker.options = {"api_key": lambda: "made"}
    asker.generate("x")
    assert fake.seen[0].metadata["authorization"] == "Bearer made"


@pytest.mark.parametrize("key", ["", "two\nlines", "clé"])
def test_a_key_that_cannot_be_sent_is_refused(asker, key):
    """An empty or unprintable key is a ValueError here, and its text is not in it."""
    asker.options = {"api_key": lambda: key}
    with pytest.raises(ValueError, match="the API key is empty, or holds"):
        asker.generate("x")


@pytest.mark.parametrize("kind", [pointsman.Client, pointsman.AsyncClient])
@pytest.mark.parametrize(
    "target", ["router:50051", "dns:///router.svc:50051", "10.0.0.1:50051", "ipv4:10.0.0.1:1,127.0.0.1:1"]
)
def test_a_key_never_crosses_the_network_in_plain_text(kind, target):
    """Without TLS and away from this machine, a key is refused unless the caller insists."""
    with pytest.raises(ValueError, match="in plain text"):
        kind(target, api_key="k")
    kind(target, api_key="k", tls=True)
    kind(target, api_key="k", allow_insecure_key=True)
    kind(target)


@pytest.mark.parametrize(
    "target",
    [
        "localhost:1",
        "127.0.0.1:1",
        "[::1]:1",
        "dns:///localhost:1",
        "ipv4:127.0.0.1:1",
        "ipv6:[::1]:1",
        "unix:/run/p.sock",
        "::1",
    ],
)
def test_a_key_may_stay_on_the_machine(target):
    """Loopback and sockets of this machine need no TLS."""
    pointsman.Client(target, api_key="k").close()


def test_a_client_shows_no_secret():
    """The key is in no representation."""
    client = pointsman.Client("localhost:1", api_key="sk-secret")
    assert "sk-secret" not in repr(client) + repr(vars(client))
    client.close()


def test_a_deadline_travels_and_ends_the_call(fake, asker):
    """The server knows how long the caller waits, and the caller waits no longer."""
    fake.script(Hold())
    with pytest.raises(pointsman.DeadlineExceeded) as caught:
        asker.generate("x", timeout_s=0.3, request_id="late")
    assert caught.value.request_id == "late"
    assert fake.seen[0].time_remaining_s < 1
    assert fake.seen[0].left.wait(10)


def test_deadlines_have_defaults(fake, asker):
    """A minute for a call, five for a stream, unless the client says otherwise."""
    asker.generate("x")
    asker.stream("x")
    asker.options = {"timeout_s": 7, "stream_timeout_s": None}
    asker.generate("x")
    asker.stream("x")
    remaining = [seen.time_remaining_s for seen in fake.seen]
    assert [round(r, -1) if r is not None else r for r in remaining[:2]] == [60, 300]
    assert remaining[2] == pytest.approx(7, abs=1)
    assert remaining[3] is None


def test_leaving_a_call_cancels_it(fake):
    """A cancelled task takes its call along."""
    fake.script(Hold())

    async def run():
        async with pointsman.AsyncClient(fake.target) as client:
            task = asyncio.create_task(client.generate("x"))
            await asyncio.to_thread(fake.arrived.acquire, timeout=10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert fake.seen[0].left.wait(10)


def test_models_are_read_to_the_last_page(fake, asker):
    """However many pages there are, one call lists them all."""
    fake.models = [v1.Model(name=f"m{i}", state=v1.MODEL_STATE_AVAILABLE) for i in range(5)]
    assert [(model.name, model.state) for model in asker.models()] == [
        (f"m{i}", "available") for i in range(5)
    ]
    assert [seen.request.page_token for seen in fake.seen] == ["", "2", "4"]
    assert {seen.request.view for seen in fake.seen} == {v1.MODEL_VIEW_BASIC}


def test_a_model_is_found_by_name_or_alias(fake, asker):
    """With all that is known of it."""
    capabilities = [v1.MODEL_CAPABILITY_TOOLS, v1.MODEL_CAPABILITY_JSON_SCHEMA]
    fake.models = [
        v1.Model(name="m", aliases=["n"], owner="us", capabilities=capabilities, input_token_limit=8192)
    ]
    model = asker.model("n")
    assert (model.name, model.display_name, model.aliases, model.owner) == ("m", "m", ("n",), "us")
    assert model.capabilities == {"tools", "json_schema"}
    assert (model.input_token_limit, model.output_token_limit) == (8192, None)
    assert fake.seen[0].request.view == v1.MODEL_VIEW_FULL


def test_a_model_that_is_not_there_is_an_error(asker):
    """ModelNotFound, as when it is asked."""
    with pytest.raises(pointsman.ModelNotFound):
        asker.model("lost")


def test_a_failing_listing_is_an_error(fake, asker):
    """The model service's failures are the same exceptions."""
    import grpc

    fake.model_failure = Fail(grpc.StatusCode.UNAUTHENTICATED, "no", reason="UNAUTHENTICATED")
    with pytest.raises(pointsman.Unauthenticated):
        asker.models()


def test_generated_stubs_can_share_the_channel(client):
    """What the client has no method for is called through the stubs, on the same connection."""
    stub = v1.InferenceServiceStub(client.channel)
    request = v1.GenerateRequest(model="m", prompt="x")
    assert stub.Generate(request).model == "small"


def test_a_channel_of_the_callers_own_is_used_and_left_open(fake):
    """The caller opened it, the caller closes it."""
    import grpc

    with grpc.insecure_channel(fake.target) as channel:
        with pointsman.Client(channel=channel) as client:
            client.generate("x")
        with pointsman.Client(channel=channel) as client:
            assert client.generate("x").text == "You said: x"


def test_the_example_key_file_is_a_path():
    """A str is always the key itself, never a path: nobody sends a file's name as a key by mistake."""
    from pointsman.call import read_key

    assert read_key("key.txt") == "key.txt"
    with pytest.raises(FileNotFoundError):
        read_key(Path("key.txt"))
