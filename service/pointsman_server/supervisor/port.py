"""The public port while workers come and go: taken before the first of them, and never let go until the last has gone.

gRPC's listeners of one user share a port silently, so whether it is free must be asked of the kernel in another way: by
a plain socket. That socket stays bound, without listening, so that nobody else takes the port while no worker listens,
and so that port 0 is one port for all. (Checked on Linux 6.18: a bound socket that does not listen gets no connection.)
"""

from __future__ import annotations

import errno
import socket

from pointsman_server.errors import Reason, ServiceError

_MISSING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class HeldPort:
    """An address that workers of this user may listen on together, and nobody else."""

    def __init__(self, listen: str) -> None:
        """Take `host:port`; port 0 takes a free one. Raises ServiceError when the address cannot be had."""
        self._host, _, port = listen.rpartition(":")
        self._sockets: list[socket.socket] = []
        self.port = int(port)
        try:
            self._hold(listen)
        except OSError as error:
            self.close()
            raise ServiceError(Reason.INTERNAL, f"cannot listen on {listen}") from error

    @property
    def address(self) -> str:
        """Where to listen."""
        return f"{self._host}:{self.port}"

    def close(self) -> None:
        """Let it go."""
        for held in self._sockets:
            held.close()
        self._sockets.clear()

    def _hold(self, listen: str) -> None:
        found = _resolved(self._host.strip("[]"), self.port)
        unavailable: OSError | None = None
        for family, host in found:
            try:
                held = _bound(family, host, self.port)
            except OSError as error:
                # As gRPC does it: one of several addresses of a name may be missing here, but none may be taken.
                if error.errno not in _MISSING:
                    raise
                unavailable = error
                continue
            self._sockets.append(held)
            self.port = held.getsockname()[1]
        if not self._sockets:
            raise unavailable or OSError(f"no address for {listen}")


def _resolved(host: str, port: int) -> list[tuple[int, str]]:
    """Family and numeric address, in the resolver's order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found))


def _bound(family: int, host: str, port: int) -> socket.socket:
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        # For this moment, so that connections of an earlier process that are in TIME_WAIT are no obstacle.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        held.close()
        raise
    return held
