"""What a model is called in addresses and bodies."""

from __future__ import annotations

from pointsman_server.upstreams.translation.requests import in_path


def full_name(model: str) -> str:
    """The name as a body wants it; one with a slash is that of a tuned model, and complete."""
    return model if "/" in model else f"models/{model}"


def resource(model: str) -> str:
    """The full name in a path. Raises ServiceError INVALID_REQUEST for one that would lead out of its place."""
    return in_path(full_name(model))
