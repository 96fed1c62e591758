"""Starts the processes that are measured and reads what they cost from /proc."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).resolve().parent.parent


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(arguments: Sequence[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A Python module as a process of its own, until its port takes connections; ended with SIGTERM."""
    # With compiled bytecode, as an installed package has it, whatever the shell says.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(log.parent / "bytecode")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment,
        )
    try:
        _await_port(process, port, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"it did not start:\n{log.read_text()[-2000:]}")


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mb(pid: int) -> float:
    """Resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def load(*arguments: object) -> dict[str, object]:
    """One run of the load generator."""
    command = [sys.executable, "-m", "bench.load", *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=900)
    return dict(json.loads(result.stdout))


def fetch_json(url: str) -> object:
    """A small document from one of our own processes."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.loads(response.read())
