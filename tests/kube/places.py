"""The network that this suite runs in: a namespace of its own, in which a bridge joins pods and nothing leads out.

`python -m tests.kube` makes it. Pods have addresses of PODS, each in a network namespace of its own; the API server is
at GATEWAY. Addresses of FREE belong to the loopback device: tests may bind any of them, as endpoints that no pod
stands behind (the API server takes no 127.0.0.0/8 in an EndpointSlice).
"""

import os
import socket

GATEWAY = "10.244.0.1"
PODS = "10.244.0.0/16"
FREE = "10.245.0.0/16"
SERVICE = "10.96.0.1"
"""Of the Service `kubernetes`, which pods know the API server by: its certificate names it. No proxy makes it work
here; a test may listen there, and stand between."""
BRIDGE = "pods0"
VARIABLE = "POINTSMAN_TEST_NETWORKS"
"""What the guard of tests/conftest.py takes for this machine."""

SET_UP = f"""
ip link set lo up
ip link add {BRIDGE} type bridge
ip addr add {GATEWAY}/16 dev {BRIDGE}
ip link set {BRIDGE} up
ip route add local {FREE} dev lo
ip addr add {SERVICE}/32 dev lo
"""


def is_sealed() -> bool:
    """Whether this process runs in that network."""
    if VARIABLE not in os.environ:
        return False
    with socket.socket() as probe:
        try:
            probe.bind((GATEWAY, 0))
        except OSError:
            return False
    return True


def free_port(host: str = GATEWAY) -> int:
    """A port that nothing listens on; nothing else takes ports in this network."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
