import asyncio
import gc
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from pointsman_server.clock import SystemClock
from pointsman_server.transport.aiohttp_transport import AiohttpTransport
from pointsman_server.transport.contract import TransportOptions
from tests.fakes.provider import Provider

Connect = Callable[..., AiohttpTransport]


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here keeps its promise on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as fake:
        yield fake


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Makes transports; afterwards they are closed and nothing of theirs is left unclosed."""
    made: list[AiohttpTransport] = []

    def make(clock: SystemClock | None = None, **options: object) -> AiohttpTransport:
        made.append(AiohttpTransport(TransportOptions(**options), clock=clock or SystemClock()))
        return made[-1]

    yield make
    for transport in made:
        await transport.close()
    made.clear()
    # "Unclosed" warnings come from finalizers; pytest makes errors of them.
    gc.collect()


@pytest.fixture
async def transport(connect: Connect) -> AiohttpTransport:
    return connect()
