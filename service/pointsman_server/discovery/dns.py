"""A DNS name as a source: asked again when its answer has expired, the last good one kept while DNS is in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import NamedTuple, Protocol

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from pointsman_server.clock import Clock
from pointsman_server.config.addresses import split_address
from pointsman_server.config.schema import DnsDiscovery, DnsKind
from pointsman_server.discovery.backoff import Backoff
from pointsman_server.discovery.contract import Listener
from pointsman_server.discovery.endpoints import Endpoint, EndpointSet, endpoint_set
from pointsman_server.discovery.records import Addresses, decode_addresses, decode_servers, servers
from pointsman_server.errors import Reason, ServiceError

_JITTER = 0.1
"""Of a lifetime, on top of it: the resolver's own copy has expired by then, and not all ask at once."""
_DNS_PORT = 53
_AT_ONCE = 16
"""Targets of SRV that are asked for side by side."""
_UNKNOWN = Addresses((), 0.0)


class Ask(Protocol):
    """One question to DNS."""

    async def __call__(self, name: str | dns.name.Name, kind: str) -> dns.message.QueryMessage:
        """The answer, a negative one included. Raises ServiceError where there is none."""


class Found(NamedTuple):
    """One look at a name."""

    endpoints: EndpointSet
    ttl_s: float
    fault: ServiceError | None = None
    """Of a part that could not be asked for."""


class DnsSource:
    """The endpoints that one name stands for."""

    def __init__(self, config: DnsDiscovery, ask: Ask, clock: Clock, rng: Random) -> None:
        self._config = config
        self._ask = ask
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(rng)
        self._targets: Mapping[dns.name.Name, Addresses] = {}
        """Of SRV: what each target came to last, for when DNS cannot say."""

    async def follow(self, listener: Listener) -> None:
        """As the protocol says."""
        while True:
            try:
                found = await self._look()
            except ServiceError as fault:
                listener.failed(fault)
                await self._clock.sleep(self._backoff.after())
                continue
            self._backoff.reset()
            listener.told(found.endpoints)
            if found.fault is not None:
                listener.failed(found.fault)
            else:
                listener.heard()
            life_s = min(max(found.ttl_s, self._config.min_ttl_s), self._config.max_ttl_s)
            await self._clock.sleep(life_s * (1 + _JITTER * self._rng.random()))

    async def _look(self) -> Found:
        config = self._config
        if config.kind is DnsKind.SRV:
            return await self._look_at_servers()
        answer = decode_addresses(await self._ask(config.name, config.kind.value))
        port = config.port or 0
        return Found(endpoint_set(Endpoint(address, port) for address in answer.addresses), answer.ttl_s)

    async def _look_at_servers(self) -> Found:
        found = decode_servers(await self._ask(self._config.name, "SRV"))
        targets: dict[dns.name.Name, Addresses] = {}
        fault: ServiceError | None = None
        wanted = sorted({record.target for record in found.records})
        for start in range(0, len(wanted), _AT_ONCE):
            names = wanted[start : start + _AT_ONCE]
            asked = (self._address(name, found.known) for name in names)
            for name, told in zip(names, await asyncio.gather(*asked), strict=True):
                if isinstance(told, ServiceError):
                    fault = told
                    targets[name] = self._targets.get(name, _UNKNOWN)._replace(ttl_s=0.0)
                else:
                    targets[name] = told
        endpoints = endpoint_set(servers(found.records, targets))
        if fault is not None and not endpoints:
            raise fault
        self._targets = targets
        return Found(endpoints, min([found.ttl_s, *(one.ttl_s for one in targets.values())]), fault)

    async def _address(
        self, name: dns.name.Name, known: Mapping[dns.name.Name, Addresses]
    ) -> Addresses | ServiceError:
        """Of a target: what came along, or IPv4, or IPv6."""
        if name in known:
            return known[name]
        try:
            found = decode_addresses(await self._ask(name, "A"))
            return found if found.addresses else decode_addresses(await self._ask(name, "AAAA"))
        except ServiceError as fault:
            return fault


class Resolver:
    """Asks as /etc/resolv.conf says, or the servers that the configuration names."""

    def __init__(self, config: DnsDiscovery) -> None:
        self._config = config
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def __call__(self, name: str | dns.name.Name, kind: str) -> dns.message.QueryMessage:
        try:
            if self._resolver is None:
                # Reads a file.
                self._resolver = await asyncio.get_running_loop().run_in_executor(None, self._made)
            return await self._answer(self._resolver, name, kind)
        except (dns.exception.DNSException, OSError) as error:
            # Made anew the next time: the file may name other servers by then.
            self._resolver = None
            raise _fault(error) from error

    async def _answer(
        self, resolver: dns.asyncresolver.Resolver, name: str | dns.name.Name, kind: str
    ) -> dns.message.QueryMessage:
        try:
            answer = await resolver.resolve(
                name, kind, raise_on_no_answer=False, search=True, lifetime=self._config.timeout_s,
                backend=dns.asyncbackend.get_backend("asyncio"),
            )  # fmt: skip
        except dns.resolver.NXDOMAIN as error:
            responses: Mapping[dns.name.Name, dns.message.QueryMessage] = error.kwargs["responses"]
            return tuple(responses.values())[-1]
        return answer.response

    def _made(self) -> dns.asyncresolver.Resolver:
        named = [split_address(text, _DNS_PORT) for text in self._config.nameservers]
        resolver = dns.asyncresolver.Resolver(configure=not named)
        if named:
            # The name is taken as it stands: no search list, and no domain guessed from this machine's name.
            resolver.search, resolver.domain = [], dns.name.root
            resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in named]
        return resolver


def _fault(error: Exception) -> ServiceError:
    """Exceptions of dnspython in the service's words, without their texts."""
    match error:
        case dns.resolver.LifetimeTimeout():
            return ServiceError(Reason.UPSTREAM_TIMEOUT, "the DNS servers did not answer in time")
        case dns.resolver.NoNameservers():
            return ServiceError(Reason.UPSTREAM_UNAVAILABLE, "no DNS server could answer")
        case dns.resolver.NoResolverConfiguration():
            return ServiceError(Reason.UPSTREAM_UNREACHABLE, "no DNS server is configured")
        case OSError():
            return ServiceError(Reason.UPSTREAM_UNREACHABLE, "the DNS servers cannot be reached")
        case _:
            return ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the DNS servers' answer is not understood")
