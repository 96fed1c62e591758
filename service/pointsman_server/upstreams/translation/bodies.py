"""Bodies of requests while they are written. Pure."""

from __future__ import annotations

from typing import Any


def put_field(body: dict[str, Any], wire: str, value: object) -> None:
    """Write a field; every dot in its name leads into an object, which is made where it is not there."""
    *outer, last = wire.split(".")
    for name in outer:
        body = body.setdefault(name, {})
    body[last] = value
