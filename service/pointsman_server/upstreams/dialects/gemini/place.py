"""What a model is called in addresses and bodies."""

from __future__ import annotations

from urllib.parse import quote

from pointsman_server.upstreams.translation.verbatim import invalid


def full_name(model: str) -> str:
    """The name as a body wants it; one with a slash is that of a tuned model, and complete."""
    return model if "/" in model else f"models/{model}"


def resource(model: str) -> str:
    """The full name in a path. Raises ServiceError INVALID_REQUEST for one that would lead out of its place."""
    if any(step in ("", ".", "..") for step in model.split("/")):
        raise invalid("model", "is no name that can stand in a path")
    return quote(full_name(model), safe="/")
