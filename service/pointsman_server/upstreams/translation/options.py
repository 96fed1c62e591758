"""What a caller adds for this dialect: fields and headers, kept away from what the adapter writes itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import msgspec

from pointsman_server.domain import ProviderOptions
from pointsman_server.upstreams.translation.addresses import check_addresses
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.verbatim import invalid, members

_LIST = msgspec.json.Decoder(list[msgspec.Raw])


class WithOptions(Protocol):
    """Any kind of call."""

    @property
    def provider_options(self) -> Mapping[str, ProviderOptions]:
        """By dialect."""


def add_fields(
    body: dict[str, Any], call: WithOptions, profile: Profile, fields: Mapping[str, str], own: Collection[str], *,
    canonical: Callable[[str], str] = str,
) -> None:  # fmt: skip
    """Merge the caller's fields into the body. Raises ServiceError INVALID_REQUEST for one that is not free.

    Not free is what the body holds already, what the profile's `fields` name at its top level, and `own`: what routes,
    bounds, or decides how the answer is read, whatever the profile; a dot leads into an object. `tools` are appended
    where the profile takes any. An object that the contract's fields lead into takes members that are not there.
    `canonical` gives the one spelling of a name that the server knows by several.
    """
    options = call.provider_options.get(profile.dialect)
    if options is None or not options.body_json:
        return
    path = f"provider_options[{profile.dialect}].body_json"
    check_addresses(options.body_json, path)
    names = {*fields.values(), *own}
    taken = {name for name in names if "." not in name}
    objects = {name.partition(".")[0] for name in names} - taken
    for written, value in members(options.body_json, path).items():
        name = canonical(written)
        if name == "tools" and "tools" in fields:
            body["tools"] = [*body.get("tools", ()), *_tools(value, f"{path}.tools")]
        elif name in objects:
            inner = body.setdefault(name, {})
            for spelled, inside in members(bytes(value), f"{path}.{name}").items():
                member = canonical(spelled)
                _check_free(member in inner or f"{name}.{member}" in own, f"{path}.{name}.{member}")
                inner[member] = inside
        else:
            _check_free(name in taken or name in body, f"{path}.{name}")
            body[name] = value


def _check_free(taken: bool, path: str) -> None:
    if taken:
        raise invalid(path, "is written by the router; use the contract's own field")


def caller_headers(call: WithOptions, profile: Profile) -> Mapping[str, str]:
    """The caller's headers. Raises ServiceError INVALID_REQUEST for one that is not on the profile's list."""
    options = call.provider_options.get(profile.dialect)
    if options is None or not options.headers:
        return {}
    headers = {}
    for name, value in options.headers.items():
        lower = name.lower()
        path = f"provider_options[{profile.dialect}].headers[{name}]"
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
