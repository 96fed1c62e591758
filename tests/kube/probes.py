"""The kubelet's probes: gRPC's health service in plain text, or HTTP."""

from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

Object = dict[str, Any]


async def passes(address: str, probe: Object, ports: dict[str, int]) -> bool:
    """Whether the pod at an address answers well, in time. `ports` are the container's by name."""
    within_s = probe.get("timeoutSeconds", 1)
    match probe:
        case {"grpc": wanted}:
            return await _grpc(f"{address}:{wanted['port']}", wanted.get("service", ""), within_s)
        case {"httpGet": wanted}:
            port = wanted["port"] if isinstance(wanted["port"], int) else ports[wanted["port"]]
            return await _http(f"http://{address}:{port}{wanted['path']}", within_s)
    raise ValueError(f"a kind of probe that this kubelet does not know: {probe}")


async def _grpc(target: str, service: str, within_s: float) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        try:
            answer = await stub.Check(request, timeout=within_s)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def _http(url: str, within_s: float) -> bool:
    timeout = aiohttp.ClientTimeout(total=within_s)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as answer:
            return 200 <= answer.status < 400
    except (aiohttp.ClientError, TimeoutError):
        return False
