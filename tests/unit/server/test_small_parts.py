"""Pacing, paging, options and the registry of calls."""

import asyncio
from pathlib import Path

import pytest
from grpc._cython import cygrpc
from hypothesis import given
from hypothesis import strategies as st

from pointsman.v1 import inference_service_pb2, model_service_pb2, router_admin_service_pb2
from pointsman_server.config.schema import Http2
from pointsman_server.domain import StreamOptions
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.server.admin import AdminServicer
from pointsman_server.server.batch import Surroundings
from pointsman_server.server.boundary import Nonces, request_id
from pointsman_server.server.calls import Calls
from pointsman_server.server.models import ModelServicer
from pointsman_server.server.options import server_options
from pointsman_server.server.pacing import BUSY_SHARE, IDLE_SHARE, SAMPLE_S, LoopLoad, Pacing
from pointsman_server.server.paging import page
from pointsman_server.server.servicer import InferenceServicer
from tests.fakes.catalog import FakeCatalog, FakeControl
from tests.fakes.clock import FakeClock

AUTO = StreamOptions()


def loaded(share: float) -> LoopLoad:
    load = LoopLoad(FakeClock(), lambda: 0.0)
    load.share = share
    return load


def test_the_window_is_zero_while_idle_and_grows_with_load():
    """Nothing waits on an idle server; a busy one waits at most as long as configured."""
    windows = [Pacing(loaded(share / 100), 0.25).window_s(AUTO) for share in range(101)]
    assert windows == sorted(windows)
    assert windows[int(IDLE_SHARE * 100)] == 0
    assert windows[round(BUSY_SHARE * 100)] == pytest.approx(0.25)
    assert windows[100] == 0.25
    assert all(window == 0 or window >= 0.005 for window in windows)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_callers_window_wins(share):
    """A fixed window holds whatever the load; zero turns merging off."""
    pacing = Pacing(loaded(share), 0.25)
    assert pacing.window_s(StreamOptions(coalesce_s=0.7)) == 0.7
    assert pacing.window_s(StreamOptions(coalesce_s=0.0)) == 0.0
    assert Pacing(loaded(share), 0.0).window_s(AUTO) == 0.0


@given(st.lists(st.tuples(st.floats(-1, 10), st.floats(-1, 10))))
def test_load_stays_between_nothing_and_all(samples):
    """No sample, however odd, drives it out of 0 to 1."""
    load = loaded(0.0)
    for cpu, lag in samples:
        load.record(cpu, lag)
        assert 0 <= load.share <= 1


async def test_the_sampler_follows_cpu_and_lag():
    """A busy process raises the load, an idle one lowers it."""
    clock, used = FakeClock(autojump=False), [0.0]
    load, seen = LoopLoad(clock, lambda: used[0]), []
    task = asyncio.ensure_future(load.watch())
    await clock.settle()
    for cpu_s in (*[SAMPLE_S] * 8, *[0.0] * 8):
        used[0] += cpu_s
        clock.advance(SAMPLE_S)
        await clock.settle()
        seen.append(load.share)
    assert seen[7] > 0.9
    assert seen[15] < 0.1
    task.cancel()


@given(st.lists(st.text(min_size=1), unique=True), st.integers(1, 7))
def test_pages_join_to_the_whole(names, size):
    """Any list, any page size: sorted, complete, no repeats."""
    seen, token = [], ""
    while True:
        items, token = page(names, str, size=size, token=token)
        seen += items
        if not token:
            break
    assert seen == sorted(names)


@given(st.text())
def test_foreign_tokens_are_refused(token):
    """A token that is not ours is INVALID_REQUEST, whatever it is."""
    if not token:
        return
    with pytest.raises(ServiceError) as caught:
        page(["a"], str, size=1, token=token)
    assert caught.value.reason is Reason.INVALID_REQUEST


def test_page_sizes_have_a_default_and_a_cap():
    """0 is 50, and 1000 is the most."""
    names = [f"{number:05}" for number in range(1500)]
    assert len(page(names, str, size=0, token="")[0]) == 50
    assert len(page(names, str, size=5000, token="")[0]) == 1000


def test_the_core_knows_every_option():
    """Grpc ignores a misspelt option silently, so each name is looked for in its library."""
    library = Path(cygrpc.__file__).read_bytes()
    for name, value in server_options(Http2()):
        assert name.encode() + b"\0" in library, name
        assert value >= 0
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms\0" not in library


def test_options_that_matter():
    """One port, one owner; the transport's cap above ours; dead peers are noticed by ping."""
    options = dict(server_options(Http2()))
    assert options["grpc.so_reuseport"] == 0
    assert dict(server_options(Http2(), share_port=True))["grpc.so_reuseport"] == 1
    assert options["grpc.max_receive_message_length"] == 20 * 1024 * 1024
    assert options["grpc.http2.ping_timeout_ms"] == 20_000
    assert options["grpc.max_connection_age_grace_ms"] == 630_000


@pytest.mark.parametrize(
    ("servicer", "service"),
    [
        (
            InferenceServicer(Surroundings(None, None, None, None, None), None),
            inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"],
        ),
        (ModelServicer(FakeCatalog()), model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]),
        (
            AdminServicer(FakeControl()),
            router_admin_service_pb2.DESCRIPTOR.services_by_name["RouterAdminService"],
        ),
    ],
)
def test_services_are_whole(servicer, service):
    """Every RPC of the contract is there with its types and its direction."""
    ours = {
        (
            method.path,
            method.request.DESCRIPTOR.full_name,
            method.response.DESCRIPTOR.full_name,
            method.stream,
        )
        for method in servicer.methods()
    }
    assert ours == {
        (
            f"/{service.full_name}/{method.name}", method.input_type.full_name, method.output_type.full_name,
            method.server_streaming,
        )
        for method in service.methods
    }  # fmt: skip


@given(st.text(max_size=200))
def test_request_ids_are_printable_ascii(given_id):
    """Whatever comes in, the id is printable ASCII of at most 128 characters, and a good one is kept."""
    chosen = request_id({"x-request-id": given_id})
    assert chosen
    assert chosen.isascii()
    assert chosen.isprintable()
    assert len(chosen) <= 128


def test_nonces_never_repeat():
    """Not within a process, and not between two."""
    first, second = Nonces(), Nonces()
    assert len({*(first() for _ in range(1000)), *(second() for _ in range(1000))}) == 2000


class Stopping:
    def __init__(self):
        self.error = None

    def stop(self, error):
        self.error = error


async def test_calls_are_waited_for_and_stopped():
    """Drained means that none runs; the rest can be told to end."""
    calls, one, two = Calls(), Stopping(), Stopping()
    await calls.drained()
    calls.add(one)
    calls.add(two)
    waiting = asyncio.ensure_future(calls.drained())
    calls.discard(one)
    await asyncio.sleep(0)
    assert not waiting.done()
    error = ServiceError(Reason.SHUTTING_DOWN, "bye")
    assert calls.cancel_rest(error) == 1
    assert (one.error, two.error) == (None, error)
    calls.discard(two)
    await waiting
    assert len(calls) == 0
