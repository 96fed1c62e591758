"""An engine that dies under load, and comes back."""

import asyncio
import signal
from dataclasses import dataclass, field

from pointsman import AsyncClient, Generation, PointsmanError, StreamInterrupted
from tests.e2e.parts import QUESTION, first_then, long_answer, until

UNARY_TOKENS = 12
STREAM_TOKENS = 40


@dataclass
class Streamed:
    """How one stream went."""

    backend: str = ""
    pieces: list[str] = field(default_factory=list)
    answer: Generation | None = None
    failure: BaseException | None = None


async def run_stream(client: AsyncClient, kept: Streamed) -> None:
    try:
        async with client.stream("Tell me a story.", model="both", **long_answer(STREAM_TOKENS)) as stream:
            async for event in stream:
                if event.started:
                    kept.backend = event.started.backend
                if event.text:
                    kept.pieces.append(event.text)
            kept.answer = stream.result
    except PointsmanError as error:
        kept.failure = error


async def test_an_engine_that_dies_under_fifty_calls_harms_only_what_it_had_begun_to_answer(service, engines):
    """No unary call fails; no stream without content fails; a stream with content fails as interrupted, never as OK."""
    first, _ = engines
    async with AsyncClient(service.target, timeout_s=200, retries=0) as client:
        unary = [
            asyncio.create_task(client.generate("Count.", model="both", **long_answer(UNARY_TOKENS)))
            for _ in range(25)
        ]
        streams = [Streamed() for _ in range(25)]
        running = [asyncio.create_task(run_stream(client, stream)) for stream in streams]

        async def first_streams() -> bool:
            return sum(stream.backend == "first" for stream in streams) >= 2

        await until("streams have content from the engine that will die", first_streams)
        broken = [stream for stream in streams if stream.backend == "first" and not stream.answer]
        first.kill()
        await asyncio.gather(*running)
        answers = await asyncio.gather(*unary)

    assert broken
    assert all(answer.usage.output_tokens == UNARY_TOKENS for answer in answers)
    for stream in streams:
        if stream.failure is None:
            assert stream.answer is not None
            assert stream.answer.usage.output_tokens == STREAM_TOKENS
            assert stream.answer.text == "".join(stream.pieces)
        else:
            assert isinstance(stream.failure, StreamInterrupted), stream.failure
            assert stream.failure.code.name == "UNAVAILABLE"
            assert stream.failure.reason == "STREAM_INTERRUPTED"
            assert stream.failure.content_delivered
            assert stream.pieces
            assert stream.backend == "first"
    assert any(stream.failure for stream in broken)


async def test_an_engine_that_comes_back_is_used_again(service, engines):
    """While it is gone the other one answers; once it is back, it is tried before long."""
    first, _ = engines
    first.kill()
    async with AsyncClient(service.target) as client:
        answers = [await client.generate(QUESTION, model="both") for _ in range(8)]
        assert {answer.backend for answer in answers} == {"second"}
        await first.ensure_running()

        async def used_again() -> bool:
            return (await client.generate(QUESTION, model="both")).backend == "first"

        await until("the engine is used again", used_again)


async def test_an_engine_that_stands_still_is_left_for_another(engines, start_service):
    """A frozen engine takes connections and says nothing: after first_content_s another one is asked."""
    first, second = engines
    hasty = {**first.backend, "timeouts": {"first_content_s": 1}}
    config = {
        "backends": {"first": hasty, "second": second.backend},
        "models": {"gemma": first_then("first", "second")},
    }
    patient = await start_service(config)
    first.signal(signal.SIGSTOP)
    try:
        async with AsyncClient(patient.target) as client:
            answer = await client.generate(QUESTION, model="gemma", **long_answer(8))
            assert answer.backend == "second"
            assert [attempt.backend for attempt in answer.routing.attempts] == ["first", "second"]
            async with client.stream(QUESTION, model="gemma", **long_answer(8)) as stream:
                assert (await stream.collect()).backend == "second"
    finally:
        first.signal(signal.SIGCONT)
