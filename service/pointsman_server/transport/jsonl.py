"""JSON lines: bytes in, lines out, whatever way the bytes are cut; decodes no payload."""

from __future__ import annotations

from pointsman_server.errors import Reason, ServiceError


class JsonLinesFraming:
    """Decoder of one stream. Time is linear in the bytes fed, memory bounded by the line cap.

    `feed` and `close` raise ServiceError UPSTREAM_BAD_RESPONSE when a line passes the cap. Lines ahead of it
    in the same bytes are returned first; then the next call raises.
    """

    __slots__ = ("_fault", "_line_bytes", "_tail")

    def __init__(self, line_bytes: int) -> None:
        self._line_bytes = line_bytes
        self._tail = bytearray()
        self._fault: ServiceError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Lines that these bytes complete, without blank ones and without outer white space."""
        if self._fault is not None:
            raise self._fault
        tail = self._tail
        if tail:
            # Only the new bytes are searched: an endless line in small pieces must not cost its square.
            if b"\n" not in data:
                tail += data
                return self._checked([])
            data = bytes(tail) + data
            tail.clear()
        lines = data.split(b"\n")
        tail += lines.pop().lstrip()
        return self._checked(lines)

    def close(self) -> list[bytes]:
        """The last line when the body ended without a newline; only its reader can tell if it is whole."""
        if self._fault is not None:
            raise self._fault
        line = bytes(self._tail)
        self._tail.clear()
        return self._checked([line])

    def _checked(self, lines: list[bytes]) -> list[bytes]:
        taken: list[bytes] = []
        for line in lines:
            text = line.strip()
            if len(text) > self._line_bytes:
                self._fault = _too_large()
                break
            if text:
                taken.append(text)
        # One more than the cap, since the tail may hold the carriage return of a line's end.
        if len(self._tail) > self._line_bytes + 1:
            self._fault = _too_large()
        if self._fault is not None:
            self._tail.clear()
            if not taken:
                raise self._fault
        return taken


def _too_large() -> ServiceError:
    return ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent a line larger than the limit")
