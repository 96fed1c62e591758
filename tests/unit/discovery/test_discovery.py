"""What collects the sources: one set for each backend, whatever becomes of the others."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from pointsman_server.config import schema
from pointsman_server.discovery.backoff import FIRST_S, MOST_S, Backoff
from pointsman_server.discovery.discovery import PATIENCE_S, Discovery
from pointsman_server.discovery.endpoints import Condition, Endpoint, endpoint_set
from pointsman_server.discovery.sources import make_source
from pointsman_server.errors import Reason, ServiceError
from tests.fakes.clock import FakeClock
from tests.fakes.running_app import until

ONE = endpoint_set([Endpoint("10.0.0.1", 80)])
TWO = endpoint_set([Endpoint("10.0.0.2", 80), Endpoint("10.0.0.3", 80, Condition.UNREADY)])


def config(**names):
    """Backends by name, each discovered by the DNS name that it is given."""
    backends = {
        backend: {
            "provider": "vllm",
            "url": "http://x",
            "discovery": {"type": "dns", "name": name, "port": 80},
        }
        for backend, name in names.items()
    }
    plain = {"plain": {"provider": "simulator"}}
    models = {"m": {"targets": [{"backend": "plain"}]}}
    return schema.Config.model_validate({"backends": plain | backends, "models": models})


class Scripted:
    """A source whose listener the test speaks to."""

    def __init__(self, key):
        self.key = key
        self.listener = None
        self.ended = False
        self.fall = asyncio.Event()

    async def follow(self, listener):
        self.listener = listener
        try:
            await self.fall.wait()
            raise LookupError("secret text")
        finally:
            self.ended = True


class Events:
    def __init__(self):
        self.told = []

    def event(self, name, **fields):
        self.told.append((name, fields))

    def of(self, name):
        return [fields for told, fields in self.told if told == name]


class Rig:
    def __init__(self):
        self.clock = FakeClock(autojump=False)
        self.events = Events()
        self.sources = []
        self.discovery = Discovery(self._make, self.clock, self.events)

    def _make(self, key):
        self.sources.append(Scripted(key))
        return self.sources[-1]

    async def prepared(self, wanted):
        """Begin to prepare, until all sources listen."""
        task = asyncio.create_task(self.discovery.prepare(wanted))
        sections = [backend.discovery for backend in wanted.backends.values() if backend.discovery]
        await until("all listen", lambda: {section.name for section in sections} <= self.listening())
        return task

    def listening(self):
        return {source.key.discovery.name for source in self.sources if source.listener}

    def source(self, name):
        """The last one that was made for this name."""
        return [source for source in self.sources if source.key.discovery.name == name][-1]


@pytest.fixture
async def rig():
    made = Rig()
    yield made
    await made.discovery.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_it_waits_for_the_first_word_of_each(rig):
    """A start goes on when every source has told its set, be it empty."""
    wanted = config(a="one", b="two")
    preparing = await rig.prepared(wanted)
    rig.source("one").listener.told(ONE)
    await asyncio.sleep(0)
    assert not preparing.done()
    rig.source("two").listener.told(())
    await preparing
    assert rig.discovery.endpoints(wanted) == {"a": ONE, "b": ()}


async def test_it_does_not_wait_for_ever(rig):
    """A source that cannot be asked keeps nobody from serving; what it tells later is a change."""
    wanted = config(a="one")
    preparing = await rig.prepared(wanted)
    rig.source("one").listener.failed(ServiceError(Reason.UPSTREAM_UNREACHABLE, "away"))
    rig.clock.advance(PATIENCE_S)
    await preparing
    assert rig.discovery.endpoints(wanted) == {"a": ()}
    rig.source("one").listener.told(ONE)
    await rig.discovery.changed()
    assert rig.discovery.endpoints(wanted) == {"a": ONE}


async def test_only_changes_are_changes(rig):
    """A set that is told again wakes nobody; one that differs does, once, however often it changed meanwhile."""
    preparing = await rig.prepared(config(a="one"))
    listener = rig.source("one").listener
    listener.told(ONE)
    await preparing
    await rig.discovery.changed()
    listener.told(ONE)
    waiting = asyncio.create_task(rig.discovery.changed())
    await asyncio.sleep(0)
    assert not waiting.done()
    listener.told(TWO)
    listener.told(ONE)
    listener.told(TWO)
    await waiting
    assert rig.events.of("endpoints_changed")[-1] == {"backend": "a", "ready": 1, "draining": 0, "unready": 1}
    assert len(rig.events.of("endpoints_changed")) == 4


async def test_a_reload_keeps_what_did_not_change(rig):
    """An unchanged section keeps its source; a changed one is followed beside the old one until that gives way."""
    before, after = config(a="one", b="two"), config(a="one", b="other")
    preparing = await rig.prepared(before)
    for name in ("one", "two"):
        rig.source(name).listener.told(ONE)
    await preparing
    kept = rig.source("one")
    preparing = await rig.prepared(after)
    assert rig.source("one") is kept
    assert rig.discovery.endpoints(before) == {"a": ONE, "b": ONE}
    rig.source("other").listener.told(TWO)
    await preparing
    assert rig.discovery.endpoints(before) == {"a": ONE, "b": ONE}
    assert rig.discovery.endpoints(after) == {"a": ONE, "b": TWO}
    rig.discovery.keep(after)
    await until("the old one has ended", lambda: rig.source("two").ended)
    assert not kept.ended
    assert [one.key.backend for one in rig.discovery.followed(after)] == ["a", "b"]


async def test_a_new_section_starts_from_nothing(rig):
    """What another source told of a backend of the same name is not taken for its endpoints."""
    preparing = await rig.prepared(config(a="one"))
    rig.source("one").listener.told(ONE)
    await preparing
    after = config(a="other")
    preparing = await rig.prepared(after)
    rig.clock.advance(PATIENCE_S)
    await preparing
    assert rig.discovery.endpoints(after) == {"a": ()}


async def test_faults_are_told_and_their_end(rig):
    """Each fault counts; when the source is heard again, it is said once."""
    preparing = await rig.prepared(config(a="one"))
    listener = rig.source("one").listener
    listener.told(ONE)
    listener.heard()
    await preparing
    for _ in range(2):
        listener.failed(ServiceError(Reason.UPSTREAM_TIMEOUT, "too slow"))
    assert (
        rig.events.of("discovery_failed")
        == [{"backend": "a", "reason": "UPSTREAM_TIMEOUT", "detail": "too slow"}] * 2
    )
    assert rig.events.of("discovery_recovered") == []
    for _ in range(2):
        listener.heard()
    assert rig.events.of("discovery_recovered") == [{"backend": "a"}]


async def test_how_long_nothing_was_heard(rig):
    """Told by the age of the last word, which any word renews."""
    wanted = config(a="one")
    preparing = await rig.prepared(wanted)
    listener = rig.source("one").listener
    (followed,) = rig.discovery.followed(wanted)
    rig.clock.advance(3)
    assert rig.clock.now() - followed.heard_at == 3
    for word in (lambda: listener.told(ONE), listener.heard):
        rig.clock.advance(1)
        word()
        assert rig.clock.now() == followed.heard_at
    await preparing


async def test_a_source_that_falls_over_is_started_anew(rig):
    """Its endpoints stay, the others notice nothing, and nothing of the exception's text gets out."""
    wanted = config(a="one", b="two")
    preparing = await rig.prepared(wanted)
    for name in ("one", "two"):
        rig.source(name).listener.told(ONE)
    await preparing
    fallen = rig.source("one")
    fallen.fall.set()
    await until("it fell", lambda: rig.events.of("discovery_failed"))
    (fault,) = rig.events.of("discovery_failed")
    assert (fault["reason"], fault["detail"]) == ("INTERNAL", "the source fell over: LookupError")
    assert rig.discovery.endpoints(wanted) == {"a": ONE, "b": ONE}
    await until("it waits", lambda: rig.clock.pending == 1)
    rig.clock.advance(30)
    await until("it is there again", lambda: rig.source("one") is not fallen)
    assert len(rig.sources) == 3


async def test_a_fixed_list_is_told_once():
    """Its task ends, and nothing waits for it."""
    clock, events = FakeClock(autojump=False), Events()
    discovery = Discovery(
        lambda key: make_source(key, environment={}, clock=clock, rng=Random()), clock, events
    )
    section = {"type": "static", "endpoints": ["10.0.0.2:80", "[fd00::1]:80", "gpu-1:80"]}
    backend = {"provider": "vllm", "url": "http://x", "discovery": section}
    wanted = schema.Config.model_validate(
        {"backends": {"a": backend}, "models": {"m": {"targets": [{"backend": "a"}]}}}
    )
    await discovery.prepare(wanted)
    assert [one.address for one in discovery.endpoints(wanted)["a"]] == [
        "10.0.0.2:80",
        "[fd00::1]:80",
        "gpu-1:80",
    ]
    await discovery.close()


def test_waits_grow_to_a_bound():
    """The n-th in a row is twice the one before, from half of it on; good news starts over."""
    backoff = Backoff(Random(3))
    waits = [backoff.after() for _ in range(50)]
    for number, wait_s in enumerate(waits):
        top_s = min(MOST_S, FIRST_S * 2**number)
        assert top_s / 2 <= wait_s <= top_s
    assert backoff.after(40) == 40
    assert backoff.after(1e9) == 120
    backoff.reset()
    assert backoff.after() <= FIRST_S
