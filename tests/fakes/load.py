"""Callers that call without a pause, while something else happens to the service; every call must be served."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from pointsman import AsyncClient, Generation
from tests.fakes.running_app import until


class Load:
    """An async context manager; leaving it ends the calls, and raises the first failure of any."""

    def __init__(self, client: AsyncClient, *, model: str = "chat", callers: int = 4) -> None:
        self.client = client
        self.callers = callers
        """Half of them ask for streams."""
        self.answers: list[Generation] = []
        self._model = model
        self._over = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def served(self) -> int:
        """Calls so far."""
        return len(self.answers)

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._call(stream=bool(number % 2))) for number in range(self.callers)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def more(self, count: int = 20, *, within_s: float = 20.0) -> list[Generation]:
        """The next so many calls, once they were served."""
        begin = self.served

        def served() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return self.served >= begin + count

        await until(f"{count} more calls are served", served, within_s)
        return self.answers[begin : begin + count]

    async def _call(self, *, stream: bool) -> None:
        while not self._over:
            if stream:
                async with self.client.stream("hello", model=self._model) as streamed:
                    self.answers.append(await streamed.collect())
            else:
                self.answers.append(await self.client.generate("hello", model=self._model))
