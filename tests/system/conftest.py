"""The whole service in front of fake providers, called as callers call it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.fakes.provider import Provider
from tests.fakes.running_app import RunningApp

Start = Callable[..., Awaitable[RunningApp]]


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the service runs on; what is cancelled must end on the other one as well."""
    if item.path.name == "test_cancellation.py":
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as fake:
        yield fake


@pytest.fixture
async def other() -> AsyncIterator[Provider]:
    async with Provider() as fake:
        yield fake


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts services; they are stopped at the end."""
    async with AsyncExitStack() as stack:
        started: list[RunningApp] = []

        async def begin(settings: Mapping[str, Any], **options: Any) -> RunningApp:
            folder = tmp_path / f"service-{len(started)}"
            folder.mkdir()
            app = RunningApp(folder / "pointsman.yaml", settings, **options)
            started.append(app)
            return await stack.enter_async_context(app)

        yield begin
