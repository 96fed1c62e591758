"""What a supervisor and a worker say to each other, and the channel they say it over: frames on a socket pair.

A frame is its length in four bytes, big-endian, and a MessagePack message. Secrets travel here in the clear: the pair
has no name, and both ends belong to one service.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Generic, TypeAlias, TypeVar

import msgspec

from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.telemetry.registry import Snapshot

MAX_FRAME_BYTES = 64 * 1024 * 1024
_LENGTH_BYTES = 4


class Message(msgspec.Struct, frozen=True, tag=True):
    """Something said; its type travels with it."""


class Handed(msgspec.Struct, frozen=True):
    """A configuration that was loaded and checked, on its way to a worker; see `handover`."""

    loaded: bytes

    def __repr__(self) -> str:
        return "Handed(***)"


class Begin(Message, frozen=True):
    """The first word to a worker."""

    number: int
    handed: Handed
    drained: Mapping[str, str]


class Stop(Message, frozen=True):
    """Drain and end; in a hurry, wait for no call any more; alone, when the others go on."""

    hurry: bool = False
    alone: bool = False


class Scrape(Message, frozen=True):
    """What was counted?"""


class ListBackends(Message, frozen=True):
    """Which backends are there, of this model or of all?"""

    model: str


class SetDrained(Message, frozen=True):
    """Give a backend no further calls for this reason, or with None calls again."""

    backend: str
    reason: str | None


class TakeOver(Message, frozen=True):
    """Put this in force."""

    handed: Handed


Question: TypeAlias = Scrape | ListBackends | SetDrained | TakeOver


class Ask(Message, frozen=True):
    """A question; the answer has its id."""

    id: int
    question: Question


class Ready(Message, frozen=True):
    """The worker takes calls."""


class Failed(Message, frozen=True):
    """The worker cannot start, for a reason that may be shown."""

    detail: str


class Signalled(Message, frozen=True):
    """Somebody sent the worker SIGTERM or SIGINT; its supervisor knows whether it alone is meant."""


class Beat(Message, frozen=True):
    """Said every second, and when it changes."""

    serving: bool
    calls: int


class Farewell(Message, frozen=True):
    """The last word of a worker that ends well."""

    snapshot: Snapshot


class Answer(Message, frozen=True):
    """What was asked for, as its own type."""

    id: int
    value: msgspec.Raw


class Refused(Message, frozen=True):
    """A question that ended in a ServiceError."""

    id: int
    reason: Reason
    detail: str
    resource: str
    fields: tuple[FieldFault, ...]

    @classmethod
    def by(cls, number: int, error: ServiceError) -> Refused:
        """This error, as the refusal of question `number`."""
        return cls(number, error.reason, error.detail, error.resource, error.fields)

    @property
    def error(self) -> ServiceError:
        """The error."""
        return ServiceError(self.reason, self.detail, fields=self.fields, resource=self.resource)


ToWorker: TypeAlias = Begin | Ask | Stop
FromWorker: TypeAlias = Ready | Failed | Signalled | Beat | Farewell | Answer | Refused

_encode = msgspec.msgpack.Encoder().encode
M = TypeVar("M")


def encode(value: object) -> msgspec.Raw:
    """An answer's value."""
    return msgspec.Raw(_encode(value))


class Channel(Generic[M]):
    """One end; receives messages of one union."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: msgspec.msgpack.Decoder[M]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder

    def send(self, message: Message) -> None:
        """Say something; nothing when the other end has gone. What waits for a slow reader waits here."""
        if not self._writer.is_closing():
            data = _encode(message)
            self._writer.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)

    async def receive(self) -> M | None:
        """The next message; None when the other end has gone, or says what is no message."""
        try:
            size = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            if size > MAX_FRAME_BYTES:
                return None
            return self._decoder.decode(await self._reader.readexactly(size))
        except (asyncio.IncompleteReadError, OSError, msgspec.DecodeError):
            return None

    async def flushed(self) -> None:
        """Wait until what was said is out, or cannot be any more, and go."""
        if self._writer.is_closing():
            return
        try:
            self._writer.write_eof()
            await self._writer.drain()
            self._writer.close()
            await self._writer.wait_closed()
        except (OSError, RuntimeError):
            return  # The other end has gone; uvloop says that of a handle which it has closed itself.

    def close(self) -> None:
        """Go."""
        self._writer.close()


async def supervisors_end(own: socket.socket) -> Channel[FromWorker]:
    """The channel to a worker."""
    reader, writer = await asyncio.open_unix_connection(sock=own)
    return Channel(reader, writer, msgspec.msgpack.Decoder(FromWorker))


async def workers_end(own: socket.socket) -> Channel[ToWorker]:
    """The channel to the supervisor."""
    reader, writer = await asyncio.open_unix_connection(sock=own)
    return Channel(reader, writer, msgspec.msgpack.Decoder(ToWorker))
