"""How these tests call, and how they take failures apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from pointsman import AsyncClient, Generation, PointsmanError
from tests.rpc.harness import Refusal, taken_apart

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])


async def ask(
    client: AsyncClient, text: str | None = "hello", *, stream: bool, model: str = "chat", **params: Any
) -> Generation:
    """The whole answer, whichever way it comes."""
    if not stream:
        return await client.generate(text, model=model, **params)
    async with client.stream(text, model=model, **params) as answer:
        return await answer.collect()


@dataclass(frozen=True)
class Failed:
    """A failed call: what the library makes of it, and what was sent."""

    error: PointsmanError
    told: Refusal

    @property
    def reason(self) -> str:
        """The contract's word."""
        return self.error.reason


async def failure(client: AsyncClient, text: str | None = "hello", **params: Any) -> Failed:
    """The failure of a call, which must be ours."""
    with pytest.raises(PointsmanError) as caught:
        await ask(client, text, **params)
    return _taken_apart(caught.value)


async def failure_told(client: AsyncClient, **params: Any) -> Failed:
    """That of a call whose deadline passes, as the service tells it.

    On a busy machine gRPC's own clock in the client may end a call before our word of it is there; such a call is made
    again. How often that is so is measured in bench/.
    """
    for _ in range(30):
        with pytest.raises(PointsmanError) as caught:
            await ask(client, **params)
        if caught.value.reason:
            return _taken_apart(caught.value)
    raise AssertionError(f"the service never came to tell it: {caught.value!r}")


def _taken_apart(error: PointsmanError) -> Failed:
    assert isinstance(error.__cause__, grpc.aio.AioRpcError), error
    told = taken_apart(error.__cause__)
    assert told.info.reason == error.reason
    return Failed(error, told)
