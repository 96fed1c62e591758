"""Addresses as text, `host:port` with IPv6 in brackets, taken apart and put together. Pure."""

from __future__ import annotations

import ipaddress


def split_address(text: str, default_port: int = 0) -> tuple[str, int]:
    """Host without brackets, and port. Raises ValueError for a port that is none."""
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif ":" in text:
        host, _, port = text.rpartition(":")
    number = int(port) if port else default_port
    if not 0 < number <= 65_535:
        raise ValueError("the port must be from 1 to 65535")
    return host, number


def join_address(host: str, port: int) -> str:
    """`host:port`, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_ip(host: str) -> bool:
    """Whether it is an IP address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
