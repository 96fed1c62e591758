"""Decompression of gzip and deflate in bounded steps; some servers compress although they are asked not to."""

from __future__ import annotations

import zlib

from pointsman_server.errors import Reason, ServiceError

STEP_BYTES = 256 * 1024
"""The most that one call gives out, so that a bomb costs steps, not memory."""
_GZIP, _ZLIB, _RAW = 31, 15, -15


class Inflater:
    """Decoder of one compressed body.

    Raises ServiceError UPSTREAM_BAD_RESPONSE for an encoding that is not known and for data that are not in it.
    """

    __slots__ = ("_encoding", "_input", "_stream", "waiting")

    def __init__(self, encoding: str) -> None:
        """`encoding` is the Content-Encoding. One that is not known is only a fault once the body is read."""
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None
        self._input = b""
        self.waiting = False
        """Whether there is output that needs no further input."""

    def feed(self, data: bytes) -> bytes:
        """Add input and take a step's output, which may be empty."""
        self._input += data
        return self.step()

    def step(self) -> bytes:
        """At most STEP_BYTES of output from the input that is there."""
        stream = self._current()
        if stream is None:
            return b""
        try:
            output = stream.decompress(self._input, STEP_BYTES)
        except zlib.error as error:
            raise ServiceError(
                Reason.UPSTREAM_BAD_RESPONSE, "the upstream's compressed answer cannot be read"
            ) from error
        self._input = stream.unconsumed_tail or stream.unused_data
        # A full step may have left output inside, even where no input is left.
        self.waiting = bool(self._input) or len(output) == STEP_BYTES
        return output

    def close(self) -> None:
        """Raise UPSTREAM_TRUNCATED when the compressed data has not come to its end."""
        if self._stream is not None and not self._stream.eof:
            raise ServiceError(Reason.UPSTREAM_TRUNCATED, "the upstream's compressed answer was cut off")

    def _current(self) -> zlib._Decompress | None:
        stream = self._stream
        if stream is not None and not stream.eof:
            return stream
        if not self._input:
            self.waiting = False
            return None
        # A first or a further member.
        self._stream = zlib.decompressobj(_wrapper(self._encoding, self._input[0]))
        return self._stream


def _wrapper(encoding: str, first: int) -> int:
    match encoding:
        case "gzip" | "x-gzip":
            return _GZIP
        case "deflate":
            # Some servers leave out the header of zlib (RFC 1950), whose low bits name the method.
            return _ZLIB if first & 0x0F == zlib.DEFLATED else _RAW
        case _:
            raise ServiceError(Reason.UPSTREAM_BAD_RESPONSE, "the upstream's answer has an unknown encoding")
