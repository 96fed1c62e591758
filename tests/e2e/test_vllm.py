"""A real vLLM on the CPU: what its own metrics say of calls that were left, and what its death looks like."""

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pointsman import AsyncClient, StreamInterrupted
from tests.e2e import oracle
from tests.e2e.parts import Process, first_then, get, run, until
from tests.fakes.ports import HOST, free_port
from tools import vllm_venv

PYTHON = vllm_venv.FOLDER / "bin" / "python"
TOKENS = 1900
LONG = {
    "max_output_tokens": TOKENS,
    "temperature": 0.0,
    "provider_options": {"openai": {"body": {"ignore_eos": True}}},
}
SHORT = {**LONG, "max_output_tokens": 24}
SETTINGS = {
    "VLLM_TARGET_DEVICE": "cpu",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
}

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not vllm_venv.STAMP.exists(),
        reason="vLLM takes 3 GB and minutes: `make test-vllm` installs and tests it",
    ),
]


class Vllm(Process):
    """vLLM with one tiny model."""

    def __init__(self, name: str, folder: Path, model: Path) -> None:
        super().__init__(name, folder / f"{name}.log")
        self.model = model
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"

    async def ensure_running(self) -> None:
        if not self.alive:
            served = ["--model", str(self.model), "--served-model-name", "tiny"]
            where = ["--host", HOST, "--port", str(self.port)]
            small = [
                "--max-model-len",
                "2048",
                "--max-num-seqs",
                "16",
                "--enforce-eager",
                "--dtype",
                # As precise as the other engines are.
                "float32",
            ]
            program = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server"]
            self.start([*program, *served, *where, *small], environment=SETTINGS)
        await self.answers(f"{self.url}/health", within_s=300)

    async def metric(self, pattern: str) -> float:
        """The sum of its metrics whose names match."""
        metrics = await asyncio.to_thread(get, f"{self.url}/metrics")
        found = re.findall(rf"^vllm:(?:{pattern})\{{[^}}]*\}} (\S+)$", metrics, re.MULTILINE)
        assert found, metrics
        return sum(map(float, found))

    async def in_hand(self) -> float:
        """How many answers it works on or holds in its queue."""
        return await self.metric("num_requests_running|num_requests_waiting")

    async def becomes_busy(self) -> None:
        await until(f"{self.name} works", self.in_hand)

    async def becomes_idle(self) -> None:
        async def idle() -> bool:
            return not await self.in_hand()

        await until(f"{self.name} has nothing to do", idle, within_s=10)

    def engine_core(self) -> int:
        """The process that computes, apart from the one that speaks HTTP."""
        assert self.popen is not None
        for name in Path("/proc").glob("[0-9]*/comm"):
            try:
                pid = int(name.parent.name)
                if os.getpgid(pid) == self.popen.pid and "EngineCor" in name.read_text():
                    return pid
            except OSError:
                continue
        raise AssertionError("no engine core runs")


@pytest.fixture(scope="module")
def tiny_model(tiny_files: Path) -> Path:
    """The tiny model's folder, now with what vLLM reads."""
    run([PYTHON, oracle.FOLDER / "hugging_face.py", tiny_files])
    return tiny_files


@pytest.fixture(scope="module")
def started_servers(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> Iterator[tuple[Vllm, Vllm]]:
    folder = tmp_path_factory.mktemp("vllm")
    servers = Vllm("first", folder, tiny_model), Vllm("second", folder, tiny_model)
    yield servers
    for server in servers:
        server.kill()


@pytest.fixture
async def servers(started_servers: tuple[Vllm, Vllm]) -> tuple[Vllm, Vllm]:
    async with asyncio.TaskGroup() as group:
        for server in started_servers:
            group.create_task(server.ensure_running())
    return started_servers


@pytest.fixture
async def routed(servers, start_service):
    """Model `one` on the first server, `both` on the second when the first cannot serve."""
    backends = {
        server.name: {"provider": "vllm", "url": f"{server.url}/v1", "timeouts": {"first_content_s": 60}}
        for server in servers
    }
    models = {"one": first_then("first"), "both": first_then("first", "second")}
    for model in models.values():
        model.pop("defaults")
        for target in model["targets"]:
            target["model"] = "tiny"
    return await start_service({"backends": backends, "models": models})


async def test_it_says_what_every_other_engine_says(routed):
    """Byte by byte, by its own tokenizer, template and arithmetic, through chat and through completions."""
    await oracle.check_answers(routed.target, "one")


async def test_calls_that_are_left_leave_their_slots(routed, servers):
    """By vLLM's own count nothing runs any more, and the answers were never finished."""
    first, _ = servers
    before = await first.metric("generation_tokens_total")
    async with AsyncClient(routed.target) as client:
        async with client.stream("hello", model="one", **LONG) as stream:
            async for event in stream:
                if event.deltas:
                    break
        await first.becomes_idle()
        call = asyncio.create_task(client.generate("hello", model="one", **LONG))
        await first.becomes_busy()
        call.cancel()
        await first.becomes_idle()
    assert await first.metric("generation_tokens_total") - before < 2 * TOKENS


async def test_an_engine_core_that_is_killed_interrupts_the_stream(routed, servers):
    """An error and a normal [DONE] are told then: the caller sees STREAM_INTERRUPTED, the next call goes elsewhere."""
    first, _ = servers
    async with AsyncClient(routed.target, retries=0) as client:
        async with client.stream("hello", model="both", **LONG) as stream:
            async for event in stream:
                if event.deltas:
                    break
            os.kill(first.engine_core(), signal.SIGKILL)
            with pytest.raises(StreamInterrupted) as caught:
                await stream.collect()
        assert caught.value.content_delivered
        answer = await client.generate("hello", model="both", **SHORT)
        assert answer.backend == "second"
        assert answer.usage.output_tokens == 24
