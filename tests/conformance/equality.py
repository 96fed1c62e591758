"""When two requests mean the same, by the rules of the recordings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FREE_HEADERS = {"accept"}


def comparable(value: Any, same: Mapping[str, str], key: str = "") -> Any:
    """A body in the form in which two that mean the same are equal."""
    if isinstance(value, dict):
        pairs = ((same.get(name, name), inner) for name, inner in value.items())
        kept = {name: comparable(inner, same, name) for name, inner in pairs}
        return {name: inner for name, inner in kept.items() if not (name == "stream" and inner is False)}
    if isinstance(value, list):
        return [comparable(item, same) for item in value]
    if key == "arguments" and isinstance(value, str):
        return json.loads(value)
    return value
