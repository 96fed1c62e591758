"""Rules of the discovery sections that the schema cannot say. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman_server.config.addresses import is_ip, split_address
from pointsman_server.config.faults import Path
from pointsman_server.config.schema import Config, DnsDiscovery, DnsKind, KubernetesDiscovery, StaticDiscovery

Finding = tuple[Path, str]


def discovery_findings(config: Config) -> Iterator[Finding]:
    """Everything that is wrong with backends that are discovered."""
    for name, backend in config.backends.items():
        if backend.discovery is None:
            continue
        here: Path = ("backends", name)
        if not backend.url:
            yield (
                (*here, "url"),
                "this key is required with discovery: scheme, host and path of all endpoints",
            )
        for other in config.backends:
            if other.startswith(f"{name}@"):
                yield ("backends", other), f"a name that begins with {name}@ is one of {name}'s endpoints"
        match backend.discovery:
            case StaticDiscovery(endpoints=endpoints):
                yield from _endpoints(endpoints, (*here, "discovery", "endpoints"))
            case DnsDiscovery():
                yield from _dns(backend.discovery, (*here, "discovery"))
            case KubernetesDiscovery():
                pass


def _endpoints(endpoints: tuple[str, ...], here: Path) -> Iterator[Finding]:
    for position, endpoint in enumerate(endpoints):
        yield from _port(endpoint, (*here, position))
        if endpoint in endpoints[:position]:
            yield (*here, position), "this endpoint is written twice"


def _dns(dns: DnsDiscovery, here: Path) -> Iterator[Finding]:
    if dns.kind is DnsKind.SRV and dns.port is not None:
        yield (*here, "port"), "kind SRV tells ports itself: leave this key out"
    if dns.kind is not DnsKind.SRV and dns.port is None:
        yield (*here, "port"), f"this key is required with kind {dns.kind}"
    if dns.min_ttl_s > dns.max_ttl_s:
        yield (*here, "min_ttl_s"), f"must be at most max_ttl_s ({dns.max_ttl_s:g})"
    for position, nameserver in enumerate(dns.nameservers):
        yield from _port(nameserver, (*here, "nameservers", position))
        if not is_ip(nameserver.partition("]")[0][1:] if "[" in nameserver else nameserver.partition(":")[0]):
            yield (*here, "nameservers", position), "is not an IP address"


def _port(text: str, path: Path) -> Iterator[Finding]:
    try:
        split_address(text, default_port=53)
    except ValueError as error:
        yield path, str(error)
