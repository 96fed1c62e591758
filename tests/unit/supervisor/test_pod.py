from __future__ import annotations

import asyncio
import io
import json
from dataclasses import replace
from random import Random

import pytest

from pointsman_server.config.faults import ConfigError, ConfigFault
from pointsman_server.config.load import Loaded, config_hash
from pointsman_server.config.schema import Config, SecretRef
from pointsman_server.config.secrets import Secret, Secrets
from pointsman_server.config.templates import Templates
from pointsman_server.config.tokenizers import Tokenizers
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.routing.view import BackendState
from pointsman_server.supervisor.control import Beat, ListBackends, Scrape, SetDrained, Stop, TakeOver
from pointsman_server.supervisor.handover import taken
from pointsman_server.supervisor.pod import ANSWER_S, TAKE_OVER_S, Pod
from pointsman_server.telemetry import instruments
from pointsman_server.telemetry.otel import build_telemetry
from pointsman_server.telemetry.registry import Metrics
from tests.fakes.catalog import backend
from tests.fakes.clock import FakeClock
from tests.fakes.worker import FakeSpawn
from tests.unit.telemetry.test_metrics import samples

REF = SecretRef(env="KEY")
CALLS = "pointsman_calls_total model=chat reason=OK"


def loaded(secret="s3cret", **settings):
    config = Config.model_validate({
        "workers": 3,
        "backends": {"a": {"provider": "simulator"}, "b": {"provider": "simulator", "max_concurrency": 30}},
        "models": {"chat": {"targets": [{"backend": "a"}, {"backend": "b"}]}},
        **settings,
    })  # fmt: skip
    templates = Templates({})
    return Loaded(
        config,
        Secrets({REF: Secret(secret)}),
        templates,
        config_hash(config, templates, Tokenizers({})),
        "a file",
        (),
    )


class Rig:
    """Three fake workers, each with counts and backends of its own."""

    def __init__(self, first=None):
        self.clock = FakeClock(autojump=False)
        self.lines = io.BytesIO()
        first = first or loaded()
        self.telemetry = build_telemetry(first.config.telemetry, self.clock, stream=self.lines)
        self.spawn = FakeSpawn(self.prepare)
        self.next = first
        self.counts = {number: Metrics(process=False) for number in range(3)}
        self.backends = {number: (backend("a", "chat"), backend("b", "chat")) for number in range(3)}
        self.pod = Pod(
            first, "127.0.0.1:7", load=self.load, spawn=self.spawn, telemetry=self.telemetry, clock=self.clock,
            rng=Random(1),
        )  # fmt: skip
        self.pod.measure()

    def load(self):
        if isinstance(self.next, Exception):
            raise self.next
        return self.next

    def prepare(self, process):
        number = process.number
        if process.nth:
            self.counts[number] = Metrics(process=False)
        process.answers = {
            Scrape: lambda _: self.counts[number].snapshot(),
            ListBackends: lambda question: self.backends[number],
            SetDrained: lambda question: self.drained(number, question),
            TakeOver: lambda _: None,
        }

    def drained(self, number, question):
        state = BackendState.HEALTHY if question.reason is None else BackendState.DRAINING
        return replace(backend(question.backend), state=state, state_reason=question.reason or "")

    def count(self, number, calls):
        self.counts[number].counter(instruments.CALLS).add(("chat", "OK"), calls)

    async def metrics(self):
        return samples((await self.pod.metrics())[0].decode())

    async def settle(self, for_s=0):
        await self.clock.settle()
        self.clock.advance(for_s)
        await self.clock.settle()

    def of(self, number):
        return self.spawn.of(number)[-1]

    def taken(self, number):
        """The configurations that the worker in this place was handed."""
        return [
            taken(question.handed) for question in self.of(number).questions if isinstance(question, TakeOver)
        ]

    async def logged(self):
        """Everything that was logged; nothing more can be afterwards."""
        await asyncio.get_running_loop().run_in_executor(None, self.telemetry.shutdown, 1)
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]


@pytest.fixture
async def rig():
    made = Rig()
    await made.pod.pool.start()
    yield made
    await made.pod.pool.abandon()
    await asyncio.get_running_loop().run_in_executor(None, made.telemetry.shutdown, 1)


async def test_counts_are_those_of_all_and_outlive_a_worker(rig):
    """The sum is right with all, while one is down, and when the next one counts from zero."""
    for number in range(3):
        rig.count(number, 10)
    assert (await rig.metrics())[CALLS] == 30
    rig.of(1).end(-9)
    await rig.clock.settle()
    assert (await rig.metrics())[CALLS] == 30
    await rig.settle()
    rig.count(1, 1)
    found = await rig.metrics()
    assert found[CALLS] == 31
    assert found["pointsman_workers state=ready"] == 3
    assert found["pointsman_worker_restarts_total worker=1"] == 1


async def test_a_worker_that_does_not_answer_holds_up_no_scrape(rig):
    """What it said last stands in for it."""
    for number in range(3):
        rig.count(number, 10)
    assert (await rig.metrics())[CALLS] == 30
    rig.count(0, 5)
    rig.of(2).answers.clear()
    scrape = asyncio.create_task(rig.metrics())
    await rig.settle(ANSWER_S + 0.1)
    assert (await scrape)[CALLS] == 35


async def test_readiness_is_that_of_the_pod(rig):
    """One worker that takes calls is enough, none is not, and a pod that ends is not ready."""
    assert rig.pod.ready
    rig.spawn.prepare = lambda process: setattr(process, "starts", False)
    for number in (0, 1):
        rig.of(number).end(-9)
    await rig.settle()
    assert rig.pod.ready
    rig.of(2).say(Beat(serving=False, calls=0))
    await rig.settle()
    assert not rig.pod.ready
    rig.spawn.prepare = rig.prepare
    rig.of(0).end(-9)
    await rig.settle(2)
    assert rig.pod.ready
    rig.pod.pool.request_stop()
    assert not rig.pod.ready


async def test_it_is_not_ready_before_all_have_started():
    """At the start one alone would have to bear the whole load."""
    rig = Rig()
    rig.spawn.prepare = lambda process: setattr(process, "starts", process.number != 2)
    starting = asyncio.create_task(rig.pod.pool.start())
    await rig.clock.settle()
    assert len(rig.pod.pool.ready) == 2
    assert not rig.pod.ready
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await rig.logged()


async def test_backends_are_merged(rig):
    """Loads add up; the worst state is told, and how many see it."""
    healthy = {"state": BackendState.HEALTHY, "state_reason": "", "state_until_wall_s": None}
    rig.backends[1] = rig.backends[2] = (replace(backend("a", "chat"), **healthy), backend("b", "chat"))
    a, b = await rig.pod.backends("chat")
    assert (a.name, a.state, a.state_reason) == (
        "a",
        BackendState.EJECTED,
        "5 failures in a row (in 1 of 3 workers)",
    )
    assert (a.in_flight_requests, a.in_flight_tokens, a.concurrency_limit) == (9, 1200, 192)
    assert (b.state_reason, b.error_ratio, b.first_token_ewma_s) == ("5 failures in a row", 0.5, 0.25)
    assert [process.questions for process in rig.spawn.started] == [[ListBackends("chat")]] * 3


async def test_what_all_refuse_is_refused(rig):
    """With their words; and when nobody is there to ask, that is said in a way that may be asked again."""

    def refuse(question):
        raise ServiceError(Reason.MODEL_NOT_FOUND, "no model of that name here", resource="nope")

    for process in rig.spawn.started:
        process.answers[ListBackends] = refuse
    with pytest.raises(ServiceError) as caught:
        await rig.pod.backends("nope")
    assert (caught.value.reason, caught.value.resource) == (Reason.MODEL_NOT_FOUND, "nope")
    rig.spawn.prepare = lambda process: setattr(process, "starts", False)
    for process in rig.spawn.started:
        process.end(1)
    await rig.settle()
    with pytest.raises(ServiceError) as caught:
        await rig.pod.backends("")
    assert (caught.value.reason, caught.value.retry_after_s) == (Reason.ROUTER_OVERLOADED, 1)


async def test_a_question_ends_with_the_worker_that_it_was_for(rig):
    """Nobody waits for an answer that cannot come."""
    rig.of(0).answers.clear()
    listing = asyncio.create_task(rig.pod.backends(""))
    await rig.clock.settle()
    assert not listing.done()
    rig.of(0).end(-9)
    await rig.clock.settle()
    assert [info.in_flight_requests for info in await listing] == [6, 6]


async def test_a_drain_reaches_all_and_those_that_come_later(rig):
    """Each is told, one that starts again begins with it, and it is logged once."""
    info = await rig.pod.drain("a", "new driver")
    assert (info.state, info.state_reason) == (BackendState.DRAINING, "new driver")
    assert [process.questions for process in rig.spawn.started] == [[SetDrained("a", "new driver")]] * 3
    rig.of(1).end(-9)
    await rig.settle()
    assert rig.of(1).begin.drained == {"a": "new driver"}
    await rig.pod.undrain("a")
    assert rig.of(1).questions == [SetDrained("a", None)]
    rig.of(1).end(-9)
    await rig.settle(2)
    assert rig.of(1).begin.drained == {}
    events = [line["event"] for line in await rig.logged()]
    assert events.count("backend_draining") == events.count("backend_undrained") == 1


async def test_a_drain_that_all_refuse_is_not_kept(rig):
    """A name that no worker knows is the operator's mistake."""

    def refuse(question):
        raise ServiceError(Reason.INVALID_REQUEST, "name: no backend 'nope' is configured")

    for process in rig.spawn.started:
        process.answers[SetDrained] = refuse
    with pytest.raises(ServiceError) as caught:
        await rig.pod.drain("nope", "")
    assert caught.value.reason is Reason.INVALID_REQUEST
    rig.of(1).end(-9)
    await rig.settle()
    assert rig.of(1).begin.drained == {}


async def test_an_endpoint_may_be_drained(rig):
    """It stays drained as long as its backend is the same, also where only one worker has found it."""

    def unknown(question):
        raise ServiceError(Reason.INVALID_REQUEST, "name: no backend is configured")

    for number in (0, 2):
        rig.of(number).answers[SetDrained] = unknown
    rig.of(1).answers[SetDrained] = lambda question: replace(rig.drained(1, question), backend="a")
    await rig.pod.drain("a@10.0.0.1:80", "old node")
    rig.next = loaded(max_queued_calls=10)
    await rig.pod.reload(validate_only=False)
    rig.of(1).end(-9)
    await rig.settle()
    assert rig.of(1).begin.drained == {"a@10.0.0.1:80": "old node"}
    a = {"provider": "simulator", "url": "http://elsewhere"}
    rig.next = loaded(backends={"a": a, "b": {"provider": "simulator"}})
    await rig.pod.reload(validate_only=False)
    rig.of(1).end(-9)
    await rig.settle(2)
    assert rig.of(1).begin.drained == {}


async def test_a_worker_that_was_starting_is_told_what_it_missed(rig):
    """Reloads, drains and their end, all before it is asked anything else."""
    await rig.pod.drain("a", "old")
    rig.spawn.prepare = lambda process: (rig.prepare(process), setattr(process, "starts", False))
    rig.of(0).end(-9)
    await rig.settle()
    starting = rig.of(0)
    assert starting.begin.drained == {"a": "old"}
    await rig.pod.undrain("a")
    await rig.pod.drain("b", "new")
    rig.next = loaded(max_queue_time_s=7)
    await rig.pod.reload(validate_only=False)
    assert starting.questions == []
    starting.be_ready()
    await rig.settle()
    assert [one.config.max_queue_time_s for one in rig.taken(0)] == [7]
    assert set(starting.questions[1:]) == {SetDrained("a", None), SetDrained("b", "new")}


async def test_a_drain_lasts_as_long_as_the_backend(rig):
    """A reload that leaves the backend what it is leaves it drained; another address is another backend."""
    await rig.pod.drain("a", "x")
    await rig.pod.drain("b", "y")
    b = {"provider": "simulator", "url": "http://elsewhere"}
    rig.next = loaded(backends={"a": {"provider": "simulator", "max_concurrency": 50}, "b": b})
    await rig.pod.reload(validate_only=False)
    rig.of(1).end(-9)
    await rig.settle()
    assert rig.of(1).begin.drained == {"a": "x"}


async def test_a_reload_reaches_all_with_their_parts(rig):
    """Each gets its share and the secrets; what needs a restart stays as it was; it is counted and logged once."""
    rig.next = loaded("n3w", max_queued_calls=10, admin={"listen": "127.0.0.1:9"}, workers=5)
    outcome = await rig.pod.reload(validate_only=False)
    assert outcome.applied
    assert outcome.config_hash == rig.next.hash
    for number in range(3):
        last = rig.taken(number)[-1]
        assert last.config.workers == 3
        assert last.config.server.listen == "127.0.0.1:7"
        assert last.config.backends["b"].max_concurrency == 10
        assert last.secrets.get(REF).reveal() == "n3w"
        assert last.hash == rig.next.hash
    assert sum(rig.taken(number)[-1].config.max_queued_calls for number in range(3)) == 10
    rig.of(1).end(-9)
    await rig.settle()
    assert taken(rig.of(1).begin.handed).hash == rig.next.hash
    assert (await rig.metrics())["pointsman_config_reloads_total result=applied"] == 1
    assert json.loads(rig.pod.config())["max_queued_calls"] == 10
    (line,) = [line for line in await rig.logged() if line["event"] == "config_reloaded"]
    assert line["needs_restart"] == "workers, admin"


async def test_a_reload_with_faults_reaches_nobody(rig):
    """The faults are the answer, told and counted once, and what was in force stays, also for those that come."""
    faults = (ConfigFault("models.chat", 3, "is wrong"), ConfigFault("sevrer", 4, "unknown key"))
    before = rig.pod.loaded
    rig.next = ConfigError(faults)
    outcome = await rig.pod.reload(validate_only=False)
    assert not outcome.applied
    assert outcome.config_hash == before.hash
    assert [(fault.path, fault.line) for fault in outcome.faults] == [("models.chat", 3), ("sevrer", 4)]
    assert all(process.questions == [] for process in rig.spawn.started)
    rig.of(2).end(-9)
    await rig.settle()
    assert taken(rig.of(2).begin.handed).hash == before.hash
    assert (await rig.metrics())["pointsman_config_reloads_total result=refused"] == 1
    assert [line["event"] for line in await rig.logged()].count("config_refused") == 1


async def test_what_is_only_checked_reaches_nobody(rig):
    """validate_only answers for the file and changes nothing."""
    rig.next = loaded(max_queued_calls=10)
    outcome = await rig.pod.reload(validate_only=True)
    assert (outcome.applied, outcome.config_hash) == (False, rig.next.hash)
    assert all(process.questions == [] for process in rig.spawn.started)
    rig.next = ConfigError((ConfigFault("a", 1, "b"),))
    assert (await rig.pod.reload(validate_only=True)).faults
    assert "pointsman_config_reloads_total result=refused" not in await rig.metrics()


async def test_what_the_first_worker_refuses_is_refused(rig):
    """A configuration that passes every check and cannot be built all the same does not cost a single worker."""

    def fail(question):
        raise ServiceError(Reason.INTERNAL, "it failed: SSLError")

    for process in rig.spawn.started:
        process.answers[TakeOver] = fail
    before = rig.pod.loaded
    rig.next = loaded(max_queued_calls=10)
    outcome = await rig.pod.reload(validate_only=False)
    assert not outcome.applied
    assert [fault.message for fault in outcome.faults] == ["it cannot be put in force: it failed: SSLError"]
    assert sum(len(process.questions) for process in rig.spawn.started) == 1
    assert rig.pod.loaded is before
    assert not any(process.stops for process in rig.spawn.started)


async def test_a_worker_that_alone_refuses_is_replaced(rig):
    """It would serve something else than the others: it drains, and another takes its place."""

    def fail(question):
        raise ServiceError(Reason.INTERNAL, "it failed: OSError")

    rig.of(2).answers[TakeOver] = fail
    rig.next = loaded(max_queued_calls=10)
    assert (await rig.pod.reload(validate_only=False)).applied
    assert rig.of(2).stops == [Stop(alone=True)]
    await rig.settle()
    assert taken(rig.of(2).begin.handed).hash == rig.next.hash
    assert len(rig.pod.pool.ready) == 3
    assert [line["event"] for line in await rig.logged()].count("worker_replaced") == 1


async def test_a_busy_worker_holds_up_a_reload_for_a_bounded_time(rig):
    """The others have it in force, and the busy one will: what it was told waits for it. Till then the old is shown."""
    rig.of(0).answers.clear()
    before = rig.pod.config()
    rig.next = loaded(max_queued_calls=10)
    reloading = asyncio.create_task(rig.pod.reload(validate_only=False))
    await rig.settle(TAKE_OVER_S + 0.1)
    assert rig.taken(1)[-1].hash == rig.next.hash
    assert rig.pod.config() == before
    await rig.settle(TAKE_OVER_S + 0.1)
    assert (await reloading).applied
    assert json.loads(rig.pod.config())["max_queued_calls"] == 10
    assert not rig.of(0).stops
    assert rig.taken(0)[-1].hash == rig.taken(1)[-1].hash == rig.next.hash


async def test_workers_are_told_apart_in_metrics(rig):
    """Load and restarts of each, and how many are in which state."""
    rig.of(1).say(Beat(serving=True, calls=4))
    rig.of(2).say(Beat(serving=False, calls=2))
    await rig.clock.settle()
    found = await rig.metrics()
    assert found["pointsman_worker_calls_in_flight worker=1"] == 4
    assert found["pointsman_worker_calls_in_flight worker=2"] == 2
    assert (found["pointsman_workers state=ready"], found["pointsman_workers state=draining"]) == (2, 1)
