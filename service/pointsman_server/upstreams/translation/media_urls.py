"""Media addresses from callers: an upstream fetches them, so none may lead into a private network. Pure.

Names are not resolved here: a public name with a private address is for the upstream's own network to refuse.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from urllib.parse import urlsplit

_PRIVATE_NAMES = (
    "localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "home.arpa", "localdomain",
    "in-addr.arpa", "ip6.arpa", "onion",
)  # fmt: skip
_INNER = tuple(
    ipaddress.ip_network(network)
    # Metadata and host services of clouds at addresses that count as global, at least for some versions of Python.
    for network in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
)
_NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)\Z", re.ASCII)
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]\Z", re.ASCII)
"""What stands in a host's place in the address of an object store."""
_FORBIDDEN = re.compile(r"[\s\\\x00-\x20\x7f]")
_DATA = re.compile(r"data:[a-z0-9.+-]+/[a-z0-9.+*-]+(?:;[a-z0-9.=_+-]+)*,", re.ASCII | re.IGNORECASE)
_MAX_URL = 8192


def media_url_fault(url: str, schemes: Collection[str] = ("http", "https")) -> str:
    """Why an upstream must not be given this address; empty when it may.

    Beside http and https, `schemes` may hold those of object stores (gs, s3), in which no host stands.
    """
    if url[:5].lower() == "data:":
        return "" if _DATA.match(url) else "must be data:TYPE/SUBTYPE;base64,..."
    if len(url) > _MAX_URL:
        return f"must have at most {_MAX_URL} characters"
    if _FORBIDDEN.search(url) or not url.isprintable():
        return "must not hold blanks, backslashes or control characters"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in schemes:
        return f"must be a URL of {', '.join(sorted(schemes))} or data"
    if "@" in parts.netloc:
        return "must not hold user information"
    if parts.scheme not in ("http", "https"):
        # No bucket's name ends like an address (both stores forbid it), and only an address could lead anywhere else.
        named = _BUCKET.match(parts.netloc) and not _NUMBER.match(parts.netloc.rpartition(".")[2])
        return "" if named else "does not name a bucket"
    # In brackets stands an address, or a form that no client should know.
    return _address_fault(host) if "[" in parts.netloc and "%" not in host else _host_fault(host)


def _host_fault(host: str) -> str:
    if "%" in host:
        # Also the zone of an address: it means an interface of the upstream's own machine.
        return "must not hold an escaped or scoped host"
    if not host.isascii():
        # Full-width digits and dots become an address in some clients.
        return "must name its host in ASCII"
    host = host.rstrip(".")
    labels = host.split(".")
    if _NUMBER.match(labels[-1]):
        # What ends in a number is an address to every client, whatever its form: 127.1, 0x7f.1, 017700000001.
        return _address_fault(host)
    if not all(_NAME.match(label) for label in labels):
        return "does not name a host"
    if len(labels) == 1 or any(host == name or host.endswith(f".{name}") for name in _PRIVATE_NAMES):
        return "must not lead into a private network"
    return ""


def _address_fault(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "must write an address in its usual form"
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _embedded(address)
        if inner is not None:
            return "must not hide an address in another"
    inside = not address.is_global or address.is_multicast or any(address in network for network in _INNER)
    return "must not lead into a private network" if inside else ""


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The address inside a NAT64, IPv4-compatible or Teredo one."""
    number = int(address)
    if number >> 32 in (0, 0x0064FF9B << 64) or number >> 80 == 0x0064FF9B0001:
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return address.teredo[1] if address.teredo is not None else None
