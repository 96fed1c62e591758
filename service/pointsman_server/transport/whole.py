"""A body that is one document: bytes in, the whole out at the end; decodes no payload."""

from __future__ import annotations

from pointsman_server.errors import Reason, ServiceError


class WholeFraming:
    """Collector of one body. `feed` raises ServiceError UPSTREAM_BAD_RESPONSE when it passes the cap."""

    __slots__ = ("_body_bytes", "_pieces", "_size")

    def __init__(self, body_bytes: int) -> None:
        self._body_bytes = body_bytes
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Nothing yet: the document is only whole at the end."""
        self._size += len(data)
        if self._size > self._body_bytes:
            self._pieces.clear()
            raise ServiceError(
                Reason.UPSTREAM_BAD_RESPONSE, "the upstream sent an answer larger than the limit"
            )
        if data:
            self._pieces.append(data)
        return []

    def close(self) -> list[bytes]:
        """The document; nothing when the body was empty."""
        pieces, self._pieces = self._pieces, []
        return [b"".join(pieces)] if pieces else []
