"""The load: a gRPC client in a process of its own. `python -m bench.load KIND TARGET KEY ...` prints a JSON object.

unary TARGET KEY SECONDS CONCURRENCY      closed loop
direct URL - SECONDS                      the same question by HTTP, one call after another
calls TARGET KEY COUNT CONCURRENCY        closed loop, so many calls
stream TARGET KEY STREAMS COALESCE_MS     all streams at once, to their end; COALESCE_MS below 0 leaves it open
deadline TARGET KEY COUNT SECONDS         calls to a hung backend under a deadline
cancel TARGET KEY COUNT WHEN              WHEN: unary, before, after or unread; cancels one after another
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

import aiohttp
import grpc
import uvloop

from pointsman import v1

_CONNECTIONS = 4
_QUESTION = "Tell me about the points at the junction. " * 4
_SERIES = ("unary", "direct", "calls", "stream", "deadline", "cancel")


class Client:
    """Stubs over a few connections, and requests ready made."""

    def __init__(self, target: str, key: str, options: Sequence[tuple[str, int]] = ()) -> None:
        own = [("grpc.use_local_subchannel_pool", 1), *options]
        self.channels = [grpc.aio.insecure_channel(target, options=own) for _ in range(_CONNECTIONS)]
        self.stubs = [v1.InferenceServiceStub(channel) for channel in self.channels]
        self.metadata = (("authorization", f"Bearer {key}"),) if key != "-" else ()

    def request(self, model: str) -> v1.GenerateRequest:
        """A short question."""
        request = v1.GenerateRequest(model=model)
        message = request.conversation.messages.add(role=v1.ROLE_USER)
        message.parts.add(text=_QUESTION)
        return request

    async def close(self) -> None:
        """Close all connections."""
        for channel in self.channels:
            await channel.close()


async def unary(client: Client, seconds: float, concurrency: int, count: int = 0) -> dict[str, object]:
    """Calls one after another in each of `concurrency` loops, for a time or for a number."""
    request, failed = client.request("unary"), 0
    latencies: list[float] = []
    end = time.monotonic() + seconds

    async def loop(index: int) -> None:
        nonlocal failed
        stub = client.stubs[index % _CONNECTIONS]
        while time.monotonic() < end if not count else len(latencies) + failed < count:
            start = time.perf_counter()
            try:
                await stub.Generate(request, timeout=60, metadata=client.metadata)
            except grpc.aio.AioRpcError:
                failed += 1
            else:
                latencies.append(time.perf_counter() - start)

    await asyncio.gather(*(loop(index) for index in range(concurrency)))
    return _told(latencies, failed)


async def direct(url: str, seconds: float) -> dict[str, object]:
    """What the upstream takes without a gateway before it."""
    body = {"model": "unary", "messages": [{"role": "user", "content": _QUESTION}]}
    latencies = []
    async with aiohttp.ClientSession() as session:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.perf_counter()
            async with session.post(url, json=body) as response:
                await response.json()
            latencies.append(time.perf_counter() - start)
    return _told(latencies, 0)


def _told(latencies: list[float], failed: int) -> dict[str, object]:
    latencies.sort()
    return {
        "calls": len(latencies),
        "failed": failed,
        "p50_ms": _quantile(latencies, 0.5),
        "p99_ms": _quantile(latencies, 0.99),
    }


async def stream(client: Client, streams: int, coalesce_ms: float) -> dict[str, object]:
    """All streams at once."""
    request = client.request("stream")
    if coalesce_ms >= 0:
        request.stream_options.coalesce.FromMilliseconds(int(coalesce_ms))
    tokens = messages = failed = 0

    async def one(index: int) -> None:
        nonlocal tokens, messages, failed
        try:
            call = client.stubs[index % _CONNECTIONS].StreamGenerate(
                request, timeout=120, metadata=client.metadata
            )
            async for reply in call:
                messages += 1
                tokens += sum(delta.text.count("token") for delta in reply.deltas)
        except grpc.aio.AioRpcError:
            failed += 1

    await asyncio.gather(*(one(index) for index in range(streams)))
    return {"tokens": tokens, "messages": messages, "failed": failed}


async def deadline(client: Client, count: int, seconds: float) -> dict[str, object]:
    """All at once; when each ended, and whether the server made the status."""
    request = client.request("hang")

    async def one(index: int) -> tuple[float, bool]:
        start = time.monotonic()
        try:
            await client.stubs[index % _CONNECTIONS].Generate(
                request, timeout=seconds, metadata=client.metadata
            )
        except grpc.aio.AioRpcError as error:
            own = any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())
            return time.monotonic() - start, own and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        return time.monotonic() - start, False

    ended = await asyncio.gather(*(one(index) for index in range(count)))
    times = sorted(took for took, _ in ended)
    return {
        "first_s": times[0],
        "last_s": times[-1],
        "server_made": sum(own for _, own in ended),
        "end": time.monotonic(),
    }


async def cancel(client: Client, count: int, when: str) -> dict[str, object]:
    """Cancel calls one after another; tells when each was cancelled (monotonic)."""
    cancelled = []
    for index in range(count):
        stub = client.stubs[index % _CONNECTIONS]
        if when == "unary":
            call = stub.Generate(client.request("hang"), metadata=client.metadata)
            await asyncio.sleep(0.02)
        else:
            model = {"before": "hang", "after": "stream", "unread": "flood"}[when]
            call = stub.StreamGenerate(client.request(model), metadata=client.metadata)
            if when == "after":
                await call.read()
            await asyncio.sleep(0.02 if when == "before" else 0.05)
        cancelled.append(time.monotonic())
        call.cancel()
        await asyncio.sleep(0.01)
    return {"cancelled": cancelled}


def _quantile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3) if ordered else 0.0


async def _main(kind: str, target: str, key: str, numbers: Sequence[str]) -> dict[str, object]:
    if kind == "direct":
        return await direct(target, float(numbers[0]))
    unread = [("grpc.http2.bdp_probe", 0)] if numbers[-1] == "unread" else []
    client = Client(target, key, unread)
    try:
        match kind:
            case "unary":
                return await unary(client, float(numbers[0]), int(numbers[1]))
            case "calls":
                return await unary(client, 0, int(numbers[1]), int(numbers[0]))
            case "stream":
                return await stream(client, int(numbers[0]), float(numbers[1]))
            case "deadline":
                return await deadline(client, int(numbers[0]), float(numbers[1]))
            case _:
                return await cancel(client, int(numbers[0]), numbers[1])
    finally:
        await client.close()


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[1] not in _SERIES:
        sys.exit(__doc__)
    print(json.dumps(uvloop.run(_main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]))), flush=True)
