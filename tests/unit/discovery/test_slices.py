from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.discovery.endpoints import Condition, Endpoint
from pointsman_server.discovery.slices import (
    Bookmark,
    Conditions,
    Put,
    Removed,
    SliceTable,
    condition_of,
    decode_event,
    decode_page,
    told,
)
from pointsman_server.errors import Reason, ServiceError
from tests.unit.discovery.slices import bookmark, endpoint, event, list_of, slice_of, status

READY, DRAINING, UNREADY = Condition


def table(*slices, port="http"):
    made = SliceTable(port)
    made.replace(decode_page(list_of(*slices)).slices)
    return made


@pytest.mark.parametrize(
    ("ready", "serving", "terminating", "expected"),
    [
        (None, None, None, READY),
        (True, True, False, READY),
        (True, None, None, READY),
        (False, False, False, UNREADY),
        (False, None, None, UNREADY),
        # A pod that ends, and still serves.
        (False, True, True, DRAINING),
        (False, False, True, UNREADY),
        (False, None, True, UNREADY),
        (None, None, True, DRAINING),
        # publishNotReadyAddresses: `ready` is always true.
        (True, False, False, READY),
        (True, True, True, DRAINING),
        (True, False, True, UNREADY),
        # Serving and neither ready nor terminating: somebody's own controller says "do not use".
        (False, True, False, UNREADY),
    ],
)
def test_conditions(ready, serving, terminating, expected):
    """Unset conditions mean what the API reference says; a terminating endpoint is judged by whether it serves."""
    assert condition_of(Conditions(ready, serving, terminating)) is expected


def test_a_slice_as_an_api_server_writes_it():
    """Addresses, the named port, the pod's uid; null where there are no endpoints."""
    full = slice_of(
        "vllm-a", endpoint("10.244.0.7", uid="p1"), endpoint("10.244.0.8", ready=False, serving=False)
    )
    assert table(full, slice_of("vllm-b")).endpoints() == (
        Endpoint("10.244.0.7", 8000, READY, "p1"),
        Endpoint("10.244.0.8", 8000, UNREADY),
    )


@pytest.mark.parametrize(
    ("port", "ports", "number"),
    [
        ("http", [{"name": "metrics", "port": 9000}, {"name": "http", "port": 8000}], 8000),
        ("grpc", [{"name": "http", "port": 8000}], None),
        ("", [{"name": "", "port": 8000}], 8000),
        ("", [{"port": 8000}], 8000),
        (None, [{"name": "http", "port": 8000}], 8000),
        (None, [{"name": "http", "port": 8000}, {"name": "metrics", "port": 9000}], None),
        # The same name for TCP and UDP, as DNS servers have it: only the first can be called.
        ("http", [{"name": "http", "port": 53, "protocol": "UDP"}, {"name": "http", "port": 80}], 80),
        (None, [{"name": "a", "port": 53, "protocol": "UDP"}, {"name": "b", "port": 80}], 80),
        ("http", [{"name": "http", "port": None}], None),
        ("http", [], None),
    ],
)  # fmt: skip
def test_the_port_is_chosen_by_its_name(port, ports, number):
    """Without a name the only one; where that is not clear, none, and the fault says so."""
    made = table(slice_of("a", endpoint("10.0.0.1"), ports=ports), port=port)
    assert [one.port for one in made.endpoints()] == ([] if number is None else [number])
    assert (made.fault() is None) == (number is not None)


def test_a_port_may_have_another_number_in_each_slice():
    """A named target port differs between versions of a pod in a rolling update; each slice tells its own."""
    old = slice_of("a", endpoint("10.0.0.1"))
    new = slice_of("b", endpoint("10.0.0.2"), ports=[{"name": "http", "port": 9000}])
    assert [one.address for one in table(old, new).endpoints()] == ["10.0.0.1:8000", "10.0.0.2:9000"]


def test_the_fault_names_the_ports_that_there_are():
    """Who misspelt a port's name finds it without asking the cluster."""
    fault = table(slice_of("a", endpoint("10.0.0.1")), port="htpp").fault()
    assert fault is not None
    assert fault.detail == "the Service has no TCP port named 'htpp'; there are http"
    assert table(slice_of("a"), port="htpp").fault() is None


def test_a_pod_of_both_families_comes_once():
    """A dual-stack Service has slices of both; a pod is one server all the same. Without IPv4 it goes by IPv6."""
    four = slice_of("a", endpoint("10.0.0.1", uid="p1"), endpoint("10.0.0.3"))
    six = slice_of(
        "b", endpoint("fd00::1", uid="p1"), endpoint("fd00::2", uid="p2"), endpoint("fd00::3"), family="IPv6"
    )
    addresses = [one.address for one in table(four, six).endpoints()]
    assert addresses == ["10.0.0.1:8000", "10.0.0.3:8000", "[fd00::2]:8000", "[fd00::3]:8000"]
    named = slice_of("c", endpoint("gpu.internal"), family="FQDN")
    assert table(named).endpoints() == ()


def test_what_is_no_address_is_no_endpoint():
    """What goes into a URL is an IP address, whoever wrote the slice."""
    made = table(
        slice_of("a", endpoint("10.0.0.1/x@evil"), endpoint(""), {"addresses": []}, endpoint("10.0.0.2"))
    )
    assert [one.host for one in made.endpoints()] == ["10.0.0.2"]


def test_the_first_address_of_an_endpoint_is_taken():
    """Further ones are the same server."""
    several = endpoint("10.0.0.1") | {"addresses": ["10.0.0.1", "10.0.0.2"]}
    assert [one.host for one in table(slice_of("a", several)).endpoints()] == ["10.0.0.1"]


def test_an_endpoint_on_the_move_between_slices_comes_once():
    """It stands in two for a moment, perhaps in two states; the better one holds."""
    made = table(
        slice_of("a", endpoint("10.0.0.1", ready=False, serving=False)), slice_of("b", endpoint("10.0.0.1"))
    )
    assert [one.condition for one in made.endpoints()] == [READY]


def test_pages_and_events():
    """Each kind of line in a watch, and a page with the token for the next."""
    page = decode_page(list_of(slice_of("a"), version="42", rest="token"))
    assert (len(page.slices), page.version, page.rest) == (1, "42", "token")
    assert decode_page(list_of(version="9")).rest == ""
    for kind in ("ADDED", "MODIFIED"):
        change = decode_event(event(kind, slice_of("a", version="43")))
        assert isinstance(change, Put)
        assert (change.slice.metadata.name, change.version) == ("a", "43")
    assert decode_event(event("DELETED", slice_of("a", version="44"))) == Removed("a", "44")
    assert decode_event(bookmark("45")) == Bookmark("45")
    assert decode_event(event("SOMETHING_NEW", {"kind": "Other"})) is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (401, Reason.UPSTREAM_CREDENTIALS_INVALID),
        (403, Reason.UPSTREAM_PERMISSION_DENIED),
        (404, Reason.UPSTREAM_BAD_RESPONSE),
        (410, Reason.UPSTREAM_CONFLICT),
        (429, Reason.UPSTREAM_RATE_LIMITED),
        (500, Reason.UPSTREAM_UNAVAILABLE),
        (504, Reason.UPSTREAM_UNAVAILABLE),
    ],
)
def test_a_code_means_the_same_as_a_status_and_inside_a_watch(code, reason):
    """The API server tells an expired version either way."""
    with pytest.raises(ServiceError) as caught:
        decode_event(event("ERROR", status(code, "Expired")))
    assert (caught.value.reason, told(code).reason) == (reason, reason)
    assert caught.value.upstream is not None
    assert caught.value.upstream.http_status == code
    assert "as scripted" not in caught.value.detail


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"null", b'{"metadata": {}}', b'{"metadata": {"resourceVersion": 7}}', b"\xff",
        b'{"metadata": {"resourceVersion": "1"}, "items": [{}]}', b"<html>", b'{"metadata"' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused(body):
    """A page of something else must not be taken for an empty list, which would drop every endpoint."""
    with pytest.raises(ServiceError) as caught:
        decode_page(body)
    assert caught.value.reason is Reason.UPSTREAM_BAD_RESPONSE


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "object", "metadata", "items", "resourceVersion", "endpoints", "ports", "code"]
                ),
                inner,
                max_size=4,
            )
        ),
    ).map(lambda tree: json.dumps(tree).encode())
)
def test_any_bytes_are_decoded_or_refused(body):
    """Nothing but ServiceError is raised, whatever comes."""
    for decode in (decode_page, decode_event):
        with contextlib.suppress(ServiceError):
            decode(body)


STATES = st.sampled_from([(True, True, False), (False, False, False), (False, True, True)])
SLICES = st.builds(
    lambda name, members: slice_of(
        name,
        *(
            endpoint(f"10.0.0.{last}", ready=ready, serving=serving, terminating=terminating)
            for last, (ready, serving, terminating) in members.items()
        ),
    ),
    st.sampled_from("abc"),
    st.dictionaries(st.integers(1, 5), STATES, max_size=4),
)


@given(st.lists(SLICES), st.lists(st.tuples(st.sampled_from(["ADDED", "MODIFIED", "DELETED"]), SLICES)))
def test_following_a_watch_comes_to_what_a_list_would_tell(listed, changes):
    """After any changes the table holds what a new list of the same slices gives."""
    followed = table(*listed)
    now = {one["metadata"]["name"]: one for one in listed}
    for kind, about in changes:
        change = decode_event(event(kind, about))
        assert change is not None
        followed.apply(change)
        now[about["metadata"]["name"]] = about
        if kind == "DELETED":
            del now[about["metadata"]["name"]]
    assert followed.endpoints() == table(*now.values()).endpoints()
