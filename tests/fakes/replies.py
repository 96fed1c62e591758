"""What the fake provider does with a request: values that say which bytes go out when, and how it ends."""

from __future__ import annotations

import asyncio
import enum
import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long; prefer Gate where a test can say when."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Gate:
    """Wait until the test sets the event."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing more until the peer goes."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection with RST."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection (FIN) here, whatever was still to come."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same bytes again and again, as fast as the peer takes them or once in `every_s`."""

    data: bytes
    times: int | None = None
    """None is for ever."""
    every_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Lazy:
    """Pieces made while they are sent, so that a huge body needs no memory here."""

    pieces: Callable[[], Iterator[bytes]]


Step = bytes | Pause | Gate | Hang | Reset | Close | Repeat | Lazy


class BodyFraming(enum.StrEnum):
    """How the end of the body is told."""

    CHUNKED = "chunked"
    """One HTTP chunk for each piece."""
    LENGTH = "length"
    """Content-Length; the sum of the plain pieces unless `length` says otherwise."""
    EOF = "eof"
    """The connection's end."""
    RAW = "raw"
    """No head is written: the steps are the whole answer, byte for byte."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `before` runs ahead of the status line, `steps` is the body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    steps: Sequence[Step] = ()
    before: Sequence[Step] = ()
    framing: BodyFraming = BodyFraming.CHUNKED
    length: int | None = None
    """A Content-Length that may be a lie."""
    close: bool = False
    """Close the connection after a complete answer; `connection: close` is not announced."""

    def head(self) -> bytes:
        """Status line and headers."""
        lines = [
            f"HTTP/1.1 {self.status} Fake",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        match self.framing:
            case BodyFraming.CHUNKED:
                lines.append("transfer-encoding: chunked")
            case BodyFraming.LENGTH:
                plain = sum(len(step) for step in self.steps if isinstance(step, bytes))
                lines.append(f"content-length: {plain if self.length is None else self.length}")
            case BodyFraming.EOF:
                lines.append("connection: close")
            case BodyFraming.RAW:
                return b""
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def body_reply(
    body: bytes,
    *,
    status: int = 200,
    content_type: str = "text/plain",
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """These bytes with their length."""
    merged = {"content-type": content_type, **(headers or {})}
    return Reply(status, merged, (body,), framing=BodyFraming.LENGTH)


def json_reply(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON document with its length."""
    return body_reply(
        json.dumps(value).encode(), status=status, content_type="application/json", headers=headers
    )


def html_reply(*, status: int = 200) -> Reply:
    """The kind of page that a proxy in between answers with."""
    return body_reply(b"<html><body>It works!</body></html>", status=status, content_type="text/html")


def redirect_reply(location: str, *, status: int = 307) -> Reply:
    """A redirect, which must not be followed."""
    return body_reply(b"", status=status, headers={"location": location})


def sse_text(*data: object, done: bool = True) -> bytes:
    """Events as `data: ...`; what is no string as JSON; `[DONE]` comes last unless `done` is off."""
    texts = [item if isinstance(item, str) else json.dumps(item, separators=(",", ":")) for item in data]
    return "".join(f"data: {text}\n\n" for text in [*texts, *(["[DONE]"] if done else [])]).encode()


def cut(body: bytes, *, at: Sequence[int] = (), size: int | None = None) -> tuple[bytes, ...]:
    """The body in pieces: split at these offsets, or into pieces of one size."""
    offsets = sorted({0, len(body), *(at if size is None else range(0, len(body), size))})
    return tuple(body[start:end] for start, end in pairwise(offsets))


def stream_reply(
    *steps: Step,
    status: int = 200,
    delay_s: float = 0.0,
    framing: BodyFraming = BodyFraming.CHUNKED,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """An event stream out of these steps, one write (and HTTP chunk) each; `delay_s` goes between them."""
    merged = {"content-type": "text/event-stream", **(headers or {})}
    paced: list[Step] = []
    for step in steps:
        paced += [Pause(delay_s), step] if paced and delay_s else [step]
    return Reply(status, merged, tuple(paced), framing=framing)


def sse_reply(*data: object, done: bool = True, delay_s: float = 0.0) -> Reply:
    """An event stream with one write for each event."""
    events = [sse_text(item, done=False) for item in data]
    return stream_reply(*events, *([sse_text()] if done else []), delay_s=delay_s)


def raw_reply(*steps: Step) -> Reply:
    """Exactly these steps, no head of ours; the connection closes after them."""
    return Reply(steps=steps, framing=BodyFraming.RAW)


def hang_before_headers() -> Reply:
    """The request is taken, and nothing is said."""
    return Reply(before=(Hang(),))


def hang_after_headers() -> Reply:
    """Headers of an event stream, then nothing."""
    return stream_reply(Hang())


def drip_headers(*, every_s: float = 0.01) -> Reply:
    """A status line and then headers without an end."""
    return raw_reply(b"HTTP/1.1 200 OK\r\n", Repeat(b"x-drip: 1\r\n", every_s=every_s))


def endless_comments(*, every_s: float = 0.01) -> Reply:
    """An event stream that only ever says that it is alive."""
    return stream_reply(Repeat(b": keep-alive\n\n", every_s=every_s))


def endless_line() -> Reply:
    """An event stream whose first line never ends."""
    return stream_reply(b"data: ", Repeat(b"x" * 16_384))


def gzip_bomb(total_bytes: int, *, wrapper: str = "gzip") -> Reply:
    """Zeros, compressed about 1000:1 while they are sent; `wrapper` is gzip or deflate."""

    def pieces() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31 if wrapper == "gzip" else 15)
        block = bytes(1024 * 1024)
        for _ in range(total_bytes // len(block)):
            packed = packer.compress(block)
            if packed:
                yield packed
        yield packer.flush()

    return Reply(200, {"content-type": "application/json", "content-encoding": wrapper}, (Lazy(pieces),))


def gzip_reply(body: bytes, *, content_type: str = "application/json") -> Reply:
    """An honest compressed answer."""
    return body_reply(gzip.compress(body), content_type=content_type, headers={"content-encoding": "gzip"})
