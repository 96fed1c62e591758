"""What a client heard, in the words of the recordings, and what the clients' modules share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


class Heard:
    """Grows with a stream, so that what came before an error is kept. What a client does not tell stays unset."""

    def __init__(self) -> None:
        self.words: dict[str, Any] = {}
        self.calls: dict[Any, dict[str, Any]] = {}
        self.error: dict[str, Any] | None = None

    def set(self, **words: Any) -> None:
        """What is told once, or anew: None says nothing."""
        self.words.update({name: value for name, value in words.items() if value is not None})

    def add(self, **pieces: str | None) -> None:
        """Pieces of texts."""
        for name, piece in pieces.items():
            if piece:
                self.words[name] = self.words.get(name, "") + piece

    def call(self, index: Any, ident: str | None, name: str | None, arguments: Any) -> None:
        """A tool call, or a piece of the one at this index; `arguments` is text, or whole as it is."""
        call = self.calls.setdefault(index, {"id": None, "name": "", "arguments": ""})
        call["id"] = call["id"] or ident or None
        call["name"] = call["name"] or name
        call["arguments"] = (
            arguments if isinstance(arguments, dict) else call["arguments"] + (arguments or "")
        )

    def used(self, **counts: int | None) -> None:
        """Tokens: those that are told, for the recordings' names; the last told count."""
        self.words.setdefault("usage", {}).update(
            {name: count for name, count in counts.items() if count is not None}
        )

    def told(self) -> dict[str, Any]:
        """All of it, with arguments parsed."""
        calls = [
            {
                **call,
                "arguments": json.loads(call["arguments"] or "{}")
                if isinstance(call["arguments"], str)
                else call["arguments"],
            }
            for call in self.calls.values()
        ]
        return {"text": None, **self.words, "tool_calls": calls, "error": self.error}


def bearer(job: Mapping[str, Any]) -> str:
    """The key of a request's authorization."""
    return job["headers"].get("authorization", "").removeprefix("Bearer ")


def base(job: Mapping[str, Any], route: str) -> str:
    """The address that a client is configured with: all but the route that it knows itself."""
    assert job["path"].endswith(route), job["path"]
    return job["url"] + job["path"].removesuffix(route)


def split(body: Mapping[str, Any], known: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a method takes by name, and the rest."""
    names = set(known)
    return (
        {name: value for name, value in body.items() if name in names},
        {name: value for name, value in body.items() if name not in names},
    )
