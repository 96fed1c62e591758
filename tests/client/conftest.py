"""A fake server on loopback, and both clients behind one face, so that each promise is kept twice."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import pointsman
from tests.fakes.service import FakeService, serving


@pytest.fixture
def fake() -> Iterator[FakeService]:
    with serving() as service:
        yield service


@pytest.fixture
def client(fake: FakeService) -> Iterator[pointsman.Client]:
    with pointsman.Client(fake.target) as client:
        yield client


@dataclass
class Blocking:
    """Asks with the synchronous client."""

    target: str
    options: dict[str, Any] = field(default_factory=dict)

    def generate(self, *args, **kwargs):
        with pointsman.Client(self.target, **self.options) as client:
            return client.generate(*args, **kwargs)

    def stream(self, *args, events=None, **kwargs):
        """The whole answer of a stream; its events are added to `events`, also when it fails."""
        with (
            pointsman.Client(self.target, **self.options) as client,
            client.stream(*args, **kwargs) as stream,
        ):
            for event in stream:
                if events is not None:
                    events.append(event)
            return stream.result

    def models(self, **kwargs):
        with pointsman.Client(self.target, **self.options) as client:
            return client.models(**kwargs)

    def model(self, name):
        with pointsman.Client(self.target, **self.options) as client:
            return client.model(name)


@dataclass
class Asynchronous:
    """Asks with the asyncio client, on an event loop of its own."""

    target: str
    options: dict[str, Any] = field(default_factory=dict)

    def _run(self, ask):
        async def run():
            async with pointsman.AsyncClient(self.target, **self.options) as client:
                return await ask(client)

        return asyncio.run(run())

    def generate(self, *args, **kwargs):
        return self._run(lambda client: client.generate(*args, **kwargs))

    def stream(self, *args, events=None, **kwargs):
        async def ask(client):
            async with client.stream(*args, **kwargs) as stream:
                async for event in stream:
                    if events is not None:
                        events.append(event)
                return stream.result

        return self._run(ask)

    def models(self, **kwargs):
        return self._run(lambda client: client.models(**kwargs))

    def model(self, name):
        return self._run(lambda client: client.model(name))


@pytest.fixture(params=[Blocking, Asynchronous])
def asker(request, fake):
    return request.param(fake.target)
