from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from dataclasses import fields, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_server.config.load import DEFAULTS, Loaded
from pointsman_server.config.schema import Config
from pointsman_server.config.secrets import Secret, Secrets, references
from pointsman_server.config.share import share
from pointsman_server.config.templates import Templates
from pointsman_server.errors import FieldFault, Reason, ServiceError
from pointsman_server.launch import load_config
from pointsman_server.routing.view import BackendState
from pointsman_server.supervisor.backoff import MAX_S, STEADY_S, Backoff
from pointsman_server.supervisor.control import (
    MAX_FRAME_BYTES,
    Answer,
    Ask,
    Begin,
    Handed,
    ListBackends,
    Ready,
    Refused,
    SetDrained,
    Stop,
    encode,
    supervisors_end,
    workers_end,
)
from pointsman_server.supervisor.handover import hand, taken
from pointsman_server.supervisor.merge import one
from pointsman_server.supervisor.port import HeldPort
from pointsman_server.upstreams.translation.vocabulary import vocabulary
from tests.fakes.catalog import backend
from tests.fakes.tokenizer import counted, make_tokenizer, save

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "config").glob("*.yaml"))


# Waiting before a start.


@given(st.lists(st.floats(0, 200), min_size=1, max_size=50), st.integers(0, 1000))
def test_restarts_are_bounded(lives, seed):
    """The first is at once, none waits for longer than the cap, and short lives in a row wait ever longer."""
    backoff = Backoff(Random(seed))
    short = 0
    for lived_s in lives:
        delay_s = backoff.after(lived_s)
        short = 1 if lived_s >= STEADY_S else short + 1
        if short == 1:
            assert delay_s == 0
        else:
            top_s = min(MAX_S, 2.0 ** (short - 2))
            assert 0.75 * top_s <= delay_s <= top_s


# The port.


def listening(host, *, reuse_port=False):
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if reuse_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return listener


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "[::1]", "[::]"])
def test_a_held_port_is_for_our_workers_alone(host):
    """Sockets that share may listen there, plain ones may not, and a second holder is refused."""
    if host.startswith("[") and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    held = HeldPort(f"{host}:0")
    number = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        assert held.port > 0
        assert held.address == f"{host}:{held.port}"
        with pytest.raises(ServiceError, match=f"cannot listen on .*{held.port}"):
            HeldPort(held.address)
        with listening(number) as other, pytest.raises(OSError, match="in use"):
            other.bind((number, held.port))
        with listening(number, reuse_port=True) as one_, listening(number, reuse_port=True) as two:
            for worker in (one_, two):
                worker.bind((number, held.port))
                worker.listen()
            with pytest.raises(ServiceError, match="cannot listen"):
                HeldPort(held.address)
    finally:
        held.close()
    HeldPort(held.address).close()


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_that_somebody_listens_on_cannot_be_held(reuse_port):
    """Not even one that its owner would share."""
    with listening("127.0.0.1", reuse_port=reuse_port) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ServiceError, match="cannot listen"):
            HeldPort(f"127.0.0.1:{other.getsockname()[1]}")


def test_connections_that_are_just_over_are_no_obstacle():
    """A service that starts again where it ended a moment ago finds its port free."""
    with listening("127.0.0.1") as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()  # The server's side ends first: that is the one that stays in TIME_WAIT.
            assert client.recv(1) == b""
    HeldPort(f"127.0.0.1:{port}").close()


@pytest.mark.parametrize("listen", ["nowhere.invalid:1", "192.0.2.1:0"])
def test_an_address_that_is_not_here(listen):
    """The refusal is that of one process."""
    with pytest.raises(ServiceError, match=f"cannot listen on {listen}"):
        HeldPort(listen)


# The channel.


@pytest.fixture
async def ends():
    pair = socket.socketpair()
    for end in pair:
        end.setblocking(False)
    ours, theirs = await supervisors_end(pair[0]), await workers_end(pair[1])
    yield ours, theirs
    ours.close()
    theirs.close()


async def test_what_is_said_arrives(ends):
    """Every kind of message, in order, large ones whole."""
    ours, theirs = ends
    handed = Handed(b"x" * 3_000_000)
    said = [
        Begin(2, handed, {"a": "why"}),
        Ask(1, ListBackends("m")),
        Ask(2, SetDrained("a", None)),
        Stop(hurry=True),
    ]
    for message in said:
        ours.send(message)
    assert [await theirs.receive() for _ in said] == said
    error = ServiceError(Reason.INVALID_REQUEST, "name: no", resource="r", fields=(FieldFault("name", "no"),))
    theirs.send(Ready())
    theirs.send(Refused.by(7, error))
    theirs.send(Answer(8, encode([backend("a")])))
    assert await ours.receive() == Ready()
    refused = await ours.receive()
    again = refused.error
    assert (refused.id, again.reason, again.detail, again.resource, again.fields) == (
        7, error.reason, error.detail, error.resource, error.fields,
    )  # fmt: skip
    answer = await ours.receive()
    assert bytes(answer.value) == bytes(encode([backend("a")]))


async def test_the_end_of_a_channel_is_told(ends):
    """To who listens; who speaks may go on, unheard."""
    ours, theirs = ends
    theirs.send(Ready())
    await theirs.flushed()
    assert await ours.receive() == Ready()
    assert await ours.receive() is None
    theirs.send(Ready())
    await theirs.flushed()


@pytest.mark.parametrize(
    "data",
    [b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x09", struct.pack(">I", MAX_FRAME_BYTES + 1), b"\x00"],
    ids=["no message", "cut off", "too long", "half a length"],
)
async def test_nonsense_is_the_end(data):
    """Of whatever kind; nothing is raised and nothing is waited for."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    channel = await supervisors_end(ours)
    theirs.sendall(data)
    theirs.shutdown(socket.SHUT_WR)
    async with asyncio.timeout(10):
        assert await channel.receive() is None
    channel.close()
    theirs.close()


def test_what_is_handed_does_not_show():
    """It holds secrets."""
    assert "hunter2" not in repr(Begin(0, Handed(b"hunter2"), {}))


# Handing a configuration over.


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_taken_is_what_was_handed(example, tmp_path):
    """Every example arrives whole: its keys, its secrets and its hash."""
    text = example.read_text(encoding="utf-8").replace("/etc/pointsman/", f"{tmp_path}/")
    for name in ("tls/tls.crt", "tls/tls.key", "tls/callers-ca.crt", "tls/internal-ca.crt", "keys/gpu"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("there")
    for name in ("keys/search", "keys/billing"):
        (tmp_path / name).write_text("sha256:" + "0" * 64)
    file = tmp_path / "pointsman.yaml"
    file.write_text(text)
    loaded = load_config(str(file), {"OPENAI_API_KEY": "sk-for-this-test"})
    again = taken(hand(loaded.config, loaded, 0, address="127.0.0.1:7"))
    assert again.config == share(loaded.config, 0, address="127.0.0.1:7")
    assert {ref: again.secrets.get(ref) for _, ref in references(loaded.config)} == {
        ref: loaded.secrets.get(ref) for _, ref in references(loaded.config)
    }
    assert again.templates.files == loaded.templates.files
    assert again.tokenizers.digests == loaded.tokenizers.digests
    assert again.prices._prices == loaded.prices._prices != {}
    assert (again.hash, again.source, again.files) == (loaded.hash, loaded.source, ())


def test_a_worker_counts_with_what_it_was_handed(tmp_path):
    """The file may be broken by then, or another one."""
    tokenizer = save(make_tokenizer(), tmp_path / "tokenizer.json")
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "backends: {gpu: {provider: sglang, url: http://gpu.example/v1}}\n"
        f"models: {{chat: {{targets: [{{backend: gpu}}], tokenizer: {{file: {tokenizer}}}}}}}\n"
    )
    loaded = load_config(str(file), {})
    handed = hand(loaded.config, loaded, 0, address="127.0.0.1:7")
    tokenizer.write_text("{}")
    again = taken(handed)
    written = again.config.models["chat"].tokenizer
    assert again.tokenizers.content(written).parsed(vocabulary).count("two", special=False) == counted("two")


def test_everything_that_is_loaded_is_handed():
    """A field that a configuration gains later must come along, or be left out on purpose."""
    assert {field.name for field in fields(Loaded)} == {
        "config", "secrets", "templates", "hash", "source", "files", "prices", "tokenizers",
    }  # fmt: skip


def test_a_secret_is_pickled_nowhere_else():
    """Only on its way to a worker."""
    with pytest.raises(TypeError, match="not serialized"):
        pickle.dumps(Secret("hunter2"))


def test_what_needs_a_restart_is_not_handed():
    """A worker that starts again after a reload is like those that did not."""

    def of(**settings):
        config = Config.model_validate(settings)
        return Loaded(config, Secrets({}), Templates({}), "hash", DEFAULTS, ())

    first = of(workers=2, server={"listen": "127.0.0.1:1", "max_calls": 100})
    later = of(
        workers=3,
        server={"listen": "127.0.0.1:2", "max_calls": 50, "reflection": False, "drain": {"grace_s": 7}},
        telemetry={"log_level": "debug", "sample_ratio": 0.5},
        max_queue_time_s=3,
    )
    got = taken(hand(first.config, later, 0, address="127.0.0.1:9")).config
    assert (got.workers, got.server.listen, got.server.reflection) == (2, "127.0.0.1:9", True)
    assert (got.server.max_calls, got.server.drain.grace_s, got.max_queue_time_s) == (25, 7, 3)
    assert (got.telemetry.log_level, got.telemetry.sample_ratio) == ("debug", 1.0)


# One backend out of several views.


def test_the_worst_state_is_told():
    """Whatever the order; with the time at which the last worker sees its end, and how many see it."""
    healthy = replace(
        backend("a"), state=BackendState.HEALTHY, state_reason="", state_until_wall_s=None, error_ratio=0.0,
        first_token_ewma_s=None,
    )  # fmt: skip
    ejected = backend("a")
    later = replace(ejected, state_until_wall_s=1_700_000_099.0, state_reason="")
    for seen in ([healthy, ejected, later], [later, ejected, healthy]):
        found = one(seen)
        assert found.state is BackendState.EJECTED
        assert found.state_reason == "5 failures in a row (in 2 of 3 workers)"
        assert found.state_until_wall_s == 1_700_000_099.0
        assert found.error_ratio == pytest.approx(1 / 3)
        assert found.first_token_ewma_s == 0.25
    assert one([healthy, healthy]).state_reason == ""
    assert one([healthy, healthy]).first_token_ewma_s is None
    half_open = replace(healthy, state=BackendState.HALF_OPEN)
    cooling = replace(healthy, state=BackendState.COOLING_DOWN)
    draining = replace(healthy, state=BackendState.DRAINING)
    assert one([healthy, half_open]).state is BackendState.HALF_OPEN
    assert one([half_open, cooling]).state is BackendState.COOLING_DOWN
    assert one([ejected, draining, cooling]).state is BackendState.DRAINING
    assert one([half_open, healthy]).state_reason == "in 1 of 2 workers"


@pytest.mark.parametrize("state", list(BackendState))
def test_every_state_has_a_rank(state):
    """A state that is added later must find its place."""
    assert one([replace(backend("a"), state=state)]).state is state
