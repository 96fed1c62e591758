"""A real MLServer, over HTTP and over gRPC: what its models saw of calls, what their errors and its death look like."""

import asyncio
import signal
from collections.abc import Iterator

import pytest

from pointsman import (
    AsyncClient,
    FinishReason,
    ModelNotFound,
    PointsmanError,
    StreamInterrupted,
    UpstreamError,
    system,
    user,
    v1,
)
from tests.e2e.mlserver import STAMP, MLServer
from tests.e2e.open_inference import WORDS, check_leaving, check_streaming

pytestmark = pytest.mark.skipif(
    not STAMP.exists(), reason="MLServer is not there: `make .venv-mlserver/.stamp` installs it"
)
BOTH = pytest.mark.parametrize("provider", ["kserve", "kserve_grpc"])
# The forms of an error: over HTTP a model's own status holds; over gRPC, MLServer has a code for a few.
FAILURES = {
    "": ("UPSTREAM_ERROR", "UPSTREAM_ERROR"),
    "400": ("UPSTREAM_REJECTED", "UPSTREAM_REJECTED"),
    "422": ("UPSTREAM_REJECTED", "UPSTREAM_REJECTED"),
    "429": ("UPSTREAM_RATE_LIMITED", "UPSTREAM_ERROR"),
    "500": ("UPSTREAM_ERROR", "UPSTREAM_ERROR"),
    "503": ("UPSTREAM_UNAVAILABLE", "UPSTREAM_ERROR"),
}


@pytest.fixture(scope="module")
def started_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MLServer, MLServer]]:
    folder = tmp_path_factory.mktemp("mlserver")
    servers = MLServer("one", folder), MLServer("two", folder)
    yield servers
    for server in servers:
        server.kill()


@pytest.fixture
async def mlserver(started_servers: tuple[MLServer, MLServer]) -> MLServer:
    """Running, and without notes of other tests."""
    await started_servers[0].ensure_running()
    started_servers[0].notes.clear()
    return started_servers[0]


@pytest.fixture
async def other(started_servers: tuple[MLServer, MLServer]) -> MLServer:
    await started_servers[1].ensure_running()
    started_servers[1].notes.clear()
    return started_servers[1]


def groups(*places: tuple[str, str], **more: object) -> dict[str, object]:
    """A model's entry: each place, a backend and a model of it, only when none before it can serve."""
    targets = [
        {"backend": backend, "model": model, "group": group} for group, (backend, model) in enumerate(places)
    ]
    return {"targets": targets, **more}


def story_config(server: MLServer, provider: str) -> dict[str, object]:
    """As documented: over HTTP, MLServer does not tell a model that the caller of a unary call has gone."""
    backend = server.backend(provider, streaming=True)
    if provider == "kserve":
        backend["unary_upstream"] = "stream"
    return {"backends": {"one": backend}, "models": {"story": groups(("one", "story"))}}


@BOTH
async def test_a_model_streams_word_by_word(mlserver, start_service, provider):
    """The first is with the caller before the model has said the last; unary it is the same text."""
    service = await start_service(story_config(mlserver, provider))
    await check_streaming(service.target, mlserver.notes)


@BOTH
async def test_leaving_reaches_the_models_coroutine(mlserver, start_service, provider):
    """A caller that goes, in a stream and in a unary call, and a deadline that passes."""
    service = await start_service(story_config(mlserver, provider))
    await check_leaving(service.target, mlserver.notes)


@BOTH
async def test_the_protocol_itself_answers_whole(mlserver, start_service, provider):
    """Without `streaming`, a stream is one piece of `infer`."""
    config = {
        "backends": {"one": mlserver.backend(provider)},
        "models": {"story": groups(("one", "story"))},
    }
    service = await start_service(config)
    async with AsyncClient(service.target) as client:
        whole = await client.generate(prompt="unary", model="story", max_output_tokens=6)
        async with client.stream(prompt="streamed", model="story", max_output_tokens=6) as stream:
            pieces = [text async for text in stream.text_stream]
    assert [whole.text] == pieces == [WORDS]


@BOTH
async def test_an_error_of_the_model_is_told_by_its_status(mlserver, start_service, provider):
    """With the model's own words and nothing of the traceback around them, which MLServer sends by default."""
    # A backend for each, since some of them make it rest.
    config = {
        "backends": {f"b{status}": mlserver.backend(provider) for status in FAILURES},
        "models": {f"m{status}": groups((f"b{status}", "story")) for status in FAILURES},
        "retry": {"max_attempts": 1},
    }
    service = await start_service(config)
    async with AsyncClient(service.target, retries=0) as client:
        for status, (over_http, over_grpc) in FAILURES.items():
            with pytest.raises(PointsmanError) as caught:
                await client.generate(prompt=f"x{status} !{status}", model=f"m{status}")
            assert caught.value.reason == (over_http if provider == "kserve" else over_grpc), status
            assert caught.value.upstream.message == "the story has no end"
            assert mlserver.notes.of(f"x{status}") == "failed"


@BOTH
async def test_an_error_within_a_stream_interrupts_it(mlserver, start_service, provider):
    """Before the first word it is the call's error; later MLServer cuts HTTP's body off, and gRPC has a status."""
    service = await start_service(story_config(mlserver, provider))
    async with AsyncClient(service.target, retries=0) as client:
        for failure in ("!", "!503"):
            async with client.stream(prompt=f"first {failure}", model="story") as stream:
                with pytest.raises(UpstreamError) as caught:
                    await stream.collect()
            assert caught.value.reason == "UPSTREAM_ERROR"
            assert caught.value.upstream.message == "the story has no end"
        async with client.stream(prompt="later a b c !", model="story") as stream:
            with pytest.raises(StreamInterrupted) as interrupted:
                await stream.collect()
        assert stream.partial.text == "a b c "
        cut = {"kserve": "UPSTREAM_TRUNCATED", "kserve_grpc": "UPSTREAM_ERROR"}
        assert interrupted.value.cause == cut[provider]


@BOTH
async def test_a_model_that_is_not_there_is_named_and_another_target_asked(mlserver, start_service, provider):
    """In every way to ask for it; who has no other target is told which reason there is."""
    ways = {"whole": False, "pieces": True}
    config = {
        "backends": {way: mlserver.backend(provider, streaming=streaming) for way, streaming in ways.items()},
        "models": {
            **{f"nobody-{way}": groups((way, "nobody")) for way in ways},
            **{f"either-{way}": groups((way, "nobody"), (way, "story")) for way in ways},
        },
    }
    service = await start_service(config)
    async with AsyncClient(service.target) as client:
        for way in ways:
            with pytest.raises(ModelNotFound) as caught:
                await client.generate(prompt="a", model=f"nobody-{way}")
            assert caught.value.reason == "UPSTREAM_MODEL_NOT_FOUND"
            async with client.stream(prompt="b", model=f"nobody-{way}") as stream:
                with pytest.raises(ModelNotFound):
                    await stream.collect()
            answer = await client.generate(prompt="c", model=f"either-{way}", max_output_tokens=6)
            async with client.stream(prompt="d", model=f"either-{way}", max_output_tokens=6) as stream:
                streamed = await stream.collect()
            assert answer.text == streamed.text == WORDS
            reasons = [attempt.reason for attempt in answer.raw.routing.attempts]
            assert v1.ERROR_REASON_UPSTREAM_MODEL_NOT_FOUND in reasons


@BOTH
async def test_a_model_has_its_own_names_and_its_template(mlserver, start_service, provider):
    """It says what came: the templated conversation, sampling by its names and datatypes, and tells what it counted."""
    own = {
        "text_input": "PROMPT",
        "text_output": "ANSWER",
        "finish_reason_output": "REASON",
        "input_tokens_output": "READ",
        "output_tokens_output": "SAID",
        "names": {
            "generation.max_output_tokens": "MAX_NEW_TOKENS",
            "generation.seed": "SEED",
            "generation.top_k": "",
        },
        "datatypes": {"SEED": "INT64"},
        "constants": {"MODE": "chat"},
    }
    template = (
        "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}<assistant>"
    )
    config = {
        "backends": {"one": mlserver.backend(provider, **own)},
        "models": {"plain": groups(("one", "plain"), chat_template={"text": template})},
    }
    service = await start_service(config)
    async with AsyncClient(service.target) as client:
        answer = await client.generate(
            [system("Be brief."), user("naïve 漢字 🚂")], model="plain", max_output_tokens=7, seed=11, top_k=5
        )
    told = "<system>Be brief.\n<user>naïve 漢字 🚂\n<assistant>"
    sampled = ["MAX_NEW_TOKENS:INT32=7", "MODE:BYTES=chat", "SEED:INT64=11"]
    assert answer.text == "|".join([told, *sampled])
    assert answer.finish_reason is FinishReason.MAX_TOKENS
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (len(told.split()), 4)
    assert [warning.field for warning in answer.warnings] == ["generation.top_k"]


@BOTH
async def test_a_server_that_is_killed_is_left_for_another(mlserver, other, start_service, provider):
    """A unary call in hand is asked again elsewhere, a stream in hand interrupted; the next call sees nothing of it."""
    config = story_config(mlserver, provider)
    config["backends"]["two"] = {**config["backends"]["one"], "url": other.backend(provider)["url"]}
    config["models"]["story"] = groups(("one", "story"), ("two", "story"))
    service = await start_service(config)
    async with AsyncClient(service.target, retries=0) as client:
        unary = asyncio.create_task(client.generate(prompt="unary", model="story", max_output_tokens=50))
        await mlserver.notes.begun("unary")
        async with client.stream(prompt="streamed", model="story", max_output_tokens=3000) as stream:
            async for _ in stream.text_stream:
                break
            mlserver.signal(signal.SIGKILL)
            with pytest.raises(StreamInterrupted) as caught:
                await stream.collect()
        assert caught.value.content_delivered
        answer = await unary
        assert (answer.backend, answer.text) == ("two", "".join(f"w{i} " for i in range(50)))
        answer = await client.generate(prompt="next", model="story", max_output_tokens=6)
        assert (answer.backend, answer.text) == ("two", WORDS)
    assert other.notes.of("unary") == "told"
