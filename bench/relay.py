"""The floor that the service is compared with: gRPC in, HTTP out, uvloop, and no feature at all.

`python -m bench.relay PORT UPSTREAM_URL WINDOW_MS` serves pointsman.v1.InferenceService. It translates one text prompt
and one text answer, merges what one read yielded into one message, and with a window waits it out after each message.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypeAlias

import aiohttp
import grpc
import msgspec
import uvloop
from google.protobuf import timestamp_pb2

from pointsman import v1

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
_OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", 1024)]


class Relay(v1.InferenceServiceServicer):
    """Both methods, as short as they can be."""

    def __init__(self, url: str, window_s: float) -> None:
        self._url = url
        self._window_s = window_s
        self._session: aiohttp.ClientSession | None = None

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
            )
        return self._session

    def _body(self, request: v1.GenerateRequest, *, stream: bool) -> bytes:
        messages = [
            {"role": "user", "content": "".join(part.text for part in message.parts)}
            for message in request.conversation.messages
        ]
        return msgspec.json.encode({"model": request.model, "messages": messages, "stream": stream})

    async def Generate(self, request: v1.GenerateRequest, context: Context) -> v1.GenerateResponse:
        headers = {"content-type": "application/json"}
        async with self._http().post(
            self._url, data=self._body(request, stream=False), headers=headers
        ) as response:
            answer = msgspec.json.decode(await response.read())
        choice, usage = answer["choices"][0], answer["usage"]
        reply = v1.GenerateResponse(response_id=answer["id"], model=answer["model"])
        reply.create_time.CopyFrom(timestamp_pb2.Timestamp(seconds=answer["created"]))
        candidate = reply.candidates.add()
        candidate.finish_reason = v1.FINISH_REASON_STOP
        candidate.message.role = v1.ROLE_ASSISTANT
        candidate.message.parts.add().text = choice["message"]["content"]
        reply.usage.input_tokens = usage["prompt_tokens"]
        reply.usage.output_tokens = usage["completion_tokens"]
        return reply

    async def StreamGenerate(self, request: v1.GenerateRequest, context: Context) -> None:
        headers = {"content-type": "application/json"}
        sequence = 0
        async with self._http().post(
            self._url, data=self._body(request, stream=True), headers=headers
        ) as response:
            rest = b""
            while data := await response.content.readany():
                *events, rest = (rest + data).split(b"\n\n")
                text = "".join(map(_text, events))
                if text:
                    reply = v1.StreamGenerateResponse(sequence=sequence)
                    reply.deltas.add().text = text
                    await context.write(reply)
                    sequence += 1
                    if self._window_s:
                        await asyncio.sleep(self._window_s)
        await context.write(v1.StreamGenerateResponse(sequence=sequence, completed=v1.Completed()))


def _text(event: bytes) -> str:
    if event == b"data: [DONE]":
        return ""
    choices = msgspec.json.decode(event[6:])["choices"]
    return choices[0]["delta"].get("content") or "" if choices else ""


async def _main(port: int, url: str, window_ms: float) -> None:
    server = grpc.aio.server(options=_OPTIONS)
    v1.add_InferenceServiceServicer_to_server(Relay(url, window_ms / 1000), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
