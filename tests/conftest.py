"""A guard for every test: nothing but this machine is ever reached."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Iterator

import pytest

_OUTSIDE: list[str] = []
# Set by `python -m tests.kube` alone, whose network has no way out.
_SEALED = [
    ipaddress.ip_network(name)
    for name in filter(None, os.environ.get("POINTSMAN_TEST_NETWORKS", "").split(","))
]


def _is_here(address: object) -> bool:
    if not isinstance(address, tuple) or not address:
        return True  # A path of this machine's file system.
    host = str(address[0])
    if host in ("localhost", "", "0.0.0.0", "::"):
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return found.is_loopback or any(found in network for network in _SEALED)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect" and not _is_here(arguments[1]):
        _OUTSIDE.append(str(arguments[1]))
        raise ConnectionRefusedError("a test reached for a network outside this machine")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def _no_outside_network() -> Iterator[None]:
    """A test that tries to leave the machine fails, whatever the code under test made of the refusal."""
    _OUTSIDE.clear()
    yield
    assert not _OUTSIDE, f"reached for {_OUTSIDE}"
