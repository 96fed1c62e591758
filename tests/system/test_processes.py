"""The service as a process: signals, exit status, what it says."""

import asyncio
import contextlib
import os
import signal

import pytest

from pointsman import AsyncClient, PointsmanError
from tests.fakes import chat
from tests.fakes.channels import OWN_CONNECTION
from tests.fakes.replies import Gate, stream_reply
from tests.fakes.running_app import merged, model_over, one_model, until, write_settings
from tests.fakes.service_process import ServiceProcess
from tests.system.asking import ask
from tests.system.test_reload import begun

STREAMS = int(os.environ.get("POINTSMAN_STREAMS", "40"))
"""200 in long runs."""
CHANNELS = 4


def waiting(gate):
    """Streams of two words, the second when the gate opens."""
    return lambda request: (
        stream_reply(chat.BEGIN, chat.said("Hello"), Gate(gate), chat.said(" there"), chat.END)
        if chat.streams(request)
        else chat.answer()
    )


@pytest.fixture
async def stack():
    async with contextlib.AsyncExitStack() as entered:
        yield entered


async def test_sigterm_lets_live_streams_finish(stack, provider, tmp_path):
    """All streams end OK, new calls are refused in a way that may be retried, exit status 0 in time (B28)."""
    gate = asyncio.Event()
    provider.handler = waiting(gate)
    drain = {"server": {"drain": {"delay_s": 0.3, "grace_s": 20}}}
    service = await stack.enter_async_context(ServiceProcess(tmp_path, merged(one_model(provider), drain)))
    clients = [
        await stack.enter_async_context(AsyncClient(service.target, retries=0, options=OWN_CONNECTION))
        for _ in range(CHANNELS)
    ]
    live = [await stack.enter_async_context(begun(clients[number % CHANNELS])) for number in range(STREAMS)]
    service.signal(signal.SIGTERM)
    await until("it drains", lambda: any(line["event"] == "draining" for line in service.lines))
    assert (await service.get("/readyz"))[0] == 503
    assert (await service.get("/livez"))[0] == 200

    async def refused():
        try:
            async with AsyncClient(service.target, retries=0, options=OWN_CONNECTION) as late:
                await ask(late, stream=False, timeout_s=5)
        except PointsmanError as error:
            refusals.append(error)
        return bool(refusals)

    refusals = []
    await until("new calls are refused", refused)
    assert refusals[0].retryable, refusals[0]
    gate.set()
    answers = await asyncio.gather(*(stream.collect() for stream in live))
    assert {answer.text for answer in answers} == {"Hello there"}
    for client in clients:
        await client.close()
    assert await service.ended(within_s=10) == 0
    assert [line["event"] for line in service.lines][-1] == "stopped"
    assert not [line for line in service.lines if line["level"] == "error"]


async def test_what_outlives_the_grace_is_told_so(stack, provider, tmp_path):
    """A stream that does not end in time ends SHUTTING_DOWN, and the process still ends well."""
    provider.handler = waiting(asyncio.Event())
    drain = {"server": {"drain": {"delay_s": 0, "grace_s": 0.3}}}
    service = await stack.enter_async_context(ServiceProcess(tmp_path, merged(one_model(provider), drain)))
    client = await stack.enter_async_context(AsyncClient(service.target, retries=0))
    async with begun(client) as stream:
        service.signal(signal.SIGTERM)
        with pytest.raises(PointsmanError) as caught:
            await stream.collect()
        assert caught.value.reason == "SHUTTING_DOWN"
        assert caught.value.content_delivered
    assert await service.ended(within_s=10) == 0
    await provider.wait_idle()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_waits_for_nobody(stack, provider, tmp_path, number):
    """What runs is told SHUTTING_DOWN at once, and the process ends well, long before its grace does."""
    provider.handler = waiting(asyncio.Event())
    drain = {"server": {"drain": {"delay_s": 60, "grace_s": 60}}}
    service = await stack.enter_async_context(ServiceProcess(tmp_path, merged(one_model(provider), drain)))
    client = await stack.enter_async_context(AsyncClient(service.target, retries=0))
    async with begun(client) as stream:
        service.signal(signal.SIGTERM)
        await until("it drains", lambda: any(line["event"] == "draining" for line in service.lines))
        service.signal(number)
        with pytest.raises(PointsmanError) as caught:
            await stream.collect()
        assert caught.value.reason == "SHUTTING_DOWN"
    assert await service.ended(within_s=10) == 0


async def test_sighup_reads_the_file_again(stack, provider, tmp_path):
    """A new model can be asked for, and a stream notices nothing."""
    gate = asyncio.Event()
    provider.handler = waiting(gate)
    service = await stack.enter_async_context(ServiceProcess(tmp_path, one_model(provider)))
    client = await stack.enter_async_context(AsyncClient(service.target))
    async with begun(client) as stream:
        models = {"chat": model_over("only"), "new": model_over("only")}
        write_settings(service.file, {**service.settings, "models": models})
        service.signal(signal.SIGHUP)
        await until("it is read", lambda: any(line["event"] == "config_reloaded" for line in service.lines))
        assert (await ask(client, stream=False, model="new")).text == "Hello there"
        gate.set()
        assert (await stream.collect()).text == "Hello there"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sevrer": {}}, "sevrer"),
        ({"auth": {"mode": "api_key", "principals": [
            {"name": "a", "api_keys": [{"id": "k", "hash_from": {"env": "NOT_THERE_AT_ALL"}}]}]}},
         "NOT_THERE_AT_ALL"),
    ],
    ids=["unknown key", "missing secret"],
)  # fmt: skip
async def test_a_bad_start_says_why(provider, tmp_path, settings, said):
    """Exit status 1 with the fault, and nothing is served (B30)."""
    service = ServiceProcess(tmp_path, {**one_model(provider), **settings})
    await service.launch()
    assert await service.ended(within_s=10) == 1
    assert said in service.output
    assert "Traceback" not in service.output


async def test_an_address_that_is_taken_is_said(stack, provider, tmp_path):
    """A second service on the same port does not start, and says so."""
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    first = await stack.enter_async_context(ServiceProcess(folders[0], one_model(provider)))
    second = ServiceProcess(folders[1], merged(one_model(provider), {"server": {"listen": first.target}}))
    await second.launch()
    assert await second.ended(within_s=10) == 1
    assert "cannot start" in second.output
    assert "Traceback" not in second.output
