"""A bound on waiting for a source, on the clock that is passed in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pointsman_server.clock import Clock, Watchdog
from pointsman_server.errors import Reason, ServiceError


@asynccontextmanager
async def within(clock: Clock, wait_s: float, what: str) -> AsyncIterator[Watchdog]:
    """At most so many seconds, unless the block moves its watchdog. Raises ServiceError UPSTREAM_TIMEOUT."""
    dog = Watchdog(clock)
    dog.start(clock.now() + wait_s)
    try:
        yield dog
    except asyncio.CancelledError as cancelled:
        if not dog.claim():
            raise
        raise ServiceError(Reason.UPSTREAM_TIMEOUT, f"{what} took too long") from cancelled
    finally:
        dog.stop()
