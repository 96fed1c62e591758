from __future__ import annotations

import asyncio
from random import Random

import pytest

from pointsman_server.errors import ServiceError
from pointsman_server.supervisor.control import Beat, Begin, Failed, Handed, Signalled, Stop
from pointsman_server.supervisor.pool import Patience, WorkerPool
from pointsman_server.supervisor.worker import State
from tests.fakes.clock import FakeClock
from tests.fakes.telemetry import FakeTelemetry
from tests.fakes.worker import FakeSpawn


class Owner:
    """Remembers who came and went."""

    def __init__(self):
        self.came_, self.went_ = [], []

    def begin(self, number):
        return Begin(number, Handed(b""), {})

    def came(self, worker):
        self.came_.append(worker.number)

    def went(self, worker):
        self.went_.append(worker.number)


class Rig:
    def __init__(self, count=3, prepare=None):
        self.clock = FakeClock(autojump=False)
        self.spawn = FakeSpawn(prepare)
        self.owner = Owner()
        self.telemetry = FakeTelemetry()
        self.pool = WorkerPool(
            count, self.spawn, self.owner, self.telemetry, self.clock, rng=Random(1), patience=Patience()
        )

    async def start(self):
        await self.pool.start()
        return self

    async def pass_(self, for_s, *, beating=True):
        """Time passes a second at a time; whoever lives says so."""
        for _ in range(round(for_s)):
            for process in self.spawn.alive:
                if beating and process.starts:
                    process.say(Beat(serving=True, calls=0))
            await self.clock.settle()
            self.clock.advance(1)
            await self.clock.settle()

    def events(self, name):
        return [fields for event, fields in self.telemetry.events if event == name]


@pytest.fixture
async def rig():
    made = await Rig().start()
    yield made
    await made.pool.abandon()
    assert not made.spawn.alive


def crashing(process):
    """Every worker but the first of each place ends as soon as it runs."""
    if process.nth:
        process.starts = False
        process.end(1)


async def test_it_has_started_when_all_take_calls(rig):
    """Each place has a worker of its own that was told where it stands."""
    assert [process.begin.number for process in rig.spawn.started] == [0, 1, 2]
    assert rig.pool.serving
    assert sorted(rig.owner.came_) == [0, 1, 2]
    assert rig.pool.states() == {State.STARTING: 0, State.READY: 3, State.DRAINING: 0, State.DOWN: 0}


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            lambda process: (process.say(Failed("cannot listen on a:1")), process.end(1)),
            "cannot listen on a:1",
        ),
        (lambda process: process.end(-9), "worker 1 was ended by signal 9"),
        (lambda process: process.end(3), "worker 1 ended with status 3"),
    ],
    ids=["says why", "killed", "crashed"],
)
async def test_one_that_cannot_start_ends_all(prepare, said):
    """The start fails with what that worker said, and no other is left."""

    def second_fails(process):
        if process.number == 1:
            process.starts = False
            prepare(process)

    rig = Rig(prepare=second_fails)
    with pytest.raises(ServiceError) as caught:
        await rig.pool.start()
    assert caught.value.detail == said
    assert not rig.spawn.alive
    assert len(rig.spawn.started) == 3


async def test_a_system_that_has_no_process_to_give(rig):
    """At the start that is an end; later it is tried again."""

    class Refusing(FakeSpawn):
        refusing = True

        async def __call__(self, number):
            if self.refusing:
                raise OSError(11, "Resource temporarily unavailable")
            return await super().__call__(number)

    other = Rig()
    other.pool = WorkerPool(
        1, Refusing(), other.owner, other.telemetry, other.clock, rng=Random(1), patience=Patience()
    )
    with pytest.raises(ServiceError, match="could not be started: Resource temporarily unavailable"):
        await other.pool.start()


async def test_one_that_ends_comes_back_at_once_and_alone(rig):
    """The first end is no loop yet: another worker takes the place, the others notice nothing."""
    rig.spawn.of(1)[0].end(-11)
    await rig.clock.settle()
    rig.clock.advance(0)
    await rig.clock.settle()
    assert [len(rig.spawn.of(number)) for number in range(3)] == [1, 2, 1]
    assert len(rig.pool.ready) == 3
    assert rig.pool.restarts == [0, 1, 0]
    assert rig.owner.went_ == [1]
    (ended,) = rig.events("worker_ended")
    assert ended["worker"] == 1
    assert "signal 11; starts again in 0.0 s" in ended["detail"]
    assert len(rig.events("worker_started")) == 4


async def test_a_crash_loop_never_spins():
    """Workers that end as soon as they run are started ever more seldom, and always again."""
    rig = await Rig(2, crashing).start()
    rig.spawn.of(0)[0].end(1)
    await rig.pass_(30)
    assert 4 <= len(rig.spawn.of(0)) <= 9
    before = len(rig.spawn.of(0))
    await rig.pass_(3600)
    assert 3600 / 30 <= len(rig.spawn.of(0)) - before <= 3600 / 22
    assert len(rig.spawn.of(1)) == 1
    assert [worker.number for worker in rig.pool.ready] == [1]
    await rig.pool.abandon()


async def test_a_loop_that_is_over_is_forgotten():
    """A worker that lived long enough is started again at once when it ends."""
    rig = await Rig(1, crashing).start()
    rig.spawn.of(0)[0].end(1)
    await rig.pass_(10)
    rig.spawn.prepare = None
    await rig.pass_(40)
    count = len(rig.spawn.started)
    assert len(rig.pool.ready) == 1
    await rig.pass_(61)
    rig.spawn.alive[0].end(1)
    await rig.pass_(1)
    assert len(rig.spawn.started) == count + 1
    assert len(rig.pool.ready) == 1
    await rig.pool.abandon()


async def test_one_that_hangs_is_ended(rig):
    """A loop that does not run for half a minute is as good as dead; one that says so every second lives."""
    await rig.pass_(120)
    assert len(rig.spawn.started) == 3
    await rig.pass_(32, beating=False)
    assert [len(rig.spawn.of(number)) for number in range(3)] == [2, 2, 2]
    assert all("hung" in fields["detail"] for fields in rig.events("worker_ended"))


async def test_one_that_never_takes_calls_is_ended():
    """Also at the start, which fails then."""

    def mute(process):
        process.starts = process.number != 1

    rig = Rig(2, mute)
    starting = asyncio.create_task(rig.pool.start())
    await rig.pass_(62)
    with pytest.raises(ServiceError, match="worker 1 hung"):
        await starting
    assert not rig.spawn.alive


async def test_all_drain_together(rig):
    """Each is told once, none is started again, and the end is that of the last."""
    for process in rig.spawn.started:
        process.ends = False
    rig.pool.request_stop()
    assert not rig.pool.serving
    ended = asyncio.create_task(rig.pool.ended())
    for process in rig.spawn.started:
        assert process.stops == [Stop()]
        assert not ended.done()
        process.say(Beat(serving=False, calls=1))
        await rig.clock.settle()
        process.end(0)
        await rig.clock.settle()
    await ended
    assert len(rig.spawn.started) == 3
    assert not rig.events("worker_ended")


async def test_all_can_be_hurried(rig):
    """What is said again reaches those that still drain."""
    for process in rig.spawn.started:
        process.ends = process.number == 0
    rig.pool.request_stop()
    await rig.clock.settle()
    rig.pool.request_stop(hurry=True)
    assert [process.stops for process in rig.spawn.started] == [
        [Stop()],
        [Stop(), Stop(hurry=True)],
        [Stop(), Stop(hurry=True)],
    ]


async def test_an_end_waits_for_no_start(rig):
    """A worker that takes no calls yet is ended, one that waits for its turn is not started."""
    rig.spawn.prepare = lambda process: setattr(process, "starts", False)
    rig.spawn.of(0)[0].end(1)
    await rig.pass_(1)
    assert rig.pool.states()[State.STARTING] == 1
    rig.spawn.prepare = crashing
    rig.spawn.of(1)[0].end(1)
    await rig.pass_(1)
    assert rig.pool.states()[State.DOWN] == 1
    rig.pool.request_stop()
    await rig.pool.ended()
    assert not rig.spawn.alive
    assert rig.clock.pending == 0


async def test_an_operator_may_end_one(rig):
    """A worker that is sent a signal leaves alone, takes no calls meanwhile, and another takes its place."""
    process = rig.spawn.of(2)[0]
    process.ends = False
    process.say(Signalled())
    await rig.pass_(1)
    assert process.stops == [Stop(alone=True)]
    process.say(Beat(serving=False, calls=4))
    await rig.clock.settle()
    assert [worker.number for worker in rig.pool.ready] == [0, 1]
    assert {worker.number: worker.calls for worker in rig.pool.all}[2] == 4
    process.end(0)
    await rig.pass_(1)
    assert len(rig.pool.ready) == 3


async def test_a_signal_to_all_processes_is_one_drain(rig):
    """Whichever of them acts on it first: no worker leaves as if the others went on."""
    for process in rig.spawn.started:
        process.ends = False
        process.say(Signalled())
    await rig.clock.settle()
    rig.pool.request_stop()
    await rig.pass_(1)
    assert [process.stops for process in rig.spawn.started] == [[Stop()]] * 3


async def test_one_that_closes_its_channel_but_stays_is_ended(rig):
    """Nothing can be said to it any more: it is as good as gone."""
    process = rig.spawn.of(0)[0]
    process.hang_up()
    await rig.pass_(12)
    assert process.status == -9
    assert len(rig.pool.ready) == 3


async def test_nonsense_from_a_worker_is_its_end(rig):
    """What is no message is not guessed at."""
    process = rig.spawn.of(0)[0]
    process.babble()
    await rig.pass_(12)
    assert process.status == -9
    assert len(rig.pool.ready) == 3
