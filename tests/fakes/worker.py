"""Worker processes that do what a test tells them, over the real channel's frames but without a process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any, cast

import msgspec

from pointsman_server.errors import ServiceError
from pointsman_server.supervisor.control import (
    Answer,
    Ask,
    Beat,
    Begin,
    Channel,
    FromWorker,
    Message,
    Question,
    Ready,
    Refused,
    Stop,
    ToWorker,
    encode,
)

_PIDS = itertools.count(1000)


class _Writer:
    """The supervisor's way to a worker; whole frames, as the channel writes them."""

    def __init__(self, process: FakeProcess) -> None:
        self._process = process
        self._decoder = msgspec.msgpack.Decoder(ToWorker)
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed or self._process.status is not None

    def write(self, frame: bytes) -> None:
        self._process.hear(self._decoder.decode(frame[4:]))

    def close(self) -> None:
        self.closed = True


class FakeProcess:
    """One worker. It takes calls at once, answers what it can, and ends when told, unless a test says otherwise."""

    def __init__(self, number: int, nth: int) -> None:
        self.number = number
        self.nth = nth
        """Which one in this place, from 0."""
        self.pid = next(_PIDS)
        self.heard: list[Any] = []
        """Everything that it was told."""
        self.status: int | None = None
        self.answers: dict[type[Any], Callable[[Any], object]] = {}
        """Question -> the value to answer with; raises ServiceError to refuse. What is not here is not answered."""
        self.starts = True
        """Whether it says that it is ready."""
        self.ends = True
        """Whether it ends when it is told to."""
        self._reader = asyncio.StreamReader()
        self._ended = asyncio.Event()
        self.channel: Channel[FromWorker] = Channel(
            self._reader, cast(asyncio.StreamWriter, _Writer(self)), msgspec.msgpack.Decoder(FromWorker)
        )

    @property
    def begin(self) -> Begin:
        """What it began with."""
        return next(message for message in self.heard if isinstance(message, Begin))

    @property
    def questions(self) -> list[Question]:
        """What it was asked, in order."""
        return [message.question for message in self.heard if isinstance(message, Ask)]

    @property
    def stops(self) -> list[Stop]:
        """How it was told to end, and how often."""
        return [message for message in self.heard if isinstance(message, Stop)]

    def hang_up(self) -> None:
        """Close its end of the channel, and stay."""
        self._reader.feed_eof()

    def babble(self) -> None:
        """Say what is no message."""
        self._reader.feed_data(b"\x00\x00\x00\x02\xff\xff")

    def say(self, *messages: Message) -> None:
        """As the worker; nothing once it has hung up."""
        if self._reader._eof:  # type: ignore[attr-defined]
            return
        for message in messages:
            data = bytes(encode(message))
            self._reader.feed_data(len(data).to_bytes(4, "big") + data)

    def be_ready(self) -> None:
        """Take calls, if it did not at once."""
        self.say(Ready())

    def end(self, status: int = 0) -> None:
        """The process ends."""
        if self.status is None:
            self.status = status
            self._reader.feed_eof()
            self._ended.set()

    def kill(self) -> None:
        self.end(-9)

    async def ended(self) -> int:
        await self._ended.wait()
        assert self.status is not None
        return self.status

    def hear(self, message: ToWorker) -> None:
        """Do as a worker does."""
        self.heard.append(message)
        match message:
            case Begin():
                if self.starts:
                    self.say(Ready())
            case Stop():
                if self.ends:
                    self.say(Beat(serving=False, calls=0))
                    self.end(0)
            case Ask(number, question):
                if (answer := self.answers.get(type(question))) is not None:
                    self._answer(number, question, answer)

    def _answer(self, number: int, question: Question, answer: Callable[[Any], object]) -> None:
        try:
            self.say(Answer(number, encode(answer(question))))
        except ServiceError as error:
            self.say(Refused.by(number, error))


class FakeSpawn:
    """Starts fake processes; `prepare` is called with each before it hears anything."""

    def __init__(self, prepare: Callable[[FakeProcess], None] | None = None) -> None:
        self.started: list[FakeProcess] = []
        self.prepare = prepare

    async def __call__(self, number: int) -> FakeProcess:
        process = FakeProcess(number, sum(one.number == number for one in self.started))
        self.started.append(process)
        if self.prepare is not None:
            self.prepare(process)
        return process

    def of(self, number: int) -> list[FakeProcess]:
        """All that were started in one place."""
        return [process for process in self.started if process.number == number]

    @property
    def alive(self) -> list[FakeProcess]:
        """Those that run."""
        return [process for process in self.started if process.status is None]
