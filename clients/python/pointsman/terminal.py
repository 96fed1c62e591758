"""Where the command reads and writes: three streams, and whether a person sits before them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TextIO

_DIM, _RESET = "\x1b[2m", "\x1b[0m"


class Terminal:
    """Answers go out by `say`; notes for the person, never part of an answer, by `note`."""

    def __init__(self, stdin: TextIO, stdout: TextIO, stderr: TextIO, environ: Mapping[str, str]) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self._stderr = stderr
        plain = environ.get("NO_COLOR") or environ.get("TERM") == "dumb"
        self._colour = stderr.isatty() and not plain

    @property
    def interactive(self) -> bool:
        """Whether a person types."""
        return self._stdin.isatty()

    def read_all(self) -> str:
        """What is piped in."""
        return self._stdin.read()

    def ask(self, prompt: str) -> str | None:
        """A line that the person types, None at the end of the input."""
        if self._stdin is sys.stdin and self._stdout is sys.stdout:
            try:
                import readline  # noqa: F401 -- its import gives `input` editing and history

                return input(prompt)
            except EOFError:
                return None
        self.say(prompt)
        line = self._stdin.readline()
        return line.rstrip("\n") if line else None

    def say(self, text: str) -> None:
        """A piece of an answer, at once."""
        self._stdout.write(text)
        self._stdout.flush()

    def note(self, text: str) -> None:
        """A line about an answer, or about what went wrong."""
        self._stderr.write(f"{_DIM}{text}{_RESET}\n" if self._colour and text else f"{text}\n")
        self._stderr.flush()
