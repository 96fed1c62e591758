"""The server's own life: leaving, and reading its configuration again, while it serves."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest

from pointsman import AsyncClient, AsyncStream, ModelNotFound, PointsmanError
from tests.e2e.parts import QUESTION, long_answer, over, until

TOKENS = 60


@contextlib.asynccontextmanager
async def begun(client: AsyncClient, model: str, tokens: int = TOKENS) -> AsyncIterator[AsyncStream]:
    """A stream that has its first content."""
    async with client.stream("Count.", model=model, **long_answer(tokens)) as stream:
        async for event in stream:
            if event.text:
                break
        yield stream


async def test_a_server_that_is_told_to_go_finishes_its_streams(service):
    """SIGTERM: streams in flight come to their end, then the process ends with status 0."""
    async with AsyncClient(service.target) as client, contextlib.AsyncExitStack() as streams:
        live = [await streams.enter_async_context(begun(client, "both")) for _ in range(6)]
        service.signal(signal.SIGTERM)
        answers = await asyncio.gather(*(stream.collect() for stream in live))
        assert [answer.usage.output_tokens for answer in answers] == [TOKENS] * 6
    assert await service.ended() == 0


async def test_a_server_that_goes_takes_no_new_calls(service):
    """While the last stream is finished, others are refused, in a way that they may retry elsewhere."""
    async with AsyncClient(service.target) as client, begun(client, "one", 150) as stream:
        service.signal(signal.SIGTERM)

        async def refused() -> bool:
            try:
                async with AsyncClient(service.target, retries=0) as other:
                    await other.generate(QUESTION, model="two", timeout_s=10)
            except PointsmanError as error:
                return error.retryable
            return False

        await until("new calls are refused", refused)
        assert (await stream.collect()).usage.output_tokens == 150
    assert await service.ended() == 0


async def test_a_changed_file_is_in_force_after_sighup_and_no_stream_notices(service):
    """A new model can be asked for, a removed one is gone, and what streams from a removed backend streams on."""
    async with AsyncClient(service.target) as client, begun(client, "one", 150) as stream:
        backends = {"second": service.config["backends"]["second"]}
        service.write({**service.config, "backends": backends, "models": {"three": over("second")}})
        service.signal(signal.SIGHUP)

        async def in_force() -> bool:
            return [model.name for model in await client.models()] == ["three"]

        await until("the new model is listed", in_force)
        assert "Paris" in (await client.generate(QUESTION, model="three")).text
        with pytest.raises(ModelNotFound):
            await client.generate(QUESTION, model="one")
        assert (await stream.collect()).usage.output_tokens == 150


async def test_a_broken_file_changes_nothing(service):
    """The fault is logged with its line; the old configuration stays in force."""
    service.write("ejection:\n  base_s: 1\nsevrer: {}\n")
    service.signal(signal.SIGHUP)

    async def refused() -> bool:
        return any(
            "3" in line["fault"] and "sevrer" in line["fault"] for line in service.lines() if "fault" in line
        )

    await until("the fault is logged", refused)
    async with AsyncClient(service.target) as client:
        assert "Paris" in (await client.generate(QUESTION, model="one")).text
