"""How the client connects: channel options that agree with the server's, TLS, and which connections may carry a key.

Pure but for the certificate files that it reads; it opens nothing.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import grpc

from pointsman.version import __version__

Options: TypeAlias = "Sequence[tuple[str, Any]]"
LoadBalancing: TypeAlias = Literal["round_robin", "pick_first"]
Pem: TypeAlias = "str | Path | bytes"
"""A file, or its content as bytes."""

MAX_RETRIES = 4
"""The gRPC core's own bound, less the first attempt."""
MAX_SEND_BYTES = 20 * 1024 * 1024
"""The server's transport cap; its own cap on requests is lower and answers with a reason."""
MAX_RECEIVE_BYTES = 128 * 1024 * 1024
"""What the server may send: log probabilities and vectors grow large."""

_SERVICES = ("pointsman.v1.InferenceService", "pointsman.v1.ModelService")
_KEEPALIVE_TIMEOUT_MS = 20_000


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """How the connection is secured; each of the three is a file, or its content as bytes."""

    ca: Pem | None = None
    """Certificate authorities to trust. None: the system's."""
    cert: Pem | None = None
    """The client's certificate chain, for servers that know callers by it; needs `key`."""
    key: Pem | None = None
    server_name: str = ""
    """The name that the server's certificate must bear, where it is not the target's."""

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("a client certificate needs both cert and key")

    def __repr__(self) -> str:
        return f"TlsConfig(client_certificate={self.cert is not None}, server_name={self.server_name!r})"

    def credentials(self) -> grpc.ChannelCredentials:
        """Reads the files. They are read once: a renewed client certificate needs a new client."""
        return grpc.ssl_channel_credentials(
            root_certificates=_pem(self.ca) if self.ca is not None else system_roots(),
            private_key=_pem(self.key) if self.key is not None else None,
            certificate_chain=_pem(self.cert) if self.cert is not None else None,
        )


def system_roots() -> bytes | None:
    """The system's certificate authorities; None leaves it to those that come with grpcio."""
    path = ssl.get_default_verify_paths().cafile
    return Path(path).read_bytes() if path else None


def _pem(source: Pem) -> bytes:
    return source if isinstance(source, bytes) else Path(source).read_bytes()


@dataclass(frozen=True, slots=True)
class Connection:
    """Everything that a channel is opened with."""

    target: str
    tls: TlsConfig | None
    load_balancing: LoadBalancing
    keepalive_s: float
    retries: int
    options: Options

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= MAX_RETRIES:
            raise ValueError(f"retries: 0 to {MAX_RETRIES}, not {self.retries}")

    def channel_options(self) -> list[tuple[str, Any]]:
        """Ours first: a caller's own option of the same name wins."""
        keepalive_ms = int(self.keepalive_s * 1000)
        ours = {
            "grpc.primary_user_agent": f"pointsman-python/{__version__}",
            "grpc.service_config": json.dumps(service_config(self.load_balancing, self.retries)),
            "grpc.max_send_message_length": MAX_SEND_BYTES,
            "grpc.max_receive_message_length": MAX_RECEIVE_BYTES,
            # Between two answers there may be minutes; an idle connection that a middlebox dropped is found by a ping.
            "grpc.keepalive_time_ms": keepalive_ms,
            "grpc.keepalive_permit_without_calls": 1,
            # Unanswered pings are bounded by the second; the first bounds unacknowledged data alone.
            "grpc.keepalive_timeout_ms": _KEEPALIVE_TIMEOUT_MS,
            "grpc.http2.ping_timeout_ms": _KEEPALIVE_TIMEOUT_MS,
            # The core waits up to two minutes between connects; a server that came back should be found in seconds.
            "grpc.initial_reconnect_backoff_ms": 250,
            "grpc.max_reconnect_backoff_ms": 5_000,
        }
        if self.tls is not None and self.tls.server_name:
            ours["grpc.ssl_target_name_override"] = self.tls.server_name
        return list({**ours, **dict(self.options)}.items())


def service_config(load_balancing: LoadBalancing, retries: int) -> Mapping[str, Any]:
    """Balancing, health checks and the retry policy, in the words of the gRPC core."""
    config: dict[str, Any] = {
        "loadBalancingConfig": [{load_balancing: {}}],
        # A replica that drains says NOT_SERVING first: new calls then go elsewhere before it closes. Needs round_robin.
        "healthCheckConfig": {"serviceName": _SERVICES[0]},
    }
    if retries:
        config["methodConfig"] = [
            {"name": [{"service": s} for s in _SERVICES], "retryPolicy": _retry_policy(retries)}
        ]
        # Half of the tokens gone stops retrying: one for each failure, a tenth back for each success.
        config["retryThrottling"] = {"maxTokens": 200, "tokenRatio": 0.1}
    return config


def _retry_policy(retries: int) -> Mapping[str, Any]:
    """UNAVAILABLE: not reached, or shed. CANCELLED: met a replica in the moment of its draining.

    It never multiplies the server's own retries: those failures come with a pushback of -1, which ends the policy.
    """
    return {
        "maxAttempts": retries + 1,
        "initialBackoff": "0.2s",
        "maxBackoff": "5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
    }


def tls_config(tls: bool | TlsConfig | None) -> TlsConfig | None:
    """True is TLS with the system's authorities; None and False are none."""
    if isinstance(tls, TlsConfig):
        return tls
    return TlsConfig() if tls else None


def is_local(target: str) -> bool:
    """Whether a connection to this target stays on the machine."""
    scheme, _, rest = target.partition(":")
    if scheme in {"unix", "unix-abstract"}:
        return True
    if scheme in {"ipv4", "ipv6"}:
        return all(_is_loopback(address) for address in rest.split(","))
    return _is_loopback(rest.rpartition("/")[2] if scheme == "dns" else target)


def _is_loopback(address: str) -> bool:
    host = _host(address)
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(address: str) -> str:
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]
