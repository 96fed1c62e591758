"""One configuration for several processes -> the part that each of them runs on. Pure.

Bounds on the whole (calls, attempts at a backend) are divided so that the parts add up to what was written; what is a
share, a time or a size of one thing stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from pointsman_server.config.faults import Path
from pointsman_server.config.schema import Config


def share(config: Config, number: int, *, address: str) -> Config:
    """What worker `number`, from 0, of `config.workers` runs on; it listens on `address`."""
    workers = config.workers

    def part(whole: int) -> int:
        return whole // workers + (number < whole % workers)

    server, retry = config.server, config.retry
    http2 = server.http2.model_copy(update={"max_connections": _roomy(part(server.http2.max_connections))})
    return config.model_copy(
        update={
            "server": server.model_copy(
                update={"listen": address, "max_calls": part(server.max_calls), "http2": http2}
            ),
            # A worker with a floor of 0 would never retry in quiet times: the parts may come to more than the whole.
            "retry": retry.model_copy(
                update={"budget_floor": max(part(retry.budget_floor), min(1, retry.budget_floor))}
            ),
            "max_queued_calls": part(config.max_queued_calls),
            "backends": {
                name: backend.model_copy(update={"max_concurrency": part(backend.max_concurrency)})
                for name, backend in config.backends.items()
            },
        }
    )


def _roomy(part: int) -> int:
    """The kernel spreads connections by chance: a part, and four standard deviations more.

    With the bare part a worker would refuse some long before the whole is reached: of 1,000 connections over four
    workers every second time one gets 260 or more.
    """
    return part + math.ceil(4 * math.sqrt(part))


def too_small(config: Config) -> Iterator[tuple[Path, int]]:
    """The bounds that leave a worker without a part, by path."""
    bounds: list[tuple[Path, int]] = [
        (("server", "max_calls"), config.server.max_calls),
        (("server", "http2", "max_connections"), config.server.http2.max_connections),
    ]
    bounds += [
        (("backends", name, "max_concurrency"), backend.max_concurrency)
        for name, backend in config.backends.items()
    ]
    yield from ((path, bound) for path, bound in bounds if bound < config.workers)
