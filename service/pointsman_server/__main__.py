"""argv -> configuration -> run; also `check-config` and `new-key`. Nothing else."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Protocol

import uvloop

from pointsman_server.admission.auth import new_key
from pointsman_server.app import serve
from pointsman_server.config.faults import ConfigError
from pointsman_server.config.load import check_config, listing
from pointsman_server.config.schema import Config
from pointsman_server.errors import ServiceError
from pointsman_server.launch import CHECKS, load_config, server_version


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 the configuration has a fault or the service cannot start, 2 wrong usage."""
    options = _parser().parse_args(arguments)
    match options.command:
        case "check-config":
            return check_config(
                options.file,
                environment=os.environ,
                out=sys.stdout,
                **CHECKS,
            )
        case "new-key":
            made = new_key()
            print(f"key, shown once: {made.key}\nunder a principal's api_keys:\n{made.snippet}", end="")
            return 0
        case _:
            return _serve(options.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pointsman-server", description="Routes inference calls over gRPC.")
    parser.add_argument("--version", action="version", version=server_version())
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="run until SIGTERM; SIGHUP reads the configuration again")
    serving.add_argument(
        "--config", help="YAML file; without it POINTSMAN_CONFIG, else the embedded defaults"
    )
    checking = commands.add_parser("check-config", help="print every fault of a file with its path and line")
    checking.add_argument("file", help="YAML file")
    commands.add_parser("new-key", help="make an API key and its configuration entry")
    return parser


def _serve(path: str | None) -> int:
    try:
        first = load_config(path, os.environ)
        if first.config.workers > 1:
            # Only here: one process has no use for it.
            from pointsman_server.supervisor.run import supervise

            uvloop.run(supervise(path, os.environ, first, ready=_announce))
        else:
            uvloop.run(serve(path, os.environ, first, ready=_announce))
    except ConfigError as error:
        print("\n".join(listing(path or "configuration", error)), file=sys.stderr)
        return 1
    except ServiceError as error:
        print(f"cannot start: {error.detail}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 1
    return 0


class _Started(Protocol):
    @property
    def config(self) -> Config: ...

    @property
    def source(self) -> str: ...

    ports: dict[str, int]


def _announce(started: _Started) -> None:
    rpc, workers = started.config.server.listen.rpartition(":")[0], started.config.workers
    by = f", {workers} workers" if workers > 1 else ""
    print(
        f"serving pointsman.v1 on {rpc}:{started.ports['rpc']} ({started.source}{by})",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
