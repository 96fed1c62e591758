"""Ports for servers that have to be told theirs."""

import collections
import contextlib
import itertools
import random
import socket

HOST = "127.0.0.1"

# Below the range that the kernel takes the ports of outgoing connections from, so that none of those comes in between.
_ports = itertools.cycle(range(20_000, 32_000))
collections.deque(itertools.islice(_ports, random.randrange(12_000)), maxlen=0)


def free_port() -> int:
    """A port that nothing listens on, and that is given out once."""
    for port in _ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise AssertionError("there is no free port")
