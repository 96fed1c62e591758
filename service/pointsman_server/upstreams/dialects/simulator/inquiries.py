"""Vectors and counts of the built-in backend: the same for the same input, steered as its answers are."""

from __future__ import annotations

import asyncio
import hashlib
import math
from array import array
from collections.abc import Mapping
from typing import Protocol

from pointsman_server.clock import Clock
from pointsman_server.config import schema
from pointsman_server.context import Attempt
from pointsman_server.domain import (
    CountCall,
    EmbedCall,
    Embeddings,
    EmbedInput,
    Opened,
    ProviderOptions,
    Text,
    TokenIds,
    Usage,
)
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.upstreams.contract import Reply
from pointsman_server.upstreams.dialects.simulator.answer import Steering, count_input, steering

_WORD = 4
"""Bytes of a hash that make a number."""


class Simulated(Protocol):
    """The backend that these belong to."""

    @property
    def config(self) -> schema.Simulator:
        """How it behaves."""

    @property
    def clock(self) -> Clock:
        """The time."""

    def next_step(self) -> Steering:
        """What the script says next."""

    def failure(self, reason: Reason) -> ServiceError:
        """What it fails with."""


class SimulatedEmbedder:
    """Unit vectors, made of a hash of the input: equal inputs have equal vectors, others unlike ones."""

    def __init__(self, upstream: Simulated) -> None:
        self._upstream = upstream

    async def ask(self, attempt: Attempt[EmbedCall]) -> Reply[Embeddings]:
        """As the protocol says."""
        call = attempt.call
        await _wait(self._upstream, call.provider_options)
        size = call.dimensions or self._upstream.config.dimensions
        tokens = sum(_tokens(one) for one in call.inputs)
        return Reply(
            Embeddings(tuple(_vector(one, size) for one in call.inputs)),
            usage=Usage(input_tokens=tokens, total_tokens=tokens),
            opened=Opened(model=attempt.target.model, upstream_request_id=attempt.upstream_id),
        )


class SimulatedCounter:
    """Counts what its answers report."""

    def __init__(self, upstream: Simulated) -> None:
        self._upstream = upstream

    async def ask(self, attempt: Attempt[CountCall]) -> Reply[int]:
        """As the protocol says."""
        asked = attempt.call.asked
        await _wait(self._upstream, asked.provider_options)
        return Reply(count_input(asked), opened=Opened(upstream_request_id=attempt.upstream_id))


async def _wait(upstream: Simulated, options: Mapping[str, ProviderOptions]) -> None:
    """What comes before an answer: the configured wait, or a failure."""
    script, own = upstream.next_step(), options.get("simulator")
    steered = Steering() if own is None or not own.body_json else steering(own.body_json)
    fail = steered.fail or script.fail
    if fail is not None:
        raise upstream.failure(fail)
    wait_ms = upstream.config.first_token_ms if steered.first_token_ms is None else steered.first_token_ms
    if wait_ms:
        await upstream.clock.sleep(wait_ms / 1000)
    if steered.hang or script.hang:
        await asyncio.get_running_loop().create_future()


def _tokens(one: EmbedInput) -> int:
    match one:
        case Text(text):
            return text.count(" ") + 1
        case TokenIds(ids):
            return len(ids)
        case _:
            return 1


def _vector(one: EmbedInput, size: int) -> array[float]:
    """Numbers between -1 and 1 out of an endless hash, brought to length 1."""
    data = hashlib.shake_128(repr(one).encode(errors="replace")).digest(size * _WORD)
    numbers = [
        int.from_bytes(data[at : at + _WORD], "little") / 2**31 - 1.0 for at in range(0, len(data), _WORD)
    ]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return array("f", [number / length for number in numbers])
