"""`make serve`, as a person at a terminal meets it."""

import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.e2e.parts import ROOT, Process, until
from tests.fakes.ports import HOST, free_port

StartServe = Callable[..., Awaitable["Serve"]]


class Serve(Process):
    """`python -m tools.serve` on ports of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__("serve", folder / f"serve-{port}.log")
        self.port = port
        self.options = ["--port", str(port), "--admin-port", str(free_port()), "--ops-port", str(free_port())]

    async def says(self, text: str) -> None:
        async def said() -> bool:
            assert self.alive or text in self.output, self.output
            return text in self.output

        await until(f"serve says {text!r}", said)

    def calls(self) -> list[str]:
        """What it invites to type."""
        return [line.strip() for line in self.output.splitlines() if line.startswith("  ")]

    def children(self) -> list[int]:
        """Processes that it started and that are still there."""
        assert self.popen is not None
        found = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text()
        return [int(pid) for pid in found.split()]


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[StartServe]:
    started: list[Serve] = []

    async def start(*options: str, environment: dict[str, str] | None = None) -> Serve:
        started.append(Serve(tmp_path, free_port()))
        command = [sys.executable, "-m", "tools.serve", *started[-1].options, *options]
        started[-1].start(command, environment=environment)
        return started[-1]

    yield start
    for process in started:
        if process.alive:
            process.signal(signal.SIGTERM)
            await process.ended()


async def test_what_it_invites_to_type_works(serve, tmp_path, started_engines):
    """Two models are served; the printed command runs as it stands; afterwards no process is left."""
    process = await serve()
    await process.says("Ctrl-C ends it.")
    chat, *_ = process.calls()
    asked = Process("chat", tmp_path / "chat.log")
    asked.start([sys.executable, "-m", "pointsman", *shlex.split(chat)[1:]])
    assert await asked.ended() == 0, asked.output
    assert "Paris" in asked.output
    children = process.children()
    assert len(children) == 2
    process.signal(signal.SIGINT)
    assert await process.ended() == 0
    assert not any(alive(pid) for pid in children)


@pytest.mark.timeout(600)
async def test_the_tools_that_it_names_work(serve, tmp_path, started_engines, grpcurl, ghz):
    """The other two printed calls run as they stand."""
    process = await serve()
    await process.says("Ctrl-C ends it.")
    _, *calls = process.calls()
    for program, call, wanted in zip((grpcurl, ghz), calls, ("Paris", "[OK]"), strict=True):
        name, *words = shlex.split(call)
        assert Path(program).name == name
        tried = Process(name, tmp_path / f"{name}.log")
        tried.start([program, *words])
        assert await tried.ended() == 0, tried.output
        assert wanted in tried.output


async def test_a_taken_port_is_named(serve):
    """The message says which port, and how to take another."""
    first = await serve("--engine", "simulator")
    await first.says("Ctrl-C ends it.")
    second = await serve("--engine", "simulator", "--port", str(first.port))
    assert await second.ended() == 1
    assert f"port {first.port} of {HOST} cannot be used" in second.output
    assert "--port" in second.output


async def test_without_an_engine_the_simulator_serves_alone(serve, tmp_path):
    """Where llama.cpp cannot be loaded the reason is told, and there is still something to call."""
    broken = tmp_path / "site"
    broken.mkdir()
    (broken / "xllamacpp.py").write_text("raise ImportError('no wheel for this machine')")
    process = await serve(environment={"PYTHONPATH": f"{broken}:{ROOT}"})
    await process.says("Ctrl-C ends it.")
    assert "no wheel for this machine" in process.output
    assert "Pointsman serves simulator on" in process.output


async def test_when_the_server_dies_all_of_it_ends(serve):
    """No half of it stays behind, and the end of the log is shown."""
    process = await serve("--engine", "simulator")
    await process.says("Ctrl-C ends it.")
    (child,) = process.children()
    os.kill(child, signal.SIGKILL)
    assert await process.ended() == 1
    assert "pointsman-server ended with status -9" in process.output
