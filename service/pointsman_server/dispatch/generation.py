"""A run of a question: its answer whole, or in batches as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from pointsman_server.dispatch.commit import Preface
from pointsman_server.dispatch.run import Run
from pointsman_server.domain import Answer, Call, Event
from pointsman_server.errors import ServiceError


class GenerationRun(Run[Call]):
    """Consumed once, whole or as a stream."""

    _stream: AsyncGenerator[Sequence[Event], None] | None = None

    async def complete(self) -> Answer:
        """The whole answer. A backend that breaks in mid-answer costs the caller nothing: another one begins anew."""
        return await self._answered(self._attempts.whole)

    def __aiter__(self) -> AsyncIterator[Sequence[Event]]:
        """Batches from the first content on."""
        self._stream = self._handed_over()
        return self._stream

    async def _handed_over(self) -> AsyncGenerator[Sequence[Event], None]:
        trial = await self._first()
        while True:
            committed, preface = False, Preface()
            try:
                async with aclosing(self._attempts.batches(trial)) as batches:
                    async for batch in batches:
                        if committed:
                            yield batch
                        elif trial.first_content_at is None:
                            preface.hold(batch)
                        else:
                            committed = True
                            yield preface.before(batch)
                if not committed and (held := preface.before(())):
                    yield held
                return
            except ServiceError as error:
                if committed:
                    raise
                trial = await self._next(error)

    def pause(self) -> None:
        """Let the kernel hold bytes back until the next batch is asked for."""
        trial = self._attempts.last
        if trial is not None and trial.answer is not None:
            trial.answer.pause()

    async def _end(self) -> None:
        if self._stream is not None:
            await self._stream.aclose()
