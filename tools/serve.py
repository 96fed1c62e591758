"""Pointsman with a model to talk to, on this machine, until Ctrl-C: what `make serve` runs.

Starts the engine (`tools.engine`) and `pointsman-server` as processes of their own, waits until both answer, and says
what can be called. Where the engine cannot run it says why, and the built-in simulator serves alone.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import FrameType

from tools.engine import STOP_SEQUENCE, EngineMissing, check_port, weights

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".cache" / "serve"
HOST = "127.0.0.1"
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
QUESTION = "What is the capital of France?"


class CannotServe(Exception):
    """Why nothing is served; for the person at the terminal."""


@dataclass
class Ask:
    """What signals asked for."""

    stop: bool = False
    reload: bool = False
    signals: int = 0

    def listen(self) -> None:
        """From now on signals are noted here."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.reload = True
        else:
            self.stop = True
            self.signals += 1


@dataclass
class Child:
    """One process, its log, and the address that says when it is ready."""

    name: str
    command: Sequence[str]
    ready_at: str
    folder: Path
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def log(self) -> Path:
        """Where it writes."""
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        """Begins it, in a session of its own: Ctrl-C reaches it through this program only, and in order."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, ask: Ask) -> bool:
        """Whether it came to answer; False when it should stop before that. Raises CannotServe when it ends."""
        give_up = time.monotonic() + READY_WITHIN_S
        while not ask.stop:
            if self.process.poll() is not None:
                raise CannotServe(
                    f"{self.name} ended with status {self.process.returncode}:\n{self.last_lines()}"
                )
            if self._answers():
                return True
            if time.monotonic() > give_up:
                self.stop(ask)
                raise CannotServe(
                    f"{self.name} is not ready after {READY_WITHIN_S:g} s:\n{self.last_lines()}"
                )
            time.sleep(0.05)
        return False

    def stop(self, ask: Ask) -> None:
        """Asks it to end, and makes it end when it takes too long or a second signal came."""
        if self.process.poll() is None:
            self.process.terminate()
        give_up = time.monotonic() + STOP_WITHIN_S
        while self.process.poll() is None:
            if ask.signals > 1 or time.monotonic() > give_up:
                self.process.kill()
                self.process.wait()
            time.sleep(0.02)

    def last_lines(self) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-12:])

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.ready_at}", timeout=2) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except (urllib.error.URLError, OSError):
            return False


@dataclass(frozen=True)
class Ports:
    """Where things listen."""

    public: int
    admin: int
    ops: int
    engine: int

    @property
    def folder(self) -> Path:
        """For configuration and logs: its own for each public port, since several may be served."""
        return STATE / str(self.public)

    def check(self) -> None:
        """Raises CannotServe when one of them is taken."""
        named = (("--port", self.public), ("--admin-port", self.admin), ("--ops-port", self.ops))
        for option, port in (*named, ("--engine-port", self.engine)):
            try:
                check_port(HOST, port)
            except EngineMissing as error:
                raise CannotServe(
                    f"{error}. Is it served already? `python -m tools.serve {option} N` takes another."
                ) from error


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def config_text(ports: Ports, *, with_engine: bool) -> str:
    """The configuration that is served."""
    engine_backend = f"""\
  llamacpp:
    provider: llamacpp
    url: http://{HOST}:{ports.engine}/v1
"""
    engine_model = f"""\
  gemma:
    display_name: Gemma 3 270M (base weights)
    targets:
      - backend: llamacpp
    defaults:
      max_output_tokens: 128
      # It is no chat model: without this it goes on with the user's next question.
      stop_sequences: [{json.dumps(STOP_SEQUENCE)}]
"""
    return f"""\
# Written by `make serve`. Change it and send SIGHUP to what serves: it is read again, and no call is lost.
server:
  listen: {HOST}:{ports.public}
  drain:
    delay_s: 0
    grace_s: 10
admin:
  listen: {HOST}:{ports.admin}
ops:
  listen: {HOST}:{ports.ops}

backends:
{engine_backend if with_engine else ""}\
  simulator:
    provider: simulator
    simulator:
      tokens_per_s: 200

models:
{engine_model if with_engine else ""}\
  simulator:
    targets:
      - backend: simulator
"""


def invitation(ports: Ports, *, with_engine: bool) -> str:
    """What a person can do now."""
    model = "gemma" if with_engine else "simulator"
    models = "gemma (a small real model) and simulator" if with_engine else "simulator"
    address = f"{HOST}:{ports.public}"
    service = "pointsman.v1.InferenceService"
    turn = f'{{"role": "ROLE_USER", "parts": [{{"text": "{QUESTION}"}}]}}'
    asked = f'{{"model": "%s", "conversation": {{"messages": [{turn}]}}}}'
    simulated = f'{{"model": "simulator", "prompt": "{QUESTION}"}}'
    call = f"{service}/Generate {address}"
    calls = (
        f'.venv/bin/pointsman chat --target {address} --model {model} "{QUESTION}"',
        f"grpcurl -plaintext -d '{asked % model}' {address} {service}/StreamGenerate",
        f"ghz --insecure -n 1000 -c 20 -d '{simulated}' --call {call}",
    )
    where = ports.folder.relative_to(ROOT)
    return "\n\n".join(
        (
            f"Pointsman serves {models} on {address}. Three calls to try:",
            *(f"  {call}" for call in calls),
            f"Metrics: http://{HOST}:{ports.ops}/metrics. Configuration and logs: {where}/. Ctrl-C ends it.\n",
        )
    )


def start_engine(ports: Ports, ask: Ask) -> Child | None:
    """The engine, ready; None when it cannot run here, which is said, or when it should stop."""
    command = (sys.executable, "-m", "tools.engine", "--port", str(ports.engine))
    engine = Child("engine", command, f"{HOST}:{ports.engine}/health", ports.folder)
    try:
        weights()
        engine.start()
        if engine.wait_ready(ask):
            return engine
        engine.stop(ask)
    except (CannotServe, EngineMissing, OSError) as error:
        print(f"The llama.cpp engine cannot run here, so the simulator serves alone. {error}\n", flush=True)
    return None


def run(ports: Ports, ask: Ask, *, with_engine: bool) -> int:
    """Serves until a signal comes or a process ends."""
    ports.folder.mkdir(parents=True, exist_ok=True)
    ports.check()
    children: list[Child] = []
    try:
        if with_engine and (engine := start_engine(ports, ask)):
            children.append(engine)
        config = ports.folder / "pointsman.yaml"
        config.write_text(config_text(ports, with_engine=bool(children)), encoding="utf-8")
        command = (sys.executable, "-m", "pointsman_server", "serve", "--config", str(config))
        server = Child("pointsman-server", command, f"{HOST}:{ports.ops}/readyz", ports.folder)
        if not ask.stop:
            server.start()
            children.append(server)
            if server.wait_ready(ask):
                print(invitation(ports, with_engine=len(children) > 1), flush=True)
                watch(children, ask, on_reload=lambda: server.process.send_signal(signal.SIGHUP))
    finally:
        # The server first, so that calls still end well; then what served them.
        for child in reversed(children):
            child.stop(ask)
    print("Stopped.", flush=True)
    return 0


def watch(children: Sequence[Child], ask: Ask, *, on_reload: Callable[[], None]) -> None:
    """Returns when it should stop. Raises CannotServe when a process ends by itself."""
    while not ask.stop:
        for child in children:
            if child.process.poll() is not None:
                raise CannotServe(
                    f"{child.name} ended with status {child.process.returncode}:\n{child.last_lines()}"
                )
        if ask.reload:
            ask.reload = False
            on_reload()
        time.sleep(0.1)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("ENGINE", "llamacpp")
    parser.add_argument("--engine", choices=("llamacpp", "simulator"), default=default)
    parser.add_argument("--port", type=int, default=50051, help="of the public gRPC server")
    parser.add_argument("--admin-port", type=int, default=50052, help="of the admin gRPC server")
    parser.add_argument("--ops-port", type=int, default=9464, help="of metrics and health, over HTTP")
    parser.add_argument("--engine-port", type=int, default=0, help="of the engine; any free one without it")
    asked = parser.parse_args()
    ask = Ask()
    ask.listen()
    ports = Ports(asked.port, asked.admin_port, asked.ops_port, asked.engine_port or free_port())
    try:
        return run(ports, ask, with_engine=asked.engine == "llamacpp")
    except CannotServe as error:
        print(f"Cannot serve: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
