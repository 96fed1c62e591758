"""A model server for pods of tests: speaks enough of the OpenAI dialect to be called, and tells which pod it is.

After SIGTERM it serves on until nothing is under way any more, as servers do that are drained by being left alone.
"""

import asyncio
import json
import signal
import socket

from aiohttp import web

_TOKENS = 12
_PACE_S = 0.03
_QUIET_S = 1.0
"""Without a call after SIGTERM before it ends."""


class Model:
    """Counts its calls."""

    def __init__(self) -> None:
        self.under_way = 0
        self.answered = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """As the request asks: in one piece, or token by token."""
        self.under_way += 1
        try:
            asked = await request.json()
            return await self._streamed(request) if asked.get("stream") else await self._whole()
        finally:
            self.under_way -= 1
            self.answered += 1

    async def _whole(self) -> web.Response:
        await asyncio.sleep(_TOKENS * _PACE_S)
        message = {"role": "assistant", "content": " ".join([socket.gethostname()] * _TOKENS)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]})

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(_TOKENS):
            text = f"{' ' if number else ''}{socket.gethostname()}"
            await response.write(_event({"content": text}, None))
            await asyncio.sleep(_PACE_S)
        await response.write(_event({}, "stop") + b"data: [DONE]\n\n")
        return response


def _event(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': '1', 'model': 'm', 'choices': [choice]})}\n\n".encode()


async def _quiet(model: Model) -> None:
    """Until a while has passed in which nothing was under way and nothing came."""
    seen = -1
    while model.under_way or model.answered != seen:
        seen = model.answered
        await asyncio.sleep(_QUIET_S)


async def main() -> None:
    """Serve on port 8000 until SIGTERM, and a little longer."""
    model, ending = Model(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    application = web.Application()
    application.router.add_post("/v1/chat/completions", model.answer)
    application.router.add_get("/health", lambda _: _healthy())
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 8000).start()
    await ending.wait()
    await _quiet(model)
    await runner.cleanup()


async def _healthy() -> web.Response:
    return web.Response()


if __name__ == "__main__":
    asyncio.run(main())
