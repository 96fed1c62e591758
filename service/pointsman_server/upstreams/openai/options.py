"""What a caller adds for this dialect: fields and headers, kept away from what the adapter writes itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pointsman_server.domain import Call
from pointsman_server.upstreams.profiles import Profile
from pointsman_server.upstreams.verbatim import invalid, members

DIALECT = "openai"

_OWN = frozenset(
    {
        "model", "messages", "prompt", "stream", "stream_options", "n", "best_of", "max_tokens",
        "max_completion_tokens", "functions", "function_call",
    }
)  # fmt: skip
"""The adapter's, whatever the profile: what routes, bounds, or decides how the answer is read."""

_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def add_fields(body: dict[str, Any], call: Call, fields: Mapping[str, str]) -> None:
    """Merge the caller's fields into the body. Raises ServiceError INVALID_REQUEST for one that is not free."""
    options = call.provider_options.get(DIALECT)
    if options is None or not options.body_json:
        return
    path = f"provider_options[{DIALECT}].body_json"
    own = _OWN | {name for name in fields.values() if "." not in name}
    for name, value in members(options.body_json, path).items():
        if name == "tools" and "tools" in fields:
            body["tools"] = [*body.get("tools", ()), *_tools(value, f"{path}.tools")]
        elif name in own or name in body:
            raise invalid(f"{path}.{name}", "is written by the router; use the contract's own field")
        else:
            body[name] = value


def caller_headers(call: Call, profile: Profile) -> Mapping[str, str]:
    """The caller's headers. Raises ServiceError INVALID_REQUEST for one that is not on the profile's list."""
    options = call.provider_options.get(DIALECT)
    if options is None or not options.headers:
        return {}
    headers = {}
    for name, value in options.headers.items():
        lower = name.lower()
        path = f"provider_options[{DIALECT}].headers[{name}]"
        if lower not in profile.caller_headers:
            raise invalid(path, "is not a header that callers may set")
        if not (0 < len(value) <= 256 and value.isascii() and value.isprintable()):
            raise invalid(path, "must have 1 to 256 printable ASCII characters")
        headers[profile.request_id_header if lower == "x-request-id" else lower] = value
    return headers


def _tools(value: msgspec.Raw, path: str) -> list[msgspec.Raw]:
    try:
        return _LIST.decode(value)
    except msgspec.DecodeError:
        raise invalid(path, "must be a list") from None
