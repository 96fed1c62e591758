"""Server-sent events: bytes in, events out, whatever way the bytes are cut; knows no dialect and decodes no payload."""

from __future__ import annotations

import msgspec

from pointsman_server.errors import Reason, ServiceError

_BOM = b"\xef\xbb\xbf"
# As numbers: looking for one byte in bytes is then seven times as fast.
_LF, _CR = 10, 13


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event with data; a msgspec struct because it is made for every token (a third of a dataclass's cost)."""

    data: bytes
    """Never empty; several `data` lines are joined with a newline."""
    name: str = ""
    """The `event` field; empty without one."""
    comments: tuple[bytes, ...] = ()
    """Comment lines of this event, without the colon and outer blanks: one dialect hides a status there."""


class SseFraming:
    """Decoder of one stream. Time is linear in the bytes fed, memory bounded by the event cap.

    Every line ending becomes a newline first, so an event is what stands between two empty lines, and most
    events of most providers are one `data:` line, which needs no look at single lines.

    `feed` and `close` raise ServiceError UPSTREAM_BAD_RESPONSE when an event passes the cap. Events ahead of
    it in the same bytes are returned first; then the next call raises.
    """

    __slots__ = (
        "_after_cr",
        "_bare_json",
        "_clear",
        "_event_bytes",
        "_fault",
        "_started",
        "_tail",
        "comments",
        "cut",
    )

    def __init__(self, event_bytes: int, *, bare_json: bool = False) -> None:
        """`bare_json`: a block that begins as JSON does, against the format, is an event without a name."""
        self.cut = False
        """After `close`: whether what was left is the beginning of an event, and none that came."""
        self.comments = 0
        """Comments of finished events so far, data or not; a rising count is a keep-alive."""
        self._event_bytes = event_bytes
        self._bare_json = bare_json
        self._tail = bytearray()
        self._started = False
        self._after_cr = False
        self._fault: ServiceError | None = None
        # Whether nothing is kept from earlier bytes.
        self._clear = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """Events that these bytes complete."""
        # One read, one event of one line: a stream that is paced by its model is little else.
        if (
            self._clear
            and data.startswith(b"data: ")
            and data.find(b"\n") == len(data) - 2
            and data.endswith(b"\n\n")
            and _CR not in data
            and 8 < len(data) <= self._event_bytes
        ):
            return [SseEvent(data[6:-2])]
        self._clear = False
        events = self._feed_any(data)
        self._clear = self._started and not (self._tail or self._after_cr or self._fault)
        return events

    def _feed_any(self, data: bytes) -> list[SseEvent]:
        if self._fault is not None:
            raise self._fault
        if not self._started:
            data = self._without_bom(data)
        if self._after_cr or _CR in data:
            data = self._with_newlines(data)
        if tail := self._tail:
            # Only the new bytes are searched: an endless line in small pieces must not cost its square.
            if b"\n\n" not in data and not (data.startswith(b"\n") and tail.endswith(b"\n")):
                tail += data
                return self._checked([])
            data = bytes(tail) + data
            tail.clear()
        blocks = data.split(b"\n\n")
        # Newlines between events are no part of the next one.
        tail += blocks.pop().lstrip(b"\n")
        return self._checked(self._events(blocks, fits=len(data) <= self._event_bytes))

    def close(self) -> list[SseEvent]:
        """The last event when the body ended without its empty line; only its reader can tell if it is whole."""
        if self._fault is not None:
            raise self._fault
        block = bytes(self._tail).removesuffix(b"\n")
        self._tail.clear()
        events = self._checked(self._events([block], fits=False))
        self.cut = not events and any(line and not line.startswith(b":") for line in block.split(b"\n"))
        return events

    def _events(self, blocks: list[bytes], *, fits: bool) -> list[SseEvent]:
        events: list[SseEvent] = []
        for block in blocks:
            if not (fits or len(block.lstrip(b"\n")) <= self._event_bytes):
                self._fault = _too_large()
                break
            if block.startswith(b"data: ") and _LF not in block:
                if len(block) > 6:
                    events.append(SseEvent(block[6:]))
            elif block and (event := self._decode(block)) is not None:
                events.append(event)
        return events

    def _decode(self, block: bytes) -> SseEvent | None:
        """Any event, line by line; fields other than `data` and `event` mean nothing here."""
        if self._bare_json and block.lstrip().startswith((b"{", b"[")):
            return SseEvent(block.strip())
        data: list[bytes] = []
        comments: list[bytes] = []
        name = b""
        for line in block.split(b"\n"):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
            elif line.startswith(b":"):
                comments.append(value.strip())
        self.comments += len(comments)
        joined = b"\n".join(data)
        return SseEvent(joined, name.decode(errors="replace"), tuple(comments)) if joined else None

    def _checked(self, events: list[SseEvent]) -> list[SseEvent]:
        # One more than the cap, since the tail may hold the first newline of an event's end.
        if self._fault is None and len(self._tail) > self._event_bytes + 1:
            self._fault = _too_large()
        if self._fault is not None:
            self._tail.clear()
            if not events:
                raise self._fault
        return events

    def _without_bom(self, data: bytes) -> bytes:
        data = bytes(self._tail) + data
        self._tail.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._tail += data
            return b""
        self._started = True
        return data.removeprefix(_BOM)

    def _with_newlines(self, data: bytes) -> bytes:
        """The same lines, ended by newlines alone; a CRLF may be cut in two."""
        if not data:
            return data
        if self._after_cr:
            data = data.removeprefix(b"\n")
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _too_large() -> ServiceError:
    return ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent an event larger than the limit")
