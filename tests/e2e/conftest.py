"""Two engines for the whole run, and a server for each test that asks for one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import oracle
from tests.e2e.parts import Engine, Service, two_engines
from tools.engine import EngineMissing, weights
from tools.go_tools import ToolMissing, find

HERE = Path(__file__).parent

StartService = Callable[[Mapping[str, Any]], Awaitable[Service]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing here belongs to `make test`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if not item.get_closest_marker("timeout"):
                # Models compute on the cores that everything else here runs on too.
                item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def started_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, Engine]]:
    try:
        import xllamacpp  # noqa: F401 -- whether it can be loaded here

        weights()
    except (ImportError, OSError, EngineMissing) as error:
        pytest.skip(f"llama.cpp cannot run here: {error}")
    folder = tmp_path_factory.mktemp("engines")
    engines = Engine("first", folder), Engine("second", folder)
    yield engines
    for engine in engines:
        engine.kill()


@pytest.fixture
async def engines(started_engines: tuple[Engine, Engine]) -> tuple[Engine, Engine]:
    """Both, running and with nothing to do, whatever an earlier test did to them."""
    async with asyncio.TaskGroup() as group:
        for engine in started_engines:
            group.create_task(engine.ensure_running())
    for engine in started_engines:
        await engine.becomes_idle(within_s=60)
    return started_engines


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model's files."""
    pytest.importorskip("gguf", reason="gguf is not installed: `make .venv/.stamp-e2e` installs it")
    folder = tmp_path_factory.mktemp("tiny")
    oracle.write_files(folder)
    return folder


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[StartService]:
    """Starts servers with a configuration; they end with the test."""
    started: list[Service] = []

    async def start(config: Mapping[str, Any]) -> Service:
        folder = tmp_path / f"service-{len(started)}"
        folder.mkdir()
        started.append(Service(folder, config))
        await started[-1].serve()
        return started[-1]

    yield start
    for service in started:
        service.kill()


@pytest.fixture
async def service(engines: tuple[Engine, Engine], start_service: StartService) -> Service:
    """One server over both engines."""
    return await start_service(two_engines(*engines))


def tool(name: str) -> str:
    """The program, built once where a Go toolchain is at hand, else from PATH. Skips where neither is."""
    try:
        return str(find(name))
    except ToolMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def grpcurl() -> str:
    return tool("grpcurl")


@pytest.fixture(scope="session")
def ghz() -> str:
    return tool("ghz")
