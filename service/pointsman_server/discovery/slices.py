"""EndpointSlices of one Service (discovery.k8s.io/v1): JSON in, endpoint sets out. Pure.

Field by field as the Kubernetes API reference has it (v1.36): unset conditions have meanings, a slice may hold several
ports or none, and an endpoint may stand in two slices at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from pointsman_server.config.addresses import is_ip
from pointsman_server.discovery.endpoints import Condition, Endpoint, EndpointSet, endpoint_set
from pointsman_server.errors import Reason, ServiceError, UpstreamFault

GONE = 410
"""Expired: the version that was asked for is no longer kept."""


class _Struct(msgspec.Struct, frozen=True, rename="camel"):
    """Unknown fields are ignored, as the API's rules for clients want it."""


class _Metadata(_Struct, frozen=True):
    name: str = ""
    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Conditions(_Struct, frozen=True):
    """What is known of an endpoint; None is unset."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class _Reference(_Struct, frozen=True):
    uid: str = ""


class _Endpoint(_Struct, frozen=True):
    addresses: tuple[str, ...] = ()
    conditions: Conditions | None = None
    target_ref: _Reference | None = None


class _Port(_Struct, frozen=True):
    name: str | None = None
    port: int | None = None
    protocol: str | None = None


class Slice(_Struct, frozen=True):
    """One EndpointSlice, as far as it matters here."""

    metadata: _Metadata
    address_type: str = ""
    endpoints: tuple[_Endpoint, ...] | None = None
    ports: tuple[_Port, ...] | None = None


class _List(_Struct, frozen=True):
    metadata: _Metadata
    items: tuple[Slice, ...] | None = None


class _Status(_Struct, frozen=True):
    code: int = 0


class _Event(_Struct, frozen=True):
    type: str
    object: msgspec.Raw


class Page(msgspec.Struct, frozen=True):
    """One page of a list."""

    slices: tuple[Slice, ...]
    version: str
    """Where a watch goes on from; the same on all pages of a list."""
    rest: str
    """The token for the next page; empty on the last one."""


class Put(msgspec.Struct, frozen=True):
    """A slice is there, as it is now."""

    slice: Slice
    version: str


class Removed(msgspec.Struct, frozen=True):
    """A slice is gone."""

    name: str
    version: str


class Bookmark(msgspec.Struct, frozen=True):
    """Nothing changed up to this version."""

    version: str


Change = Put | Removed | Bookmark

_PAGE = msgspec.json.Decoder(_List)
_EVENT = msgspec.json.Decoder(_Event)
_SLICE = msgspec.json.Decoder(Slice)
_STATUS = msgspec.json.Decoder(_Status)
_FAULTS = (msgspec.MsgspecError, UnicodeError, RecursionError)


def decode_page(body: bytes) -> Page:
    """A page of a list. Raises ServiceError UPSTREAM_BAD_RESPONSE for what is none."""
    try:
        page = _PAGE.decode(body)
    except _FAULTS:
        raise _not_understood("list") from None
    if not page.metadata.resource_version:
        raise _not_understood("list")
    return Page(page.items or (), page.metadata.resource_version, page.metadata.continue_)


def decode_event(line: bytes) -> Change | None:
    """One line of a watch; None for a type that this version of the API does not have.

    Raises ServiceError: of an ERROR event with its code (410 for a version that expired, which HTTP tells as 200),
    UPSTREAM_BAD_RESPONSE for what cannot be understood.
    """
    try:
        event = _EVENT.decode(line)
        if event.type == "ERROR":
            raise told(_STATUS.decode(event.object).code)
        if event.type not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
            return None
        changed = _SLICE.decode(event.object)
    except _FAULTS:
        raise _not_understood("event") from None
    version = changed.metadata.resource_version
    if not version:
        raise _not_understood("event")
    match event.type:
        case "BOOKMARK":
            return Bookmark(version)
        case "DELETED":
            return Removed(changed.metadata.name, version)
        case _:
            return Put(changed, version)


def told(code: int, retry_after_s: float | None = None) -> ServiceError:
    """What an API server's error code means, as an HTTP status or inside a watch."""
    match code:
        case 401:
            reason, detail = Reason.UPSTREAM_CREDENTIALS_INVALID, "the API server does not take the token"
        case 403:
            reason, detail = Reason.UPSTREAM_PERMISSION_DENIED, "the API server allows no list or watch here"
        case 410:
            reason, detail = Reason.UPSTREAM_CONFLICT, "the version to go on from has expired"
        case 429:
            reason, detail = Reason.UPSTREAM_RATE_LIMITED, "the API server has too much to do"
        case code if code >= 500:
            reason, detail = Reason.UPSTREAM_UNAVAILABLE, f"the API server failed with {code}"
        case _:
            reason, detail = Reason.UPSTREAM_BAD_RESPONSE, f"the API server answered with {code}"
    return ServiceError(reason, detail, retry_after_s=retry_after_s, upstream=UpstreamFault(http_status=code))


def _not_understood(what: str) -> ServiceError:
    return ServiceError(Reason.UPSTREAM_BAD_RESPONSE, f"the API server's {what} is not understood")


class SliceTable:
    """The slices of one Service by name, and the endpoints that they come to."""

    def __init__(self, port: str | None) -> None:
        """`port`: name of the port to call; None takes the only one."""
        self._port = port
        self._slices: dict[str, Slice] = {}

    def replace(self, slices: Iterable[Slice]) -> None:
        """These are all there are."""
        self._slices = {one.metadata.name: one for one in slices}

    def apply(self, change: Change) -> None:
        """Take a change in."""
        match change:
            case Put(slice=one):
                self._slices[one.metadata.name] = one
            case Removed(name=name):
                self._slices.pop(name, None)
            case Bookmark():
                pass

    def endpoints(self) -> EndpointSet:
        """All of them; a pod with addresses of both families comes once, with the IPv4 one."""
        found = [pair for one in self._slices.values() for pair in _endpoints(one, self._port)]
        with_ipv4 = {endpoint.uid for family, endpoint in found if family == "IPv4" and endpoint.uid}
        return endpoint_set(
            endpoint for family, endpoint in found if family == "IPv4" or endpoint.uid not in with_ipv4
        )

    def fault(self) -> ServiceError | None:
        """What keeps all endpoints away that there are, if anything does: the port."""
        peopled = [one for one in self._slices.values() if one.endpoints]
        if not peopled or any(_port_of(one, self._port) is not None for one in peopled):
            return None
        names = sorted({port.name or "(unnamed)" for one in peopled for port in _tcp(one)})
        if self._port is None:
            wanted = "several TCP ports, and discovery names none" if names else "no TCP port"
        else:
            wanted = f"no TCP port named {self._port!r}"
        there = f"there are {', '.join(names)}" if names else "there is none"
        return ServiceError(Reason.UPSTREAM_BAD_RESPONSE, f"the Service has {wanted}; {there}")


def _endpoints(one: Slice, name: str | None) -> Iterator[tuple[str, Endpoint]]:
    port = _port_of(one, name)
    # FQDN is deprecated, and nothing says what it means.
    if port is None or one.address_type not in ("IPv4", "IPv6"):
        return
    for endpoint in one.endpoints or ():
        if endpoint.addresses and is_ip(endpoint.addresses[0]):
            uid = endpoint.target_ref.uid if endpoint.target_ref is not None else ""
            condition = condition_of(endpoint.conditions or Conditions())
            # Further addresses of one endpoint are the same server; consumers shall take the first.
            yield one.address_type, Endpoint(endpoint.addresses[0], port, condition, uid)


def condition_of(conditions: Conditions) -> Condition:
    """Unset `ready` counts as true, unset `serving` as `ready`, unset `terminating` as false (API reference).

    1. terminating: still takes calls as long as it serves, but new ones only in need. Also when it is told to be ready:
       with publishNotReadyAddresses `ready` is always true, and only `serving` tells the truth.
    2. otherwise `ready` decides, which includes that a Service may publish what is not ready.
    """
    ready = conditions.ready is not False
    serving = ready if conditions.serving is None else conditions.serving
    if conditions.terminating:
        return Condition.DRAINING if serving else Condition.UNREADY
    return Condition.READY if ready else Condition.UNREADY


def _port_of(one: Slice, name: str | None) -> int | None:
    ports = _tcp(one)
    if name is None:
        return ports[0].port if len(ports) == 1 else None
    return next((port.port for port in ports if (port.name or "") == name), None)


def _tcp(one: Slice) -> list[_Port]:
    """Ports that can be called; one without a number stands for all ports, which is none in particular."""
    return [port for port in one.ports or () if port.port and (port.protocol or "TCP") == "TCP"]
