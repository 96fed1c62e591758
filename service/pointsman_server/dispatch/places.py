"""A place at one of several backends, with a bounded wait when all are full."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from pointsman_server.clock import Clock
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.fleet import BackendBook
from pointsman_server.routing.plan import Candidate


class Places:
    """Hands out places; counts who waits in the whole process."""

    def __init__(self, clock: Clock, max_waiting: int) -> None:
        self._clock = clock
        self.max_waiting = max_waiting
        self.waiting = 0

    async def take(self, candidates: Sequence[Candidate], max_wait_s: float) -> Candidate:
        """The first candidate with a free place, its place taken; free it with `book.give_back()`.

        Raises ServiceError: ROUTER_OVERLOADED when too many wait already, QUEUE_TIMEOUT after `max_wait_s`.
        """
        for candidate in candidates:
            if candidate.view.book.take():
                return candidate
        if self.waiting >= self.max_waiting:
            raise ServiceError(
                Reason.ROUTER_OVERLOADED, "too many calls wait for a backend", retry_after_s=1.0
            )
        if max_wait_s <= 0:
            raise _timed_out()
        self.waiting += 1
        try:
            return await self._wait(candidates, max_wait_s)
        finally:
            self.waiting -= 1

    async def _wait(self, candidates: Sequence[Candidate], max_wait_s: float) -> Candidate:
        offered: asyncio.Future[Candidate | None] = asyncio.get_running_loop().create_future()
        asked = [(candidate.view.book, _Offer(offered, candidate)) for candidate in candidates]
        for book, offer in asked:
            book.wait(offer)
        timer = self._clock.call_at(self._clock.now() + max_wait_s, partial(_give_up, offered))
        try:
            taken = await offered
        except asyncio.CancelledError:
            _return(offered)
            raise
        finally:
            timer.cancel()
            for book, offer in asked:
                book.forget(offer)
        if taken is None:
            raise _timed_out()
        return taken


class _Offer:
    """Offers one candidate to one waiter; compared by identity, so that it can be taken back."""

    __slots__ = ("_candidate", "_offered")

    def __init__(self, offered: asyncio.Future[Candidate | None], candidate: Candidate) -> None:
        self._offered = offered
        self._candidate = candidate

    def __call__(self) -> bool:
        if self._offered.done():
            return False
        self._offered.set_result(self._candidate)
        return True


def _give_up(offered: asyncio.Future[Candidate | None]) -> None:
    if not offered.done():
        offered.set_result(None)


def _return(offered: asyncio.Future[Candidate | None]) -> None:
    """Give a place back that came in the same moment as the cancellation."""
    if offered.done() and not offered.cancelled():
        taken = offered.result()
        if taken is not None:
            book: BackendBook = taken.view.book
            book.give_back()


def _timed_out() -> ServiceError:
    return ServiceError(Reason.QUEUE_TIMEOUT, "no backend had a free place in time", retry_after_s=1.0)
