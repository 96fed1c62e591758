"""InferenceService: decode, admit, dispatch, encode. No branch on a provider, no rule of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from pointsman import v1 as pb
from pointsman.v1 import inference_service_pb2
from pointsman_server.domain import Call
from pointsman_server.errors import Reason, ServiceError
from pointsman_server.server import batch
from pointsman_server.server.codec import decode_call, encode_answer
from pointsman_server.server.codec.answer import Identity
from pointsman_server.server.codec.inquiries import (
    decode_count,
    decode_embed,
    encode_count,
    encode_embeddings,
)
from pointsman_server.server.collaborators import Dispatched
from pointsman_server.server.frames import StreamEncoder
from pointsman_server.server.pacing import Pacing
from pointsman_server.server.rpc import Method, Rpc

INFERENCE: str = inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name


async def not_implemented(_request: object, rpc: Rpc) -> NoReturn:
    """An RPC of the contract that is not there yet."""
    raise ServiceError(Reason.NOT_IMPLEMENTED, f"{rpc.context.method} is not implemented")


class InferenceServicer:
    """Answers calls."""

    def __init__(self, around: batch.Surroundings, pacing: Pacing) -> None:
        self._around = around
        self._admission = around.admission
        self._dispatch = around.dispatch
        self._pacing = pacing
        self._clock = around.clock

    def methods(self) -> Sequence[Method]:
        """All RPCs of the service."""
        path = f"/{INFERENCE}/"
        return (
            Method(path + "Generate", pb.GenerateRequest, pb.GenerateResponse, self.generate),
            Method(
                path + "StreamGenerate",
                pb.GenerateRequest,
                pb.StreamGenerateResponse,
                self.stream_generate,
                stream=True,
            ),
            Method(
                path + "BatchGenerate",
                pb.BatchGenerateRequest,
                pb.BatchGenerateResponse,
                self.batch_generate,
                stream=True,
                batch=True,
            ),
            Method(path + "CountTokens", pb.CountTokensRequest, pb.CountTokensResponse, self.count_tokens),
            Method(path + "Embed", pb.EmbedRequest, pb.EmbedResponse, self.embed),
        )

    async def generate(self, request: pb.GenerateRequest, rpc: Rpc) -> pb.GenerateResponse:
        """The whole answer."""
        asked = decode_call(request)
        async with (
            self._admission.enter(asked, rpc.context) as call,
            self._dispatch.open(call, rpc.context) as dispatched,
        ):
            rpc.dispatched = dispatched
            answer = await dispatched.complete()
            rpc.reported = dispatched.report()
        return encode_answer(answer, rpc.reported, self._identity(rpc))

    async def stream_generate(self, request: pb.GenerateRequest, rpc: Rpc) -> None:
        """The answer in frames; the last one is written when everything that the call held is free again."""
        asked = decode_call(request)
        async with (
            self._admission.enter(asked, rpc.context) as call,
            self._dispatch.open(call, rpc.context) as dispatched,
        ):
            rpc.dispatched = dispatched
            encoder = StreamEncoder(call, dispatched.report, self._identity(rpc))
            await self._relay(call, dispatched, encoder, rpc)
            rpc.reported = dispatched.report()
        await rpc.write(encoder.finish(rpc.reported))

    async def batch_generate(self, request: pb.BatchGenerateRequest, rpc: Rpc) -> None:
        """The results of the items, as they become ready, and then their sum."""
        batch.check_batch(request, rpc.limits)
        running = batch.Batch(request, rpc.context, self._around, rpc.limits)
        async with running.running() as results:
            async for response in results:
                await rpc.write(response)
        await rpc.write(running.completed())

    async def count_tokens(self, request: pb.CountTokensRequest, rpc: Rpc) -> pb.CountTokensResponse:
        """How many tokens the question takes; it is not asked."""
        asked = decode_count(request)
        async with (
            self._admission.enter(asked, rpc.context) as call,
            self._dispatch.count_tokens(call, rpc.context) as dispatched,
        ):
            rpc.dispatched = dispatched
            count = await dispatched.count()
            rpc.reported = dispatched.report()
        return encode_count(count, rpc.reported)

    async def embed(self, request: pb.EmbedRequest, rpc: Rpc) -> pb.EmbedResponse:
        """The vectors."""
        asked = decode_embed(request)
        async with (
            self._admission.enter(asked, rpc.context) as call,
            self._dispatch.embed(call, rpc.context) as dispatched,
        ):
            rpc.dispatched = dispatched
            found = await dispatched.embed()
            rpc.reported = dispatched.report()
        return encode_embeddings(found, rpc.reported, rpc.request_id)

    async def _relay(self, call: Call, dispatched: Dispatched, encoder: StreamEncoder, rpc: Rpc) -> None:
        try:
            async for batch in dispatched:
                frame = encoder.frame(batch)
                if frame is None:
                    continue
                await rpc.write(frame)
                window_s = self._pacing.window_s(call.stream_options)
                if window_s > 0:
                    dispatched.pause()
                    await self._clock.sleep(window_s)
        except ServiceError:
            rpc.finished = encoder.last_finished
            held = encoder.flush()
            if held is not None:
                await rpc.write(held)
            raise

    def _identity(self, rpc: Rpc) -> Identity:
        return Identity(rpc.request_id, f"gen-{rpc.context.nonce}", self._clock.wall())
