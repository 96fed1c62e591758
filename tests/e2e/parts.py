"""Real processes on loopback: llama.cpp engines, pointsman-server, and what tests need to see of them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.lines import logged
from tests.fakes.ports import HOST, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE_S = 120.0
"""For what should happen: a bound on a hang, not a figure."""

QUESTION = "What is the capital of France?"
NEVER = "<never said>"


def long_answer(tokens: int) -> dict[str, Any]:
    """Parameters of an answer that has exactly so many tokens, whatever the model would like to say."""
    return {
        "max_output_tokens": tokens,
        "stop": NEVER,
        "temperature": 0.0,
        "provider_options": {"openai": {"body": {"ignore_eos": True}}},
    }


def get(url: str, *, timeout_s: float = 10) -> str:
    """The body of an answer with a good status; else URLError."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        return answer.read().decode()


def run(command: Sequence[str | Path]) -> None:
    """Runs a program to its end. Raises AssertionError with what it said when it fails."""
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-4000:]


async def until(what: str, condition: Callable[[], Awaitable[Any]], within_s: float = PATIENCE_S) -> Any:
    """What the condition gives, once that is true. Raises AssertionError when it never comes to be."""
    try:
        async with asyncio.timeout(within_s):
            found = await condition()
            while not found:
                await asyncio.sleep(0.02)
                found = await condition()
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None
    return found


class Process:
    """A program with its output in a file. Its group ends with it."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        with self.log.open("ab") as output:
            self.popen = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        assert self.popen is not None
        self.popen.send_signal(number)

    async def ended(self, within_s: float = PATIENCE_S) -> int:
        """Its exit status."""
        assert self.popen is not None
        return await asyncio.to_thread(self.popen.wait, within_s)

    def kill(self) -> None:
        if self.popen is not None and self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
        if self.popen is not None:
            self.popen.wait()

    async def answers(self, url: str, within_s: float = PATIENCE_S) -> None:
        """Waits until it serves that address. Raises AssertionError with its output when it ends instead."""

        async def ready() -> bool:
            if not self.alive:
                raise AssertionError(f"{self.name} ended:\n{self.output[-4000:]}")
            try:
                await asyncio.to_thread(get, url)
            except (urllib.error.URLError, OSError):
                return False
            return True

        await until(f"{self.name} serves {url}", ready, within_s)


class Engine(Process):
    """llama.cpp with Gemma 3 270M, or with the model in a file."""

    def __init__(self, name: str, folder: Path, *, slots: int = 8, file: Path | None = None) -> None:
        super().__init__(name, folder / f"{name}.log")
        self.slots = slots
        self.file = file
        self.port = free_port()
        self.url = f"http://{HOST}:{self.port}"

    async def ensure_running(self) -> None:
        """Starts it when it does not run, at the same address as ever."""
        if not self.alive:
            sized = ["--slots", str(self.slots), "--threads", "1"]
            where = ["--port", str(self.port), "--name", self.name]
            what = ["--file", str(self.file)] if self.file else []
            self.start([sys.executable, "-m", "tools.engine", *where, *sized, *what])
        await self.answers(f"{self.url}/health")

    async def busy_slots(self) -> int:
        """How many answers it works on."""
        slots = json.loads(await asyncio.to_thread(get, f"{self.url}/slots"))
        return sum(slot["is_processing"] for slot in slots)

    async def generated_tokens(self) -> float:
        """How many it has generated in all."""
        metrics = await asyncio.to_thread(get, f"{self.url}/metrics")
        line = next(
            line for line in metrics.splitlines() if line.startswith("llamacpp:tokens_predicted_total")
        )
        return float(line.split()[-1])

    async def becomes_busy(self, slots: int = 1) -> None:
        async def busy() -> bool:
            return await self.busy_slots() >= slots

        await until(f"{slots} slots of {self.name} are busy", busy)

    async def becomes_idle(self, within_s: float) -> None:
        async def idle() -> bool:
            return not await self.busy_slots()

        await until(f"no slot of {self.name} is busy", idle, within_s)

    @property
    def backend(self) -> dict[str, Any]:
        """Its entry under `backends`."""
        # Patient: many calls share one core here.
        timeouts = {"first_content_s": 200, "idle_s": 120}
        return {"provider": "llamacpp", "url": f"{self.url}/v1", "timeouts": timeouts}


DEFAULTS = {"temperature": 0.0, "max_output_tokens": 24, "stop_sequences": ["\nUser:"]}


def two_engines(first: Engine, second: Engine) -> dict[str, Any]:
    """Model `one` on the first engine, `two` on the second, `both` on either, in turn."""
    return {
        # What fails is soon tried again: tests wait for that.
        "ejection": {"base_s": 0.5},
        "backends": {"first": first.backend, "second": second.backend},
        "models": {
            "one": over("first"),
            "two": over("second"),
            "both": over("first", "second", policy="round_robin"),
        },
    }


def over(*backends: str, **more: Any) -> dict[str, Any]:
    """A model's entry: these backends, the later ones in no lower group."""
    return {"targets": [{"backend": name} for name in backends], "defaults": DEFAULTS, **more}


def first_then(*backends: str) -> dict[str, Any]:
    """A model's entry: each backend only when none before it can serve."""
    targets = [{"backend": name, "group": group} for group, name in enumerate(backends)]
    return {"targets": targets, "defaults": DEFAULTS}


class Service(Process):
    """A pointsman-server of its own, as a person would start it: a file, a process, signals."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        super().__init__("pointsman-server", folder / "pointsman-server.log")
        self.file = folder / "pointsman.yaml"
        self.port = free_port()
        self.ops = f"http://{HOST}:{free_port()}"
        self.target = f"{HOST}:{self.port}"
        places = {
            "server": {"listen": self.target, "drain": {"delay_s": 0.2, "grace_s": 240}},
            "admin": {"listen": f"{HOST}:{free_port()}"},
            "ops": {"listen": self.ops.removeprefix("http://")},
        }
        merged = {name: {**section, **config.get(name, {})} for name, section in places.items()}
        self.config: dict[str, Any] = {**config, **merged}
        self.write(self.config)

    def write(self, config: Mapping[str, Any] | str) -> None:
        """Puts this in the file, which the server has yet to read."""
        text = config if isinstance(config, str) else yaml.safe_dump(dict(config), sort_keys=False)
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.file)

    async def serve(self) -> None:
        self.start([sys.executable, "-m", "pointsman_server", "serve", "--config", str(self.file)])
        await self.answers(f"{self.ops}/readyz")

    def lines(self) -> list[dict[str, Any]]:
        """What it logged."""
        return logged(self.output)
