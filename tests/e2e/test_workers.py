"""Four workers and their supervisor, as processes: spread, loss, drain, reload, and what operators are answered."""

import asyncio
import contextlib
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from pointsman import AsyncClient, PointsmanError
from pointsman import v1 as pb
from pointsman.v1 import inference_service_pb2_grpc, router_admin_service_pb2_grpc
from tests.fakes import chat
from tests.fakes.channels import OWN_CONNECTION
from tests.fakes.provider import Provider
from tests.fakes.replies import Gate, stream_reply
from tests.fakes.running_app import backend_at, merged, model_over, one_model, write_settings
from tests.fakes.running_app import until as soon
from tests.fakes.service_process import ServiceProcess

PATIENCE_S = 60.0
FOUR: Mapping[str, Any] = {"workers": 4, "server": {"drain": {"delay_s": 0.5, "grace_s": 60}}}
SIMULATED: Mapping[str, Any] = {
    "backends": {"only": {"provider": "simulator"}},
    "models": {"chat": model_over("only")},
}


async def until(what: str, holds: Callable[[], object]) -> None:
    """Several processes start on few cores here."""
    await soon(what, holds, PATIENCE_S, every_s=0.05)


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as fake:
        yield fake


class Pod(ServiceProcess):
    """A service of several workers."""

    async def metrics(self) -> dict[str, float]:
        """Every sample by name and labels."""
        text = (await self.get("/metrics"))[1]
        return {
            sample.name
            + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def pids(self) -> dict[int, int]:
        """The process that each worker has now."""
        return {line["worker"]: line["pid"] for line in self.lines if line["event"] == "worker_started"}

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == name]

    async def __aenter__(self) -> "Pod":
        await super().__aenter__()
        try:
            # Lines are written a little later.
            await until("all workers are told", lambda: len(self.pids()) == self.settings["workers"])
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.output[-4000:]}") from error
        return self

    async def whole(self) -> bool:
        return (await self.metrics())["pointsman_workers state=ready"] == 4

    async def in_flight(self, worker: int) -> int:
        return int((await self.metrics())[f"pointsman_worker_calls_in_flight worker={worker}"])

    @contextlib.asynccontextmanager
    async def channel(self, port: str = "server") -> AsyncIterator[grpc.aio.Channel]:
        """A connection of its own."""
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{self.ports[port]}", options=OWN_CONNECTION
        ) as channel:
            yield channel

    async def ask(self, model: str = "chat") -> pb.GenerateResponse:
        """One call on a connection of its own."""
        async with self.channel() as channel:
            stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
            return await stub.Generate(pb.GenerateRequest(model=model, prompt="hello"), timeout=30)

    async def ask_all(self, model: str = "chat") -> list[pb.GenerateResponse]:
        """Enough calls to reach every worker."""
        return await asyncio.gather(*(self.ask(model) for _ in range(40)))

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[Any]:
        async with self.channel("admin") as channel:
            yield router_admin_service_pb2_grpc.RouterAdminServiceStub(channel)


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Any]:
    """Starts pods; they end with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(settings: Mapping[str, Any], over: Mapping[str, Any] = FOUR) -> Pod:
            folder = tmp_path / "pod"
            folder.mkdir()
            return await stack.enter_async_context(Pod(folder, merged(settings, over)))

        yield start


def alive(pid: int) -> bool:
    """Whether the process runs: any thread of it, since the last one to end closes its sockets."""
    process = Path(f"/proc/{pid}")
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" or len(list((process / "task").iterdir())) > 1
    except OSError:
        return False


def held(gate: asyncio.Event) -> Callable[[Any], Any]:
    """Streams of two words, the second when the gate opens."""
    return lambda request: (
        stream_reply(chat.BEGIN, chat.said("Hello"), Gate(gate), chat.said(" there"), chat.END)
        if chat.streams(request)
        else chat.answer()
    )


async def streams(
    stack: contextlib.AsyncExitStack, pod: Pod, channels: int, each: int
) -> list[tuple[Any, list[str]]]:
    """Live streams, each with its first content, on so many connections."""
    live = []
    for _ in range(channels):
        client = await stack.enter_async_context(AsyncClient(pod.target, retries=0, options=OWN_CONNECTION))
        for _ in range(each):
            stream = await stack.enter_async_context(client.stream("hello", model="chat"))
            async for event in stream:
                if event.text:
                    break
            live.append(stream)
    return live


async def test_a_thousand_connections_are_spread_over_all(run: Any) -> None:
    """One call on each, all served; no worker has less than 15 or more than 35 of a hundred; the counts are sums."""
    pod = await run(SIMULATED)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):

            async def one() -> None:
                channel = await stack.enter_async_context(pod.channel())
                stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
                answer = await stub.Generate(pb.GenerateRequest(model="chat", prompt="hello"), timeout=60)
                assert answer.candidates

            await asyncio.gather(*(one() for _ in range(50)))
        metrics = await pod.metrics()
    assert metrics["pointsman_calls_total model=chat reason=OK"] == 1000
    method = "rpc_method=pointsman.v1.InferenceService/Generate rpc_status_code=OK"
    assert metrics[f"rpc_server_call_duration_seconds_count {method}"] == 1000
    assert metrics[f"rpc_server_call_duration_seconds_bucket le=+Inf {method}"] == 1000
    await until("all lines are there", lambda: len(pod.events("call")) == 1000)
    spread = Counter(line["worker"] for line in pod.events("call"))
    assert set(spread) == {0, 1, 2, 3}
    assert all(150 <= count <= 350 for count in spread.values()), spread


async def test_a_killed_worker_takes_only_its_own_calls_along(run: Any, provider: Provider) -> None:
    """Streams of the others end well, calls go on, the pod stays ready, and the worker is back."""
    gate = asyncio.Event()
    provider.handler = held(gate)
    pod = await run(one_model(provider))
    seen: list[int] = []

    async def watch_readiness() -> None:
        while True:
            seen.append((await pod.get("/readyz"))[0])
            await asyncio.sleep(0.05)

    async with contextlib.AsyncExitStack() as stack:
        live = await streams(stack, pod, channels=24, each=2)
        counts: dict[int, int] = {}

        async def told() -> bool:
            counts.update({worker: await pod.in_flight(worker) for worker in range(4)})
            return sum(counts.values()) == len(live)

        await until("all calls are told", told)
        victim = max(counts, key=lambda worker: counts[worker])
        before = await pod.metrics()
        watching = asyncio.create_task(watch_readiness())
        pid = pod.pids()[victim]
        os.kill(pid, signal.SIGKILL)
        # Who connects in the very moment of its end is one of its own callers, too.
        await until("it is dead", lambda: not alive(pid))
        answers = await asyncio.wait_for(pod.ask_all(), PATIENCE_S)
        assert len(answers) == 40
        await until("the worker is back", pod.whole)
        gate.set()
        ended = await asyncio.gather(*(stream.collect() for stream in live), return_exceptions=True)
    lost = [end for end in ended if isinstance(end, PointsmanError)]
    assert len(lost) == counts[victim] > 0
    assert {end.text for end in ended if not isinstance(end, Exception)} == {"Hello there"}
    watching.cancel()
    assert set(seen) == {200}
    after = await pod.metrics()
    counters = [name for name in before if re.match(r"\w+_(total|count|sum|bucket)( |$)", name)]
    fallen = [name for name in counters if after[name] < before[name]]
    assert [name for name in fallen if not name.startswith("pointsman_worker_cpu")] == []
    assert len(counters) > 30
    assert after[f"pointsman_worker_restarts_total worker={victim}"] == 1
    (line,) = pod.events("worker_ended")
    assert (line["worker"], line["level"]) == (victim, "warning")


async def test_all_drain_together(run: Any, provider: Provider) -> None:
    """After SIGTERM every worker says NOT_SERVING, live streams end well, no worker is left, and the status is 0."""
    gate = asyncio.Event()
    provider.handler = held(gate)
    pod = await run(one_model(provider), merged(FOUR, {"server": {"drain": {"delay_s": 4}}}))
    pids = pod.pids()

    async def status() -> int:
        async with pod.channel() as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            return (await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)).status

    async with contextlib.AsyncExitStack() as stack:
        live = await streams(stack, pod, channels=10, each=5)
        assert set(await asyncio.gather(*(status() for _ in range(30)))) == {1}
        pod.signal(signal.SIGTERM)
        await until("all drain", lambda: len(pod.events("draining")) == 5)
        assert set(await asyncio.gather(*(status() for _ in range(30)))) == {2}
        assert (await pod.get("/readyz"))[0] == 503
        assert (await pod.get("/livez"))[0] == 200
        gate.set()
        answers = await asyncio.gather(*(stream.collect() for stream in live))
    assert {answer.text for answer in answers} == {"Hello there"}
    assert await pod.ended(within_s=PATIENCE_S) == 0
    assert not [pid for pid in pids.values() if alive(pid)]
    assert len(pod.events("stopped")) == 5
    assert not [line for line in pod.lines if line["level"] in ("warning", "error")]


async def test_a_second_signal_waits_for_nobody(run: Any, provider: Provider) -> None:
    """Streams in all workers are told SHUTTING_DOWN at once, and the status is 0."""
    provider.handler = held(asyncio.Event())
    pod = await run(one_model(provider), merged(FOUR, {"server": {"drain": {"delay_s": 60}}}))
    async with contextlib.AsyncExitStack() as stack:
        live = await streams(stack, pod, channels=8, each=1)
        pod.signal(signal.SIGTERM)
        await until("all drain", lambda: len(pod.events("draining")) == 5)
        pod.signal(signal.SIGINT)
        ended = await asyncio.gather(*(stream.collect() for stream in live), return_exceptions=True)
    assert {getattr(end, "reason", end) for end in ended} == {"SHUTTING_DOWN"}
    assert await pod.ended(within_s=30) == 0


async def test_reloads_lose_nothing_and_reach_all(run: Any, provider: Provider) -> None:
    """Under load, by signal, file and ReloadConfig; faults are told once, and a worker that comes later has it."""
    provider.handler = chat.as_asked
    pod = await run(one_model(provider))
    served, failures, done = 0, [], asyncio.Event()

    async def load() -> None:
        nonlocal served
        async with AsyncClient(pod.target, retries=0, options=OWN_CONNECTION) as client:
            while not done.is_set():
                try:
                    await client.generate("hello", model="chat", timeout_s=30)
                    served += 1
                except PointsmanError as error:
                    failures.append(error)
                await asyncio.sleep(0.01)

    callers = [asyncio.create_task(load()) for _ in range(8)]
    async with pod.admin() as admin:
        for number, tell in enumerate(("signal", "file", "admin", "signal", "admin")):
            name = f"model-{number}"
            models = {"chat": model_over("only"), name: model_over("only")}
            write_settings(pod.file, {**pod.settings, "models": models})
            if tell == "signal":
                pod.signal(signal.SIGHUP)
            elif tell == "admin":
                assert (await admin.ReloadConfig(pb.ReloadConfigRequest())).applied
            await until("it is in force", partial(in_force, pod, name))
            assert {answer.model for answer in await pod.ask_all(name)} == {name}
            await until("it is told", partial(reloaded, pod, number + 1))
        write_settings(pod.file, "sevrer: {}\nmodels: {chat: {targets: [{backend: nowhere}]}}\n")
        checked = await admin.ReloadConfig(pb.ReloadConfigRequest(validate_only=True))
        refused = await admin.ReloadConfig(pb.ReloadConfigRequest())
        assert not checked.applied
        assert not refused.applied
        assert [fault.path for fault in refused.faults] == [fault.path for fault in checked.faults]
        assert "sevrer" in [fault.path for fault in refused.faults]
    await until("the file was looked at", lambda: len(pod.events("config_refused")) == 2)
    done.set()
    await asyncio.gather(*callers)
    assert not failures, failures[0]
    assert served > 50
    os.kill(pod.pids()[1], signal.SIGKILL)
    await until("a worker takes its place", partial(started, pod, 5))
    assert {answer.model for answer in await pod.ask_all("model-4")} == {"model-4"}
    metrics = await pod.metrics()
    assert metrics["pointsman_config_reloads_total result=refused"] == 2
    assert len([name for name in metrics if name.startswith("pointsman_config_info")]) == 1


def reloaded(pod: Pod, count: int) -> bool:
    """Whether so many different configurations were put in force."""
    return len({line["config_hash"] for line in pod.events("config_reloaded")}) == count


async def in_force(pod: Pod, model: str) -> bool:
    """Whether the pod shows a configuration with the model."""
    return f'"{model}"' in (await pod.get("/config"))[1]


async def test_operators_speak_to_all(run: Any, provider: Provider) -> None:
    """Lists add up; a drain holds in every worker, and in one that takes the place of another."""
    gate = asyncio.Event()
    provider.handler = held(gate)
    async with Provider() as other, contextlib.AsyncExitStack() as stack:
        other.handler = chat.as_asked
        backends = {"a": backend_at(provider, max_concurrency=400), "b": backend_at(other)}
        pod = await run({"backends": backends, "models": {"chat": model_over("a", "b")}})
        live = await streams(stack, pod, channels=6, each=1)
        admin = await stack.enter_async_context(pod.admin())
        a, b = (await admin.ListBackends(pb.ListBackendsRequest())).backends
        assert (a.name, a.state, a.in_flight_requests) == ("a", pb.BACKEND_STATE_HEALTHY, 6)
        assert (a.concurrency_limit, b.concurrency_limit) == (400, 1024)
        drained = (await admin.DrainBackend(pb.DrainBackendRequest(name="a", reason="new driver"))).backend
        assert (drained.state, drained.state_reason) == (pb.BACKEND_STATE_DRAINING, "new driver")
        assert {answer.routing.backend for answer in await pod.ask_all()} == {"b"}
        gate.set()
        assert {(await stream.collect()).text for stream in live} == {"Hello there"}
        os.kill(pod.pids()[2], signal.SIGKILL)
        await until("the worker is back", partial(started, pod, 5))
        await until("all take calls", pod.whole)
        assert {answer.routing.backend for answer in await pod.ask_all()} == {"b"}
        assert (await pod.metrics())["pointsman_backend_state backend=a state=DRAINING"] == 1
        await admin.UndrainBackend(pb.UndrainBackendRequest(name="a"))
        assert {answer.routing.backend for answer in await pod.ask_all()} == {"a"}
        # Lines are written a little later.
        await until("it is told", lambda: pod.events("backend_undrained"))
        assert len(pod.events("backend_draining")) == len(pod.events("backend_undrained")) == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin.ListBackends(pb.ListBackendsRequest(model="nope"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_no_worker_outlives_its_supervisor(run: Any, provider: Provider) -> None:
    """Killed, it leaves no orphan; callers are told, and another service can have the port."""
    provider.handler = held(asyncio.Event())
    pod = await run(one_model(provider))
    pids = pod.pids()
    async with contextlib.AsyncExitStack() as stack:
        live = await streams(stack, pod, channels=8, each=1)
        pod.signal(signal.SIGKILL)
        ended = await asyncio.gather(*(stream.collect() for stream in live), return_exceptions=True)
        assert all(isinstance(end, PointsmanError) for end in ended)
    await until("no worker is left", lambda: not [pid for pid in pids.values() if alive(pid)])
    await pod.ended()
    await pod.launch()
    await until("it serves again", lambda: ready(pod))
    await pod.ask_all()


def started(pod: Pod, count: int) -> bool:
    """Whether so many workers were started in all."""
    return len(pod.events("worker_started")) == count


async def ready(pod: Pod) -> bool:
    """Whether it takes calls."""
    with contextlib.suppress(OSError):
        return (await pod.get("/readyz"))[0] == 200
    return False


async def test_workers_that_die_again_and_again_hurt_nobody_else(run: Any) -> None:
    """The others serve on, and the pauses between starts grow."""
    pod = await run(SIMULATED)
    for count in range(5, 8):
        os.kill(pod.pids()[0], signal.SIGKILL)
        await until("it was started again", partial(started, pod, count))
        assert len(await pod.ask_all()) == 40
    pauses = [re.search(r"starts again in ([\d.]+) s", line["detail"]) for line in pod.events("worker_ended")]
    assert [float(pause[1]) > 0 for pause in pauses if pause] == [False, True, True]
    assert pod.pids().keys() == {0, 1, 2, 3}


async def test_one_worker_may_be_ended_without_a_lost_call(run: Any) -> None:
    """A worker that an operator sends SIGTERM lets its callers go to the others, and another takes its place.

    The client's own retries are on: what arrives between the two words with which gRPC closes a connection is cancelled
    by its core, before any handler sees it; and a connection that waits at a port which closes is reset, after which
    the client's core pauses for a quarter of a second, longer than two retries may last.
    """
    pod = await run(SIMULATED)
    served, failures, done = 0, [], asyncio.Event()

    async def load() -> None:
        nonlocal served
        async with AsyncClient(pod.target, retries=4, options=OWN_CONNECTION) as client:
            while not done.is_set():
                try:
                    await client.generate("hello", model="chat", timeout_s=30)
                    served += 1
                except PointsmanError as error:
                    failures.append(error)
                await asyncio.sleep(0.01)

    callers = [asyncio.create_task(load()) for _ in range(12)]
    await until("there is load", lambda: served > 100)
    for worker in (0, 1):
        os.kill(pod.pids()[worker], signal.SIGTERM)
        await until("another took its place", partial(started, pod, 5 + worker))
        await until("all take calls", pod.whole)
    done.set()
    await asyncio.gather(*callers)
    assert not failures, (len(failures), failures[0])
    assert ["status 0" in line["detail"] for line in pod.events("worker_ended")] == [True, True]


@pytest.mark.parametrize("workers", [1, 4])
async def test_a_bad_start_says_why(tmp_path: Path, workers: int) -> None:
    """Exit status 1 and the same words, whether there are workers or not; no process is left."""
    pem = tmp_path / "bad.pem"
    pem.write_text("no certificate")
    said = []
    for number, bad in enumerate((
        {"server": {"tls": {"certificate_file": str(pem), "key_file": str(pem)}}},
        {"server": {"listen": "127.0.0.1"}},
        {"ops": {"listen": "192.0.2.1:80"}},
    )):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        pod = Pod(folder, merged(merged(SIMULATED, {"workers": workers}), bad))
        await pod.launch()
        assert await pod.ended(within_s=PATIENCE_S) == 1
        assert "Traceback" not in pod.output
        said.append(pod.output)
    assert "cannot start" in said[0]
    assert "listen" in said[1]
    assert "cannot listen on 192.0.2.1:80" in said[2]


async def test_the_port_belongs_to_one_service(run: Any, tmp_path: Path) -> None:
    """Neither one process nor several may join those that serve there."""
    pod = await run(SIMULATED)
    for workers in (1, 2):
        folder = tmp_path / f"other-{workers}"
        folder.mkdir()
        other = Pod(folder, merged(SIMULATED, {"workers": workers, "server": {"listen": pod.target}}))
        await other.launch()
        assert await other.ended(within_s=PATIENCE_S) == 1
        assert f"cannot listen on {pod.target}" in other.output
