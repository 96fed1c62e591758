"""Notices that files changed: a poll of what they are and hold, which also sees a Kubernetes volume swap its link.

Enters: paths. Leaves: one awaited call per change, once the files have come to rest. Never reads what they mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from pointsman_server.clock import Clock

INTERVAL_S = 1.0
_Stamp = tuple[int, int, int, int]


class Watch:
    """Watches the files that `paths` names at each look, for what they name may change with a reload."""

    def __init__(
        self,
        clock: Clock,
        paths: Callable[[], Iterable[Path]],
        changed: Callable[[], Awaitable[None]],
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._clock = clock
        self._paths = paths
        self._changed = changed
        self._interval_s = interval_s
        self._digests: dict[Path, tuple[_Stamp | None, bytes]] = {}
        self._known = self._look()
        self._seen = self._known

    async def run(self) -> None:
        """Look for ever; to be run as a task."""
        while True:
            await self._clock.sleep(self._interval_s)
            await self.look()

    async def look(self) -> None:
        """One look. A change counts when two looks in a row saw the same: a file in mid-writing is left alone."""
        before, self._seen = self._seen, self._look()
        if self._seen == self._known or self._seen != before:
            return
        await self._changed()
        # What is watched may be other files now: theirs is the state to compare with.
        self._known = self._seen = self._look()

    def _look(self) -> dict[Path, bytes]:
        paths = tuple(self._paths())
        for gone in self._digests.keys() - set(paths):
            del self._digests[gone]
        return {path: self._digest(path) for path in paths}

    def _digest(self, path: Path) -> bytes:
        """What the file holds; read again only when the file is another one or was touched."""
        stamp = _stamp(path)
        known = self._digests.get(path)
        if known is None or known[0] != stamp:
            known = self._digests[path] = (stamp, _content(path))
        return known[1]


def _stamp(path: Path) -> _Stamp | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino


def _content(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b""
