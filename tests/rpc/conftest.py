"""Servers that must leave nothing behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.rpc.harness import SOON_S, Serving

Serve = Callable[..., Awaitable[Serving]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers; at the end nothing of them may be left."""
    before = asyncio.all_tasks()
    running: list[Serving] = []

    async def start(**parts: Any) -> Serving:
        serving = Serving(**parts)
        await serving.start()
        running.append(serving)
        return serving

    yield start
    for serving in running:
        await serving.stack.aclose()
        await serving.server.stop()
        assert len(serving.server.calls) == 0
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, stuck = await asyncio.wait(left, timeout=SOON_S)
        assert not stuck


@pytest.fixture
async def serving(serve: Serve) -> Serving:
    return await serve()
