"""Loads a service on this machine with ghz, profile by profile, and writes a report that a person can look at.

    python -m tests.load [--only NAME ...] [--quick] [--soak SECONDS] [--workers N] [--output FOLDER]

Writes ghz's own JSON for each profile, plots, and README.md to FOLDER (build/load without it). Exits with 1 when a
profile had a failure that it does not tolerate, with 3 when ghz is not there and cannot be built.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench.processes import free_port, running
from tests.load.profiles import PROFILES, Behind, Profile
from tests.load.report import Outcome, write_report
from tools.engine import EngineMissing, weights
from tools.go_tools import EXIT_MISSING, ROOT, ToolMissing, find

KILL_EVERY_S = 2.0
DEAD_FOR_S = 1.0
QUICK = "4s"


@dataclass
class Fragile:
    """Three backends; one after the other is killed and comes back."""

    folder: Path
    ports: tuple[int, ...] = field(default_factory=lambda: tuple(free_port() for _ in range(3)))
    deaths: int = 0
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def alive(self) -> Iterator[None]:
        self._processes = [self._start(port) for port in self.ports]
        try:
            yield
        finally:
            for process in self._processes:
                process.kill()

    @contextlib.contextmanager
    def dying(self) -> Iterator[None]:
        """Kill them in turn for as long as this lasts."""
        self._stop.clear()
        reaper = threading.Thread(target=self._reap)
        reaper.start()
        try:
            yield
        finally:
            self._stop.set()
            reaper.join()

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        with (self.folder / f"backend-{port}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "bench.upstream", str(port)], cwd=ROOT, stdout=log, stderr=log
            )

    def _reap(self) -> None:
        while not self._stop.wait(KILL_EVERY_S):
            victim = self.deaths % len(self.ports)
            self._processes[victim].send_signal(signal.SIGKILL)
            self._processes[victim].wait()
            self.deaths += 1
            self._stop.wait(DEAD_FOR_S)
            self._processes[victim] = self._start(self.ports[victim])


def configuration(
    fragile: Fragile, listen: int, ops: int, engine: int | None, *, workers: int
) -> dict[str, Any]:
    """The service under load; like any other, but for short ejections, since a run is short."""
    names = [f"fragile-{number}" for number in range(len(fragile.ports))]
    backends: dict[str, Any] = {
        "simulator": {"provider": "simulator"},
        "paced": {"provider": "simulator", "simulator": {"tokens_per_s": 50, "output_tokens": 20}},
    }
    for kind, path in (("unary", "unary"), ("stream", "stream/50/20")):
        for name, port in zip(names, fragile.ports, strict=True):
            backends[f"{name}-{kind}"] = {
                "provider": "openai_compatible",
                "url": f"http://127.0.0.1:{port}/{path}",
            }
    models = {
        "simulator": {"targets": [{"backend": "simulator"}]},
        "paced": {"targets": [{"backend": "paced"}]},
        "fragile": {"targets": [{"backend": f"{name}-unary"} for name in names]},
        "fragile-stream": {"targets": [{"backend": f"{name}-stream"} for name in names]},
    }
    if engine is not None:
        backends["engine"] = {"provider": "llamacpp", "url": f"http://127.0.0.1:{engine}/v1"}
        models["gemma"] = {"targets": [{"backend": "engine"}], "defaults": {"stop_sequences": ["\nUser:"]}}
    return {
        "server": {"listen": f"127.0.0.1:{listen}"},
        "admin": {"enabled": False},
        "ops": {"listen": f"127.0.0.1:{ops}"},
        "telemetry": {"log_level": "warning", "access_log": False},
        "ejection": {"base_s": 2, "max_s": 4},
        **({"workers": workers} if workers > 1 else {}),
        "backends": backends,
        "models": models,
    }


def run_profile(
    ghz: Path, profile: Profile, target: str, folder: Path, *, soak_s: float, pid: int, quick: bool
) -> Outcome:
    """One run of ghz against the running service."""
    config = profile.config
    if profile.name == "soak":
        config["duration"] = f"{soak_s:g}s"
    if quick:
        config["duration"] = QUICK
        config["duration-stop"] = "wait"
        config.pop("total", None)
    config |= {
        "host": target,
        "insecure": True,
        "format": "json",
        "output": str(folder / f"{profile.name}.json"),
    }
    written = folder / f"{profile.name}.ghz.json"
    written.write_text(json.dumps(config, indent=2))
    before = resident_mb(pid)
    done = subprocess.run([ghz, f"--config={written}"], capture_output=True, text=True, check=False)
    written.unlink()
    if done.returncode and not (folder / f"{profile.name}.json").exists():
        raise SystemExit(f"ghz failed on {profile.name}: {done.stderr[-1000:]}")
    result = json.loads((folder / f"{profile.name}.json").read_text())
    return Outcome(profile, result, memory_mb=(before, resident_mb(pid)))


def resident_mb(pid: int) -> float:
    """Memory of the service with its workers."""
    children = subprocess.run(
        ["ps", "-o", "rss=", "--pid", str(pid), "--ppid", str(pid)],
        capture_output=True,
        text=True,
        check=True,
    )
    return sum(int(line) for line in children.stdout.split()) / 1024


@contextlib.contextmanager
def real_engine(wanted: bool, folder: Path) -> Iterator[int | None]:
    """The port of llama.cpp with a small real model; None where it cannot be had."""
    if not wanted:
        yield None
        return
    try:
        weights()
    except (ImportError, OSError, EngineMissing) as error:
        print(f"SKIPPED: the profiles of a real engine: {error}", flush=True)
        yield None
        return
    port = free_port()
    with running(("tools.engine", "--port", str(port)), port, folder / "engine.log"):
        yield port


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    options = _options(arguments)
    try:
        ghz = find("ghz")
    except ToolMissing as error:
        print(
            f"SKIPPED: {error}. With Go: go install github.com/bojand/ghz/cmd/ghz@v0.121.0", file=sys.stderr
        )
        return EXIT_MISSING
    chosen = [profile for profile in PROFILES if not options.only or profile.name in options.only]
    folder: Path = options.output
    folder.mkdir(parents=True, exist_ok=True)
    fragile, listen, ops = Fragile(folder), free_port(), free_port()
    outcomes: list[Outcome] = []
    with (
        fragile.alive(),
        real_engine(any(profile.behind is Behind.ENGINE for profile in chosen), folder) as engine,
    ):
        config = folder / "pointsman.yaml"
        config.write_text(
            yaml.safe_dump(configuration(fragile, listen, ops, engine, workers=options.workers))
        )
        command = ("pointsman_server", "serve", "--config", str(config))
        with running(command, listen, folder / "pointsman.log") as service:
            for profile in chosen:
                if profile.behind is Behind.ENGINE and engine is None:
                    continue
                print(f"{profile.name}: {profile.config['name']}", flush=True)
                dying = fragile.dying() if profile.behind is Behind.FRAGILE else contextlib.nullcontext()
                with dying:
                    outcome = run_profile(
                        ghz,
                        profile,
                        f"127.0.0.1:{listen}",
                        folder,
                        soak_s=options.soak,
                        pid=service.pid,
                        quick=options.quick,
                    )
                print(f"  {outcome.line}", flush=True)
                outcomes.append(outcome)
    write_report(outcomes, folder, command=_command(arguments), machine=_machine(), deaths=fragile.deaths)
    print(f"report: {folder / 'README.md'}")
    return 1 if any(outcome.surprises for outcome in outcomes) else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description="Loads a service with ghz.")
    names = [profile.name for profile in PROFILES]
    parser.add_argument("--only", nargs="+", choices=names, default=[], help="these profiles alone")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} for each profile")
    parser.add_argument("--soak", type=float, default=30, help="seconds of the profile soak")
    parser.add_argument("--workers", type=int, default=1, help="processes of the service")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "build" / "load", help="folder for what is written"
    )
    return parser.parse_args(arguments)


def _command(arguments: Sequence[str] | None) -> str:
    given = sys.argv[1:] if arguments is None else arguments
    return " ".join(["python -m tests.load", *given])


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
