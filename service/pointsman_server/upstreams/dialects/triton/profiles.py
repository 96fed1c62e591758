"""Triton and servers of the Open Inference Protocol. They take a text; what else their models take is configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from pointsman_server.config import schema
from pointsman_server.upstreams.dialects.triton.styles import STYLES, Setup, setup_of
from pointsman_server.upstreams.translation.profile import Profile, UnaryUpstream

TRITON = Profile(
    provider="triton",
    dialect="triton",
    default_url="",
    fields=STYLES["trtllm"].fields,
    images_by_url=False,
    images_inline=False,
    prompts=True,
    chat_templates=True,
    provider_parts=False,
    prompt_lacks=("tools", "tool_choice"),
    returns_reasoning=False,
)
TRITON_GRPC = replace(
    TRITON,
    provider="triton_grpc",
    # The one call that decoupled models and others answer alike.
    unary_upstream=UnaryUpstream.STREAM,
)
KSERVE = replace(TRITON, provider="kserve", dialect="kserve", fields=STYLES["oip"].fields, streaming=False)
KSERVE_GRPC = replace(KSERVE, provider="kserve_grpc")
VARIANTS: Mapping[str, Mapping[str, object]] = {"style: vllm": {"open_inference": {"style": "vllm"}}}
"""The other usual way of Triton's models."""


def over_http(profile: Profile, backend: schema.Backend) -> Profile:
    """The profile of a backend that is reached over HTTP."""
    setup = setup_of(profile.dialect, backend.open_inference, http=True)
    # Triton streams nothing but what its generate extension gives.
    return _configured(profile, setup, streams=setup.generate)


def over_grpc(profile: Profile, backend: schema.Backend) -> Profile:
    """The profile of a backend that is reached over gRPC."""
    setup = setup_of(profile.dialect, backend.open_inference, http=False)
    return _configured(profile, setup, streams=profile.streaming)


def _configured(profile: Profile, setup: Setup, *, streams: bool) -> Profile:
    streaming = setup.written.streaming
    prefix = "parameters." if setup.in_parameters else ""
    return replace(
        profile,
        fields={path: f"{prefix}{name}" for path, name in setup.fields.items()},
        max_stop_sequences=1 if setup.single_stop else 0,
        streaming=streams if streaming is None else streaming,
    )


def http_findings(backend: schema.Backend) -> Iterator[tuple[str, str]]:
    """What of a backend's configuration does not go with HTTP."""
    yield from _unary_findings(backend)


def grpc_findings(backend: schema.Backend) -> Iterator[tuple[str, str]]:
    """What of a backend's configuration does not go with gRPC."""
    url = urlsplit(backend.url)
    if not backend.url:
        yield "url", f"this key is required: the provider {backend.provider} has no default"
    elif url.path.strip("/"):
        yield "url", "must be no more than a host and a port, as http://triton:8001: gRPC knows no path"
    if backend.open_inference.api == "generate":
        yield "open_inference", "api generate is there over HTTP only"
    if backend.credentials is not None and backend.credentials.type == "query":
        yield "credentials", "a key in the query goes with HTTP only"
    yield from _unary_findings(backend)


def _unary_findings(backend: schema.Backend) -> Iterator[tuple[str, str]]:
    if backend.open_inference.streaming is False and backend.unary_upstream == "stream":
        yield "unary_upstream", "stream does not go with open_inference.streaming: false"
