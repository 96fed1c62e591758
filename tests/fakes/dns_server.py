"""A DNS server on loopback, over UDP and TCP, with the records that a test gives it.

    async with DnsServer() as server:
        server.records["gpu.test.", "A"] = Records(("127.0.0.2",), ttl_s=5)
        ...  # ask 127.0.0.1:server.port
        server.failure = "SERVFAIL"

A name without any records does not exist; one with others has none of the kind that was asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


@dataclass(frozen=True)
class Records:
    """The records of one kind at a name, as a zone file writes them."""

    values: tuple[str, ...]
    ttl_s: int = 30


@dataclass
class DnsServer:
    """The fake; an async context manager."""

    records: dict[tuple[str, str], Records] = field(default_factory=dict)
    additional: dict[tuple[str, str], Records] = field(default_factory=dict)
    """Sent along with every answer to SRV."""
    negative_ttl_s: int | None = 7
    """Of answers that there is nothing; None leaves the zone's SOA out."""
    failure: str = ""
    """A response code that everything is answered with, or `silence`."""
    failing: set[str] = field(default_factory=set)
    """Names that are answered with SERVFAIL."""
    truncated: bool = False
    """Whether UDP answers say that the rest is to be asked for over TCP."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    over_tcp: int = 0
    port: int = 0

    @property
    def address(self) -> str:
        """As the configuration writes it."""
        return f"127.0.0.1:{self.port}"

    def answer(self, wire: bytes, *, tcp: bool) -> bytes | None:
        """What is sent for a question; None is nothing."""
        query = dns.message.from_wire(wire)
        name, kind = query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append((name, kind))
        self.over_tcp += tcp
        if self.failure == "silence":
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if self.failure or name in self.failing:
            response.set_rcode(dns.rcode.from_text(self.failure or "SERVFAIL"))
        elif self.truncated and not tcp:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, kind)
        return response.to_wire()

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        while (alias := self.records.get((name, "CNAME"))) is not None:
            response.answer.append(_rrset(name, "CNAME", alias))
            name = alias.values[0]
        found = self.records.get((name, kind))
        if found is not None:
            response.answer.append(_rrset(name, kind, found))
            if kind == "SRV":
                response.additional += [_rrset(*key, more) for key, more in self.additional.items()]
            return
        if not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if self.negative_ttl_s is not None:
            soa = Records((f"ns.test. admin.test. 1 2 3 4 {self.negative_ttl_s}",), 3600)
            response.authority.append(_rrset("test.", "SOA", soa))

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await asyncio.start_server(self._converse, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=("127.0.0.1", self.port)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()
        self._server.close()
        await self._server.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            if (made := self.answer(await reader.readexactly(size), tcp=True)) is not None:
                writer.write(struct.pack("!H", len(made)) + made)
                await writer.drain()
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        made = self._server.answer(data, tcp=False)
        if made is not None and self._transport is not None:
            self._transport.sendto(made, addr)


def _rrset(name: str, kind: str, records: Records) -> dns.rrset.RRset:
    return dns.rrset.from_text(name, records.ttl_s, dns.rdataclass.IN, kind, *records.values)
