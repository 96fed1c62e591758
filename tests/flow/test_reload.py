"""A reload under calls: unchanged backends keep books and pools, removed ones close after their last call."""

from __future__ import annotations

import asyncio

import pytest

from pointsman_server.catalog import RuntimeCatalog
from pointsman_server.context import AuthMethod, Principal
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.view import BackendState, ModelState
from pointsman_server.runtime import Place
from tests.fakes.clock import FakeClock
from tests.fakes.upstream import Accept, Hang, Wait, refused, served
from tests.flow.rig import Rig, failure_of

SLOW = [Accept(), Wait(1), *served()[1:]]
UNAVAILABLE = Reason.UPSTREAM_UNAVAILABLE


async def test_unchanged():
    """An unchanged backend keeps its pool and its book, with what it has learnt."""
    rig = Rig({"a": [refused(Reason.UPSTREAM_RATE_LIMITED, retry_after_s=30)], "b": [served()]})
    await rig.generate()
    before = dict(rig.runtime.places)
    rig.reload()
    assert rig.runtime.places == before
    await rig.generate()
    assert rig.tried == ["a", "b", "b"]


async def test_changed_settings():
    """A backend with other settings gets a new pool and keeps its book; the old pool closes."""
    rig = Rig({"a": [served()]})
    old = rig.runtime.places["a"]
    rig.reload(backends={"a": {"timeouts": {"idle_s": 5.0}}})
    new = rig.runtime.places["a"]
    assert new is not old
    assert new.book is old.book
    await Place.retired()
    assert (old.upstream.closed, new.upstream.closed) == (1, 0)


async def test_another_address():
    """Another address is another backend: its book is new."""
    rig = Rig({"a": [refused(UNAVAILABLE)]})
    for _ in range(5):
        await rig.failure()
    old = rig.book("a")
    rig.reload({"a": [served()]}, backends={"a": {"url": "http://other"}})
    assert rig.book("a") is not old
    await rig.generate()


async def test_renewed_key():
    """A new key ends the pause that the old one brought on."""
    secret = {"credentials": {"type": "bearer", "secret": {"env": "OLD"}}}
    rig = Rig({"a": [refused(Reason.UPSTREAM_CREDENTIALS_INVALID)]}, backends={"a": secret})
    assert (await rig.failure()).reason is Reason.UPSTREAM_CREDENTIALS_INVALID
    assert (await rig.failure()).reason is Reason.NO_HEALTHY_BACKEND
    rig.reload(
        {"a": [served()]}, backends={"a": {"credentials": {"type": "bearer", "secret": {"env": "NEW"}}}}
    )
    await rig.generate()


async def test_removed_closes_after_its_last_call():
    """A removed backend serves the calls that began with it, then closes, once."""
    rig = Rig({"a": [SLOW], "b": [served()]}, clock=FakeClock(autojump=False))
    call = asyncio.create_task(rig.generate())
    await rig.clock.settle()
    old = rig.upstreams["a"]
    rig.reload({"b": [served()]})
    await rig.clock.settle()
    assert old.closed == 0
    rig.clock.advance(1)
    await call
    await Place.retired()
    assert (old.closed, rig.upstreams["b"].closed) == (1, 0)


async def test_removed_while_a_call_waits():
    """A call that waits between two attempts goes on with the configuration that it began with."""
    rig = Rig(
        {"a": [refused(UNAVAILABLE), served()]},
        clock=FakeClock(autojump=False),
        retry={"backoff_base_s": 5.0},
    )
    call = asyncio.create_task(rig.generate())
    await rig.clock.settle()
    old = rig.upstreams["a"]
    rig.reload({"b": [served()]})
    await rig.clock.settle()
    assert old.closed == 0
    rig.clock.advance(5)
    await call
    await Place.retired()
    assert (len(old.attempts), old.closed) == (2, 1)


async def test_several_reloads_under_one_call():
    """A backend that outlives a reload and is then removed waits for calls of all earlier configurations."""
    rig = Rig({"a": [SLOW], "b": [served()]}, clock=FakeClock(autojump=False))
    call = asyncio.create_task(rig.generate())
    await rig.clock.settle()
    old = rig.upstreams["a"]
    rig.reload(retry={"max_attempts": 2})
    rig.reload({"b": [served()]})
    rig.reload(retry={"max_attempts": 4})
    await rig.clock.settle()
    assert old.closed == 0
    rig.clock.advance(1)
    await call
    await Place.retired()
    assert old.closed == 1
    assert await rig.generate()


async def test_failed_build_changes_nothing():
    """When a new configuration cannot be built, books and pools are as before."""
    rig = Rig({"a": [served()], "b": [served()]}, backends={"a": {"max_concurrency": 5}})
    before, books = dict(rig.runtime.places), {name: rig.book(name) for name in "ab"}

    def broken(name, backend, authority):
        raise RuntimeError(name)

    rig._build = broken
    with pytest.raises(RuntimeError):
        rig.reload({"c": [served()], "a": None}, backends={"a": {"max_concurrency": 9}})
    assert rig.runtime.places == before
    assert rig.book("a").limit == 5
    rig._build = type(rig)._build.__get__(rig)
    rig.reload({"a": [served()], "b": [served()]}, backends={"a": {"max_concurrency": 5}})
    assert {name: rig.book(name) for name in "ab"} == books


async def test_closed():
    """At the end a place closes once, whoever asks how often, and everybody waits for it."""
    rig = Rig({"a": [served()]})
    await asyncio.gather(rig.runtime.places["a"].closed(), rig.runtime.places["a"].closed())
    assert rig.upstreams["a"].closed == 1
    assert not Place._closings


def catalog(rig):
    offer = {
        "capabilities": frozenset({"TOOLS"}),
        "input_modalities": frozenset({"TEXT"}),
        "output_modalities": frozenset(),
    }
    return RuntimeCatalog(lambda: rig.runtime, rig.clock, lambda provider, operations: offer)


ANYBODY = Principal("p", AuthMethod.NONE)


async def test_catalog_of_models():
    """A model is shown with its backends, and only to those who may use it."""
    rig = Rig({"a": [served()], "b": [served()]}, models={"m": {"aliases": ["x"], "owner": "o"}, "n": {}})
    shown = catalog(rig)
    assert [info.name for info in shown.models(ANYBODY)] == ["m", "n"]
    info = shown.model("x", ANYBODY)
    assert (info.name, info.owner, info.backend_count, info.healthy_backend_count) == ("m", "o", 2, 2)
    assert (info.state, info.capabilities) == (ModelState.AVAILABLE, {"TOOLS"})
    one = Principal("p", AuthMethod.API_KEY, frozenset({"n"}))
    assert [info.name for info in shown.models(one)] == ["n"]
    for name in ("m", "nothing"):
        with pytest.raises(ServiceError):
            shown.model(name, one)


async def test_catalog_states():
    """A pause of one model takes nothing from another at the same backend; with no taker a model is unavailable."""
    limited = refused(Reason.UPSTREAM_RATE_LIMITED, retry_after_s=30)
    rig = Rig(
        {"a": [limited], "b": [served()]}, models={"m": {}, "n": {}, "one": {"targets": [{"backend": "a"}]}}
    )
    await rig.generate()
    assert catalog(rig).states() == {
        "m": ModelState.DEGRADED,
        "n": ModelState.AVAILABLE,
        "one": ModelState.AVAILABLE,
    }
    await rig.failure(model="one")
    assert catalog(rig).states()["one"] is ModelState.UNAVAILABLE
    rig.clock.advance(31)
    assert set(catalog(rig).states().values()) == {ModelState.AVAILABLE}


async def test_a_probe_is_a_hope():
    """A backend whose probe is under way counts as one that takes calls."""
    rig = Rig({"a": [*[refused(UNAVAILABLE)] * 5, SLOW]}, clock=FakeClock(autojump=False))
    for _ in range(5):
        await rig.failure(max_attempts=1)
    assert catalog(rig).states() == {"m": ModelState.UNAVAILABLE}
    rig.clock.advance(34)
    call = asyncio.create_task(rig.generate())
    await rig.clock.settle()
    assert catalog(rig).states() == {"m": ModelState.AVAILABLE}
    rig.clock.let_go()
    await call


async def test_catalog_of_backends():
    """Operators see what is in flight and why a backend takes no calls, until when on the wall clock."""
    rig = Rig({"a": [refused(UNAVAILABLE)] * 1, "b": [[Hang()]]}, models={"m": {"targets": [{"backend": "a"}]},
              "n": {"targets": [{"backend": "b"}]}}, clock=FakeClock(autojump=False))  # fmt: skip
    for _ in range(5):
        await rig.failure(max_attempts=1)
    busy = asyncio.create_task(failure_of(rig.generate(model="n")))
    await rig.clock.settle()
    a, b = catalog(rig).backends("")
    assert (a.name, a.state, a.models, a.error_ratio) == ("a", BackendState.EJECTED, ("m",), 1)
    assert 30 <= a.state_until_wall_s - rig.clock.wall() <= 33
    assert (b.state, b.state_until_wall_s, b.in_flight_requests, b.models) == (
        BackendState.HEALTHY,
        None,
        1,
        ("n",),
    )
    assert b.in_flight_tokens > 0
    assert [info.name for info in catalog(rig).backends("n")] == ["b"]
    rig.clock.let_go()
    await busy
