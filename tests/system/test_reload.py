import asyncio
import contextlib
import hashlib

import pytest

from pointsman import ModelNotFound, PointsmanError
from pointsman import v1 as pb
from tests.fakes import chat
from tests.fakes.replies import Gate, stream_reply
from tests.fakes.running_app import backend_at, model_over, one_model, until
from tests.system.asking import ask, failure


@contextlib.asynccontextmanager
async def begun(client, model="chat"):
    """A stream that has its first content."""
    async with client.stream("hello", model=model) as stream:
        async for event in stream:
            if event.text:
                break
        yield stream


def held(gate):
    return lambda request: (
        stream_reply(chat.BEGIN, chat.said("Hello"), Gate(gate), chat.said(" there"), chat.END)
        if chat.streams(request)
        else chat.answer()
    )


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ("models: {chat: {targets: [{backend: nowhere}]}}\n", "nowhere"),
        ("sevrer: {}\n", "sevrer"),
        ("models: [\n", ""),
        ("server: {max_calls: -1}\n", "max_calls"),
    ],
    ids=["unknown backend", "unknown key", "no YAML", "out of bounds"],
)
async def test_a_broken_file_changes_nothing(start, provider, broken, fault):
    """The old configuration serves on, the fault is logged and counted; mended, the file takes effect (B30)."""
    provider.handler = chat.as_asked
    app = await start(one_model(provider))
    client = await app.client()
    in_force = app.config
    app.path.write_text(broken)
    app.app.request_reload()
    await until(
        "the refusal is counted", lambda: app.metric("pointsman_config_reloads_total", result="refused")
    )
    assert fault in (await app.logged(event="config_refused"))["fault"]
    assert app.config is in_force
    assert (await ask(client, stream=False)).text == "Hello there"
    assert 'pointsman_config_reloads_total{result="refused"} ' in (await app.get("/metrics"))[1]

    app.rewrite(models={"chat": model_over("only"), "new": model_over("only")})
    app.app.request_reload()
    await until("the new model is there", lambda: "new" in app.config.models)
    assert (await ask(client, stream=False, model="new")).text == "Hello there"
    assert app.metric("pointsman_config_reloads_total", result="applied") >= 1


async def test_a_change_is_noticed_without_being_told(start, provider):
    """The file alone is enough, broken or mended, even when it changed while the service was starting."""
    provider.handler = chat.as_asked
    app = await start(one_model(provider))
    app.path.write_text("sevrer: {}\n")
    await until(
        "the refusal is counted", lambda: app.metric("pointsman_config_reloads_total", result="refused")
    )
    app.rewrite(models={"chat": model_over("only"), "new": model_over("only")})
    await until("the new model is there", lambda: "new" in app.config.models)
    assert (await ask(await app.client(), stream=False, model="new")).text == "Hello there"


async def test_streams_go_on_through_a_reload(start, provider, other):
    """Even those of a backend that the new file does not have; new calls follow the new file at once."""
    gate = asyncio.Event()
    provider.handler = held(gate)
    other.handler = chat.as_asked
    app = await start(one_model(provider))
    client = await app.client()
    async with begun(client) as stream:
        app.rewrite(backends={"next": backend_at(other)}, models={"chat": model_over("next")})
        await until("the file is in force", lambda: "next" in app.config.backends)
        assert (await ask(client, stream=False)).backend == "next"
        assert app.metric("pointsman_config_reloads_total", result="applied") == 1
        gate.set()
        assert (await stream.collect()).text == "Hello there"
        assert stream.result.backend == "only"
    await provider.wait_idle()
    await app.settled_calls()


async def test_an_unchanged_backend_keeps_its_connections_and_its_books(start, provider, other):
    """What was learned of a backend outlives a reload: an ejected one stays ejected."""
    await provider.kill()
    other.handler = chat.as_asked
    backends = {"down": backend_at(provider), "up": backend_at(other)}
    models = {"chat": model_over("down", "up")}
    app = await start(
        {"backends": backends, "models": models, "ejection": {"consecutive_failures": 1, "base_s": 300}}
    )
    client = await app.client()
    await ask(client, stream=False)
    app.rewrite(models={**models, "more": model_over("up")})
    await app.app.reload()
    answer = await ask(client, stream=False)
    assert [attempt.backend for attempt in answer.routing.attempts] == ["up"]
    assert len(other.connections) == 1


async def test_operators_reload_and_are_told_of_faults(start, provider):
    """ReloadConfig answers with every fault, its path and line; validate_only applies nothing."""
    provider.handler = chat.as_asked
    app = await start(one_model(provider))
    admin = await app.admin()
    models = {"chat": model_over("only"), "new": model_over("only")}
    app.rewrite(models=models)
    checked = await admin.ReloadConfig(pb.ReloadConfigRequest(validate_only=True))
    assert not checked.applied
    assert not checked.faults
    applied = await admin.ReloadConfig(pb.ReloadConfigRequest())
    assert applied.config_hash == checked.config_hash
    assert "new" in app.config.models

    app.path.write_text("models: {chat: {targets: [{backend: nowhere}]}}\nsevrer: {}\n")
    refused = await admin.ReloadConfig(pb.ReloadConfigRequest())
    assert not refused.applied
    assert refused.config_hash == applied.config_hash
    assert {fault.path: fault.line for fault in refused.faults}["sevrer"] == 2
    assert "new" in app.config.models


async def test_a_model_that_is_taken_out_is_gone(start, provider):
    """For calls, for ModelService and for health."""
    provider.handler = chat.as_asked
    settings = one_model(provider)
    settings["models"]["old"] = model_over("only")
    app = await start(settings)
    client = await app.client()
    assert {model.name for model in await client.models()} == {"chat", "old"}
    app.rewrite(models={"chat": model_over("only")})
    await app.app.reload()
    with pytest.raises(ModelNotFound):
        await ask(client, stream=False, model="old")
    assert {model.name for model in await client.models()} == {"chat"}


async def test_an_api_key_is_rotated_without_a_refused_call(start, provider, tmp_path):
    """Two keys live side by side; the one that is taken out is refused from then on, by file or by reference."""

    def hashed(secret):
        return f"sha256:{hashlib.sha256(secret.encode()).hexdigest()}"

    provider.handler = chat.as_asked
    secrets = {"old": "o" * 32, "new": "n" * 32, "filed": "f" * 32}
    filed = tmp_path / "hash"
    filed.write_text(hashed(secrets["filed"]) + "\n")
    entries = {
        "old": {"id": "old", "hash": hashed(secrets["old"])},
        "new": {"id": "new", "hash": hashed(secrets["new"])},
        "filed": {"id": "filed", "hash_from": {"file": str(filed)}},
    }

    def auth(*names):
        return {"mode": "api_key", "principals": [{"name": "team", "api_keys": [entries[n] for n in names]}]}

    app = await start({**one_model(provider), "auth": auth("old", "filed")})
    clients = {name: await app.client(api_key=f"{name}.{secret}") for name, secret in secrets.items()}
    await ask(clients["old"], stream=False)
    await ask(clients["filed"], stream=True)
    assert (await failure(clients["new"], stream=False)).reason == "UNAUTHENTICATED"
    for names in (("old", "new", "filed"), ("new", "filed")):
        app.rewrite(auth=auth(*names))
        await app.app.reload()
        for name, client in clients.items():
            if name in names:
                await ask(client, stream=False)
            else:
                assert (await failure(client, stream=True)).reason == "UNAUTHENTICATED"
    filed.write_text(hashed("another" * 8) + "\n")

    async def refused():
        try:
            await ask(clients["filed"], stream=False)
        except PointsmanError as error:
            return error.reason == "UNAUTHENTICATED"
        return False

    await until("the file's new hash is in force", refused)
