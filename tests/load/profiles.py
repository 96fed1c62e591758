"""The load profiles: a file of ghz each, and what is asked of its outcome."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Behind(enum.Enum):
    """What stands behind the service while a profile runs."""

    SIMULATOR = "the built-in simulator"
    FRAGILE = "three canned backends, of which one at a time is killed and started again"
    ENGINE = "a real engine"


@dataclass(frozen=True)
class Profile:
    """One run of ghz."""

    name: str
    behind: Behind
    tolerated: frozenset[str] = frozenset()
    """gRPC codes that are no surprise here; every other failure fails the run."""

    @property
    def config(self) -> dict[str, Any]:
        """As in its file, paths made absolute."""
        written: dict[str, Any] = json.loads((HERE / "profiles" / f"{self.name}.json").read_text())
        if "data-file" in written:
            written["data-file"] = str(HERE / written["data-file"])
        return written


PROFILES = (
    Profile("unary", Behind.SIMULATOR),
    Profile("one-connection", Behind.SIMULATOR),
    Profile("stream", Behind.SIMULATOR),
    Profile("mixed", Behind.SIMULATOR),
    Profile("ramp", Behind.SIMULATOR),
    Profile("soak", Behind.SIMULATOR),
    # A unary call survives the death of its backend; so does a stream that has brought no content yet. One that has
    # ends as STREAM_INTERRUPTED, which is UNAVAILABLE.
    Profile("faults-unary", Behind.FRAGILE),
    Profile("faults-stream", Behind.FRAGILE, tolerated=frozenset({"Unavailable"})),
    Profile("engine-unary", Behind.ENGINE),
    Profile("engine-stream", Behind.ENGINE),
)
