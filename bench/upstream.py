"""A canned upstream, as cheap as it can be: `python -m bench.upstream PORT`.

`/unary` answers at once; `/stream/RATE/COUNT` sends COUNT tokens at RATE a second; `/hang` never answers.
`/v1/traces` swallows spans. `/closed` tells, as JSON, when each connection that was hung on was closed (monotonic).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop

_ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1790000000, "model": "bench",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 64}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 64, "total_tokens": 76},
    }
).encode()  # fmt: skip
_UNARY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(_ANSWER),
    _ANSWER,
)
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1790000000, "model": "bench",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }  # fmt: skip
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_ROLE = _chunk(_event({"role": "assistant", "content": ""}))
_TOKEN = _chunk(_event({"content": "token "}))
_TOKENS = b'{"prompt_tokens":12,"completion_tokens":20,"total_tokens":32}'
_USAGE = b'data: {"id":"chatcmpl-bench","choices":[],"usage":' + _TOKENS + b"}"
_TAIL = _chunk(_event({}, "stop")) + _chunk(_USAGE + b"\n\n") + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

closed: list[float] = []


class Canned(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.data = b""
        self.hung = False

    def data_received(self, data: bytes) -> None:
        """Answer each whole request."""
        self.data += data
        while (end := self.data.find(b"\r\n\r\n")) >= 0:
            head = self.data[:end].lower()
            length = (
                int(head.split(b"content-length:")[1].split(b"\r\n")[0]) if b"content-length:" in head else 0
            )
            if len(self.data) < end + 4 + length:
                return
            path = self.data.split(b" ", 2)[1]
            self.data = self.data[end + 4 + length :]
            self.answer(path)

    def answer(self, path: bytes) -> None:
        """Choose by path; what an adapter appends to the base is ignored."""
        if path.startswith(b"/stream/"):
            _, _, rate, count, *_ = path.split(b"/")
            self.transport.write(_HEAD + _ROLE)
            asyncio.get_running_loop().create_task(self.pace(float(rate), int(count)))
        elif path.startswith(b"/hang"):
            self.hung = True
        elif path.startswith(b"/closed"):
            body = json.dumps(closed).encode()
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        else:
            self.transport.write(_OK if path.startswith(b"/v1/traces") else _UNARY)

    async def pace(self, rate: float, count: int) -> None:
        """Send tokens on a fixed grid."""
        self.hung = True
        start = time.monotonic()
        for index in range(count):
            await asyncio.sleep(max(0.0, start + index / rate - time.monotonic()))
            if self.transport.is_closing():
                return
            self.transport.write(_TOKEN)
        self.hung = False
        self.transport.write(_TAIL)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note when."""
        if self.hung:
            closed.append(time.monotonic())


async def _main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port, backlog=2048)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
