"""From configuration to upstreams."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pointsman_server.clock import SystemClock
from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.domain import EmbedCall, Generation, Operation, Text
from pointsman_server.upstreams.credentials import build_credentials
from pointsman_server.upstreams.dialects.simulator.upstream import SimulatorUpstream
from pointsman_server.upstreams.http import HttpUpstream
from pointsman_server.upstreams.registry import (
    PROVIDERS,
    backend_findings,
    build_upstream,
    model_findings,
    offers,
    profile_of,
)
from pointsman_server.upstreams.translation.parts import PartNumbers
from tests.unit.upstreams.calls import asked, attempt


class RecordedTransport:
    """Takes the options that it would be built with."""

    def __init__(self, options):
        self.options = options


def build(**backend):
    return build_upstream(
        "name",
        schema.Backend(**backend),
        lambda ref: Secret(f"secret of {ref.env}"),
        SystemClock(),
        RecordedTransport,
    )


def test_every_row_is_complete():
    """A name is its profile's own, and each is reached in one way."""
    for name, provider in PROVIDERS.items():
        assert provider.profile.provider == name
        over_http = [provider.adapter, provider.embeddings, provider.counter]
        assert any(over_http) != (provider.upstream is not None)
        assert (provider.adapter is None) == (not provider.profile.generates or provider.upstream is not None)
        if provider.over_http:
            assert (provider.embeddings is None) == (provider.profile.embeddings is None)
            assert (provider.counter is None) == (not provider.profile.counts_tokens)


@pytest.mark.parametrize(
    "provider", sorted(name for name, provider in PROVIDERS.items() if provider.adapter is not None)
)
def test_http_backends(provider):
    """The configured URL before the default, limits and times as configured."""
    upstream = build(
        provider=provider,
        url="http://own.example/v1",
        max_event_bytes=2048,
        timeouts=schema.Timeouts(connect_s=1.5),
    )
    assert isinstance(upstream, HttpUpstream)
    if upstream.adapter is not None:
        assert upstream.adapter.request(attempt()).url.startswith("http://own.example/v1/")
    assert upstream.transport.options.connect_timeout_s == 1.5
    assert upstream.transport.options.limits.event_bytes == upstream.limits.event_bytes == 2048
    assert upstream.credentials is None


def test_defaults():
    """A provider's own URL; without one the configuration must say where."""
    assert (
        build(provider="openai").adapter.request(attempt()).url
        == "https://api.openai.com/v1/chat/completions"
    )
    with pytest.raises(ValueError, match="no default url"):
        build(provider="openai_compatible")


def test_what_a_provider_finds_in_its_backend():
    """Keys that it cannot go with, before anything is built."""
    found = {name: dict(backend_findings(schema.Backend(provider=name))) for name in PROVIDERS}
    remote = {name: provider.profile for name, provider in PROVIDERS.items() if name != "simulator"}
    assert [name for name, keys in found.items() if "url" in keys] == [
        name for name, profile in remote.items() if not profile.default_url
    ]
    assert dict(backend_findings(schema.Backend(provider="openai_compatible", url="http://h"))) == {}
    versioned = schema.Backend(provider="openai", api_version="2024-10-21")
    assert dict(backend_findings(versioned)) == {"api_version": "the provider has no versions to choose from"}
    for version, fault in (("2024-10-21", {}), ("preview", {}), ("1", {"api_version": "is no version"})):
        azure = schema.Backend(provider="azure_openai", url="http://h", api_version=version)
        keys = dict(backend_findings(azure))
        assert {name: text[:13] for name, text in keys.items()} == fault


def test_versions_of_an_api():
    """Each has a profile of its own, the default is one of them, and another is told to choose among them."""
    for name, provider in PROVIDERS.items():
        for version, profile in provider.versions.items():
            assert profile.api_version == version
            assert profile_of(schema.Backend(provider=name, api_version=version)) is profile
        if provider.versions:
            assert provider.versions[provider.profile.api_version] is provider.profile
            unknown = schema.Backend(provider=name, url="http://h", api_version="1")
            assert list(dict(backend_findings(unknown))) == ["api_version"]


async def test_credentials_are_resolved():
    """By reference, into the header that the configuration names."""
    ref = schema.SecretRef(env="KEY")
    request = build(provider="openai").adapter.request(attempt())
    token = build(provider="openai", credentials=schema.Bearer(secret=ref)).credentials
    assert (await token.authorize(request)).headers["authorization"] == "Bearer secret of KEY"
    key = build(
        provider="openai", credentials=schema.HeaderKey(type="header", name="X-Key", secret=ref)
    ).credentials
    assert (await key.authorize(request)).headers["x-key"] == "secret of KEY"
    query = build(
        provider="openai", credentials=schema.QueryKey(type="query", name="key", secret=ref)
    ).credentials
    assert (await query.authorize(request)).url == f"{request.url}?key=secret%20of%20KEY"


async def test_a_key_of_no_kind_goes_where_the_provider_looks_for_it():
    """As a bearer token, or in the header that the profile names."""
    key = schema.Key(secret=schema.SecretRef(env="KEY"))
    request = build(provider="openai").adapter.request(attempt())
    written = build(provider="openai", credentials=key).credentials
    assert (await written.authorize(request)).headers["authorization"] == "Bearer secret of KEY"
    other = replace(PROVIDERS["openai"].profile, key_header="api-key")
    named = build_credentials(
        key, lambda ref: Secret(f"secret of {ref.env}"), other, NotImplemented, NotImplemented
    )
    headers = (await named.authorize(request)).headers
    assert headers["api-key"] == "secret of KEY"
    assert "authorization" not in headers


def test_what_the_configuration_changes():
    """Dropped fields are reported and not sent; the way of unary calls is chosen."""
    call = asked(generation=Generation(seed=1))
    upstream = build(provider="vllm", drop_params=("generation.seed",))
    assert [warning.field for warning in upstream.unsupported(call, "model")] == ["generation.seed"]
    assert b"seed" not in upstream.adapter.request(attempt(call)).body
    assert build(provider="vllm", unary_upstream="stream").streams(stream=False)
    assert not build(provider="llamacpp", unary_upstream="unary").streams(stream=False)
    assert profile_of(schema.Backend(provider="vllm")) is PROVIDERS["vllm"].profile


def test_the_simulator():
    """Needs no transport; a bad script is told at once."""
    upstream = build(provider="simulator", drop_params=("generation.seed",))
    assert isinstance(upstream, SimulatorUpstream)
    assert len(upstream.unsupported(asked(generation=Generation(seed=1)), "model")) == 1
    with pytest.raises(ValueError, match="script"):
        build(provider="simulator", simulator=schema.Simulator(script=("explode",)))


def at(provider, **keys):
    return schema.Backend(provider=provider, **keys)


def test_offers():
    """In the contract's words."""
    generate = {Operation.GENERATE}
    openai, llamacpp = (offers(at(name), generate) for name in ("openai", "llamacpp"))
    assert {"GENERATE", "STREAMING", "TOOLS", "JSON_SCHEMA", "IMAGE_INPUT", "FILE_INPUT"} <= openai[
        "capabilities"
    ]
    assert "PROMPT_INPUT" not in openai["capabilities"]
    assert {"GRAMMAR", "PROMPT_INPUT", "TOKEN_INPUT"} <= llamacpp["capabilities"]
    assert "MULTIPLE_CANDIDATES" not in llamacpp["capabilities"]
    assert openai["input_modalities"] == {"TEXT", "IMAGE", "AUDIO", "FILE"}
    assert openai["output_modalities"] == {"TEXT"}


def test_offers_follow_what_a_model_may_be_asked_for():
    """An embedding model generates nothing, whatever its provider can; and one that only embeds says so."""
    embed = {Operation.EMBED}
    openai = offers(at("openai"), embed)
    assert openai["capabilities"] == {"EMBEDDING", "TOKEN_INPUT"}
    assert (openai["input_modalities"], openai["output_modalities"]) == ({"TEXT"}, {"EMBEDDING"})
    assert {"EMBEDDING", "IMAGE_INPUT", "COUNT_TOKENS"} <= offers(at("simulator"), embed)["capabilities"]
    both = offers(at("openai"), {Operation.GENERATE, Operation.EMBED})
    assert {"GENERATE", "EMBEDDING"} <= both["capabilities"]
    assert both["output_modalities"] == {"TEXT", "EMBEDDING"}
    assert offers(at("tei"), {Operation.GENERATE})["capabilities"] == frozenset()
    assert offers(at("tgi"), embed)["capabilities"] == frozenset()


def test_offers_follow_the_backends_configuration():
    """What it takes out is not offered; what it says of the models there is."""
    embed, generate = {Operation.EMBED}, {Operation.GENERATE}
    assert "IMAGE" not in offers(at("dashscope"), embed)["input_modalities"]
    multimodal = at("dashscope", dashscope={"interface": "multimodal"})
    assert "IMAGE_INPUT" in offers(multimodal, embed)["capabilities"]
    assert "SEED" not in offers(at("openai", drop_params=("generation.seed",)), generate)["capabilities"]


def test_models_that_their_providers_cannot_serve():
    """Are faults of the configuration."""
    backends = {name: schema.Backend(provider=name) for name in ("tei", "tgi", "openai")}

    def findings(operations, *names):
        targets = tuple(schema.Target(backend=name) for name in names)
        asked = tuple(schema.Operation(word) for word in operations)
        return list(model_findings(schema.Model(targets=targets, operations=asked), backends))

    assert findings(["embed"], "tgi") == [("operations", "no target's provider makes embeddings")]
    assert [key for key, _ in findings(["generate"], "tei")] == ["operations"]
    assert findings(["generate", "embed"], "tei", "tgi") == []
    assert findings(["embed"], "openai") == []


def test_the_bound_on_inputs_is_configured():
    """In place of the provider's."""
    bounded = profile_of(schema.Backend(provider="tei", embedding={"max_inputs": 7}))
    assert bounded.embeddings.max_inputs == 7
    assert profile_of(schema.Backend(provider="tei")).embeddings.max_inputs == 32
    call = EmbedCall("m", (Text("x"),), dimensions=3)
    dropped = build(provider="openai", drop_params=("dimensions",))
    assert [warning.field for warning in dropped.unsupported(call, "m")] == ["dimensions"]


def test_part_numbers():
    """From 0 for each candidate, in the order of their first appearance."""
    parts = PartNumbers()
    assert [
        parts.of(0, "a"),
        parts.of(0, ("b", 1)),
        parts.of(1, "b"),
        parts.of(0, "a"),
        parts.of(0, "c"),
    ] == [0, 1, 0, 0, 2]
