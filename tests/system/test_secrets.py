"""What must not leave the service, planted everywhere it could come from (B40)."""

import asyncio
import contextlib
import hashlib

import grpc
import pytest

from pointsman import v1 as pb
from pointsman_server.app import Application
from pointsman_server.runtime import compile_runtime
from tests.fakes import chat
from tests.fakes.otlp import OtlpReceiver
from tests.fakes.replies import Gate, Reset, redirect_reply, stream_reply
from tests.fakes.running_app import merged, one_model
from tests.system.asking import ask

CALLER_SECRET = "canarycallersecret" * 2
CALLER_KEY = f"caller.{CALLER_SECRET}"
PROVIDER_KEY = "sk-canaryproviderkey0123456789"
PROMPT = "canary-prompt the quick brown fox"
ANSWER = "canary-answer jumps over the dog"
FAULT = "canary-fault-text"
BODY = f"canary-body https://user:canary-password@internal/x?token=canary-token Bearer {PROVIDER_KEY}"
NEVER_ANYWHERE = (CALLER_SECRET, PROVIDER_KEY, FAULT, "canary-password", "canary-token")
"""Not even to the caller."""
NEVER_KEPT = (
    *NEVER_ANYWHERE,
    "canary-prompt",
    "canary-answer",
    "canary-body",
    "canary-label",
    "canary-baggage",
)
"""In logs, metrics, spans and pages."""

REPLIES = {
    "served": None,
    "echoes the request as 400": chat.error_reply(400, BODY + PROMPT, type="invalid_request_error"),
    "echoes it as 401": chat.error_reply(401, BODY, code="invalid_api_key"),
    "echoes it as 500": chat.error_reply(500, BODY),
    "echoes it in odd places": chat.error_reply(429, BODY, type=BODY, code=BODY, param=BODY),
    "redirects": redirect_reply("https://user:canary-password@internal/?token=canary-token"),
    "tells it in a header": chat.error_reply(503, headers={"www-authenticate": BODY, "set-cookie": BODY}),
    "breaks off": stream_reply(chat.BEGIN, chat.said(ANSWER), Reset()),
    "says it in the stream": stream_reply(
        chat.BEGIN, chat.said(ANSWER), chat.sse_text({"error": {"message": BODY, "type": BODY}})
    ),
    "sends nonsense": stream_reply(chat.BEGIN, f"data: {{{BODY}\n\n".encode()),
}
AUTH = {
    "mode": "api_key",
    "principals": [
        {
            "name": "team",
            "api_keys": [
                {"id": "caller", "hash": f"sha256:{hashlib.sha256(CALLER_SECRET.encode()).hexdigest()}"}
            ],
        }
    ],
}


@pytest.fixture
def collector():
    with OtlpReceiver() as receiver:
        yield receiver


def settings_for(provider, collector):
    credentials = {"type": "bearer", "secret": {"env": "PROVIDER_KEY"}}
    return merged(
        one_model(provider, credentials=credentials),
        {
            "auth": AUTH,
            "telemetry": {
                "otlp": {
                    "endpoint": collector.url,
                    "delay_s": 0.05,
                    "headers": {"authorization": {"env": "PROVIDER_KEY"}},
                },
                "log_level": "debug",
            },
            "ejection": {"max_ejected_share": 0},
        },
    )


def request():
    made = pb.GenerateRequest(model="chat", labels={"team": "canary-label"}, end_user_id="canary-label")
    made.conversation.messages.add(role=pb.ROLE_USER).parts.add(text=PROMPT)
    return made


async def told(call):
    """Everything that a caller is told of a failure, as one text."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                pass
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return f"{error.details()} {error.trailing_metadata()} {error.debug_error_string()}"
    return ""


async def kept(app, collector):
    """Everything that operators may see, by where."""
    calls = sum(line["event"] == "call" for line in app.lines)
    await asyncio.to_thread(collector.wait_for, calls)
    pages = {path: (await app.get(path))[1] for path in ("/metrics", "/config", "/livez", "/readyz")}
    spans = b"".join(collector.bodies).decode("latin-1")
    backends = str(await (await app.admin()).ListBackends(pb.ListBackendsRequest()))
    return {"log": app.output, "spans": spans, "backends": backends, **pages}


@pytest.mark.parametrize("case", REPLIES)
async def test_nothing_planted_comes_out(collector, start, provider, case):
    """Keys, prompts, answers and a provider's raw words are in no log line, metric, span or page."""
    reply = REPLIES[case]
    provider.handler = chat.as_asked if reply is None else lambda _: reply
    app = await start(settings_for(provider, collector), environment={"PROVIDER_KEY": PROVIDER_KEY})
    stub = await app.inference()
    metadata = (("authorization", f"Bearer {CALLER_KEY}"), ("baggage", "k=canary-baggage"))
    for method in (stub.Generate, stub.StreamGenerate):
        words = await told(method(request(), metadata=metadata, timeout=5))
        for canary in NEVER_ANYWHERE:
            assert canary not in words, words
    await told(stub.Generate(request(), metadata=(("authorization", f"Bearer {CALLER_KEY}x"),)))
    await told(stub.Generate(request(), metadata=(("x-api-key", FAULT + "." + CALLER_SECRET),)))
    await app.settled_calls()
    assert provider.requests[0].headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    for place, text in (await kept(app, collector)).items():
        for canary in NEVER_KEPT:
            assert canary not in text, f"{canary} in {place}"


class Leaky(Application):
    """Whose upstreams raise what must stay here."""

    def _compile(self, loaded, previous):
        def build(name, backend, authority):
            return _Leak()

        return compile_runtime(
            loaded.config,
            self.fleet,
            build=build,
            secret=lambda _: "",
            template_text=loaded.templates.text,
            previous=previous,
        )


class _Leak:
    def open(self, attempt):
        raise RuntimeError(f"{FAULT} {PROMPT} {PROVIDER_KEY}") from ValueError(FAULT)

    def unsupported(self, call, model):
        return ()

    def streams(self, *, stream):
        return stream

    async def close(self):
        pass


async def test_an_exceptions_text_stays_inside(collector, start, provider):
    """A fault that nobody foresaw is INTERNAL with a fixed text; the log has its type and place."""
    app = await start(
        settings_for(provider, collector), environment={"PROVIDER_KEY": PROVIDER_KEY}, kind=Leaky
    )
    stub = await app.inference()
    metadata = (("authorization", f"Bearer {CALLER_KEY}"),)
    for method in (stub.Generate, stub.StreamGenerate):
        words = await told(method(request(), metadata=metadata))
        assert "INTERNAL" in words
        for canary in (*NEVER_ANYWHERE, "canary-prompt"):
            assert canary not in words
    line = await app.logged(event="call", reason="INTERNAL", error_type="RuntimeError")
    assert line["level"] == "error"
    assert any("_Leak" in place or "open" in place for place in line["error_at"])
    for place, text in (await kept(app, collector)).items():
        for canary in NEVER_KEPT:
            assert canary not in text, f"{canary} in {place}"


async def test_a_cancelled_call_leaves_no_words_behind(collector, start, provider):
    """Neither does one whose caller has left."""
    gate = asyncio.Event()
    provider.handler = lambda _: stream_reply(chat.BEGIN, chat.said(ANSWER), Gate(gate))
    app = await start(settings_for(provider, collector), environment={"PROVIDER_KEY": PROVIDER_KEY})
    client = await app.client(api_key=CALLER_KEY)
    call = asyncio.ensure_future(ask(client, PROMPT, stream=True))
    await provider.wait_requests(1)
    call.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await call
    await app.logged(event="call", reason="CANCELLED")
    for place, text in (await kept(app, collector)).items():
        for canary in NEVER_KEPT:
            assert canary not in text, f"{canary} in {place}"
