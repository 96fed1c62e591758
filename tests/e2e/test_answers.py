"""What callers get from real engines."""

import asyncio

import pytest

from pointsman import AsyncClient, DeadlineExceeded, ModelNotFound
from tests.e2e.parts import QUESTION, long_answer

FREED_WITHIN_S = 5.0
"""A slot whose answer nobody wants; the answer itself would go on for much longer."""
LONG = long_answer(1500)

COUNTRY = {
    "type": "object",
    "properties": {"country": {"type": "string"}, "capital": {"type": "string"}},
    "required": ["country", "capital"],
    "additionalProperties": False,
}


async def test_two_models_are_answered_by_two_engines(service, engines):
    """A call goes to the engine that its model names, and the answer makes sense."""
    first, second = engines
    async with AsyncClient(service.target) as client:
        for model, engine, other in (("one", first, second), ("two", second, first)):
            before = await engine.generated_tokens(), await other.generated_tokens()
            answer = await client.generate(QUESTION, model=model)
            assert "Paris" in answer.text
            assert answer.backend == engine.name
            assert answer.model == model
            assert answer.usage.output_tokens > 0
            grown = await engine.generated_tokens() - before[0], await other.generated_tokens() - before[1]
            assert grown == (answer.usage.output_tokens, 0)


async def test_one_model_over_two_engines_uses_both(service):
    """Targets of one model share its calls."""
    async with AsyncClient(service.target) as client:
        answers = [await client.generate(QUESTION, model="both") for _ in range(4)]
    assert {answer.backend for answer in answers} == {"first", "second"}
    assert all("Paris" in answer.text for answer in answers)


async def test_a_stream_comes_in_pieces_and_says_what_the_unary_answer_says(service):
    """Greedy answers are equal, streamed or not; usage too."""
    async with AsyncClient(service.target) as client:
        async with client.stream("Tell me about the sea.", model="one", **long_answer(40)) as stream:
            pieces = [event.text async for event in stream]
            streamed = stream.result
        unary = await client.generate("Tell me about the sea.", model="one", **long_answer(40))
    assert sum(bool(piece) for piece in pieces) > 5
    assert "".join(pieces) == streamed.text == unary.text
    assert streamed.usage.output_tokens == unary.usage.output_tokens == 40
    assert streamed.usage.input_tokens == unary.usage.input_tokens


async def test_an_answer_keeps_to_a_json_schema(service):
    """The engine's grammar makes JSON of it, and the client decodes it."""
    question = 'Spain as JSON. For example: {"country":"France","capital":"Paris"}'
    async with AsyncClient(service.target) as client:
        answer = await client.generate(question, model="one", json_schema=COUNTRY, max_output_tokens=200)
    assert answer.json().keys() == {"country", "capital"}


async def test_a_stream_that_is_left_frees_its_slot(service, engines):
    """The engine stops soon after the caller has gone."""
    async with AsyncClient(service.target) as client:
        async with client.stream("Count.", model="one", **LONG) as stream:
            async for event in stream:
                if event.text:
                    break
            assert await engines[0].busy_slots() == 1
        await engines[0].becomes_idle(FREED_WITHIN_S)


async def test_a_unary_call_that_is_cancelled_frees_its_slot(service, engines):
    """llama.cpp goes on with an unary call that nobody waits for, so it is asked for a stream instead."""
    async with AsyncClient(service.target) as client:
        call = asyncio.create_task(client.generate("Count.", model="one", **LONG))
        await engines[0].becomes_busy()
        call.cancel()
        await engines[0].becomes_idle(FREED_WITHIN_S)
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_a_deadline_ends_the_call_and_frees_the_slot(service, engines):
    """A caller's deadline holds down to the engine, for streams with what had come."""
    async with AsyncClient(service.target) as client:
        with pytest.raises(DeadlineExceeded):
            await client.generate("Count.", model="one", timeout_s=1, **LONG)
        await engines[0].becomes_idle(FREED_WITHIN_S)
        async with client.stream("Count.", model="one", timeout_s=2, **LONG) as stream:
            with pytest.raises(DeadlineExceeded):
                await stream.collect()
        assert stream.partial.text
        await engines[0].becomes_idle(FREED_WITHIN_S)


async def test_a_model_that_is_not_there_is_named_as_such(service):
    """The engines know one model and answer for any name; Pointsman does not."""
    async with AsyncClient(service.target) as client:
        with pytest.raises(ModelNotFound):
            await client.generate(QUESTION, model="three")
