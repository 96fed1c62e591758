"""Addresses inside of JSON that callers send through to a provider: what the provider would fetch must not lead into a
private network. Pure.
"""

from __future__ import annotations

import json
import re

import msgspec

from pointsman_server.upstreams.translation.media_urls import media_url_fault
from pointsman_server.upstreams.translation.verbatim import invalid, verbatim_object

_FETCHED = re.compile(r"(?:ur[il]|image|audio|video|file)s?\Z", re.IGNORECASE)
"""Names of members whose text is an address: image_url, fileUri, server_url, image."""
_WEB = re.compile(
    r"\s*(?:(?:https?|wss?|ftp|file|gopher|dict|ldap|jar|unix|blob|javascript):|[/\\]{2})", re.IGNORECASE
)
"""How an address begins; bare data, names and ids do not, nor what only the provider itself can read (gs:, s3:)."""


def check_addresses(text: str | bytes, path: str) -> None:
    """Raises ServiceError INVALID_REQUEST for an address that must not be fetched; what is no JSON is not judged."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return
    waiting = [("", path, document)]
    while waiting:
        name, here, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(key, f"{here}.{key[:64]}", inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(name, f"{here}[{position}]", inner) for position, inner in enumerate(value)]
        elif isinstance(value, str) and (fault := _fault(name, value)):
            raise invalid(here, fault)


def _fault(name: str, value: str) -> str:
    return media_url_fault(value) if _FETCHED.search(name) and _WEB.match(value) else ""


def verbatim_part(text: str, path: str) -> msgspec.Raw:
    """A part of the dialect's own, to be put into a body. Raises ServiceError INVALID_REQUEST with the path."""
    part = verbatim_object(text, path)
    check_addresses(text, path)
    return part
