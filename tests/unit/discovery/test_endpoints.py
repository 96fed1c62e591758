from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.config.addresses import is_ip, join_address, split_address
from pointsman_server.discovery.endpoints import (
    MAX_ENDPOINTS,
    Condition,
    Endpoint,
    endpoint_set,
    takers,
)

READY, DRAINING, UNREADY = Condition
ENDPOINTS = st.builds(
    Endpoint,
    host=st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "node"]),
    port=st.integers(8000, 8002),
    condition=st.sampled_from(Condition),
    uid=st.sampled_from(["", "a", "b"]),
    weight=st.integers(1, 3),
    priority=st.integers(0, 20),
)


@given(st.lists(ENDPOINTS), st.randoms())
def test_a_set_does_not_depend_on_the_order_of_telling(found, rng):
    """Two sources that tell the same in another order tell the same set: nothing is rebuilt for it."""
    other = list(found)
    rng.shuffle(other)
    assert endpoint_set(found) == endpoint_set(other)
    assert endpoint_set(endpoint_set(found)) == endpoint_set(found)


@given(st.lists(ENDPOINTS))
def test_each_address_stands_once_with_its_best_condition(found):
    """An endpoint that a source tells twice is one place, and takes calls if either telling says so."""
    made = endpoint_set(found)
    assert [one.address for one in made] == sorted({one.address for one in found}, key=split_address)
    order = list(Condition)
    for one in made:
        told = [other.condition for other in found if other.address == one.address]
        assert one.condition is min(told, key=order.index)


@given(st.lists(ENDPOINTS))
def test_priorities_count_from_zero_in_their_order(found):
    """Priorities of different backends can be compared only as first, second, ... choice."""
    made = endpoint_set(found)
    levels = {one.priority for one in made}
    assert levels == set(range(len(levels)))


@given(st.lists(ENDPOINTS))
def test_new_calls_go_to_the_ready_ones_or_else_to_the_draining_ones(found):
    """A draining endpoint takes a call only while none is ready; an unready one never does."""
    chosen = takers(endpoint_set(found))
    conditions = {one.condition for one in endpoint_set(found)}
    best = READY if READY in conditions else DRAINING
    assert {one.condition for one in chosen} == ({best} & conditions)
    assert [one for one in endpoint_set(found) if one.condition is best] == list(chosen)


def test_too_many_are_cut_and_the_ready_ones_are_kept():
    """A selector that catches too much costs calls some time, and not the service its life."""
    found = [Endpoint(f"10.0.{n // 250}.{n % 250}", 80, UNREADY if n % 2 else READY) for n in range(2 * 1200)]
    made = endpoint_set(found)
    assert len(made) == MAX_ENDPOINTS
    assert {one.condition for one in made} == {READY}


@given(st.sampled_from(["10.0.0.1", "::1", "fd00::7", "vllm.svc"]), st.integers(1, 65_535))
def test_addresses_are_put_together_and_taken_apart(host, port):
    """IPv6 stands in brackets, as URLs want it."""
    assert split_address(join_address(host, port)) == (host, port)
    assert is_ip(host) is (host != "vllm.svc")


def test_an_address_without_a_port_takes_the_default():
    """As nameservers do."""
    assert split_address("127.0.0.1", 53) == ("127.0.0.1", 53)
    assert split_address("[::1]", 53) == ("::1", 53)
