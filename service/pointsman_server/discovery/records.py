"""DNS answers -> endpoints and how long they hold. Pure: answers enter as dnspython has parsed them.

A name that does not exist, and one without such records, is an answer like any other: no endpoints, for as long as the
zone says that this holds (RFC 2308).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.rdatatype
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV

from pointsman_server.discovery.endpoints import Endpoint
from pointsman_server.errors import Reason, ServiceError


class Addresses(NamedTuple):
    """The addresses of a name."""

    addresses: tuple[str, ...]
    ttl_s: float


class Servers(NamedTuple):
    """The SRV records of a name."""

    records: tuple[SRV, ...]
    ttl_s: float
    known: Mapping[dns.name.Name, Addresses]
    """Addresses of targets that came along."""


def decode_addresses(answer: dns.message.QueryMessage) -> Addresses:
    """Of an answer to a question for A or AAAA, aliases followed. Raises ServiceError for one that is malformed."""
    found = _chain(answer)
    records = found.answer or ()
    return Addresses(
        tuple(record.address for record in records if isinstance(record, A | AAAA)), found.minimum_ttl
    )


def decode_servers(answer: dns.message.QueryMessage) -> Servers:
    """Of an answer to a question for SRV. A lone target `.` says that there is no such service (RFC 2782)."""
    found = _chain(answer)
    records = tuple(
        record for record in found.answer or () if isinstance(record, SRV) and record.target != dns.name.root
    )
    known: dict[dns.name.Name, Addresses] = {}
    for rrset in answer.additional:
        addresses = tuple(record.address for record in rrset if isinstance(record, A | AAAA))
        # IPv4 goes before IPv6: a target with both is one server.
        if addresses and (rrset.name not in known or rrset.rdtype == dns.rdatatype.A):
            known[rrset.name] = Addresses(addresses, rrset.ttl)
    return Servers(records, found.minimum_ttl, known)


def servers(records: Iterable[SRV], known: Mapping[dns.name.Name, Addresses]) -> Iterable[Endpoint]:
    """An endpoint for each address of each target that has any.

    A weight of 0 means hardly ever, yet not never (RFC 2782): the others count a hundredfold beside it.
    """
    records = tuple(records)
    scale = 100 if any(record.weight == 0 for record in records) else 1
    for record in records:
        for address in known[record.target].addresses if record.target in known else ():
            yield Endpoint(
                address, record.port, weight=max(1, record.weight * scale), priority=record.priority
            )


def _chain(answer: dns.message.QueryMessage) -> dns.message.ChainingResult:
    try:
        return answer.resolve_chaining()
    except dns.exception.DNSException:
        raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the DNS server's answer is malformed") from None
