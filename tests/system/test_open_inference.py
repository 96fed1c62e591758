"""Backends of the Open Inference Protocol behind the whole service, over HTTP and over gRPC."""

import asyncio

import grpc
import pytest

from tests.fakes.open_inference import Abort, Hang, OpenInferenceServer, response, told, wrapped
from tests.fakes.replies import json_reply
from tests.fakes.running_app import until
from tests.system.asking import BOTH, ask, failure

LAST = wrapped(response(final=True))
TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"


def pieces(*texts):
    return [*(wrapped(response(text, final=False)) for text in texts), LAST]


def over(*urls, **of_model):
    """The model `chat` on these backends, each only when none before it can serve."""
    backends = {}
    for number, written in enumerate(urls):
        provider, _, url = written.rpartition("+")
        backends[f"b{number}"] = {"provider": provider or "triton_grpc", "url": url}
    targets = [{"backend": name, "model": "m", "group": group} for group, name in enumerate(backends)]
    return {"backends": backends, "models": {"chat": {"targets": targets, **of_model}}}


@BOTH
async def test_a_conversation_reaches_the_model_in_its_template(start, stream):
    """From the configuration's file, through the target, to the tensor; the answer comes back in pieces."""
    async with OpenInferenceServer(pieces("He", "llo")) as server:
        template = {"text": TEMPLATE, "bos_token": "<s>"}
        app = await start(over(server.url, chat_template=template))
        answer = await ask(await app.client(), "hi", stream=stream)
        assert (answer.text, answer.finish_reason, answer.backend) == ("Hello", "stop", "b0")
        [prompt] = server.calls[0].request.inputs[0].contents.bytes_contents
        assert prompt == b"<s>[user]hi[assistant]"


@BOTH
@pytest.mark.parametrize(
    "fault",
    [
        told("[request id: r] Exceeds maximum queue size"),
        told("Request timeout expired"),
        told("Request for unknown model: 'm' has no available versions"),
        Abort(grpc.StatusCode.UNAVAILABLE, "Request timeout expired"),
        Abort(grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'm' has no available versions"),
    ],
    ids=["full", "expired", "draining", "expired-status", "draining-status"],
)
async def test_a_triton_that_cannot_serve_now_is_failed_over(start, stream, fault):
    """And nobody blames the caller, who hears nothing of it."""
    async with OpenInferenceServer([fault]) as first, OpenInferenceServer(pieces("fine")) as second:
        app = await start(over(first.url, second.url))
        answer = await ask(await app.client(), stream=stream)
        assert (answer.text, answer.backend) == ("fine", "b1")
        assert len(first.calls) == 1


@BOTH
@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "Request timeout expired"),
        (503, "[request id: <id_unknown>] Exceeds maximum queue size"),
        (404, "Request for unknown model: 'm' has no available versions"),
        (400, "Failed to process the request(s) for model 'm_0_0', message: ValueError: boom"),
    ],
)
async def test_the_same_over_http(start, provider, stream, status, text):
    """Where a status of 400 says nothing of whose fault it is."""
    provider.script(json_reply({"error": text}, status=status))
    async with OpenInferenceServer(pieces("fine")) as second:
        app = await start(over(f"triton+{provider.url.removesuffix('/v1')}", second.url))
        answer = await ask(await app.client(), stream=stream)
        assert (answer.text, answer.backend) == ("fine", "b1")


async def test_a_fault_that_stays_has_its_reason(start):
    """An error of the model, told within the stream, is the upstream's; the caller may see its words."""
    async with OpenInferenceServer([told("model says no")]) as server:
        app = await start({**over(server.url), "retry": {"max_attempts": 1}})
        client = await app.client()
        failed = await failure(client, stream=True)
        assert failed.reason == "UPSTREAM_ERROR"
        assert failed.told.failure.upstream.message == "model says no"


@BOTH
async def test_a_caller_who_leaves_takes_the_call_along(start, stream):
    """Down to the server, and so to the model; the place is free again."""
    async with OpenInferenceServer([*pieces("He")[:1], Hang()]) as server:
        app = await start(over(server.url))
        client = await app.client()
        waiting = asyncio.ensure_future(ask(client, stream=stream))
        await server.called(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.wait_for(server.calls[0].cancelled.wait(), 20)
        await app.settled_calls()


async def test_deltas_that_are_merged_lag_behind_nothing(start):
    """Many short responses within one window are one message to the caller, however many there were."""
    texts = [f"{number} " for number in range(200)]
    async with OpenInferenceServer(pieces(*texts)) as server:
        app = await start(over(server.url))
        client = await app.client()
        frames = []
        async with client.stream("hi", model="chat", stream_options={"coalesce_s": 0.05}) as stream:
            async for event in stream:
                frames += [event] if event.deltas else []
        assert "".join(event.text for event in frames) == "".join(texts)
        assert len(frames) < 20


async def test_a_backend_that_is_reloaded_away_closes_its_channel(start):
    """After the calls on it; the new one serves at once."""
    async with OpenInferenceServer(pieces("old")) as old, OpenInferenceServer(pieces("new")) as new:
        app = await start(over(old.url))
        client = await app.client()
        assert (await ask(client, stream=False)).text == "old"
        app.rewrite(**over(new.url))
        app.app.request_reload()
        await until("the new one serves", lambda: app.config.backends["b0"].url == new.url)
        assert (await ask(client, stream=False)).text == "new"
