"""A loopback HTTP proxy: forwards absolute-form requests, tunnels CONNECT, and remembers what it was asked for."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class ForwardProxy:
    """The fake; an async context manager. `url` is what a client is configured with."""

    def __init__(self, *, refuse: bool = False) -> None:
        self.asked: list[str] = []
        """Method and target of each request, as `CONNECT localhost:443`."""
        self.headers: list[str] = []
        """The whole head of each."""
        self._refuse = refuse
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its address."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, target, _ = head.split(" ", 2)
            self.asked.append(f"{method} {target}")
            self.headers.append(head)
            if self._refuse:
                writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
                return
            await self._forward(head, target if method == "CONNECT" else "", reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    async def _forward(
        self, head: str, tunnel: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """To the end of the connection; a plain one is bound to the host of its first request."""
        host, port = _address(tunnel or urlsplit(head.split(" ", 2)[1]).netloc)
        far_reader, far_writer = await asyncio.open_connection(host, port)
        try:
            if tunnel:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                method, target, rest = head.split(" ", 2)
                far_writer.write(f"{method} {urlsplit(target).path} {rest}".encode("latin-1"))
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, far_writer))
                both.create_task(_pump(far_reader, writer))
        finally:
            far_writer.transport.abort()


def _address(netloc: str) -> tuple[str, int]:
    host, _, port = netloc.rpartition(":")
    return host, int(port)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()
