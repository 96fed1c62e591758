"""What is wrong with a configuration, told with a path and a line; and how a path is written."""

from __future__ import annotations

import re
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and list positions from the top of the file."""

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+\Z")


@dataclass(frozen=True, slots=True, order=True)
class ConfigFault:
    """One thing wrong. The message never quotes a value that could be a secret."""

    path: str
    """Dotted, as `models.chat.targets[0].backend`; empty for the whole file."""
    line: int
    """From 1; 0 where no line is at fault (an environment variable, a default)."""
    message: str


class ConfigError(Exception):
    """A configuration that cannot be used, with all its faults."""

    def __init__(self, faults: tuple[ConfigFault, ...]) -> None:
        super().__init__(f"{len(faults)} fault(s) in the configuration")
        self.faults = faults


def dotted(path: Path) -> str:
    """The path as people write it; a key with a dot or the like in it stands in quotes."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.match(step):
            text += f".{step}" if text else step
        else:
            text += f'["{step[:128]}"]'
    return text
