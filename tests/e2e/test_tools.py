"""Tools that know nothing of Pointsman but its address."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.parts import QUESTION

CONVERSATION = {"messages": [{"role": "ROLE_USER", "parts": [{"text": QUESTION}]}]}
GENERATE = "pointsman.v1.InferenceService/Generate"


async def run(*command: str | Path) -> str:
    """What a program prints; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, (out + err).decode()
    return out.decode()


@pytest.mark.timeout(600)
async def test_grpcurl_finds_the_services_and_asks_a_model(service, grpcurl):
    """Reflection tells what there is, and JSON in becomes JSON out, unary and streamed."""
    listed = await run(grpcurl, "-plaintext", service.target, "list")
    assert {"pointsman.v1.InferenceService", "pointsman.v1.ModelService"} <= set(listed.split())
    described = await run(grpcurl, "-plaintext", service.target, "describe", "pointsman.v1.InferenceService")
    assert "StreamGenerate" in described
    request = json.dumps({"model": "one", "conversation": CONVERSATION})
    answer = json.loads(await run(grpcurl, "-plaintext", "-d", request, service.target, GENERATE))
    assert "Paris" in answer["candidates"][0]["message"]["parts"][0]["text"]
    stream = "pointsman.v1.InferenceService/StreamGenerate"
    assert "Paris" in await run(grpcurl, "-plaintext", "-d", request, service.target, stream)
    health = await run(grpcurl, "-plaintext", service.target, "grpc.health.v1.Health/Check")
    assert json.loads(health) == {"status": "SERVING"}


@pytest.mark.timeout(600)
async def test_ghz_loads_the_server_through_reflection(service, ghz):
    """A hundred calls, all OK, without any proto file given."""
    request = json.dumps({"model": "both", "conversation": CONVERSATION})
    options = ["--insecure", "--call", GENERATE, "-n", "100", "-c", "10", "-d", request, "-O", "json"]
    report = json.loads(await run(ghz, *options, "--timeout", "60s", service.target))
    assert report["statusCodeDistribution"] == {"OK": 100}
