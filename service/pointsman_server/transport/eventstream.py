"""Amazon's event stream (application/vnd.amazon.eventstream): bytes in, messages out, whatever way the bytes are cut;
knows no dialect and decodes no payload.

A message is: total length, length of the headers, CRC32 of these eight bytes, headers, payload, CRC32 of all before it;
numbers are big-endian and of four bytes. A header is a name (length in one byte) and a typed value. Source: "Amazon
event stream specification", smithy.io.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

import msgspec

from pointsman_server.errors import Reason, ServiceError

_PRELUDE = struct.Struct("!III")
_NUMBER = struct.Struct("!I")
_LENGTH = struct.Struct("!H")
_OVERHEAD = _PRELUDE.size + _NUMBER.size
MAX_HEADER_BYTES = 128 * 1024
"""Of one message, by the specification."""

_FIXED: Mapping[int, struct.Struct] = {
    2: struct.Struct("!b"),
    3: struct.Struct("!h"),
    4: struct.Struct("!i"),
    5: struct.Struct("!q"),
    8: struct.Struct("!q"),
}
"""Types of values that are one number; 8 is a time in milliseconds."""
_UUID_BYTES = 16

HeaderValue = bool | int | bytes | str


class EventMessage(msgspec.Struct, frozen=True, gc=False):
    """One message."""

    headers: Mapping[str, HeaderValue]
    """`:message-type` is `event`, `exception` or `error`, with `:event-type`, `:exception-type` or `:error-code`."""
    payload: bytes

    def word(self, name: str) -> str:
        """A header that is a text; empty without one."""
        value = self.headers.get(name, "")
        return value if isinstance(value, str) else ""


class EventStreamFraming:
    """Decoder of one stream. Time is linear in the bytes fed, memory bounded by the message cap.

    `feed` raises ServiceError UPSTREAM_BAD_RESPONSE when a message passes the cap, does not match its checksums, or has
    headers that cannot be. Messages ahead of it in the same bytes are returned first; then the next call raises.
    """

    __slots__ = ("_fault", "_message_bytes", "_tail")

    def __init__(self, message_bytes: int) -> None:
        self._message_bytes = message_bytes
        self._tail = bytearray()
        self._fault: ServiceError | None = None

    def feed(self, data: bytes) -> list[EventMessage]:
        """Messages that these bytes complete."""
        if self._fault is not None:
            raise self._fault
        self._tail += data
        messages: list[EventMessage] = []
        start = 0
        try:
            while (size := self._size(start)) and len(self._tail) - start >= size:
                messages.append(_message(bytes(self._tail[start : start + size])))
                start += size
        except ServiceError as fault:
            self._fault = fault
            self._tail.clear()
            if not messages:
                raise
            return messages
        del self._tail[:start]
        return messages

    def close(self) -> list[EventMessage]:
        """Nothing: a message that has not come whole cannot be told from a damaged one."""
        if self._fault is not None:
            raise self._fault
        self._tail.clear()
        return []

    def _size(self, start: int) -> int:
        """Bytes of the message that begins there; 0 while that is not known."""
        if len(self._tail) - start < _PRELUDE.size:
            return 0
        total, headers, checksum = _PRELUDE.unpack_from(self._tail, start)
        # Checked ahead of the lengths, so that a damaged one is never waited for.
        if zlib.crc32(self._tail[start : start + 8]) != checksum:
            raise _damaged()
        if not _OVERHEAD + headers <= total or headers > MAX_HEADER_BYTES:
            raise _damaged()
        if total > self._message_bytes:
            raise ServiceError(
                Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent an event larger than the limit"
            )
        return int(total)


def _message(data: bytes) -> EventMessage:
    """A whole message, its prelude checked."""
    if zlib.crc32(data[: -_NUMBER.size]) != _NUMBER.unpack_from(data, len(data) - _NUMBER.size)[0]:
        raise _damaged()
    end = _PRELUDE.size + _PRELUDE.unpack_from(data)[1]
    try:
        headers = _headers(data[_PRELUDE.size : end])
    except (struct.error, IndexError, UnicodeDecodeError):
        raise _damaged() from None
    return EventMessage(headers, data[end : -_NUMBER.size])


def _headers(data: bytes) -> dict[str, HeaderValue]:
    """Raises struct.error, IndexError or UnicodeDecodeError for what is none."""
    headers: dict[str, HeaderValue] = {}
    at = 0
    while at < len(data):
        name, at = _text(data, at + 1, data[at])
        kind = data[at]
        headers[name], at = _value(data, at + 1, kind)
    return headers


def _value(data: bytes, at: int, kind: int) -> tuple[HeaderValue, int]:
    """The value that begins there, and where it ends."""
    if kind in (0, 1):
        return kind == 0, at
    if (number := _FIXED.get(kind)) is not None:
        return int(number.unpack_from(data, at)[0]), at + number.size
    if kind == 9:
        return _bytes(data, at, _UUID_BYTES)
    if kind not in (6, 7):
        raise struct.error
    length = _LENGTH.unpack_from(data, at)[0]
    at += _LENGTH.size
    return _bytes(data, at, length) if kind == 6 else _text(data, at, length)


def _text(data: bytes, at: int, length: int) -> tuple[str, int]:
    raw, end = _bytes(data, at, length)
    return raw.decode(), end


def _bytes(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    if len(data) < at + length:
        raise IndexError
    return data[at : at + length], at + length


def _damaged() -> ServiceError:
    return ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent a damaged event")
