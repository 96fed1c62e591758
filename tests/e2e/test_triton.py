"""A real Triton, over HTTP and over gRPC: what its models saw of calls, what its queue and end look like."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pointsman import AsyncClient, StreamInterrupted, UpstreamError, v1
from tests.e2e.open_inference import WORDS, check_leaving, check_streaming
from tests.e2e.parts import until
from tests.e2e.triton import STAMP, Triton

pytestmark = pytest.mark.skipif(
    not STAMP.exists(), reason="Triton's wheel is not there: `make .venv-triton/.stamp` installs it"
)
BOTH = pytest.mark.parametrize("provider", ["triton", "triton_grpc"])


@pytest.fixture
async def triton(tmp_path: Path) -> AsyncIterator[Triton]:
    server = Triton("triton", tmp_path)
    await server.ensure_running()
    yield server
    server.kill()


def model(backend: str, name: str, **more: object) -> dict[str, object]:
    return {"targets": [{"backend": backend, "model": name}], **more}


def story_at(triton: Triton, provider: str) -> dict[str, object]:
    # The route for whole answers takes models of exactly one response; the one for streams takes all.
    return {**triton.backend(provider), "unary_upstream": "stream"}


def story_config(triton: Triton, provider: str) -> dict[str, object]:
    return {"backends": {"one": story_at(triton, provider)}, "models": {"story": model("one", "story")}}


@BOTH
async def test_a_decoupled_model_streams_word_by_word(triton, start_service, provider):
    """The first is with the caller before the model has said the last; unary it is the same text."""
    service = await start_service(story_config(triton, provider))
    await check_streaming(service.target, triton.notes)


@BOTH
async def test_leaving_reaches_the_model(triton, start_service, provider):
    """A caller that goes, in a stream and in a unary call, and a deadline that passes."""
    service = await start_service(story_config(triton, provider))
    await check_leaving(service.target, triton.notes)


@BOTH
async def test_an_error_within_the_stream_is_one(triton, start_service, provider):
    """HTTP's status was 200, gRPC's is OK; before the first word it is the call's error, later the stream's."""
    service = await start_service(story_config(triton, provider))
    async with AsyncClient(service.target) as client:
        with pytest.raises(UpstreamError) as caught:
            await client.generate(prompt="first !", model="story")
        assert caught.value.reason == "UPSTREAM_ERROR"
        async with client.stream(prompt="later a b c !", model="story") as stream:
            with pytest.raises(StreamInterrupted):
                await stream.collect()
        assert stream.partial.text == "a b c "
    assert await triton.notes.ended("first") == "failed"


@BOTH
async def test_a_full_queue_and_a_wait_too_long_fail_over(triton, start_service, provider):
    """One works, one waits until its time is up, the others find the queue full; nobody sees more than an answer."""
    config = {
        "ejection": {"consecutive_failures": 1000},
        "retry": {"budget_floor": 100},
        "backends": {
            "busy": triton.backend(provider, batched=True),
            "free": story_at(triton, provider),
        },
        "models": {
            "both": {
                "targets": [
                    {"backend": "busy", "model": "queue"},
                    {"backend": "free", "model": "story", "group": 1},
                ]
            }
        },
    }
    service = await start_service(config)
    async with AsyncClient(service.target) as client:
        asked = [
            asyncio.create_task(client.generate(prompt=f"q{i} fine", model="both", max_output_tokens=1))
            for i in range(6)
        ]
        answers = await asyncio.gather(*asked)
    by = sorted(answer.backend for answer in answers)
    assert by == ["busy", *["free"] * 5]
    failed = {attempt.reason for answer in answers for attempt in answer.raw.routing.attempts}
    assert {v1.ERROR_REASON_UPSTREAM_OVERLOADED, v1.ERROR_REASON_UPSTREAM_TIMEOUT} <= failed
    assert {answer.text.strip() for answer in answers} == {"served", "fine"}


@BOTH
async def test_a_draining_server_is_left_for_another(triton, start_service, provider, tmp_path):
    """Its running stream ends whole where Triton lets it, and new calls go elsewhere without the caller's notice."""
    other = Triton("other", tmp_path)
    await other.ensure_running()
    try:
        config = {
            "backends": {"one": story_at(triton, provider), "two": story_at(other, provider)},
            "models": {
                "story": {
                    "targets": [
                        {"backend": "one", "model": "story"},
                        {"backend": "two", "model": "story", "group": 1},
                    ]
                }
            },
        }
        service = await start_service(config)
        async with AsyncClient(service.target) as client:
            stream = client.stream(prompt="running", model="story", max_output_tokens=150)
            async with stream:
                texts = stream.text_stream
                told = await anext(aiter(texts))
                triton.drain()

                async def another_answers() -> bool:
                    answer = await client.generate(prompt="next", model="story", max_output_tokens=6)
                    assert answer.text == WORDS
                    return answer.backend == "two"

                await until("the other one answers", another_answers, within_s=20)
                assert await another_answers()
                async for text in texts:
                    told += text
            assert told == "".join(f"w{i} " for i in range(150))
    finally:
        other.kill()
