"""Provider's name -> how to speak to it. The one place that knows every dialect; a new provider is one line here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from random import Random

from pointsman_server.clock import Clock
from pointsman_server.config import schema
from pointsman_server.config.secrets import Secret
from pointsman_server.domain import Operation
from pointsman_server.errors import Reason
from pointsman_server.transport.aiohttp_transport import AiohttpTransport
from pointsman_server.transport.contract import BodyLimits, Transport, TransportOptions
from pointsman_server.upstreams.contract import Upstream
from pointsman_server.upstreams.credentials import Credentials, build_credentials
from pointsman_server.upstreams.credentials.ring import KeyRing, Notice
from pointsman_server.upstreams.credentials.sigv4 import Signing
from pointsman_server.upstreams.credentials.tokens import Means
from pointsman_server.upstreams.dialects import (
    anthropic,
    bedrock,
    cohere,
    dashscope,
    ernie,
    gemini,
    ollama,
    openai,
    openai_responses,
    simulator,
    tei,
    tgi,
    triton,
)
from pointsman_server.upstreams.http import HttpUpstream
from pointsman_server.upstreams.provider import Provider, Settings
from pointsman_server.upstreams.translation.profile import Profile, UnaryUpstream

PROVIDERS: Mapping[str, Provider] = {
    "openai": openai.OPENAI,
    "openai_responses": openai_responses.OPENAI_RESPONSES,
    "anthropic": anthropic.ANTHROPIC,
    "bedrock": bedrock.BEDROCK,
    "vllm": openai.VLLM,
    "sglang": openai.SGLANG,
    "llamacpp": openai.LLAMACPP,
    "ollama": ollama.OLLAMA,
    "ollama_compatible": openai.OLLAMA_COMPATIBLE,
    "openai_compatible": openai.OPENAI_COMPATIBLE,
    "azure_openai": openai.AZURE_OPENAI,
    "mistral": openai.MISTRAL,
    "dashscope": dashscope.DASHSCOPE,
    "dashscope_compatible": openai.DASHSCOPE_COMPATIBLE,
    "qianfan": openai.QIANFAN,
    "ernie": ernie.ERNIE,
    "huggingface": openai.HUGGINGFACE,
    "tgi": tgi.TGI,
    "triton": triton.TRITON,
    "triton_grpc": triton.TRITON_GRPC,
    "kserve": triton.KSERVE,
    "kserve_grpc": triton.KSERVE_GRPC,
    "gemini": gemini.GEMINI,
    "cohere": cohere.COHERE,
    "tei": tei.TEI,
    "huggingface_embeddings": tei.HUGGINGFACE_EMBEDDINGS,
    "simulator": simulator.SIMULATOR,
}
"""What a backend's `provider` may be."""

_CAPABILITIES: Mapping[str, str] = {
    "tools": "TOOLS",
    "tool_choice.parallel_calls": "PARALLEL_TOOLS",
    "output_format.json_schema": "JSON_SCHEMA",
    "output_format.json_object": "JSON_OBJECT",
    "output_format.grammar": "GRAMMAR",
    "generation.reasoning.effort": "REASONING",
    "generation.reasoning.mode": "REASONING",
    "generation.top_logprobs": "LOGPROBS",
    "generation.seed": "SEED",
    "generation.n": "MULTIPLE_CANDIDATES",
}


def build_upstream(
    name: str,
    backend: schema.Backend,
    secret: Callable[[schema.SecretRef], Secret],
    clock: Clock,
    transport: Callable[[TransportOptions], Transport] | None = None,
    *,
    authority: str = "",
    notice: Callable[[str, int, Reason, float], None] = lambda *_: None,
) -> Upstream:
    """The backend, ready to be called; no connection is opened yet.

    `authority` is what it goes by where its URL holds the address of one endpoint (see TransportOptions); `notice` is
    told when one of several credentials rests: the backend, its number from 0, why, and for how many seconds.

    Raises KeyError for an unknown provider, ValueError where a URL is missing, OSError or ssl.SSLError for a bad
    `ca_file`.
    """
    provider, profile = PROVIDERS[backend.provider], profile_of(backend)
    limits = BodyLimits(body_bytes=backend.max_body_bytes, event_bytes=backend.max_event_bytes)
    url = backend.url or profile.default_url
    options = TransportOptions(
        connect_timeout_s=backend.timeouts.connect_s,
        authority=authority,
        proxy_url=backend.proxy_url,
        ca_file=backend.ca_file,
        limits=limits,
    )

    def reach(options: TransportOptions) -> Transport:
        return AiohttpTransport(options, clock=clock) if transport is None else transport(options)

    # What credentials are fetched from is reached in the same way, but is nobody's endpoint.
    elsewhere = replace(options, authority="", limits=BodyLimits())

    def means() -> Means:
        return Means(reach(elsewhere), clock, Random())

    def proof(written: schema.Credentials | None) -> Credentials | None:
        return build_credentials(written, secret, profile, means, Signing(clock, authority))

    members = [made for one in (backend.credentials, *backend.more_credentials) if (made := proof(one))]
    credentials = _together(members, clock, partial(notice, name))
    settings = Settings(url.rstrip("/"), limits, backend, authority, credentials)
    if provider.upstream is not None:
        return provider.upstream(profile, settings, clock)
    if not url:
        raise ValueError(f"backend {name}: the provider {backend.provider} has no default url")
    return HttpUpstream(
        None if provider.adapter is None else provider.adapter(profile, settings),
        reach(options),
        profile,
        credentials=credentials,
        limits=limits,
        clock=clock,
        headers={name.lower(): value for name, value in backend.headers.items()},
        embeddings=None if provider.embeddings is None else provider.embeddings(profile, settings),
        counts=None if provider.counter is None else provider.counter(profile, settings),
        embeds_at_once=backend.embedding.requests_at_once,
    )


def _together(members: Sequence[Credentials], clock: Clock, notice: Notice) -> Credentials | None:
    """One of a backend's credentials for all of them."""
    if len(members) > 1:
        return KeyRing(members, clock, notice)
    return members[0] if members else None


def profile_of(backend: schema.Backend) -> Profile:
    """The provider's profile, as far as the configuration leaves it in force."""
    profile = PROVIDERS[backend.provider].profile_of(backend).without(backend.drop_params)
    if backend.unary_upstream is not None:
        profile = replace(profile, unary_upstream=UnaryUpstream(backend.unary_upstream))
    if profile.embeddings is not None and backend.embedding.max_inputs is not None:
        bounded = replace(profile.embeddings, max_inputs=backend.embedding.max_inputs)
        profile = replace(profile, embeddings=bounded)
    return profile


def backend_findings(backend: schema.Backend) -> Iterator[tuple[str, str]]:
    """The keys of a backend's configuration that its provider cannot go with, and why; the provider is a known one."""
    provider = PROVIDERS[backend.provider]
    if provider.over_http and not (backend.url or profile_of(backend).default_url):
        yield "url", f"this key is required: the provider {backend.provider} has no default"
    if fault := provider.version_fault(backend.api_version):
        yield "api_version", fault
    yield from provider.findings(backend)


def model_findings(model: schema.Model, backends: Mapping[str, schema.Backend]) -> Iterator[tuple[str, str]]:
    """The keys of a model's configuration that the providers behind it cannot go with; all of them are known ones."""
    profiles = [profile_of(backends[target.backend]) for target in model.targets]
    embed, generate = (
        schema.Operation.EMBED in model.operations,
        schema.Operation.GENERATE in model.operations,
    )
    if embed and not any(profile.embeddings for profile in profiles):
        yield "operations", "no target's provider makes embeddings"
    if generate and not any(profile.generates for profile in profiles):
        yield "operations", "the targets' providers make embeddings only; say so: [embed]"


def offers(backend: schema.Backend, operations: Collection[Operation]) -> Mapping[str, frozenset[str]]:
    """What a backend can do with a model that may be asked for these operations, in the contract's words.

    Under `capabilities`, `input_modalities` and `output_modalities`.
    """
    profile = profile_of(backend)
    found, taken, given = set[str](), set[str](), set[str]()
    if Operation.GENERATE in operations and profile.generates:
        kinds = _media(profile)
        found |= {"GENERATE", *(f"{kind}_INPUT" for kind in kinds)}
        found |= {"STREAMING"} if profile.streaming else set()
        found |= {word for path, word in _CAPABILITIES.items() if path in profile.fields}
        found |= {"PROMPT_INPUT"} if profile.prompts else set()
        found |= {"TOKEN_INPUT"} if profile.token_ids else set()
        taken |= {"TEXT", *kinds}
        given |= {"TEXT"}
    if Operation.EMBED in operations and (embeddings := profile.embeddings) is not None:
        images = embeddings.images_inline or embeddings.images_by_url
        found |= {"EMBEDDING"} | ({"IMAGE_INPUT"} if images else set())
        found |= {"TOKEN_INPUT"} if embeddings.token_ids else set()
        taken |= {"TEXT"} | ({"IMAGE"} if images else set())
        given |= {"EMBEDDING"}
    if found and profile.counts_tokens:
        found |= {"COUNT_TOKENS"}
    return {
        "capabilities": frozenset(found),
        "input_modalities": frozenset(taken),
        "output_modalities": frozenset(given),
    }


def _media(profile: Profile) -> set[str]:
    kinds = {
        "IMAGE": profile.images_inline or profile.images_by_url,
        "AUDIO": profile.audio_inline or profile.audio_by_url,
        "FILE": profile.files_inline or profile.files_by_url,
    }
    return {kind for kind, taken in kinds.items() if taken}
