"""One backend over gRPC: its channel, and the calls on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from pointsman_server.clock import Clock, Watchdog
from pointsman_server.context import Attempt
from pointsman_server.domain import AnyCall, Warning
from pointsman_server.transport.contract import HTTPRequest
from pointsman_server.upstreams.contract import Embedder, TokenCounter
from pointsman_server.upstreams.dialects.triton.rpc.answer import RpcAnswer
from pointsman_server.upstreams.dialects.triton.rpc.faults import not_connected
from pointsman_server.upstreams.dialects.triton.rpc.messages import SERVICE
from pointsman_server.upstreams.dialects.triton.styles import setup_of
from pointsman_server.upstreams.provider import Settings
from pointsman_server.upstreams.translation.options import caller_headers
from pointsman_server.upstreams.translation.profile import Profile
from pointsman_server.upstreams.translation.support import unsupported

Metadata = tuple[tuple[str, str], ...]

_BACKOFF_MS = (100, 1000)
"""Between attempts to connect: the first, and the longest. Which backend is tried when, ejection decides."""
_NOT_YET = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)


class RpcUpstream:
    """One backend. Raises OSError where its file of authorities cannot be read."""

    embedder: Embedder | None = None
    counter: TokenCounter | None = None

    def __init__(self, profile: Profile, settings: Settings, clock: Clock) -> None:
        backend = settings.backend
        self.clock = clock
        self.profile = profile
        self.limits = settings.limits
        self.credentials = settings.credentials
        self.setup = setup_of(profile.dialect, backend.open_inference, http=False)
        self._connect_timeout_s = backend.timeouts.connect_s
        self._headers = {name.lower(): value for name, value in backend.headers.items()}
        self._url = urlsplit(settings.base_url)
        self._authorities = Path(backend.ca_file).read_bytes() if backend.ca_file else None
        self._options = _options(settings)
        self._channel: grpc.aio.Channel | None = None

    def open(self, attempt: Attempt) -> RpcAnswer:
        """As the protocol says; the upstream has accepted it when the first message comes."""
        return RpcAnswer(self, attempt)

    def unsupported(self, call: AnyCall, model: str) -> Sequence[Warning]:
        """What the profile says."""
        return unsupported(call, self.profile, model)

    def streams(self, *, stream: bool) -> bool:
        """As the caller does, where answers come in pieces."""
        return self.profile.streaming and stream

    def in_stream(self, attempt: Attempt) -> bool:
        """Whether the attempt is a ModelStreamInfer, however many responses come of it."""
        return self.profile.streams(stream=attempt.stream)

    async def metadata(self, attempt: Attempt, *, in_stream: bool) -> Metadata:
        """What goes with the call: ids, traces, and the proof of who pays."""
        headers = {
            self.profile.request_id_header: attempt.upstream_id,
            **attempt.trace_headers,
            **caller_headers(attempt.call, self.profile),
        }
        if in_stream:
            # Errors of models then end the stream with a status; without it they are texts without one.
            headers["triton_grpc_error"] = "true"
        headers |= self._headers
        if self.credentials is not None:
            url = f"{self._url.scheme}://{self._url.netloc}/{SERVICE}"
            headers = {**(await self.credentials.authorize(HTTPRequest("POST", url, headers))).headers}
        return tuple((name.lower(), value) for name, value in headers.items())

    async def connected(self) -> tuple[grpc.aio.Channel, float | None]:
        """The channel, and the seconds that connecting took; None where it was connected.

        A channel that cannot connect is returned as well: what is called on it fails, and says why. Raises ServiceError
        UPSTREAM_UNREACHABLE when that is not known in time.
        """
        channel = self._channel
        if channel is None:
            channel = self._channel = self._open_channel()
        if (state := channel.get_state(try_to_connect=True)) not in _NOT_YET:
            return channel, None
        began = self.clock.now()
        dog = Watchdog(self.clock)
        dog.start(began + self._connect_timeout_s)
        try:
            while state in _NOT_YET:
                await channel.wait_for_state_change(state)
                state = channel.get_state(try_to_connect=True)
        except asyncio.CancelledError:
            if not dog.claim():
                raise
            raise not_connected() from None
        finally:
            dog.stop()
        return channel, self.clock.now() - began

    def _open_channel(self) -> grpc.aio.Channel:
        secure = self._url.scheme == "https"
        port = self._url.port or (443 if secure else 80)
        host = self._url.hostname or ""
        target = f"dns:///[{host}]:{port}" if ":" in host else f"dns:///{host}:{port}"
        if not secure:
            return grpc.aio.insecure_channel(target, options=self._options)
        credentials = grpc.ssl_channel_credentials(root_certificates=self._authorities)
        return grpc.aio.secure_channel(target, credentials, options=self._options)

    async def close(self) -> None:
        """Close the channel, and what the credentials keep."""
        channel, self._channel = self._channel, None
        try:
            if self.credentials is not None:
                await self.credentials.close()
        finally:
            if channel is not None:
                await channel.close()


def _options(settings: Settings) -> list[tuple[str, object]]:
    """The channel's: https://github.com/grpc/grpc/blob/master/include/grpc/impl/channel_arg_names.h"""
    backend, section = settings.backend, settings.backend.grpc
    first_ms, longest_ms = _BACKOFF_MS
    options: list[tuple[str, object]] = [
        ("grpc.max_receive_message_length", settings.limits.body_bytes),
        ("grpc.max_send_message_length", section.max_request_bytes),
        # Dispatch retries, and nobody else.
        ("grpc.enable_retries", 0),
        ("grpc.service_config_disable_resolution", 1),
        # Backends at one address are still several.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", first_ms),
        ("grpc.min_reconnect_backoff_ms", max(first_ms, int(backend.timeouts.connect_s * 1000))),
        ("grpc.max_reconnect_backoff_ms", longest_ms),
    ]
    if section.keepalive_s is not None:
        options += [
            ("grpc.keepalive_time_ms", int(section.keepalive_s * 1000)),
            ("grpc.keepalive_timeout_ms", int(section.ping_timeout_s * 1000)),
            ("grpc.http2.ping_timeout_ms", int(section.ping_timeout_s * 1000)),
        ]
    if settings.authority:
        options.append(("grpc.default_authority", settings.authority))
        if backend.url.startswith("https:"):
            name = urlsplit(f"//{settings.authority}").hostname or ""
            options.append(("grpc.ssl_target_name_override", name))
    # The environment's proxy is nobody's wish here.
    options.append(
        ("grpc.http_proxy", backend.proxy_url) if backend.proxy_url else ("grpc.enable_http_proxy", 0)
    )
    return options


def build(profile: Profile, settings: Settings, clock: Clock) -> RpcUpstream:
    """The backend as configured; its channel opens with its first call."""
    return RpcUpstream(profile, settings, clock)
