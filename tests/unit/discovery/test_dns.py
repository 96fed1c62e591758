"""The asking loop against a real DNS server over loopback; time between two looks is the test's own."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.config.schema import DnsDiscovery, DnsKind
from pointsman_server.discovery.dns import DnsSource, Resolver
from pointsman_server.discovery.records import decode_addresses, decode_servers, servers
from pointsman_server.errors import Reason, ServiceError
from tests.fakes.clock import FakeClock
from tests.fakes.dns_server import DnsServer, Records
from tests.fakes.running_app import until


class Told:
    """A listener that remembers."""

    def __init__(self):
        self.sets = []
        self.faults = []
        self.heards = 0

    def told(self, endpoints):
        self.sets.append(endpoints)

    def heard(self):
        self.heards += 1

    def failed(self, fault):
        self.faults.append(fault)

    @property
    def addresses(self):
        return [one.address for one in self.sets[-1]]


class Looking:
    """A source at work, and the hands to its clock."""

    def __init__(self, server, **config):
        config = {
            "type": "dns",
            "name": "gpu.test",
            "nameservers": [server.address],
            "timeout_s": 5.0,
        } | config
        if config.get("kind") != "SRV":
            config = {"port": 8000} | config
        self.clock = FakeClock(autojump=False)
        self.told = Told()
        made = DnsDiscovery.model_validate(config)
        self._source = DnsSource(made, Resolver(made), self.clock, Random(1))

    async def __aenter__(self):
        self._task = asyncio.create_task(self._source.follow(self.told))
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def looked(self, times=1):
        """Until it has looked so often in all."""
        done = lambda: len(self.told.sets) + len(self.told.faults) >= times and self.clock.pending == 1  # noqa: E731
        await until(f"{times} looks", done)

    async def looks_after(self, wait_s):
        """It looks again when so many seconds have passed, and not a tenth earlier."""
        before = len(self.told.sets)
        self.clock.advance(wait_s * 0.99)
        assert self.clock.pending == 1, "looked too early"
        self.clock.advance(wait_s * 0.12)
        await until("it looks", lambda: len(self.told.sets) > before and self.clock.pending == 1)


@pytest.fixture
async def server():
    async with DnsServer() as fake:
        yield fake


async def test_addresses_are_followed(server):
    """All of them, each with the configured port; what changed is told when the answer has expired."""
    server.records["gpu.test.", "A"] = Records(("10.0.0.2", "10.0.0.1"), ttl_s=20)
    async with Looking(server) as looking:
        await looking.looked()
        assert looking.told.addresses == ["10.0.0.1:8000", "10.0.0.2:8000"]
        server.records["gpu.test.", "A"] = Records(("10.0.0.3",), ttl_s=20)
        await looking.looks_after(20)
        assert looking.told.addresses == ["10.0.0.3:8000"]
        assert not looking.told.faults


async def test_ipv6(server):
    """Of kind AAAA."""
    server.records["gpu.test.", "AAAA"] = Records(("fd00::7",))
    async with Looking(server, kind="AAAA") as looking:
        await looking.looked()
        assert looking.told.addresses == ["[fd00::7]:8000"]


@pytest.mark.parametrize(("ttl_s", "wait_s"), [(0, 2), (5, 5), (7200, 30)])
async def test_how_long_an_answer_holds(server, ttl_s, wait_s):
    """As long as it says, within the configured bounds."""
    server.records["gpu.test.", "A"] = Records(("10.0.0.1",), ttl_s)
    async with Looking(server, min_ttl_s=2, max_ttl_s=30) as looking:
        await looking.looked()
        await looking.looks_after(wait_s)


async def test_an_alias_holds_as_long_as_its_shortest_part(server):
    """CNAMEs are followed, and the least of all lifetimes counts."""
    server.records["gpu.test.", "CNAME"] = Records(("pool.test.",), ttl_s=9)
    server.records["pool.test.", "A"] = Records(("10.0.0.1",), ttl_s=50)
    async with Looking(server) as looking:
        await looking.looked()
        assert looking.told.addresses == ["10.0.0.1:8000"]
        await looking.looks_after(9)


@pytest.mark.parametrize("there", [False, True], ids=["no such name", "no such records"])
async def test_nothing_is_an_answer(server, there):
    """A name that is gone has no endpoints, for as long as the zone says; when it comes back, they do."""
    async with Looking(server) as looking:
        if there:
            server.records["gpu.test.", "TXT"] = Records(('"x"',))
        await looking.looked()
        assert looking.told.sets == [()]
        assert not looking.told.faults
        server.records["gpu.test.", "A"] = Records(("10.0.0.1",))
        await looking.looks_after(7)
        assert looking.told.addresses == ["10.0.0.1:8000"]


async def test_nothing_without_a_lifetime_is_asked_for_again_soon(server):
    """A server that leaves the SOA out says not how long."""
    server.negative_ttl_s = None
    async with Looking(server, max_ttl_s=60) as looking:
        await looking.looked()
        server.records["gpu.test.", "A"] = Records(("10.0.0.1",))
        looking.clock.advance(67)
        await looking.looked(2)
        assert looking.told.addresses == ["10.0.0.1:8000"]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("SERVFAIL", Reason.UPSTREAM_UNAVAILABLE),
        ("REFUSED", Reason.UPSTREAM_UNAVAILABLE),
        ("silence", Reason.UPSTREAM_TIMEOUT),
    ],
)
async def test_trouble_keeps_what_is_known(server, failure, reason):
    """A server that cannot answer says nothing about the endpoints; it is asked again, ever less often."""
    server.records["gpu.test.", "A"] = Records(("10.0.0.1",), ttl_s=5)
    async with Looking(server, timeout_s=0.3) as looking:
        await looking.looked()
        server.failure = failure
        for times in (2, 3):
            looking.clock.advance(20)
            await looking.looked(times)
        assert [fault.reason for fault in looking.told.faults] == [reason] * 2
        assert len(looking.told.sets) == 1
        server.failure = ""
        looking.clock.advance(20)
        await looking.looked(4)
        assert looking.told.addresses == ["10.0.0.1:8000"]


async def test_a_large_answer_is_asked_for_over_tcp(server):
    """What does not fit into a datagram."""
    server.records["gpu.test.", "A"] = Records(tuple(f"10.0.{n // 250}.{n % 250}" for n in range(600)))
    server.truncated = True
    async with Looking(server) as looking:
        await looking.looked()
        assert len(looking.told.sets[-1]) == 600
        assert server.over_tcp == 1


async def test_srv_tells_ports_weights_and_priorities(server):
    """Targets are looked up where their addresses did not come along."""
    server.records["_http._tcp.gpu.test.", "SRV"] = Records(
        ("10 3 8001 a.test.", "10 1 8002 b.test.", "20 5 8003 c.test."), ttl_s=40
    )
    for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3")):
        server.records[f"{name}.test.", "A"] = Records((address,), ttl_s=15)
    async with Looking(server, kind="SRV", name="_http._tcp.gpu.test") as looking:
        await looking.looked()
        told = [(one.address, one.weight, one.priority) for one in looking.told.sets[-1]]
        assert told == [("10.0.0.1:8001", 3, 0), ("10.0.0.2:8002", 1, 0), ("10.0.0.3:8003", 5, 1)]
        await looking.looks_after(15)


async def test_srv_as_consul_answers_it(server):
    """Addresses come along, lifetimes are 0; nothing more is asked for."""
    server.records["vllm.service.consul.", "SRV"] = Records(
        ("1 1 8000 0a000001.addr.dc1.consul.", "1 1 8000 0a000002.addr.dc1.consul."), ttl_s=0
    )
    for last in (1, 2):
        server.additional[f"0a00000{last}.addr.dc1.consul.", "A"] = Records((f"10.0.0.{last}",), ttl_s=0)
    async with Looking(server, kind="SRV", name="vllm.service.consul", min_ttl_s=3) as looking:
        await looking.looked()
        assert looking.told.addresses == ["10.0.0.1:8000", "10.0.0.2:8000"]
        assert [kind for _, kind in server.asked] == ["SRV"]
        await looking.looks_after(3)


async def test_srv_targets_without_ipv4(server):
    """Go by IPv6; one without any address is left out."""
    server.records["gpu.test.", "SRV"] = Records(("0 0 8000 six.test.", "0 0 8000 none.test."))
    server.records["six.test.", "AAAA"] = Records(("fd00::6",))
    server.records["none.test.", "TXT"] = Records(('"x"',))
    async with Looking(server, kind="SRV") as looking:
        await looking.looked()
        assert looking.told.addresses == ["[fd00::6]:8000"]


async def test_srv_that_says_there_is_no_service(server):
    """A lone target `.` (RFC 2782)."""
    server.records["gpu.test.", "SRV"] = Records(("0 0 0 .",))
    async with Looking(server, kind="SRV") as looking:
        await looking.looked()
        assert looking.told.sets == [()]


async def test_one_srv_target_in_trouble_holds_nobody_up(server):
    """It keeps the address it had, the others change; the fault is told, and it is asked again soon."""
    server.records["gpu.test.", "SRV"] = Records(("0 1 8000 a.test.", "0 1 8000 b.test."), ttl_s=5)
    server.records["a.test.", "A"] = Records(("10.0.0.1",), ttl_s=5)
    server.records["b.test.", "A"] = Records(("10.0.0.2",), ttl_s=5)
    async with Looking(server, kind="SRV", timeout_s=0.5) as looking:
        await looking.looked()
        server.failing.add("b.test.")
        server.records["a.test.", "A"] = Records(("10.0.0.9",), ttl_s=5)
        looking.clock.advance(6)
        await looking.looked(3)
        assert looking.told.addresses == ["10.0.0.2:8000", "10.0.0.9:8000"]
        assert [fault.reason for fault in looking.told.faults] == [Reason.UPSTREAM_UNAVAILABLE]
        server.failing.clear()
        server.records["b.test.", "A"] = Records(("10.0.0.8",), ttl_s=5)
        looking.clock.advance(1.2)
        await looking.looked(4)
        assert looking.told.addresses == ["10.0.0.8:8000", "10.0.0.9:8000"]


async def test_all_srv_targets_in_trouble(server):
    """From the first look on: nothing is told, rather than that there is nothing."""
    server.records["gpu.test.", "SRV"] = Records(("0 1 8000 a.test.",))
    server.failing.add("a.test.")
    async with Looking(server, kind="SRV", timeout_s=0.5) as looking:
        await looking.looked()
        assert not looking.told.sets
        assert len(looking.told.faults) == 1


async def test_many_srv_targets(server):
    """More than are asked for side by side."""
    server.records["gpu.test.", "SRV"] = Records(tuple(f"0 1 8000 n{n}.test." for n in range(40)))
    for n in range(40):
        server.records[f"n{n}.test.", "A"] = Records((f"10.0.0.{n}",))
    async with Looking(server, kind="SRV") as looking:
        await looking.looked()
        assert len(looking.told.sets[-1]) == 40


async def test_leaving_frees_everything(server):
    """Cancelled in the middle of a question, it leaves no timer and no task."""
    server.failure = "silence"
    async with Looking(server) as looking:
        await until("it asks", lambda: server.asked)
    assert looking.clock.pending == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


def answer(kind, *lines):
    return dns.message.from_text(
        "\n".join(
            [
                "id 1",
                "opcode QUERY",
                "rcode NOERROR",
                "flags QR RD RA",
                ";QUESTION",
                f"gpu.test. IN {kind}",
                *lines,
            ]
        )
    )


def test_a_weight_of_zero_means_hardly_ever():
    """And not never: beside it the others count a hundredfold; where all are 0, they are equal."""
    found = decode_servers(
        answer(
            "SRV", ";ANSWER", "gpu.test. 5 IN SRV 0 0 80 a.test.", "gpu.test. 5 IN SRV 0 2 80 b.test.",
            ";ADDITIONAL", "a.test. 5 IN A 10.0.0.1", "b.test. 5 IN A 10.0.0.2",
        )
    )  # fmt: skip
    weights = {one.host: one.weight for one in servers(found.records, found.known)}
    assert weights == {"10.0.0.1": 1, "10.0.0.2": 200}
    none = [record for record in found.records if not record.weight]
    assert [one.weight for one in servers(none, found.known)] == [1]


def test_aliases_in_a_circle_are_a_fault():
    """A malformed answer must not be taken for an empty one."""
    lines = [f"n{n}.test. 5 IN CNAME n{n + 1}.test." for n in range(20)]
    with pytest.raises(ServiceError) as caught:
        decode_addresses(answer("A", ";ANSWER", "gpu.test. 5 IN CNAME n0.test.", *lines))
    assert caught.value.reason is Reason.UPSTREAM_BAD_RESPONSE


def test_ipv4_goes_before_ipv6_of_one_target():
    """In whatever order they come along: they are one server."""
    lines = ["a.test. 5 IN A 10.0.0.1", "a.test. 9 IN AAAA fd00::1"]
    for order in (lines, lines[::-1]):
        found = decode_servers(
            answer("SRV", ";ANSWER", "gpu.test. 5 IN SRV 0 0 80 a.test.", ";ADDITIONAL", *order)
        )
        assert [one.host for one in servers(found.records, found.known)] == ["10.0.0.1"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 65_535), st.integers(1, 65_535)), max_size=6))
def test_any_srv_records_come_to_endpoints(rows):
    """One for each record, with a weight of at least 1."""
    lines = [f"gpu.test. 5 IN SRV {priority} {weight} {port} a.test." for priority, weight, port in rows]
    found = decode_servers(answer("SRV", *([";ANSWER", *lines] if lines else [])))
    made = list(
        servers(found.records, decode_servers(answer("SRV", ";ADDITIONAL", "a.test. 5 IN A 10.0.0.1")).known)
    )
    assert len(made) == len(set(rows))
    assert all(one.weight >= 1 for one in made)


def test_kinds():
    """What the configuration calls the kinds is what DNS calls them."""
    assert [kind.value for kind in DnsKind] == ["A", "AAAA", "SRV"]
