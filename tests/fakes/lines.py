"""What a service logs, out of all that it writes."""

import json
from typing import Any

_BEGIN = '{"time":'


def logged(output: str) -> list[dict[str, Any]]:
    """The lines of its log. What gRPC's core says comes in pieces, so that a line of ours may stand behind one."""
    # Whoever reads in the middle of a write sees a part of the last line.
    whole = output.rpartition("\n")[0].splitlines()
    return [json.loads(line[line.find(_BEGIN) :]) for line in whole if _BEGIN in line]
