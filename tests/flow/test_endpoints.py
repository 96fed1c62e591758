"""Backends whose endpoints discovery finds, under calls: what changes in a set changes for new calls alone."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman_server.catalog import RuntimeCatalog
from pointsman_server.context import AuthMethod, Principal
from pointsman_server.discovery.endpoints import Condition, Endpoint, endpoint_set, takers
from pointsman_server.domain import Fallback
from pointsman_server.errors import Reason
from pointsman_server.routing.view import BackendState, ModelState
from pointsman_server.runtime import Place
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import Accept, Wait, refused, served
from tests.flow.rig import Rig, failure_of

UNAVAILABLE = Reason.UPSTREAM_UNAVAILABLE
GPU = {"url": "https://gpu.internal/v1", "discovery": {"type": "static", "endpoints": ["unused:1"]}}
SLOW = [Accept(), Wait(1), *served()[1:]]
READY, DRAINING, UNREADY = Condition


def at(last: int, condition: Condition = READY, **more) -> Endpoint:
    return Endpoint(f"10.0.0.{last}", 8000, condition, **more)


def name(last: int) -> str:
    return f"gpu@10.0.0.{last}:8000"


def rig_of(*others: str, scripts=None, gpu=None, **options) -> Rig:
    """A rig with a discovered backend, `gpu`, and others that are one place each; model `m` lists them all."""
    upstreams = {"gpu": [served()]} | {key: [served()] for key in others}
    rig = Rig(upstreams, backends={"gpu": GPU | (gpu or {})}, **options)
    rig.scripts = {name(last): script for last, script in (scripts or {}).items()}
    return rig


def tried(rig: Rig) -> list[int]:
    """The last numbers of the endpoints of all attempts; 0 for a backend that is one place."""
    targets = [record.target for record in rig.telemetry.records]
    return [int(target.endpoint.partition(":")[0].rpartition(".")[2] or 0) for target in targets]


async def test_every_endpoint_is_a_place_of_its_own():
    """One that fails is ejected alone; the others of its backend serve on."""
    rig = rig_of(scripts={1: [refused(UNAVAILABLE)]})
    rig.find(gpu=[at(1), at(2), at(3)])
    for _ in range(30):
        await rig.generate()
    counts = Counter(tried(rig))
    assert counts[1] == 5
    assert rig.telemetry.events[0][1] == {
        "backend": "gpu", "endpoint": "10.0.0.1:8000", "reason": "UPSTREAM_UNAVAILABLE",
    }  # fmt: skip
    assert set(rig.tried) == {"gpu"}
    rig.assert_idle()


async def test_no_endpoint_is_a_wait_and_no_fault_of_the_caller():
    """An empty set refuses calls as NO_HEALTHY_BACKEND, to be tried again; the first endpoint ends that."""
    rig = rig_of()
    for found in ([], [at(1, UNREADY)]):
        rig.find(gpu=found)
        error = await rig.failure()
        assert (error.reason, error.retry_after_s) == (Reason.NO_HEALTHY_BACKEND, 1)
    rig.find(gpu=[at(1)])
    await rig.generate()
    assert tried(rig) == [1]


async def test_an_empty_set_leaves_the_other_backends_alone():
    """They serve all calls, and are ejected by the same rules as if the empty one did not exist."""
    rig = rig_of("other")
    rig.find(gpu=[])
    await rig.generate()
    assert rig.tried == ["other"]
    assert (await rig.failure(deny_backends=("other",))).reason is Reason.NO_HEALTHY_BACKEND
    assert (await rig.failure(deny_backends=("other", "gpu"))).reason is Reason.NO_ELIGIBLE_BACKEND


async def test_callers_choose_the_configured_backend():
    """allow_backends, deny_backends and fallbacks name the backend as configured, and mean all its endpoints."""
    rig = rig_of("other", models={"m": {}, "n": {"targets": [{"backend": "other"}]}})
    rig.find(gpu=[at(1), at(2)])
    for _ in range(4):
        await rig.generate(allow_backends=("gpu",))
    assert Counter(tried(rig)) == {1: 2, 2: 2}
    await rig.generate(deny_backends=("gpu",))
    assert rig.tried[-1] == "other"
    assert (await rig.failure(allow_backends=(name(1),))).reason is Reason.NO_ELIGIBLE_BACKEND


async def test_a_fallback_names_a_backend_with_endpoints():
    """Any of its endpoints serves, also where the model does not list the backend; while it has none, that is told."""
    models = {"m": {"targets": [{"backend": "other"}]}}
    rig = rig_of("other", models=models)
    rig.upstreams["other"].scripts = [refused(UNAVAILABLE)]
    rig.find(gpu=[at(1), at(2)])
    fallback = {"fallbacks": (Fallback(backend="gpu"),), "deny_backends": ("other",)}
    for _ in range(12):
        await rig.generate(**fallback)
    assert set(tried(rig)) == {1, 2}
    rig.find(gpu=[])
    assert (await rig.failure(**fallback)).reason is Reason.NO_HEALTHY_BACKEND


async def test_a_draining_endpoint_takes_new_calls_only_in_need():
    """Its running calls finish; new ones go to the ready ones, and to it only while there is none."""
    rig = rig_of(scripts={1: [SLOW]}, clock=FakeClock(autojump=False))
    rig.find(gpu=[at(1)])
    call = asyncio.create_task(rig.generate())
    await rig.clock.settle()
    rig.find(gpu=[at(1, DRAINING), at(2)])
    for _ in range(4):
        await rig.generate()
    assert tried(rig) == [2, 2, 2, 2]
    rig.clock.advance(1)
    await call
    assert tried(rig)[-1] == 1
    rig.find(gpu=[at(1, DRAINING), at(2, UNREADY)])
    rig.clock.let_go()
    await rig.generate()
    assert tried(rig)[-1] == 1


async def test_an_unchanged_endpoint_keeps_what_is_known_of_it():
    """Over changes of the set: its pool, its ejection, its calls in flight; also while it is unready for a moment."""
    rig = rig_of(scripts={1: [refused(UNAVAILABLE)]})
    rig.find(gpu=[at(1), at(2)])
    for _ in range(12):
        await rig.generate()
    before = rig.runtime.places[name(1)]
    assert before.book.breaker.ejected_at is not None
    for found in ([at(1), at(2), at(3)], [at(1, UNREADY), at(3)], [at(1), at(3)]):
        rig.find(gpu=found)
        assert rig.runtime.places[name(1)] is before
    await Place.retired()
    assert rig.upstreams[name(1)].closed == 0
    assert rig.upstreams[name(2)].closed == 1


async def test_another_process_at_the_same_address_is_another_endpoint():
    """A pod that got the address of one that was ejected starts with a clean book."""
    rig = rig_of()
    rig.find(gpu=[at(1, uid="old")])
    before = rig.runtime.places[name(1)]
    rig.find(gpu=[at(1, uid="new")])
    after = rig.runtime.places[name(1)]
    assert after is not before
    assert after.book is not before.book


async def test_a_removed_endpoint_closes_after_its_last_call():
    """Calls that run there finish, over any number of further changes; then its pool closes, once."""
    rig = rig_of(scripts={1: [SLOW]}, clock=FakeClock(autojump=False))
    rig.find(gpu=[at(1), at(2)])
    call = asyncio.create_task(rig.generate())
    await rig.clock.settle()
    gone = rig.upstreams[name(1)]
    for found in ([at(2)], [at(2), at(3)], [at(3)], [at(2)]):
        rig.find(gpu=found)
    await rig.clock.settle()
    assert gone.closed == 0
    rig.clock.advance(1)
    await call
    await Place.retired()
    assert gone.closed == 1
    assert tried(rig) == [1]


async def test_old_sets_are_forgotten_while_a_long_call_runs():
    """A stream of minutes keeps its own view of the fleet alive, and not every one that there was since."""
    rig = rig_of(scripts={1: [SLOW]}, clock=FakeClock(autojump=False))
    rig.find(gpu=[at(1)])
    call = asyncio.create_task(rig.generate())
    await rig.clock.settle()
    between = []
    for last in range(2, 10):
        rig.find(gpu=[at(1), at(last)])
        between.append(weakref.ref(rig.runtime))
    rig.find(gpu=[at(1)])
    gc.collect()
    assert [ref() for ref in between] == [None] * 8
    rig.clock.advance(1)
    await call


async def test_a_failure_is_followed_by_another_endpoint():
    """Failover between endpoints of one backend is as free as between backends."""
    rig = rig_of(scripts={1: [refused(Reason.UPSTREAM_UNREACHABLE)]})
    rig.find(gpu=[at(1), at(2)])
    for _ in range(4):
        await rig.generate()
    assert set(rig.reasons) == {None, Reason.UPSTREAM_UNREACHABLE}
    assert tried(rig).count(2) == 4


async def test_a_backends_share_does_not_grow_with_its_endpoints():
    """Under the policy weighted a target keeps its configured weight, divided among the endpoints."""
    rig = rig_of("other", models={"m": {"policy": "weighted"}})
    rig.find(gpu=[at(last) for last in range(1, 10)])
    for _ in range(2000):
        await rig.generate()
    share = Counter(rig.tried)["gpu"] / 2000
    assert 0.45 < share < 0.55
    assert len(set(tried(rig))) == 10


async def test_weights_of_endpoints_divide_the_share():
    """As SRV records tell them."""
    rig = rig_of(models={"m": {"policy": "weighted"}})
    rig.find(gpu=[at(1, weight=9), at(2, weight=1)])
    for _ in range(1000):
        await rig.generate()
    assert 0.85 < tried(rig).count(1) / 1000 < 0.95


async def test_priorities_of_endpoints_come_one_after_the_other():
    """The second is used when the first cannot serve; another backend of the group stands beside the first."""
    rig = rig_of("other", scripts={1: [refused(UNAVAILABLE)]}, gpu={"max_concurrency": 1024})
    rig.find(gpu=[at(1, priority=10), at(2, priority=20)])
    await rig.generate(deny_backends=("other",))
    assert tried(rig) == [1, 2]
    for _ in range(10):
        await rig.generate()
    assert Counter(tried(rig)[2:])[2] == 0


async def test_the_limit_is_of_each_endpoint():
    """max_concurrency counts at each endpoint; a full one sends calls to the next."""
    rig = rig_of(scripts={1: [SLOW], 2: [SLOW]}, gpu={"max_concurrency": 1}, clock=FakeClock(autojump=False))
    rig.find(gpu=[at(1), at(2)])
    calls = [asyncio.create_task(rig.generate()) for _ in range(2)]
    await rig.clock.settle()
    assert [rig.upstreams[name(last)].open_now for last in (1, 2)] == [1, 1]
    waiting = asyncio.create_task(failure_of(rig.generate()))
    await rig.clock.settle()
    rig.clock.let_go()
    await asyncio.gather(*calls)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_operators_drain_a_backend_with_all_its_endpoints():
    """Those that come later as well; or one endpoint alone."""
    rig = rig_of("other")
    rig.find(gpu=[at(1), at(2)])
    assert rig.fleet.drain("gpu", "maintenance")
    rig.find(gpu=[at(1), at(2), at(3)])
    for _ in range(6):
        await rig.generate()
    assert set(rig.tried) == {"other"}
    assert rig.fleet.drain("gpu", None)
    assert rig.fleet.drain(name(2), "noisy fan")
    for _ in range(12):
        await rig.generate(allow_backends=("gpu",))
    assert set(tried(rig)[6:]) == {1, 3}
    assert not rig.fleet.drain("gpu@10.0.0.9:8000", None)


OFFER = {"capabilities": frozenset(), "input_modalities": frozenset(), "output_modalities": frozenset()}
ANYBODY = Principal("p", AuthMethod.NONE)


def catalog(rig: Rig) -> RuntimeCatalog:
    return RuntimeCatalog(lambda: rig.runtime, rig.clock, lambda *_: OFFER)


async def test_operators_see_every_endpoint():
    """The backend as configured with what its endpoints come to, and each endpoint with its address and its state."""
    rig = rig_of("other")
    rig.find(gpu=[at(1), at(2, DRAINING), at(3, UNREADY)])
    rows = {row.name: row for row in catalog(rig).backends("")}
    assert list(rows) == ["gpu", name(1), name(2), name(3), "other"]
    states = [(row.state, row.state_reason) for row in rows.values()]
    assert states == [
        (BackendState.HEALTHY, "1 of 3 endpoints healthy"),
        (BackendState.HEALTHY, ""),
        (BackendState.DRAINING, "terminating"),
        (BackendState.UNREACHABLE, "not ready"),
        (BackendState.HEALTHY, ""),
    ]
    assert (rows["gpu"].url, rows[name(1)].url) == ("https://gpu.internal/v1", "https://10.0.0.1:8000/v1")
    assert rows["gpu"].concurrency_limit == 3 * rows[name(1)].concurrency_limit
    assert {row.backend for row in rows.values()} == {"gpu", "other"}
    assert [row.name for row in catalog(rig).places()] == [name(1), name(2), name(3), "other"]


async def test_what_is_left_in_need_is_said_so():
    """Who looks at a backend without a ready endpoint sees where its calls go."""
    rig = rig_of()
    rig.find(gpu=[at(1, DRAINING), at(2, UNREADY)])
    rows = {row.name: row for row in catalog(rig).backends("m")}
    assert rows[name(1)].state_reason == "terminating; takes calls, for no other endpoint is ready"
    assert (rows["gpu"].state, rows["gpu"].state_reason) == (
        BackendState.DRAINING,
        "0 of 2 endpoints healthy",
    )
    rig.find(gpu=[])
    (row,) = catalog(rig).backends("")
    assert (row.name, row.state, row.state_reason) == (
        "gpu", BackendState.UNREACHABLE, "no endpoint was found",
    )  # fmt: skip
    assert [row.name for row in catalog(rig).places()] == ["gpu"]


async def test_an_operators_drain_is_shown_before_all_else():
    """Whatever discovery says of an endpoint."""
    rig = rig_of()
    rig.find(gpu=[at(1), at(2, UNREADY)])
    rig.fleet.drain("gpu", "maintenance")
    rows = catalog(rig).backends("")
    assert {(row.state, row.state_reason) for row in rows} == {(BackendState.DRAINING, "maintenance")}


@pytest.mark.parametrize(
    ("found", "state", "counts"),
    [
        ([], ModelState.UNAVAILABLE, (1, 0)),
        ([at(1, UNREADY)], ModelState.UNAVAILABLE, (1, 0)),
        ([at(1), at(2, UNREADY)], ModelState.AVAILABLE, (1, 1)),
        ([at(1), at(2)], ModelState.AVAILABLE, (2, 2)),
        ([at(1, DRAINING)], ModelState.AVAILABLE, (1, 1)),
    ],
)
async def test_a_models_state_counts_endpoints_that_take_calls(found, state, counts):
    """A model without any endpoint is unavailable, for its health and for who asks."""
    rig = rig_of()
    rig.find(gpu=found)
    info = catalog(rig).model("m", ANYBODY)
    assert (info.state, (info.backend_count, info.healthy_backend_count)) == (state, counts)
    assert catalog(rig).states() == {"m": state}


SETS = st.lists(
    st.builds(at, st.integers(1, 6), st.sampled_from(Condition), uid=st.sampled_from(["", "x"])), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(SETS, min_size=1, max_size=8))
def test_any_changes_of_a_set_lose_no_call(changes):
    """Whatever sets follow one another: a call is served by an endpoint that takes calls now, or refused for lack of
    any; calls that run at a removed endpoint finish; at the end all that was dropped is closed, once.
    """

    async def run() -> None:
        rig = rig_of(scripts={last: [SLOW] for last in range(1, 7)}, clock=FakeClock(autojump=False))
        calls: list[asyncio.Task[object]] = []
        built = []
        for found in changes:
            rig.find(gpu=found)
            built += [place for place in rig.runtime.places.values() if place not in built]
            now = takers(endpoint_set(found))
            if now:
                calls += [asyncio.create_task(rig.generate()) for _ in now]
                await rig.clock.settle()
                in_use = {place.name for place in built if place.upstream.open_now}
                assert {f"gpu@{one.address}" for one in now} <= in_use
            else:
                assert (await rig.failure()).reason is Reason.NO_HEALTHY_BACKEND
            rig.clock.advance(0.4)
        rig.clock.let_go()
        await asyncio.gather(*calls)
        await Place.retired()
        assert rig.reasons == [None] * len(calls)
        kept = set(rig.runtime.places.values())
        assert all(place.upstream.closed == (place not in kept) for place in built)
        rig.assert_idle()

    asyncio.run(run())
