"""A provider's own client as a process: `python -m tests.sdks.clients NAME`, in the environment that holds it.

Enters: jobs, one JSON document a line. Leaves: what the client heard on each, likewise. It never imports the server.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import warnings
from typing import Any

from tests.sdks.clients.heard import Heard

HERE = ("127.0.0.1", "::1", "localhost")


def stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    """Nothing but this machine is ever reached: no telemetry, no metadata service."""
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in HERE:
        raise ConnectionRefusedError(f"a client reached for {arguments[1]}")


def ask(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    """What the client heard; its error is a part of it, whatever it is."""
    heard = Heard()
    try:
        check = getattr(client, "check", None)
        if check and job["verb"] in ("call", "stream"):
            check(job)
        getattr(client, job["verb"])(job, heard)
    except Exception as error:  # noqa: BLE001 -- which one is what the tests ask
        kind = type(error)
        heard.error = {
            "class": kind.__name__,
            "package": kind.__module__.partition(".")[0],
            "text": str(error)[:500],
            **client.failed(error),
        }
    return heard.told()


def main(name: str) -> None:
    """Answers jobs until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What a client prints is no answer.
    warnings.simplefilter("ignore")
    sys.addaudithook(stay_here)
    client = importlib.import_module(f"tests.sdks.clients.{name}")
    for line in sys.stdin:
        answers.write(json.dumps(ask(client, json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
