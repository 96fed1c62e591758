"""The providers' own clients as processes, each started once for the run."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.sdks.speech import Ask, Authority

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nothing here belongs to `make test`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


class Client:
    """The process of one client."""

    def __init__(self, name: str, log: Path) -> None:
        self.name, self._log = name, log
        module, older, _ = name.partition("-older")
        home = ROOT / f".venv-sdks{older}"
        if not (home / ".stamp").exists():
            pytest.skip(f"the provider's own client is not there: `make {home.name}/.stamp` installs it")
        command = [str(home / "bin" / "python"), "-m", "tests.sdks.clients", module]
        # Nothing of this machine's configuration, such as a proxy or a key.
        environment = {"PATH": os.environ["PATH"], "HOME": str(log.parent), "HF_HUB_OFFLINE": "0"}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """One job; blocks until it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client {self.name} ended: {self._log.read_text()[-2000:]}"
        return json.loads(line)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Client]]:
    folder, started = tmp_path_factory.mktemp("clients"), {}

    def client(name: str) -> Client:
        if name not in started:
            started[name] = Client(name, folder / f"{name}.log")
        return started[name]

    yield client
    for one in started.values():
        one.end()


@pytest.fixture(scope="session")
def ask(clients: Callable[[str], Client]) -> Ask:
    """Has a client do a job, while the provider that it calls runs here."""

    async def ask(name: str, job: Mapping[str, Any]) -> dict[str, Any]:
        client = clients(name)
        return await asyncio.to_thread(client.ask, job)

    return ask


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """For this run alone."""
    made, path = trustme.CA(), tmp_path_factory.mktemp("authority") / "ca.pem"
    made.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("localhost").configure_cert(context)
    return Authority(context, str(path))
