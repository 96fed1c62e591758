"""Channel arguments of our servers. grpc ignores unknown names, so a test holds these against its library."""

from __future__ import annotations

from pointsman_server.config.schema import Http2

MAX_RECEIVE_BYTES = 20 * 1024 * 1024
"""The transport's own cap, above ours: what is between gets a status with details."""
MAX_SEND_BYTES = 128 * 1024 * 1024

Options = tuple[tuple[str, int], ...]


def server_options(http2: Http2, *, share_port: bool = False) -> Options:
    """What a server is made with; `share_port` only for workers that listen together."""
    return (
        # On by default: a second process would bind the same port and silently take half of the calls.
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
        ("grpc.max_send_message_length", MAX_SEND_BYTES),
        ("grpc.max_concurrent_streams", http2.max_concurrent_streams),
        ("grpc.max_allowed_incoming_connections", http2.max_connections),
        ("grpc.max_connection_idle_ms", _ms(http2.max_connection_idle_s)),
        ("grpc.max_connection_age_ms", _ms(http2.max_connection_age_s)),
        ("grpc.max_connection_age_grace_ms", _ms(http2.max_connection_age_grace_s)),
        ("grpc.keepalive_time_ms", _ms(http2.keepalive_s)),
        # keepalive_timeout bounds unacknowledged data, ping_timeout the answer to a ping: both, or a dead peer stays.
        ("grpc.keepalive_timeout_ms", _ms(http2.ping_timeout_s)),
        ("grpc.http2.ping_timeout_ms", _ms(http2.ping_timeout_s)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(http2.min_ping_interval_s)),
        ("grpc.server_handshake_timeout_ms", _ms(http2.handshake_timeout_s)),
    )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
